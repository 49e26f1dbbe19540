"""EAP conversations that carry TLS are counted, in RADIUS and in IEEE 802.1X, and reported in the summary."""

from __future__ import annotations

import io
import struct
from collections import Counter

import pytest
from capture.building import ether, ip4, pcap, udp

from tlsdissect.capture import open_capture
from tlsdissect.cli.summary import Tally, sentences
from tlsdissect.flows import eap
from tlsdissect.flows.eap import EapConversations, EapPacket
from tlsdissect.pipeline import Reading, Summary


def eap_packet(code: int, identifier: int, method: int, flags: int, rest: bytes = b"") -> bytes:
    return struct.pack(">BBHBB", code, identifier, 6 + len(rest), method, flags) + rest


def radius(code: int, identifier: int, *attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(bytes((kind, 2 + len(value))) + value for kind, value in attributes)
    return struct.pack(">BBH", code, identifier, 20 + len(body)) + bytes(16) + body


def in_radius(code: int, identifier: int, packet: bytes, state: bytes) -> bytes:
    """RADIUS carries an EAP packet in pieces of 253 bytes (RFC 3579 section 3.1)."""
    pieces = [(79, packet[at : at + 253]) for at in range(0, len(packet), 253)]
    return ether(ip4(udp(radius(code, identifier, (24, state), *pieces), sport=40_000, dport=1812), 17))


def eap_of(*frames: bytes) -> Counter[tuple[str, str]]:
    reading = Reading(["eap"], opener=lambda _: open_capture(io.BytesIO(pcap(frames))))
    assert list(reading) == []
    assert not reading.summary.skipped
    return reading.summary.eap


@pytest.mark.parametrize(("method", "name"), eap.METHODS.items())
def test_each_start_in_radius_is_a_conversation(method: int, name: str) -> None:
    starts = [in_radius(11, 1, eap_packet(1, 7, method, 0x20), state) for state in (b"a", b"b")]
    others = [in_radius(1, 2, eap_packet(2, 7, method, 0, bytes(600)), b"a")]
    assert eap_of(*starts, *others, starts[0]) == {(name, "RADIUS"): 2}


def test_a_conversation_begun_earlier_counts() -> None:
    assert eap_of(in_radius(1, 2, eap_packet(2, 7, 13, 0, bytes(600)), b"a")) == {("EAP-TLS", "RADIUS"): 1}


@pytest.mark.parametrize(
    "packet",
    [
        eap_packet(1, 7, 1, 0x20),  # Identity
        eap_packet(1, 7, 4, 0x20),  # MD5-Challenge
        b"\x03\x07\x00\x04",  # Success
        b"\x01\x07\x00\xff\x0d\x20",  # a length that is not there
        b"",
    ],
)
def test_other_eap_is_not_counted(packet: bytes) -> None:
    assert eap_of(in_radius(11, 1, packet, b"a"), eapol(packet)) == {}


def eapol(packet: bytes, station: int = 1, kind: int = 0, padding: int = 40) -> bytes:
    body = struct.pack(">BBH", 2, kind, len(packet)) + packet + bytes(padding)
    return bytes(5) + bytes((station,)) + bytes(6) + b"\x88\x8e" + body


def test_eap_in_frames_of_802_1x() -> None:
    start, expanded = eap_packet(1, 1, 25, 0x20), b"\x01\x02\x00\x0d\xfe\x00\x00\x00\x00\x00\x00\x0d\x20"
    frames = [eapol(start), eapol(start, 2), eapol(expanded), eapol(start, kind=3), eapol(start)]
    assert eap_of(*frames) == {("PEAP", "802.1X"): 2, ("EAP-TLS", "802.1X"): 1}


def test_eap_is_told() -> None:
    summary = Summary()
    summary.eap = Counter({("PEAP", "RADIUS"): 1, ("EAP-TLS", "802.1X"): 2})
    assert sentences(Tally(), summary, selected=False) == [
        "no TLS connections",
        "2 EAP-TLS conversations in 802.1X not decoded",
        "1 PEAP conversation in RADIUS not decoded",
    ]


def test_eap_is_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eap, "MAX_STARTS", 10)
    monkeypatch.setattr("tlsdissect.cli.summary.MAX_STARTS", 10)
    conversations, summary = EapConversations(), Summary()
    for number in range(50):
        start = EapPacket(eap_packet(1, number, 13, 0x20), b"", b"")
        conversations.add("RADIUS", bytes(12), start)
    summary.eap = conversations.counted
    assert sentences(Tally(), summary, selected=False)[-1] == "at least 10 EAP-TLS conversations in RADIUS not decoded"
