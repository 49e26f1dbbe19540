"""Which files are read, and in which order."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.reader import first_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NUMBER = re.compile(r"([0-9]+)")


class Input(NamedTuple):
    """A file to read."""

    path: str
    named: bool
    """Whether the user named it; otherwise it is in a folder, and need not be a capture."""
    begin: int = UNTIMED
    """The time of its first frame in nanoseconds since 1970-01-01T00:00:00Z; UNTIMED if it has none or was not asked
    for."""


class Inputs(NamedTuple):
    """The files to read, and the folders that could not be searched, each with the reason."""

    files: tuple[Input, ...]
    refused: tuple[tuple[str, str], ...]


def find_inputs(captures: Iterable[str], *, by_time: bool = False) -> Inputs:
    """Find the files to read; "-" is standard input.

    The files of a folder are in the order of their first frames, and with `by_time` all files are. Those without a time
    come last, and ties are in the natural order of their names, `cap2` before `cap10`.
    """
    files: list[Input] = []
    refused: list[OSError] = []
    for path in captures:
        if _is_folder(path):
            inside = [Input(one, False, first_time(one)) for one in files_in(path, refused)]
            files += sorted(inside, key=_time)
        else:
            files.append(Input(path, True, first_time(path) if by_time and is_file(path) else UNTIMED))
    if by_time:
        files.sort(key=_time)
    return Inputs(tuple(files), tuple((str(one.filename), one.strerror or str(one)) for one in refused))


def total_size(captures: Iterable[str]) -> int:
    """Return the bytes of all regular files that would be read."""
    return sum(_size(file) for path in captures for file in (files_in(path, []) if _is_folder(path) else (path,)))


def _time(one: Input) -> tuple[bool, int]:
    return one.begin == UNTIMED, one.begin


def files_in(folder: str, refused: list[OSError], left_out: Callable[[str], bool] = lambda _: False) -> Iterator[str]:
    """Yield the regular files of a folder and then of those in it, each in the natural order of names.

    `left_out` says of which folders the files are left out.
    """
    for path, folders, names in os.walk(folder, onerror=refused.append):
        if left_out(path):
            folders.clear()
            continue
        folders.sort(key=natural)
        yield from (file for name in sorted(names, key=natural) if is_file(file := str(Path(path, name))))


def natural(name: str) -> list[str | int]:
    """Return the key that sorts names with their numbers as numbers."""
    return [int(part) if at % 2 else part for at, part in enumerate(_NUMBER.split(name))]


def walked(path: str) -> list[tuple[bool, list[str | int]]]:
    """Return the key that sorts paths as `files_in` yields them: those of a folder before those of folders in it."""
    *folders, name = path.split("/")
    return [*((True, natural(folder)) for folder in folders), (False, natural(name))]


# Unlike pathlib's, these functions of os.path return False on an error, so that opening the path reports the reason.
def _is_folder(path: str) -> bool:
    return path != "-" and os.path.isdir(path)  # noqa: PTH112


def is_file(path: str) -> bool:
    """Return whether this is a regular file: reading anything else in a folder, such as a FIFO, may never end."""
    return path != "-" and os.path.isfile(path)  # noqa: PTH113


def _size(path: str) -> int:
    """Return the size of a regular file; 0 if it is not one, or no longer exists."""
    try:
        return Path(path).stat().st_size if is_file(path) else 0
    except OSError:
        return 0
