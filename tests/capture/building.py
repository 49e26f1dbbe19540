"""Packets and captures, written byte by byte."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT, SERVER = "192.0.2.1", "198.51.100.2"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8:0:ffff::2"
TIME = 1_700_000_000_123_456_789


def tcp(payload: bytes = b"hello", *, sport: int = 50_000, dport: int = 443, seq: int = 7, flags: int = 0x18) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, seq, 9, 0x50, flags, 8192, 0, 0) + payload


def udp(payload: bytes, *, sport: int = 40_000, dport: int = 53) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def ip4(
    body: bytes,
    protocol: int = 6,
    *,
    total: int | None = None,
    options: bytes = b"",
    fragment: int = 0,
    number: int = 1,
    to: str = SERVER,
) -> bytes:
    size = 20 + len(options)
    total = size + len(body) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, total, number, fragment, 64, protocol, 0)
    return head + ip_address(CLIENT).packed + ip_address(to).packed + options + body


def ip6(body: bytes, protocol: int = 6, *, size: int | None = None, to: str = SERVER6) -> bytes:
    size = len(body) if size is None else size
    head = struct.pack(">IHBB", 0x6000_0000, size, protocol, 64)
    return head + ip_address(CLIENT6).packed + ip_address(to).packed + body


def ether(body: bytes, kind: int = 0x0800) -> bytes:
    return bytes(12) + struct.pack(">H", kind) + body


def pcap(  # the parts of a file header, each of which some test changes
    packets: Sequence[bytes],
    *,
    order: str = "<",
    link: int = 1,
    magic: int = 0xA1B23C4D,
    times: Sequence[int] = (),
    carried: Sequence[int] = (),
) -> bytes:
    unit = {0xA1B23C4D: 1, 0xA1B23CD4: 1}.get(magic, 1000)
    extra = bytes(8) if magic in {0xA1B2CD34, 0xA1B23CD4} else b""
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262_144, link)
    for number, packet in enumerate(packets):
        second, fraction = divmod(times[number] if times else TIME + number * 1_000_000, 1_000_000_000)
        size = carried[number] if carried else len(packet)
        data += struct.pack(order + "IIII", second, fraction // unit, len(packet), size) + extra + packet
    return data


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, options: bytes = b"", *, snap: int = 0, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(packet: bytes, ticks: int, *, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
    return block(6, head + packet, order)
