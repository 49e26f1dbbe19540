# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The common interface of all capture formats, one frame after the other, and the common part of both file formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.errors import Damage
from tlsdissect.capture.octets import u16, u16_little, u32, u32_little
from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from tlsdissect.capture.blocks import SecretsBlock
    from tlsdissect.capture.window import Window

MAX_CAPTURED = 262_144
"""Captured bytes of one frame: the greatest snap length that libpcap and Wireshark allow."""

MAX_DAMAGED = 100
"""Damaged places of one capture that are skipped. If it has more, the rest of the capture is not read."""

MAX_DISTANCE = 1 << 20
"""Bytes that are searched for the next frame after a damaged place. If none is found, the rest of the capture is not
read."""


@cython.cclass
class FrameReader:
    """The frames of a capture; the fields describe the frame that `next_frame` found last."""

    data: bytes
    """The bytes that contain the frame."""
    start: cython.Py_ssize_t
    """Where the frame begins in `data`."""
    captured: cython.longlong
    """Bytes of the frame in the capture: `data` contains all of them."""
    carried: cython.longlong
    """Bytes of the frame on the wire."""
    link: cython.longlong
    """Link type; NO_LINK_TYPE if no block described the interface."""
    time: cython.longlong
    """Nanoseconds since 1970-01-01T00:00:00Z, or UNTIMED."""
    digits: cython.longlong
    """Decimal places of a second in the capture's time stamps."""
    interface: cython.longlong
    """Number of the interface."""
    frames: cython.longlong
    """Number of frames so far, which is the number of this frame."""
    ended: cython.bint
    """Whether there are no more frames; False while a live source only pauses."""
    damage: list[Damage]
    """What could not be read."""
    secrets: list[SecretsBlock]
    """The decryption secrets blocks so far, and those at the end of a file (`find_last_secrets`)."""
    secret_bytes: cython.longlong
    """Size of all decryption secrets so far, with an estimated overhead for each."""
    links: set[int]
    """Link types of all interfaces so far."""
    until: cython.longlong
    """In an extract, the time that the clock of the whole capture had reached here, as far as it says; else UNTIMED."""
    damaged: cython.longlong
    """Damaged places of this capture."""
    name: str
    """The name of this capture if it is read as one with others, otherwise empty."""
    before: cython.longlong
    """Frames of the captures before this one that are read as one with it."""
    reordered: cython.bint
    """Whether the frames come in another order than in the file, and are numbered in this order."""

    def __init__(self) -> None:
        self.data = b""
        self.start = 0
        self.captured = 0
        self.carried = 0
        self.link = 0
        self.time = UNTIMED
        self.digits = 0
        self.interface = 0
        self.frames = 0
        self.ended = False
        self.damage = []
        self.secrets = []
        self.secret_bytes = 0
        self.links = set()
        self.until = UNTIMED
        self.damaged = 0
        self.name = ""
        self.before = 0
        self.reordered = False

    @cython.ccall
    def next_frame(self) -> cython.bint:
        """Find the next frame; False if none is available now."""
        raise NotImplementedError

    @cython.ccall
    def goes_back(self) -> cython.bint:
        """Read on until a frame is earlier than one before it; return False if none is."""
        latest: cython.longlong = UNTIMED
        while self.next_frame():
            if self.time != UNTIMED:
                if self.time < latest:
                    return True
                latest = self.time
        return False

    def file_frame(self, number: cython.longlong) -> cython.longlong:
        """Return the number in the file of a frame that was read."""
        return number

    def find_last_secrets(self) -> None:
        """Find the decryption secrets at the end of the file before its frames are read; most formats have none."""

    def drop_secrets(self) -> None:
        """Drop the secrets that were found, which somebody else has."""
        self.secrets = []
        self.secret_bytes = 0

    def resume(self, earlier: FrameReader, name: str) -> None:
        """Continue after an earlier capture as if its frames were of this one, which has a name."""
        self.frames = self.before = earlier.frames
        self.damage = earlier.damage
        self.secrets = earlier.secrets
        self.secret_bytes = earlier.secret_bytes
        self.name = name

    @property
    def position(self) -> int:
        """Bytes of the source read so far, counted before decompression."""
        raise NotImplementedError

    @property
    def size(self) -> int | None:
        """Total size of the source on disk; None if unknown."""
        return None

    def close(self) -> None:
        """Close the source."""
        raise NotImplementedError


@cython.cclass
class FileReader(FrameReader):
    """The frames of a capture file of either format."""

    window: Window
    big: cython.bint
    """Whether integers are big-endian."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window
        self.big = False

    @property
    def position(self) -> int:
        """Bytes of the source read so far, counted before decompression."""
        return self.window.source.position

    @property
    def size(self) -> int | None:
        """Total size of the source on disk; None if unknown."""
        return self.window.source.size

    def close(self) -> None:
        """Close the source."""
        self.window.close()

    @cython.cfunc
    def _u16(self, data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
        return u16(data, at) if self.big else u16_little(data, at)

    @cython.cfunc
    @cython.exceptval(-1)
    def _u32(self, data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
        return u32(data, at) if self.big else u32_little(data, at)

    @cython.cfunc
    def _report(self, detail: str, place: cython.Py_ssize_t) -> cython.bint:
        """Report damage that begins at `place` in the window."""
        self.damaged += 1
        self.damage.append(Damage(detail, self.frames + 1, self.window.offset + place, self.name, self.before))
        return True
