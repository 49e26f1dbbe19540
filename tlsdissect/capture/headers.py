# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The headers of one frame: where the next one begins, and what those in front of it said.

A frame is read from the outside to the inside, one header after the other. Each function that reads a header takes
these `Headers`, moves them to what follows, and returns the number of that in `protocols`, or 0 if nothing follows.
A frame may hold several packets (aggregated, sampled, quoted): those that wait are kept here, so that nothing recurses.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.fragments import Fragments

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from tlsdissect.capture.fragments import Fragment, Reassembled

MAX_DEPTH = 128
"""Headers of one packet. Honest ones have a dozen; the rest of a packet that has more is given up, and counted."""
MAX_PACKETS_OF_FRAME = 4096
"""TCP and UDP headers of one frame, in the packets that it aggregates, quotes and samples. Honest frames have dozens;
the rest of a frame that has more is given up, and counted."""
MAX_INSIDE = 1024
"""Packets inside one packet (subframes of an A-MSDU, samples of an sFlow datagram) that are read; packets that hold
more are counted as such, and the rest of what they hold is not read. The longest A-MSDU has room for 572 subframes of
an LLC header each (11,454 bytes, IEEE 802.11-2020 table 9-25), a UDP datagram for 712 of the shortest samples."""
MAX_JOINED = 8
"""Packets joined from fragments may hold fragments in turn (a tunnel's): so many levels are read, and fragments inside
the last are counted."""


@cython.cclass
class Headers:
    """The place of the next header in a frame."""

    data: bytes
    """The bytes that the frame stands in, or those that were joined from fragments."""
    start: cython.Py_ssize_t
    """Where the frame begins in `data`; -1 in bytes that were joined."""
    kind: cython.longlong
    """What the next header is; 0 where there is none."""
    at: cython.longlong
    """Where the next header begins. May lie behind `end`."""
    end: cython.longlong
    """Where the captured bytes end; `data` holds all of them."""
    limit: cython.longlong
    """Where the bytes end that the packet carried: behind `end` where the snap length cut it."""
    depth: cython.longlong
    """Headers in front of the next one."""
    addresses: cython.Py_ssize_t
    """Where the two addresses of the innermost Ethernet or 802.11 frame begin; -1 where there are none."""
    ip: cython.Py_ssize_t
    """Where the innermost IP header so far begins."""
    identification: cython.longlong
    """Identification of the innermost IPv4 or fragment header; -1 without one."""
    last_hop: cython.Py_ssize_t
    """Where the last address of a source route stands that the packet has still to follow; -1 without one."""
    quoted: cython.bint
    """Whether this is a quotation: what it lacks is no loss, and counted nowhere."""
    skipped: Counter[str]
    """What was not read, by what it is."""
    fragments: Fragments
    """IP fragments that wait for others."""
    _joined: cython.longlong
    """How many times `data` was joined from fragments of one inside the other."""
    _waiting: list[tuple[bool, bytes, int, int, int, int, int, int, int]]
    """Packets inside this frame that are still to be read, the next one last."""
    _quotations: list[tuple[bool, bytes, int, int, int, int, int, int, int]]
    """Packets that this frame quotes, read when nothing else is left."""

    def __init__(self, skipped: Counter[str]) -> None:
        self.data = b""
        self.start = 0
        self.kind = 0
        self.at = 0
        self.end = 0
        self.limit = 0
        self.depth = 0
        self.addresses = -1
        self.ip = 0
        self.identification = -1
        self.last_hop = -1
        self.quoted = False
        self.skipped = skipped
        self.fragments = Fragments(skipped)
        self._joined = 0
        self._waiting = []
        self._quotations = []

    @cython.ccall
    def begin(
        self,
        data: bytes,
        start: cython.Py_ssize_t,
        captured: cython.longlong,
        carried: cython.longlong,
        kind: cython.longlong,
    ) -> cython.bint:
        """Begin a frame."""
        self.data = data
        self.start = start
        self.kind = kind
        self.at = start
        self.end = start + captured
        self.limit = start + (max(captured, carried))
        self.depth = 0
        self.addresses = -1
        self.quoted = False
        self._joined = 0
        return True

    @cython.ccall
    def skip(self, what: str) -> cython.longlong:
        """Count something that is not read; nothing follows."""
        if not self.quoted:
            self.skipped[what] += 1
        return 0

    @cython.ccall
    def narrow(self, limit: cython.longlong) -> cython.bint:
        """Let an inner length shorten what the outer ones left."""
        if limit < self.limit:
            self.limit = limit
            self.end = min(self.end, limit)
        return True

    @cython.ccall
    def enter(self, start: cython.longlong, end: cython.longlong) -> cython.bint:
        """Go on in a part of the captured bytes; what reaches to their end is cut where they are."""
        if end != self.end:
            self.limit = end
            self.end = min(self.end, end)
        self.at = start
        return True

    def hold(self, inside: Iterable[tuple[int, int, int]], *, quoted: cython.bint = False) -> None:
        """Keep packets inside this one (kind, start and end of each) to be read later, in this order.

        Quotations are read when nothing else of the frame is left; what a quotation quotes in turn is left out.
        """
        if quoted and self.quoted:
            return
        found = list(islice(inside, MAX_INSIDE + 1))
        if len(found) > MAX_INSIDE:
            self.skip(f"packets with more than {MAX_INSIDE:,} packets inside")
            del found[MAX_INSIDE:]
        entries = [
            (
                quoted or self.quoted,
                self.data,
                self.start,
                kind,
                start,
                min(end, self.end),
                self.limit if end == self.end else end,
                0 if quoted else self.depth,
                self._joined,
            )
            for kind, start, end in found
        ]
        # The next one to be read stands last.
        if quoted:
            self._quotations[:0] = reversed(entries)
        else:
            self._waiting.extend(reversed(entries))

    @cython.ccall
    def next_held(self) -> cython.bint:
        """Turn to the next packet that was kept for later, quotations last; False if there is none."""
        if self._waiting:
            entry = self._waiting.pop()
        elif self._quotations:
            entry = self._quotations.pop()
        else:
            return False
        self.quoted, self.data, self.start, self.kind, self.at, self.end, self.limit, self.depth, self._joined = entry
        return True

    @cython.ccall
    def drop_held(self) -> cython.bint:
        """Leave out what is left of the frame."""
        self.kind = 0
        self._waiting = []
        self._quotations = []
        return True

    def join(self, fragment: Fragment) -> int:
        """Keep a fragment; if its packet is complete now, go on behind that packet's IP header.

        Return IP's number of what the packet holds; -1 where it is not complete.
        """
        if self._joined >= MAX_JOINED:
            self.skip("IP fragments nested too deep")
            return -1
        joined: Reassembled | None = self.fragments.add(fragment)
        if joined is None:
            return -1
        self.data = joined.header + joined.body
        self.start = -1
        self.at = len(joined.header)
        self.end = self.limit = len(self.data)
        self.depth = 0
        self.ip = 0
        self.last_hop = -1
        self._joined += 1
        return joined.protocol
