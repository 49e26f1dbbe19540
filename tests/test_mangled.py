"""What a capture tells does not depend on how its bytes were cut, ordered, wrapped and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mangle import ETHERNET, UNTIMED, WAYS, differences, in_ethernet, pcapng, segments, without
from recorded import SAMPLES, facts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", WAYS)
def test_facts_stay_the_same(name: str, sample: Path, tmp_path: Path) -> None:
    way = WAYS[name]
    mangled = tmp_path / f"mangled{way.suffix}"
    mangled.write_bytes(way(segments(sample)))
    assert differences(without(facts(mangled), way.differ), without(facts(sample), way.differ)) == []


@pytest.mark.parametrize("time", [2**62, 2**62 + 1000, 2**63 - 1, 2**64 - 1])
def test_absurd_times_change_only_times(time: int, tmp_path: Path) -> None:
    path, sample = tmp_path / "absurd.pcapng", SAMPLES[0]
    path.write_bytes(
        pcapng([(time // 1000, frame) for one in segments(sample) for frame in in_ethernet(one)], ETHERNET)
    )
    assert differences(without(facts(path), UNTIMED), without(facts(sample), UNTIMED)) == []


def test_some_samples_are_there() -> None:
    assert len(SAMPLES) > 20
