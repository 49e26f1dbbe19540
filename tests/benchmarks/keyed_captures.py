"""Captures for reading with a key log: copies of a sample, with its keys, whose clients have other addresses."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

from recorded import packets  # noqa: E402  # of the tests, beside this folder

SAMPLES = {
    "keys-tls12": ROOT / "samples" / "tls12-full.pcap",
    "keys-tls13": ROOT / "samples" / "tls13-full.pcap",
    "keys-quic": ROOT / "samples" / "quic" / "quic-full.pcap",
}
"""The samples, each of one connection, by the comparison in which they are."""
ETHERNET = 14
TOGETHER = 50  # connections that are open at a time
APART = 20  # microseconds between packets
FIRST_SECOND = 1_750_000_000


def write_copies(path: Path, sample: Path, connections: int) -> None:
    """Write so many copies of a sample, in groups whose packets are interleaved."""
    header, recorded = sample.read_bytes()[:24], [data for _, data in packets(sample)]
    client, ticks = sides(recorded[0])[0], 0
    with path.open("wb", 1 << 20) as file:
        file.write(header)
        for first in range(0, connections, TOGETHER):
            for data in recorded:
                for number in range(first, min(connections, first + TOGETHER)):
                    seconds, micros = divmod(ticks, 1_000_000)
                    file.write(struct.pack("<IIII", FIRST_SECOND + seconds, micros, len(data), len(data)))
                    file.write(readdressed(data, sides(data).index(client), number))
                    ticks += APART


def sides(packet: bytes) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The addresses and ports of sender and receiver."""
    source, size, ports = places(packet)
    target = source + size
    return (packet[source:target], packet[ports : ports + 2]), (
        packet[target : target + size],
        packet[ports + 2 : ports + 4],
    )


def places(packet: bytes) -> tuple[int, int, int]:
    """Where the source address is, how long it is, and where the ports are."""
    if packet[ETHERNET] >> 4 == 4:
        return ETHERNET + 12, 4, ETHERNET + (packet[ETHERNET] & 15) * 4
    return ETHERNET + 8, 16, ETHERNET + 40


def readdressed(packet: bytes, side: int, number: int) -> bytes:
    """Give the client an address by its number; the checksums are not those of the new packet."""
    source, size, _ = places(packet)
    at = source + side * size
    return packet[:at] + b"\x0a" + bytes(size - 5) + number.to_bytes(4, "big") + packet[at + size :]
