"""`tlsdissect extract`: what is extracted reads to the same facts, in tshark too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from extracting import captures, compared, differences, tshark
from recorded import ROOT, need

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = [path for path in captures() if path.is_relative_to(ROOT / "samples")]
OTHERS = [path for path in captures() if path not in SAMPLES]


@pytest.mark.parametrize("capture", SAMPLES[::4] + OTHERS[::25], ids=lambda path: path.name)
def test_an_extract_reads_to_the_same_facts(capture: Path, tmp_path: Path) -> None:
    need("tshark")
    for one in compared(capture, tmp_path, only=2):
        assert one.before == one.after, differences(one)
        read = tshark(one.extract, "-T", "fields", "-e", "frame.number")
        assert (read.returncode, read.stderr, len(read.stdout.split())) == (0, "", len(one.frames))
