"""Capture files whose packets are not in the order of time, read in that order where TCP shows that it is right.

`mergecap -a` and `cat` append one file to another, and some writers store the packets of each direction together. In
such a file the end of a connection may come before its beginning. A clock that was set back while packets were captured
leaves the same times in a file that is in the right order. TCP's sequence numbers tell the two apart: a sender's grow,
except where it sends again, and only what was sent is acknowledged.
"""

from __future__ import annotations

from array import array
from contextlib import closing
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from tlsdissect.capture.errors import CaptureError, Damage
from tlsdissect.capture.frames import FileReader, FrameReader
from tlsdissect.capture.inputs import is_file
from tlsdissect.capture.packet import TCP, UNTIMED, Packet, opposite
from tlsdissect.capture.reader import PacketReader, open_capture, open_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.source import Source

MAX_EXAMINED = 64 << 20
"""Bytes of the largest file that is searched for packets out of the order of time; larger ones are read as they are."""
MAX_FRAMES = 200_000
"""Frames that are put in order; a file with more is read as it is."""
_ACK = 0x10
_HALF = 1 << 31
"""Distance of sequence numbers from which on the second is before the first (RFC 9293 section 3.4)."""


class _FrameIndex:
    """Where the frames of a file are: columns, since an object for each frame would take four times the memory."""

    def __init__(self, frames: FileReader) -> None:
        """Read a file to its end, or up to one frame more than MAX_FRAMES."""
        self.source: Source = frames.window.source
        self.times, self.places, self.captured, self.carried = [array("q") for _ in range(4)]
        self.kinds = array("q")
        """The number of its kind in `described`."""
        self.described: dict[tuple[int, int, int], int] = {}
        """The link type, the decimal places of the time, and the interface of frames of one kind."""
        while len(self.times) <= MAX_FRAMES and frames.next_frame():
            self.times.append(frames.time)
            self.places.append(frames.window.offset + frames.start)
            self.captured.append(frames.captured)
            self.carried.append(frames.carried)
            kind = frames.link, frames.digits, frames.interface
            self.kinds.append(self.described.setdefault(kind, len(self.described)))

    def in_time_order(self) -> array[int]:
        """Return the places of the frames in these columns in the order of their times.

        A frame without a time stays behind the one before it.
        """
        keys, latest = array("q"), UNTIMED
        for time in self.times:
            latest = latest if time == UNTIMED else time
            keys.append(latest)
        return array("q", sorted(range(len(keys)), key=keys.__getitem__))


class OrderedFrames(FrameReader):
    """Reads the frames of a file in a given order, and numbers them in that order."""

    def __init__(self, file: FileReader, index: _FrameIndex, order: Sequence[int]) -> None:
        """`file` was read to its end; it is closed with this reader."""
        super().__init__()
        self._file = file
        self._index = index
        self._order = order
        self._kinds = list(index.described)
        self.secrets = file.secrets
        self.secret_bytes = file.secret_bytes
        self.links = file.links
        self.damage = file.damage
        self.reordered = True

    def next_frame(self) -> bool:
        """Read the next frame."""
        if self.frames == len(self._order):
            self.until = self._file.until
            self.ended = True
            return False
        index, at = self._index, self._order[self.frames]
        self.frames += 1
        self.data = index.source.read_at(index.places[at], index.captured[at])
        self.captured = len(self.data)
        if self.captured < index.captured[at]:
            detail = "the file was truncated, or could not be read, after its packets were put in order"
            self.damage.append(Damage(detail, at + 1, index.places[at]))
        self.carried = index.carried[at]
        self.time = index.times[at]
        self.link, self.digits, self.interface = self._kinds[index.kinds[at]]
        return True

    def file_frame(self, number: int) -> int:
        """Return the number of a frame in the file; the damaged frame at its end comes last in either order."""
        return self._order[number - 1] + 1 if 0 < number <= len(self._order) else number

    @property
    def position(self) -> int:
        """An estimate of the bytes read so far: each frame counts the same."""
        return self._file.position * self.frames // max(1, len(self._order))

    @property
    def size(self) -> int | None:
        """Total size of the source."""
        return self._file.size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_in_order(source: str) -> PacketReader:
    """Open a capture as `open_capture` does; its packets come in the order of time if that is the right one."""
    return open_by_time(source) or open_capture(source)


def open_by_time(path: str) -> PacketReader | None:
    """Open a file so that its packets come in the order of time if TCP shows that this is right, or return None.

    The order is right if fewer segments come behind later ones of their sender, or behind their acknowledgement, than
    in the order of the file. A file that is compressed, damaged before its end, larger than MAX_EXAMINED or of more
    than MAX_FRAMES is not examined, and neither is a pipe.
    """
    try:
        if not is_file(path) or Path(path).stat().st_size > MAX_EXAMINED or not _goes_back(path):
            return None
        file = open_frames(path)
        try:
            file.find_last_secrets()
            ordered = _ordered(path, file)
        except BaseException:
            file.close()
            raise
    except (CaptureError, OSError):
        # Whoever reads the file says why it cannot be read.
        return None
    if ordered is None:
        file.close()
        return None
    return PacketReader(ordered)


def _goes_back(path: str) -> bool:
    """Return whether a file that can be read at any offset has a frame that is earlier than one before it."""
    with closing(open_frames(path)) as frames:
        return isinstance(frames, FileReader) and bool(frames.window.source.read_at(0, 1)) and frames.goes_back()


def _ordered(path: str, file: FrameReader) -> OrderedFrames | None:
    """Read a file to its end; return its frames in the order of time if that is the right one."""
    if not isinstance(file, FileReader):
        return None
    index = _FrameIndex(file)
    if not file.ended or any(hurt.frame <= len(index.times) for hurt in file.damage):
        return None
    by_time = index.in_time_order()
    with PacketReader(open_frames(path)) as as_stored:
        late = _late_segments(as_stored)
    if _late_segments(PacketReader(OrderedFrames(file, index, by_time)), late) < late:
        return OrderedFrames(file, index, by_time)
    return None


def _late_segments(reader: PacketReader, enough: float = inf) -> int:
    """Count the segments of TCP that come behind a later one of their sender, or behind one that acknowledges them.

    Counting ends with `enough` of them.
    """
    packet = Packet()
    latest: dict[bytes, int] = {}
    late = 0
    while late < enough and reader.next(packet):
        if packet.protocol != TCP or packet.quoted:
            continue
        end = packet.sequence + packet.length
        late += _is_before(end, latest.get(packet.endpoints, end))
        latest[packet.endpoints] = end
        peer = latest.get(opposite(packet.endpoints))
        # A SYN and a FIN count as a byte (RFC 9293 section 3.4), and nothing else is acknowledged in advance.
        late += packet.flags & _ACK != 0 and (peer is None or _is_before(peer + 1, packet.acknowledgement))
    return late


def _is_before(one: int, other: int) -> bool:
    """Return whether a sequence number is before another."""
    return (one - other) & 0xFFFFFFFF >= _HALF
