"""Inputs that are made at random, guided by nothing, of several kinds, each named by a target.

`pipeline` are random conversations, and samples with damage to their TCP segments, to their frames and to the bytes of
the file; `handshakes` are random programs of mutations. `quic`, `dtls` and `eap` are samples of these with damage to
their datagrams, and what the targets of these names take; `keylogs` are samples with a key log, with damage to either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from damaging import NUMBERS, damage
from fuzz import seeds
from fuzz.choices import joined, parts
from fuzz.key_damage import damaged_capture, damaged_log
from hypothesis import HealthCheck, Phase, given, seed, settings
from mangle import WAYS, segments
from random_captures import PAUSES, PLAIN_TEXT, captures
from recorded import HEADER, ROOT, SAMPLES, packets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from random import Random

    from mangle import Segments

    Parts = list[tuple[int, bytes]]

ROUND = 20
"""Captures that are generated in one way before the next way has its turn."""
HEADERS = 120
"""Bytes of a frame within which headers lie."""
RECORD_HEADERS = 12
"""Bytes of a payload that are the headers of a record and of a message, and what follows."""
SMALL = 12_000
"""Bytes of a sample of datagrams that is damaged."""
LONGEST = 65_535
"""Bytes of a part of what was sent."""
LATEST = (2**32 - 1) * 10**6
"""The latest time, in microseconds, of a classic capture."""
LATEST_NANOSECOND = (2**63 - 1) // 1000
"""The latest time, in microseconds, that takes 64 bits in nanoseconds."""


def inputs(chance: Random, names: Sequence[str] = ()) -> Iterator[tuple[str, str, bytes]]:
    """Inputs without end, of each of these kinds in turn or of all; each with its kind and its target."""
    made = {name: KINDS[name](chance) for name in names or KINDS}
    while True:
        for name, each in made.items():
            yield name, *next(each)


def pipeline(chance: Random) -> Iterator[tuple[str, bytes]]:
    recorded = [found for sample in SAMPLES if len(found := segments(sample)) < 100]
    bases = list(seeds.captures(seeds.SAMPLES))
    while True:
        made = conversations(chance.getrandbits(32))
        made += [damaged(chance, chance.choice(bases)) for _ in range(ROUND)]
        made += [snapped(chance, chance.choice(SAMPLES)) for _ in range(ROUND)]
        made += [rewritten(chance, chance.choice(recorded), chance.choice(recorded)) for _ in range(2 * ROUND)]
        yield from (("pipeline", data) for data in made)


def handshakes(chance: Random) -> Iterator[tuple[str, bytes]]:
    while True:
        yield "handshakes", program(chance)


def packets_of(
    target: str, folder: str, made: Callable[[seeds.Captures], Iterator[bytes]]
) -> Callable[[Random], Iterator[tuple[str, bytes]]]:
    """A kind of input: its target, and the folder of its samples."""

    def inputs(chance: Random) -> Iterator[tuple[str, bytes]]:
        samples = seeds.find([ROOT / "samples" / folder])
        captures = [(path.read_bytes()[:24], packets(path)) for path in samples.paths if path.stat().st_size < SMALL]
        spoken = [list(parts(data)) for data in made(samples)]
        while True:
            yield target, joined(*exchanged(chance, chance.choice(spoken), chance.choice(spoken)))
            yield "pipeline", damaged_capture(*chance.choice(captures), chance)

    return inputs


def exchanged(chance: Random, sent: Parts, others: Parts) -> Parts:
    """What was sent with damage to some of it, and to its order."""
    found = list(sent)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(found) + 1)
        kind, part = found[at] if at < len(found) else chance.choice(others)
        match chance.choice(("bytes", "bytes", "bytes", "head", "kind", "order", "more")):
            case "bytes" | "head" as where:
                data = bytearray(part)
                damage(chance, data, RECORD_HEADERS if where == "head" else None)
                found[at : at + 1] = [(kind, bytes(data[:LONGEST]))]
            case "kind":
                found[at : at + 1] = [(chance.randrange(256), part)]
            case "order":
                found[at : at + 1] = []
                place = chance.randint(0, len(found))
                found[place:place] = [(kind, part)] * chance.choice((0, 1, 1, 2, 20))
            case "more":
                found.insert(at, chance.choice(others))
    return found


def keylogs(chance: Random) -> Iterator[tuple[str, bytes]]:
    every = seeds.with_keys()
    while True:
        number = chance.randrange(min(256, len(every)))
        log = damaged_log(every[number][2], chance)
        damage_of_capture = chance.choice((0, chance.getrandbits(16)))
        yield "keylogs", bytes([number]) + damage_of_capture.to_bytes(2, "big") + log


KINDS: dict[str, Callable[[Random], Iterator[tuple[str, bytes]]]] = {
    "pipeline": pipeline,
    "handshakes": handshakes,
    "quic": packets_of("quic", "quic", seeds.quic),
    "dtls": packets_of("dtls", "dtls", seeds.datagrams),
    "eap": packets_of("eap", "eap", seeds.eap),
    "keylogs": keylogs,
}


def program(chance: Random) -> bytes:
    """A program for a handshake; many have mutations of one kind only."""
    head = chance.choices((0, 0, 1, 2, 5, 20), k=2)
    return bytes([chance.randrange(256), chance.randrange(2), *head]) + chance.randbytes(chance.randrange(200))


def damaged(chance: Random, base: bytes) -> bytes:
    data = bytearray(base)
    for _ in range(chance.randint(1, 30)):
        damage(chance, data)
    return bytes(data)


def conversations(number: int) -> list[bytes]:
    found = []

    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(captures())
    def collect(data: bytes) -> None:
        found.append(data)

    collect()
    return found


def rewritten(chance: Random, recorded: Segments, others: Segments) -> bytes:
    """A capture whose segments are damaged, then some of its frames and, at times, its file."""
    sent = list(recorded)
    for _ in range(chance.randint(1, 12)):
        spoil(chance, sent, others)
    way = chance.choice(list(WAYS.values()))
    sent = way.rewrite(sent) if sent and sum(len(one.payload) for one in sent) < 5000 else sent
    frames = [(one.time, bytearray(frame)) for one in sent for frame in way.wrap(one)]
    for _ in range(chance.choice((0, 0, 0, 1, 3)) if frames else 0):
        damage(chance, chance.choice(frames)[1], HEADERS)
    if way.suffix == ".pcapng" and frames and chance.random() < 0.2:
        at = chance.randrange(len(frames))
        frames[at] = chance.choice((*NUMBERS, LATEST_NANOSECOND)), frames[at][1]
    data = bytearray(way.store([(time, bytes(frame)) for time, frame in frames], way.link))
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        damage(chance, data)
    return bytes(data)


def snapped(chance: Random, sample: Path) -> bytes:
    """A sample some of whose packets were cut by a snap length, said to be longer than they were, lost or repeated."""
    parts = [sample.read_bytes()[:24]]
    for head, packet in packets(sample):
        seconds, fraction, _, size = HEADER.unpack(head)
        captured = packet
        if chance.random() < 0.3:
            captured = packet[: chance.randint(0, len(packet))]
            size = min(size + chance.choice((0, 0, 0, 1, 5, 70_000, 2**31, 2**32)), 2**32 - 1)
        part = HEADER.pack(seconds, fraction, len(captured), size) + captured
        parts.append(part * chance.choice((0, 2, *[1] * 20)))
    return b"".join(parts)


def spoil(chance: Random, sent: Segments, others: Segments) -> None:
    """Change one segment, or one thing in the order of all."""
    if not sent:
        return
    at = chance.randrange(len(sent))
    one = sent[at]
    match chance.choice(
        ("payload", "payload", "head", "number", "number", "flags", "options", "order", "time", "more")
    ):
        case "payload" | "head" as where:
            payload = bytearray(one.payload)
            damage(chance, payload, RECORD_HEADERS if where == "head" else None)
            sent[at] = replace(one, payload=bytes(payload))
        case "number":
            ahead, back = chance.choice((0, 1, -1, 1460, *NUMBERS)), chance.choice((0, 0, 1, -1, *NUMBERS))
            sequence, acknowledged = (one.sequence + ahead) % 2**32, (one.acknowledged + back) % 2**32
            sent[at] = replace(one, sequence=sequence, acknowledged=acknowledged)
        case "flags":
            sent[at] = replace(one, flags=chance.choice((one.flags ^ 1 << chance.randrange(8), chance.randrange(256))))
        case "options":
            options = bytes(
                [chance.choice((0, 1, 2, 3, 4, 5, 8, 255)), chance.choice((0, 1, 2, 3, 4, 10, 18, 34, 255))]
            )
            sent[at] = replace(one, options=options + chance.randbytes(4 * chance.randint(1, 10) - 2))
        case "order":
            part = sent[at : at + chance.randint(1, 6)]
            del sent[at : at + chance.choice((0, len(part)))]
            place = chance.randint(0, len(sent))
            sent[place:place] = part * chance.choice((0, 1, 1, 2, 70 if len(sent) < 200 else 1))
        case "time":
            pause = chance.choice((-1, 1)) * chance.choice((*PAUSES, LATEST))
            sent[at:] = [replace(each, time=min(max(0, each.time + pause), LATEST)) for each in sent[at:]]
        case "more":
            other = chance.choice(others)
            payload = chance.choice((*PLAIN_TEXT, other.payload, one.payload[: len(one.payload) // 2]))
            sent[at : at + chance.randint(0, 1)] = [replace(one, payload=payload, flags=other.flags)]
