"""Handshakes that wait until their connection is over: as objects, then serialized in memory, then in a file."""

from __future__ import annotations

import errno
import os
import pickle
import tempfile
from collections import defaultdict
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.flows.budget import Budget
    from tlsdissect.handshake.logged import LoggedHandshake

PLAIN_BYTES = 128 << 20
"""Estimated bytes of the handshakes that wait as objects, while handshakes take less than half of the memory that they
may take; serializing one costs about as much as following it."""
MAX_PLAIN = 32 << 10
"""Estimated bytes of the largest handshake that waits as objects."""
OVERHEAD = 4096
"""Estimated bytes of a handshake besides those that its log held."""
PACKED_BYTES = 16 << 20
"""Bytes of serialized handshakes in memory; further ones wait in a temporary file without a name."""
ENTRY_BYTES = 160
"""Estimated bytes of a serialized handshake besides itself."""
SPILLED_BYTES = 4 << 30
"""Bytes of that file, for each process. A handshake for which neither the file nor the disk has room does not wait: its
connection is returned early, with a problem `limit`."""
_SIZE_BITS = 32
"""Bits of a size of at most SPILLED_BYTES."""
_SLOT = 4096
"""Bytes of the smallest slot in the file. The sizes of slots are powers of two, so that a free slot fits exactly."""


class WaitingHandshakes:
    """Handshakes by stream number, in bounded memory."""

    def __init__(
        self,
        budget: Budget,
        plain_bytes: int = PLAIN_BYTES,
        packed_bytes: int = PACKED_BYTES,
        spilled_bytes: int | None = None,
    ) -> None:
        self._budget = budget
        self._plain_bytes = plain_bytes
        self._packed_bytes = packed_bytes
        self._spilled_bytes = SPILLED_BYTES if spilled_bytes is None else spilled_bytes
        self._plain: dict[int, LoggedHandshake] = {}
        self._plain_sizes: dict[int, int] = {}
        """Estimated bytes of each of them."""
        self._plain_size = 0
        self._packed: dict[int, bytes] = {}
        self._spilled: dict[int, int] = {}
        """The place of each in the file, as offset << _SIZE_BITS | size: a tuple would take three times the memory."""
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
        has_room = self._budget.used + size <= self._budget.room() // 2
        if size <= MAX_PLAIN and self._plain_size + size <= self._plain_bytes and has_room:
            # A tuple of both would be one more object for Python's cycle collector.
            self._plain[stream] = log
            self._plain_sizes[stream] = size
            self._plain_size += size
            self._budget.used += size
            return True
        data = pickle.dumps(log, pickle.HIGHEST_PROTOCOL)
        if self._packed_size + len(data) <= self._packed_bytes:
            self._packed[stream] = data
            self._packed_size += len(data)
            self._budget.used += len(data) + ENTRY_BYTES
            return True
        offset = self._spill(data)
        if offset is None:
            return False
        self._spilled[stream] = offset << _SIZE_BITS | len(data)
        self._budget.used += ENTRY_BYTES
        return True

    def take(self, stream: int) -> LoggedHandshake | None:
        """Remove and return a handshake; None if it does not wait."""
        log = self._plain.pop(stream, None)
        if log is not None:
            size = self._plain_sizes.pop(stream)
            self._plain_size -= size
            self._budget.used -= size
            return log
        data, place = self._packed.pop(stream, None), self._spilled.pop(stream, None)
        if data is not None:
            self._packed_size -= len(data)
            self._budget.used -= len(data) + ENTRY_BYTES
        elif place is not None:
            data = self._unspill(*divmod(place, 1 << _SIZE_BITS))
            self._budget.used -= ENTRY_BYTES
        else:
            return None
        restored: LoggedHandshake = pickle.loads(data)  # noqa: S301  # written by this process, in a file without a name
        return restored

    def __len__(self) -> int:
        """Number of handshakes that wait."""
        return len(self._plain) + len(self._packed) + len(self._spilled)

    def __contains__(self, stream: int) -> bool:
        """Return whether the handshake of a stream waits."""
        return stream in self._plain or stream in self._packed or stream in self._spilled

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _spill(self, data: bytes) -> int | None:
        """Write a handshake to the file and return its offset; None if there is no room for it."""
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
        return offset

    def _truncate(self) -> None:
        """Use the file from its beginning, now that no handshake waits in it."""
        self._free.clear()
        self._end = 0
        if self._file is not None:
            self._file.truncate(0)

    def _unspill(self, offset: int, size: int) -> bytes:
        if self._file is None:
            raise KeyError(offset)
        self._free[_slot(size)].append(offset)
        return b"".join(_read(self._file.fileno(), offset, size))


def _slot(size: int) -> int:
    """Return the size of the slot for this many bytes."""
    return max(_SLOT, 1 << (size - 1).bit_length())


def _write(number: int, data: bytes, offset: int) -> None:
    with memoryview(data) as view:
        at = 0
        while at < len(view):
            at += os.pwrite(number, view[at:], offset + at)


def _read(number: int, offset: int, size: int) -> Iterator[bytes]:
    at = 0
    while at < size:
        part = os.pread(number, size - at, offset + at)
        if not part:
            raise OSError(errno.EIO, os.strerror(errno.EIO), "a temporary file")
        at += len(part)
        yield part
