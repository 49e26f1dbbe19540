from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_extensions import BODIES, each_body
from tls_vectors import CONNECTIONS, VECTORS, Vector, each, named, reader

from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.extensions import FROM_CLIENT, Table, offsets
from tlsdissect.tls.trace import Field, fields, trace
from tlsdissect.tls.wire import Reader, WireError, decode_partially

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from msgspec import Struct

TYPES = sorted({vector.type for vector in VECTORS})


def covers(parts: Sequence[Any], start: int, end: int) -> bool:
    """Whether spans stand one behind the other, from start to end."""
    for part in parts:
        if part.start != start:
            return False
        start = part.end
    return start == end


def check(read: Callable[[Reader], Any], data: bytes) -> None:
    """Both readers agree, and the spans of leaves and fields cover every byte."""
    value, _ = decode_partially(read, data)
    traced, leaves = trace(read, data)
    assert traced == value
    assert covers(leaves, 0, len(data))
    tree = fields(traced, leaves)
    assert covers(tree, 0, len(data))
    for field in tree:
        check_parts(field, data)


def check_parts(field: Field, data: bytes) -> None:
    if isinstance(field.value, bytes):
        assert data[: field.end].endswith(field.value)
    if field.parts:
        # A length may stand in front of the parts, and belongs to the whole.
        assert 0 <= field.parts[0].start - field.start <= 3
        assert covers(field.parts, field.parts[0].start, field.end)
        for part in field.parts:
            check_parts(part, data)


@each(VECTORS)
def test_recorded_messages(vector: Vector) -> None:
    check(vector.read, vector.body)


@pytest.mark.parametrize("vector", named("client_hello", "certificate"), ids=lambda v: f"{v.connection}-{v.type}")
def test_recorded_messages_cut_or_with_bytes_after_them(vector: Vector) -> None:
    check(vector.read, vector.body + b"abc")
    for cut in range(len(vector.body)):
        try:
            decode_partially(vector.read, vector.body[:cut])
        except WireError:
            with pytest.raises(WireError):
                trace(vector.read, vector.body[:cut])
        else:
            check(vector.read, vector.body[:cut])


@each_body(BODIES)
def test_bodies_of_extensions(table: Table, number: int, data: str, body: Struct) -> None:
    check(table[number].read, bytes.fromhex(data))


def test_hello_of_ssl_2() -> None:
    check(Ssl2ClientHello.read, bytes.fromhex("01 0002 0006 0000 0010 0700c0 00002f" + "cc" * 16))


def test_fields_have_names_registries_and_places() -> None:
    body = bytes.fromhex("0303" + "aa" * 32 + "00" + "0004 1301 0a0a" + "0100" + "0009 0017 0000 0000 0001 ff")
    hello, leaves = trace(ClientHello.read, body)
    tree = fields(hello, leaves)
    assert [(f.name, f.start, f.end) for f in tree] == [
        ("legacy_version", 0, 2),
        ("random", 2, 34),
        ("legacy_session_id", 34, 35),
        ("cipher_suites", 35, 41),
        ("legacy_compression_methods", 41, 43),
        ("extensions", 43, 54),
    ]
    assert tree[0].registry is Registry.VERSIONS
    assert [(f.value, f.registry, f.start) for f in tree[3].parts] == [
        (0x1301, Registry.CIPHER_SUITES, 37),
        (0x0A0A, Registry.CIPHER_SUITES, 39),
    ]
    assert [[(f.name, f.start, f.end) for f in e.parts] for e in tree[5].parts] == [
        [("extension_type", 45, 47), ("extension_data", 47, 49)],
        [("extension_type", 49, 51), ("extension_data", 51, 54)],
    ]


def test_a_body_is_traced_where_it_stands_in_its_message() -> None:
    for vector in named("client_hello"):
        hello = Reader(vector.body).whole(vector.read)
        for extension, start in zip(hello.extensions, offsets(hello.extensions, len(vector.body)), strict=True):
            end = start + len(extension.extension_data)
            _, leaves = trace(FROM_CLIENT[extension.extension_type].read, vector.body, start, end)
            assert covers(leaves, start, end)


@given(st.sampled_from(TYPES), st.sampled_from(sorted(CONNECTIONS)), st.binary(max_size=120))
def test_any_bytes_give_a_message_or_a_wire_error(message_type: str, connection: str, data: bytes) -> None:
    read = reader(message_type, *CONNECTIONS[connection])
    with suppress(WireError):
        check(read, data)


@given(st.sampled_from(VECTORS), st.data())
def test_damaged_messages_give_a_message_or_a_wire_error(vector: Vector, data: st.DataObject) -> None:
    body = bytearray(vector.body)
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        check(vector.read, bytes(body))
