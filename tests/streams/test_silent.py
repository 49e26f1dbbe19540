"""Headers of conversations in which nobody has said anything, looked at all at once and one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.streams.headers import MOST, Headers, look
from tlsdissect.streams.threeway import UNSEEN, ThreeWay

FIN, SYN, RST, ACK = 1, 2, 4, 16
NUMBERS = st.sampled_from([0, 1, 2, 0xFFFFFFFF])
HEADER = st.tuples(
    st.sampled_from([0, 1]),
    st.sampled_from([SYN, SYN | ACK, ACK, ACK, RST, RST | ACK, FIN | ACK]),
    st.integers(-2, 50),
    NUMBERS,
    NUMBERS,
)
CONVERSATIONS = st.lists(st.lists(HEADER, min_size=1, max_size=MOST + 4), min_size=1, max_size=6)


@given(CONVERSATIONS, CONVERSATIONS)
def test_by_column_is_as_one_by_one(before: list[list[tuple[int, ...]]], after: list[list[tuple[int, ...]]]) -> None:
    one_by_one = [UNSEEN] * 6
    by_column = np.array([UNSEEN] * 6, np.int64)
    for conversations in (before, after):
        rows = [(owner, *row) for owner, headers in enumerate(conversations) for row in headers]
        owner, sender, flags, time, sequence, acknowledgement = np.array(rows, np.int64).T
        frames = np.arange(len(rows))
        left = look(by_column, Headers(owner, sender, frames, flags, time, sequence, acknowledgement)).tolist()
        for index, headers in enumerate(conversations):
            numbers = frames[owner == index].tolist()
            shown = [
                (frame, time, sender, flags, seq, ack, 0, 0, 0, 0)
                for frame, (sender, flags, time, seq, ack) in zip(numbers, headers, strict=True)
            ]
            way = ThreeWay.unpacked(one_by_one[index])
            way.see_headers(shown)  # type: ignore[arg-type]
            one_by_one[index] = way.packed()
            if index in left:
                assert len(headers) > MOST or None not in way.fins
                by_column[index] = one_by_one[index]
        assert by_column.tolist() == one_by_one


def test_times_before_1970_are_times() -> None:
    way = np.array([UNSEEN], np.int64)
    plain = np.array([0, 1, 0]), np.array([SYN, SYN | ACK, ACK]), np.array([-9, -8, -7])
    look(
        way,
        Headers(np.zeros(3, np.int64), plain[0], np.arange(3), *plain[1:], np.array([4, 7, 5]), np.array([0, 5, 8])),
    )
    assert way[0, :3].tolist() == [-9, -8, -7]
