"""Copy chosen frames of a capture into sections of a pcapng file.

Blocks of a pcapng file are copied as they are, in the byte order of their section: with their interface, time, lengths
and options, comments among them. Interfaces keep their numbers, because all of them are copied. What describes other
packets is left out: statistics, names of hosts, custom blocks, and secrets that open other connections.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tlsdissect.capture import blocks
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.frames import FileReader
from tlsdissect.capture.interfaces import RESOLUTION, Interface, read_interface, read_options
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.pcapng import Pcapng
from tlsdissect.capture.reader import open_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRETS_BLOCK_BYTES = 1 << 20
"""Bytes of secrets in one block."""
BEHIND_NS = 1_000_000_000
"""A block records the clock of the capture where packets are more nanoseconds than this behind it; timeouts that end
flows are many seconds."""
_SHORTEST_INTERFACE = 8
_PACKET_HEADER = 20
"""Bytes of an Enhanced Packet Block, or an obsolete one, between its length and the packet."""
_RESERVED = 147
"""DLT_USER0, a link type for private use: written for an interface whose description is cut."""


class Copy:
    """The chosen frames of a capture; what they need stands before them."""

    def __init__(
        self,
        path: str,
        is_chosen: Callable[[int], bool],
        *,
        fits: Callable[[bytes], bool],
        secrets: Iterator[bytes],
        until: int,
    ) -> None:
        """`is_chosen` says whether the frame with a number is copied.

        `fits` says whether a line of a key log opens one of their connections; `secrets` are further such lines.
        `until` is the time until which the capture has all packets of their flows, or UNTIMED.
        """
        self._frames = open_frames(path)
        self._is_chosen = is_chosen
        self._fits = fits
        self._secrets = secrets
        self._until = until
        self._clock = self._latest = UNTIMED
        """The latest times of the capture, and of the packets that were copied."""
        self._order = "<"
        self._first: Interface | None = None
        """The first interface of the section."""
        self.packets = 0
        """Packets copied so far."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks one by one; raises CaptureError if the capture is of no format that has any."""
        frames = self._frames
        try:
            if not isinstance(frames, FileReader):
                raise CaptureError("has no frames that can be copied")
            yield from self._of_pcapng(frames) if isinstance(frames, Pcapng) else self._of_pcap(frames)
            yield from self._statistics(self._until)
        finally:
            frames.close()

    @property
    def position(self) -> int:
        """Bytes of the capture read so far."""
        return self._frames.position

    def _of_pcap(self, frames: FileReader) -> Iterator[bytes]:
        digits = frames.digits
        snap = struct.unpack_from(">I" if frames.big else "<I", frames.window.data, 16)[0]
        description = struct.pack("<HHI", frames.link & 0xFFFF, 0, snap)
        description += blocks.encoded([(RESOLUTION, bytes([digits]))])
        yield blocks.section([(blocks.APPLICATION, blocks.EXTRACT)])
        yield from self._secrets_blocks()
        yield self._interface(description)
        while self._next():
            if self._is_chosen(frames.frames):
                self.packets += 1
                yield from self._before(frames.time)
                frame = frames.data[frames.start : frames.start + frames.captured]
                yield blocks.packet(frame, frames.carried, frames.time // 10 ** (9 - digits))
            self._clock = max(self._clock, frames.time)

    def _of_pcapng(self, frames: Pcapng) -> Iterator[bytes]:
        frames.returns_blocks = True
        while self._next():
            block = frames.data[frames.block : frames.block + frames.block_size]
            if frames.kind == blocks.SECTION:
                yield self._section(block, ">" if frames.big else "<")
                yield from self._secrets_blocks()
            elif frames.kind == blocks.INTERFACE:
                yield self._interface(block[8:-4])
            elif frames.kind == blocks.SECRETS:
                frames.secrets.clear()
                yield from self._fitting(block)
            elif self._is_chosen(frames.frames):
                self.packets += 1
                yield from self._before(frames.time)
                frame = frames.data[frames.start : frames.start + frames.captured]
                yield self._packet(frames.kind, block, frame)
            self._clock = max(self._clock, frames.time)

    def _next(self) -> bool:
        """Find the next frame or block; a file does not pause."""
        return self._frames.next_frame() or (not self._frames.ended and self._next())

    def _section(self, block: bytes, order: str) -> bytes:
        """Return the header of a section, which this program writes now."""
        self._order, self._first = order, None
        options = [one for one in read_options(order, block[24:-4]) if one[0] != blocks.APPLICATION]
        return blocks.section([*options, (blocks.APPLICATION, blocks.EXTRACT)], order)

    def _interface(self, body: bytes) -> bytes:
        """Return the description of an interface."""
        order = self._order
        if len(body) < _SHORTEST_INTERFACE:
            body = struct.pack(order + "HHI", _RESERVED, 0, 0)
        self._first = self._first or read_interface(order, body)
        described = body[:_SHORTEST_INTERFACE] + blocks.encoded(read_options(order, body[_SHORTEST_INTERFACE:]), order)
        return blocks.block(blocks.INTERFACE, described, order)

    def _packet(self, kind: int, block: bytes, frame: bytes) -> bytes:
        """Return the block of a packet with its interface, time, length and options."""
        order, body = self._order, block[8:-4]
        if kind == blocks.SIMPLE_PACKET:
            return blocks.block(kind, body[:4] + frame, order)
        captured = struct.unpack_from(order + "I", body, 12)[0]
        options = blocks.encoded(read_options(order, body[_PACKET_HEADER + captured + -captured % 4 :]), order)
        head = body[:12] + struct.pack(order + "I", len(frame)) + body[16:_PACKET_HEADER]
        return blocks.block(kind, head + frame + bytes(-len(frame) % 4) + options, order)

    def _fitting(self, block: bytes) -> Iterator[bytes]:
        """Yield a block of secrets with the lines that fit, if there are any."""
        kind, size = struct.unpack_from(self._order + "II", block.ljust(20, b"\0"), 8)
        if kind == blocks.TLS_KEY_LOG:
            lines = block[16:-4][:size].split(b"\n")
            yield from self._as_blocks(line for line in lines if self._fits(line))

    def _secrets_blocks(self) -> Iterator[bytes]:
        """Yield the further secrets, once."""
        yield from self._as_blocks(self._secrets)

    def _as_blocks(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks of secrets with these lines."""
        order, log = self._order, b""
        for line in lines:
            log += line.strip() + b"\n"
            if len(log) > SECRETS_BLOCK_BYTES:
                yield blocks.block(blocks.SECRETS, _key_log(order, log), order)
                log = b""
        if log:
            yield blocks.block(blocks.SECRETS, _key_log(order, log), order)

    def _before(self, time: int) -> Iterator[bytes]:
        """Yield what comes before a packet of this time: nothing, unless the clock of the capture is ahead of it.

        The clock never goes back. Where times do, as in files that were joined, packets may come after the end of their
        flow only because of the packets of others.
        """
        mine = max(self._latest, time)
        if self._clock - mine >= BEHIND_NS:
            yield from self._statistics(self._clock)
            mine = self._clock
        self._latest = mine

    def _statistics(self, clock: int) -> Iterator[bytes]:
        """Yield a statistics block with the time that the capture has reached."""
        if clock == UNTIMED or self._first is None:
            return
        order, ticks = self._order, self._first.ticks(clock)
        if 0 <= ticks < 1 << 64:
            # The high half comes first in both byte orders.
            time = struct.pack(order + "II", *divmod(ticks, 1 << 32))
            body = struct.pack(order + "I", 0) + time + blocks.encoded([(blocks.END_TIME, time)], order)
            yield blocks.block(blocks.STATISTICS, body, order)


def _key_log(order: str, log: bytes) -> bytes:
    return struct.pack(order + "II", blocks.TLS_KEY_LOG, len(log)) + log
