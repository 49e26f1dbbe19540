"""tests/faults: all commands are in it, and no fault leaves what it should not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from recorded import ROOT, script

from tlsdissect.cli import commands
from tlsdissect.cli.completion import PathName

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = ROOT / "tests" / "faults"
CONTEXT = click.Context(commands.tlsdissect)
GROUPS = 3
"""Processes that share the commands."""


@pytest.fixture(scope="module")
def faults() -> Any:
    return script(PROGRAM)


def paths(name: str) -> Iterator[str]:
    """Yield the options of a command whose value is a path."""
    command = commands.tlsdissect.get_command(CONTEXT, name)
    assert command is not None
    for one in command.params:
        if isinstance(one, click.Option) and (isinstance(one.type, PathName) or one.name == "output"):
            yield one.opts[0]


def test_every_command_is_there_with_every_option_that_writes(faults: Any) -> None:
    assert {*faults.WAYS, *faults.ELSEWHERE} == {*commands.tlsdissect.list_commands(CONTEXT)}
    assert all((ROOT / path).is_file() for path in faults.ELSEWHERE.values())
    for name in faults.WAYS:
        given = {faults.Way(name, words).place.partition(" ")[0] for words in faults.WAYS[name]}
        assert given - {"standard"} == set(paths(name)) - faults.READ, name


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_left_but_what_is_whole(faults: Any, group: int) -> None:
    command = [sys.executable, str(PROGRAM), "--runs", "1", *[*faults.WAYS][group::GROUPS]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 of " in done.stdout


def test_what_is_wrong_is_found(faults: Any) -> None:
    way = faults.Way("export", "--to {to} {capture}")
    whole = faults.Outcome(0, "", {faults.OUT: b"", "a.json": b"{}", "b.json": b"[]"}, [], False, 1)

    def found(**differences: Any) -> list[str]:
        given = {"status": 74, "said": "tlsdissect: full", "left": {}}
        outcome = whole._replace(**{**given, **differences})
        return faults.complaints(way, outcome, whole, {74}, exact=True)  # type: ignore[no-any-return]

    assert found() == found(left=whole.left) == []
    assert found(status=None) == ["hung"]
    assert found(status=1) == ["exit status 1"]
    assert found(said="Traceback") == ["Traceback on standard error", "no error line"]
    assert found(temporary=["x"]) == ["temporary file x"]
    assert found(left={"c.json": b"", **whole.left}) == ["unexpected file c.json", "not all tables"]
    assert found(left={"a.json": b"{}"}) == ["not all tables"]
    assert found(left={**whole.left, "a.json": b"{"}) == ["a.json is not whole"]
    assert found(status=0) == ["exit status 0", "success without a result"]


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        ("a.json", b'{"a": 1}\n{"b": 2}\n', True),
        ("a.json", b'{"a": 1}\n{"b"', False),
        ("a.svg", b"<svg></svg>", True),
        ("a.svg", b"<svg>", False),
        ("a.html", b"</script>\n", True),
        ("a.html", b"<p>", False),
        ("a.csv", b"a,b\n", True),
        ("a.csv", b"a,b\n1", False),
        ("a.pcapng", bytes.fromhex("01000000 0c000000 0c000000"), True),
        ("a.pcapng", bytes.fromhex("01000000 0c000000 0c00"), False),
        ("a.parquet", b"PAR1", False),
    ],
)
def test_what_is_whole(faults: Any, name: str, content: bytes, whole: bool) -> None:
    assert faults.is_whole(name, content) == whole
