# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""What the formats of captures have in common: frames, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from tlsdissect.capture.errors import Damage

MAX_CAPTURED = 262_144
"""Bytes that a frame may have in a capture: the greatest snap length that libpcap and Wireshark allow."""

MAX_DAMAGED = 100
"""Damaged places of one capture that are passed over; the rest of a capture that has more is not read."""

MAX_DISTANCE = 1 << 20
"""Bytes that are searched for the next frame behind a damaged place; the rest of the capture is not read if it is not
there."""


@cython.cclass
class FrameReader:
    """The frames of a capture; the fields describe the one that `next_frame` found last."""

    data: bytes
    """The bytes that the frame stands in."""
    start: cython.Py_ssize_t
    """Where the frame begins in `data`."""
    captured: cython.longlong
    """Bytes of it in the capture: `data` holds all of them."""
    carried: cython.longlong
    """Bytes that it had on the wire."""
    link: cython.longlong
    """Link type; NO_LINK_TYPE where the interface was not described."""
    time: cython.longlong
    """Nanoseconds since 1970-01-01T00:00:00Z, or UNTIMED."""
    digits: cython.longlong
    """Digits of a second in the capture's clock."""
    interface: cython.longlong
    """Number of the interface."""
    frames: cython.longlong
    """Number of the frame: of all frames so far."""
    ended: cython.bint
    """Whether there are no more frames: False while a live source only pauses."""
    damage: list[Damage]
    """What could not be read."""
    secrets: list[bytes]
    """Bodies of the decryption secrets blocks so far."""
    links: set[int]
    """Link types of all interfaces so far."""

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
        self.links = set()

    @cython.ccall
    def next_frame(self) -> cython.bint:
        """Find the next frame; False at the end of what there is now."""
        raise NotImplementedError

    @property
    def position(self) -> int:
        """Bytes of the source used so far, as they lie on disk."""
        raise NotImplementedError

    @property
    def size(self) -> int | None:
        """Bytes of the source on disk, if that can be known."""
        return None

    def close(self) -> None:
        """Close the source."""
        raise NotImplementedError
