"""TLS inside another protocol's packets."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.handshake.framing import Framing, OpenVpn, Tds, find_framing

INSIDE = bytes(range(256)) * 2


def openvpn(hmac: int) -> bytes:
    """A client's reset, an acknowledgement, control packets with and without acknowledgements, and data."""
    session, mac = b"session!", bytes(hmac)

    def packet(opcode: int, rest: bytes) -> bytes:
        body = bytes([opcode << 3]) + rest
        return len(body).to_bytes(2, "big") + body

    return b"".join((
        packet(7, session + mac + b"\0" + bytes(4)),
        packet(5, session + mac + b"\1" + bytes(4) + session),
        packet(4, session + mac + b"\0" + bytes(4) + INSIDE[:100]),
        packet(4, session + mac + b"\2" + bytes(8) + session + bytes(4) + INSIDE[100:]),
        packet(6, b"data of the tunnel"),
    ))  # fmt: skip


def tds() -> bytes:
    """A pre-login, a handshake in two packets, and records without packets."""

    def packet(kind: int, body: bytes) -> bytes:
        return struct.pack(">BBHHBB", kind, 1, 8 + len(body), 0, 0, 0) + body

    return packet(0x12, b"options") + packet(0x12, INSIDE[:200]) + packet(0x12, INSIDE[200:]) + b"\x17\x03\x03bare"


@pytest.mark.parametrize("hmac", [0, 28, 40])
@given(cuts=st.lists(st.integers(1, 700)))
def test_openvpn_gives_what_its_control_packets_carry(hmac: int, cuts: list[int]) -> None:
    outer = openvpn(hmac)
    found = find_framing(outer)
    assert isinstance(found, OpenVpn)
    assert fed(found, outer, cuts) == INSIDE


@given(cuts=st.lists(st.integers(1, 600)))
def test_tds_gives_what_its_packets_carry_and_what_is_bare(cuts: list[int]) -> None:
    found = find_framing(tds())
    assert isinstance(found, Tds)
    assert fed(found, tds(), cuts) == b"options" + INSIDE + b"\x17\x03\x03bare"


@given(st.binary(), st.lists(st.integers(1, 50)))
def test_any_bytes_are_taken(data: bytes, cuts: list[int]) -> None:
    for kind in (OpenVpn(0), OpenVpn(28), Tds()):
        fed(kind, data, cuts)


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH", bytes(20), b"\x16\x03\x01\x02\x00\x01\x00\x01"]
)
def test_others_have_none(first: bytes) -> None:
    assert find_framing(first) is None


def fed(kind: Framing, data: bytes, cuts: list[int]) -> bytes:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return b"".join(kind.unwrap(data[a:b]) for a, b in itertools.pairwise(places))
