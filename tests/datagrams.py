"""Captures of UDP datagrams, from samples or made."""

from __future__ import annotations

import struct
from functools import cache
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import dpkt
import msgspec
from recorded import ROOT

import tlsdissect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CLIENT, SERVER = 0, 1
_RAW_IP = 101
_FIRST_SECOND = 1_700_000_000
_MICROSECONDS = 1_000_000
_ADDRESSES = "192.0.2.1", "192.0.2.2"

Sent = list[tuple[int, bytes]]
"""Who sends which payload, in order."""


@cache
def _sent(path: Path) -> tuple[tuple[int, bytes], ...]:
    found: list[tuple[int, bytes]] = []
    client = None
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            udp = dpkt.ethernet.Ethernet(frame).data.data
            client = udp.sport if client is None else client
            if client in {udp.sport, udp.dport}:
                found.append((CLIENT if udp.sport == client else SERVER, bytes(udp.data)))
    return tuple(found)


def sent(sample: str) -> Sent:
    """The datagrams of the first conversation of a sample of DTLS."""
    return list(_sent(ROOT / "samples" / "dtls" / f"{sample}.pcap"))


def packet(side: int, payload: bytes, port: int = 40_000) -> bytes:
    """A datagram in IPv4, without checksums."""
    ports = port, 443
    udp = struct.pack(">HHHH", ports[side], ports[1 - side], 8 + len(payload), 0) + payload
    ends = [IPv4Address(_ADDRESSES[one]).packed for one in (side, 1 - side)]
    return struct.pack(">BBHIBBH", 0x45, 0, 20 + len(udp), 0, 64, 17, 0) + b"".join(ends) + udp


def write(path: Path, datagrams: Iterable[tuple[int, bytes]], *, apart: float = 0.001, snap: int = 65_535) -> Path:
    """Write a capture of datagrams, so many seconds apart; `snap` is the snap length."""
    return write_packets(path, [packet(side, payload) for side, payload in datagrams], apart, snap)


def write_flows(path: Path, flows: Iterable[Iterable[tuple[int, bytes]]]) -> Path:
    """Write a capture of flows, one after the other, each with a port of its own."""
    packets = [packet(*one, port) for port, flow in enumerate(flows, 10_000) for one in flow]
    return write_packets(path, packets, 0.001, 65_535)


def write_packets(path: Path, packets: Iterable[bytes], apart: float = 0.001, snap: int = 65_535) -> Path:
    """Write a capture of IP packets."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap, _RAW_IP)]
    out += [_record(number * apart, data, snap) for number, data in enumerate(packets)]
    path.write_bytes(b"".join(out))
    return path


def _record(time: float, data: bytes, snap: int) -> bytes:
    second, fraction = divmod(round(time * _MICROSECONDS), _MICROSECONDS)
    return struct.pack("<IIII", _FIRST_SECOND + second, fraction, len(data[:snap]), len(data)) + data[:snap]


def facts(path: Path, **options: Any) -> list[dict[str, Any]]:
    """The connections of a capture, as the JSON output has them."""
    return [msgspec.json.decode(msgspec.json.encode(one)) for one in tlsdissect.read(path, **options)]
