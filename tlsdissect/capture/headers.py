# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The headers of one frame: where the next one begins, and what the outer ones contained.

A frame is read from the outside to the inside, one header at a time. Each function that reads a header takes these
`Headers`, advances them to the next header, and returns its number in `protocols`, or 0 if there is none. A frame may
contain several packets (aggregated, sampled, quoted). Those not yet read are queued here, so that nothing recurses.
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
"""Headers of one packet; real packets have a dozen. If there are more, the rest is skipped and counted."""
MAX_PACKETS_OF_FRAME = 4096
"""TCP and UDP headers of one frame, in the packets that it aggregates, quotes and samples; real frames have dozens. If
there are more, the rest of the frame is skipped and counted."""
MAX_INSIDE = 1024
"""Packets read inside one packet (subframes of an A-MSDU, samples of an sFlow datagram). If there are more, the rest is
skipped and the outer packet is counted. The longest A-MSDU has room for 572 subframes of an LLC header each (11,454
bytes, IEEE 802.11-2020 table 9-25), a UDP datagram for 712 of the shortest samples."""
MAX_JOINED = 8
"""Levels of reassembled packets that contain fragments in turn, as in tunnels; deeper fragments are counted."""


@cython.cclass
class Headers:
    """The position of the next header in a frame."""

    data: bytes
    """The bytes that contain the frame, or a packet reassembled from fragments."""
    start: cython.Py_ssize_t
    """Where the frame begins in `data`; -1 in a reassembled packet."""
    kind: cython.longlong
    """The number of the next header in `protocols`; 0 if there is none."""
    at: cython.longlong
    """Where the next header begins; may be after `end`."""
    end: cython.longlong
    """Where the captured bytes end; all of them are in `data`."""
    limit: cython.longlong
    """Where the packet ended on the wire: after `end` if the snap length cut it."""
    depth: cython.longlong
    """Number of headers before the next one."""
    addresses: cython.Py_ssize_t
    """Where the two addresses of the innermost Ethernet or 802.11 frame begin; -1 if there are none."""
    ip: cython.Py_ssize_t
    """Where the innermost IP header read so far begins."""
    identification: cython.longlong
    """Identification of the innermost IPv4 or fragment header; -1 without one."""
    last_hop: cython.Py_ssize_t
    """Where the last address of a source route that is not completed is; -1 without one."""
    quoted: cython.bint
    """Whether this is a quotation, of which nothing that is cut or unreadable is counted."""
    frame: cython.longlong
    """Number of the frame."""
    joined_frames: tuple[int, ...]
    """In a reassembled packet, the frames of its fragments, this one included; otherwise empty."""
    skipped: Counter[str]
    """Counts of what was not read, by description."""
    fragments: Fragments
    """Incomplete packets."""
    _joined: cython.longlong
    """Levels of reassembly: how many reassembled packets contain each other here."""
    _waiting: list[tuple[bool, bytes, int, int, int, int, int, int, int, tuple[int, ...]]]
    """Packets inside this frame that were not read yet, the next one last."""
    _quotations: list[tuple[bool, bytes, int, int, int, int, int, int, int, tuple[int, ...]]]
    """Packets that this frame quotes, which are read last."""

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
        self.frame = 0
        self.joined_frames = ()
        self.skipped = skipped
        self.fragments = Fragments(skipped)
        self._joined = 0
        self._waiting = []
        self._quotations = []

    @cython.ccall
    @cython.exceptval(-1)
    def begin(
        self,
        frame: cython.longlong,
        data: bytes,
        start: cython.Py_ssize_t,
        captured: cython.longlong,
        carried: cython.longlong,
        kind: cython.longlong,
    ) -> cython.bint:
        """Begin a frame."""
        self.frame = frame
        self.joined_frames = ()
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
        """Count something that is not read; return 0, because no header follows."""
        if not self.quoted:
            self.skipped[what] += 1
        return 0

    @cython.ccall
    @cython.exceptval(-1)
    def narrow(self, limit: cython.longlong) -> cython.bint:
        """Shorten the packet to the length in an inner header; outer lengths may include padding."""
        if limit < self.limit:
            self.limit = limit
            self.end = min(self.end, limit)
        return True

    @cython.ccall
    def enter(self, start: cython.longlong, end: cython.longlong) -> cython.bint:
        """Continue in a part of the captured bytes; a part that reaches their end is cut if they are."""
        if end != self.end:
            self.limit = end
            self.end = min(self.end, end)
        self.at = start
        return True

    def hold(self, inside: Iterable[tuple[int, int, int]], *, quoted: cython.bint = False) -> None:
        """Queue packets inside this one (kind, start and end of each), to be read in this order.

        Quotations are read after the rest of the frame; what a quotation quotes in turn is ignored.
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
                self.joined_frames,
            )
            for kind, start, end in found
        ]
        # The next one to be read is last.
        if quoted:
            self._quotations[:0] = reversed(entries)
        else:
            self._waiting.extend(reversed(entries))

    @cython.ccall
    @cython.exceptval(-1)
    def next_held(self) -> cython.bint:
        """Continue with the next queued packet, quotations last; False if there is none."""
        if self._waiting:
            entry = self._waiting.pop()
        elif self._quotations:
            entry = self._quotations.pop()
        else:
            return False
        self.quoted, self.data, self.start, self.kind, self.at, self.end, self.limit = entry[:7]
        self.depth, self._joined, self.joined_frames = entry[7:]
        return True

    @cython.ccall
    def drop_held(self) -> cython.bint:
        """Skip the rest of the frame."""
        self.kind = 0
        self._waiting = []
        self._quotations = []
        return True

    def join(self, fragment: Fragment) -> int:
        """Add a fragment; if its packet is complete now, continue after the packet's IP header.

        Return the IP protocol number of its contents; -1 if it is not complete.
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
        self.joined_frames = joined.frames
        self._joined += 1
        return joined.protocol
