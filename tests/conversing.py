"""Captures of conversations at chosen times: bytes that each side sends, from samples or made, as TCP over IPv4."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import dpkt
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CLIENT, SERVER = 0, 1
SYN, ACK, FIN = 0x02, 0x10, 0x01
_RAW_IP = 101
_FIRST_SECOND = 1_700_000_000

Said = list[tuple[int, bytes]]
"""Who sends what, in order."""


@dataclass(frozen=True)
class Talk:
    """A conversation: when it begins, when it is closed (seconds), and what is said at its beginning."""

    said: Said
    start: float
    closed: float
    port: int
    client: str = "192.0.2.1"
    server: str = "192.0.2.2"

    def packets(self) -> list[tuple[float, bytes]]:
        """Its packets, a millisecond apart from its start, and the closing ones."""
        sent = [1000, 5000]
        steps = [(CLIENT, SYN, b""), (SERVER, SYN | ACK, b""), (CLIENT, ACK, b"")]
        steps += [(side, ACK, data) for side, data in self.said]
        steps += [(CLIENT, ACK | FIN, b""), (SERVER, ACK | FIN, b""), (CLIENT, ACK, b"")]
        found = []
        for number, (side, flags, data) in enumerate(steps):
            late = number - (len(steps) - 3)
            time = self.start + number / 1000 if late < 0 else self.closed + late / 1000
            found.append((time, self._packet(side, flags, sent, data)))
            sent[side] += len(data) + (1 if flags & (SYN | FIN) else 0)
        return found

    def _packet(self, side: int, flags: int, sent: list[int], data: bytes) -> bytes:
        ports, addresses = (self.port, 443), (self.client, self.server)
        known = 0 if flags == SYN else sent[1 - side]
        tcp = struct.pack(">HHIIBBHHH", ports[side], ports[1 - side], sent[side], known, 5 << 4, flags, 4096, 0, 0)
        ends = [IPv4Address(addresses[one]).packed for one in (side, 1 - side)]
        return struct.pack(">BBHIBBH", 0x45, 0, 40 + len(data), 0, 64, 6, 0) + b"".join(ends) + tcp + data


def write(path: Path, *talks: Talk) -> Path:
    """Write a capture of these conversations, in the order of time."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, _RAW_IP)]
    for time, packet in sorted([one for talk in talks for one in talk.packets()], key=lambda one: one[0]):
        second, fraction = divmod(round(time * 1_000_000), 1_000_000)
        out.append(struct.pack("<IIII", _FIRST_SECOND + second, fraction, len(packet), len(packet)) + packet)
    path.write_bytes(b"".join(out))
    return path


def said(sample: str, stream: int = 0) -> Said:
    """What both sides of a sample's conversation say."""
    clients: list[int] = []
    found: Said = []
    with (ROOT / "samples" / f"{sample}.pcap").open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            tcp = dpkt.ethernet.Ethernet(frame).data.data
            if tcp.flags & (SYN | ACK) == SYN:
                clients.append(tcp.sport)
            mine = clients[stream] if stream < len(clients) else None
            if tcp.data and mine in {tcp.sport, tcp.dport}:
                found.append((CLIENT if tcp.sport == mine else SERVER, bytes(tcp.data)))
    return found
