"""Inputs that fuzzing found: each goes through its target again, with the kernel compiled and as pure Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fuzz.targets import TARGETS
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = sorted((ROOT / "tests" / "fuzz" / "corpus").glob("*/*"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_it_holds_now(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())
