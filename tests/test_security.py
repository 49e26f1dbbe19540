"""SECURITY.md and docs/security.md: the tests that they name exist, and each fault has its row."""

from __future__ import annotations

import re
from typing import Any

import pytest
from recorded import ROOT, script

TEXT = (ROOT / "SECURITY.md").read_text()
PAGE = (ROOT / "docs" / "security.md").read_text()


def rows(heading: str, text: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines[1:]]


def test_every_promise_names_tests_that_exist() -> None:
    promises = rows("What it promises", TEXT)
    assert len(promises) > 10
    for promise, tests in promises:
        named = re.findall(r"`(tests/[^`]+)`", tests)
        assert named, promise
        assert [name for name in named if not (ROOT / name).is_file()] == [], promise


@pytest.fixture(scope="module")
def faults() -> Any:
    return script(ROOT / "tests" / "faults")


def test_every_fault_has_a_row(faults: Any) -> None:
    told = [cells[0] for cells in rows("What faults leave behind", PAGE)]
    assert told == [fault.name for fault in faults.FAULTS]
