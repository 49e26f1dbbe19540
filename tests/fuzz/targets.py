"""What is fuzzed: for each stage a function that takes any bytes and returns what they tell.

A target raises for nothing that is on the wire. What it returns must be the same with the kernel compiled and as pure
Python. Where more must hold, the target asserts it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from random import Random
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import msgspec
from capture.rows import Pieces, rows_of
from fuzz import mutator, seeds
from fuzz.choices import Choices, parts
from fuzz.key_damage import damaged_capture
from mangle import differences, pcap, said

import tlsdissect
from tlsdissect.capture import CaptureError, open_capture
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.keys import KeyLog
from tlsdissect.handshake.options import DEFAULTS, Options
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TIGHT = Options(
    idle=1.0, limits=Limits(known=2, followed=1, held_bytes=500, message_bytes=2000, total_bytes=4000, max_sessions=1)
)
"""Limits that small captures reach."""
EARLY = Options(idle=1.0)
OPENED = frozenset({"hidden", "keys", "transcript"})
"""Keys with what keys add."""
OF_CAPTURE = frozenset({"stream", "transcript"})
"""Keys whose values follow the packets of other connections, or all packets."""
KEPT = Options(keep=True, raw_fingerprints=True)


@dataclass(frozen=True)
class Target:
    """A stage."""

    run: Callable[[bytes], object]
    seeds: Callable[[seeds.Captures], Iterable[bytes]]
    """Benign inputs, made of captures."""


TARGETS: dict[str, Target] = {}


def target(from_captures: Callable[[seeds.Captures], Iterable[bytes]]) -> Callable[..., Callable[[bytes], object]]:
    def add(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        TARGETS[run.__name__] = Target(run, from_captures)
        return run

    return add


# ---------------------------------------------------------------- captures


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
    assert packets_of(data, 1 + len(data) % 61) == found
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


# ---------------------------------------------------------------- the whole


def read(data: bytes, options: Options = DEFAULTS, judge: Judge | None = None) -> tuple[list[Any], list[str]]:
    """The connections of a capture, and their texts with that of the summary."""
    reading = Reading(["capture"], options, opener=lambda _: open_capture(io.BytesIO(data)), judge=judge)
    found = list(reading)
    assert reading._budget.used == 0, "bytes are still counted that nothing holds"
    reading.summary.undecided = 0  # a figure for a status line, as of the latest batch
    return found, [*(msgspec.json.encode(one).decode() for one in found), repr(vars(reading.summary))]


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
    judged, _ = read(data, judge=Judge())
    findings = [one.findings for one in judged]
    others = [read(data, options)[1] for options in (TIGHT, EARLY)]
    return [texts, [shown(one) for one in kept], findings, others]


@target(seeds.captures)
def pipeline(data: bytes) -> object:
    """A capture of any kind, from its bytes to the views."""
    return told(data)


@target(seeds.programs)
def handshakes(data: bytes) -> object:
    """A handshake that a program of mutations changes, and another one beside it, which nothing may change."""
    program = Choices(data)
    talk, version = program.pick(mutator.TALKS), program.pick((6, 4))
    changed = mutator.mutated(program, talk)
    found = told(mutator.capture(changed.packets, mutator.witness(), version))
    connections = [msgspec.json.decode(text) for text in found[0][:-1]]
    beside = [one for one in connections if mutator.WITNESS_PORT in (one["client"]["port"], one["server"]["port"])]
    if changed.in_time:
        agree(beside, undisturbed(), "another connection changed")
    if changed.harmless:
        agree([one for one in connections if one not in beside], unchanged(talk, version), "no harm was meant")
    return found


def agree(connections: Iterable[dict[str, Any]], expected: list[object], complaint: str) -> None:
    found = differences(facts(connections), expected)
    assert found == [], f"{complaint}: {found}"


def facts(connections: Iterable[dict[str, Any]]) -> list[object]:
    """The facts of connections that do not depend on which other packets the capture has."""
    return said(but(one, OF_CAPTURE) for one in connections)


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
    return [texts, [shown(one) for one in connections], opened.warnings, sorted(opened.keys)]


def but(connection: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in connection.items() if name not in names}
