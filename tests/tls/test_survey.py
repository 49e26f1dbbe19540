"""A survey finds the same as a decoder where all is well, loses nothing where it is not, and says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from surveying import covers, surveyed
from test_extensions import BODIES, each_body
from tls_vectors import CONNECTIONS, VECTORS, Vector, decoder_of, each, named

from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.extension_names import CertificateStatusRequestListV2, ServerNameList
from tlsdissect.tls.extensions import FROM_CLIENT, offsets
from tlsdissect.tls.key_exchange import EcdhParams
from tlsdissect.tls.survey import survey
from tlsdissect.tls.wire import Reader

if TYPE_CHECKING:
    from msgspec import Struct

    from tlsdissect.tls.extensions import Table

HELLO = bytes.fromhex("0303" + "aa" * 32 + "00" + "0004 1301 0a0a" + "0100" + "0009 0017 0000 0000 0001 ff")


@each(VECTORS)
def test_sound_messages(vector: Vector) -> None:
    assert surveyed(vector.decoder, vector.body).errors == ()


@each_body(BODIES)
def test_bodies_of_extensions_cut_anywhere(table: Table, number: int, data: str, body: Struct) -> None:
    whole = bytes.fromhex(data)
    assert surveyed(table[number], whole).value == body
    for cut in range(len(whole)):
        surveyed(table[number], whole[:cut])


@pytest.mark.parametrize("vector", named("client_hello", "certificate"), ids=lambda v: f"{v.connection}-{v.type}")
def test_messages_cut_anywhere_or_with_bytes_after_them(vector: Vector) -> None:
    assert surveyed(vector.decoder, vector.body + b"abc").fields[-1].name == "unread"
    for cut in range(0, len(vector.body), 7):
        surveyed(vector.decoder, vector.body[:cut])


@given(
    st.sampled_from(sorted({v.type for v in VECTORS})), st.sampled_from(sorted(CONNECTIONS)), st.binary(max_size=120)
)
def test_any_bytes(message_type: str, connection: str, data: bytes) -> None:
    surveyed(decoder_of(message_type, *CONNECTIONS[connection]), data)


@given(st.sampled_from(VECTORS), st.data())
def test_damaged_messages(vector: Vector, data: st.DataObject) -> None:
    body = bytearray(vector.body)
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    surveyed(vector.decoder, bytes(body))


def test_fields_have_names_registries_and_places() -> None:
    tree = surveyed(ClientHello, HELLO).fields
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


def test_a_body_is_found_where_it_stands_in_its_message() -> None:
    for vector in named("client_hello"):
        hello = Reader(vector.body).whole(vector.read)
        for extension, start in zip(hello.extensions, offsets(hello.extensions, len(vector.body)), strict=True):
            end = start + len(extension.extension_data)
            found = survey(FROM_CLIENT[extension.extension_type], vector.body, start, end)
            assert covers(found.fields, start, end)


def test_a_list_that_claims_too_much_is_read_as_far_as_it_goes() -> None:
    body = bytearray(HELLO)
    body[44] = 0x20
    found = surveyed(ClientHello, bytes(body))
    assert [str(error) for error in found.errors] == ["32 bytes wanted, 9 left at byte 45"]
    assert [part.name for part in found.fields[-1].parts] == ["[0]", "[1]"]


def test_what_is_around_a_malformed_list_is_read() -> None:
    body = bytearray(HELLO)
    body[36] = 3  # three bytes of cipher suites
    found = surveyed(ClientHello, bytes(body))
    named_fields = {field.name: field for field in found.fields}
    assert named_fields["random"].value == b"\xaa" * 32
    assert [part.name for part in named_fields["cipher_suites"].parts] == ["unread"]
    assert "a list of 2-byte numbers is 3 bytes long" in str(found.errors[0])


def test_a_value_that_no_struct_knows() -> None:
    found = surveyed(EcdhParams, b"\x09\x00\x1d")
    assert (found.value, [field.name for field in found.fields]) == (None, ["unread"])
    assert str(found.errors[0]) == "unknown curve type 9 at byte 0"


def test_missing_fields_are_none() -> None:
    found = surveyed(ServerNameList, bytes.fromhex("0003 00 0009"))
    [names] = found.fields
    assert [part.name for part in names.parts[0].parts] == ["name_type", "host_name"]
    assert names.parts[0].parts[1].value is None
    assert surveyed(Ssl2ClientHello, b"\x01").fields[0].name == "msg_type"


def test_no_byte_is_lost_where_a_block_ends_inside_its_struct() -> None:
    body = bytes.fromhex("000b 02 0004 0001 00 00 09 0001 02")
    surveyed(CertificateStatusRequestListV2, body)
    for cut in range(len(body)):
        for changed in range(256):
            surveyed(CertificateStatusRequestListV2, body[:cut] + bytes([changed]) + body[cut + 1 :])


def test_the_length_of_a_list_belongs_to_no_item() -> None:
    [names] = surveyed(ServerNameList, bytes.fromhex("0001 00")).fields
    assert (names.start, names.parts[0].start) == (0, 2)
