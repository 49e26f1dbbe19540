"""Conversations of QUIC and DTLS, counted in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from datagrams import write_flows
from quicwriting import ORIGINAL, PEER, V1, Sent, crypto, initial, negotiation, pcap
from recorded import ROOT

from tlsdissect.capture.packet import UDP, Packet
from tlsdissect.cli.totals import left_out
from tlsdissect.corpus.documents import summary_from_json, summary_to_json
from tlsdissect.flows import udp_protocols
from tlsdissect.flows.table import Shard
from tlsdissect.pipeline import Reading, Summary

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = (ROOT / "tests" / "handshake" / "quic_vectors.txt").read_text().split()
HELLO = bytes.fromhex(VECTORS[VECTORS.index("v1_client_frames") + 1])[4:]
LONG_HEADER = b"\xc0\0\0\0\x01" + bytes(20)


def feed(counted: udp_protocols.Datagrams, many: int, *, back: bool = False) -> None:
    """QUIC packets of so many clients; `back`, from the server."""
    packet = Packet()
    packet.data, packet.protocol, packet.length, packet.captured = LONG_HEADER, UDP, len(LONG_HEADER), len(LONG_HEADER)
    server, ports = bytes(16), [(40_000).to_bytes(2, "big"), (443).to_bytes(2, "big")]
    for number in range(many):
        client = number.to_bytes(16, "big")
        ends = [server, client, *reversed(ports)] if back else [client, server, *ports]
        packet.endpoints = b"".join(ends)
        assert udp_protocols.recognise(packet) == udp_protocols.QUIC
        counted.add_quic(packet.endpoints, None)


def test_both_directions_are_one_conversation() -> None:
    counted = udp_protocols.Datagrams()
    feed(counted, 1000)
    feed(counted, 1500, back=True)
    assert (counted.quic, counted.dtls) == (1500, 0)


def test_a_conversation_takes_little_memory() -> None:
    counted = udp_protocols.Datagrams()
    many = 100_000
    tracemalloc.start()
    feed(counted, many)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert counted.quic == many
    assert held < 120 * many


def test_more_than_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_protocols, "MAX_COUNTED", 10)
    monkeypatch.setattr("tlsdissect.corpus.left_out.MAX_COUNTED", 10)
    counted, summary = udp_protocols.Datagrams(), Summary()
    feed(counted, 50)
    summary.quic = counted.quic
    assert list(left_out(summary)) == ["at least 10 QUIC conversations not decoded"]
    summary.quic = 9
    assert list(left_out(summary)) == ["9 QUIC conversations not decoded"]


PUBLIC_ID = b"\xcb" * 8
BODY = b"\x01" + b"\x5a" * 12 + b"\xa0\x01" + bytes(1000)
"""A packet number, a hash and frames."""


REFUSAL = b"\x80" + bytes(4) + b"\x05" + PUBLIC_ID + b"Q043Q039"
"""A Version Negotiation as an answer to Q046."""


def public(flags: int, version: bytes, rest: bytes = BODY) -> bytes:
    """A packet of Google QUIC up to Q043."""
    return bytes([flags]) + PUBLIC_ID + version + rest


def long(version: bytes, ids: bytes, rest: bytes = BODY) -> bytes:
    """A packet of Google QUIC from Q044 on."""
    return b"\xc3" + version + ids + rest


def told(data: bytes, length: int | None = None) -> tuple[str | None, str | None]:
    """What a datagram is; of `length` bytes, if those are not all."""
    packet = Packet()
    packet.data, packet.protocol, packet.captured = data, UDP, len(data)
    packet.length = len(data) if length is None else length
    return udp_protocols.recognise(packet), udp_protocols.google_version(packet)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (public(0x09, b"Q043"), "Q043"),
        (public(0x0D, b"Q043"), "Q043"),
        (public(0x2D, b"Q039", BODY[1:]), "Q039"),
        (public(0x0D, b"Q025"), "Q025"),
        (long(b"Q044", b"\x50" + PUBLIC_ID), "Q044"),
        (long(b"Q046", b"\x05" + PUBLIC_ID), "Q046"),
        (long(b"Q047", b"\x91" + bytes(12 + 4)), "Q047"),
        (long(b"Q049", b"\x08" + PUBLIC_ID + b"\x00"), "Q049"),
        (long(b"Q050", b"\x08" + PUBLIC_ID + b"\x00"), "Q050"),
    ],
)
def test_google_quic_is_known_by_its_version(data: bytes, version: str) -> None:
    kind = udp_protocols.QUIC if data[0] & 0x80 else udp_protocols.GOOGLE_QUIC
    assert told(data) == (kind, version)
    assert told(data[:40], len(data)) == (kind, version)


@pytest.mark.parametrize(
    "data",
    [
        public(0x01, b"Q043"),  # no connection ID
        public(0x08, b"Q043"),  # no version
        public(0x0B, b"Q043"),  # a public reset
        public(0x89, b"Q043"),
        public(0x49, b"Q043"),
        public(0x09, b"Q044"),  # has a long header
        public(0x09, b"Q0x3"),
        public(0x09, b"Q043", BODY[:13]),  # no room for a frame
        public(0x09, b"Q043", b"Q039Q035Q034Q033"),  # a Version Negotiation
        public(0x09, b"Q043", b"Q050Q046\xff\x00\x00\x1d\x1a\x2a\x3a\x4a"),
        long(b"Q043", b"\x50" + PUBLIC_ID),
        long(b"Q046", b"\x00"),  # no connection ID
        long(b"Q046", b"\xff" + bytes(20), b""),  # connection IDs do not fit
        long(b"Q050", b"\x50" + PUBLIC_ID),  # a connection ID of 80 bytes
        long(b"Q05x", b"\x08" + PUBLIC_ID + b"\x00"),
    ],
)
def test_a_version_counts_only_where_its_header_fits(data: bytes) -> None:
    assert told(data) == (None, None)


def test_flows_of_google_quic_are_counted_by_version(tmp_path: Path) -> None:
    """By the version that the server states, or else the client's latest; not as unknown QUIC if others follow."""
    servers = public(0x0C, b"", BODY)
    refusal = public(0x09, b"Q043", b"Q039Q035Q034Q033")
    flows = [
        [(0, public(0x0D, b"Q043")), (1, servers), (0, public(0x0D, b"Q043"))],
        [(0, public(0x09, b"Q043"))],
        [(0, long(b"Q046", b"\x50" + PUBLIC_ID)), (1, long(b"Q046", b"\x05" + PUBLIC_ID))],
        [(0, long(b"Q050", b"\x08" + PUBLIC_ID + b"\x00")), (1, LONG_HEADER)],
        [(0, LONG_HEADER)],
        # The server does not know the first version, and the client falls back to another.
        [(0, long(b"Q046", b"\x50" + PUBLIC_ID)), (1, REFUSAL), (0, public(0x0D, b"Q043")), (1, servers)],
        [(0, public(0x0D, b"Q043")), (1, refusal), (0, public(0x0D, b"Q039")), (1, servers)],
        [
            (0, long(b"Q050", b"\x08" + PUBLIC_ID + b"\x00")),
            (1, long(b"Q046", b"\x05" + PUBLIC_ID)),
            (0, public(0x09, b"Q043")),
        ],
        [(1, refusal), (1, servers)],
    ]
    path = write_flows(tmp_path / "google.pcap", flows)
    reading = Reading([str(path)])
    assert list(reading) == []
    assert (reading.summary.quic, reading.summary.google_quic) == (8, {"Q043": 3, "Q046": 2, "Q050": 1, "Q039": 1})
    assert list(left_out(reading.summary)) == [
        "8 QUIC (1 Google Q039, 3 Google Q043, 2 Google Q046, 1 Google Q050) conversations not decoded"
    ]
    assert dict(summary_from_json(summary_to_json(reading.summary)).google_quic) == dict(reading.summary.google_quic)
    shards = [Reading([str(path)], shard=Shard(number, 2)) for number in range(2)]
    for one in shards:
        assert list(one) == []
    shards[0].summary.include_shard(shards[1].summary)
    assert shards[0].summary.google_quic == reading.summary.google_quic


def test_a_version_that_the_server_refuses_does_not_count(tmp_path: Path) -> None:
    """A client of Google QUIC may go on with a version that is decoded."""
    ids = b"\x08" + ORIGINAL + b"\x08" + PEER
    hello = initial(crypto(0, HELLO), ORIGINAL, PEER)
    path = tmp_path / "refused.pcap"
    path.write_bytes(
        pcap([Sent(long(b"Q050", ids)), Sent(negotiation(PEER, ORIGINAL, [V1]), by_client=False), Sent(hello)])
    )
    reading = Reading([str(path)])
    [one] = list(reading)
    assert one.quic is not None
    assert (one.quic.version_negotiation, reading.summary.quic, +reading.summary.google_quic) == (True, 0, {})
