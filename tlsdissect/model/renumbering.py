"""Frame numbers in facts, where packets were read in another order than that of the capture."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.model.connection import Connection, Problem, named_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_NAMED = re.compile(r"(?<=\bframe )[0-9]+")
"""A frame in the text of a problem."""
_REORDERED = Problem("out_of_order", "the capture is not in the order of time: its packets were read in that order")


def renumbered(value: T, frames: Mapping[int, int]) -> T:
    """Return the same facts with each `frame`, at any depth, replaced by the frame of the capture in `frames`."""
    return cast("T", _renumbered(value, lambda number: frames.get(number, number), lambda name: name == "frame"))


def in_file(value: T, number_of: Callable[[int], int]) -> T:
    """Return facts of a reordered capture with the frames' numbers in the file, `first_frame` and others too.

    A connection whose packets are in another order there has a problem `out_of_order`.
    """
    known = _with_problems(value, number_of) if isinstance(value, Connection) else value
    return cast("T", _renumbered(known, number_of, lambda name: name == "frame" or name.endswith("_frame")))


def _with_problems(connection: Connection, number_of: Callable[[int], int]) -> Connection:
    """Return a connection whose problems name the frames of the file, and say whether it is in another order there."""
    frames = [number_of(frame) for frame in sorted(set(named_frames(connection)))]
    problems = [
        replace(one, detail=_NAMED.sub(lambda found: str(number_of(int(found[0]))), one.detail))
        for one in connection.problems
        if one.code != _REORDERED.code
    ]
    if any(earlier > later for earlier, later in pairwise(frames)):
        problems.append(_REORDERED)
    return replace(connection, problems=tuple(problems))


def _renumbered(value: object, number_of: Callable[[int], int], is_frame: Callable[[str], bool]) -> object:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple([_renumbered(one, number_of, is_frame) for one in value])
    if not isinstance(value, Struct):
        return value
    changed = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        new = _renumbered(old, number_of, is_frame)
        if old is not None and is_frame(name):
            new = number_of(old)
        if new is not old:
            changed[name] = new
    return replace(value, **changed) if changed else value
