"""Packets of conversations: of many as columns, of one as Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlsdissect.capture.packets import Packets

    Indexes = NDArray[np.int64]

FIN, SYN, RST, ACK = 1, 2, 4, 16
"""Flags of a TCP header (RFC 9293 section 3.1)."""

HELLO_START = 11
"""Bytes by which a ClientHello or ServerHello at the start of a record is told from other bytes."""

_HELLO = ((0, 22, 22), (1, 3, 3), (2, 0, 4), (5, 1, 2), (6, 0, 0), (9, 3, 3))
"""Places in the payload and what may stand there: record type and version, message type, its length, its version."""


class Segment(NamedTuple):
    """One packet of a conversation (RFC 9293 section 3.1)."""

    frame: int
    time: int
    sender: int
    """0: who sent the conversation's first packet; 1: the other side."""
    flags: int
    sequence: int
    acknowledgement: int
    length: int
    payload: int
    captured: int
    place: int


class Signal(NamedTuple):
    """A FIN or RST."""

    frame: int
    end: int
    """Sequence number behind the last byte that its side sent."""


class Segments:
    """The segments of a stretch of time, conversation by conversation, in their order; a row each."""

    __slots__ = ("_packets", "flagged", "length", "order", "rows", "sender", "sequence")

    def __init__(self, packets: Packets, rows: Indexes, sender: Indexes, order: Indexes) -> None:
        self._packets = packets
        self.rows = rows
        self.sender = sender
        self.order = order
        self.length = packets.length[rows]
        self.flagged = (packets.flags[rows] & (SYN | FIN | RST)) != 0
        """Which rows do more than to carry bytes: a SYN moves the number of its first byte."""
        self.sequence = packets.sequence[rows].astype(np.int64)

    @property
    def data(self) -> memoryview:
        """What the rows' payloads point into."""
        return self._packets.data

    def take(self, at: Indexes) -> list[Segment]:
        """Give some as Python values."""
        packets, rows = self._packets, self.rows[at]
        columns = (
            packets.frame[rows],
            packets.time[rows],
            self.sender[at],
            packets.flags[rows],
            self.sequence[at],
            packets.acknowledgement[rows],
            self.length[at],
            packets.payload[rows],
            packets.captured[rows],
            packets.place[rows],
        )
        return list(zip(*(column.tolist() for column in columns), strict=True))  # type: ignore[arg-type]

    def whole(self, at: Indexes) -> NDArray[np.bool_]:
        """Which of these rows the capture holds all bytes of."""
        whole: NDArray[np.bool_] = self._packets.captured[self.rows[at]] == self.length[at]
        return whole

    def payload_of(self, at: Indexes) -> Indexes:
        """Where the payloads of these rows begin in the data."""
        return self._packets.payload[self.rows[at]]

    def openings(self, among: Indexes) -> Indexes:
        """Of these rows, those that have a SYN, or whose payload begins with a ClientHello or ServerHello."""
        syn = among[self._packets.flags[self.rows[among]] & SYN != 0]
        return np.union1d(syn, self._hellos(among)) if len(syn) else self._hellos(among)

    def _hellos(self, among: Indexes) -> Indexes:
        among = among[self._packets.captured[self.rows[among]] >= HELLO_START]
        for offset, low, high in _HELLO:
            byte = self._bytes(among, offset)
            among = among[(byte >= low) & (byte <= high)]
        return among

    def _bytes(self, at: Indexes, offset: int) -> NDArray[np.uint8]:
        data = np.frombuffer(self._packets.data, np.uint8)
        return data[self._packets.payload[self.rows[at]] + offset]


def starts_with_hello(payload: memoryview) -> bool:
    """Whether a payload begins with the record of a ClientHello or ServerHello."""
    return len(payload) >= HELLO_START and all(low <= payload[at] <= high for at, low, high in _HELLO)
