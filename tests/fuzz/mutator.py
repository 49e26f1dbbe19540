"""Handshakes that are changed where it matters to TLS and TCP: a structured mutator.

A program of mutations, read from bytes, is applied to a recorded handshake: first to its records and messages, then to
the TCP segments and IP packets that carry them. A mutation is harmless if it leaves what both sides say unchanged. A
second, untouched handshake runs at the same time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from conversing import ACK, CLIENT, FIN, OPENED, RST, SERVER, SYN, said
from damaging import NUMBERS
from mangle import ETHERNET, IPV4, IPV6, Segment, hash_of, ip4, ip6, pcap, tcp
from mangle import ethernet as in_ethernet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fuzz.choices import Choices

TALKS = (
    "tls12-full", "tls13-full", "tls12-client-cert", "tls13-hello-retry", "tls12-resumed-id", "tls13-resumed",
    "tls12-unknown-ca", "tls13-unknown-ca", "tls12-dhe", "tls12-renegotiation", "tls13-early-data", "smtp-starttls",
)  # fmt: skip
"""The samples that are changed; a program names one by its place, so that new ones come last."""
ASKED_BY_SERVER = ("tls13-hello-retry", "smtp-starttls")
"""Those in which it is for the server to say which ClientHello counts, or whether there is one."""
WITNESS = "tls12-static-rsa"
"""The sample that is left as it is."""
TURNS = 14
"""How many turns of a conversation are used: the first ones, which have little application data."""
MUTATIONS = 40
"""Mutations of a program; more are not applied."""
LONGEST = 16_000
"""Bytes of a segment at most, before mutations."""
STEP = 100
"""Microseconds between two packets."""
PORT = 40_000
WITNESS_PORT = PORT + 2
START = 1_700_000_000_000_000
HANDSHAKE, ALERT, CHANGE, DATA, HEARTBEAT = 22, 21, 20, 23, 24
KINDS = (HANDSHAKE, ALERT, CHANGE, DATA, HEARTBEAT, 0, 19, 25, 26, 0x80)
VERSIONS = (0x0301, 0x0302, 0x0303, 0x0304, 0x0300, 0x0002, 0xFEFD, 0x7F1C, 0x0A0A, 0x0000)
INSERTED = (
    (ALERT, b"\x01\x00"),
    (ALERT, b"\x02\x28"),
    (ALERT, b"\x02"),
    (CHANGE, b"\x01"),
    (HEARTBEAT, b"\x01\xff\xff"),
    (HANDSHAKE, b"\0\0\0\0"),
    (HANDSHAKE, b""),
    (DATA, b""),
    (DATA, b"\x5a" * 40),
)


@dataclass(frozen=True)
class Record:
    """A record, or (type None) what is no record. A handshake message in the clear has a record of its own."""

    side: int
    type: int | None
    version: int
    body: bytes
    clear: bool = False
    longer: int = 0
    """By how much its length is more than its bytes."""
    pieces: int = 1
    """Records that it is cut into."""
    joins: bool = False
    """Whether it is in the same record as the one before it."""


class Mutated(NamedTuple):
    """The packets of a handshake that was changed."""

    packets: list[Packet]
    harmless: bool
    """Whether both sides say what they say in the sample."""
    only_server: bool
    """Whether the client does."""

    @property
    def in_time(self) -> bool:
        """Whether its packets come without a pause, which may end other connections."""
        return all(packet.pause == STEP for packet in self.packets)


# ---------------------------------------------------------------- records and messages


@cache
def records(sample: str) -> tuple[Record, ...]:
    """What is said in a sample, record after record, with each handshake message in the clear by itself."""
    found: list[Record] = []
    encrypted = [False, False]
    for side, data in said(sample)[:TURNS]:
        at = 0
        while at < len(data):
            kind, version, size = struct.unpack_from(">BHH", data, at) if len(data) - at >= 5 else (0, 0, 0)
            if kind not in {CHANGE, ALERT, HANDSHAKE, DATA} or version >> 8 != 3 or at + 5 + size > len(data):
                found.append(Record(side, None, 0, data[at:]))
                break
            body = data[at + 5 : at + 5 + size]
            encrypted[side] = encrypted[side] or kind in {CHANGE, DATA}
            clear = kind == HANDSHAKE and not encrypted[side]
            parts = messages(body) if clear else [body]
            found += [Record(side, kind, version, part, clear, joins=n > 0) for n, part in enumerate(parts)]
            at += 5 + size
    return tuple(found)


def messages(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at + 1 : at + 4], "big")
        found.append(body[at:end])
        at = end
    return found


def written(sent: Sequence[Record]) -> list[tuple[int, bytes]]:
    """The turns of both sides."""
    turns: list[tuple[int, bytes]] = []
    open_record: Record | None = None
    for one in [*sent, None]:
        if open_record is not None and one is not None and one.joins and one.side == open_record.side:
            open_record = replace(open_record, body=open_record.body + one.body)
            continue
        if open_record is not None:
            data = b"".join(wire(open_record))
            if turns and turns[-1][0] == open_record.side:
                turns[-1] = (open_record.side, turns[-1][1] + data)
            else:
                turns.append((open_record.side, data))
        open_record = one
    return turns


def wire(record: Record) -> Iterator[bytes]:
    if record.type is None:
        yield record.body
        return
    size = -(-len(record.body) // record.pieces) or 1
    for at in range(0, max(1, len(record.body)), size):
        part = record.body[at : at + size]
        yield struct.pack(">BHH", record.type, record.version, (len(part) + record.longer) & 0xFFFF) + part


def fragmented(choices: Choices, sent: list[Record], at: int) -> bool:
    """Cut a message into several records (RFC 8446 section 5.1)."""
    one = sent[at]
    sent[at] = replace(one, pieces=1 + choices.below(6), joins=False)
    return one.clear


def joined(choices: Choices, sent: list[Record], at: int) -> bool:
    """Put a message into the record of the one before it, or into one of its own."""
    one, before = sent[at], sent[at - 1]
    sent[at] = replace(one, joins=not one.joins)
    same = before.side == one.side and before.version == one.version
    return one.clear and before.clear and same and at > 0 and before.pieces == 1


def another_type(choices: Choices, sent: list[Record], at: int) -> bool:
    sent[at] = replace(sent[at], type=choices.pick(KINDS))
    return False


def another_version(choices: Choices, sent: list[Record], at: int) -> bool:
    sent[at] = replace(sent[at], version=choices.pick(VERSIONS))
    return False


def another_length(choices: Choices, sent: list[Record], at: int) -> bool:
    sent[at] = replace(sent[at], longer=choices.pick((1, -1, 4, -4, 256, 16_384, 30_000)))
    return False


def another_message_type(choices: Choices, sent: list[Record], at: int) -> bool:
    sent[at] = replace(sent[at], body=bytes([choices.number()]) + sent[at].body[1:])
    return False


def another_number(choices: Choices, sent: list[Record], at: int) -> bool:
    """Change a length, a code point or other bytes of a message."""
    body, size = sent[at].body, choices.pick((1, 2, 3))
    place = choices.below(len(body) + 1)
    number = (choices.pick(NUMBERS) if choices.below(2) else choices.number(size)) % 2 ** (8 * size)
    sent[at] = replace(sent[at], body=body[:place] + number.to_bytes(size, "big") + body[place + size :])
    return False


def resized(choices: Choices, sent: list[Record], at: int) -> bool:
    """Take bytes from a message or put some into it; its length is right at times."""
    body, place = sent[at].body, choices.below(len(sent[at].body) + 1)
    size, right = 1 + choices.number(), choices.below(2)
    body = body[:place] + (body[place + size :] if choices.below(2) else body[place : place + size] * 2 + body[place:])
    if right and len(body) >= 4:
        body = body[:1] + (len(body) - 4).to_bytes(3, "big") + body[4:]
    sent[at] = replace(sent[at], body=body)
    return False


def left_out(choices: Choices, sent: list[Record], at: int) -> bool:
    del sent[at]
    return False


def repeated(choices: Choices, sent: list[Record], at: int) -> bool:
    sent[at:at] = [sent[at]] * (1 + choices.below(20))
    return False


def moved(choices: Choices, sent: list[Record], at: int) -> bool:
    one = sent.pop(at)
    side = choices.pick((one.side, one.side, 1 - one.side))
    sent.insert(choices.below(len(sent) + 1), replace(one, side=side))
    return False


def inserted(choices: Choices, sent: list[Record], at: int) -> bool:
    kind, body = choices.pick(INSERTED)
    sent.insert(at, Record(sent[at].side, kind, sent[at].version, body))
    return False


OF_RECORDS = (
    fragmented, joined, another_type, another_version, another_length, another_message_type, another_number, resized,
    left_out, repeated, moved, inserted,
)  # fmt: skip


# ---------------------------------------------------------------- segments and packets


@dataclass(frozen=True)
class Packet:
    """A segment, the time that passes before it, and the fragments that carry it."""

    segment: Segment
    pause: int = STEP
    fragment: int = 0
    """Bytes of each fragment of IP; 0: it is not fragmented."""
    overlap: int = 0
    """Bytes that a fragment shares with the one before it, a multiple of 8."""


def segments(turns: list[tuple[int, bytes]], number: int) -> list[Packet]:
    """A whole TCP connection, between two hosts of its own."""
    parts = [(side, data[at : at + LONGEST]) for side, data in turns for at in range(0, len(data), LONGEST)]
    steps = [*OPENED, *((side, ACK, part) for side, part in parts)]
    steps += [(CLIENT, ACK | FIN, b""), (SERVER, ACK | FIN, b""), (CLIENT, ACK, b"")]
    sent, found = [1000, 5000], []
    for side, flags, data in steps:
        ends = [bytes(15) + bytes([2 * number + one]) for one in (side, 1 - side)]
        ports = struct.pack(">HH", *((PORT + number, 443) if side == CLIENT else (443, PORT + number)))
        known = sent[1 - side] if flags & ACK else 0
        numbers = (sent[side] % 2**32, known % 2**32, flags, 65_535)
        found.append(Packet(Segment(0, *ends, ports, *numbers, b"", data)))
        sent[side] += len(data) + bool(flags & (SYN | FIN))
    return found


def split(choices: Choices, sent: list[Packet], at: int) -> bool:
    """Send a segment in several, in any order, with bytes of their neighbours, some twice."""
    whole, size = sent[at].segment, 1 + choices.pick((0, 1, 4, 40, 100, 500))
    back, order = choices.pick((0, 0, 1, 30, 600)), choices.pick((1, -1, 0))
    if not whole.payload or whole.flags & (SYN | FIN | RST):
        return True
    if len(whole.payload) // size > 400:
        size = 40
    starts = [(max(0, cut - back), cut + size) for cut in range(0, len(whole.payload), size)]
    parts = [
        Packet(replace(whole, sequence=(whole.sequence + start) % 2**32, payload=whole.payload[start:end]))
        for start, end in starts
    ]
    sent[at : at + 1] = parts[::order] if order else [*parts[1::2], *parts[::2]]
    return True


def lying(choices: Choices, sent: list[Packet], at: int) -> bool:
    """Send a segment again with other bytes: before it, or after it."""
    one = sent[at].segment
    place, number = choices.below(len(one.payload) + 1), choices.number()
    payload = one.payload[:place] + bytes([number]) + one.payload[place + 1 :]
    sent.insert(at + choices.below(2), Packet(replace(one, payload=payload)))
    return False


def again(choices: Choices, sent: list[Packet], at: int) -> bool:
    sent.insert(min(len(sent), at + 1 + choices.below(8)), sent[at])
    return not sent[at].segment.flags & (SYN | FIN)


def lost(choices: Choices, sent: list[Packet], at: int) -> bool:
    del sent[at]
    return False


def later(choices: Choices, sent: list[Packet], at: int) -> bool:
    sent.insert(choices.below(len(sent)), sent.pop(at))
    return False


def other_flags(choices: Choices, sent: list[Packet], at: int) -> bool:
    """Change flags, or send a segment with them in addition: SYN, FIN or RST in or out of the window."""
    one, flags = sent[at].segment, choices.pick((RST, RST | ACK, FIN | ACK, SYN, SYN | ACK, 0x20, 0x29, 0, 0xFF))
    ahead, more = choices.pick((0, 1, -1, 70_000, 2**31)), choices.below(2)
    changed = replace(one, flags=flags, sequence=(one.sequence + ahead) % 2**32, payload=b"" if more else one.payload)
    sent[at : at + (1 - more)] = [replace(sent[at], segment=changed)]
    return False


def other_numbers(choices: Choices, sent: list[Packet], at: int) -> bool:
    one, ahead, back = sent[at].segment, choices.pick((0, 1, -1, *NUMBERS)), choices.pick((0, 1, -1, *NUMBERS))
    numbers = (one.sequence + ahead) % 2**32, (one.acknowledged + back) % 2**32
    sent[at] = replace(sent[at], segment=replace(one, sequence=numbers[0], acknowledged=numbers[1]))
    return False


def options(choices: Choices, sent: list[Packet], at: int) -> bool:
    data = choices.bytes(4 * choices.below(11))
    sent[at] = replace(sent[at], segment=replace(sent[at].segment, options=data + bytes(-len(data) % 4)))
    return False


def pause(choices: Choices, sent: list[Packet], at: int) -> bool:
    sent[at] = replace(sent[at], pause=choices.pick((0, 1, 60_100_000, 3_600_100_000, -1000, -10_000_000)))
    return False


def in_fragments(choices: Choices, sent: list[Packet], at: int) -> bool:
    """Carry a segment in fragments of IP, which overlap at times."""
    sent[at] = replace(sent[at], fragment=8 * (1 + choices.below(64)), overlap=8 * choices.pick((0, 0, 1, 5)))
    return sent[at].overlap == 0


OF_PACKETS = (
    split, lying, again, lost, later, other_flags, other_numbers, options, pause, in_fragments,
)  # fmt: skip


def frames(packet: Packet, version: int) -> Iterator[bytes]:
    one, size = packet.segment, packet.fragment
    body = tcp(one)
    if not size or len(body) <= size:
        yield in_ethernet(IPV4, ip4(one)) if version == 4 else in_ethernet(IPV6, ip6(one))
        return
    for at in range(0, len(body), size):
        start = max(0, at - packet.overlap)
        yield fragment(one, version, body[start : at + size], start, hash_of(one), more=at + size < len(body))


def fragment(one: Segment, version: int, part: bytes, at: int, mark: int, *, more: bool) -> bytes:
    """A frame with a part of a segment, header included, that begins at a multiple of 8."""
    if version == 4:
        return in_ethernet(IPV4, ip4(one, part, at, mark, more=more))
    head = struct.pack(">IHBB", 6 << 28, 8 + len(part), 44, 64) + one.source + one.target
    return in_ethernet(IPV6, head + struct.pack(">BBHI", 6, 0, at | more, mark) + part)


# ---------------------------------------------------------------- programs


def mutated(program: Choices, talk: str) -> Mutated:
    """Apply the mutations of a program to a sample."""
    sent, harmless, only_server = list(records(talk)), True, True
    many, altered = program.below(MUTATIONS), program.below(MUTATIONS)
    for _ in range(many):
        if not (program and sent):
            break
        mutate = program.pick(OF_RECORDS)
        at = program.below(len(sent))
        side = sent[at].side
        same = mutate(program, sent, at)
        harmless, only_server = harmless and same, only_server and (same or (side == SERVER and mutate is not moved))
    packets = segments(written(sent), 1)
    for _ in range(altered):
        if not (program and packets):
            break
        same = program.pick(OF_PACKETS)(program, packets, program.below(len(packets)))
        harmless, only_server = harmless and same, only_server and same
    return Mutated(packets, harmless, only_server)


@cache
def witness() -> tuple[Packet, ...]:
    """The packets of the handshake that is left as it is."""
    return tuple(segments(written(list(records(WITNESS))), 2))


def capture(packets: Sequence[Packet], beside: Sequence[Packet] = (), version: int = 6) -> bytes:
    """A capture of packets, with those of another connection, in IPv6, between them."""
    found, time, left = [], START, list(beside)
    for packet in packets:
        time = max(0, time + packet.pause)
        found += [(time, frame) for frame in frames(packet, version)]
        if left:
            found += [(time, frame) for frame in frames(left.pop(0), 6)]
    for packet in left:
        time += packet.pause
        found += [(time, frame) for frame in frames(packet, 6)]
    return pcap(found, ETHERNET)
