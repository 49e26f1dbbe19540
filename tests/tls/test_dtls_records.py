"""Datagrams split into DTLS records, and records into fragments."""

from __future__ import annotations

import pytest
from dtlswriting import ALERT, APPLICATION_DATA, HANDSHAKE, cid_record, fragment, record, unified
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.tls.dtls import CISCO, TLS12_CID, read_fragments, read_records
from tlsdissect.tls.record import MAX_FRAGMENT


def test_several_records_of_a_datagram_are_split() -> None:
    data = record(HANDSHAKE, fragment(14, 3, b""), sequence=5) + record(APPLICATION_DATA, b"x" * 20, epoch=1)
    first, second = read_records(data, 0, len(data))
    assert (first.content_type, first.epoch, first.sequence, first.fragment) == (22, 0, 5, fragment(14, 3, b""))
    assert (second.start, second.body, second.end) == (first.end, first.end + 13, len(data))
    assert second.fragment is None


@pytest.mark.parametrize("version", [0xFEFF, 0xFEFD, 0xFEFC, CISCO])
def test_each_version_is_read(version: int) -> None:
    data = record(ALERT, b"\x02\x28", version=version)
    assert [one.version for one in read_records(data, 0, len(data))] == [version]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16",
        record(HANDSHAKE, b"x")[:-2],
        record(30, b"x"),
        record(HANDSHAKE, b"x", version=0x0303),
        record(HANDSHAKE, b"x" * (MAX_FRAGMENT + 1)),
        unified(2, b"x" * 15),
        unified(2, b"x" * 30)[:-1],
        unified(2, b"x" * (MAX_FRAGMENT + 1)),
        cid_record(b"1234", b"x" * 20)[:14],
    ],
)
def test_what_is_no_record_is_left(data: bytes) -> None:
    assert read_records(data, 0, len(data), cid_length=4) == []


def test_the_record_that_the_snap_length_cuts_is_read_as_far_as_it_goes() -> None:
    data = record(HANDSHAKE, fragment(11, 2, b"x" * 100))
    (cut,) = read_records(data[:60], 0, len(data))
    assert not cut.whole
    assert cut.fragment == fragment(11, 2, b"x" * 100)[:47]
    parts, sound = read_fragments(cut)
    assert [len(part.data) for part in parts] == [35]
    assert sound


def test_a_connection_id_is_found_by_its_length() -> None:
    data = cid_record(b"abcd", b"x" * 20) + record(APPLICATION_DATA, b"y", epoch=1)
    first, second = read_records(data, 0, len(data), cid_length=4)
    assert (first.content_type, first.connection_id, first.length, first.epoch) == (TLS12_CID, b"abcd", 20, 1)
    assert second.length == 1


def test_a_record_with_a_connection_id_of_unknown_length_extends_to_the_end() -> None:
    data = cid_record(b"abcd", b"x" * 20) + record(APPLICATION_DATA, b"y", epoch=1)
    assert [one.end for one in read_records(data, 0, len(data), cid_length=None)] == [len(data)]
    data = unified(3, b"x" * 20, cid=b"abcd") + unified(3, b"x" * 20)
    assert [one.end for one in read_records(data, 0, len(data), cid_length=None)] == [len(data)]


@pytest.mark.parametrize("two_bytes", [False, True])
@pytest.mark.parametrize("cid", [b"", b"abcd"])
def test_a_unified_header_is_read(two_bytes: bool, cid: bytes) -> None:
    first = unified(2, b"x" * 40, two_bytes=two_bytes, cid=cid)
    last = unified(3, b"x" * 30, two_bytes=two_bytes, cid=cid, length=False)
    one, two = read_records(first + last, 0, len(first + last), cid_length=len(cid))
    assert (one.content_type, one.epoch, one.length, one.connection_id) == (HANDSHAKE, 2, 40, cid)
    assert (two.content_type, two.epoch, two.length, two.end) == (APPLICATION_DATA, 3, 30, len(first + last))
    assert one.is_unified
    assert one.fragment is None


def test_a_record_holds_several_fragments() -> None:
    body = fragment(2, 1, b"hello") + fragment(11, 2, b"part", length=10, offset=3)
    (one,) = read_records(record(HANDSHAKE, body), 0, 13 + len(body))
    parts, sound = read_fragments(one)
    assert [(part.handshake_type, part.message_seq, part.length, part.offset, part.data) for part in parts] == [
        (2, 1, 5, 0, b"hello"),
        (11, 2, 10, 3, b"part"),
    ]
    assert sound


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\x00",
        fragment(2, 1, b"hello") + b"\x00",
        fragment(2, 1, b"hello")[:-1],
        fragment(2, 1, b"hello", length=6, offset=2),
    ],
)
def test_a_malformed_fragment_is_reported(body: bytes) -> None:
    (one,) = read_records(record(HANDSHAKE, body), 0, 13 + len(body))
    assert not read_fragments(one)[1]


@given(st.binary(max_size=200), st.integers(0, 400), st.none() | st.integers(0, 255))
def test_any_bytes_are_split_into_records_in_order(data: bytes, end: int, cid_length: int | None) -> None:
    at = 0
    for one in read_records(data, 0, end, cid_length):
        assert one.start == at
        assert at < one.body <= one.end <= end
        at = one.end
        read_fragments(one)
