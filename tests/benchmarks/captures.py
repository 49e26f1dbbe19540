"""Large captures for the benchmarks, made of recorded sample conversations.

    python tests/benchmarks/captures.py --handshakes 20000 --out /tmp/handshakes.pcap
    python tests/benchmarks/captures.py --bulk 500 --out /tmp/bulk.pcap

A recorded conversation becomes a template: Ethernet packets of at most 1,500 bytes in the order of time. A group of its
copies is an array with a row a copy, in which addresses, ports, sequence numbers, times, host names, randoms, session
ids, tickets, key shares and signatures are written anew by columns; the packets of a group are interleaved.
"""

from __future__ import annotations

import argparse
import itertools
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import dpkt
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MIX = (("tls12-full", 0, 50), ("tls12-resumed-ticket", 1, 10), ("tls13-full", 0, 20), ("tls13-resumed", 1, 20))
"""Sample, stream in it, copies of each hundred."""

HOST = b"localhost"  # the name in the samples, and as long as those of `host_names`
HOSTS = 1000
SEGMENT = 1448  # what 1,500 bytes hold after IPv4 and TCP with a timestamp
RECORD = 2**14
SESSION_ID = slice(44, 76)  # of a stream that begins with a hello and has one
FIRST_SECOND = 1_750_000_000
TOGETHER = 200  # short connections that are open at a time
ROUND = 10_000  # microseconds between a conversation's packets
SYN, ACK, PSH, FIN = 0x02, 0x10, 0x08, 0x01
SYN_OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")
OPTIONS = bytes.fromhex("0101080a0000000100000001")
FIXED = 16 + 14 + 20 + 20  # pcap's record header, Ethernet, IPv4, TCP without options

Block = "NDArray[np.uint8]"


# ---------------------------------------------------------------- conversations


@dataclass
class Segment:
    """Bytes that one side sends, with TCP's flags."""

    side: int
    flags: int
    payload: bytes = b""


def recorded(sample: str, stream: int) -> list[Segment]:
    """Read one conversation of a sample; the side that sends the SYN is 0."""
    ports: list[int] = []
    segments: list[Segment] = []
    with (SAMPLES / f"{sample}.pcap").open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            tcp = dpkt.ethernet.Ethernet(frame).data.data
            if tcp.flags & (SYN | ACK) == SYN:
                ports.append(tcp.sport)
            if ports.index(min(tcp.sport, tcp.dport, key=lambda port: port == 8443)) == stream:
                segments.append(Segment(int(tcp.sport == 8443), tcp.flags & ~PSH, bytes(tcp.data)))
    return segments


def cut(segments: list[Segment]) -> Iterator[Segment]:
    """Cut payloads to what a packet holds."""
    for segment in segments:
        pieces = [segment.payload[at : at + SEGMENT] for at in range(0, len(segment.payload), SEGMENT)] or [b""]
        yield from (Segment(segment.side, segment.flags & ~FIN, piece) for piece in pieces[:-1])
        yield Segment(segment.side, segment.flags, pieces[-1])


def with_bulk(segments: list[Segment], records: int) -> list[Segment]:
    """Put that many full records of application data, and their acknowledgements, before the closing packets."""
    end = next(at for at, segment in enumerate(segments) if segment.flags & FIN)
    body = np.random.default_rng(1).bytes(RECORD)
    data = (struct.pack(">BHH", 23, 0x0303, RECORD) + body) * records
    bulk = []
    for at in range(0, len(data), 2 * SEGMENT):
        bulk += [
            Segment(1, ACK, data[at : at + SEGMENT]),
            Segment(1, ACK, data[at + SEGMENT : at + 2 * SEGMENT]),
            Segment(0, ACK),
        ]
    return segments[:end] + [segment for segment in bulk if segment.payload or segment.side == 0] + segments[end:]


# ---------------------------------------------------------------- what differs between copies


def fresh(stream: bytes) -> Iterator[slice]:
    """Find the bytes of a direction that another connection would have otherwise (RFC 8446 section 4, RFC 5246 7.4)."""
    at = 0
    while at + 5 <= len(stream) and stream[at] in {20, 21, 22}:
        size = int.from_bytes(stream[at + 3 : at + 5], "big")
        if stream[at] == 20:
            return
        message = at + 5
        while message < at + 5 + size:
            length = int.from_bytes(stream[message + 1 : message + 4], "big")
            yield from fresh_in_message(stream[message], stream[message + 4 : message + 4 + length], message + 4)
            message += 4 + length
        at += 5 + size


def fresh_in_message(kind: int, body: bytes, at: int) -> Iterator[slice]:
    if kind in {1, 2}:
        yield from (slice(at + found.start, at + found.stop) for found in fresh_in_hello(kind, body))
    elif kind == 4:  # NewSessionTicket: lifetime, length, ticket
        yield slice(at + 6, at + len(body))
    elif kind == 12 and body[0] == 3:  # ServerKeyExchange: named curve, point, scheme, signature
        point = body[3]
        yield slice(at + 4, at + 4 + point)
        yield slice(at + 8 + point, at + len(body))
    elif kind == 16:  # ClientKeyExchange: point
        yield slice(at + 1, at + len(body))


def fresh_in_hello(kind: int, body: bytes) -> Iterator[slice]:
    yield slice(2, 34)
    yield slice(35, 35 + body[34])
    at = 35 + body[34]
    at += 3 if kind == 2 else 2 + int.from_bytes(body[at : at + 2], "big")
    at += 0 if kind == 2 else 1 + body[at]
    at += 2
    while at < len(body):
        code, size = struct.unpack_from(">HH", body, at)
        skip = {(1, 51): 6, (2, 51): 4, (1, 35): 0, (1, 41): 4}.get((kind, code))
        if skip is not None:
            yield slice(at + 4 + skip, at + 4 + size - (38 if code == 41 else 0))
        at += 4 + size


def host_names(hosts: int) -> Block:
    """As many names as there are hosts, a row each, all as long as the recorded one."""
    return np.array([list(b"w%04d.lan" % number) for number in range(hosts)], np.uint8)


# ---------------------------------------------------------------- templates


@dataclass
class Packet:
    """Where a packet stands in the row, and its TCP numbers relative to the first ones."""

    start: int
    end: int
    side: int
    sequence: int
    acknowledged: int


@dataclass
class Template:
    """One conversation as a row of pcap records, with the columns that are written anew in each copy."""

    row: Block
    packets: list[Packet]
    fresh: NDArray[np.intp]
    names: list[NDArray[np.intp]] = field(default_factory=list)
    echo: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
    """Where the client's session id stands, and where the server repeats it."""


def template(segments: list[Segment]) -> Template:
    row, packets = bytearray(), []
    streams = (bytearray(), bytearray())
    columns: tuple[list[int], list[int]] = ([], [])
    following = [0, 0]
    for segment in cut(segments):
        options = SYN_OPTIONS if segment.flags & SYN else OPTIONS
        start = len(row)
        row += header(segment, options)
        columns[segment.side].extend(range(len(row), len(row) + len(segment.payload)))
        row += segment.payload
        streams[segment.side].extend(segment.payload)
        acknowledged = following[1 - segment.side] if segment.flags & ACK else -1
        packets.append(Packet(start, len(row), segment.side, following[segment.side], acknowledged))
        following[segment.side] += len(segment.payload) + bool(segment.flags & (SYN | FIN))
    found = Template(np.frombuffer(bytes(row), np.uint8), packets, np.empty(0, np.intp))
    asked, answered = (stream[SESSION_ID] for stream in streams)
    if asked == answered:
        found.echo = (np.array(columns[0][SESSION_ID]), np.array(columns[1][SESSION_ID]))
    for stream, column in zip(map(bytes, streams), map(np.array, columns), strict=True):
        found.fresh = np.concatenate([found.fresh, *(column[where] for where in fresh(stream))])
        places = (at for at in range(min(len(stream), 1 << 14)) if stream.startswith(HOST, at))
        found.names += [column[at : at + len(HOST)] for at in places]
    return found


def header(segment: Segment, options: bytes) -> bytes:
    """Every header of a packet, with zeros for what differs between copies."""
    tcp = 20 + len(options)
    size = 14 + 20 + tcp + len(segment.payload)
    push = PSH if segment.payload else 0
    ethernet = bytes.fromhex("0200000000010200000000020800")
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, size - 14, 0, 0x4000, 64, 6, 0, 0, 0)
    transport = struct.pack(">HHIIBBHHH", 0, 0, 0, 0, tcp << 2, segment.flags | push, 502, 0, 0)
    return struct.pack("<IIII", 0, 0, size, size) + ethernet + ip + transport + options


# ---------------------------------------------------------------- copies


def copies(made: Template, first: int, count: int, rng: np.random.Generator, hosts: int = HOSTS) -> Block:
    """Rows of one template, each another connection, with one of so many hosts."""
    rows = np.tile(made.row, (count, 1))
    rows[:, made.fresh] = rng.integers(0, 256, (count, len(made.fresh)), np.uint8)
    if made.echo:
        rows[:, made.echo[1]] = rows[:, made.echo[0]]
    numbers = np.arange(first, first + count)
    asked = numbers % hosts
    for columns in made.names:
        rows[:, columns] = host_names(hosts)[asked]
    client = 0x0A000000 + 1 + numbers // 4
    server = 0xC6120000 + 1 + asked  # 198.18.0.0/15 is for benchmarks: RFC 2544
    ports = 32768 + numbers % 28000
    starts = rng.integers(0, 2**32, (2, count), np.uint32)
    for packet in made.packets:
        sides = (client, server, ports, np.full(count, 443))
        source, target, sport, dport = sides if packet.side == 0 else (server, client, sides[3], ports)
        ip = packet.start + 30
        put(rows, ip + 4, numbers & 0xFFFF, 2)
        put(rows, ip + 12, source, 4)
        put(rows, ip + 16, target, 4)
        put(rows, ip + 20, sport, 2)
        put(rows, ip + 22, dport, 2)
        put(rows, ip + 24, starts[packet.side] + np.uint32(packet.sequence), 4)
        if packet.acknowledged >= 0:
            put(rows, ip + 28, starts[1 - packet.side] + np.uint32(packet.acknowledged), 4)
        write_checksums(rows, ip, packet.end)
    return rows


def put(rows: Block, at: int, values: NDArray[np.generic], size: int) -> None:
    rows[:, at : at + size] = values.astype(f">u{size}")[:, None].view(np.uint8)


def write_checksums(rows: Block, ip: int, end: int) -> None:
    """Internet checksums of the IPv4 and the TCP header (RFC 1071)."""
    length = end - ip - 20
    pseudo = words(rows[:, ip + 12 : ip + 20]) + 6 + length
    put(rows, ip + 10, folded(words(rows[:, ip : ip + 20])), 2)
    put(rows, ip + 36, folded(words(rows[:, ip + 20 : end]) + pseudo), 2)


def words(columns: Block) -> NDArray[np.uint64]:
    """Sum big-endian 16-bit words, an odd byte padded with zero."""
    even, odd = columns[:, ::2].sum(1, np.uint64), columns[:, 1::2].sum(1, np.uint64)
    return even * np.uint64(256) + odd


def folded(sums: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for _ in range(3):
        sums = (sums & np.uint64(0xFFFF)) + (sums >> np.uint64(16))
    return sums ^ np.uint64(0xFFFF)


# ---------------------------------------------------------------- captures


def write_group(file: BinaryIO, group: list[tuple[Template, Block]], second: int) -> None:
    """Write the packets of a group of conversations, interleaved: first packets, second packets, ..."""
    for turn, packets in enumerate(itertools.zip_longest(*(made.packets for made, _ in group))):
        passed = 0
        for packet, (_, rows) in zip(packets, group, strict=True):
            if packet is None:
                continue
            block = rows[:, packet.start : packet.end].copy()
            micros = turn * ROUND + 5 * (passed + np.arange(len(block)))
            block[:, 0:4] = (FIRST_SECOND + second + micros // 10**6).astype("<u4")[:, None].view(np.uint8)
            block[:, 4:8] = (micros % 10**6).astype("<u4")[:, None].view(np.uint8)
            passed += len(block)
            file.write(block)


def start_pcap(file: BinaryIO) -> None:
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))


def short(handshakes: int, hosts: int = HOSTS, together: int = TOGETHER) -> Iterator[list[tuple[Template, Block]]]:
    """Make short connections with so many hosts, in groups of those that are open at a time."""
    rng = np.random.default_rng(2)
    mix = [(template(recorded(sample, stream)), share) for sample, stream, share in MIX]
    for first in range(0, handshakes, together):
        count, group, taken = min(together, handshakes - first), [], 0
        for made, share in mix:
            rows = -(-count * share // 100) if made is not mix[-1][0] else count - taken
            group.append((made, copies(made, first + taken, min(rows, count - taken), rng, hosts)))
            taken += len(group[-1][1])
        yield group


def write_handshakes(path: Path, handshakes: int, hosts: int = HOSTS) -> None:
    """Write short connections with so many hosts."""
    with path.open("wb", 1 << 20) as file:
        start_pcap(file)
        for second, group in enumerate(short(handshakes, hosts)):
            write_group(file, group, second)


def write_bulk(path: Path, connections: int, records: int = 93) -> None:
    """Write long connections: full handshakes, then full records of application data."""
    rng = np.random.default_rng(3)
    made = [template(with_bulk(recorded(sample, 0), records)) for sample in ("tls12-full", "tls13-full")]
    seconds = ROUND * max(len(one.packets) for one in made) // 10**6 + 1
    with path.open("wb", 1 << 20) as file:
        start_pcap(file)
        for turn, first in enumerate(range(0, connections, 50)):
            half = (min(50, connections - first) + 1) // 2
            counts = (half, min(50, connections - first) - half)
            group = [
                (one, copies(one, first + at * half, count, rng))
                for at, (one, count) in enumerate(zip(made, counts, strict=True))
            ]
            write_group(file, group, turn * seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a capture for the benchmarks.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--handshakes", type=int, metavar="N", help="N short connections")
    what.add_argument("--bulk", type=int, metavar="N", nargs="?", const=500, help="N long connections (500)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    asked = parser.parse_args()
    if asked.bulk:
        write_bulk(asked.out, asked.bulk)
    else:
        write_handshakes(asked.out, asked.handshakes)


if __name__ == "__main__":
    main()
