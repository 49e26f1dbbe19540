"""Captures of conversations at chosen times: bytes that each side sends, from samples or made, as TCP over IPv4."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from typing import TYPE_CHECKING

import dpkt
from recorded import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CLIENT, SERVER = 0, 1
SYN, ACK, FIN, RST = 0x02, 0x10, 0x01, 0x04
_RAW_IP = 101
_FIRST_SECOND = 1_700_000_000

Said = list[tuple[int, bytes]]
"""Who sends what, in order."""
Step = tuple[int, int, bytes]
"""Who sends a packet, its flags and its payload."""
OPENED: tuple[Step, ...] = ((CLIENT, SYN, b""), (SERVER, SYN | ACK, b""), (CLIENT, ACK, b""))
"""TCP's handshake."""
FIRST_SEQUENCE = (1000, 5000)


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
        steps = [*OPENED, *((side, ACK, data) for side, data in self.said)]
        closing = [(CLIENT, ACK | FIN, b""), (SERVER, ACK | FIN, b""), (CLIENT, ACK, b"")]
        times = [self.start + number / 1000 for number in range(len(steps))]
        times += [self.closed + number / 1000 for number in range(len(closing))]
        return self._sent(times, [*steps, *closing], FIRST_SEQUENCE)

    def _sent(self, times: Iterable[float], steps: Iterable[Step], first: tuple[int, int]) -> list[tuple[float, bytes]]:
        sent, found = list(first), []
        for time, (side, flags, data) in zip(times, steps, strict=False):
            found.append((time, self._packet(side, flags, sent, data)))
            sent[side] += len(data) + bool(flags & (SYN | FIN))
        return found

    def _packet(self, side: int, flags: int, sent: list[int], data: bytes) -> bytes:
        ports, addresses = (self.port, 443), (self.client, self.server)
        known = 0 if flags == SYN else sent[1 - side]
        tcp = struct.pack(">HHIIBBHHH", ports[side], ports[1 - side], sent[side], known, 5 << 4, flags, 4096, 0, 0)
        ends = [IPv4Address(addresses[one]).packed for one in (side, 1 - side)]
        return struct.pack(">BBHIBBH", 0x45, 0, 40 + len(data), 0, 64, 6, 0) + b"".join(ends) + tcp + data


@dataclass(frozen=True)
class Steps(Talk):
    """A conversation of these packets alone, a millisecond apart."""

    steps: tuple[Step, ...] = ()
    first: tuple[int, int] = FIRST_SEQUENCE
    """The first sequence number of each side."""

    def packets(self) -> list[tuple[float, bytes]]:
        """Its packets."""
        return self._sent((self.start + number / 1000 for number in count()), self.steps, self.first)


def steps(*sent: Step, port: int = 40_000, start: float = 0, first: tuple[int, int] = FIRST_SEQUENCE) -> Steps:
    return Steps([], start, start, port, steps=sent, first=first)


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
