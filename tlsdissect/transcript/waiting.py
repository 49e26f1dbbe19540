"""Facts that wait until nothing about them can change: some as they are, more of them packed, most on disk."""

from __future__ import annotations

import pickle
import tempfile
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Connection

PLAIN_BYTES = 128 << 20
"""Bytes, by estimate, of connections that wait as they are: packing one costs as much as all that is told of it."""
LARGEST = 32 << 10
"""Bytes, by estimate, of the largest connection that waits as it is: of a larger one the estimate is worth little."""
OVERHEAD = 2048
"""Bytes that a connection takes, by estimate, besides those that were held of what it tells of."""
PACKED_BYTES = 64 << 20
"""Bytes of packed connections that wait in memory; more wait in a temporary file without a name."""


class _Spilled(NamedTuple):
    """Where a packed connection lies in the file."""

    offset: int
    size: int


class Waiting:
    """Connections by number, in bounded memory."""

    def __init__(self, plain_bytes: int = PLAIN_BYTES, packed_bytes: int = PACKED_BYTES) -> None:
        self._plain_bytes = plain_bytes
        self._packed_bytes = packed_bytes
        self._plain: dict[int, tuple[Connection, int]] = {}
        self._plain_size = 0
        self._packed: dict[int, bytes] = {}
        self._spilled: dict[int, _Spilled] = {}
        self._packed_size = 0
        self._file: BinaryIO | None = None

    def __contains__(self, index: int) -> bool:
        return index in self._plain or index in self._packed or index in self._spilled

    def put(self, index: int, told: Connection, held_bytes: int) -> None:
        """Let a connection wait of whose messages so many bytes were held."""
        size = held_bytes + OVERHEAD
        if size <= LARGEST and self._plain_size + size <= self._plain_bytes:
            self._plain[index] = told, size
            self._plain_size += size
            return
        data = pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
        if self._packed_size + len(data) <= self._packed_bytes:
            self._packed[index] = data
            self._packed_size += len(data)
        else:
            self._spilled[index] = self._spill(data)

    def pop(self, index: int) -> Connection:
        """Take a connection that waits; KeyError if it does not."""
        if index in self._plain:
            told, size = self._plain.pop(index)
            self._plain_size -= size
            return told
        data = self._packed.pop(index, None)
        if data is not None:
            self._packed_size -= len(data)
        else:
            data = self._unspill(self._spilled.pop(index))
        restored: Connection = pickle.loads(data)  # noqa: S301  # written by this process, in a file without a name
        return restored

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _spill(self, data: bytes) -> _Spilled:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as connections wait in it
        if not self._spilled:
            self._file.truncate(0)
        offset = self._file.seek(0, 2)
        self._file.write(data)
        return _Spilled(offset, len(data))

    def _unspill(self, place: _Spilled) -> bytes:
        if self._file is None:
            raise KeyError(place)
        self._file.seek(place.offset)
        return self._file.read(place.size)
