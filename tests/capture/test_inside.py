"""Packets inside one packet: no byte is read twice, and no packet holds more of them than it has room for."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import TYPE_CHECKING

import building as b
import pytest
from rows import rows_of

from tlsdissect.capture import open_capture
from tlsdissect.capture.headers import MAX_INSIDE
from tlsdissect.capture.protocols import LINK_TYPE
from tlsdissect.capture.reader import READERS
from tlsdissect.capture.sflow import sampled_packets

if TYPE_CHECKING:
    from rows import Read

    from tlsdissect.capture.headers import Headers

DATAGRAM = b.ip4(b.udp(b""), 17)
QOS_DATA = b"\x88\x00" + bytes(22) + b"\x80\x00"
"""A QoS data frame of 802.11 that holds an A-MSDU."""
SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"


def sflow(*samples: bytes) -> bytes:
    """An sFlow datagram."""
    return struct.pack(">7I", 5, 1, 1, 1, 1, 1, len(samples)) + b"".join(samples)


def sample(*records: bytes, count: int | None = None, size: int | None = None) -> bytes:
    """A flow sample."""
    body = struct.pack(">8I", 1, 2, 3, 4000, 5, 6, 7, len(records) if count is None else count) + b"".join(records)
    return struct.pack(">II", 1, len(body) if size is None else size) + body


def record(header: bytes, *, length: int | None = None) -> bytes:
    """A raw packet header, of IPv4."""
    body = struct.pack(">4I", 11, 0, 0, len(header) if length is None else length) + header
    return struct.pack(">II", 1, len(body)) + body


def quotes(datagram: bytes) -> int:
    """Packets that are read in an sFlow datagram."""
    found = 0
    with contextlib.suppress(struct.error):  # raised at the end of a cut datagram
        for _ in sampled_packets(datagram):
            found += 1
    return found


def sampled(datagram: bytes) -> bytes:
    return b.ether(b.ip4(b.udp(datagram, dport=6343), 17))


def test_records_past_the_end_of_their_sample_are_not_read() -> None:
    """Each sample counts those behind it as records of its own: n samples would be n * n / 2 quotations."""
    many = 400
    assert quotes(sflow(*(sample(count=many - number - 1) for number in range(many)))) == 0
    assert quotes(sflow(*(sample(bytes(28), count=many - number - 1, size=32) for number in range(many)))) == 0


def test_a_header_ends_with_its_record(read: Read) -> None:
    segment = b.ip4(b.tcp(bytes(40)))
    first = sample(record(segment[:50], length=4000))
    _, one, other = read(b.pcap([sampled(sflow(first, sample(record(segment))))]))
    assert (one["captured"], other["captured"]) == (10, 40)


def test_a_sample_cut_by_the_snap_length_is_read() -> None:
    packet = sampled(sflow(sample(record(b.ip4(b.tcp(bytes(40)))))))
    with open_capture(io.BytesIO(b.pcap([packet[:-30]], carried=[len(packet)]))) as capture:
        _, row = rows_of(capture)
        assert (row["length"], row["captured"], row["quoted"]) == (40, 10, True)
        assert capture.skipped == {"cut sFlow datagram": 1}


@pytest.mark.parametrize("by_snap_length", [False, True])
def test_samples_before_a_cut_are_read(*, by_snap_length: bool) -> None:
    """The capture cut the datagram, or its sender did: what is whole is read, and the cut is counted once."""
    one = sample(record(b.ip4(b.tcp(bytes(40)))))
    whole = sflow(one, one, one)
    for lost in range(1, len(whole) + 1):
        packets = sampled(whole) if by_snap_length else sampled(whole[:-lost])
        captured = packets[:-lost] if by_snap_length else packets
        with open_capture(io.BytesIO(b.pcap([captured], carried=[len(packets)]))) as capture:
            complete = sum(row["captured"] == 40 for row in rows_of(capture) if row["quoted"])
            assert complete == max(0, 3 - -(-lost // len(one))), lost
            assert capture.skipped == {"cut sFlow datagram": 1}, lost


def test_samples_too_short_to_prove_anything_are_not_noted() -> None:
    assert quotes(sflow(*(sample(record(DATAGRAM[:27]), record(b"")) for _ in range(100)))) == 0


def test_samples_beyond_the_most_are_counted() -> None:
    packet = sampled(sflow(sample(*(record(DATAGRAM) for _ in range(1030)))))
    with open_capture(io.BytesIO(b.pcap([packet, packet]))) as capture:
        assert sum(row["quoted"] for row in rows_of(capture)) == 2 * MAX_INSIDE
        assert capture.skipped == {"packets with more than 1,024 packets inside": 2}


def test_subframes_beyond_the_most_are_counted() -> None:
    inner = SNAP + b.ip4(b.tcp())
    subframe = bytes(12) + struct.pack(">H", len(inner)) + inner + bytes(-(14 + len(inner)) % 4)
    with open_capture(io.BytesIO(b.pcap([QOS_DATA + subframe * 1030], link=105))) as capture:
        assert len(rows_of(capture)) == MAX_INSIDE
        assert capture.skipped == {"packets with more than 1,024 packets inside": 1}


def test_subframes_of_nothing_are_no_packets(read: Read) -> None:
    inner = SNAP + b.ip4(b.tcp())
    last = bytes(12) + struct.pack(">H", len(inner)) + inner
    empty = bytes(16) + bytes(12) + b"\0\2" + bytes(2)
    assert len(read(b.pcap([QOS_DATA + empty * 2000 + last], link=105))) == 1


def test_a_logged_packet_is_one(read: Read) -> None:
    segment = b.ip4(b.tcp())
    logged = struct.pack("<HH", 4 + len(segment), 9) + segment + bytes(-len(segment) % 4)
    empty = struct.pack("<HH", 4, 9)
    assert len(read(b.pcap([bytes(4) + logged * 3 + empty * 10_000], link=239))) == 1


@pytest.mark.parametrize("words", [1, 2, 3, 1000])
@pytest.mark.parametrize("clock", [False, True])
def test_radiotap_with_more_words(words: int, *, clock: bool, read: Read) -> None:
    present = [0x8000_0002 | clock] + [0x8000_0000] * (words - 1)
    present[-1] &= 0x7FFF_FFFF
    fields = struct.pack(f"<{words}I", *present)
    if clock:
        fields += bytes(-(4 + len(fields)) % 8 + 8)
    header = struct.pack("<BBH", 0, 0, 5 + len(fields)) + fields + b"\x10"
    (row,) = read(b.pcap([header + b"\x08\0" + bytes(22) + SNAP + b.ip4(b.tcp(), total=400) + b"FCS!"], link=127))
    assert (row["captured"], row["payload"]) == (5, b"hello")


def test_memory_that_runs_out_is_no_unreadable_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(_: Headers) -> int:
        raise MemoryError

    monkeypatch.setitem(READERS, LINK_TYPE + 127, exhaust)
    with open_capture(io.BytesIO(b.pcap([bytes(40)], link=127))) as capture, pytest.raises(MemoryError):
        rows_of(capture)
