from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.model.transcript import Packet, Places, Transcript
from tlsdissect.views.tree.asn1 import MAX_DEPTH, asn1
from tlsdissect.views.tree.fields import Fields
from tlsdissect.views.tree.model import MappedBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.views.tree.model import Node


def grounded(data: bytes) -> MappedBytes:
    packet = Packet(1, 0, "server", 16, 0, None, len(data), data, 100)
    transcript = Transcript((packet,), (), (None, None), None, None, None)
    ground = MappedBytes(Places(transcript, "server"), 1)
    ground.add(data, 0)
    return ground


def drawn(data: bytes, name: str = "value") -> tuple[Node, ...]:
    return asn1(grounded(data), data, 0, len(data), name, "X.690")


def leaves(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        if node.children:
            yield from leaves(node.children)
        else:
            yield node


def covers(nodes: tuple[Node, ...], size: int) -> bool:
    places = [
        at for leaf in leaves(nodes) for span in leaf.bytes for at in range(span.offset, span.offset + span.length)
    ]
    return places == list(range(100, 100 + size))


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_are_drawn_once(data: bytes) -> None:
    nodes = drawn(data)
    assert covers(nodes, len(data))
    msgspec.json.encode(nodes)


def test_text_that_is_no_utf_8() -> None:
    [node] = drawn(b"\x0c\x03a\xffb")
    assert (node.value, node.meaning) == ("a\\xffb", "a\\xffb")


def test_a_name_is_told_in_full() -> None:
    name = bytes.fromhex("300d310b3009060355040613025858")
    [node] = drawn(name, "issuer")
    assert node.meaning == "C=XX"
    kinds = [(leaf.name, leaf.value, leaf.meaning) for leaf in leaves((node,))]
    assert ("type", "2.5.4.6", "countryName") in kinds
    assert ("value", "XX", "XX") in kinds


def test_values_within_values_are_drawn_to_a_depth() -> None:
    data = b""
    for _ in range(MAX_DEPTH + 5):
        data = bytes([0x30, len(data)]) + data
    nodes = drawn(data)
    assert covers(nodes, len(data))
    assert "no deeper than this is drawn" in {leaf.problem for leaf in leaves(nodes)}


def test_bytes_behind_a_value_are_unread() -> None:
    whole, rest = drawn(b"\x05\x00zz")
    assert (whole.name, rest.name, rest.value) == ("value", "unread", "7a7a")
    assert rest.problem == "bytes after the DER value"


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 0x80 else bytes([0x82]) + len(body).to_bytes(2, "big")
    return bytes([tag]) + size + body


def extension(identifier: str, value: bytes) -> bytes:
    return der(0x30, der(0x06, bytes.fromhex(identifier)), der(0x04, value))


@pytest.mark.parametrize(
    ("identifier", "value", "told"),
    [
        ("551d0f", der(0x03, b"\x05\xa0"), ("KeyUsage", "digitalSignature, keyEncipherment")),
        ("551d11", der(0x30, der(0x82, b"a.example")), ("dNSName", "a.example")),
        ("551d11", der(0x30, der(0x87, bytes([192, 0, 2, 1]))), ("iPAddress", "192.0.2.1")),
        ("551d11", der(0x30, der(0x88, b"\x55\x1d\x0f")), ("registeredID", "keyUsage")),
        ("551d13", der(0x30, der(0x02, b"\x03")), ("pathLenConstraint", 3)),
        ("551d0e", der(0x04, b"\x04\x02\x05\x00"), ("SubjectKeyIdentifier", "04020500")),
        ("551d24", der(0x30, der(0x81, b"\x00")), ("inhibitPolicyMapping", "00")),
        ("2b06010505070118", der(0x30, der(0x02, b"\x05")), ("Feature", "status_request")),
        ("551d1f", der(0x30, der(0x30, der(0x81, b"\x06\x40"))), ("reasons", "0640")),
        ("2a0304", b"\x00\xff", ("extnValue", "00ff")),
    ],
)
def test_extensions_are_told_by_what_they_are(identifier: str, value: bytes, told: tuple[str, str | int]) -> None:
    data = extension(identifier, value)
    nodes = drawn(data, "extension")
    assert covers(nodes, len(data))
    *_, last = leaves(nodes)
    assert (last.name, last.value if last.meaning is None else last.meaning) == told


def test_timestamps_within_a_certificate_are_a_struct_of_tls() -> None:
    timestamp = b"\x00" + bytes(32) + (1_700_000_000_000).to_bytes(8, "big") + b"\x00\x00\x04\x03\x00\x01\xaa"
    listed = len(timestamp).to_bytes(2, "big") + timestamp
    data = extension("2b06010401d679020402", der(0x04, len(listed).to_bytes(2, "big"), listed))
    ground = grounded(data)
    nodes = Fields(ground).der("extension", 0, len(data), None)
    assert covers(nodes, len(data))
    told = {leaf.name: leaf.meaning for leaf in leaves(nodes)}
    assert told["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert told["signature_algorithm"] == "ecdsa_secp256r1_sha256"


def test_a_key_of_rsa_and_one_of_another_kind() -> None:
    algorithm = der(0x30, der(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"))
    key = der(0x30, der(0x02, b"\x00\xc1" + bytes(127)), der(0x02, b"\x01\x00\x01"))
    data = der(0x30, algorithm, der(0x03, b"\x00" + key))
    told = {leaf.name: (leaf.value, leaf.meaning) for leaf in leaves(drawn(data, "subjectPublicKeyInfo"))}
    assert str(told["modulus"][1]).startswith("1024 bits: 00c1")
    assert told["publicExponent"] == (65_537, None)
    data = der(0x30, algorithm, der(0x03, b"\x00\x04" + bytes(64)))
    nodes = drawn(data, "subjectPublicKeyInfo")
    assert covers(nodes, len(data))
    assert [leaf.name for leaf in leaves(nodes)][-1] == "subjectPublicKey"


def test_an_answer_of_ocsp() -> None:
    moment = der(0x18, b"20260101000000Z")
    revoked = der(0xA1, moment, der(0xA0, der(0x0A, b"\x01")))
    identified = der(
        0x30, der(0x30, der(0x06, b"\x2b\x0e\x03\x02\x1a")), der(0x04, b"n"), der(0x04, b"k"), der(2, b"\5")
    )
    single = der(0x30, identified, revoked, moment, der(0xA0, moment))
    response = der(0x30, der(0xA2, der(0x04, b"key")), moment, der(0x30, single))
    basic = der(0x30, response, der(0x30, der(0x06, b"\x2a\x03")), der(0x03, b"\0s"))
    inside = der(0x30, der(0x06, b"\x2b\x06\x01\x05\x05\x07\x30\x01\x01"), der(0x04, basic))
    data = der(0x30, der(0x0A, b"\0"), der(0xA0, inside))
    nodes = drawn(data, "OCSPResponse")
    assert covers(nodes, len(data))
    told = {leaf.name: leaf.meaning or leaf.value for leaf in leaves(nodes)}
    assert told.items() >= {
        "responseStatus": "successful",
        "KeyHash": b"key".hex(),
        "issuerNameHash": b"n".hex(),
        "serialNumber": 5,
        "revocationTime": "2026-01-01T00:00:00Z",
        "CRLReason": "keyCompromise",
        "thisUpdate": "2026-01-01T00:00:00Z",
    }.items()  # fmt: skip
