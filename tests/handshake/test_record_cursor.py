"""Application data that is stepped over, held to what a reading of record after record finds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.capture.packet import Packet
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.flow import TcpSide
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.direction import Direction
from tlsdissect.handshake.record_cursor import EVERY, NONE, PADDING, RecordCursor, starts_with_hello
from tlsdissect.handshake.segments import new_segment
from tlsdissect.tls.record import RecordReader

ALERT = 19
DATA = st.integers(20, 900).map(lambda size: b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size))
ODD = st.sampled_from([b"\x17\x03\x03\x00\x13" + bytes(ALERT), b"\x15\x03\x03\x00\x02\x01\x00", b"GET /", b"\x17\x03"])


def segment(sequence: int, payload: bytes) -> Packet:
    packet = Packet()
    packet.data, packet.payload = b"before" + payload + b"behind", 6
    packet.sequence, packet.length, packet.captured = sequence & 0xFFFFFFFF, len(payload), len(payload)
    return packet


def cursor_at(position: int, ahead: int, notable: int) -> RecordCursor:
    cursor = RecordCursor()
    cursor.set(position, ahead, notable)
    return cursor


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 7, 700]),
    st.sampled_from([NONE, ALERT, EVERY]),
    st.lists(DATA | ODD, min_size=1, max_size=8),
    st.sets(st.integers(1, 4000), max_size=6),
)
def test_only_packets_that_say_nothing_are_stepped_over(
    first: int, ahead: int, notable: int, records: list[bytes], cuts: set[int]
) -> None:
    data = bytes(ahead) + b"".join(records)
    places = sorted({0, len(data)} | {cut for cut in cuts if cut < len(data)})
    cursor, reader = cursor_at(first, ahead, notable), RecordReader()
    reader.jump(0, ahead)
    for begin, end in pairwise(places):
        packet = segment(first + begin, data[begin:end])
        passed = cursor.passes(packet)
        between = reader.is_between() or bool(reader.skip)
        found = reader.feed(data[begin:end])
        silent = all(record.content_type == 23 and notable not in (EVERY, record.length) for record in found)
        known = reader.astray is None and (reader.is_between() or bool(reader.skip))
        # A segment that is as short as padding may be padding.
        assert passed == (end - begin > PADDING and between and silent and known)
        if not passed:
            return
        assert cursor.position == (first + end) & 0xFFFFFFFF
        assert cursor.ahead == reader.skip
        assert cursor.take_passed() == end - begin


def test_what_is_not_in_order_or_not_whole_is_looked_at() -> None:
    cursor, record = cursor_at(100, 0, NONE), b"\x17\x03\x03\x00\x20" + bytes(32)
    cut = segment(100, record)
    cut.length += 10
    assert not cursor.passes(segment(101, record))
    assert not cursor.passes(cut)
    assert not RecordCursor().passes(segment(0, record))
    assert cursor.passes(segment(100, record))
    assert not cursor.passes(segment(100, record))


def test_a_direction_is_as_far_as_its_cursor_after_more_bytes_than_sequence_numbers() -> None:
    direction = Direction(Budget(Limits()), TcpSide())
    direction.assembler.start(100)
    direction.cursor.set(100, 0, NONE)
    packet = segment(100, (b"\x17\x03\x03\x40\x00" + bytes(0x4000)) * 1024)
    while direction.cursor.passed < 2**32:
        packet.sequence = direction.cursor.position
        assert direction.cursor.passes(packet)
    passed = direction.cursor.passed
    direction.catch_up()
    assert direction.assembler.position == direction.reader.position == direction.payload == passed


def test_a_direction_does_not_go_back_to_its_cursor() -> None:
    direction = Direction(Budget(Limits()), TcpSide())
    direction.assembler.start(100)
    direction.cursor.set(100, 0, NONE)
    direction.add(new_segment(0, 1, 0, 0, 100, 0, 23, b"", b"\x16\x03\x01" + bytes(20), -1, -1))
    direction.catch_up()
    assert direction.assembler.position == direction.payload == 23


def test_a_hello_is_told_by_its_headers() -> None:
    hello = b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03"
    assert starts_with_hello(hello)
    assert not starts_with_hello(hello[:-1])
    assert not starts_with_hello(b"\x16\x03\x01\x00\x40\x0b" + hello[6:])
