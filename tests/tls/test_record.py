"""Records and messages, however they are cut."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.tls.record import APPLICATION_DATA, HANDSHAKE, MAX_MESSAGE, MessageJoiner, RecordReader, is_header

MESSAGES = [(1, b"hello" * 40), (14, b""), (11, bytes(3000)), (20, b"finished")]


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return struct.pack(">BHH", kind, version, len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.lists(st.integers(1, 4000), max_size=20), st.lists(st.integers(1, 4000), max_size=20))
def test_any_cut_gives_the_messages(fragments: list[int], segments: list[int]) -> None:
    plain = b"".join(message(*m) for m in MESSAGES)
    stream = b"".join(record(HANDSHAKE, part) for part in cut(plain, fragments)) + record(APPLICATION_DATA, bytes(50))
    reader, joiner, got, data = RecordReader(), MessageJoiner(), [], 0
    for segment in cut(stream, segments):
        for one in reader.feed(segment):
            if one.fragment is None:
                data += 1
            else:
                got += [(m.handshake_type, m.body) for m in joiner.feed(one.fragment, one.start)]
    assert got == MESSAGES
    assert data == 1
    assert (reader.position, reader.skip, reader.astray) == (len(stream), 0, None)


def test_a_message_starts_where_the_record_of_its_header_does() -> None:
    joiner = MessageJoiner()
    both = message(1, b"a") + message(2, b"bb")
    assert [m.start for m in joiner.feed(both[:7], 100)] == [100]
    assert [m.start for m in joiner.feed(both[7:], 200)] == [100]


def test_an_impossible_length_is_malformed_and_holds_nothing_up() -> None:
    joiner = MessageJoiner()
    assert joiner.feed(b"\x01" + MAX_MESSAGE.to_bytes(3, "big"), 7) == []
    assert joiner.malformed == 7
    assert [m.body for m in joiner.feed(message(14, b""), 9)] == [b""]


def test_a_million_fragments_of_one_byte_are_joined_in_one_go() -> None:
    joiner = MessageJoiner()
    whole = message(11, bytes(200_000))
    got = [m for n in range(len(whole)) for m in joiner.feed(whole[n : n + 1], 0)]
    assert [len(m.body) for m in got] == [200_000]


@given(st.integers(4, 90), st.lists(st.integers(1, 100), max_size=20))
def test_what_is_to_come_of_a_message_that_was_given_up_is_stepped_over(come: int, sizes: list[int]) -> None:
    joiner = MessageJoiner()
    long, next_one = message(11, bytes(range(100))), message(14, b"")
    assert joiner.feed(long[:come], 5) == []
    assert joiner.give_up() == (long[:come], 5)
    assert joiner.waiting == 0
    parts = cut(long[come:] + next_one, list(itertools.accumulate(sizes)))
    assert [m.handshake_type for part in parts for m in joiner.feed(part, 9)] == [14]


def test_lost_bytes_in_a_body_keep_the_reader_in_step() -> None:
    reader = RecordReader()
    reader.feed(record(APPLICATION_DATA, bytes(100))[:50])
    assert reader.lost(55) == []
    assert [r.content_type for r in reader.feed(record(HANDSHAKE, message(14, b"")))] == [HANDSHAKE]


def test_lost_bytes_in_a_handshake_record_spoil_it_alone() -> None:
    reader = RecordReader()
    reader.feed(record(HANDSHAKE, bytes(100))[:50])
    spoilt = reader.lost(30)
    assert [(r.content_type, r.fragment, r.whole) for r in spoilt] == [(HANDSHAKE, bytes(45), False)]
    rest = reader.feed(bytes(25) + record(HANDSHAKE, message(14, b"")))
    assert [r.fragment for r in rest] == [message(14, b"")]


def test_a_lost_header_puts_the_reader_out_of_step_until_a_piece_begins_with_one() -> None:
    reader = RecordReader()
    assert reader.lost(10) == []
    assert reader.astray == 10
    assert reader.feed(b"middle of something") == []
    assert [r.start for r in reader.feed(record(HANDSHAKE, b"body"))] == [29]


def test_what_is_no_header_is_told_with_its_place() -> None:
    reader = RecordReader()
    assert len(reader.feed(record(HANDSHAKE, b"body") + b"GET / HTTP/1.1\r\n")) == 1
    assert reader.astray == 9


@pytest.mark.parametrize("minor", [0, 5, 0x7F, 255])
def test_any_minor_version_is_one_of_a_record(minor: int) -> None:
    """RFC 8446 section 5.1, RFC 5246 appendix E.1."""
    sent = bytearray(record(HANDSHAKE, message(14, b"")))
    sent[2] = minor
    reader = RecordReader()
    assert [r.version for r in reader.feed(bytes(sent))] == [0x0300 + minor]
    assert is_header(bytes(sent))
    # Behind bytes that are missing, only a version that the sender is known to use.
    reader.lost(10)
    assert [r.version for r in reader.feed(bytes(sent))] == [0x0300 + minor]
    stranger = RecordReader()
    stranger.lost(10)
    assert len(stranger.feed(bytes(sent))) == (minor <= 4)


def test_headers() -> None:
    assert is_header(b"\x16\x03\x01\x00\x05")
    assert is_header(b"\x17\x03\x03\x00\x00")
    assert not is_header(b"\x16\x03\x01\x00\x00")
    assert not is_header(b"\x16\x03\x01\xff\xff")
    assert not is_header(b"\x16\x02\x00\x00\x05")
    assert not is_header(b"\x16\x03\x01\x00")
