"""Comparisons as JSON, one object a line, and as CSV, one number a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import json, to_builtins
from msgspec.structs import replace

from tlsdissect.views.cells import cell, line
from tlsdissect.views.printable import printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.views.comparison.model import Group

HEAD = ("key", "version", "measure", "value")


def lines(groups: Iterable[Group]) -> Iterator[bytes]:
    """Write groups as JSON, one object a line."""
    for group in groups:
        yield printable_json(json.encode(_as_text(group))) + b"\n"


def rows(groups: Iterable[Group], *, seen: bool = False) -> Iterator[bytes]:
    """Write groups as CSV: one row for each number, the path to it joined by dots; `seen`: on a terminal."""
    yield line(list(HEAD))
    for group in map(_as_text, groups):
        yield from (line(list(map(cell, (group.key, *row))), seen=seen) for row in numbers(group))


def numbers(group: Group) -> Iterator[tuple[str | None, str, Any]]:
    """Tell version, measure and value; of a difference between versions, no version."""
    for side in group.sides:
        told = to_builtins(side)
        yield from ((told["version"], *pair) for pair in _flat(told) if pair[0] != "version")
    for one in group.differences or ():
        told = to_builtins(one)
        before = f"{told.pop('kind')}.{told.pop('measure')}"
        yield from ((None, f"{before}.{name}", value) for name, value in told.items())


def _as_text(group: Group) -> Group:
    """Any byte may stand in a file name (PEP 383)."""
    return group if group.key is None else replace(group, key=group.key.encode("utf-8", "backslashreplace").decode())


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{key}.")
        else:
            yield f"{before}{key}", inner
