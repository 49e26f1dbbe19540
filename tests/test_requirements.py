"""tests/requirements.txt: what the tests install is locked, with hashes, and is what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from recorded import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"])]
TEXT = (ROOT / "tests" / "requirements.txt").read_text()
LOCKED = re.split(r"\n(?=[^\s#])", re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE))
PINNED = re.compile(r"[a-z0-9-]+==\S+ (?:; [^\\]+ )?\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+$")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def on(python: str) -> dict[str, str]:
    """The environment of a Python on Linux."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }


def locked(python: str) -> dict[str, str]:
    """The version of each distribution for a Python."""
    pinned = [Requirement(entry.partition("\\")[0]) for entry in LOCKED]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in pinned
        if one.marker is None or one.marker.evaluate(on(python))
    }


def test_every_entry_is_one_version_with_hashes() -> None:
    for entry in LOCKED:
        assert PINNED.match(entry), entry


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_is_what_is_asked_for(python: str) -> None:
    versions = locked(python)
    wrong = [
        str(one)
        for one in ASKED
        if (one.marker is None or one.marker.evaluate(on(python)))
        and ((found := versions.get(canonicalize_name(one.name))) is None or not one.specifier.contains(found))
    ]
    assert wrong == [], "run tests/versions lock"


def test_extras_ask_for_nothing_that_is_not_tested() -> None:
    """So that the lowest versions of the extras are tested with `tests/versions lowest`, too."""
    lowest = {one.name: one for one in ASKED}
    for name, lines in PROJECT["optional-dependencies"].items():
        for line in lines:
            one = Requirement(line)
            assert name == "notebooks" or (one.name in lowest and one.specifier == lowest[one.name].specifier), line
