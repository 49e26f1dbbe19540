"""Bytes that were sent twice with different values over UDP: in fragments of DTLS messages, and in IP fragments."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import eapwriting
import pytest
from datagrams import CLIENT, facts, packet, sent, write, write_packets
from dtlswriting import HANDSHAKE, fragment, record
from quicwriting import crypto, initial
from test_eap_losses import HELLO as EAP_HELLO
from test_quic import HELLO as QUIC_HELLO

from tlsdissect.tls.dtls import read_fragments, read_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL = sent("dtls12-full")
[DTLS_HELLO] = read_fragments(read_records(FULL[0][1], 0, len(FULL[0][1]), None)[0])[0]
CHANGED = bytes([DTLS_HELLO.data[40] ^ 0xFF])


def hello(start: int, end: int, sequence: int, *, changed: bool = False) -> tuple[int, bytes]:
    """A datagram with part of the ClientHello, with one byte changed if asked."""
    data = DTLS_HELLO.data[:40] + CHANGED + DTLS_HELLO.data[41:] if changed else DTLS_HELLO.data
    part = fragment(1, DTLS_HELLO.message_seq, data[start:end], length=len(data), offset=start)
    return CLIENT, record(HANDSHAKE, part, sequence=sequence)


def conflicts(path: Path) -> list[dict[str, Any]]:
    [connection] = facts(path)
    return [problem for problem in connection["problems"] if problem["code"] == "conflicting_data"]


def copies(first: int, known: bytes, second: int, other: bytes, limits: tuple[int | None, int | None]) -> list[Any]:
    return [
        {"frame": first, "bytes": known.hex(), "used": True, "hop_limit": limits[0]},
        {"frame": second, "bytes": other.hex(), "used": False, "hop_limit": limits[1]},
    ]


@pytest.mark.parametrize(
    ("parts", "first", "second"),
    [
        ([(0, 60, False), (30, 50, True), (60, 999, False)], 1, 2),
        ([(30, 50, False), (0, 999, True)], 1, 2),
        ([(0, 999, False), (0, 999, True)], 1, 2),
        ([(0, 60, False), (60, 999, False), (0, 60, True)], 2, 3),
    ],
)
def test_a_part_of_a_message_that_is_sent_again_with_other_bytes(
    parts: list[tuple[int, int, bool]], first: int, second: int, tmp_path: Path
) -> None:
    """RFC 6347 section 4.2.3 lets fragments overlap, with the same bytes."""
    datagrams = [hello(start, end, number, changed=changed) for number, (start, end, changed) in enumerate(parts, 8)]
    [problem] = conflicts(write(tmp_path / "a.pcap", [*datagrams, *FULL[1:]]))
    assert problem["detail"] == f"message 0 has other bytes at 40 than in frame {first}, which count"
    assert (problem["from"], problem["frame"]) == ("client", second)
    assert problem["copies"] == copies(first, DTLS_HELLO.data[40:41], second, CHANGED, (None, None))


def test_what_is_sent_again_with_the_same_bytes_is_no_conflict(tmp_path: Path) -> None:
    datagrams = [hello(*part) for part in ((0, 60, 8), (30, 999, 9), (0, 50, 10), (0, 999, 11))]
    assert conflicts(write(tmp_path / "a.pcap", [*datagrams, *FULL[1:]])) == []


def in_fragments(whole: bytes, place: int) -> list[bytes]:
    """IP fragments of a packet: between two with all of its bytes, one with another byte at this place."""
    head, body = whole[:20], whole[20:]
    at = (place - 20) & ~7
    other = bytearray(body[at : at + 8])
    other[place - 20 - at] ^= 0xFF
    found = []
    for offset, data, hops in ((0, body[: at + 8], 64), (at, bytes(other), 3), (at + 8, body[at + 8 :], 64)):
        flags = offset // 8 | (0x2000 if offset + len(data) < len(body) else 0)
        found.append(head[:2] + struct.pack(">HHHB", 20 + len(data), 7, flags, hops) + head[9:] + data)
    return found


def dtls() -> list[bytes]:
    return [packet(*one) for one in FULL]


def quic() -> list[bytes]:
    return [packet(CLIENT, initial(crypto(0, QUIC_HELLO), b"original", b"client"))]


def eap_in_radius() -> list[bytes]:
    [answer] = eapwriting.fragments(eapwriting.RESPONSE, 1, EAP_HELLO)
    return [packet(CLIENT, eapwriting.radius(eapwriting.ACCESS_REQUEST, 2, answer))]


@pytest.mark.parametrize("made", [dtls, quic, eap_in_radius])
def test_ip_fragments_that_differ(made: Callable[[], list[bytes]], tmp_path: Path) -> None:
    first, *later = made()
    place = len(first) - 20
    [problem] = conflicts(write_packets(tmp_path / "a.pcap", [*in_fragments(first, place), *later]))
    assert problem["detail"] == f"IP fragments differ at byte {place - 20} of their packet"
    assert (problem["from"], problem["frame"]) == ("client", 3)
    other = bytes([first[place] ^ 0xFF])
    assert problem["copies"] == copies(1, first[place : place + 1], 2, other, (64, 3))
