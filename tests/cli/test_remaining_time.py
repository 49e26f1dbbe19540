"""The remaining time of a scan, on invented timings."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tlsdissect.cli.status_line import RemainingTime

A_BYTE, A_FILE = 2e-6, 0.1
"""Seconds."""
SIZES = [10_000_000] * 5 + [4_000_000] * 8 + [1000] * 385


def estimates(sizes: list[int], a_byte: float, a_file: float) -> list[tuple[float | None, float]]:
    """The estimate after each file, and the truth."""
    estimate = RemainingTime()
    estimate.observe(100.0, 0, 0)
    times = list(accumulate(size * a_byte + a_file for size in sizes))
    found = []
    for done, (now, size) in enumerate(zip(times, accumulate(sizes), strict=True), 1):
        estimate.observe(100.0 + now, size, done)
        found.append((estimate.seconds(sum(sizes) - size, len(sizes) - done), times[-1] - now))
    return found


def test_many_small_files_after_a_few_large_ones_are_counted() -> None:
    """With 99 % of the bytes read, 385 of 398 files are still to be read, and each takes its time."""
    told = estimates(SIZES, A_BYTE, A_FILE)
    assert told[12][1] == pytest.approx(385 * A_FILE, rel=0.05)
    assert told[12][0] == pytest.approx(told[12][1], rel=0.01)
    assert [one for one, _ in told[13:]] == pytest.approx([truth for _, truth in told[13:]], rel=0.01, abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "a_byte", "a_file"),
    [([1000] * 50, 1e-4, 0.05), ([0] * 50, 0.0, 0.05), ([9000, 500, 70], 1e-4, 0.0), ([9000, 500, 70], 0.0, 0.1)],
)
def test_files_of_one_size_empty_files_and_costs_of_one_kind(sizes: list[int], a_byte: float, a_file: float) -> None:
    for one, truth in estimates(sizes, a_byte, a_file)[1:]:
        assert one == pytest.approx(truth, rel=0.01, abs=1e-6)


def test_no_cost_is_negative() -> None:
    estimate = RemainingTime()
    assert estimate.seconds(10, 1) is None
    for now, size, files in ((0.0, 0, 0), (1.0, 1000, 1), (9.0, 1001, 2), (9.1, 5000, 30)):
        estimate.observe(now, size, files)
        assert (estimate.seconds(1000, 1) or 0.0) >= 0.0
    assert min(estimate.costs() or (-1.0,)) >= 0.0
