"""QUIC packets as tests write them: Initial packets sealed by RFC 9001 section 5, and datagrams in a capture."""

from __future__ import annotations

import hmac
import struct
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

if TYPE_CHECKING:
    from collections.abc import Iterable

V1, V2 = 0x00000001, 0x6B3343CF
T051 = 0x54303531
"""The last version of Google QUIC with frames of its own."""
SALTS = {
    V1: ("quic", bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")),
    V2: ("quicv2", bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")),
    T051: ("quic", bytes.fromhex("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d")),
}
CLIENT, SERVER = ("192.0.2.1", 40_000), ("198.51.100.2", 443)
INITIAL, HANDSHAKE = 0, 2
ORIGINAL, PEER = b"\x01" * 8, b"\x02" * 8
"""Connection IDs."""


class Keys(NamedTuple):
    aead: AESGCM
    iv: int
    header: AES


def expand(secret: bytes, label: str, size: int, hash_name: str = "sha256") -> bytes:
    """HKDF-Expand-Label, of at most a hash (RFC 8446 section 7.1)."""
    name = f"tls13 {label}".encode()
    info = struct.pack(">HB", size, len(name)) + name + b"\0\1"
    return hmac.digest(secret, info, hash_name)[:size]


@cache
def keys(version: int, connection_id: bytes, side: str) -> Keys:
    label, salt = SALTS[version]
    return packet_keys(expand(hmac.digest(salt, connection_id, "sha256"), f"{side} in", 32), label)


def packet_keys(secret: bytes, label: str = "quic", size: int = 16, hash_name: str = "sha256") -> Keys:
    """The keys that follow from a secret (RFC 9001 section 5.1)."""
    parts = ("key", size), ("iv", 12), ("hp", size)
    key, iv, header = (expand(secret, f"{label} {part}", one, hash_name) for part, one in parts)
    return Keys(AESGCM(key), int.from_bytes(iv, "big"), AES(header))


def varint(number: int) -> bytes:
    """RFC 9000 section 16."""
    size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size - 2)
    return (number | (size.bit_length() - 1) << 8 * size - 2).to_bytes(size, "big")


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def close(code: int, reason: bytes = b"") -> bytes:
    return b"\x1c" + varint(code) + b"\0" + varint(len(reason)) + reason


def header(kind: int, version: int, to: bytes, by: bytes) -> bytes:
    """The part of a long header that all versions share."""
    number = (kind + (version == V2)) % 4
    return struct.pack(">BIB", 0xC3 | number << 4, version, len(to)) + to + bytes([len(by)]) + by


def initial(
    frames: bytes,
    to: bytes,
    by: bytes,
    *,
    side: str = "client",
    keyed: bytes | None = None,
    number: int = 0,
    token: bytes = b"",
    version: int = V1,
    size: int = 1200,
) -> bytes:
    """An Initial packet; `keyed` is the connection ID of its keys, if that is not the destination."""
    head = header(INITIAL, version, to, by) + varint(len(token)) + token
    frames += bytes(max(4, size - len(head) - 2 - 4 - len(frames) - 16))
    return sealed(keys(version, to if keyed is None else keyed, side), head, number, frames)


def sealed(with_: Keys, head: bytes, number: int, frames: bytes) -> bytes:
    """A packet whose long header begins with `head`, up to its Length."""
    aead, iv, hp = with_
    head += struct.pack(">H", 0x4000 | 4 + len(frames) + 16) + number.to_bytes(4, "big")
    body = aead.encrypt((iv ^ number).to_bytes(12, "big"), frames, head)
    mask = Cipher(hp, ECB()).encryptor().update(body[:16])  # noqa: S305  # RFC 9001 section 5.4.3
    tail = bytes(a ^ b for a, b in zip(head[-4:], mask[1:], strict=False))
    return bytes([head[0] ^ mask[0] & 15]) + head[1:-4] + tail + body


def handshake(to: bytes, by: bytes, size: int = 100, version: int = V1, fill: int = 0x5A) -> bytes:
    """A Handshake packet with an encrypted payload; no two that are sent are equal."""
    return header(HANDSHAKE, version, to, by) + varint(size) + bytes([fill]) * size


def negotiation(to: bytes, by: bytes, versions: Iterable[int]) -> bytes:
    return header(0, 0, to, by) + b"".join(version.to_bytes(4, "big") for version in versions)


def short(to: bytes, size: int = 40) -> bytes:
    """A 1-RTT packet."""
    return b"\x41" + to + b"\xa5" * size


class Sent(NamedTuple):
    """A datagram, and which side sends it."""

    data: bytes
    by_client: bool = True
    port: int = CLIENT[1]


def pcap(datagrams: Iterable[Sent], *, start: int = 1_700_000_000, step: int = 10_000) -> bytes:
    """A capture of Ethernet packets, so many microseconds apart."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)]
    for number, sent in enumerate(datagrams):
        ends = [(CLIENT[0], sent.port), SERVER]
        source, target = ends if sent.by_client else ends[::-1]
        udp = struct.pack(">HHHH", source[1], target[1], 8 + len(sent.data), 0) + sent.data
        addresses = ip_address(source[0]).packed + ip_address(target[0]).packed
        packet = (
            bytes(12) + struct.pack(">HBBHHHBBH", 0x0800, 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
        )
        seconds, micros = divmod(number * step, 1_000_000)
        out.append(struct.pack("<IIII", start + seconds, micros, len(packet), len(packet)) + packet)
    return b"".join(out)
