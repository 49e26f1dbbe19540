"""A stream comes out whole, however its segments came in."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.flows.reassembly import OVERHEAD, Assembler, PlacedSegment

STREAM = bytes(range(256)) * 3


@st.composite
def segments(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Cuts of the stream that cover it, with others that repeat and overlap, in any order."""
    cuts = sorted(draw(st.sets(st.integers(1, len(STREAM) - 1), max_size=12)) | {0, len(STREAM)})
    cover = list(itertools.pairwise(cuts))
    ends = st.integers(0, len(STREAM))
    more = draw(st.lists(st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair))), max_size=6))
    return draw(st.permutations(cover + [(a, b) for a, b in more if a < b]))


@given(segments(), st.integers(0, 2**32 - 1))
def test_any_order_gives_the_stream(cuts: list[tuple[int, int]], first: int) -> None:
    assembler = Assembler()
    assembler.start(first)
    out = b""
    for number, (start, end) in enumerate(cuts, 1):
        for placed in assembler.feed((first + start) % 2**32, STREAM[start:end], end - start, number, number):
            assert placed.offset == len(out)
            assert placed.frame == number
            out += placed.data
    assert out == STREAM
    assert assembler.held_bytes == 0
    assert not assembler.is_holding()


@given(segments(), st.integers(0, 2**32 - 1), st.sets(st.integers(1, 20)))
def test_merging_what_is_held_changes_no_byte(cuts: list[tuple[int, int]], first: int, merged: set[int]) -> None:
    plain, assembler = Assembler(), Assembler()
    for one in (plain, assembler):
        one.start(first)
    for number, (start, end) in enumerate(cuts, 1):
        segment = ((first + start) % 2**32, STREAM[start : end - number % 2], end - start, number, number)
        expected, found = plain.feed(*segment), assembler.feed(*segment)
        bytes_of = [b"".join(one.data.ljust(one.size, b"?") for one in arrivals) for arrivals in (expected, found)]
        assert bytes_of[0] == bytes_of[1]
        assert {one.frame for one in found} <= {number}
        if number in merged:
            assembler.merge()
    assert not assembler.is_holding()
    assert assembler.held_bytes == 0


def test_bytes_that_were_cut_off_a_segment_are_those_of_another_one() -> None:
    """The snap length cut the segment at offset 1 after a byte; a byte of its rest was sent again."""
    assembler = Assembler()
    assembler.start(0)
    for frame, (offset, data, size) in enumerate([(1, b"b", 4), (3, b"d", 1)], 1):
        assert assembler.feed(offset, data, size, frame, frame) == ()
    found = assembler.feed(0, b"a", 1, 3, 3)
    assert b"".join(one.data.ljust(one.size, b"?") for one in found) == b"ab?d?"
    assert [one.offset for one in found] == [0, 1, 3]
    assert assembler.position == 5


def test_adjacent_segments_take_less_memory_once_they_are_merged() -> None:
    assembler = Assembler()
    assembler.start(0)
    for at in range(200, 0, -1):
        assembler.feed(at, STREAM[at - 1 : at + 1], 2, 1, 1)
    assembler.merge()
    assert assembler.held_bytes == 201 + OVERHEAD
    for at in range(400, 300, -2):
        assembler.feed(at, STREAM[at : at + 1], 1, 1, 1)
    assembler.merge()
    held = assembler.held_bytes
    for at in range(500, 420, -2):
        assembler.feed(at, STREAM[at : at + 1], 1, 1, 1)
    assembler.merge()
    assert assembler.held_bytes == held + 40 * (1 + OVERHEAD)


@given(segments(), st.integers(0, 2**32 - 1), st.data())
def test_what_is_lost_or_cut_moves_nothing(cuts: list[tuple[int, int]], first: int, data: st.DataObject) -> None:
    """With segments missing and others cut by the capture, every byte still comes once, in order, at its offset."""
    assembler = Assembler()
    assembler.start(first)
    end = 0

    def deliver(arrivals: tuple[PlacedSegment, ...], latest: int) -> None:
        nonlocal end
        for placed in arrivals:
            assert placed.offset == end
            assert placed.data == STREAM[end : end + len(placed.data)]
            assert len(placed.data) <= placed.size
            assert latest <= placed.frame <= len(cuts)
            end = placed.end
        assert assembler.position == end

    for number, (start, stop) in enumerate(cuts, 1):
        if data.draw(st.booleans(), "in the capture"):
            captured = data.draw(st.integers(start, stop), "captured up to")
            deliver(
                assembler.feed((first + start) % 2**32, STREAM[start:captured], stop - start, number, number), number
            )
    while assembler.is_holding():
        next_held = assembler.next_held
        hole, arrivals = assembler.give_up()
        assert hole == next_held - end > 0
        end = next_held
        deliver(arrivals, 1)
    assert assembler.held_bytes == 0


@given(st.integers(0, 2**40), st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_offsets_and_sequence_numbers_are_the_same_places(position: int, first: int, ahead: int) -> None:
    assembler = Assembler()
    assembler.start(first)
    assembler.skip(position)
    assert assembler.position == position
    assert assembler.sequence(position) == (first + position) % 2**32
    assert assembler.offset(assembler.sequence(position + ahead)) == position + ahead


def test_a_hole_that_is_given_up_is_told_with_its_size() -> None:
    assembler = Assembler()
    assembler.start(100)
    assert assembler.feed(110, b"later", 5, 1, 1) == ()
    assert assembler.feed(115, b"still", 5, 2, 2) == ()
    hole, arrivals = assembler.give_up()
    assert hole == 10
    assert [(a.offset, a.data, a.frame) for a in arrivals] == [(10, b"later", 1), (15, b"still", 2)]
    assert not assembler.is_holding()


def test_what_is_held_is_counted_and_can_be_dropped() -> None:
    assembler = Assembler()
    assembler.start(100)
    assert not assembler.advance(110, 5)
    assembler.feed(110, b"later", 5, 1, 1)
    assert assembler.held_bytes == 5 + OVERHEAD
    assert not assembler.advance(100, 10)
    assembler.drop_held()
    assert (assembler.held_bytes, assembler.is_holding()) == (0, False)
    assert assembler.advance(100, 10)
    assert assembler.position == 10


def test_what_a_hole_held_up_is_as_late_as_what_fills_it() -> None:
    assembler = Assembler()
    assembler.start(0)
    assembler.feed(3, b"def", 3, 1, 10)
    filled = assembler.feed(0, b"abc", 3, 2, 20)
    assert [(a.data, a.frame, a.time) for a in filled] == [(b"abc", 2, 20), (b"def", 2, 20)]


def test_the_first_copy_of_a_byte_counts() -> None:
    assembler = Assembler()
    assembler.start(0)
    first = assembler.feed(0, b"abcd", 4, 1, 1)
    again = assembler.feed(2, b"XXef", 4, 2, 2)
    assert [a.data for a in first + again] == [b"abcd", b"ef"]


def test_a_segment_that_the_capture_cut_keeps_its_place() -> None:
    assembler = Assembler()
    assembler.start(0)
    cut = assembler.feed(0, b"ab", 10, 1, 1)
    after = assembler.feed(10, b"cd", 2, 2, 2)
    assert (cut[0].data, cut[0].end, after[0].offset) == (b"ab", 10, 10)


def test_sequence_numbers_wrap_again_and_again() -> None:
    assembler = Assembler()
    assembler.start(0)
    step = 1 << 30
    for turn in range(9):
        assert assembler.offset(turn * step % 2**32) == turn * step
        assembler.skip(step)
    assert assembler.position == 9 * step


def test_of_two_copies_behind_a_hole_the_first_counts() -> None:
    assembler = Assembler()
    assembler.start(0)
    assert assembler.feed(2, b"zz", 2, 1, 0) == ()
    assert assembler.feed(2, b"aa", 2, 2, 0) == ()
    assert b"".join(one.data for one in assembler.feed(0, b"--", 2, 3, 0)) == b"--zz"
