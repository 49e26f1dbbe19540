"""Benign inputs of each target, made of the samples and of other captures."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zlib
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

import brotli
import dpkt
import zstandard
from conversing import CLIENT, SERVER
from fuzz.choices import joined
from fuzz.key_damage import damaged_log
from fuzz.mutator import TALKS, TURNS
from mangle import pcapng as as_pcapng
from quicwriting import crypto
from recorded import ROOT, packets
from tls.tls_vectors import VECTORS
from tlswriting import message
from upgrading import CONVERSATIONS

from tlsdissect.capture import open_capture
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.pipeline import Reading
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.wire import decode_partially
from tlsdissect.trust.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tlsdissect.model.connection import Connection

SIZE = 64 << 10
"""Bytes of a capture that are used, so that one reading is short."""
FRAMES = 6
"""Frames of one input of the target `headers`."""
SMALL = 12 << 10
"""Bytes of the largest capture that becomes a seed of a whole capture."""

QUIC_PORTS = (443, 4433, 8443, 4434)
RAW = 10
"""In `quic`: the part is a datagram as it is."""
STAPLED = "talk/httpd-stapled-tls12"
"""A sample with a stapled OCSP response."""
KEYED = 30_000
"""Bytes of the largest sample that is read with key logs."""


@dataclass(frozen=True)
class Captures:
    """The captures that seeds are made of."""

    paths: Sequence[Path]

    @cached_property
    def beginnings(self) -> list[bytes]:
        """The first bytes of each, decompressed."""
        return [beginning(path) for path in self.paths]

    @cached_property
    def framed(self) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """The link type of each classic pcap, and its frames with their times in microseconds."""
        return [found for data in self.beginnings if (found := frames_of(data))]


def find(folders: Iterable[Path]) -> Captures:
    """The captures in folders, and in folders of these."""
    return Captures([path for folder in folders for path in sorted(folder.rglob("*.pcap*")) if path.is_file()])


SAMPLES = find([ROOT / "samples"])


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.suffix == ".gz":
            return gzip.open(file).read(SIZE)
        return zstandard.ZstdDecompressor().stream_reader(file).read(SIZE) if path.suffix == ".zst" else file.read(SIZE)


def frames_of(data: bytes) -> tuple[int, list[tuple[int, bytes]]] | None:
    try:
        reader = dpkt.pcap.UniversalReader(io.BytesIO(data))
        return reader.datalink(), [(int(time * 1_000_000), frame) for time, frame in reader]
    except (ValueError, dpkt.Error):
        return None


# ---------------------------------------------------------------- of each target


def captures(given: Captures) -> Iterator[bytes]:
    yield from (data for data in given.beginnings if len(data) <= SMALL)


def pcap(given: Captures) -> Iterator[bytes]:
    """Classic captures, and the smallest one in each way to compress it."""
    classic = [data for data in captures(given) if data[:4] != b"\x0a\x0d\x0d\x0a"]
    smallest = min(classic, key=len)
    yield from classic
    yield from (compress(smallest) for compress in (gzip.compress, zstandard.compress, lzma.compress, bz2.compress))


def pcapng(given: Captures) -> Iterator[bytes]:
    yield from (data for data in captures(given) if data[:4] == b"\x0a\x0d\x0d\x0a")
    for link, frames in given.framed:
        yield as_pcapng(frames[:FRAMES], link, untimed=1, of=3)


def frames(given: Captures) -> Iterator[bytes]:
    for link, frames in given.framed:
        yield link.to_bytes(2, "big") + joined(*((0, frame) for _, frame in islice(frames, FRAMES)))


def fragments(_: Captures) -> Iterator[bytes]:
    """The segment in pieces, in order and backwards."""
    for version in (0, 1):
        for size in (1, 8, 40):
            cuts = [bytes([at, size, 0, 0]) for at in range(0, 70, size)]
            yield bytes([version]) + b"".join(cuts)
            yield bytes([version]) + b"".join(cuts[::-1])


def segments(_: Captures) -> Iterator[bytes]:
    """Segments in order, backwards and at random."""
    chance = Random(2)  # noqa: S311
    for size in (100, 500, 1400):
        cuts = [at.to_bytes(2, "big") + size.to_bytes(2, "big") + b"\0" for at in range(0, 20_000, size)]
        first = chance.randbytes(4)
        yield first + b"".join(cuts)
        yield first + b"".join(cuts[::-1])
        yield first + b"".join(chance.sample(cuts, len(cuts)))


def spoken(given: Captures) -> Iterator[list[tuple[int, bytes]]]:
    """The payload of the first connection of each capture, segment after segment, with its side."""
    for _, protocol, each in flows(given):
        if protocol == dpkt.ip.IP_PROTO_TCP:
            yield each


def flows(given: Captures) -> Iterator[tuple[int, int, list[tuple[int, bytes]]]]:
    """The first flow of each capture: the port of the server, the protocol, and what each side sends."""
    for link, frames in given.framed:
        found: list[tuple[int, bytes]] = []
        key: tuple[int, int, int] | None = None
        for _, frame in frames:
            layer = transport(link, frame)
            if layer is None or not layer.data:
                continue
            protocol = dpkt.ip.IP_PROTO_TCP if isinstance(layer, dpkt.tcp.TCP) else dpkt.ip.IP_PROTO_UDP
            key = key or (protocol, layer.sport, layer.dport)
            if {layer.sport, layer.dport} == set(key[1:]) and protocol == key[0]:
                found.append((int(layer.sport != key[1]), bytes(layer.data)))
        if key is not None:
            yield key[2], key[0], found


def transport(link: int, frame: bytes) -> dpkt.tcp.TCP | dpkt.udp.UDP | None:
    try:
        packet = dpkt.ethernet.Ethernet(frame).data if link == dpkt.pcap.DLT_EN10MB else dpkt.ip.IP(frame)
        return packet.data if isinstance(packet.data, dpkt.tcp.TCP | dpkt.udp.UDP) else None
    except (dpkt.Error, AttributeError, IndexError, struct.error):
        return None


def streams(given: Captures) -> Iterator[bytes]:
    yield from (joined(*each[:TURNS]) for each in spoken(given))


def upgrades(_: Captures) -> Iterator[bytes]:
    for client, server in CONVERSATIONS.values():
        yield joined((CLIENT, client), (SERVER, server))


def messages(_: Captures) -> Iterator[bytes]:
    """Recorded messages; their versions and suites are those of `VERSIONS` and `SUITES` that come nearest."""
    places = {"tls13": 1, "tls11": 4, "tls10": 2, "dtls1": 6}
    suites = {"dhe": 1, "rsa": 2, "psk": 3, "dhe_psk": 4, "ecdhe_psk": 5, "rsa_psk": 6, "anon": 7}
    for vector in VECTORS:
        name, _, exchange = vector.connection.partition("_")
        head = places.get(name[:5], 0), suites.get(exchange, 0), HandshakeType[vector.type.upper()]
        yield bytes(head) + vector.body


def extensions(_: Captures) -> Iterator[bytes]:
    """The extensions of recorded messages, each as of every table."""
    bodies = set()
    for vector in VECTORS:
        found, _ = decode_partially(vector.read, vector.body)
        for one in getattr(found, "extensions", None) or ():
            bodies.add((int(one.extension_type), one.extension_data))
    for number, body in sorted(bodies):
        for table in range(6):
            yield bytes([table]) + number.to_bytes(2, "big") + body


def compressed(_: Captures) -> Iterator[bytes]:
    for plain in (b"", b"abc" * 50, bytes(5000)):
        for algorithm, packed in enumerate(
            (zlib.compress(plain), brotli.compress(plain), zstandard.compress(plain)), 1
        ):
            yield bytes([algorithm]) + len(plain).to_bytes(3, "big") + packed


def certificates(given: Captures) -> Iterator[bytes]:
    """Each chain of the captures, and its first certificate alone."""
    for chain in chains(given):
        yield joined(*((0, one) for one in chain))
        yield joined((0, chain[0]))


def chains(given: Captures) -> Iterator[list[bytes]]:
    seen = set()
    for connection, evidence in judged(given):
        digests = [one.sha256 for one in connection.certificates or () if one.sha256]
        chain = [found for digest in digests if (found := evidence.encoding(digest)) is not None]
        if chain and chain[0] not in seen:
            seen.add(chain[0])
            yield chain


def staples(given: Captures) -> Iterator[bytes]:
    seen = set()
    for connection, evidence in judged(given):
        stapled = connection.ocsp_staple
        found = None if stapled is None else evidence.encoding(stapled.sha256)
        if found is not None and found not in seen:
            seen.add(found)
            yield found


def judged(given: Captures) -> Iterator[tuple[Connection, Evidence]]:
    for data in given.beginnings:
        evidence = Evidence()
        reading = Reading(["capture"], opener=opener(data), judge=Judge(), evidence=evidence)
        yield from ((connection, evidence) for connection in reading)


def opener(data: bytes) -> Any:
    return lambda _: open_capture(io.BytesIO(data))


def quic(given: Captures) -> Iterator[bytes]:
    """Initial packets with CRYPTO frames, and recorded datagrams."""
    hello = next(vector.body for vector in VECTORS if vector.type == "client_hello")
    answer = next(vector.body for vector in VECTORS if vector.type == "server_hello")
    first, second = message(1, hello), message(2, answer)
    for how in (0, 6):
        yield joined((how, crypto(0, first)), (how | 1, b"\x02\0\0\0\0" + crypto(0, second)), (9, b"\0" * 500))
        yield joined((how, crypto(50, first[50:])), (how, crypto(0, first[:50])), (how, b"\x1c\x02\0\0"))
    for port, protocol, each in flows(given):
        if protocol == dpkt.ip.IP_PROTO_UDP and port in QUIC_PORTS and each[0][1][0] & 0xC0 == 0xC0:
            yield joined(*((RAW | side, data) for side, data in each[:TURNS]))


def datagrams(given: Captures) -> Iterator[bytes]:
    for _, protocol, each in flows(given):
        if protocol == dpkt.ip.IP_PROTO_UDP and each[0][1][:1] in (b"\x16", b"\x17"):
            yield joined(*each[:TURNS])


def eap(given: Captures) -> Iterator[bytes]:
    """EAP packets of frames, and RADIUS packets as they are."""
    for link, frames in given.framed:
        if link != dpkt.pcap.DLT_EN10MB:
            continue
        found: list[tuple[int, bytes]] = []
        for _, frame in frames:
            layer = transport(link, frame)
            if frame[12:14] == b"\x88\x8e":
                found.append((int(frame[18:19] == b"\x02"), frame[18:]))  # a response
            elif isinstance(layer, dpkt.udp.UDP) and 1812 in {layer.sport, layer.dport}:
                found.append((6 | (layer.dport == 1812), bytes(layer.data)))
        if found:
            yield joined(*found[:TURNS])


def expressions(_: Captures) -> Iterator[bytes]:
    texts = {
        0: (
            'version == "TLS 1.2" && timing.handshake_ms >= 0.5', "sni.contains('.') || !complete",
            "client_hello.extensions.exists(e, e.type == 'server_name')", "certificates.all(c, size(c.dns_names) < 3)",
            "alerts.map(a, a.description).filter(d, d.startsWith('un')).size() > 0 ? true : 1 in [1, 2u, 3.5]",
            "timestamp(start) > timestamp('2026-01-01T00:00:00Z') && duration('1h30m').getMinutes() == 90",
            "has(quic.version) == false && ja4.matches('^t1[23].*_[0-9a-f]{12}$')",
        ),
        1: ("0", "udp:7", "capture.pcap:eap:3"),
        2: ("90s", "1h30m", "2026-01-31T12:00:00.5+02:00"),
        4: ("*.example", "[a-c]?", ""),
        5: ("192.0.2.0/24", "::1"),
        6: ("443",),
        7: ("1.2", "older"),
        8: ("self_signed",),
    }  # fmt: skip
    yield from (bytes([which]) + text.encode() for which, each in texts.items() for text in each)


@cache
def selected() -> tuple[Connection, ...]:
    """A few connections to select from."""
    paths = [ROOT / "samples" / name for name in ("tls12-client-cert.pcap", "tls13-full.pcap", "smtp-starttls.pcap")]
    paths += [ROOT / "samples" / "quic" / "quic-full.pcap", ROOT / "samples" / "eap" / "eapol-tls-tls12.pcap"]
    return tuple(Reading(paths, judge=Judge()))


def programs(_: Captures) -> Iterator[bytes]:
    """Programs of a few mutations each, of every sample and of every kind."""
    chance = Random(1)  # noqa: S311
    for talk in range(len(TALKS)):
        for version in (0, 1):
            yield bytes([talk, version, 3, 3]) + chance.randbytes(40)


def keylogs(_: Captures) -> Iterator[bytes]:
    """Each key log with its sample, as it is, and with damage to either."""
    for number, (_, _, log) in enumerate(with_keys()):
        chance = Random(number)  # noqa: S311
        for damage, lines in ((0, log), (0, damaged_log(log, chance)), (1 + number, log)):
            yield bytes([number]) + damage.to_bytes(2, "big") + lines


@cache
def with_keys() -> list[tuple[bytes, list[tuple[bytes, bytes]], bytes]]:
    """The samples with a key log: the header of the file, its packets, and the log."""
    folders = [ROOT / "samples" / name for name in ("", "keys", "quic", "dtls", "eap", "ech")]
    every = [path for folder in folders for path in sorted(folder.glob("*.pcap"))]
    paths = [path for path in every if path.with_suffix(".keys").exists() and path.stat().st_size < KEYED]
    return [(path.read_bytes()[:24], packets(path), path.with_suffix(".keys").read_bytes()) for path in paths]
