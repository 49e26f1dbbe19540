"""The destination of a result: standard output, or a file that appears only when it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import click

from tlsdissect.cli.exit_status import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUFFER_BYTES = 1 << 16
"""Bytes that are buffered before they are written."""
_FLUSH_SECONDS = 0.5
"""Seconds since the last write after which the next write flushes the buffer."""
_STEM = 100
"""Bytes of the target's name that the name of its temporary file contains, so that it never gets too long."""
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))
"""Error numbers of link(2) for a file system without hard links, or for a file that can have no more of them."""


class _Pending(NamedTuple):
    """Buffered bytes, and how many of them were written."""

    pieces: list[bytes]
    sent: list[int]


class Sink:
    """A buffered binary file, unbuffered if it is a terminal.

    A signal at any moment loses or repeats nothing: the next `flush` writes exactly what is left.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._pending = _Pending([], [])
        self._size = 0
        """Bytes of the pieces; after a signal, of most of them."""
        self._written = monotonic()
        self._at_once = file.isatty()
        self.is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        """Whether output goes to a file, and not to a terminal or a pipe, where somebody may read along."""

    def write(self, data: bytes) -> None:
        """Write; raises BrokenPipeError if the reader has closed the pipe."""
        self._pending.pieces.append(data)
        self._size += len(data)
        if self._at_once or self._size >= _BUFFER_BYTES or monotonic() - self._written > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffer."""
        pieces, sent = self._pending
        self._written = monotonic()
        try:
            with memoryview(b"".join(pieces)) as view:
                while (at := sum(sent)) < len(view):
                    # A single call into C writes and records the count: a signal handler runs before or after both.
                    sent.extend(map(os.write, (self._file.fileno(),), (view[at:],)))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise NotWrittenError(f"{self._name}: {error.strerror}") from error
        self._pending, self._size = _Pending([], []), 0


def destination(file: str | None, *, empty: bool = True) -> contextlib.AbstractContextManager[Sink]:
    """Open the destination of a result: a file, or standard output for None; for `empty`, see `whole_file`."""
    return standard_output() if file is None else whole_file(file, empty=empty)


@contextlib.contextmanager
def standard_output() -> Iterator[Sink]:
    """Yield standard output; the buffer is written even if the run is stopped."""
    sink = Sink(sys.stdout.buffer, "standard output")
    try:
        yield sink
    finally:
        sink.flush()


@contextlib.contextmanager
def whole_file(path: str, *, empty: bool = True, new: bool = False) -> Iterator[Sink]:
    """Yield a temporary file beside `path` that replaces it at the end, or is removed on failure.

    Unless it may be `empty`, it is also removed if nothing was written. If it must be `new`, nothing is replaced, and a
    symbolic link of that name not followed, also one that comes while the file is written.
    """
    # The user named this link: it stays one, and its target is replaced.
    target = path if new else os.path.realpath(path)
    try:
        # Pipes and devices are written directly. /dev/stdout may point to something without a path.
        direct = not new and os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 (text here)
        file, temporary = (open(path, "wb"), None) if direct else _temporary_file(target)  # noqa: PTH123, SIM115
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror}") from error
    sink = Sink(file, path)
    try:
        with file:
            yield sink
            sink.flush()
        if new and temporary is not None:
            _move_new(temporary, target)
        elif temporary is not None and (empty or os.path.getsize(temporary)):  # noqa: PTH202 (paths are text here)
            _move(temporary, target, path)
        elif temporary is not None:
            _remove(temporary)
    except BaseException:
        if temporary is not None:
            _remove(temporary)
        raise


def make_folder(folder: str) -> None:
    """Create the folder of --to, unless it exists; raises UsageError if it exists and is not a folder."""
    if os.path.exists(folder) and not os.path.isdir(folder):  # noqa: PTH110, PTH112 (paths are text here)
        raise click.UsageError(f"--to {folder}: this is not a folder")
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError as error:
        raise NotWrittenError(f"{folder}: {error.strerror}") from error


def place_new(path: str, content: bytes) -> bool:
    """Create a file that appears only when it is complete; return whether a file with this content now exists.

    Never replaces an existing file: returns False if one exists with other content. Raises OSError on failure.
    """
    if os.path.lexists(path):
        return _holds(path, content)
    file, temporary = _temporary_file(path)
    try:
        with file:
            file.write(content)
        return _linked(temporary, path) or _holds(path, content)
    finally:
        _remove(temporary)


def _linked(temporary: str, path: str) -> bool:
    """Give a file another name; False if the name exists, whatever it is the name of."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _move_to_new(temporary, path)
    return True


def _move_to_new(temporary: str, path: str) -> bool:
    """Reserve a name and rename a file to it, for file systems without hard links; False if the name exists."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    try:
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        _remove(path)
        raise
    return True


def _holds(path: str, content: bytes) -> bool:
    """Return whether a file has this content."""
    # Opening a named pipe could block forever.
    if not os.path.isfile(path):  # noqa: PTH113
        return False
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(len(content) + 1) == content


def _temporary_file(target: str) -> tuple[BinaryIO, str]:
    """Open a temporary file beside the target, with the permissions of the target; the caller closes it."""
    import tempfile  # noqa: PLC0415 (not needed for standard output)

    folder, name = os.path.split(target)
    stem = os.fsdecode(os.fsencode(name)[:_STEM])
    number, temporary = tempfile.mkstemp(prefix=f".{stem}.", suffix=".part", dir=folder or ".")
    try:
        # Some file systems have no permissions.
        with contextlib.suppress(PermissionError):
            os.fchmod(number, _mode(target))
        return open(number, "wb"), temporary  # noqa: PTH123
    except BaseException:
        os.close(number)
        _remove(temporary)
        raise


def _move(temporary: str, target: str, path: str) -> None:
    try:
        os.replace(temporary, target)  # noqa: PTH105
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror}") from error


def _move_new(temporary: str, path: str) -> None:
    try:
        exists = not _linked(temporary, path)
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror}") from error
    finally:
        _remove(temporary)
    if exists:
        raise NotWrittenError(f"{path}: {os.strerror(errno.EEXIST)}")


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def _mode(target: str) -> int:
    """Return the permissions of the target, or those of a new file."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(target).st_mode)  # noqa: PTH116
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
