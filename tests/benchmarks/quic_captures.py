"""A capture of QUIC connections for the benchmarks: sealed Initial packets with the hellos of RFC 9001's appendix.

Every connection has its own connection IDs, and so its own keys, and its own randoms; what follows its handshake is
1-RTT packets full of noise.
"""

from __future__ import annotations

import random
import struct
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, NamedTuple

TESTS = Path(__file__).resolve().parents[1]
sys.path.append(str(TESTS))

from quicwriting import crypto, handshake, initial, keys, short  # noqa: E402  # of the tests, beside this folder

LINES = (TESTS / "handshake" / "quic_vectors.txt").read_text().splitlines()
VECTORS = {name: bytes.fromhex(value) for name, value in (line.split() for line in LINES[1:])}
HELLO = VECTORS["v1_client_frames"][4:]
ANSWER = VECTORS["v1_server_frames"].partition(b"\x06\x00")[2][2:]
RANDOM = slice(6, 38)
ACK = bytes.fromhex("0200000000")
FIRST_SECOND = 1_750_000_000
TOGETHER = 200  # connections that are open at a time
DATA = 25  # 1-RTT packets of the server: 30 KB a connection
APART = 20  # microseconds between packets


class Datagram(NamedTuple):
    by_client: bool
    data: bytes


def conversation(rng: random.Random) -> list[Datagram]:
    """One connection: a full handshake, then data and its acknowledgements."""
    original, client, server = (rng.randbytes(8) for _ in range(3))
    hello, answer = (body[: RANDOM.start] + rng.randbytes(32) + body[RANDOM.stop :] for body in (HELLO, ANSWER))
    first = initial(ACK + crypto(0, answer), client, server, side="server", keyed=original, size=150)
    sent = [
        Datagram(True, initial(crypto(0, hello), original, client)),
        Datagram(False, first + handshake(client, server, 1000)),
        Datagram(False, handshake(client, server, 1100)),
        Datagram(True, initial(ACK, server, client, keyed=original, number=1)),
        Datagram(True, handshake(server, client, 80) + short(server)),
    ]
    keys.cache_clear()
    data, acknowledged = Datagram(False, short(client, 1191)), Datagram(True, short(server, 30))
    return [*sent, *[acknowledged if number % 8 == 7 else data for number in range(DATA + DATA // 7)]]


def write_quic(path: Path, connections: int) -> None:
    """Write so many connections, in groups whose packets are interleaved."""
    rng, ticks = random.Random(4), 0  # noqa: S311  # the same capture each time
    with path.open("wb", 1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for first in range(0, connections, TOGETHER):
            group = [conversation(rng) for _ in range(first, min(connections, first + TOGETHER))]
            for turn in zip(*group, strict=True):
                for number, one in enumerate(turn, first):
                    write_packet(file, number, one, ticks)
                    ticks += APART


def write_packet(file: BinaryIO, number: int, one: Datagram, ticks: int) -> None:
    client = ip_address(0x0A000001 + number // 4).packed, 32_768 + number % 28_000
    server = ip_address(0xC6120001 + number % 1000).packed, 443
    (source, sport), (target, dport) = (client, server) if one.by_client else (server, client)
    udp = struct.pack(">HHHH", sport, dport, 8 + len(one.data), 0) + one.data
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + source + target
    packet = bytes.fromhex("0200000000010200000000020800") + ip + udp
    seconds, micros = divmod(ticks, 1_000_000)
    file.write(struct.pack("<IIII", FIRST_SECOND + seconds, micros, len(packet), len(packet)) + packet)
