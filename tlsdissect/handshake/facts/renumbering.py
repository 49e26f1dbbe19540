"""Frame numbers in facts, where a handshake was read again in another order than that of the capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def renumbered(value: T, frames: Mapping[int, int]) -> T:
    """Return the same facts with each `frame`, at any depth, replaced by the frame of the capture in `frames`."""
    return cast("T", _renumbered(value, frames))


def _renumbered(value: object, frames: Mapping[int, int]) -> object:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple([_renumbered(one, frames) for one in value])
    if not isinstance(value, Struct):
        return value
    changed = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        new = frames.get(old, old) if name == "frame" else _renumbered(old, frames)
        if new is not old:
            changed[name] = new
    return replace(value, **changed) if changed else value
