"""Conversations over UDP, counted: QUIC and DTLS are seen and not decoded."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture.packets import UDP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlsdissect.capture.packets import Packets

MAX_COUNTED = 1 << 20
"""Conversations of one kind that are told apart; more count as so many, and the summary says "at least". Each takes
about 80 bytes."""

_KEY = struct.Struct("<QQHQQH")

_QUIC_VERSIONS = np.array(
    [1, 0x6B3343CF, 0x709A50C4, *range(0xFF000000, 0xFF000040), *range(0xFACEB000, 0xFACEB010)], np.uint32
)
"""RFC 9000, RFC 9369 and its draft, drafts of RFC 9000, one big site's (quicwg's list of versions)."""
_GOOGLE_QUIC = (0x51303030, 0x54303530)
"""Q0.. and T05.: QUIC before the IETF's."""


class Datagrams:
    """The four-tuples over which QUIC or DTLS handshakes went."""

    def __init__(self) -> None:
        # Hashes of 64 bits, keyed by Python for each process: a million four-tuples would take 300 MB.
        self._quic: set[int] = set()
        self._dtls: set[int] = set()

    @property
    def quic(self) -> int:
        """Conversations with a long header of a known version of QUIC."""
        return len(self._quic)

    @property
    def dtls(self) -> int:
        """Conversations with a record of DTLS."""
        return len(self._dtls)

    def feed(self, packets: Packets) -> None:
        """Look at a batch."""
        rows = np.flatnonzero((packets.protocol == UDP) & (packets.captured >= 13) & ~packets.quoted)
        if not len(rows):
            return
        data = np.frombuffer(packets.data, np.uint8)
        at = packets.payload[rows]
        head = [data[at + n].astype(np.uint32) for n in range(5)]
        _add(self._dtls, packets, rows[_is_dtls(head)])
        _add(self._quic, packets, rows[_is_quic(head)])


def _is_dtls(head: list[NDArray[np.uint32]]) -> NDArray[np.bool_]:
    """A handshake or alert record in the clear: RFC 6347 section 4.1."""
    kind = (head[0] == 22) | (head[0] == 21)
    found: NDArray[np.bool_] = kind & (head[1] == 0xFE) & (head[2] >= 0xFC) & (head[3] == 0)
    return found


def _is_quic(head: list[NDArray[np.uint32]]) -> NDArray[np.bool_]:
    """A long header with the fixed bit (RFC 8999 section 5.1, RFC 9000 section 17.2) and a version in use."""
    version = head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4]
    google = ((version >= _GOOGLE_QUIC[0]) & (version < _GOOGLE_QUIC[0] + 0x3A3A)) | (
        (version >= _GOOGLE_QUIC[1]) & (version < _GOOGLE_QUIC[1] + 0x10)
    )
    found: NDArray[np.bool_] = (head[0] >= 0xC0) & (np.isin(version, _QUIC_VERSIONS) | google)
    return found


def _add(known: set[int], packets: Packets, rows: NDArray[np.int64]) -> None:
    columns = (
        packets.source_high[rows],
        packets.source_low[rows],
        packets.source_port[rows],
        packets.destination_high[rows],
        packets.destination_low[rows],
        packets.destination_port[rows],
    )
    for ends in set(zip(*(column.tolist() for column in columns), strict=True)):
        if len(known) < MAX_COUNTED:
            known.add(hash(_KEY.pack(*min(ends, ends[3:] + ends[:3]))))
