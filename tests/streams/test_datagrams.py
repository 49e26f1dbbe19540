"""Conversations of QUIC and DTLS, counted in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture import Packets
from tlsdissect.capture.packets import UDP
from tlsdissect.cli.summary import left_out
from tlsdissect.pipeline import Summary
from tlsdissect.streams import datagrams

if TYPE_CHECKING:
    import pytest

LONG_HEADER = b"\xc0\0\0\0\x01" + bytes(20)


def initials(many: int, *, back: bool = False) -> Packets:
    """QUIC packets of so many clients; `back`, from the server."""
    client, server = np.arange(many, dtype=np.uint64), np.full(many, 7, np.uint64)
    ports = np.full(many, 40_000, np.uint16), np.full(many, 443, np.uint16)
    ends = [(client, ports[0]), (server, ports[1])][:: -1 if back else 1]
    zero = np.zeros(many, np.int64)
    return Packets(
        data=memoryview(LONG_HEADER),
        frame=np.arange(many),
        time=zero,
        digits=zero.astype(np.uint8),
        protocol=np.full(many, UDP, np.uint8),
        family=np.full(many, 6, np.uint8),
        source_high=client,
        source_low=ends[0][0],
        destination_high=client,
        destination_low=ends[1][0],
        source_port=ends[0][1],
        destination_port=ends[1][1],
        sequence=zero.astype(np.uint32),
        acknowledgement=zero.astype(np.uint32),
        flags=zero.astype(np.uint8),
        payload=zero,
        place=zero,
        length=np.full(many, len(LONG_HEADER)),
        captured=np.full(many, len(LONG_HEADER)),
        quoted=np.zeros(many, np.bool_),
    )


def test_both_directions_are_one_conversation() -> None:
    counted = datagrams.Datagrams()
    counted.feed(initials(1000))
    counted.feed(initials(1500, back=True))
    assert (counted.quic, counted.dtls) == (1500, 0)


def test_a_conversation_takes_little_memory() -> None:
    counted = datagrams.Datagrams()
    many = 100_000
    packets = initials(many)
    tracemalloc.start()
    counted.feed(packets)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert counted.quic == many
    assert held < 120 * many


def test_more_than_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "MAX_COUNTED", 10)
    monkeypatch.setattr("tlsdissect.cli.summary.MAX_COUNTED", 10)
    counted, summary = datagrams.Datagrams(), Summary()
    counted.feed(initials(50))
    summary.quic = counted.quic
    assert list(left_out(summary)) == ["at least 10 QUIC conversations not decoded"]
    summary.quic = 9
    assert list(left_out(summary)) == ["9 QUIC conversations not decoded"]
