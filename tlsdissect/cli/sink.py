"""Where a result goes: standard output, or a file that is there only once it is whole."""

from __future__ import annotations

import contextlib
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
        file, beside = _opened(target)
    except OSError as error:
        raise NotWrittenError(f"{path}: {error.strerror}") from error
    sink = Sink(file, path)
    try:
        with file:
            yield sink
            sink.flush()
        if beside is not None:
            os.replace(beside, target)  # noqa: PTH105 (paths are text here)
    except BaseException:
        if beside is not None:
            os.unlink(beside)  # noqa: PTH108
        raise


def _opened(target: str) -> tuple[BinaryIO, str | None]:
    """Open a file beside the target, or the target itself where it is no file: a pipe, /dev/null."""
    if os.path.exists(target) and not os.path.isfile(target):  # noqa: PTH110, PTH113
        return open(target, "wb"), None  # noqa: PTH123 (closed by the caller)
    import tempfile  # noqa: PLC0415 (not needed for standard output)

    folder, name = os.path.split(target)
    number, beside = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    os.fchmod(number, _mode(target))
    return open(number, "wb"), beside  # noqa: PTH123


def _mode(target: str) -> int:
    """Give the permissions of the file that is replaced, or those of any new one."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(target).st_mode)  # noqa: PTH116
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
