"""IP fragments: joined in any order, with overlaps, within bounds."""

from __future__ import annotations

import io
import itertools
import struct
import tracemalloc
from typing import TYPE_CHECKING

import building as b
import pytest
from rows import calls, rows_of

from tlsdissect.capture import fragments, open_capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from rows import Read

SEGMENT = b.tcp(bytes(range(52)))
MORE = 0x2000


def four(start: int, stop: int | None = None, *, number: int = 1) -> bytes:
    more = MORE if stop is not None else 0
    return b.ether(b.ip4(SEGMENT[start:stop], fragment=more | start // 8, number=number))


def six(start: int, stop: int | None = None) -> bytes:
    field = start | (stop is not None)
    return b.ether(b.ip6(struct.pack(">BBHI", 6, 0, field, 1) + SEGMENT[start:stop], 44), 0x86DD)


def test_any_order(read: Read) -> None:
    for make in (four, six):
        pieces = [make(0, 24), make(24, 48), make(48)]
        for order in itertools.permutations(pieces):
            (row,) = read(b.pcap(order))
            assert (row["frame"], row["length"], row["captured"]) == (3, 52, 52)
            assert row["time"] == b.TIME + 2_000_000
            assert row["payload"] == SEGMENT[20:]


@pytest.mark.parametrize("piece", [1, 7])
def test_across_pieces(piece: int, read: Read) -> None:
    whole = b.ether(b.ip4(b.tcp()))
    data = b.pcap([four(0, 24), whole, four(24), whole])
    rows = read(data, piece=piece)
    assert [(row["frame"], row["length"]) for row in rows] == [(2, 5), (3, 52), (4, 5)]
    assert rows == read(data)


def test_overlap_keeps_the_piece_that_begins_first(read: Read) -> None:
    other = b.ether(b.ip4(bytes(40), fragment=MORE | 2))
    (row,) = read(b.pcap([four(0, 32), other, four(48)]))
    assert row["payload"] == (SEGMENT[:32] + bytes(24) + SEGMENT[56:])[20:]


def test_twice(read: Read) -> None:
    pieces = [four(0, 24), four(24)]
    assert [row["frame"] for row in read(b.pcap(pieces * 2))] == [2, 4]


def test_tunnel_in_fragments(read: Read) -> None:
    """A tunnel's packet may be fragmented, outside, inside, or both."""
    first, second = (b.udp(b"\x08" + bytes(7) + part, dport=4789) for part in (four(0, 24), four(24)))
    packets = [b.ether(b.ip4(first, 17)), b.ether(b.ip4(second[:16], 17, fragment=MORE))]
    packets.append(b.ether(b.ip4(second[16:], 17, fragment=2)))
    rows = read(b.pcap(packets))
    assert [(row["frame"], row["protocol"]) for row in rows] == [(1, 17), (3, 17), (3, 6)]
    assert rows[2]["payload"] == SEGMENT[20:]


def test_what_stays_alone_is_counted() -> None:
    with open_capture(io.BytesIO(b.pcap([four(0, 24), four(48)]))) as capture:
        assert rows_of(capture) == []
        assert capture.skipped == {"IP fragments without the rest of their packet": 2}


def test_first_fragment_cut_by_the_snap_length_stands_alone(read: Read) -> None:
    (row,) = read(b.pcap([four(0, 48)[:70]], carried=[82]))
    assert (row["length"], row["captured"]) == (28, 16)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "MAX_PACKETS", 3)
    packets = [four(0, 24, number=number) for number in range(10)] + [four(24, number=number) for number in range(10)]
    with open_capture(io.BytesIO(b.pcap(packets))) as capture:
        rows = rows_of(capture)
        assert len(rows) <= 3
        assert capture.skipped["IP fragments without the rest of their packet"] + 2 * len(rows) == 20


def repeated(make: Callable[..., bytes], many: int) -> bytes:
    """The first fragment, and then the last one again and again, while those between are missing."""
    return b.pcap([make(0, 24), *[make(48)] * many])


@pytest.mark.parametrize("make", [four, six])
def test_the_same_fragment_again_and_again_is_linear(make: Callable[..., bytes], read: Read) -> None:
    """Twice the fragments take about twice the calls, and not four times."""
    few, many = (calls(lambda many=many: read(repeated(make, many))) for many in (500, 1000))
    assert many < 2.5 * few


@pytest.mark.parametrize("make", [four, six])
def test_the_same_fragment_again_and_again_completes_once(make: Callable[..., bytes], read: Read) -> None:
    pieces = [make(0, 24), *[make(48)] * 100, make(24, 48)]
    (row,) = read(b.pcap(pieces))
    assert (row["frame"], row["payload"]) == (102, SEGMENT[20:])


def test_what_is_beyond_the_last_fragment_is_not_waited_for(read: Read) -> None:
    beyond = b.ether(b.ip4(b"", fragment=MORE | 100))
    assert read(b.pcap([four(0, 24), beyond, four(24)])) == read(b.pcap([four(0, 24), four(0, 24), four(24)]))


@pytest.mark.parametrize("newer", [False, True], ids=["IPv4", "IPv6"])
def test_empty_fragments_count(*, newer: bool) -> None:
    """Fragments without bytes, of few packets or of many, take no more memory than those with."""

    def empty(number: int) -> bytes:
        if newer:
            return b.ip6(struct.pack(">BBHI", 6, 0, 8 | 1, number), 44)
        return b.ip4(b"", fragment=MORE | 1, number=number)

    few, many = [empty(number) for number in range(20)], [empty(number) for number in range(4000)]
    data = io.BytesIO(b"".join([b.pcap([], link=101), *records(few * 5000), *records(many * 5)]))
    with open_capture(data) as capture:
        tracemalloc.start()
        assert rows_of(capture) == []
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert capture.skipped == {"IP fragments without the rest of their packet": 120_000}
    assert peak < 2 * fragments.IP_FRAGMENTS_BYTES


def records(packets: list[bytes]) -> list[bytes]:
    """Records of a classic pcap, without its header."""
    head = {len(packet): struct.pack("<IIII", 0, 0, len(packet), len(packet)) for packet in packets}
    return [head[len(packet)] + packet for packet in packets]


def test_a_packet_of_too_many_fragments_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "MAX_FRAGMENTS", 5)
    with open_capture(io.BytesIO(b.pcap([four(0, 24)] * 8 + [four(24)]))) as capture:
        assert [row["frame"] for row in rows_of(capture)] == [9]
        assert capture.skipped == {"IP fragments without the rest of their packet": 6}


def test_a_later_fragment_that_differs_gives_the_packet_again(read: Read) -> None:
    """The bytes of the later one are used, and the packet ends where it does."""
    shorter = b.ether(b.ip4(bytes(16), fragment=3))
    rows = read(b.pcap([four(0, 24), shorter, four(24)]))
    assert [(row["frame"], row["payload"]) for row in rows] == [
        (2, SEGMENT[20:24] + bytes(16)),
        (3, SEGMENT[20:]),
    ]


def test_how_often_a_packet_is_read_again_is_limited(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setattr(fragments, "MAX_LATE", 3)
    later = [b.ether(b.ip4(bytes([number]) * 28, fragment=3)) for number in range(10)]
    rows = read(b.pcap([four(0, 24), four(24), *later]))
    assert [row["payload"][4:] for row in rows] == [SEGMENT[24:], bytes(28), b"\1" * 28, b"\2" * 28]


def test_complete_packets_are_forgotten(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    """The oldest first; what is kept to read a packet again counts, too."""
    monkeypatch.setattr(fragments, "COMPLETE_BYTES", 8 << 10)
    many = [make for number in range(10) for make in (four(0, 24, number=number), four(24, number=number))]
    late = [b.ether(b.ip4(bytes(28), fragment=3, number=number)) for number in range(10)]
    assert [row["frame"] for row in read(b.pcap([*many, *late]))] == [*range(2, 22, 2), 28, 29, 30]
    late = [b.ether(b.ip4(bytes([value]) * 28, fragment=3, number=9)) for value in range(16)]
    assert [row["frame"] for row in read(b.pcap([*many, *late]))] == [*range(2, 22, 2), *range(21, 33)]


def test_fragment_header_of_the_other_ip(read: Read) -> None:
    """IPv6's fragment header under IPv4 is nothing; nor is it a fragment that completes itself for ever."""
    assert read(b.pcap([b.ip4(bytes(40), 44), b.ip4(b.tcp())], link=101))[0]["frame"] == 2
