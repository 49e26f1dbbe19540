"""Packets that a capture holds twice are no packets that were sent again: each is told once."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mangle import IPV4, SLL, Segment, ethernet, in_ethernet, in_vlan, ip4, pcap, segments
from recorded import ROOT, facts, kept

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

SENT = segments(ROOT / "samples/tls12-full.pcap")


def codes(path: Path) -> dict[str, str]:
    [connection] = kept(path)
    return {sentence.code: sentence.text for sentence in tlsdissect.explain(connection).sentences}


def routed(one: Segment, number: int, hops: int) -> bytes:
    """An IPv4 packet with this identification and time to live, as `tcpdump -i any` writes it."""
    packet = bytearray(ip4(one))
    packet[4:6], packet[8] = number.to_bytes(2, "big"), hops
    return struct.pack(">HHHQH", 0, 1, 6, 0, IPV4) + packet


def test_packets_taken_on_two_interfaces_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "any.pcap"
    frames = [
        (one.time + late, routed(one, 1000 + number, hops))
        for number, one in enumerate(SENT)
        for late, hops in ((0, 64), (40, 63))
    ]
    path.write_bytes(pcap(frames, SLL))
    told = codes(path)
    assert "twice" in told["captured_twice"]
    assert not told.keys() & {"sent_again", "late_segment", "sent_again_more"}
    [connection] = kept(path)
    assert all(packet.frame % 2 for packet in connection.transcript.packets)  # type: ignore[attr-defined]


def test_the_round_trip_begins_with_the_first_copy(tmp_path: Path) -> None:
    path = tmp_path / "any.pcap"
    path.write_bytes(pcap([(one.time + late, routed(one, 7, 64)) for one in SENT for late in (0, 3)], SLL))
    once = tmp_path / "once.pcap"
    once.write_bytes(pcap([(one.time, routed(one, 7, 64)) for one in SENT], SLL))
    assert facts(path)[0]["timing"] == facts(once)[0]["timing"]


@pytest.mark.parametrize("again", [in_ethernet, in_vlan])
def test_ipv6_has_no_identification(again: object, tmp_path: Path) -> None:
    path = tmp_path / "mirrored.pcap"
    frames = [
        (one.time + late, frame)
        for one in SENT
        for late, wrap in ((0, in_ethernet), (5, again))
        for frame in wrap(one)  # type: ignore[operator]
    ]
    path.write_bytes(pcap(frames, 1))
    told = codes(path)
    assert "captured_twice" in told
    assert "sent_again" not in told


def test_what_is_sent_again_has_another_identification(tmp_path: Path) -> None:
    path = tmp_path / "again.pcap"
    at = next(number for number, one in enumerate(SENT) if one.payload)
    sent = [*SENT[: at + 1], replace(SENT[at], time=SENT[at].time + 10), *SENT[at + 1 :]]
    frames = [(one.time, routed(one, 1000 + number, 64)) for number, one in enumerate(sent)]
    path.write_bytes(pcap(frames, SLL))
    told = codes(path)
    assert "sent_again" in told
    assert "captured_twice" not in told


def test_what_is_sent_again_and_captured_twice(tmp_path: Path) -> None:
    """Each sending is told once."""
    path = tmp_path / "both.pcap"
    at = next(number for number, one in enumerate(SENT) if one.payload)
    sent = [*SENT[: at + 1], *(replace(one, time=one.time + 300_000) for one in SENT[at:])]
    frames = [
        (one.time + late, routed(one, 1000 + number, hops))
        for number, one in enumerate(sent)
        for late, hops in ((0, 64), (9, 63))
    ]
    path.write_bytes(pcap(frames, SLL))
    told = codes(path)
    assert told["sent_again"].startswith("The client sent a segment again, 300 ms after")
    assert "captured_twice" in told
    assert "sent_again_more" not in told


def test_the_same_identification_of_all_packets_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "zero.pcap"
    at = next(number for number, one in enumerate(SENT) if one.payload)
    sent = [*SENT[: at + 1], *(replace(one, time=one.time + 300_000) for one in SENT[at:])]
    path.write_bytes(pcap([(one.time, ethernet(IPV4, routed(one, 0, 64)[16:])) for one in sent], 1))
    told = codes(path)
    assert "sent_again" in told
    assert "captured_twice" not in told


def test_the_very_same_packet_may_be_sent_again(tmp_path: Path) -> None:
    """With its identification (RFC 1122 section 3.2.1.5), when a timer has run out."""
    path = tmp_path / "same.pcap"
    at = next(number for number, one in enumerate(SENT) if one.payload)
    frames = [(one.time, routed(one, 1000 + number, 64)) for number, one in enumerate(SENT[: at + 1])]
    later = [(one.time + 300_000, routed(one, 1000 + at + number, 64)) for number, one in enumerate(SENT[at:])]
    path.write_bytes(pcap([*frames, *later], SLL))
    told = codes(path)
    assert "sent_again" in told
    assert "captured_twice" not in told
