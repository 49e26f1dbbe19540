"""What a capture tells does not depend on how its bytes were cut, ordered, wrapped and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mangle import WAYS, differences, segments, without
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


def test_some_samples_are_there() -> None:
    assert len(SAMPLES) > 20
