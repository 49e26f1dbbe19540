"""Frame numbers in facts, where packets were read in another order than that of the capture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.model.connection import Connection, Problem, named_frames
from tlsdissect.model.transcript import KeptConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tlsdissect.model.transcript import Packet, PacketRef

T = TypeVar("T")

_NAMED = re.compile(r"(?<=\bframe )[0-9]{1,9}\b")
_SEVERAL = ("frames", "copied")
"""Fields that hold more than one frame number."""
_ELSEWHERE = "other_view"
"""A field whose frames are those of another capture."""
_QUOTES_NOTHING = "conflicting_data"
"""The code of problems whose details name frames; no peer has a say in them."""
_REORDERED = Problem("out_of_order", "the capture is not in the order of time: its packets were read in that order")


def renumbered(value: T, frames: Mapping[int, int]) -> T:
    """Return the same facts with each `frame`, at any depth, replaced by the frame of the capture in `frames`."""
    return cast("T", _renumbered(value, lambda number: frames.get(number, number), only_frame=True))


def in_file(value: T, number_of: Callable[[int], int]) -> T:
    """Return facts of a reordered capture with the frames' numbers in the file, `first_frame` and others too.

    A connection of it has a problem `out_of_order`.
    """
    known = _with_problem(value, number_of) if isinstance(value, Connection) else value
    return cast("T", _renumbered(known, number_of))


def in_reading_order(connection: Connection, view: Callable[..., T], *values: object) -> T:
    """Return a view of a connection that compares frames to find out what came first.

    If the packets were read in another order than that of the capture, the view gets the connection, and further
    values, with frames numbered in that order; the frames in what it returns have the capture's numbers again. Texts
    stay as they are.
    """
    if not is_reordered(connection):
        return view(connection, *values)
    frames = (0, *_frames_as_read(connection))
    places = {frame: place for place, frame in enumerate(frames)}
    ordered = _renumbered((connection, *values), lambda frame: places.get(frame, frame))
    result = view(*cast("tuple[Connection, ...]", ordered))
    return cast("T", _renumbered(result, lambda place: frames[place] if place < len(frames) else place))


def is_reordered(connection: Connection) -> bool:
    """Return whether packets of a connection were read in another order than that of the capture."""
    return any(problem.code == _REORDERED.code for problem in connection.problems)


def _frames_as_read(connection: Connection) -> list[int]:
    """List the frames that facts name: first those of kept packets, in the order of reading, then the others."""
    named = set(named_frames(connection))
    if not isinstance(connection, KeptConnection):
        read = list(dict.fromkeys(message.frame for message in connection.messages))
        return [*read, *sorted(named.difference(read))]
    transcript = connection.transcript
    packets: list[Packet | PacketRef] = [*transcript.packets, *transcript.eap_packets]
    for data in transcript.first_data:
        if data is not None and data.time is not None:
            later = (place for place, one in enumerate(packets) if one.time is not None and one.time > data.time)
            packets.insert(next(later, len(packets)), data)
    read = list(dict.fromkeys(packet.frame for packet in packets))
    return [*read, *sorted(named.difference(read))]


def _with_problem(connection: Connection, number_of: Callable[[int], int]) -> Connection:
    """Return a connection with that problem, in which details of conflicts name the frames of the file."""
    problems = [
        replace(one, detail=_NAMED.sub(lambda found: str(number_of(int(found[0]))), one.detail))
        if one.code == _QUOTES_NOTHING
        else one
        for one in connection.problems
        if one.code != _REORDERED.code
    ]
    return replace(connection, problems=(*problems, _REORDERED))


def _renumbered(value: object, number_of: Callable[[int], int], *, only_frame: bool = False) -> object:
    """Return the value with other frame numbers; with `only_frame`, only those in fields of this name."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple([_renumbered(one, number_of, only_frame=only_frame) for one in value])
    if not isinstance(value, Struct):
        return value
    changed = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        if name == _ELSEWHERE:
            continue
        new = _renumbered(old, number_of, only_frame=only_frame)
        if isinstance(old, int) and (name == "frame" or (name.endswith("_frame") and not only_frame)):
            new = number_of(old)
        elif name in _SEVERAL and isinstance(old, tuple):
            # Frames of QUIC have no numbers.
            new = tuple([number_of(one) if isinstance(one, int) else one for one in old])
        if new is not old:
            changed[name] = new
    return replace(value, **changed) if changed else value
