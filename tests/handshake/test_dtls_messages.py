"""Fragments of DTLS messages joined in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.handshake.dtls_messages import (
    COMPARED_BYTES,
    MAX_BEGUN,
    MAX_CONFLICTS,
    MAX_RUNS,
    RUN_BYTES,
    MessageBuffer,
    MessageConflict,
    MessageJoiner,
)
from tlsdissect.tls.dtls import Fragment

BODY = bytes(range(200))


def part(start: int, end: int, *, message_seq: int = 1) -> Fragment:
    return Fragment(11, len(BODY), message_seq, start, BODY[start:end])


@given(
    st.lists(st.tuples(st.integers(0, 199), st.integers(0, 200)), max_size=12),
    st.permutations(range(0, 200, 25)),
    st.randoms(use_true_random=False),
)
def test_fragments_in_any_order_with_overlaps_make_the_message(
    extra: list[tuple[int, int]], starts: list[int], random: object
) -> None:
    joiner = MessageJoiner()
    parts = [part(start, start + 25) for start in starts] + [part(min(pair), max(pair)) for pair in extra]
    random.shuffle(parts)  # type: ignore[attr-defined]
    joined = []
    for number, one in enumerate(parts):
        joined.append(joiner.add(one, number, number))
        assert joiner.conflict is None
    messages = [one for one in joined if one is not None]
    assert [(one.body, one.start) for one in messages] == [(BODY, 0)]
    assert joiner.held_bytes == 0
    assert joiner.incomplete() == []


def test_of_overlapping_bytes_the_first_count() -> None:
    joiner = MessageJoiner()
    assert joiner.add(Fragment(11, 4, 0, 1, b"ab"), 0, 0) is None
    joined = joiner.add(Fragment(11, 4, 0, 0, b"1234"), 9, 9)
    assert joined is not None
    assert joined.body == b"1ab4"
    assert joined.fragments == 2
    assert joiner.conflict == MessageConflict(0, 1, b"ab", b"23", 0)


@given(
    st.lists(st.tuples(st.integers(0, 199), st.integers(0, 200)), min_size=1, max_size=12),
    st.integers(0, 199),
    st.integers(1, 255),
)
def test_a_fragment_with_another_byte_is_a_conflict_if_the_byte_is_known(
    extra: list[tuple[int, int]], place: int, change: int
) -> None:
    """Also of a complete message, and once for each message."""
    joiner, known, other = MessageJoiner(), set[int](), bytearray(BODY)
    other[place] ^= change
    complete = 0
    for number, pair in enumerate(extra, 1):
        start, end = min(pair), max(pair)
        joiner.add(part(start, end), 0, number)
        known.update(range(start, end))
        complete = complete or (number if len(known) == len(BODY) else 0)
    data = bytes(other)
    for again in (True, False):
        joiner.add(Fragment(11, len(BODY), 1, 0, data), 0, 99)
        if place in known and again:
            assert joiner.conflict is not None
            assert joiner.conflict[:4] == (1, place, BODY[place : place + 1], data[place : place + 1])
            frame = joiner.conflict.frame
            # Of a complete message, it is the frame that completed it.
            assert frame == complete if complete else min(extra[frame - 1]) <= place < max(extra[frame - 1])
        else:
            assert joiner.conflict is None


def test_a_hello_verify_request_may_have_another_cookie() -> None:
    joiner = MessageJoiner()
    for cookie in (b"1234", b"4321"):
        joiner.add(Fragment(3, 4, 0, 0, cookie), 0, 0)
        assert joiner.conflict is None


def test_what_is_kept_to_be_compared_is_limited() -> None:
    joiner, conflicts = MessageJoiner(), 0
    for byte in (b"a", b"b"):
        for number in range(MAX_CONFLICTS + 1):
            joiner.add(Fragment(11, 100, number, 0, byte * 100), 0, 0)
            conflicts += joiner.conflict is not None
    assert (conflicts, joiner.compared_bytes) == (MAX_CONFLICTS, 100 * (MAX_CONFLICTS + 1))
    joiner, size = MessageJoiner(), COMPARED_BYTES // 2
    for byte in (b"a", b"b"):
        for number, length in enumerate((size, size + 1, size)):
            joiner.add(Fragment(11, length, number, 0, byte * length), 0, 0)
            assert (joiner.conflict is not None) == (byte == b"b" and length == size)
    assert joiner.compared_bytes == COMPARED_BYTES


def test_a_message_without_bytes_is_complete() -> None:
    joined = MessageJoiner().add(Fragment(14, 0, 3, 0, b""), 7, 7)
    assert joined is not None
    assert (joined.body, joined.start, joined.fragments) == (b"", 7, 1)


def test_retransmissions_are_counted_by_the_beginning_of_a_message() -> None:
    joiner = MessageJoiner()
    for start, end in [(0, 100), (100, 200), (0, 150), (150, 200), (0, 200)]:
        joiner.add(part(start, end), 0, 0)
    assert joiner.retransmitted == 2
    assert joiner.is_complete(part(100, 200))
    # A beginning that comes again before the message is complete.
    joiner.add(part(0, 100, message_seq=2), 0, 0)
    joiner.add(part(0, 100, message_seq=2), 0, 0)
    assert joiner.retransmitted == 3
    assert not joiner.is_complete(part(100, 200, message_seq=2))


def test_two_messages_with_one_number_are_both_joined() -> None:
    joiner = MessageJoiner()
    assert joiner.add(Fragment(3, 3, 0, 0, b"abc"), 0, 0) is not None
    assert joiner.add(Fragment(2, 5, 0, 0, b"hello"), 0, 0) is not None


def test_the_beginning_of_an_incomplete_message_is_returned() -> None:
    joiner = MessageJoiner()
    joiner.add(part(50, 60), 3, 3)
    joiner.add(part(0, 20), 4, 4)
    (begun,) = joiner.incomplete()
    assert (begun.body, begun.length, begun.start) == (BODY[:20], 200, 3)
    assert joiner.held_bytes == 30 + 3 * RUN_BYTES


def test_the_message_that_began_first_is_given_up_when_there_are_too_many() -> None:
    joiner = MessageJoiner()
    for number in range(MAX_BEGUN + 1):
        joiner.add(part(0, 10, message_seq=number), 0, 0)
    assert joiner.given_up == 1
    assert [one.message_seq for one in joiner.incomplete()] == list(range(1, MAX_BEGUN + 1))
    assert joiner.held_bytes == MAX_BEGUN * (10 + 2 * RUN_BYTES)


def test_runs_beyond_the_limit_are_left_out() -> None:
    buffer = MessageBuffer(0)
    for at in range(0, 4 * MAX_RUNS, 2):
        buffer.add(at, b"x")
    assert buffer.received == MAX_RUNS


def test_a_stated_length_takes_no_memory() -> None:
    joiner = MessageJoiner()
    joiner.add(Fragment(11, (1 << 24) - 1, 0, (1 << 24) - 2, b"x"), 0, 0)
    assert joiner.held_bytes == 1 + 2 * RUN_BYTES
