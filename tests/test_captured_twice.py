"""Packets that a capture holds twice are no packets that were sent again: each is reported once."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mangle import ETHERNET, IPV4, SLL, Packets, Segment, Segments, in_ethernet, in_ip4, in_vlan, ip4, pcap, segments
from recorded import ROOT, facts, kept

import tlsdissect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENT = segments(ROOT / "samples/tls12-full.pcap")
HELLO = next(number for number, one in enumerate(SENT) if one.payload)
RETRANSMITTED = [*SENT[: HELLO + 1], *(replace(one, time=one.time + 300_000) for one in SENT[HELLO:])]
"""The ClientHello is sent a second time, 300 ms later; the rest of the connection follows then."""


def on_any(sent: Segments, identifications: list[int], *copies: tuple[int, int]) -> Packets:
    """IPv4 packets as `tcpdump -i any` writes them; `copies`: microseconds later, and time to live."""
    return [
        (one.time + late, cooked(one, identification, hops))
        for one, identification in zip(sent, identifications, strict=True)
        for late, hops in copies
    ]


def cooked(one: Segment, identification: int, hops: int) -> bytes:
    packet = bytearray(ip4(one))
    packet[4:6], packet[8] = identification.to_bytes(2, "big"), hops
    return struct.pack(">HHHQH", 0, 1, 6, 0, IPV4) + packet


def counting(sent: Segments) -> list[int]:
    """An identification for each packet."""
    return [1000 + number for number in range(len(sent))]


def write(path: Path, packets: Packets, link: int = SLL) -> Path:
    path.write_bytes(pcap(packets, link))
    return path


def explained(path: Path) -> dict[str, str]:
    """The sentences of `explain` by their codes."""
    [connection] = kept(path)
    return {sentence.code: sentence.text for sentence in tlsdissect.explain(connection).sentences}


def test_packets_taken_on_two_interfaces_are_reported_once(tmp_path: Path) -> None:
    path = write(tmp_path / "any.pcap", on_any(SENT, counting(SENT), (0, 64), (40, 63)))
    found = explained(path)
    assert "twice" in found["captured_twice"]
    assert not found.keys() & {"sent_again", "late_segment", "sent_again_more"}
    [connection] = kept(path)
    assert all(packet.frame % 2 for packet in connection.transcript.packets)  # type: ignore[attr-defined]


def test_the_round_trip_begins_with_the_first_copy(tmp_path: Path) -> None:
    same = [7] * len(SENT)
    [twice] = facts(write(tmp_path / "any.pcap", on_any(SENT, same, (0, 64), (3, 64))))
    [once] = facts(write(tmp_path / "once.pcap", on_any(SENT, same, (0, 64))))
    assert twice["timing"] == once["timing"]


@pytest.mark.parametrize("again", [in_ethernet, in_vlan])
def test_ipv6_has_no_identification(again: Callable[[Segment], list[bytes]], tmp_path: Path) -> None:
    packets = [
        (one.time + late, frame) for one in SENT for late, wrap in ((0, in_ethernet), (5, again)) for frame in wrap(one)
    ]
    found = explained(write(tmp_path / "mirrored.pcap", packets, ETHERNET))
    assert "captured_twice" in found
    assert "sent_again" not in found


def test_a_retransmission_has_another_identification(tmp_path: Path) -> None:
    sent = [*SENT[: HELLO + 1], replace(SENT[HELLO], time=SENT[HELLO].time + 10), *SENT[HELLO + 1 :]]
    found = explained(write(tmp_path / "again.pcap", on_any(sent, counting(sent), (0, 64))))
    assert "sent_again" in found
    assert "captured_twice" not in found


def test_a_retransmission_that_is_captured_twice_is_reported_once(tmp_path: Path) -> None:
    path = write(tmp_path / "both.pcap", on_any(RETRANSMITTED, counting(RETRANSMITTED), (0, 64), (9, 63)))
    found = explained(path)
    assert found["sent_again"].startswith("The client sent a segment again (ClientHello), 300 ms after")
    assert "captured_twice" in found
    assert "sent_again_more" not in found


def test_one_identification_for_all_packets_identifies_none(tmp_path: Path) -> None:
    packets = [(one.time, frame) for one in RETRANSMITTED for frame in in_ip4(one)]
    found = explained(write(tmp_path / "zero.pcap", packets, ETHERNET))
    assert "sent_again" in found
    assert "captured_twice" not in found


def test_a_retransmission_may_have_the_same_identification(tmp_path: Path) -> None:
    """RFC 1122 section 3.2.1.5; its timer has run out."""
    numbers = counting(SENT)
    again = [*numbers[: HELLO + 1], *numbers[HELLO:]]
    found = explained(write(tmp_path / "same.pcap", on_any(RETRANSMITTED, again, (0, 64))))
    assert "sent_again" in found
    assert "captured_twice" not in found
