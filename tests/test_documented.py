"""docs/connection.md: every key of the output is told there, and nothing that is none."""

from __future__ import annotations

import re
import typing

import msgspec
from recorded import ROOT

from tlsdissect import Limits
from tlsdissect.model import connection

TEXT = (ROOT / "docs" / "connection.md").read_text()
TOLD = frozenset(re.findall(r"`([a-z0-9_]+)`", TEXT))


def keys(kind: object) -> set[str]:
    """All keys of a type's objects, and of those inside; extensions have an RFC's."""
    found: set[str] = set()
    for inner in typing.get_args(kind):
        found |= keys(inner)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            found |= {field.encode_name} | keys(field.type)
    return found


def test_every_key_is_told() -> None:
    assert keys(connection.Connection) - TOLD == set()


def test_every_row_is_about_a_key_or_a_problem() -> None:
    heads = re.findall(r"^\| (`[^|]+`) \|", TEXT, re.MULTILINE)
    named = {name for head in heads for name in re.findall(r"`([a-z0-9_]+)`", head)}
    sources = "".join(path.read_text() for path in (ROOT / "tlsdissect").rglob("*.py"))
    codes = {name for name in named - keys(connection.Connection) if f'"{name}"' in sources}
    assert named - keys(connection.Connection) == codes
    assert {"inferred", "gap", "limit", "midstream"} <= codes


def test_help_tells_each_limit_with_its_default() -> None:
    unit = "seconds|connections|TCP connections|UDP flows|bytes|sessions"
    told = re.findall(rf"^    (\w+): ([0-9,]+) ({unit})\n {{8}}\w", Limits.__doc__, re.MULTILINE)
    defaults = {name: int(value.replace(",", "")) for name, value, _ in told}
    assert defaults == msgspec.structs.asdict(Limits())
