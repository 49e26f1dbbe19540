from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.tls.code_point_lists import LONG_LIST, LongList, octets_of
from tlsdissect.tls.wire import Reader, WireError, decode_partially

if TYPE_CHECKING:
    from collections.abc import Callable


def test_numbers_are_big_endian() -> None:
    r = Reader(bytes(range(1, 11)))
    assert (r.u8(), r.u16(), r.uint(3), r.u32()) == (1, 0x0203, 0x040506, 0x0708090A)
    assert not r


@pytest.mark.parametrize(
    ("data", "number"),
    [("25", 37), ("7bbd", 15293), ("9d7f3e7d", 494878333), ("c2197c5eff14e88c", 151288809941952652)],
)
def test_varint_has_the_numbers_of_rfc_9000_appendix_a(data: str, number: int) -> None:
    assert Reader(bytes.fromhex(data)).whole(Reader.varint) == number


@pytest.mark.parametrize(
    "read",
    [
        Reader.u8,
        Reader.u16,
        lambda r: r.uint(3),
        Reader.u32,
        lambda r: r.opaque(2),
        lambda r: r.sized(1),
        lambda r: r.sized(2),
        lambda r: r.block(1),
        lambda r: r.part(2),
        lambda r: r.u8s(1),
        lambda r: r.u16s(1),
        lambda r: r.vector(1, Reader.u8),
    ],
)
@pytest.mark.parametrize("inside", [b"", b"\x07"])
def test_no_read_leaves_its_bounds(read: Callable[[Reader], Any], inside: bytes) -> None:
    def twice(r: Reader) -> Any:
        return read(r), read(r)

    with pytest.raises(WireError) as caught:
        twice(Reader(b"\xff" + inside + b"\xff" * 9, 1, 1 + len(inside)))
    assert "wanted" in str(caught.value)
    assert 1 <= caught.value.offset <= 1 + len(inside)


def test_the_outer_length_rules() -> None:
    with pytest.raises(WireError, match="9 bytes wanted, 1 left at byte 2"):
        Reader(b"\x02\x09\x01" + b"after" * 9).block(1).block(1)


def test_a_list_of_numbers_of_odd_length() -> None:
    with pytest.raises(WireError, match="3 bytes long at byte 1"):
        Reader(b"\x03abc").u16s(1)


def test_bytes_left_over() -> None:
    with pytest.raises(WireError, match="2 bytes left over at byte 1"):
        Reader(b"abc").whole(Reader.u8)


def test_items_before_a_malformed_one_are_told() -> None:
    def read(r: Reader) -> tuple[bytes, ...]:
        return r.vector_until_error(1, lambda r: r.sized(1))

    assert decode_partially(read, b"\x04\x01a\x01b") == ((b"a", b"b"), None)
    value, error = decode_partially(read, b"\x04\x01a\x09b")
    assert value == (b"a",)
    assert str(error) == "9 bytes wanted, 1 left at byte 4"
    value, error = decode_partially(read, b"\x08\x01a\x09b")
    assert value == (b"a",)
    assert str(error) == "8 bytes wanted, 4 left at byte 1"
    value, error = decode_partially(read, b"\x02\x01a-")
    assert value == (b"a",)
    assert str(error) == "1 bytes left over at byte 3"
    with pytest.raises(WireError, match="9 bytes wanted"):
        Reader(b"\x04\x01a\x09b").whole(read)


@given(st.lists(st.integers(0, 0xFFFF), max_size=40))
def test_lists_read_back(numbers: list[int]) -> None:
    data = b"".join(n.to_bytes(2, "big") for n in numbers)
    data = len(data).to_bytes(2, "big") + data
    assert Reader(data).u16s(2) == Reader(data).vector(2, Reader.u16) == tuple(numbers)


@given(st.binary(min_size=2 * LONG_LIST, max_size=3 * LONG_LIST).map(lambda data: data[: len(data) // 2 * 2]))
def test_long_lists_read_back(data: bytes) -> None:
    """A tuple of the 30,000 numbers that attacks send would take an object for each."""
    numbers = [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2)]
    one, other = [Reader(len(data).to_bytes(2, "big") + data).u16s(2) for _ in range(2)]
    assert isinstance(one, LongList)
    assert list(one) == numbers
    assert len(one) == len(numbers)
    assert [one[n] for n in range(len(numbers))] == numbers
    assert one == other
    assert hash(one) == hash(other)
    assert one != LongList(data + b"\0\0")
    assert octets_of(one) == data == octets_of(numbers)
    for n in (-1, len(numbers)):
        with pytest.raises(IndexError):
            one[n]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=5)), max_size=5), st.binary(max_size=6))
def test_tagged_items_in_one_go_are_those_read_one_by_one(items: list[tuple[int, bytes]], after: bytes) -> None:
    inside = b"".join(number.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body for number, body in items)
    data = len(inside).to_bytes(2, "big") + inside
    for whole in (data + after, (len(inside) + len(after)).to_bytes(2, "big") + inside + after):
        at_once, one_by_one = Reader(whole), Reader(whole)
        told = at_once.tagged(lambda number, body: (number, body))
        slowly = one_by_one.vector_until_error(2, lambda r: (r.u16(), r.sized(2)))
        assert told == (None if one_by_one.error else slowly)
        assert at_once.offset == (0 if one_by_one.error else one_by_one.offset)
    for cut in range(len(data)):
        assert Reader(data, 0, cut).tagged(lambda number, body: (number, body)) is None
