"""Initial packets of the RFCs' appendices, opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlsdissect.handshake.protection import suite
from tlsdissect.handshake.quic_keys import (
    VERSIONS,
    PacketKey,
    initial_keys,
    is_genuine_retry,
    packet_number,
    version_keys,
)
from tlsdissect.tls.quic import Crypto, PacketType, Padding, read_frames
from tlsdissect.tls.quic_packets import LongPacket, read_long_packet

LINES = Path(__file__).with_name("quic_vectors.txt").read_text().splitlines()
VECTORS = {name: bytes.fromhex(value) for name, value in (line.split() for line in LINES[1:])}
CONNECTION_ID = bytes.fromhex("8394c8f03e515708")
NUMBERS = {1: 0x00000001, 2: 0x6B3343CF}


def first_packet(data: bytes) -> LongPacket:
    packet = read_long_packet(data, 0)
    assert packet is not None
    return packet


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("side", "number"), [("client", 2), ("server", 1)])
def test_initial_packets_of_the_rfcs_open(version: int, side: str, number: int) -> None:
    data = VECTORS[f"v{version}_{side}_packet"]
    packet = first_packet(data)
    assert packet.kind == PacketType.INITIAL
    assert packet.version == NUMBERS[version]
    assert packet.end == len(data)
    (keys,) = version_keys(packet.version)
    key = initial_keys(keys, CONNECTION_ID).of(side == "server")
    opened = key.open(data, 0, packet.protected, packet.end, 0)
    assert opened is not None
    assert opened.number == number
    assert opened.header == VECTORS[f"v{version}_{side}_header"]
    assert opened.payload.rstrip(b"\0") == VECTORS[f"v{version}_{side}_frames"].rstrip(b"\0")
    frames, error = read_frames(opened.payload)
    assert error is None
    crypto = next(frame for frame in frames if isinstance(frame, Crypto))
    assert crypto.offset == 0
    assert crypto.crypto_data[0] == (1 if side == "client" else 2)
    if side == "client":
        assert isinstance(frames[-1], Padding)
        assert len(frames[-1].zeros) == 917
    other = initial_keys(keys, CONNECTION_ID).of(side != "server")
    assert other.open(data, 0, packet.protected, packet.end, 0) is None


@pytest.mark.parametrize("version", [1, 2])
def test_a_packet_without_all_of_its_bytes_is_not_opened(version: int) -> None:
    data = VECTORS[f"v{version}_client_packet"]
    packet = first_packet(data)
    key = initial_keys(VERSIONS[NUMBERS[version]], CONNECTION_ID).of(False)
    assert all(key.open(data[:size], 0, packet.protected, packet.end, 0) is None for size in range(0, len(data), 7))
    changed = data[:600] + bytes([data[600] ^ 1]) + data[601:]
    assert key.open(changed, 0, packet.protected, packet.end, 0) is None
    assert key.open(data, 0, packet.protected, packet.protected + 19, 0) is None


@pytest.mark.parametrize("version", [1, 2])
def test_retries_of_the_rfcs_are_genuine(version: int) -> None:
    data = VECTORS[f"v{version}_retry"]
    packet = first_packet(data)
    assert packet.kind == PacketType.RETRY
    assert packet.token == b"token"
    assert packet.source_id.hex() == "f067a5502a4262b5"
    assert is_genuine_retry(NUMBERS[version], data, CONNECTION_ID)
    assert not is_genuine_retry(NUMBERS[version], data, CONNECTION_ID[:-1])


def test_the_salts_differ_where_the_drafts_changed_them() -> None:
    drafts = [VERSIONS[0xFF000000 + number].salt[:2].hex() for number in range(22, 35)]
    assert drafts == ["7fbc", *["c3ee"] * 6, *["afbf"] * 4, *["3876"] * 2]
    assert all(len(keys.salt) == 20 for keys in VERSIONS.values())


def test_versions_without_keys_and_reserved_ones() -> None:
    assert version_keys(0xFF000015) == ()
    assert version_keys(int.from_bytes(b"Q050", "big")) == ()
    assert version_keys(0x1A2A3AFA) == version_keys(0x0A0A0A0A) == (VERSIONS[1], VERSIONS[0xFF00001D])
    assert not is_genuine_retry(0x0A0A0A0A, VECTORS["v1_retry"], CONNECTION_ID)


@pytest.mark.parametrize(
    ("truncated", "bits", "expected", "number"),
    [
        (0x9B32, 16, 0xA82F30EB, 0xA82F9B32),  # RFC 9000 appendix A.3
        (0x00, 8, 0, 0),
        (0xFF, 8, 0, 0xFF),
        (0x01, 8, 0x100, 0x101),
        (0xFE, 8, 0x101, 0xFE),
        (0x00, 8, 0xFF, 0x100),
    ],
)
def test_truncated_packet_numbers(truncated: int, bits: int, expected: int, number: int) -> None:
    assert packet_number(truncated, bits, expected) == number


def test_a_packet_of_chacha20() -> None:
    """RFC 9001 appendix A.5, whose packet has a short header."""
    chosen = suite("TLS_CHACHA20_POLY1305_SHA256")
    assert chosen is not None
    secret = bytes.fromhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
    data = bytes.fromhex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb")
    number = 654360564
    opened = PacketKey(secret, "quic", chosen).open(data, 0, 1, len(data), number)
    assert opened is not None
    assert opened[:3] == (number, bytes.fromhex("4200bff4"), b"\x01")
    assert PacketKey(secret, "quic", chosen).open(data, 0, 1, len(data), number + (1 << 24)) is None
