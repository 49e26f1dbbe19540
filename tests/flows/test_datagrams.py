"""Conversations of QUIC and DTLS, counted in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

from tlsdissect.capture.packet import UDP, Packet
from tlsdissect.cli.totals import left_out
from tlsdissect.flows import datagrams
from tlsdissect.pipeline import Summary

if TYPE_CHECKING:
    import pytest

LONG_HEADER = b"\xc0\0\0\0\x01" + bytes(20)


def feed(counted: datagrams.Datagrams, many: int, *, back: bool = False) -> None:
    """QUIC packets of so many clients; `back`, from the server."""
    packet = Packet()
    packet.data, packet.protocol, packet.length, packet.captured = LONG_HEADER, UDP, len(LONG_HEADER), len(LONG_HEADER)
    server, ports = bytes(16), [(40_000).to_bytes(2, "big"), (443).to_bytes(2, "big")]
    for number in range(many):
        client = number.to_bytes(16, "big")
        ends = [server, client, *reversed(ports)] if back else [client, server, *ports]
        packet.endpoints = b"".join(ends)
        protocol = datagrams.recognise(packet)
        assert protocol is not None
        counted.add(protocol, packet.endpoints)


def test_both_directions_are_one_conversation() -> None:
    counted = datagrams.Datagrams()
    feed(counted, 1000)
    feed(counted, 1500, back=True)
    assert (counted.quic, counted.dtls) == (1500, 0)


def test_a_conversation_takes_little_memory() -> None:
    counted = datagrams.Datagrams()
    many = 100_000
    tracemalloc.start()
    feed(counted, many)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert counted.quic == many
    assert held < 120 * many


def test_more_than_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "MAX_COUNTED", 10)
    monkeypatch.setattr("tlsdissect.corpus.left_out.MAX_COUNTED", 10)
    counted, summary = datagrams.Datagrams(), Summary()
    feed(counted, 50)
    summary.quic = counted.quic
    assert list(left_out(summary)) == ["at least 10 QUIC conversations not decoded"]
    summary.quic = 9
    assert list(left_out(summary)) == ["9 QUIC conversations not decoded"]
