"""Captures that are to exhaust memory or time, written as they are read: each takes little memory to make."""

from __future__ import annotations

import gzip
import hmac
import itertools
import os
import random
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.append(str(Path(__file__).resolve().parents[1]))

import dtlswriting
import eapwriting
import quicwriting
from tlswriting import extension, message, record, sized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SYN, ACK = 0x02, 0x10
TCP, UDP = 6, 17
_RAW_IP, _ETHERNET = 101, 1
_FIRST_SECOND = 1_700_000_000
_SERVER = bytes((198, 51, 100, 1))


class Attack(NamedTuple):
    """An attack of any size."""

    name: str
    text: str
    number: int
    """How many of what `text` says are measured."""
    capture: Callable[[int], Iterable[bytes]]
    """Makes a capture with so many, piece by piece."""
    prepare: Callable[[Path, int], list[str]] = lambda _folder, _number: []
    """Writes other files that are needed, and returns the options that name them."""


# ---------------------------------------------------------------- packets


def pcap(packets: Iterable[bytes], link: int = _RAW_IP) -> Iterator[bytes]:
    """Make a capture of packets whose times are ten microseconds apart."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, link)
    for number, packet in enumerate(packets):
        second, fraction = divmod(number * 10, 1_000_000)
        yield struct.pack("<IIII", _FIRST_SECOND + second, fraction, len(packet), len(packet)) + packet


def ip4(source: bytes, target: bytes, protocol: int, body: bytes, identification: int = 0, part: int = 0) -> bytes:
    """A packet; `part` is the field with the flags and the offset of a fragment."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), identification, part, 64, protocol, 0)
    return head + source + target + body


def tcp(client: bytes, ports: tuple[int, int], numbers: tuple[int, int], flags: int, body: bytes = b"") -> bytes:
    """A segment of a client, or of the server if the first port is the server's."""
    ends = (client, _SERVER) if ports[1] == 443 else (_SERVER, client)
    return ip4(*ends, TCP, struct.pack(">HHIIBBHHH", *ports, *numbers, 5 << 4, flags, 8192, 0, 0) + body)


def udp(client: bytes, port: int, body: bytes) -> bytes:
    return ip4(client, _SERVER, UDP, struct.pack(">HHHH", port, 443, 8 + len(body), 0) + body)


def address(number: int) -> bytes:
    """One of 2**24 clients."""
    return (10 << 24 | number).to_bytes(4, "big")


def client_hello(size: int = 300, random_bytes: bytes = bytes(32), extensions: bytes = b"") -> bytes:
    """A message of so many bytes, by its padding."""
    body = b"\x03\x03" + random_bytes + b"\0" + sized(b"\x13\x01") + b"\x01\0"
    name = extension(0, sized(b"\0" + sized(b"attack.example")))
    padding = size - 4 - len(body) - 2 - len(name) - len(extensions) - 4
    return message(1, body + sized(name + extensions + extension(21, bytes(max(0, padding)))))


def opened(client: bytes, port: int) -> Iterator[bytes]:
    """TCP's handshake; the client's stream begins at number 1."""
    yield tcp(client, (port, 443), (0, 0), SYN)
    yield tcp(client, (443, port), (0, 1), SYN | ACK)
    yield tcp(client, (port, 443), (1, 1), ACK)


# ---------------------------------------------------------------- flows


def half_open(number: int) -> Iterator[bytes]:
    for n in range(number):
        yield tcp(address(n), (40_000, 443), (n, 0), SYN)


def colliding(number: int) -> Iterator[bytes]:
    """Flows whose addresses and ports have the same sum and the same exclusive or, in both halves."""
    for n in range(number):
        low, high = n & 0xFFF, n >> 12 & 0xFFF
        source, target = (10 << 24 | high << 12 | low).to_bytes(4, "big"), (10 << 24 | low << 12 | high)
        ports = 1024 + (n >> 24), 65_535 - 1024 - (n >> 24)
        head = struct.pack(">HHIIBBHHH", *ports, n, 0, 5 << 4, SYN, 8192, 0, 0)
        yield ip4(source, target.to_bytes(4, "big"), TCP, head)


def half_hellos(number: int) -> Iterator[bytes]:
    half = record(22, client_hello(600))[:300]
    for n in range(number):
        yield from opened(address(n), 40_000)
        yield tcp(address(n), (40_000, 443), (1, 1), ACK, half)


def unanswered_hellos(number: int) -> Iterator[bytes]:
    for n in range(number):
        yield from opened(address(n), 40_000)
        hello = client_hello(300, n.to_bytes(32, "big"), extension(51, sized(b"\0\x1d" + sized(n.to_bytes(32, "big")))))
        yield tcp(address(n), (40_000, 443), (1, 1), ACK, record(22, hello))


def half_certificates(number: int) -> Iterator[bytes]:
    """Answer each ClientHello with a ServerHello and half a Certificate."""
    for n in range(number):
        yield from opened(address(n), 40_000)
        sent = record(22, client_hello(300, n.to_bytes(32, "big")))
        yield tcp(address(n), (40_000, 443), (1, 1), ACK, sent)
        hello = message(2, b"\x03\x03" + n.to_bytes(32, "big") + b"\0\xc0\x2f\0")
        begun = record(22, hello + message(11, sized(sized(n.to_bytes(4, "big") * 350, 3), 3)))[:800]
        yield tcp(address(n), (443, 40_000), (1, 1 + len(sent)), ACK, begun)


def failures(number: int) -> Iterator[bytes]:
    """Different clients, names, offers and sessions, each answered by an alert."""
    for n in range(number):
        chance = hmac.digest(b"", n.to_bytes(4, "big"), "sha512")
        suites, groups, rest = chance[:32], chance[32:40], chance[40:]
        offers = extension(10, sized(groups)) + extension(16, sized(sized(rest.hex().encode(), 1)))
        name = extension(0, sized(b"\0" + sized(b"%d.attack.example" % n))) + extension(43, b"\x02\x03\x04")
        identities = b"".join(sized(chance[at : at + 16]) + bytes(4) for at in range(0, 64, 16))
        keys = extension(45, b"\x01\x01") + extension(41, sized(identities) + sized(sized(bytes(32), 1) * 4))
        body = b"\x03\x03" + n.to_bytes(32, "big") + b"\0" + sized(suites) + b"\x01\0" + sized(name + offers + keys)
        sent = record(22, message(1, body))
        yield from opened(address(n), 40_000)
        yield tcp(address(n), (40_000, 443), (1, 1), ACK, sent)
        yield tcp(address(n), (443, 40_000), (1, 1 + len(sent)), ACK, record(21, b"\x02\x28"))


def mixed(number: int) -> Iterator[bytes]:
    """Half-finished handshakes of all kinds over IP: of each four, two over TCP, and one each over QUIC and DTLS."""
    tcp_part, quic, dtls = half_hellos(number // 2), half_hellos_over_quic(number // 4), half_hellos_over_dtls(number)
    for _ in range(number // 4):
        yield from itertools.islice(tcp_part, 8)
        yield next(quic)
        yield from itertools.islice(dtls, 4)


def backwards(number: int, segments: int = 3000, size: int = 20) -> Iterator[bytes]:
    """Connections with a ClientHello of 60 KB, whose segments come from the last to the first."""
    hello = client_hello(segments * size - 20)
    sent = b"".join(record(22, hello[at : at + 16_384]) for at in range(0, len(hello), 16_384))
    for n in range(number):
        yield from opened(address(n), 40_000)
        for at in range((len(sent) - 1) // size * size, -1, -size):
            yield tcp(address(n), (40_000, 443), (1 + at, 1), ACK, sent[at : at + size])


def conflicting(number: int, copies: int = 250) -> Iterator[bytes]:
    """Connections that send each part of a ClientHello several times, each time with other bytes."""
    sent = record(22, client_hello(600))
    for n in range(number):
        yield from opened(address(n), 40_000)
        for copy in range(copies):
            at = copy % 4 * 100
            other = bytes(byte ^ copy // 4 for byte in sent[at : at + 120])
            yield tcp(address(n), (40_000, 443), (1 + at, 1), ACK, other)


# ---------------------------------------------------------------- QUIC and DTLS


def unreadable_initials(number: int) -> Iterator[bytes]:
    """Initial packets of random connection IDs that no key opens."""
    chance = random.Random(1)  # noqa: S311
    body = chance.randbytes(1150)
    for n in range(number):
        head = quicwriting.header(quicwriting.INITIAL, quicwriting.V1, chance.randbytes(8), b"")
        yield udp(address(n), 40_000, head + b"\0" + struct.pack(">H", 0x4000 | len(body)) + body)


def half_hellos_over_quic(number: int) -> Iterator[bytes]:
    """Initial packets with valid keys and half a ClientHello."""
    chance = random.Random(2)  # noqa: S311
    frames = quicwriting.crypto(0, client_hello(600)[:300])
    for n in range(number):
        to = chance.randbytes(8)
        # The cache of `quicwriting.keys` would grow with the attack.
        secret = quicwriting.expand(hmac.digest(quicwriting.SALTS[quicwriting.V1][1], to, "sha256"), "client in", 32)
        head = quicwriting.header(quicwriting.INITIAL, quicwriting.V1, to, b"") + b"\0"
        yield udp(address(n), 40_000, quicwriting.sealed(quicwriting.packet_keys(secret), head, 0, frames + bytes(800)))


def half_hellos_over_dtls(number: int) -> Iterator[bytes]:
    """Send one fragment of each message of 16 MiB, and never the rest."""
    for n in range(number):
        part = dtlswriting.fragment(1, n % 5, bytes(40), length=(1 << 24) - 1, offset=n % 7 * 100)
        yield udp(address(n // 4), 40_000, dtlswriting.record(dtlswriting.HANDSHAKE, part, sequence=n))


# ---------------------------------------------------------------- fragments


def lonely_fragments(number: int) -> Iterator[bytes]:
    """First fragments of packets whose other fragments never come."""
    for n in range(number):
        yield ip4(address(n >> 8), _SERVER, TCP, bytes(1400), identification=n & 0xFFFF, part=0x2000)


def small_fragments(number: int) -> Iterator[bytes]:
    """Fragments of eight bytes, between which eight bytes are missing each time."""
    for n in range(number):
        packet, at = divmod(n, 4000)
        yield ip4(address(packet), _SERVER, TCP, bytes(8), identification=packet & 0xFFFF, part=0x2000 | at * 2)


def fragments_over_eap(number: int) -> Iterator[bytes]:
    """First fragments of EAP-TLS messages whose other fragments never come."""
    flags = bytes((eapwriting.LENGTH | eapwriting.MORE,)) + (1 << 24).to_bytes(4, "big")
    for n in range(number):
        body = eapwriting.eap(eapwriting.RESPONSE, 1, eapwriting.TLS, flags + record(22, client_hello(600))[:500])
        yield eapwriting.eapol(body, to=eapwriting.GROUP, source=b"\2\0" + n.to_bytes(4, "big"))


# ---------------------------------------------------------------- compression


def empty(number: int) -> Iterator[bytes]:
    """Packets of 60 KB of zeros."""
    packet = udp(address(1), 40_000, bytes(60_000))
    return itertools.repeat(packet, number)


def gzipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield from filter(None, map(packer.compress, parts))
    yield packer.flush()


def zstd(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zstandard.ZstdCompressor(19).compressobj()
    yield from filter(None, map(packer.compress, parts))
    yield packer.flush()


def members(number: int) -> Iterator[bytes]:
    """Compress each packet as a gzip member of its own, and append empty members."""
    for part in pcap(empty(number // 100)):
        yield gzip.compress(part, mtime=0)
    yield from itertools.repeat(gzip.compress(b"", mtime=0), number)


# ---------------------------------------------------------------- compressed certificates

_SECRET = bytes(range(32))


def compressed_certificates(number: int) -> Iterator[bytes]:
    """Servers that send certificates of 1 MiB as 1 KB, and some that claim 16 MiB (RFC 8879)."""
    whole = bytes(3) + b"\0" + sized(bytes((1 << 20) - 200), 3)
    packed = zlib.compress(whole, 9), zstandard.ZstdCompressor(19).compress(whole)
    offers = extension(27, b"\x04" + struct.pack(">HH", 1, 3)) + extension(43, b"\x02\x03\x04")
    for n in range(number):
        client, randoms = address(n), n.to_bytes(32, "big")
        size = len(whole) if n % 4 else (1 << 24) - 1
        body = struct.pack(">H", (1, 3)[n % 2]) + size.to_bytes(3, "big") + sized(packed[n % 2], 3)
        agreed = extension(43, b"\x03\x04") + extension(51, b"\0\x1d" + sized(bytes(32)))
        hello = b"\x03\x03" + randoms + b"\0\x13\x01\0" + sized(agreed)
        flight = sealed(message(8, sized(b"")) + message(25, body))
        yield from opened(client, 40_000)
        first = record(22, client_hello(300, randoms, offers))
        yield tcp(client, (40_000, 443), (1, 1), ACK, first)
        yield tcp(client, (443, 40_000), (1, 1 + len(first)), ACK, record(22, message(2, hello)) + flight)


def sealed(data: bytes) -> bytes:
    """A record of TLS 1.3 with handshake messages (RFC 8446 section 5.2)."""
    inner = data + b"\x16"
    head = b"\x17\x03\x03" + struct.pack(">H", len(inner) + 16)
    key, iv = quicwriting.expand(_SECRET, "key", 16), quicwriting.expand(_SECRET, "iv", 12)
    return head + AESGCM(key).encrypt(iv, inner, head)


def key_log(folder: Path, number: int) -> list[str]:
    path = folder / "keys"
    with path.open("w") as file:
        for n in range(number):
            print(f"SERVER_HANDSHAKE_TRAFFIC_SECRET {n:064x} {_SECRET.hex()}", file=file)
    return ["--keylog", str(path)]


ATTACKS = (
    Attack("tcp", "SYNs of different clients that nobody answers", 1_000_000, lambda n: pcap(half_open(n))),
    Attack(
        "collisions",
        "SYNs whose addresses and ports have the same sum and exclusive or",
        1_000_000,
        lambda n: pcap(colliding(n)),
    ),
    Attack("hellos", "connections with half a ClientHello", 1_000_000, lambda n: pcap(half_hellos(n))),
    Attack(
        "unanswered",
        "connections with different ClientHellos that nobody answers",
        300_000,
        lambda n: pcap(unanswered_hellos(n)),
    ),
    Attack(
        "half-certificates",
        "connections with half a Certificate",
        300_000,
        lambda n: pcap(half_certificates(n)),
    ),
    Attack(
        "failures",
        "connections with different ClientHellos that an alert answers",
        300_000,
        lambda n: pcap(failures(n)),
    ),
    Attack(
        "mixed",
        "half-finished handshakes, half of them over TCP, a quarter each over QUIC and DTLS",
        800_000,
        lambda n: pcap(mixed(n)),
    ),
    Attack(
        "backwards",
        "connections with a ClientHello of 60 KB in 3,000 segments, the last one first",
        400,
        lambda n: pcap(backwards(n)),
    ),
    Attack(
        "conflicts",
        "connections that send parts of a ClientHello 250 times with other bytes",
        4_000,
        lambda n: pcap(conflicting(n)),
    ),
    Attack(
        "quic",
        "QUIC Initial packets of different clients that no key opens",
        1_000_000,
        lambda n: pcap(unreadable_initials(n)),
    ),
    Attack(
        "quic-hellos",
        "QUIC Initial packets of different clients with half a ClientHello",
        1_000_000,
        lambda n: pcap(half_hellos_over_quic(n)),
    ),
    Attack(
        "dtls",
        "DTLS fragments of messages of 16 MiB that never become complete",
        1_000_000,
        lambda n: pcap(half_hellos_over_dtls(n)),
    ),
    Attack("ip", "IP fragments whose packets never become complete", 1_000_000, lambda n: pcap(lonely_fragments(n))),
    Attack(
        "small-ip",
        "IP fragments of 8 bytes that leave 4,000 gaps in each packet",
        1_000_000,
        lambda n: pcap(small_fragments(n)),
    ),
    Attack(
        "eap",
        "EAP fragments of different supplicants whose messages never become complete",
        400_000,
        lambda n: pcap(fragments_over_eap(n), _ETHERNET),
    ),
    Attack("gzip", "packets of 60 KB in gzip, 1,000 times as many bytes as compressed", 100_000,
           lambda n: gzipped(pcap(empty(n)))),
    Attack("gzip-twice", "the same, compressed twice", 100_000, lambda n: gzipped(gzipped(pcap(empty(n))))),
    Attack("gzip-members", "members of gzip without a byte, after packets of 60 KB", 1_000_000, members),
    Attack("zstd", "packets of 60 KB in zstd", 100_000, lambda n: zstd(pcap(empty(n)))),
    Attack(
        "certificates",
        "compressed certificates of 1 MiB in 1 KB, or that claim 16 MiB, with their keys",
        4_000,
        lambda n: pcap(compressed_certificates(n)),
        key_log,
    ),
)  # fmt: skip


if __name__ == "__main__":
    name, number = sys.argv[1:]
    (chosen,) = (one for one in ATTACKS if one.name == name)
    with suppress(BrokenPipeError):
        for part in chosen.capture(int(number)):
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    # What is left in the buffer has no reader.
    os._exit(0)
