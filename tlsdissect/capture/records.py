"""What both file formats make of a window: where the packets lie in it, and when they were captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CAPTURED = 262_144
"""Bytes that a packet may have in a capture: the greatest snap length that libpcap and Wireshark allow."""

MAX_TROUBLES = 100
"""Damaged places of one capture that are passed over; a file that has more is given up."""


class Records(msgspec.Struct, frozen=True, gc=False):
    """Consecutive frames, one row each."""

    data: bytearray
    frame: int
    """Number of the first one."""
    start: NDArray[np.int64]
    """Where the packet begins in `data`."""
    captured: NDArray[np.int64]
    """Bytes of it in the capture."""
    carried: NDArray[np.int64]
    """Bytes that it had on the wire."""
    link: NDArray[np.int64]
    """Link type."""
    time: NDArray[np.int64]
    """Nanoseconds since 1970-01-01T00:00:00Z; UNTIMED where the file tells none."""
    digits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.start)


def numbers(data: bytearray | memoryview, kind: str) -> NDArray[Any]:
    """View `data` as numbers of `kind` that may begin at any byte: one gather reads a field of many headers."""
    dtype = np.dtype(kind)
    count = max(len(data) - dtype.itemsize + 1, 0)
    return np.ndarray((count,), dtype, data, strides=(1,))


def fields(data: bytearray | memoryview, at: NDArray[np.int64], kind: np.dtype[np.void]) -> NDArray[np.void]:
    """Read the sixteen bytes at each place as fields: one gather, where `numbers` takes one for each field."""
    # Of all that numpy gathers by itself, only complex numbers are so wide; their bytes stay what they are.
    return numbers(data, "c16")[at].view(kind)
