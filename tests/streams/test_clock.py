"""The clock by which conversations become over, where not all packets tell their time."""

from __future__ import annotations

import numpy as np
import pytest

from tlsdissect.capture.packets import UNTIMED
from tlsdissect.streams.clock import Clock

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def shown(times: list[int], batch: int) -> list[int]:
    """What a clock shows at packets that come so many at a time."""
    clock, reached = Clock(), []
    for at in range(0, len(times), batch):
        reached += clock.at(np.array(times[at : at + batch], np.int64)).tolist()
        clock.now = reached[-1]
    return reached


each_batch = pytest.mark.parametrize("batch", [1, 2, 100])


@each_batch
def test_it_shows_times_and_never_goes_back(batch: int) -> None:
    assert shown([NOW, NOW + 5, NOW + 2, NOW + 9], batch) == [NOW, NOW + 5, NOW + 5, NOW + 9]


@each_batch
def test_it_stands_still_without_a_time(batch: int) -> None:
    assert shown([NOW, UNTIMED, NOW + 2, UNTIMED], batch) == [NOW, NOW, NOW + 2, NOW + 2]
    assert len(set(shown([UNTIMED] * 5, batch))) == 1


@each_batch
def test_what_came_before_the_first_time_is_not_old_thereby(batch: int) -> None:
    first, *rest = shown([UNTIMED, UNTIMED, NOW, UNTIMED, NOW + SECOND, NOW - SECOND], batch)
    assert [one - first for one in rest] == [0, 0, 0, SECOND, SECOND]


def test_time_passes_without_packets() -> None:
    clock = Clock()
    clock.pass_time(NOW)
    assert clock.at(np.array([NOW - 5, NOW + 5])).tolist() == [NOW, NOW + 5]
    clock.pass_time(NOW - 1)
    assert clock.now == NOW


def test_time_passes_from_where_it_is_counted() -> None:
    clock = Clock()
    clock.now = int(clock.at(np.array([UNTIMED]))[-1])
    before = clock.now
    clock.pass_time(NOW)
    assert clock.now == before  # nothing says how long ago that packet was
    clock.at(np.array([NOW]))
    clock.pass_time(NOW + SECOND)
    assert clock.now == before + SECOND
