"""Parts of bytes: compiled code cuts them out through a pointer, which has no bounds of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.capture.octets import cut

PLACES = st.integers(0, 40) | st.integers(0, (1 << 63) - 1)


@given(st.binary(max_size=32), PLACES, PLACES)
def test_a_part_is_the_slice(data: bytes, start: int, end: int) -> None:
    assert cut(data, start, end) == data[start:end]


@given(st.binary(max_size=32), st.integers(-(1 << 63), -1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_nothing_comes_before_the_first_byte(data: bytes, start: int, end: int) -> None:
    assert cut(data, start, end) == b""


def test_none_has_no_parts() -> None:
    with pytest.raises(TypeError):
        cut(None, 0, 1)  # type: ignore[arg-type]
