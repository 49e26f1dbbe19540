"""Where a result goes: standard output, or a file that is there only once it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tlsdissect.cli.endings import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENOUGH = 1 << 16
"""Bytes that are gathered before they are written."""
_SOON = 0.5
"""Seconds after which they are written all the same, when there is something to add."""
_STEM = 100
"""Bytes of a file's name in that of the file beside it: with what stands around them, no name gets too long."""
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))
"""What link(2) says where a file system has no hard links, or none for this file."""


class _Pending(NamedTuple):
    """What was gathered, and how much of it is written."""

    data: bytearray
    sent: list[int]


class Sink:
    """A binary file, written in large pieces; what a terminal shows is written at once.

    An interruption at any moment loses nothing: what is then still to be written, the next `flush` writes.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._pending = _Pending(bytearray(), [])
        self._written = monotonic()
        self._at_once = file.isatty()

    def write(self, data: bytes) -> None:
        """Write; raises BrokenPipeError where nobody reads any more."""
        self._pending.data.extend(data)
        if self._at_once or len(self._pending.data) >= _ENOUGH or monotonic() - self._written > _SOON:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        data, sent = self._pending
        self._written = monotonic()
        try:
            with memoryview(data) as view:
                while (at := sum(sent)) < len(view):
                    # One instruction writes and notes how much: a signal comes before or after both.
                    sent.extend(map(os.write, (self._file.fileno(),), (view[at:],)))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise NotWrittenError(f"{self._name}: {error.strerror}") from error
        self._pending = _Pending(bytearray(), [])


@contextlib.contextmanager
def standard_output() -> Iterator[Sink]:
    """Give standard output; what was gathered is written even if the run is stopped."""
    # Started with standard output closed, there is nobody to read.
    if sys.stdout is None:
        raise BrokenPipeError
    sink = Sink(sys.stdout.buffer, "standard output")
    try:
        yield sink
    finally:
        sink.flush()


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[Sink]:
    """Give a file beside `path` that takes its place at the end, or vanishes if the end is not reached."""
    # A link stays a link: what it points to is replaced.
    target = os.path.realpath(path)
    try:
        # What is no file is written itself: a pipe, /dev/null. /dev/stdout may point to what has no path.
        itself = os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 (paths are text here)
        file, beside = (open(path, "wb"), None) if itself else _beside(target)  # noqa: PTH123, SIM115
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror}") from error
    sink = Sink(file, path)
    try:
        with file:
            yield sink
            sink.flush()
        if beside is not None:
            _move(beside, target, path)
    except BaseException:
        if beside is not None:
            _remove(beside)
        raise


def place_new(path: str, content: bytes) -> bool:
    """Make a file that is there only once it is whole, and never take the place of another; tell whether it is there.

    False: there is something else of this name, which stays as it is. Raises OSError where it cannot be written.
    """
    if os.path.lexists(path):
        return _holds(path, content)
    file, beside = _beside(path)
    try:
        with file:
            file.write(content)
        try:
            os.link(beside, path, follow_symlinks=False)
        except FileExistsError:
            return _holds(path, content)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _reserved(beside, path) or _holds(path, content)
    finally:
        _remove(beside)
    return True


def _reserved(beside: str, path: str) -> bool:
    """Move a file to a name that was taken just before, where no link can take it: False if it was not free."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    try:
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        _remove(path)
        raise
    return True


def _holds(path: str, content: bytes) -> bool:
    """Tell whether a file has this content."""
    # To open something else, as a named pipe, might wait for ever.
    if not os.path.isfile(path):  # noqa: PTH113
        return False
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(len(content) + 1) == content


def _beside(target: str) -> tuple[BinaryIO, str]:
    """Open a file beside the target, with the rights that the target has or would get; the caller closes it."""
    import tempfile  # noqa: PLC0415 (not needed for standard output)

    folder, name = os.path.split(target)
    stem = os.fsdecode(os.fsencode(name)[:_STEM])
    number, beside = tempfile.mkstemp(prefix=f".{stem}.", suffix=".part", dir=folder or ".")
    try:
        # Some file systems know no rights.
        with contextlib.suppress(PermissionError):
            os.fchmod(number, _mode(target))
        return open(number, "wb"), beside  # noqa: PTH123
    except BaseException:
        os.close(number)
        _remove(beside)
        raise


def _move(beside: str, target: str, path: str) -> None:
    try:
        os.replace(beside, target)  # noqa: PTH105
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror}") from error


def _remove(beside: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(beside)  # noqa: PTH108


def _mode(target: str) -> int:
    """Give the permissions of the file that is replaced, or those of any new one."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(target).st_mode)  # noqa: PTH116
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
