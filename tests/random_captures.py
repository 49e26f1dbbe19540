"""Random small captures: TCP conversations that carry TLS from samples, or something else, with random faults."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache
from typing import Any

from conversing import ACK, CLIENT, FIN, FIRST_SEQUENCE, OPENED, RST, SERVER, SYN, Said, said
from hypothesis import strategies as st
from mangle import ETHERNET, Segment, Segments, in_ethernet, pcap

START = 1_700_000_000_000_000
"""Microseconds since 1970 at which a capture begins."""
TALKS = ("tls12-full", "tls12-resumed-id", "tls12-unknown-ca", "tls13-full", "tls13-unknown-ca", "smtp-starttls")
MOST_PACKETS = 24
"""Packets of one conversation's plain course: later application data is left out."""

PLAIN_TEXT = (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16", b"\xee" * 32)
"""What may be sent before TLS, or instead of it; one is the first byte of a record."""
PAUSES = (0, 0, 0, 100, 1_000_000, 59_999_000, 61_000_000, 3_599_000_000, 3_601_000_000)
"""Microseconds; some are just below or above the 60 and 3600 seconds after which a conversation is over."""


@cache
def words(sample: str) -> Said:
    """What both sides of a sample say, in turn."""
    return said(sample)


def segment(port: int, side: int, flags: int, numbers: tuple[int, int], payload: bytes = b"") -> Segment:
    """One packet; `numbers` are its sequence number and its acknowledgement number."""
    hosts, ports = (bytes(15) + b"\x01", bytes(15) + b"\x02"), (port, 443)
    sequence, acknowledged = numbers[0] % 2**32, numbers[1] % 2**32
    pair = struct.pack(">HH", ports[side], ports[1 - side])
    return Segment(0, hosts[side], hosts[1 - side], pair, sequence, acknowledged, flags, 65_535, b"", payload)


def course(port: int, spoken: Said, first: tuple[int, int], opened: int, cuts: list[int]) -> Segments:
    """Return a TCP stream: the last `opened` packets of its handshake, each turn split at one of `cuts`, both FINs."""
    sent = list(first)
    steps = list(OPENED)
    for number, (side, data) in enumerate(spoken):
        at = cuts[number % len(cuts)] % len(data) if cuts else 0
        steps += [(side, ACK, part) for part in (data[:at], data[at:]) if part]
    steps = [*steps[:MOST_PACKETS], (CLIENT, FIN | ACK, b""), (SERVER, FIN | ACK, b""), (CLIENT, ACK, b"")]
    found: Segments = []
    for side, flags, data in steps:
        found.append(segment(port, side, flags, (sent[side], sent[1 - side] if flags & ACK else 0), data))
        sent[side] += len(data) + bool(flags & (SYN | FIN))
    return found[3 - opened :]


headers = st.builds(
    lambda side, flags, ahead, behind: ("header", side, flags, ahead, behind),
    st.sampled_from((CLIENT, SERVER)),
    st.sampled_from((
        SYN, SYN | ACK, ACK, RST, RST | ACK, FIN, FIN | ACK, FIN | RST, SYN | FIN, SYN | RST, SYN | RST | ACK, 0,
    )),
    st.sampled_from((0, 0, -1, 1, 100, 70_000, 2**31)),
    st.sampled_from((0, 0, -1, 1)),
)  # fmt: skip
texts = st.builds(
    lambda side, data, flags, moves: ("text", side, data, flags, moves),
    st.sampled_from((CLIENT, SERVER)),
    st.sampled_from((*PLAIN_TEXT, b"\0", b"\xee" * 40_000)),
    st.sampled_from((ACK, ACK, ACK, 0, ACK | FIN, ACK | RST, SYN)),
    st.booleans(),
)
moves = st.one_of(
    headers,
    texts,
    st.just(("drop",)),
    st.tuples(st.just("again"), st.integers(1, 6), st.sampled_from((1, 1, 1, 18, 70))),
    st.tuples(st.just("later"), st.integers(1, 6)),
    st.tuples(st.just("pause"), st.sampled_from(PAUSES[3:])),
    st.tuples(st.just("flags"), st.sampled_from((FIN, RST, SYN, ACK, FIN | RST))),
    st.tuples(st.just("quiet"), st.sampled_from((CLIENT, SERVER))),
)
mishaps = st.lists(st.tuples(st.integers(0, MOST_PACKETS), moves), max_size=5)


def spoiled(port: int, sent: Segments, happened: list[tuple[int, tuple[Any, ...]]]) -> list[tuple[int, Segment]]:
    """Apply faults at places of a conversation; each packet comes with the pause before it."""
    found = [(0, one) for one in sent]
    for place, (kind, *told) in happened:
        at = place % (len(found) + 1)
        behind = found[at:]
        if kind in ("header", "text"):
            side, what = told[0], told[1:]
            here = [one for _, one in found[:at] if _side(one) == side]
            there = [one for _, one in found[:at] if _side(one) != side]
            sequence, acknowledged = _next(here, FIRST_SEQUENCE[side]), _next(there, FIRST_SEQUENCE[1 - side])
            if kind == "header":
                flags, ahead, back = what
                numbers = (sequence + ahead, acknowledged + back if flags & ACK else 0)
                found.insert(at, (0, segment(port, side, flags, numbers)))
                continue
            data, flags, moves_others = what
            found.insert(at, (0, segment(port, side, flags, (sequence, acknowledged), data)))
            if moves_others:
                found[at + 1 :] = [(pause, _shifted(one, side, len(data))) for pause, one in behind]
        elif not behind:
            continue
        elif kind == "drop":
            del found[at]
        elif kind == "again":
            found[at + told[0] : at + told[0]] = [found[at]] * told[1]
        elif kind == "later":
            found.insert(at + told[0], found.pop(at))
        elif kind == "pause":
            found[at] = (told[0], found[at][1])
        elif kind == "flags":
            found[at] = (found[at][0], replace(found[at][1], flags=found[at][1].flags ^ told[0]))
        elif kind == "quiet":
            found[at:] = [one for one in behind if _side(one[1]) != told[0]]
    return found


def _side(one: Segment) -> int:
    return CLIENT if one.source[-1] == 1 else SERVER


def _next(sent: Segments, first: int) -> int:
    return sent[-1].sequence + len(sent[-1].payload) + bool(sent[-1].flags & (SYN | FIN)) if sent else first


def _shifted(one: Segment, side: int, size: int) -> Segment:
    """A packet as it is after `side` has sent so many bytes more."""
    if _side(one) == side:
        return replace(one, sequence=(one.sequence + size) % 2**32)
    return replace(one, acknowledged=(one.acknowledged + size) % 2**32) if one.flags & ACK else one


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[int, Segment]]:
    """The packets of one conversation, or of several on the same four-tuple, each with the pause before it."""
    port = draw(st.sampled_from((40_000, 40_000, 40_001, 443)))
    found: list[tuple[int, Segment]] = []
    for again in range(draw(st.sampled_from((1, 1, 1, 2)))):
        first = (FIRST_SEQUENCE, (900_000, 2**32 - 50), (1000, 77))[draw(st.integers(0, 2)) if again else 0]
        before = draw(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(PLAIN_TEXT)), max_size=2))
        sample = draw(st.sampled_from((*TALKS, None)))
        spoken = [*before, *(words(sample) if sample else [])]
        opened, cuts = draw(st.sampled_from((3, 3, 3, 0, 1, 2))), draw(st.lists(st.integers(0, 600), max_size=4))
        found += spoiled(port, course(port, spoken, first, opened, cuts), draw(mishaps))
    return found


@st.composite
def captures(draw: st.DrawFn) -> bytes:
    """A capture of some such conversations, one packet after the other, theirs interleaved."""
    talks = draw(st.lists(conversations(), min_size=1, max_size=3))
    turns = draw(st.lists(st.integers(0, 2), max_size=40)) if len(talks) > 1 else []
    packets, time = [], START
    while any(talks):
        going = [talk for talk in talks if talk]
        pause, one = going[(turns.pop(0) if turns else 0) % len(going)].pop(0)
        time += pause + 100
        packets += [(time, frame) for frame in in_ethernet(one)]
    data = bytearray(pcap(packets, ETHERNET))
    if packets and draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(24, len(data) - 1))
        data[at : at + 4] = draw(st.sampled_from((b"\xff" * 4, bytes(4))))
    return bytes(data)
