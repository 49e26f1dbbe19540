"""Whatever way bytes are cut, the facts are the same; whatever bytes there are, they are told or said to be damaged."""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from damaging import damage
from hypothesis import given
from hypothesis import strategies as st
from mangle import ETHERNET, FIN, SYN, Segment, Segments, differences, in_ethernet, pcap, said, segments
from recorded import ROOT, SAMPLES, facts

from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


RST, ACK = 0x04, 0x10
CLEAR = 22  # the content type of handshake messages


# ---------------------------------------------------------------- turns: what each side says before the other answers


@dataclass(frozen=True)
class Turn:
    """Bytes that one side sends without waiting, or (no bytes) the flags that end its direction."""

    first: Segment
    payload: bytes


@cache
def turns(sample: Path) -> tuple[Turn, ...]:
    """Runs of payload of one side, from every conversation of a sample."""
    said: list[Turn] = []
    for one in segments(sample):
        last = said[-1] if said else None
        if one.payload and last and last.payload and last.first.ports == one.ports:
            said[-1] = Turn(last.first, last.payload + one.payload)
        elif one.payload or one.flags & (SYN | RST | FIN) or (last and last.first.flags == SYN | ACK):
            # What acknowledges the SYN-ACK by itself is the end of TCP's own handshake.
            said.append(Turn(one, one.payload))
        if one.payload and one.flags & FIN:
            said.append(Turn(one, b""))
    return tuple(said)


def played(said: list[Turn], cut: Callable[[bytes], list[tuple[int, bytes]]]) -> Segments:
    """Send the turns anew, each cut into segments, with the right sequence numbers and acknowledgements."""
    following: dict[bytes, int] = {}
    sent: Segments = []
    for turn in said:
        here, there = turn.first.ports, turn.first.ports[2:] + turn.first.ports[:2]
        start = following.get(here, turn.first.sequence)
        answer = replace(turn.first, acknowledged=following.get(there, 0), time=turn.first.time)
        flags = turn.first.flags if not turn.payload else ACK
        parts = cut(turn.payload) if turn.payload else [(0, b"")]
        sent += [replace(answer, sequence=(start + at) % 2**32, payload=part, flags=flags) for at, part in parts]
        following[here] = (start + len(turn.payload) + bool(flags & (SYN | FIN))) % 2**32
    return sent


def whole(payload: bytes) -> list[tuple[int, bytes]]:
    return [(0, payload)]


def segmenter(random: Random) -> Callable[[bytes], list[tuple[int, bytes]]]:
    """Cut into random segments in random order, some sent twice, some with bytes of their neighbours."""

    def cut(payload: bytes) -> list[tuple[int, bytes]]:
        parts = []
        for start, end in spans(random, len(payload)):
            early, late = max(0, start - random.choice((0, 0, 3, 40))), end + random.choice((0, 0, 3, 40))
            parts += [(early, payload[early:late])] * random.choice((1, 1, 1, 2))
        random.shuffle(parts)
        return parts

    return cut


def spans(random: Random, size: int) -> list[tuple[int, int]]:
    cuts = sorted({0, size, *(random.randint(0, size) for _ in range(random.randint(0, 12)))})
    return list(itertools.pairwise(cuts))


def recut(random: Random, payload: bytes) -> bytes:
    """Move the boundaries of records within each run of handshake messages in the clear (RFC 8446 section 5.1)."""
    parts: list[bytes] = []
    messages, version, changed = b"", b"", False
    for record in records(payload):
        changed = changed or record[0] != CLEAR
        if not changed:
            messages, version = messages + record[5:], record[1:3]
            continue
        parts += [*rerecorded(random, messages, version), record]
        messages = b""
    return b"".join([*parts, *rerecorded(random, messages, version)])


def records(payload: bytes) -> Iterator[bytes]:
    """Split into records, and whatever is left: half a record, or what is spoken before TLS."""
    at = 0
    while payload[at : at + 1] and payload[at] in {20, 21, 22, 23} and payload[at + 1 : at + 2] == b"\x03":
        end = at + 5 + int.from_bytes(payload[at + 3 : at + 5], "big")
        if end > len(payload):
            break
        yield payload[at:end]
        at = end
    if payload[at:]:
        yield payload[at:]


def rerecorded(random: Random, messages: bytes, version: bytes) -> list[bytes]:
    return [
        bytes([CLEAR]) + version + struct.pack(">H", end - start) + messages[start:end]
        for start, end in spans(random, len(messages))
    ]


def in_the_clear(said: tuple[Turn, ...]) -> dict[bytes, int]:
    """Each direction's first turn of TLS that changes to encryption; its later type-22 records are not messages."""
    ends: dict[bytes, int] = {}
    for at, turn in enumerate(said):
        if any(record[0] in {20, 23} for record in records(turn.payload)):
            ends.setdefault(turn.first.ports, at)
    return ends


def with_new_records(random: Random, said: tuple[Turn, ...]) -> list[Turn]:
    ends = in_the_clear(said)
    return [
        replace(turn, payload=recut(random, turn.payload)) if at <= ends.get(turn.first.ports, len(said)) else turn
        for at, turn in enumerate(said)
    ]


def told(path: Path) -> list[object]:
    return said(facts(path))


def written(place: pytest.TempPathFactory, sent: Segments) -> Path:
    path = place.getbasetemp() / "written.pcap"
    path.write_bytes(pcap([(one.time, frame) for one in sent for frame in in_ethernet(one)], ETHERNET))
    return path


# ---------------------------------------------------------------- properties


@given(sample=st.sampled_from(SAMPLES), random=st.randoms())
def test_segments_may_be_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, sample: Path, random: Random) -> None:
    sent = played(list(turns(sample)), segmenter(random))
    assert differences(told(written(tmp_path_factory, sent)), told(sample)) == []


def test_what_waits_behind_a_gap_is_read_when_a_hello_comes_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    def cut(payload: bytes) -> list[tuple[int, bytes]]:
        if not payload.startswith(b"\x16\x03"):
            return whole(payload)
        return [(0, payload[:1]), (11, payload[11:12]), (0, payload[:11]), (12, payload[12:])]

    for sample in SAMPLES:
        again = written(tmp_path_factory, played(list(turns(sample)), cut))
        assert differences(told(again), told(sample)) == [], sample.stem


@given(sample=st.sampled_from(SAMPLES), random=st.randoms())
def test_records_may_be_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, sample: Path, random: Random) -> None:
    sent = played(with_new_records(random, turns(sample)), segmenter(random))
    assert differences(told(written(tmp_path_factory, sent)), told(sample)) == []


def test_turns_alone_change_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    for sample in SAMPLES:
        again = written(tmp_path_factory, played(list(turns(sample)), whole))
        assert differences(told(again), told(sample)) == [], sample.stem


headed = st.builds(
    lambda kind, version, body: bytes([kind]) + version + struct.pack(">H", len(body)) + body,
    st.sampled_from((20, 21, 22, 22, 22, 23, 24, 128)),
    st.sampled_from((b"\x03\x01", b"\x03\x03", b"\x03\x00", b"\x7f\x1c")),
    st.binary(max_size=300),
)
hello = st.builds(
    lambda kind, body: bytes([kind]) + struct.pack(">I", len(body))[1:] + body,
    st.sampled_from((0, 1, 2, 4, 11, 12, 13, 14, 16, 22, 67)),
    st.binary(max_size=300),
).map(lambda message: b"\x16\x03\x01" + struct.pack(">H", len(message)) + message)
parts = st.lists(st.tuples(st.booleans(), st.one_of(st.binary(min_size=1, max_size=300), headed, hello)), max_size=12)


@given(parts=parts)
def test_any_payload_is_read(tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bool, bytes]]) -> None:
    opening = segments(SAMPLES[0])[:2]
    said = [Turn(one, b"") for one in opening]
    said += [Turn(opening[answers], payload) for answers, payload in parts]
    reading = Reading([written(tmp_path_factory, played(said, whole))])
    assert len(list(map(msgspec.json.encode, reading))) <= 1


@given(sample=st.sampled_from(SAMPLES), random=st.randoms())
def test_any_damage_is_survived(tmp_path_factory: pytest.TempPathFactory, sample: Path, random: Random) -> None:
    for connection in Reading([damaged(tmp_path_factory, sample, random)]):
        assert msgspec.json.encode(connection)


@pytest.mark.parametrize("seed", range(8))
def test_damage_ends_no_command(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = damaged(tmp_path_factory, SAMPLES[seed], Random(seed))  # noqa: S311
    command = [sys.executable, "-m", "tlsdissect", "read", "--format", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {0, 2}, done.stderr
    assert "Traceback" not in done.stderr
    assert all(json.loads(line) for line in done.stdout.splitlines())


def damaged(place: pytest.TempPathFactory, sample: Path, random: Random) -> Path:
    data = bytearray(sample.read_bytes())
    for _ in range(random.randint(1, 30)):
        damage(random, data)
    path = place.getbasetemp() / "damaged.pcap"
    path.write_bytes(data)
    return path


def test_the_samples_are_found() -> None:
    assert (ROOT / "samples" / "tls12-full.pcap") in SAMPLES
