"""Handshakes that wait until their connection is over: as objects, then serialized in memory, then in a file."""

from __future__ import annotations

import errno
import os
import pickle
import tempfile
from collections import defaultdict
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.handshake.logged import LoggedHandshake

PLAIN_BYTES = 128 << 20
"""Estimated bytes of the handshakes that wait as objects; serializing one costs about as much as following it."""
MAX_PLAIN = 32 << 10
"""Estimated bytes of the largest handshake that waits as objects."""
OVERHEAD = 4096
"""Estimated bytes of a handshake besides those that its log held."""
PACKED_BYTES = 64 << 20
"""Bytes of serialized handshakes in memory; further ones wait in a temporary file without a name."""
SPILLED_BYTES = 4 << 30
"""Bytes of that file, for each process. A handshake for which neither the file nor the disk has room does not wait: its
connection is returned early, with a problem `limit`."""
_SLOT = 4096
"""Bytes of the smallest slot in the file. The sizes of slots are powers of two, so that a free slot fits exactly."""


class _Spilled(NamedTuple):
    """The place of a serialized handshake in the file."""

    offset: int
    size: int

    @property
    def slot(self) -> int:
        """Bytes of its slot."""
        return _slot(self.size)


class WaitingHandshakes:
    """Handshakes by stream number, in bounded memory."""

    def __init__(
        self, plain_bytes: int = PLAIN_BYTES, packed_bytes: int = PACKED_BYTES, spilled_bytes: int | None = None
    ) -> None:
        self._plain_bytes = plain_bytes
        self._packed_bytes = packed_bytes
        self._spilled_bytes = SPILLED_BYTES if spilled_bytes is None else spilled_bytes
        self._plain: dict[int, LoggedHandshake] = {}
        self._plain_sizes: dict[int, int] = {}
        """Estimated bytes of each of them."""
        self._plain_size = 0
        self._packed: dict[int, bytes] = {}
        self._spilled: dict[int, _Spilled] = {}
        self._packed_size = 0
        self._file: BinaryIO | None = None
        self._end = 0
        """Bytes of the file up to the end of its last slot."""
        self._free: dict[int, list[int]] = defaultdict(list)
        """Offsets of free slots, by size."""
        self.error: str | None = None
        """The reason why the file could last not be written; None if there was no error."""

    def put(self, stream: int, log: LoggedHandshake, held_bytes: int) -> bool:
        """Let a handshake wait; its log held `held_bytes`. Return False if there is no room for it."""
        size = held_bytes + OVERHEAD
        if size <= MAX_PLAIN and self._plain_size + size <= self._plain_bytes:
            # A tuple of both would be one more object for Python's cycle collector.
            self._plain[stream] = log
            self._plain_sizes[stream] = size
            self._plain_size += size
            return True
        data = pickle.dumps(log, pickle.HIGHEST_PROTOCOL)
        if self._packed_size + len(data) <= self._packed_bytes:
            self._packed[stream] = data
            self._packed_size += len(data)
            return True
        place = self._spill(data)
        if place is not None:
            self._spilled[stream] = place
        return place is not None

    def take(self, stream: int) -> LoggedHandshake | None:
        """Remove and return a handshake; None if it does not wait."""
        log = self._plain.pop(stream, None)
        if log is not None:
            self._plain_size -= self._plain_sizes.pop(stream)
            return log
        data, place = self._packed.pop(stream, None), self._spilled.pop(stream, None)
        if data is not None:
            self._packed_size -= len(data)
        elif place is not None:
            data = self._unspill(place)
        else:
            return None
        restored: LoggedHandshake = pickle.loads(data)  # noqa: S301  # written by this process, in a file without a name
        return restored

    def __len__(self) -> int:
        """Number of handshakes that wait."""
        return len(self._plain) + len(self._packed) + len(self._spilled)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _spill(self, data: bytes) -> _Spilled | None:
        if not self._spilled:
            self._truncate()
        slot = _slot(len(data))
        free = self._free[slot]
        if self._file is None and self.error is not None:
            return None
        if not free and self._end + slot > self._spilled_bytes:
            return None
        offset = free.pop() if free else self._end
        try:
            if self._file is None:
                # Unbuffered, so that an error is raised by the write that failed.
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # open as long as connections wait
            _write(self._file.fileno(), data, offset)
        except OSError as error:
            self.error = f"{tempfile.gettempdir() if self._file else 'a temporary file'}: {error.strerror}"
            if offset < self._end:
                free.append(offset)
            return None
        self._end = max(self._end, offset + slot)
        return _Spilled(offset, len(data))

    def _truncate(self) -> None:
        """Use the file from its beginning, now that no handshake waits in it."""
        self._free.clear()
        self._end = 0
        if self._file is not None:
            self._file.truncate(0)

    def _unspill(self, place: _Spilled) -> bytes:
        if self._file is None:
            raise KeyError(place)
        self._free[place.slot].append(place.offset)
        return b"".join(_read(self._file.fileno(), place))


def _slot(size: int) -> int:
    """Return the size of the slot for this many bytes."""
    return max(_SLOT, 1 << (size - 1).bit_length())


def _write(number: int, data: bytes, offset: int) -> None:
    with memoryview(data) as view:
        at = 0
        while at < len(view):
            at += os.pwrite(number, view[at:], offset + at)


def _read(number: int, place: _Spilled) -> Iterator[bytes]:
    at = 0
    while at < place.size:
        part = os.pread(number, place.size - at, place.offset + at)
        if not part:
            raise OSError(errno.EIO, os.strerror(errno.EIO), "a temporary file")
        at += len(part)
        yield part
