"""Packets that are rare, read one at a time: 802.11 with what capture cards put in front of it, samples, logs."""

from __future__ import annotations

import struct
from array import array
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture.link import IP, IPV4, IPV6, LLC
from tlsdissect.capture.rows import ETHERNET, INTERNAL, LINK_TYPE, WIRELESS, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.rows import Next, Peel, Peeling

    Reading = Callable[[Peeling, memoryview], Iterator[tuple[int, int, int]]]
    """Gives for each packet inside a packet its kind, and where it begins and ends."""

_ENCRYPTED, _MORE_FRAGMENTS, _ORDER = 0x40, 0x04, 0x80
_FROM_SYSTEM, _BOTH_SYSTEMS = 0x02, 0x03
"""The bits that tell who sent a frame: an access point or mesh station, and one such to another."""
_AGGREGATED, _MESH = 0x80, 0x01
"""Bits of a QoS control field's two bytes: A-MSDU, mesh control (IEEE 802.11-2020 sections 9.2.4.5.9, 9.2.4.5.10)."""
_TSFT, _FLAGS, _EXTENDED = 1 << 0, 1 << 1, 1 << 31
"""Bits of radiotap's words that tell which fields are there: the clock, of eight bytes, flags, and another word."""
_CHECKED, _PADDED = 0x10, 0x20
"""Bits of radiotap's flags (radiotap.org/fields/Flags)."""
_DATA, _QUALITY, _NO_DATA = 2, 0x80, 0x40

MAX_INSIDE = 1024
"""Packets inside one packet (subframes of an A-MSDU, samples of an sFlow datagram) that are read; packets that hold
more are counted as such, and the rest of what they hold is not read. The longest A-MSDU has room for 572 subframes of
an LLC header each (11,454 bytes, IEEE 802.11-2020 table 9-25), a UDP datagram for 712 of the shortest samples."""

WIRELESS_SWAPPED, SFLOW, WIRELESS_PADDED = INTERNAL + 4, INTERNAL + 5, INTERNAL + 7


def _one_by_one(read: Reading, what: str = "unreadable 802.11 frames") -> Peel:
    """Make a reader of one packet's bytes into one of rows; whatever it stumbles over is counted.

    A row takes 48 bytes here, and no reader gives one for fewer than 17 bytes of its packet.
    """

    def peel(view: Peeling, rows: Rows) -> Next:
        data = memoryview(view.data)
        kinds, columns = array("q"), array("q")
        places = (column.tolist() for column in (rows.record, rows.at, rows.end, rows.limit, rows.ip))
        for record, at, end, limit, ip in zip(*places, strict=True):
            for kind, start, stop in _safely(view, read, data[at:end], what):
                inner = limit if stop == end - at else at + stop
                kinds.append(kind)
                columns.extend((record, at + start, min(inner, end), inner, ip))
        return [(np.array(kinds, np.int64), Rows(*np.array(columns, np.int64).reshape(-1, 5).T))]

    return peel


def _safely(view: Peeling, read: Reading, packet: memoryview, what: str) -> list[tuple[int, int, int]]:
    try:
        inside = list(islice(read(view, packet), MAX_INSIDE + 1))
    except (struct.error, IndexError, ValueError):
        view.skipped[what] += 1
        return []
    if len(inside) > MAX_INSIDE:
        view.skipped[f"packets with more than {MAX_INSIDE:,} packets inside"] += 1
    return inside[:MAX_INSIDE]


def _wireless(
    view: Peeling, packet: memoryview, *, padded: bool = False, swapped: bool = False
) -> Iterator[tuple[int, int, int]]:
    """IEEE 802.11 (IEEE 802.11-2020 section 9.3.2): data frames hold LLC; others hold nothing for us.

    In a `padded` one the body begins at a multiple of four bytes; in a `swapped` one the two bytes of frame control
    are exchanged.
    """
    control, flags = (packet[1], packet[0]) if swapped else (packet[0], packet[1])
    if control >> 2 & 3 != _DATA or control & _NO_DATA:
        # Management, control, and data frames that hold none.
        return
    if flags & _ENCRYPTED:
        view.skipped["encrypted 802.11 frames"] += 1
        return
    if flags & _MORE_FRAGMENTS:
        view.skipped["802.11 fragments"] += 1
        return
    start = 30 if flags & _BOTH_SYSTEMS == _BOTH_SYSTEMS else 24
    aggregated, mesh = False, False
    if control & _QUALITY:
        aggregated = packet[start] & _AGGREGATED != 0
        mesh = packet[start + 1] & _MESH != 0 and flags & _FROM_SYSTEM != 0
        start += 6 if flags & _ORDER else 2
    if padded:
        start += -start % 4
    if start > len(packet):
        raise ValueError("cut in the header")
    if aggregated:
        yield from _aggregated(packet, start, mesh=mesh)
    else:
        yield LLC, start + (_mesh_control(packet, start) if mesh else 0), len(packet)


def _aggregated(packet: memoryview, start: int, *, mesh: bool) -> Iterator[tuple[int, int, int]]:
    """A-MSDU: subframes of addresses, a length and LLC, padded to four bytes (section 9.3.2.2.2)."""
    while start + 14 <= len(packet):
        size = int.from_bytes(packet[start + 12 : start + 14], "big")
        end = min(start + 14 + size, len(packet))
        # What is too short for LLC holds nothing.
        if size >= 3:
            yield LLC, start + 14 + (_mesh_control(packet, start + 14) if mesh else 0), end
        start += 14 + size + -(14 + size) % 4


def _mesh_control(packet: memoryview, at: int) -> int:
    """Bytes of a mesh control field: six, and up to two addresses (section 9.2.4.7.3).

    Outside a mesh its bit may be one of a queue's length; there LLC follows at once, which begins with no such flags.
    """
    addresses = packet[at]
    return 6 + 6 * addresses if addresses <= 2 else 0


def _radiotap(_view: Peeling, packet: memoryview) -> Iterator[tuple[int, int, int]]:
    """Radiotap: of its fields only the flags matter, for padding and a frame check sequence at the end."""
    size, present = struct.unpack_from("<2xHI", packet)
    at, word = 8, present
    while word & _EXTENDED:
        word = struct.unpack_from("<I", packet, at)[0]
        at += 4
    if present & _TSFT:
        at += -at % 8 + 8
    flags = packet[at] if present & _FLAGS else 0
    kind = WIRELESS_PADDED if flags & _PADDED else WIRELESS
    yield kind, size, len(packet) - (4 if flags & _CHECKED else 0)


def _prism(_view: Peeling, packet: memoryview) -> Iterator[tuple[int, int, int]]:
    """Prism, or AVS in its stead: both have their length behind a magic number, in different byte orders."""
    magic = int.from_bytes(packet[:4], "big")
    order = ">" if magic & 0xFFFFF000 == 0x80211000 else "<"
    yield WIRELESS, struct.unpack_from(order + "I", packet, 4)[0], len(packet)


def _per_packet_information(_view: Peeling, packet: memoryview) -> Iterator[tuple[int, int, int]]:
    """PPI: its length, and the link type of what follows."""
    size, link = struct.unpack_from("<2xHI", packet)
    if link in {1, 105}:
        yield (ETHERNET if link == 1 else WIRELESS), size, len(packet)


def _swapped(view: Peeling, packet: memoryview) -> Iterator[tuple[int, int, int]]:
    """802.11 as some access points put it into CAPWAP: with the two bytes of frame control exchanged."""
    yield from _wireless(view, packet, swapped=packet[1] >> 2 & 3 == _DATA)


_LOGGED_PACKET = 9


def _netfilter_log(_view: Peeling, packet: memoryview) -> Iterator[tuple[int, int, int]]:
    """NFLOG (tcpdump.org/linktypes): four bytes, then lengths, types and values in the host's order, one a packet."""
    order = "<" if struct.unpack_from("<H", packet, 4)[0] <= len(packet) - 4 else ">"
    here = 4
    while here + 4 <= len(packet):
        size, kind = struct.unpack_from(order + "2H", packet, here)
        if size < 4:
            return
        if kind & 0x7FFF == _LOGGED_PACKET:
            yield IP, here + 4, min(here + size, len(packet))
            return
        here += size + -size % 4


_SAMPLES = {1: (8, 28), 3: (11, 40)}
"""sFlow's flow samples by format: words in front of their records, and the place of the records' number."""
_SAMPLED = {1: ETHERNET, 11: IPV4, 12: IPV6}
_LEAST_SAMPLED = 28
"""Bytes of the shortest headers that prove anything: IPv4 and UDP."""


def _samples(_view: Peeling, packet: memoryview) -> Iterator[tuple[int, int, int]]:
    """sFlow, version 5 (sflow.org, section 5): the beginnings of packets that a switch picked out.

    Samples stand one behind the other, and so do the records of a sample: no byte of a datagram is read twice.
    """
    version, address = struct.unpack_from(">2I", packet)
    if version != 5:
        return
    here = 8 + (16 if address == 2 else 4) + 12
    count = struct.unpack_from(">I", packet, here)[0]
    here += 4
    for _ in range(count):
        kind, size = struct.unpack_from(">2I", packet, here)
        here += 8
        if kind in _SAMPLES:
            # The snap length may have cut the last one.
            yield from _sampled(packet[: here + size], here, _SAMPLES[kind])
        here += size


def _sampled(packet: memoryview, here: int, form: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """One sample, with which `packet` ends: its records, of which raw headers (1) are wanted."""
    words, place = form
    count = struct.unpack_from(">I", packet, here + place)[0]
    here += words * 4
    for _ in range(count):
        kind, size = struct.unpack_from(">2I", packet, here)
        here += 8
        if kind == 1:
            protocol, _, _, length = struct.unpack_from(">4I", packet, here)
            start, end = here + 16, min(here + 16 + length, here + size, len(packet))
            if end - start >= _LEAST_SAMPLED:
                yield _SAMPLED.get(protocol, 0), start, end
        here += size


_read_samples = _one_by_one(_samples, "unreadable sFlow datagrams")


def sflow(view: Peeling, rows: Rows) -> Next:
    """Note the samples like quotations: they prove a connection, and are no packets of this capture."""
    view.quotes.extend(_read_samples(view, rows))
    return []


PEELS: dict[int, Peel] = {
    WIRELESS: _one_by_one(_wireless),
    WIRELESS_PADDED: _one_by_one(partial(_wireless, padded=True)),
    WIRELESS_SWAPPED: _one_by_one(_swapped),
    SFLOW: sflow,
    LINK_TYPE + 119: _one_by_one(_prism),
    LINK_TYPE + 127: _one_by_one(_radiotap),
    LINK_TYPE + 163: _one_by_one(_prism),
    LINK_TYPE + 192: _one_by_one(_per_packet_information),
    LINK_TYPE + 239: _one_by_one(_netfilter_log, "unreadable NFLOG packets"),
}
