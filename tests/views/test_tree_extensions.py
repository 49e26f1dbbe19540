"""Extensions that no sample has, down to their fields; those that say nothing, or stand where they should not."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Talk, write

import tlsdissect
from tlsdissect.views.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tlsdissect.views.tree.model import Node

TLSA = "055f 6d61696c 00 0034 0001 00000e10 0004 03 01 01 aa"
TIMESTAMP = "0102 02 2a03 0000018bcfe56800 0000 0001 aa"


def extension(number: int, data: str) -> bytes:
    body = bytes.fromhex(data)
    return struct.pack(">HH", number, len(body)) + body


def hello(kind: int, head: str, extensions: bytes) -> bytes:
    body = bytes.fromhex("0303" + "00" * 32 + "00" + head) + struct.pack(">H", len(extensions)) + extensions
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def drawn(place: Path, asked: bytes, answered: bytes) -> Iterator[tuple[str, Node]]:
    """The extensions of a ServerHello, and those of its ClientHello, with their names."""
    said = [(CLIENT, hello(1, "0002130101 00", asked)), (SERVER, hello(2, "130100", answered))]
    [connection] = tlsdissect.read(write(place, Talk(said, 0, 1, 50_000)), keep=True)
    for record in tree(connection).records:
        [message] = [part for part in record.node.children if part.name.endswith("hello")]
        for one in message.children[-1].children[1:]:
            yield f"{record.sender} {one.name}", one


def told(node: Node) -> dict[str, str | int | None]:
    """The leaves of an extension, by their names, with what they stand for."""
    if not node.children:
        return {node.name: node.value if node.meaning is None else node.meaning}
    return {name: value for child in node.children for name, value in told(child).items()}


@pytest.mark.parametrize(
    ("number", "asked", "answered", "expected"),
    [
        (29, "03 aabbcc", "", {"pwd_name": r"\xaa\xbb\xcc"}),
        (30, "03 626f62", "", {"pwd_name": "bob"}),
        (32, "0003 0001 61", "01 00 0000 00015180", {"[0]": "61"}),
        (39, "01 02", "02", {"[0]": "AESKW256"}),
        (51, "0005 001d 0001 04", "001d 0001 04", {"group": "x25519", "key_exchange": "1 byte"}),
        (59, "01bb", "0001 0000", {"port_number": 443}),
        (62, "02 0180", "01 01", {"flags": "flags 0, 15"}),
    ],
)
def test_what_clients_say(
    tmp_path: Path, number: int, asked: str, answered: str, expected: dict[str, str | int]
) -> None:
    found = dict(drawn(tmp_path / "hello.pcap", extension(number, asked), extension(number, answered)))
    assert len(found) == 2
    client = next(one for name, one in found.items() if name.startswith("client "))
    assert expected.items() <= told(client).items()
    assert client.reference is not None


def test_what_servers_prove(tmp_path: Path) -> None:
    chain = "0018 0017" + TLSA
    item = f"{len(bytes.fromhex(TIMESTAMP)):04x}" + TIMESTAMP
    items = f"{len(bytes.fromhex(item)):04x}" + item
    found = dict(drawn(tmp_path / "hello.pcap", b"", extension(59, chain) + extension(52, items)))
    assert told(found["server dnssec_chain"]).items() >= {
        "ext_support_lifetime": "1 day, 0:00:00",
        "name": "_mail.",
        "type": "TLSA",
        "ttl": "1:00:00",
        "certificate_usage": 3,
        "certificate_association_data": "aa",
    }.items()  # fmt: skip
    assert told(found["server transparency_info"]).items() >= {
        "versioned_type": "x509_sct_v2",
        "log_id": "2a03",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "signature": "aa",
    }.items()  # fmt: skip


def test_parameters_of_quic(tmp_path: Path) -> None:
    numbers = "01 02 6710" + "11 08 00000001 6b3343cf" + "0f 08 c000000000000001"
    address = "0d 29 c0000201 01bb 20010db8000000000000000000000001 01bc 00" + "07" * 16
    [(_, whole)] = drawn(tmp_path / "hello.pcap", extension(57, numbers + address), b"")
    assert [told(one) for one in whole.children[2].children] == [
        {"id": "max_idle_timeout", "length": 2, "value": 10_000},
        {"id": "version_information", "length": 8, "chosen_version": "QUIC version 1", "[0]": "QUIC version 2"},
        # Eight bytes of a connection's name, which could be read as a number.
        {"id": "initial_source_connection_id", "length": 8, "value": "c000000000000001"},
        {
            "id": "preferred_address",
            "length": 41,
            "ipv4_address": "192.0.2.1",
            "ipv4_port": 443,
            "ipv6_address": "2001:db8::1",
            "ipv6_port": 444,
            "connection_id": "",
            "stateless_reset_token": "07" * 16,
        },
    ]


@pytest.mark.parametrize(
    ("number", "remark"),
    [
        (13, "does not belong in this message: RFC 8446 section 4.2"),
        (36, "its format is in no RFC but in ETSI TS 103 523-2"),
        (60, "its format is in no RFC but in a draft of DTLS"),
        (0xFF00, "private use: RFC 8447 section 7"),
        (0x1234, "not registered"),
        (0x0A0A, None),
    ],
)
def test_bytes_that_cannot_be_told_say_why(tmp_path: Path, number: int, remark: str | None) -> None:
    [(_, one)] = drawn(tmp_path / "hello.pcap", b"", extension(number, "0102"))
    assert (one.children[-1].name, one.children[-1].value, one.remark) == ("extension_data", "0102", remark)
