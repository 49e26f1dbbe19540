"""Sequence numbers count modulo 2**32."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.flows.sequence import add, difference

NUMBERS = st.integers(0, 2**32 - 1)
STREAM_OFFSETS = st.integers(-(2**61), 2**61)


@given(NUMBERS, st.integers(-(2**31), 2**31 - 1))
def test_a_difference_undoes_an_addition(sequence: int, octets: int) -> None:
    assert 0 <= add(sequence, octets) < 2**32
    assert difference(add(sequence, octets), sequence) == octets


@given(STREAM_OFFSETS, STREAM_OFFSETS)
def test_numbers_beyond_32_bits_are_taken_modulo(one: int, other: int) -> None:
    assert add(one, other) == (one + other) % 2**32
    assert -(2**31) <= difference(one, other) < 2**31
    assert (difference(one, other) - (one - other)) % 2**32 == 0


def test_the_farthest_number_is_behind() -> None:
    assert difference(0, 2**32 - 1) == 1
    assert difference(2**31 - 1, 0) == 2**31 - 1
    assert difference(2**31, 0) == -(2**31)
