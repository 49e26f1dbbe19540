"""sFlow version 5 (sflow.org, section 5): the first bytes of packets that a switch sampled."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tlsdissect.capture.protocols import ETHERNET, IPV4, IPV6, SFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.headers import Headers

_FLOW_SAMPLES = {1: (32, 28), 3: (44, 40)}
"""Flow samples by format: bytes before their records, and the offset of the number of records."""
_RAW_HEADER = 1
"""The format of a record that contains the first bytes of a packet."""
_HEADER_PROTOCOLS = {1: ETHERNET, 11: IPV4, 12: IPV6}
_SHORTEST = 28
"""Bytes of the shortest headers that show endpoints: IPv4 and UDP."""


def sflow(h: Headers) -> int:
    """Hold the samples as quotations: they show that a connection exists, but are not packets of this capture."""
    h.hold(_samples(h), quoted=True)
    return 0


def _samples(h: Headers) -> Iterator[tuple[int, int, int]]:
    """Yield the protocol, start and end of each sampled packet; count a datagram that ends inside a sample."""
    try:
        for kind, start, end in sampled_packets(h.data[h.at : h.end]):
            yield kind, h.at + start, h.at + end
    except struct.error:
        h.skip("cut sFlow datagram")


def sampled_packets(datagram: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the protocol, start and end of each sampled packet; then raise struct.error if the datagram was cut.

    Samples follow one another, and so do the records of a sample: no byte of a datagram is read twice.
    """
    version, address = struct.unpack_from(">2I", datagram)
    if version != 5:
        return
    here = 8 + (16 if address == 2 else 4) + 12
    count = struct.unpack_from(">I", datagram, here)[0]
    here += 4
    for _ in range(count):
        kind, size = struct.unpack_from(">2I", datagram, here)
        here += 8
        if kind in _FLOW_SAMPLES:
            yield from _records(datagram[here : here + size], here, *_FLOW_SAMPLES[kind])
        here += size
    if here > len(datagram):
        raise struct.error("the last sample is truncated")


def _records(sample: bytes, start: int, here: int, count_at: int) -> Iterator[tuple[int, int, int]]:
    """Yield the packets of a sample that begins at offset `start` of its datagram."""
    count = struct.unpack_from(">I", sample, count_at)[0]
    for _ in range(count):
        kind, size = struct.unpack_from(">2I", sample, here)
        here += 8
        if kind == _RAW_HEADER:
            protocol, _, _, length = struct.unpack_from(">4I", sample, here)
            end = min(here + 16 + length, here + size, len(sample))
            if end - here - 16 >= _SHORTEST:
                yield _HEADER_PROTOCOLS.get(protocol, 0), start + here + 16, start + end
        here += size


READERS: dict[int, Callable[[Headers], int]] = {SFLOW: sflow}
"""The reader of each header, by its number."""
