"""What is to be said of a code point besides its name: obsolete, private, of a draft; and what defines it."""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from tlsdissect.tls.codepoints import Registry

_FOLDER: Final = Path(__file__).parent / "iana"
_REFERENCE: Final = re.compile(r"(?:RFC [0-9]+|draft-[\w-]+)(?: (?:section|appendix) [0-9A-Z](?:[0-9.]*[0-9])?|)")


def remark(registry: Registry, number: int) -> str | None:
    """Tell what is odd about a code point: obsolete, for private use, of a draft, or not registered at all."""
    file, _ = registry.value
    said = [text for first, last, text in _remarks().get(file, ()) if first <= number <= last]
    if said:
        # The narrowest range stands last.
        return said[-1]
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
    """Tell what defines an extension, by the IANA registry."""
    return _references().get(number)


@cache
def _references() -> dict[int, str]:
    return {int(row["value"], 16): row["reference"] for row in _rows("extensions")}


def alert_meaning(number: int) -> tuple[str, str] | None:
    """Tell what the sender of an alert says by it, in a few words, and what defines it."""
    return _alerts().get(number)


@cache
def alert_meanings() -> dict[str, str]:
    """What the sender of an alert says by it, by the alert's name."""
    return {Registry.ALERTS.names[number]: meaning for number, (meaning, _) in _alerts().items()}


@cache
def _alerts() -> dict[int, tuple[str, str]]:
    return {int(row["value"], 16): (row["meaning"], row["reference"]) for row in _rows("alert_meanings")}


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / f"{name}.csv").open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


@cache
def reference(kind: type[Struct]) -> str | None:
    """Tell what defines a struct: the first document that its docstring cites with a section, or the first at all."""
    found = _REFERENCE.findall(kind.__doc__ or "")
    return next((cited for cited in found if " section " in cited), found[0] if found else None)
