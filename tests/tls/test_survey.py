"""A survey finds the same as a decoder where all is well, loses nothing where it is not, and says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_extensions import BODIES, each_body
from test_trace import check_parts, covers
from tls_vectors import CONNECTIONS, VECTORS, Vector, each, named, reader

from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
from tlsdissect.tls.extension_names import ServerNameList
from tlsdissect.tls.key_exchange import EcdhParams
from tlsdissect.tls.layout import WireStruct
from tlsdissect.tls.survey import survey
from tlsdissect.tls.trace import fields, trace
from tlsdissect.tls.wire import WireError, decode_partially

if TYPE_CHECKING:
    from msgspec import Struct

    from tlsdissect.tls.extensions import Table
    from tlsdissect.tls.survey import Survey

HELLO = bytes.fromhex("0303" + "aa" * 32 + "00" + "0004 1301 0a0a" + "0100" + "0009 0017 0000 0000 0001 ff")


def surveyed(kind: Any, data: bytes) -> Survey:
    read = kind.read if isinstance(kind, type) else kind
    found = survey(kind if isinstance(kind, type) and issubclass(kind, WireStruct) else read, data)
    assert covers(found.fields, 0, len(data))
    for field in found.fields:
        if field.value is not None:
            check_parts(field, data)
    try:
        value, error = decode_partially(read, data)
    except WireError:
        assert found.errors
    else:
        assert (error is None) <= (found.value == value)
        assert bool(found.errors) == (error is not None)
    return found


@each(VECTORS)
def test_sound_messages(vector: Vector) -> None:
    found = surveyed(vector.read, vector.body)
    assert found.errors == ()
    assert found.fields == fields(*trace(vector.read, vector.body))


@each_body(BODIES)
def test_bodies_of_extensions_cut_anywhere(table: Table, number: int, data: str, body: Struct) -> None:
    whole = bytes.fromhex(data)
    assert surveyed(table[number], whole).value == body
    for cut in range(len(whole)):
        surveyed(table[number], whole[:cut])


@pytest.mark.parametrize("vector", named("client_hello", "certificate"), ids=lambda v: f"{v.connection}-{v.type}")
def test_messages_cut_anywhere_or_with_bytes_after_them(vector: Vector) -> None:
    assert surveyed(vector.read, vector.body + b"abc").fields[-1].name == "unread"
    for cut in range(0, len(vector.body), 7):
        surveyed(vector.read, vector.body[:cut])


@given(
    st.sampled_from(sorted({v.type for v in VECTORS})), st.sampled_from(sorted(CONNECTIONS)), st.binary(max_size=120)
)
def test_any_bytes(message_type: str, connection: str, data: bytes) -> None:
    surveyed(reader(message_type, *CONNECTIONS[connection]), data)


@given(st.sampled_from(VECTORS), st.data())
def test_damaged_messages(vector: Vector, data: st.DataObject) -> None:
    body = bytearray(vector.body)
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    surveyed(vector.read, bytes(body))


def test_a_list_that_claims_too_much_is_read_as_far_as_it_goes() -> None:
    body = bytearray(HELLO)
    body[44] = 0x20
    found = surveyed(ClientHello.read, bytes(body))
    assert [str(error) for error in found.errors] == ["32 bytes wanted, 9 left at byte 45"]
    assert [part.name for part in found.fields[-1].parts] == ["[0]", "[1]"]


def test_what_is_around_a_malformed_list_is_read() -> None:
    body = bytearray(HELLO)
    body[36] = 3  # three bytes of cipher suites
    found = surveyed(ClientHello.read, bytes(body))
    named_fields = {field.name: field for field in found.fields}
    assert named_fields["random"].value == b"\xaa" * 32
    assert [part.name for part in named_fields["cipher_suites"].parts] == ["unread"]
    assert "a list of 2-byte numbers is 3 bytes long" in str(found.errors[0])


def test_a_value_that_no_struct_knows() -> None:
    found = surveyed(EcdhParams.read, b"\x09\x00\x1d")
    assert (found.value, [field.name for field in found.fields]) == (None, ["unread"])
    assert str(found.errors[0]) == "unknown curve type 9 at byte 0"


def test_missing_fields_are_none() -> None:
    found = surveyed(ServerNameList, bytes.fromhex("0003 00 0009"))
    [names] = found.fields
    assert [part.name for part in names.parts[0].parts] == ["name_type", "host_name"]
    assert names.parts[0].parts[1].value is None
    assert surveyed(Ssl2ClientHello.read, b"\x01").fields[0].name == "msg_type"
