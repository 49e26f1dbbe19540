"""Facts that wait until nothing about them can change: some as they are, more of them packed, most on disk."""

from __future__ import annotations

import errno
import io
import os
import pickle
import tempfile
from collections import defaultdict
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tlsdissect.caches import footprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection

PLAIN_BYTES = 128 << 20
"""Bytes, by estimate, of connections that wait as they are: packing one costs as much as all that is told of it."""
MAX_PLAIN = 32 << 10
"""Bytes, by estimate, of the largest connection that waits as it is: of a larger one the estimate is worth little."""
OVERHEAD = 2048
"""Bytes that a connection takes, by estimate, besides those that were held of what it tells of."""
PACKED_BYTES = 64 << 20
"""Bytes of packed connections that wait in memory; more wait in a temporary file without a name."""
SPILLED_BYTES = 4 << 30
"""Bytes of that file, of each process; a connection that has no room in it, or on the disk, does not wait: it is told
as it is, with a problem `limit`."""
_SLOT = 4096
"""Bytes of the smallest place in the file. Places are powers of two: what is free has the size that is needed."""


_USUAL_NAMES = 128
"""Names in the lists of a hello and of certificates that the overhead covers."""
_USUAL_BODIES = 256
"""Bytes of short extensions that the overhead covers."""
_SHORT = 64
"""Bytes of the longest extension that is short."""
_NAME_BYTES, _BODY_BYTES = 64, 80
"""Bytes that a name takes in a list, and a byte of an extension where its body is many small items."""


def _beyond(told: Connection) -> int:
    """Estimate what a connection takes beyond what is usual: facts may take 70 times the bytes that they tell of."""
    hello, names, short, size = told.client_hello, 0, 0, 0
    for one in (*(told.certificates or ()), *(told.client_certificates or ())):
        names += len(one.dns_names or ()) + len(one.ip_addresses or ()) + len(one.uris or ())
        names += len(one.email_addresses or ())
    if hello is not None:
        names += len(hello.cipher_suites or ()) + len(hello.groups or ()) + len(hello.signature_schemes or ())
        names += len(hello.alpn or ()) + len(hello.key_shares or ()) + len(hello.supported_versions or ())
        for extension in hello.extensions or ():
            if extension.bytes > _SHORT:
                size += footprint(extension, enough=MAX_PLAIN)
            else:
                short += extension.bytes
        names += 4 * len(hello.extensions or ())
    return size + _NAME_BYTES * max(0, names - _USUAL_NAMES) + _BODY_BYTES * max(0, short - _USUAL_BODIES)


class _Spilled(NamedTuple):
    """Where a packed connection lies in the file."""

    offset: int
    size: int

    @property
    def slot(self) -> int:
        """Bytes of its place."""
        return _slot(self.size)


class Waiting:
    """Connections by number, in bounded memory."""

    def __init__(
        self, plain_bytes: int = PLAIN_BYTES, packed_bytes: int = PACKED_BYTES, spilled_bytes: int | None = None
    ) -> None:
        self._plain_bytes = plain_bytes
        self._packed_bytes = packed_bytes
        self._spilled_bytes = SPILLED_BYTES if spilled_bytes is None else spilled_bytes
        self._plain: dict[int, tuple[Connection, int]] = {}
        self._plain_size = 0
        self._packed: dict[int, bytes] = {}
        self._spilled: dict[int, _Spilled] = {}
        self._packed_size = 0
        self._file: BinaryIO | None = None
        self._end = 0
        """Bytes of the file up to the end of its last place."""
        self._free: dict[int, list[int]] = defaultdict(list)
        """Where places are free, by their size."""
        self.trouble: str | None = None
        """Why the file could not be written last; None: it could, or there was no need for it."""

    def __contains__(self, index: int) -> bool:
        return index in self._plain or index in self._packed or index in self._spilled

    def put(self, index: int, told: Connection, held_bytes: int) -> bool:
        """Let a connection wait of whose messages so many bytes were held; False: there is no room for it."""
        size = held_bytes + OVERHEAD + _beyond(told)
        if size <= MAX_PLAIN and self._plain_size + size <= self._plain_bytes:
            self._plain[index] = told, size
            self._plain_size += size
            return True
        data = _packed(told)
        if self._packed_size + len(data) <= self._packed_bytes:
            self._packed[index] = data
            self._packed_size += len(data)
            return True
        place = self._spill(data)
        if place is not None:
            self._spilled[index] = place
        return place is not None

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

    def _spill(self, data: bytes) -> _Spilled | None:
        if not self._spilled:
            self._begin_anew()
        slot = _slot(len(data))
        free = self._free[slot]
        if self._file is None and self.trouble is not None:
            return None
        if not free and self._end + slot > self._spilled_bytes:
            return None
        offset = free.pop() if free else self._end
        try:
            if self._file is None:
                # Nothing stays in a buffer: what was not written is known at once.
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # open as long as connections wait
            _write(self._file.fileno(), data, offset)
        except OSError as error:
            self.trouble = f"{tempfile.gettempdir() if self._file else 'a temporary file'}: {error.strerror}"
            if offset < self._end:
                free.append(offset)
            return None
        self._end = max(self._end, offset + slot)
        return _Spilled(offset, len(data))

    def _begin_anew(self) -> None:
        """Use the file from its beginning, now that nobody waits in it."""
        self._free.clear()
        self._end = 0
        if self._file is not None:
            self._file.truncate(0)

    def _unspill(self, place: _Spilled) -> bytes:
        if self._file is None:
            raise KeyError(place)
        self._free[place.slot].append(place.offset)
        return b"".join(_read(self._file.fileno(), place))


def _packed(told: Connection) -> bytes:
    """Pickle a connection: facts hold no cycles, and to note each of 30,000 names costs more than to write it."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True
    pickler.dump(told)
    return buffer.getvalue()


def _slot(size: int) -> int:
    """The size of the place for so many bytes."""
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
