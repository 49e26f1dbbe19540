"""What is fuzzed: for each stage a function that takes any bytes and returns what they tell.

A target raises for nothing that is on the wire. What it returns must be the same with the kernel compiled and as pure
Python. Where more must hold, the target asserts it.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from zlib import crc32

import datagrams
import eapwriting
import msgspec
import quicwriting
from capture.building import ether, ip4, udp
from capture.rows import Pieces, rows_of
from conversing import CLIENT, SERVER
from fuzz import mutator, seeds
from fuzz.choices import Choices, parts
from fuzz.key_damage import damaged_capture
from mangle import ETHERNET, RAW, SLOW, differences, pcap, said, tcp
from surveying import surveyed
from tlswriting import message, sized

import tlsdissect
from tlsdissect.capture import CaptureError, open_capture
from tlsdissect.corpus.selection import Selection
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.reassembly import Assembler, PlacedSegment
from tlsdissect.handshake.decompression import DecompressionError, decompressed
from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.handshake.options import DEFAULTS, Options
from tlsdissect.handshake.segments import UNCOMPARED
from tlsdissect.handshake.starttls import recognise
from tlsdissect.pipeline import Reading
from tlsdissect.tls.alert import Alert, Ssl2ErrorMessage
from tlsdissect.tls.client_hello import Ssl2ClientHello
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.extensions import (
    FROM_CERTIFICATE_ENTRY,
    FROM_CERTIFICATE_REQUEST,
    FROM_CLIENT,
    FROM_RETRY,
    FROM_SERVER,
    FROM_TICKET,
    decode,
)
from tlsdissect.tls.handshake import Decoder, decoder
from tlsdissect.tls.key_exchange import key_exchange
from tlsdissect.tls.messages import Heartbeat
from tlsdissect.tls.quic import Frames
from tlsdissect.tls.server_hello import Ssl2ServerHello
from tlsdissect.tls.wire import WireError
from tlsdissect.trust.judge import Judge
from tlsdissect.x509.certificates import certificate
from tlsdissect.x509.staples import staple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tlsdissect.tls.layout import WireStruct

TIGHT = Options(
    idle=1.0, limits=Limits(known=2, followed=1, held_bytes=500, message_bytes=2000, total_bytes=4000, max_sessions=1)
)
"""Limits that small captures reach."""
VIEWED = 8
"""Of so many captures one, by its checksum, is judged and shown by the views, which take most of the time."""
EARLY = Options(idle=1.0)
OPENED = frozenset({"hidden", "keys", "transcript"})
"""Keys with what keys add."""
OF_CLIENT = ("sni", "ja3", "ja4", "client_hello")
"""Keys with what the ClientHello says."""
OF_CAPTURE = frozenset({"stream", "transcript"})
"""Keys whose values follow the packets of other connections, or all packets."""
FRAGMENTED = bytes(range(256)) * 2 + b"and the end"
"""The payload of the segment that comes in fragments."""
MOST_FRAGMENTS = 64
STREAM = bytes(n * n >> 8 & 0xFF for n in range(20_000))
"""What is sent in segments."""
MOST_SEGMENTS = 500
RECORD_BYTES = 16_000
"""Bytes of a message in one record."""
VERSIONS = (0x0303, 0x0304, 0x0301, 0x0300, 0x0302, 0x7F12, 0xFEFD, 0xFEFF, 0x0002)
SUITES = (
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_PSK_WITH_AES_128_CBC_SHA", "TLS_DHE_PSK_WITH_AES_128_CBC_SHA", "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA",
    "TLS_RSA_PSK_WITH_AES_128_CBC_SHA", "TLS_DH_anon_WITH_AES_128_CBC_SHA", "TLS_SRP_SHA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA", "TLS_KRB5_WITH_DES_CBC_SHA",
)  # fmt: skip
"""One of each kind of key exchange."""
STRUCTS = (Ssl2ClientHello, Ssl2ServerHello, Ssl2ErrorMessage, Alert, Heartbeat, Frames)
"""Structs that are no handshake messages."""
FIRST_STRUCT = 240
"""Types of messages from here on stand for these."""
TABLES = (FROM_CLIENT, FROM_SERVER, FROM_RETRY, FROM_CERTIFICATE_REQUEST, FROM_CERTIFICATE_ENTRY, FROM_TICKET)
OPTIONS = ("where", "stream", "since", "until", "sni", "client", "port", "tls", "finding")
KEPT = Options(keep=True, raw_fingerprints=True)


@dataclass(frozen=True)
class Target:
    """A stage."""

    run: Callable[[bytes], object]
    seeds: Callable[[seeds.Captures], Iterable[bytes]]
    """Benign inputs, made of captures."""
    size: Callable[[bytes], int] = len
    """The size of an input, by which its cost is measured: of a program, that of the capture that it makes."""


TARGETS: dict[str, Target] = {}


def target(
    from_captures: Callable[[seeds.Captures], Iterable[bytes]], size: Callable[[bytes], int] = len
) -> Callable[..., Callable[[bytes], object]]:
    def add(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        TARGETS[run.__name__] = Target(run, from_captures, size)
        return run

    return add


# ---------------------------------------------------------------- captures

COMPRESSED = (b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh")
"""How Zstandard, xz and bzip2 begin. Their decompressors lose what they had made when they met damage, as much as the
piece has that they were given: so of damaged data in smaller pieces, more can be read."""


def packets_of(data: bytes, piece: int | None = None) -> list[object]:
    """The packets of a capture, and what could not be read."""
    try:
        with open_capture(io.BytesIO(data) if piece is None else Pieces(data, piece)) as reader:
            rows = rows_of(reader)
            return [*rows, reader.frames, reader.damage, sorted(reader.skipped.items()), reader.secrets]
    except CaptureError as error:
        return [str(error)]


@target(seeds.pcap)
def classic(data: bytes) -> object:
    """A pcap file, whose bytes may come in pieces."""
    found = packets_of(data)
    in_pieces = packets_of(data, 1 + len(data) % 61)
    if not data.startswith(COMPRESSED):
        assert in_pieces == found
    return found


@target(seeds.pcapng)
def pcapng(data: bytes) -> object:
    """A pcapng file, whose bytes may come in pieces."""
    found = packets_of(data)
    assert packets_of(data, 1 + len(data) % 61) == found
    return found


@target(seeds.frames)
def headers(data: bytes) -> object:
    """A link type, and frames with all their headers and tunnels."""
    choices = Choices(data)
    link = choices.number(2)
    frames = [(number, frame) for number, (_, frame) in enumerate(parts(choices.rest()))]
    return packets_of(pcap(frames, link))


@target(seeds.fragments)
def fragments(data: bytes) -> object:
    """Fragments of one segment, of IPv4 or IPv6: whatever order they come in, only that segment comes of them."""
    choices = Choices(data)
    version, whole = choices.pick((4, 6)), mutator.segments([(0, FRAGMENTED)], 1)[3].segment
    body, frames, lies = tcp(whole), [], False
    while choices and len(frames) < MOST_FRAGMENTS:
        at, size, how = 8 * choices.below(80), 8 * choices.below(80) + choices.below(9), choices.number()
        part = body[at : at + size]
        if how & 4:
            part, lies = part[::-1], True
        # The last one says where the packet ends.
        more = not how & 1 if how & 8 else at + len(part) < len(body)
        lies = lies or more != (at + len(part) < len(body)) or (more and len(part) % 8 != 0)
        frames.append(mutator.fragment(whole, version, part, at, how >> 4 & 1, more=more))
    found = packets_of(pcap(list(enumerate(frames)), ETHERNET))
    payloads = {row["payload"] for row in found if isinstance(row, dict) and row["captured"] == row["length"]}
    assert lies or payloads <= {whole.payload}, "a packet was put together wrongly"
    return found


# ---------------------------------------------------------------- streams


@target(seeds.segments)
def reassembly(data: bytes) -> object:
    """Segments of a stream, some cut by the capture: every byte comes once, in order, at its offset."""
    choices = Choices(data)
    first = choices.number(4)
    assembler = Assembler()
    assembler.start(first)
    end, found = 0, []

    def deliver(arrivals: Iterable[PlacedSegment]) -> None:
        nonlocal end
        for one in arrivals:
            assert (one.offset, one.data) == (end, STREAM[end : end + len(one.data)]), "the stream is wrong"
            found.append((one.offset, one.end, one.frame))
            end = one.end
        assert assembler.position == end

    for number in range(1, MOST_SEGMENTS):
        if not choices:
            break
        start = choices.below(len(STREAM))
        size = min(choices.below(2000), len(STREAM) - start)
        captured = max(0, size - choices.pick((0, 0, 0, 1, 100, 2000)))
        arrivals = assembler.feed((first + start) % 2**32, STREAM[start : start + captured], size, number, number)
        deliver(arrivals)
    while assembler.is_holding():
        hole, arrivals = assembler.give_up()
        end += hole
        deliver(arrivals)
    assert assembler.held_bytes == 0
    return found


@target(seeds.streams)
def records(data: bytes) -> object:
    """What both sides of a TCP connection say, a segment after the other."""
    return look(conversation((kind & 1, part) for kind, part in parts(data)))


@target(seeds.upgrades)
def starttls(data: bytes) -> object:
    """What both sides say before TLS, and a handshake after it."""
    spoken = [(kind & 1, part) for kind, part in parts(data)]
    sides = [b"".join(part for side, part in spoken if side == one) for one in (CLIENT, SERVER)]
    return [recognise(*sides), look(conversation([*spoken, *mutator.written(mutator.records("tls12-full"))]))]


def conversation(spoken: Iterable[tuple[int, bytes]]) -> bytes:
    return mutator.capture(mutator.segments(list(spoken), 1))


def look(data: bytes) -> list[object]:
    """What a capture tells with transcripts, views and findings."""
    kept, texts = read(data, KEPT)
    judged, _ = read(data, judge=Judge())
    return [texts, [shown(one) for one in kept], [one.findings for one in judged]]


# ---------------------------------------------------------------- messages


@target(seeds.messages)
def messages(data: bytes) -> object:
    """A handshake message of any type, version and key exchange, or another struct; its fields cover all bytes."""
    choices = Choices(data)
    version, suite, kind = choices.pick(VERSIONS), choices.pick(SUITES), choices.number()
    if kind >= FIRST_STRUCT:
        return survey_of(STRUCTS[kind % len(STRUCTS)], choices.rest())
    found = decoder(kind, version, key_exchange(suite), datagram=version >= 0xFE00)
    return None if found is None else survey_of(found, choices.rest())


@target(seeds.extensions)
def extensions(data: bytes) -> object:
    """The body of an extension, from any message that has it."""
    choices = Choices(data)
    table, number = choices.pick(TABLES), choices.number(2)
    body = choices.rest()
    try:
        decoded: object = decode(table, number, body)
    except WireError as error:
        decoded = str(error)
    return [decoded, survey_of(table[number], body) if number in table else None]


def survey_of(struct: Decoder | type[WireStruct], body: bytes) -> list[object]:
    found = surveyed(struct, body)
    return [found.value, found.fields, [str(error) for error in found.errors]]


@target(seeds.compressed)
def compression(data: bytes) -> object:
    """A compressed certificate: an algorithm, the size that it is said to have, and bytes."""
    choices = Choices(data)
    algorithm, size = choices.below(5), choices.number(3)
    try:
        found = decompressed(algorithm, choices.rest(), size)
    except DecompressionError as error:
        return str(error)
    assert len(found) == size
    return found


@target(seeds.certificates)
def certificates(data: bytes) -> object:
    """A chain of certificates, as a server sends it."""
    chain = [part for _, part in parts(data)]
    listed = b"".join(sized(one, 3) for one in chain)
    found = [certificate(one) for one in chain]
    return [found, look(with_message("tls12-full", HandshakeType.CERTIFICATE, sized(listed, 3)))]


@target(seeds.staples)
def ocsp(data: bytes) -> object:
    """An OCSP response, as a server staples it."""
    body = b"\x01" + sized(data, 3)
    return [staple(data), look(with_message(seeds.STAPLED, HandshakeType.CERTIFICATE_STATUS, body))]


def with_message(talk: str, kind: HandshakeType, body: bytes) -> bytes:
    """A sample with another body of one message."""
    written = [
        replace(one, body=message(kind, body), pieces=1 + len(body) // RECORD_BYTES, joins=False)
        if one.clear and one.body[0] == kind
        else one
        for one in mutator.records(talk)
    ]
    return conversation(mutator.written(written))


# ---------------------------------------------------------------- datagrams


@target(seeds.quic)
def quic(data: bytes) -> object:
    """QUIC packets of both sides: Initial packets with any frames, and any datagrams."""
    sent: list[quicwriting.Sent] = []
    for number, (kind, part) in enumerate(parts(data)):
        by_client, how = not kind & 1, kind >> 1 & 7
        ids = (quicwriting.ORIGINAL, quicwriting.PEER) if by_client else (quicwriting.PEER, quicwriting.ORIGINAL)
        side = "client" if by_client else "server"
        if how <= 3:
            version = quicwriting.V2 if how == 3 else quicwriting.V1
            packet = quicwriting.initial(
                part, *ids, side=side, keyed=quicwriting.ORIGINAL, number=number, version=version, size=0
            )
        elif how == 4:
            packet = quicwriting.handshake(*ids, size=len(part))
        else:
            packet = part
        sent.append(quicwriting.Sent(packet, by_client))
    return look(quicwriting.pcap(sent))


@target(seeds.datagrams)
def dtls(data: bytes) -> object:
    """Datagrams of both sides with DTLS."""
    packets = [datagrams.packet(kind & 1, part) for kind, part in parts(data)]
    return look(pcap([(mutator.START + 1000 * number, packet) for number, packet in enumerate(packets)], RAW))


@target(seeds.eap)
def eap(data: bytes) -> object:
    """EAP packets in frames of IEEE 802.1X or in RADIUS, and any bytes in either."""
    frames = [eap_frame(kind, number, part) for number, (kind, part) in enumerate(parts(data))]
    return look(pcap([(mutator.START + 1000 * number, frame) for number, frame in enumerate(frames)], ETHERNET))


def eap_frame(kind: int, number: int, part: bytes) -> bytes:
    by_peer, how = kind & 1, kind >> 1 & 3
    ends = {"to": eapwriting.GROUP, "source": eapwriting.SUPPLICANT if by_peer else eapwriting.AUTHENTICATOR}
    if how == 0:
        return eapwriting.eapol(part, **ends)
    if how == 1:
        return bytes.fromhex("0180c2000003020000000001888e") + part
    code, ports = (1, (40_000, 1812)) if by_peer else (11, (1812, 40_000))
    packet = eapwriting.radius(code, number // 2 % 256, part[:4000]) if how == 2 else part
    return ether(ip4(udp(packet, sport=ports[0], dport=ports[1]), 17))


# ---------------------------------------------------------------- selections


@target(seeds.expressions)
def selections(data: bytes) -> object:
    """A value of an option that selects connections, among them an expression in CEL."""
    choices = Choices(data)
    name, text = choices.pick(OPTIONS), choices.rest().decode("utf-8", "replace")
    try:
        selection = Selection.of(**{name: text})
    except ValueError as error:
        return str(error)
    return [selection.matches(one, mutator.START * 1000) for one in seeds.selected()]


# ---------------------------------------------------------------- the whole


def read(data: bytes, options: Options = DEFAULTS, judge: Judge | None = None) -> tuple[list[Any], list[str]]:
    """The connections of a capture, and their texts with that of the summary."""
    reading = Reading(["capture"], options, opener=lambda _: open_capture(io.BytesIO(data)), judge=judge)
    found = list(reading)
    assert reading._budget.used == 0, "bytes are still counted that nothing holds"
    # Kinds are counted in the order in which they are met, and printed in another.
    totals = {name: sorted(one.items(), key=repr) if isinstance(one, Counter) else one
              for name, one in vars(reading.summary).items()}  # fmt: skip
    return found, [*(msgspec.json.encode(one).decode() for one in found), repr(totals)]


def shown(connection: tlsdissect.Connection) -> list[str]:
    """What the views that look inside a handshake say of it."""
    return [
        str(tlsdissect.tree(connection)),
        str(tlsdissect.explain(connection)),
        str(tlsdissect.ladder(connection)),
    ]


def told(data: bytes) -> list[Any]:
    """What a capture tells with each of the ways to read it; facts depend neither on batches nor on what is kept."""
    _, plain = read(data, Options(raw_fingerprints=True, batch=1 + len(data) % 5))
    kept, texts = read(data, KEPT)
    same = (one.startswith(other.removesuffix("}")) for one, other in zip(texts, plain, strict=True))
    assert all(same), "facts depend on whether a transcript is kept"
    others = [read(data, options)[1] for options in (TIGHT, EARLY)]
    if crc32(data) % VIEWED:
        return [texts, others]
    judged, _ = read(data, judge=Judge())
    return [texts, others, [shown(one) for one in kept], [one.findings for one in judged]]


@target(seeds.captures)
def pipeline(data: bytes) -> object:
    """A capture of any kind, from its bytes to the views."""
    return told(data)


def made(data: bytes) -> tuple[str, int, mutator.Mutated, bytes]:
    """What a program of mutations changes, in which version of IP, how, and the capture of it and of another one."""
    program = Choices(data)
    talk, version = program.pick(mutator.TALKS), program.pick((6, 4))
    changed = mutator.mutated(program, talk)
    return talk, version, changed, mutator.capture(changed.packets, mutator.witness(), version)


@target(seeds.programs, lambda data: len(made(data)[-1]))
def handshakes(data: bytes) -> object:
    """Mutate one handshake; the facts of a second one in the same capture must stay the same."""
    talk, version, changed, capture = made(data)
    found = told(capture)
    connections = [msgspec.json.decode(text) for text in found[0][:-1]]
    beside = [one for one in connections if mutator.WITNESS_PORT in (one["client"]["port"], one["server"]["port"])]
    others = [one for one in connections if one not in beside]
    expected = unchanged(talk, version)
    if changed.in_time:
        agree(facts(beside), undisturbed(), "another connection changed")
    if changed.harmless:
        agree(facts(others), expected, "no harm was meant")
    if changed.only_server and talk not in mutator.ASKED_BY_SERVER:
        agree(hellos(facts(others)), hellos(expected), "the server changed what the client says")
    return found


def agree(found: list[object], expected: list[object], complaint: str) -> None:
    differing = differences(found, expected)
    assert differing == [], f"{complaint}: {differing}"


def hellos(connections: list[Any]) -> list[object]:
    return [{name: one[name] for name in OF_CLIENT} for one in connections]


def facts(connections: Iterable[dict[str, Any]]) -> list[object]:
    """The facts of connections that depend neither on which other packets the capture has nor on times.

    Nor on the number of segments: of a handshake in many of them, some are honestly not compared.
    """
    timeless = (
        {**one, "problems": [each for each in one["problems"] if each["detail"] not in {SLOW, UNCOMPARED}]}
        for one in connections
    )
    return said(but(one, OF_CAPTURE) for one in timeless)


@cache
def undisturbed() -> list[object]:
    return decoded(mutator.capture(mutator.witness()))


@cache
def unchanged(talk: str, version: int) -> list[object]:
    return decoded(mutator.capture(mutator.mutated(Choices(b""), talk).packets, version=version))


def decoded(data: bytes) -> list[object]:
    return facts(msgspec.json.decode(text) for text in read(data, KEPT)[1][:-1])


# ---------------------------------------------------------------- keys


@target(seeds.keylogs)
def keylogs(data: bytes) -> object:
    """A key log, and the sample that it is of, some of whose records are damaged: keys add facts and change none."""
    choices = Choices(data)
    head, frames, _ = choices.pick(seeds.with_keys())
    damage, log = choices.number(2), choices.rest()
    capture = head + b"".join(record + packet for record, packet in frames)
    if damage:
        capture = damaged_capture(head, frames, Random(damage))  # noqa: S311
    with NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        opened = KeyLog([file.name])
        connections, texts = read(capture, msgspec.structs.replace(KEPT, keylog=opened))
    plain = [msgspec.json.decode(text) for text in read(capture, KEPT)[1][:-1]]
    keyed = [msgspec.json.decode(text) for text in texts[:-1]]
    assert [but(one, OPENED) for one in keyed] == [but(one, OPENED) for one in plain], "keys changed facts"
    warnings = [warning.removeprefix(file.name) for warning in opened.warnings]
    views = [] if crc32(data) % VIEWED else [shown(one) for one in connections]
    return [texts, views, warnings, sorted(opened.keys)]


def but(connection: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in connection.items() if name not in names}
