"""Comparisons as JSON, one object per line, and as CSV, one number per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from tlsdissect.views.cells import cell, line
from tlsdissect.views.ndjson import json_line
from tlsdissect.views.printable import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.views.comparison.model import Group

HEAD = ("key", "version", "measure", "value")


def lines(groups: Iterable[Group]) -> Iterator[bytes]:
    """Format groups as JSON, one object per line."""
    yield from map(json_line, groups)


def rows(groups: Iterable[Group], *, seen: bool = False) -> Iterator[bytes]:
    """Format groups as CSV: a row for each number, its path joined by dots; `seen` if the output is a terminal."""
    yield line(list(HEAD))
    for group in groups:
        key = None if group.key is None else without_surrogates(group.key)
        yield from (line(list(map(cell, (key, *row))), seen=seen) for row in numbers(group))


def numbers(group: Group) -> Iterator[tuple[str | None, str, Any]]:
    """Yield version, measure and value; a difference between versions has no version."""
    for side in group.sides:
        fields = to_builtins(side)
        yield from ((fields["version"], *pair) for pair in _flat(fields) if pair[0] != "version")
    for difference in group.differences or ():
        fields = to_builtins(difference)
        before = f"{fields.pop('kind')}.{fields.pop('measure')}"
        yield from ((None, f"{before}.{name}", value) for name, value in fields.items())


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{key}.")
        else:
            yield f"{before}{key}", inner
