"""Status and reference of code points (obsolete, private use, draft), and the meanings of alerts."""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from tlsdissect.tls.codepoints import Registry

_FOLDER: Final = Path(__file__).parent / "iana"
_REFERENCE: Final = re.compile(
    r"(?:RFC [0-9]+|IEEE [\w.-]+|draft-[\w-]+)(?: (?:section|appendix) [0-9A-Z](?:[0-9.]*[0-9])?|)"
)


def remark(registry: Registry, number: int) -> str | None:
    """Return the status of an unusual code point: obsolete, private use, draft or unregistered; else None."""
    file, _ = registry.value
    statuses = [text for first, last, text in _remarks().get(file, ()) if first <= number <= last]
    if statuses:
        # The narrowest range is last.
        return statuses[-1]
    return "not registered" if registry.names[number].startswith("0x") else None


@cache
def _remarks() -> dict[str, list[tuple[int, int, str]]]:
    found: dict[str, list[tuple[int, int, str]]] = {}
    for row in _rows("remarks"):
        found.setdefault(row["registry"], []).append((int(row["first"], 16), int(row["last"], 16), row["remark"]))
    for ranges in found.values():
        ranges.sort(key=lambda one: one[0] - one[1])
    return found


def extension_reference(number: int) -> str | None:
    """Return the reference of an extension in the IANA registry."""
    return _references().get(number)


@cache
def _references() -> dict[int, str]:
    return {int(row["value"], 16): row["reference"] for row in _rows("extensions")}


def alert_meaning(number: int) -> tuple[str, str] | None:
    """Return the meaning of an alert in a few words, and its reference."""
    return _alerts().get(number)


@cache
def alert_meanings() -> dict[str, str]:
    """Return a mapping from the name of each alert to its meaning."""
    return {Registry.ALERTS.names[number]: meaning for number, (meaning, _) in _alerts().items()}


@cache
def _alerts() -> dict[int, tuple[str, str]]:
    return {int(row["value"], 16): (row["meaning"], row["reference"]) for row in _rows("alert_meanings")}


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / f"{name}.csv").open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


@cache
def reference(kind: type[Struct]) -> str | None:
    """Return a struct's reference: the first citation with a section in its docstring, else the first citation."""
    found = _REFERENCE.findall(kind.__doc__ or "")
    return next((cited for cited in found if " section " in cited), found[0] if found else None)
