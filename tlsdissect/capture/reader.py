# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""An open capture: its TCP, UDP and EAP packets, one at a time, and counts of what could not be read.

`PacketReader.next` reads one header per iteration, from the outside of a frame to the inside, until it reaches TCP, UDP
or EAP. The readers of common headers (Ethernet, VLAN, IP) are called by name, which costs nothing when compiled; all
others are looked up by number. Nothing recurses, and the only object made for a packet is its endpoints, a `bytes`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Self

import cython

from tlsdissect.capture import ip, link, pcap, pcapng, sflow, tunnels, wireless
from tlsdissect.capture.errors import CaptureError, NoCaptureError
from tlsdissect.capture.foreign import LONGEST, foreign_format
from tlsdissect.capture.headers import MAX_DEPTH, MAX_PACKETS_OF_FRAME, Headers
from tlsdissect.capture.interfaces import NO_LINK_TYPE
from tlsdissect.capture.ip import ipv4, ipv6
from tlsdissect.capture.link import ethernet, vlan
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.protocols import (
    EAPOL,
    ETHERNET,
    INTERNAL,
    IPV4,
    IPV6,
    LINK_TYPE,
    PREAUTHENTICATION,
    SERVICE_VLAN,
    TCP,
    UDP,
    VLAN,
)
from tlsdissect.capture.transport import eapol, tcp, udp
from tlsdissect.capture.tunnels import over_udp
from tlsdissect.capture.window import FIRST_PIECE, PIECE, open_window

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.blocks import SecretsBlock
    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.frames import FrameReader
    from tlsdissect.capture.packet import Packet
    from tlsdissect.capture.window import Window

READERS: dict[int, Callable[[Headers], int]] = {
    **link.READERS,
    **ip.READERS,
    **tunnels.READERS,
    **wireless.READERS,
    **sflow.READERS,
}
"""The reader of each header, by its number in `protocols`, except TCP, UDP and EAPOL."""
READABLE = frozenset(kind - LINK_TYPE for kind in READERS if LINK_TYPE <= kind < INTERNAL)
"""Supported link types."""


@cython.cclass
class PacketReader:
    """An open capture; a context manager that closes it."""

    ended: cython.bint
    """Whether there are no more packets; False while a live source or a slow pipe only pauses."""
    until: cython.longlong
    """In an extract, the time that the clock of the whole capture had reached here, as far as it says; else UNTIMED."""
    skipped: Counter[str]
    """Counts of packets that could not be read, by description."""
    _frames: FrameReader
    _headers: Headers
    _found: cython.longlong
    """Packets found in this frame so far."""
    _joined: cython.bint
    """Whether this is one of several captures that are read as one."""

    def __init__(self, frames: FrameReader) -> None:
        self.ended = False
        self.until = UNTIMED
        self.skipped = Counter()
        self._frames = frames
        self._headers = Headers(self.skipped)
        self._found = 0
        self._joined = False
        self.check_links()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[PacketReader]:
        """Yield this reader until it has ended, again after each pause of a slow pipe."""
        while not self.ended:
            yield self

    def drop_secrets(self) -> None:
        """Drop the secrets at the end of the file, which somebody else has; they are not read again."""
        self._frames.drop_secrets()

    def resume(self, earlier: PacketReader, name: str) -> None:
        """Continue after an earlier capture, as one with it; `finish` comes after the last one.

        Frames are numbered on, IP fragments may be in both, and counts, damage and secrets are of both.
        """
        self.skipped = earlier.skipped
        self._headers = earlier._headers
        self._frames.resume(earlier._frames, name)
        self._joined = True

    def finish(self) -> None:
        """Count the fragments without the rest of their packet, after the last packet."""
        self._headers.fragments.finish()

    @cython.ccall
    @cython.exceptval(-1)
    def next(self, packet: Packet) -> cython.bint:
        """Fill `packet` with the next TCP, UDP or EAPOL header; False if none is available now.

        Then `ended` is True at the end of the capture; after a pause it is False, and another call waits for more.
        Raises CaptureError at the end of a capture without a supported link type, unless it is one of several.
        """
        headers: Headers = self._headers
        while True:
            while headers.kind != 0:
                if self._read_header(headers, packet):
                    return True
            if not headers.next_held() and not self._next_frame(headers):
                return False

    @property
    def frames(self) -> int:
        """Frames read so far."""
        return self._frames.frames

    @property
    def packet_frames(self) -> tuple[int, ...]:
        """The frames of the latest packet, by their numbers in the file: its own, or those of all its fragments."""
        frames: FrameReader = self._frames
        read = self._headers.joined_frames or (frames.frames,)
        return tuple(map(frames.file_frame, read)) if frames.reordered else read

    @property
    def reordered(self) -> bool:
        """Whether packets come in another order than in the file; their frames are numbered in this order."""
        return self._frames.reordered

    def file_frame(self, number: cython.longlong) -> cython.longlong:
        """Return the number in the file of a frame that was read."""
        return self._frames.file_frame(number)

    @property
    def conflict(self) -> FragmentConflict | None:
        """Where fragments of a packet that this frame completed differ, if they do."""
        latest = self._headers.fragments.latest
        return latest.conflict if latest is not None and self._frames.frames in latest.frames else None

    @property
    def time(self) -> int:
        """The time of the last frame in nanoseconds since 1970-01-01T00:00:00Z; UNTIMED if it has none."""
        return self._frames.time

    @property
    def damage(self) -> list[Damage]:
        """What of the capture could not be read."""
        return self._frames.damage

    @property
    def secrets(self) -> list[SecretsBlock]:
        """The decryption secrets blocks read so far, and those at the end of a file."""
        return self._frames.secrets

    @property
    def position(self) -> int:
        """Bytes of the source read so far, counted before decompression."""
        return self._frames.position

    @property
    def size(self) -> int | None:
        """Total size of the source on disk; None if unknown."""
        return self._frames.size

    def close(self) -> None:
        """Close the input."""
        self._frames.close()

    @cython.cfunc
    @cython.exceptval(-1)
    def _next_frame(self, headers: Headers) -> cython.bint:
        """Begin the next frame; False if none is available now."""
        frames: FrameReader = self._frames
        if self.ended:
            return False
        found: cython.bint = frames.next_frame()
        self.until = frames.until
        if not found:
            if frames.ended:
                self.ended = True
                if not self._joined:
                    self.finish()
                    self.check_links()
            return False
        self._found = 0
        if frames.link == NO_LINK_TYPE:
            self.skipped["packets of an interface that is not described"] += 1
            return True
        headers.begin(
            frames.frames, frames.data, frames.start, frames.captured, frames.carried, frames.link + LINK_TYPE
        )
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def _read_header(self, headers: Headers, packet: Packet) -> cython.bint:
        """Read the next header; True if it is TCP, UDP or EAPOL."""
        kind: cython.longlong = headers.kind
        if headers.depth > MAX_DEPTH:
            headers.kind = headers.skip("packets of too many headers")
            return False
        headers.depth += 1
        if kind == TCP:
            headers.kind = 0
            return tcp(headers, packet) and self._complete(headers, packet)
        if kind == IPV4:
            headers.kind = ipv4(headers)
        elif kind == ETHERNET:
            headers.kind = ethernet(headers)
        elif kind == IPV6:
            headers.kind = ipv6(headers)
        elif kind in (VLAN, SERVICE_VLAN):
            headers.kind = vlan(headers)
        elif kind == UDP:
            headers.kind = 0
            if udp(headers, packet):
                headers.kind = over_udp(headers)
                return self._complete(headers, packet)
        elif kind in (EAPOL, PREAUTHENTICATION):
            headers.kind = 0
            return eapol(headers, packet) and self._complete(headers, packet)
        else:
            headers.kind = self._read_other_header(headers, kind)
        return False

    @cython.cfunc
    def _read_other_header(self, headers: Headers, kind: cython.longlong) -> cython.longlong:
        reader = READERS.get(kind)
        if reader is not None:
            return reader(headers)
        # Other unknown headers are not counted: most of what they carry is not TLS. A link type may carry anything.
        if LINK_TYPE <= kind < INTERNAL:
            return headers.skip(f"link type {kind - LINK_TYPE} packets")
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _complete(self, headers: Headers, packet: Packet) -> cython.bint:
        """Fill in the fields that come from the frame; False if it has too many packets."""
        frames: FrameReader = self._frames
        self._found += 1
        if self._found > MAX_PACKETS_OF_FRAME:
            headers.drop_held()
            self.skipped[f"frames with more than {MAX_PACKETS_OF_FRAME:,} packets"] += 1
            return False
        packet.frame = frames.frames
        packet.time = frames.time
        packet.digits = frames.digits
        packet.interface = frames.interface
        return True

    def check_links(self) -> None:
        """Raise CaptureError if no interface so far has a supported link type."""
        links = self._frames.links
        if links and not links & READABLE:
            numbers = ", ".join(map(str, sorted(links)))
            raise CaptureError(
                f"link type {numbers} is not supported"
                if len(links) == 1
                else f"link types {numbers} are not supported"
            )


def open_capture(source: str | os.PathLike[str] | BinaryIO, piece: cython.longlong = PIECE) -> PacketReader:
    """Open a capture: a path, "-" for standard input, or a binary file object; so many bytes are read at a time.

    Raises CaptureError if it is not a capture.
    """
    frames = open_frames(source, piece)
    try:
        frames.find_last_secrets()
        return PacketReader(frames)
    except BaseException:
        frames.close()
        raise


def open_frames(source: str | os.PathLike[str] | BinaryIO, piece: cython.longlong = PIECE) -> FrameReader:
    """Open a file to read its frames without decoding them; raises CaptureError if it is not a capture."""
    window = open_window(source, piece)
    try:
        return _frame_reader(window)
    except BaseException:
        window.close()
        raise


def first_time(path: str) -> int:
    """Return the time of the first frame of a file; UNTIMED if it has none, or the file is no capture."""
    try:
        window = open_window(path, FIRST_PIECE)
    except CaptureError:
        return UNTIMED
    try:
        frames = _frame_reader(window)
        return frames.time if frames.next_frame() else UNTIMED
    except CaptureError:
        return UNTIMED
    finally:
        window.close()


def _frame_reader(window: Window) -> FrameReader:
    """Return the reader of the format that the magic number shows."""
    magic = window.data[:4]
    if magic in pcap.MAGICS:
        return pcap.Pcap(window)
    if magic == pcapng.MAGIC:
        return pcapng.Pcapng(window)
    window.need(LONGEST)
    if window.problem and window.end - window.start < LONGEST:
        # Of a problem that comes later, it depends on the size of the pieces whether it is known here.
        raise CaptureError(window.problem)
    if window.start == window.end:
        raise NoCaptureError("is empty")
    foreign = foreign_format(window.data)
    if foreign is not None:
        raise CaptureError(foreign)
    raise NoCaptureError("is not a capture: its first bytes are not those of pcap or pcapng")
