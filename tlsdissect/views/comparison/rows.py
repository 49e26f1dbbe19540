"""Comparisons as JSON, one object per line, and as CSV, one number per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import json, to_builtins
from msgspec.structs import replace

from tlsdissect.views.cells import cell, line
from tlsdissect.views.printable import printable_json, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.views.comparison.model import Group

HEAD = ("key", "version", "measure", "value")


def lines(groups: Iterable[Group]) -> Iterator[bytes]:
    """Format groups as JSON, one object per line."""
    for group in groups:
        yield printable_json(json.encode(_encodable(group))) + b"\n"


def rows(groups: Iterable[Group], *, seen: bool = False) -> Iterator[bytes]:
    """Format groups as CSV: a row for each number, its path joined by dots; `seen` if the output is a terminal."""
    yield line(list(HEAD))
    for group in map(_encodable, groups):
        yield from (line(list(map(cell, (group.key, *row))), seen=seen) for row in numbers(group))


def numbers(group: Group) -> Iterator[tuple[str | None, str, Any]]:
    """Yield version, measure and value; a difference between versions has no version."""
    for side in group.sides:
        fields = to_builtins(side)
        yield from ((fields["version"], *pair) for pair in _flat(fields) if pair[0] != "version")
    for difference in group.differences or ():
        fields = to_builtins(difference)
        before = f"{fields.pop('kind')}.{fields.pop('measure')}"
        yield from ((None, f"{before}.{name}", value) for name, value in fields.items())


def _encodable(group: Group) -> Group:
    return group if group.key is None else replace(group, key=without_surrogates(group.key))


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{key}.")
        else:
            yield f"{before}{key}", inner
