"""Lengths of protected records, by their suites."""

from __future__ import annotations

import pytest

from tlsdissect.handshake.encrypted_flight import is_guessed, sizes


@pytest.mark.parametrize(
    ("suite", "finished", "alert"),
    [
        (0x1301, 32 + 4 + 1 + 16, 2 + 1 + 16),
        (0x1302, 48 + 4 + 1 + 16, 2 + 1 + 16),
        (0x1305, 32 + 4 + 1 + 8, 2 + 1 + 8),
        (0xC0B4, 32 + 4 + 1 + 32, 2 + 1 + 32),
        (0xC0B5, 48 + 4 + 1 + 48, 2 + 1 + 48),
    ],
)
def test_finished_and_alert(suite: int, finished: int, alert: int) -> None:
    assert sizes(suite)[:2] == (finished, alert)
    assert not is_guessed(suite)


def test_of_a_suite_that_nobody_registered_it_is_a_guess() -> None:
    assert is_guessed(0x13FE)
