"""Rewrite a recorded capture in ways that leave what it tells unchanged.

A capture is read as a list of TCP segments. A way cuts, orders and repeats segments, wraps each in other headers, and
puts them into another kind of file. It names the keys of the output that rightly differ.
"""

from __future__ import annotations

import gzip
import random
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FIN, SYN, PSH = 0x01, 0x02, 0x08
ETHERNET, NULL, RAW, SLL = 1, 0, 101, 113
PIECE = 100  # bytes of a cut segment: no handshake message of the samples fits into one, but ServerHelloDone

IPV4, IPV6 = 0x0800, 0x86DD


@dataclass(frozen=True)
class Segment:
    """A TCP segment of a recorded capture; times are in microseconds."""

    time: int
    source: bytes
    target: bytes
    ports: bytes
    sequence: int
    acknowledged: int
    flags: int
    window: int
    options: bytes
    payload: bytes


Segments = list[Segment]
Packets = list[tuple[int, bytes]]
Wrap = "Callable[[Segment], list[bytes]]"


# ---------------------------------------------------------------- reading


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    data, at = path.read_bytes(), 24
    if not data.startswith(b"\xd4\xc3\xb2\xa1"):
        raise ValueError(f"{path}: a classic little-endian pcap is wanted")
    while at < len(data):
        seconds, micros, size, _ = struct.unpack_from("<IIII", data, at)
        yield seconds * 10**6 + micros, data[at + 16 : at + 16 + size]
        at += 16 + size


def segments(path: Path) -> Segments:
    return [segment(time, frame[14:]) for time, frame in records(path)]


def first_conversation(path: Path) -> Segments:
    """Return the segments between the endpoints of the first one."""
    sent = segments(path)
    return [one for one in sent if one.ports in (sent[0].ports, sent[0].ports[2:] + sent[0].ports[:2])]


def segment(time: int, ip: bytes) -> Segment:
    """Read an IPv6 packet that holds TCP and no extension header."""
    if ip[0] >> 4 != 6 or ip[6] != 6:
        raise ValueError("samples are TCP over IPv6")
    tcp = ip[40:]
    sequence, acknowledged, size, flags, window = struct.unpack_from(">IIBBH", tcp, 4)
    end = (size >> 4) * 4
    return Segment(time, ip[8:24], ip[24:40], tcp[:4], sequence, acknowledged, flags, window, tcp[20:end], tcp[end:])


# ---------------------------------------------------------------- segments


def pieces(whole: Segment, size: int = PIECE) -> Segments:
    """Cut a segment; its first piece keeps SYN, its last one FIN and PSH."""
    cuts = range(0, len(whole.payload), size)
    parts = [
        replace(whole, sequence=(whole.sequence + at) % 2**32, payload=whole.payload[at : at + size]) for at in cuts
    ]
    middle = [replace(part, flags=part.flags & ~(FIN | PSH)) for part in parts[:-1]]
    return [*middle, replace(parts[-1], flags=whole.flags)] if parts else [whole]


def cut(recorded: Segments) -> Segments:
    return [piece for whole in recorded for piece in pieces(whole)]


def one_byte(recorded: Segments) -> Segments:
    return [piece for whole in recorded for piece in pieces(whole, 1)]


def reordered(recorded: Segments) -> Segments:
    """Cut segments, and shuffle the pieces of each."""
    shuffle = random.Random(1).shuffle  # noqa: S311
    result: Segments = []
    for whole in recorded:
        parts = pieces(whole)
        if not whole.flags & (SYN | FIN):
            shuffle(parts)
        result += parts
    return result


def reversed_runs(recorded: Segments) -> Segments:
    """Turn around what one side sends at a stretch, the times staying in order."""
    result: Segments = []
    run: Segments = []
    for part in [*cut(recorded), None]:
        if run and (part is None or part.ports != run[0].ports or part.flags & (SYN | FIN) or not part.payload):
            times = [one.time for one in run]
            result += [replace(one, time=time) for one, time in zip(reversed(run), times, strict=True)]
            run = []
        if part is not None:
            holds = part.payload and not part.flags & (SYN | FIN)
            (run if holds else result).append(part)
    return result


def duplicated(recorded: Segments) -> Segments:
    return [one for whole in recorded for one in (whole, whole)]


def overlapping(recorded: Segments) -> Segments:
    """Cut segments, and begin each piece with up to 30 bytes of the one before it."""
    result: Segments = []
    for whole in recorded:
        sent = 0
        for part in pieces(whole):
            back = min(30, sent)
            earlier = whole.payload[sent - back : sent]
            result.append(replace(part, sequence=(part.sequence - back) % 2**32, payload=earlier + part.payload))
            sent += len(part.payload)
    return result


def wrapped_sequence(recorded: Segments) -> Segments:
    """Choose initial sequence numbers so that they pass 2**32 within the handshake."""
    first: dict[bytes, int] = {}
    for one in recorded:
        first.setdefault(one.ports, one.sequence)
    shift = {ports: 2**32 - 300 - number for ports, number in first.items()}
    return [
        replace(
            one,
            sequence=(one.sequence + shift[one.ports]) % 2**32,
            acknowledged=(one.acknowledged + shift.get(one.ports[2:] + one.ports[:2], 0)) % 2**32,
        )
        for one in recorded
    ]


# ---------------------------------------------------------------- headers


def tcp(one: Segment) -> bytes:
    size = (20 + len(one.options)) // 4 << 4
    numbers = struct.pack(">IIBBHHH", one.sequence, one.acknowledged, size, one.flags, one.window, 0, 0)
    return one.ports + numbers + one.options + one.payload


def ip6(one: Segment) -> bytes:
    body = tcp(one)
    return struct.pack(">IHBB", 6 << 28, len(body), 6, 64) + one.source + one.target + body


def ip4(one: Segment, part: bytes | None = None, offset: int = 0, mark: int = 0, more: bool = False) -> bytes:
    body = tcp(one) if part is None else part
    where = offset // 8 | (0x2000 if more else 0)
    local = bytes([127, 0, 0, 1])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), mark, where, 64, 6, 0) + local + local + body


def ethernet(ether_type: int, packet: bytes) -> bytes:
    return bytes(12) + struct.pack(">H", ether_type) + packet


def in_ethernet(one: Segment) -> list[bytes]:
    return [ethernet(IPV6, ip6(one))]


def in_ip4(one: Segment) -> list[bytes]:
    return [ethernet(IPV4, ip4(one))]


def in_vlan(one: Segment) -> list[bytes]:
    return [ethernet(0x8100, struct.pack(">HH", 7, IPV6) + ip6(one))]


def in_two_vlans(one: Segment) -> list[bytes]:
    return [ethernet(0x88A8, struct.pack(">HHHH", 7, 0x8100, 8, IPV6) + ip6(one))]


def in_mpls(one: Segment) -> list[bytes]:
    return [ethernet(0x8847, struct.pack(">II", 16 << 12 | 64, 17 << 12 | 1 << 8 | 64) + ip6(one))]


def in_pppoe(one: Segment) -> list[bytes]:
    packet = ip6(one)
    return [ethernet(0x8864, struct.pack(">BBHHH", 0x11, 0, 1, len(packet) + 2, 0x0057) + packet)]


def in_gre(one: Segment) -> list[bytes]:
    return [ethernet(IPV4, carrier(47, struct.pack(">HH", 0, IPV6) + ip6(one)))]


def in_vxlan(one: Segment) -> list[bytes]:
    return [vxlan(ethernet(IPV6, ip6(one)))]


def vxlan(frame: bytes) -> bytes:
    """Carry an Ethernet frame in VXLAN over UDP over IPv4 (RFC 7348)."""
    inner = struct.pack(">II", 8 << 24, 42 << 8) + frame
    return ethernet(IPV4, carrier(17, struct.pack(">HHHH", 50000, 4789, 8 + len(inner), 0) + inner))


def carrier(protocol: int, body: bytes) -> bytes:
    """Write an IPv4 header, between two addresses that are set aside for documentation, before a tunnel's bytes."""
    ends = bytes([192, 0, 2, 1, 192, 0, 2, 2])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends + body


def in_sll(one: Segment) -> list[bytes]:
    return [struct.pack(">HHH8sH", 0, 772, 6, bytes(8), IPV6) + ip6(one)]


def in_raw(one: Segment) -> list[bytes]:
    return [ip6(one)]


def in_null(one: Segment) -> list[bytes]:
    return [struct.pack("<I", 24) + ip6(one)]  # AF_INET6 of FreeBSD is 28, of NetBSD and OpenBSD 24


def in_ip4_fragments(one: Segment) -> list[bytes]:
    body, mark = tcp(one), hash_of(one)
    return [
        ethernet(IPV4, ip4(one, body[at : at + 512], at, mark, more=at + 512 < len(body)))
        for at in range(0, len(body), 512)
    ]


def in_ip6_fragments(one: Segment) -> list[bytes]:
    """Every packet with a Fragment header, the last fragment first (RFC 8200 section 4.5)."""
    body, frames = tcp(one), []
    for at in range(0, len(body), 512):
        part = body[at : at + 512]
        fragment = struct.pack(">BBHI", 6, 0, at | (at + 512 < len(body)), hash_of(one))
        start = struct.pack(">IHBB", 6 << 28, 8 + len(part), 44, 64) + one.source + one.target
        frames.append(ethernet(IPV6, start + fragment + part))
    return frames[::-1]


def hash_of(one: Segment) -> int:
    """Return an identification that fragments of one packet share, and no others near it."""
    return (one.sequence * 31 + one.acknowledged * 17 + one.flags + len(one.payload)) % 65521


# ---------------------------------------------------------------- files


def pcap(packets: Packets, link: int, order: str = "<", ticks: int = 1) -> bytes:
    """Write a classic pcap; `ticks` of its clock are a microsecond."""
    magic = 0xA1B23C4D if ticks == 1000 else 0xA1B2C3D4
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 2**18, link)]
    for time, data in packets:
        parts += [struct.pack(f"{order}IIII", time // 10**6, time % 10**6 * ticks, len(data), len(data)), data]
    return b"".join(parts)


def big_endian(packets: Packets, link: int) -> bytes:
    return pcap(packets, link, ">")


def nanoseconds(packets: Packets, link: int) -> bytes:
    return pcap(packets, link, "<", 1000)


def gzipped(packets: Packets, link: int) -> bytes:
    return gzip.compress(pcap(packets, link), mtime=0)


def zstandarded(packets: Packets, link: int) -> bytes:
    return zstandard.compress(pcap(packets, link))


def pcapng(packets: Packets, link: int, order: str = "<", untimed: int = 0, of: int = 1) -> bytes:
    """Write a pcapng; of each so many packets, the first `untimed` are in simple packet blocks, which have no time."""
    parts = [
        block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(order, 1, struct.pack(f"{order}HHI", link, 0, 0)),
    ]
    for number, (time, data) in enumerate(packets):
        simple = number % of < untimed
        size = struct.pack(f"{order}I", len(data))
        head = b"" if simple else struct.pack(f"{order}III", 0, time >> 32, time & 0xFFFFFFFF) + size
        parts.append(block(order, 3 if simple else 6, head + size + data + bytes(-len(data) % 4)))
    return b"".join(parts)


def pcapng_big_endian(packets: Packets, link: int) -> bytes:
    return pcapng(packets, link, ">")


def untimed(packets: Packets, link: int) -> bytes:
    return pcapng(packets, link, untimed=1)


def untimed_first(packets: Packets, link: int) -> bytes:
    return pcapng(packets, link, untimed=len(packets) // 2, of=len(packets))


def every_other_untimed(packets: Packets, link: int) -> bytes:
    return pcapng(packets, link, untimed=1, of=2)


def block(order: str, kind: int, body: bytes) -> bytes:
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


# ---------------------------------------------------------------- ways


@dataclass(frozen=True)
class Way:
    """What is done to a capture, and the keys of the output that rightly differ after it."""

    rewrite: Callable[[Segments], Segments] = list
    wrap: Callable[[Segment], list[bytes]] = in_ethernet
    link: int = ETHERNET
    store: Callable[[Packets, int], bytes] = pcap
    suffix: str = ".pcap"
    differ: frozenset[str] = frozenset()

    def __call__(self, recorded: Segments) -> bytes:
        packets = [(one.time, frame) for one in self.rewrite(recorded) for frame in self.wrap(one)]
        return self.store(packets, self.link)


NUMBERS = frozenset({"frame", "first_frame"})
CUT = NUMBERS | {"packets", "segments"}
REPEATED = CUT | {"bytes of the conversation"}
TIMES = frozenset({"ms", "timing"})
SLOW = "TCP seems to end nearer than TLS, or the server was slow"
UNTIMED = TIMES | {"start", "end"}

WAYS = {
    "unchanged": Way(),
    "cut": Way(cut, differ=CUT),
    "one byte a segment": Way(one_byte, differ=CUT),
    "reordered": Way(reordered, differ=CUT),
    "reversed runs": Way(reversed_runs, differ=CUT | TIMES),
    "duplicated": Way(duplicated, differ=REPEATED),
    "overlapping": Way(overlapping, differ=REPEATED),
    "sequence numbers wrap": Way(wrapped_sequence),
    "IPv4": Way(wrap=in_ip4, differ=frozenset({"ip"})),
    "IPv4 fragments": Way(wrap=in_ip4_fragments, differ=NUMBERS | {"ip"}),
    "IPv6 fragments": Way(wrap=in_ip6_fragments, differ=NUMBERS),
    "VLAN": Way(wrap=in_vlan),
    "two VLANs": Way(wrap=in_two_vlans),
    "MPLS": Way(wrap=in_mpls),
    "PPPoE": Way(wrap=in_pppoe),
    "GRE": Way(wrap=in_gre),
    "VXLAN": Way(wrap=in_vxlan),
    "Linux SLL": Way(wrap=in_sll, link=SLL),
    "raw IP": Way(wrap=in_raw, link=RAW),
    "BSD NULL": Way(wrap=in_null, link=NULL),
    "big endian": Way(store=big_endian),
    "nanoseconds": Way(store=nanoseconds, differ=frozenset({"start", "end"})),
    "pcapng": Way(store=pcapng, suffix=".pcapng"),
    "pcapng, big endian": Way(store=pcapng_big_endian, suffix=".pcapng"),
    "no times": Way(store=untimed, suffix=".pcapng", differ=UNTIMED),
    "no times at first": Way(store=untimed_first, suffix=".pcapng", differ=UNTIMED),
    "every other packet without a time": Way(store=every_other_untimed, suffix=".pcapng", differ=UNTIMED),
    "gzip": Way(store=gzipped, suffix=".pcap.gz"),
    "zstd": Way(store=zstandarded, suffix=".pcap.zst"),
}


def without(connections: Iterable[dict[str, object]], differ: frozenset[str]) -> list[object]:
    """Facts without their source and the keys that differ."""
    top = {"bytes"} if "bytes of the conversation" in differ else set()
    kept = ({key: value for key, value in facts.items() if key not in top} for facts in connections)
    if "timing" in differ:
        kept = ({**facts, "problems": [one for one in facts["problems"] if one["detail"] != SLOW]} for facts in kept)
    return [strip(facts, differ | {"source"}) for facts in kept]


PLACE = frozenset(
    {
        "source",
        "frame",
        "first_frame",
        "offset",
        "segments",
        "packets",
        "ms",
        "timing",
        "start",
        "end",
        "handshake_bytes",
    }
)
"""Keys whose values follow the packets and records, not what is said in them."""


def said(connections: Iterable[dict[str, Any]]) -> list[object]:
    """What is said, without the length of the conversation and of records; a problem is its code and side."""
    result = []
    for connection in connections:
        problems = [{"code": one["code"], "from": one["from"]} for one in connection["problems"]]
        kept = {key: value for key, value in connection.items() if key != "bytes"}
        result.append(strip({**kept, "problems": problems}, PLACE))
    return result


def differences(ours: object, theirs: object, where: str = "") -> list[str]:
    """Name every value that is not the same in both."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        return [one for key in keys for one in differences(ours.get(key), theirs.get(key), f"{where}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [one for at, pair in pairs for one in differences(*pair, f"{where}[{at}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} instead of {theirs!r}"]


def strip(value: object, dropped: frozenset[str]) -> object:
    if isinstance(value, dict):
        return {key: strip(item, dropped) for key, item in value.items() if key not in dropped}
    if isinstance(value, (list, tuple)):
        return [strip(item, dropped) for item in value]
    return value
