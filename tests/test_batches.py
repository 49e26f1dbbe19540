"""Output does not depend on how many packets are looked at together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from recorded import SAMPLES, SHARED

from tlsdissect.pipeline import Reading
from tlsdissect.transcript.options import Options

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (1, 7, 65_536)
SMALL = 64 << 10  # a packet at a time is slow
OTHERS = [
    path
    for path in sorted((SHARED / "captures").glob("*/*.pcap*"))
    if path.suffix != ".keys" and path.stat().st_size <= SMALL
]


def printed(path: Path, batch: int) -> bytes:
    return b"\n".join(map(msgspec.json.encode, Reading([path], Options(batch=batch))))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path) -> None:
    one, seven, all_at_once = (printed(sample, size) for size in SIZES)
    assert all_at_once
    assert one == all_at_once
    assert seven == all_at_once


@pytest.mark.skipif(not OTHERS, reason=f"no captures under {SHARED}: those of other projects are not part of this one")
def test_captures_of_other_projects() -> None:
    differ = [str(path) for path in OTHERS if len({told(path, size) for size in SIZES}) > 1]
    assert differ == []


def told(path: Path, batch: int) -> bytes | str:
    try:
        return printed(path, batch)
    except OSError as error:  # no capture at all: the same words for every size
        return str(error)
