"""Application data that is stepped over by column, held to what a reading of record after record finds."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from tlsdissect.capture.packets import TCP, Packets
from tlsdissect.streams import bulk
from tlsdissect.streams.bulk import pass_over
from tlsdissect.streams.following import EVERY, NONE, UNKNOWN, Next
from tlsdissect.streams.segments import Segments

ACK, FIN = 16, 1
SIDES = 40
ALERT = 19


class Sent(NamedTuple):
    """What a side of a conversation sends in a batch: segments, and whether nothing in them is to be looked at."""

    before: Next
    segments: list[tuple[int, bytes, int, int]]
    """Sequence number, payload, bytes that it had on the wire, flags."""
    silent: bool
    after: Next


def sent(rng: random.Random) -> Sent:
    start, skip = rng.randrange(1 << 32), rng.choice([0, 0, 700])
    telling = rng.choice([NONE, ALERT, ALERT, EVERY])
    records = [b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size) for size in rng.choices(range(20, 900), k=9)]
    oddity = rng.choice(
        [None] * 6 + [b"\x17\x03\x03\x00\x13" + bytes(ALERT), b"\x15\x03\x03\x00\x02\x01\x00", b"GET /"]
    )
    if oddity is not None:
        records.insert(rng.randrange(9), oddity)
    data = bytes(skip) + b"".join(records)
    end = rng.choice([len(data), len(data) - 1, len(data) - len(records[-1]), len(data) - len(records[-1]) - 20])
    cuts = sorted({0, end, *rng.choices(range(1, end), k=rng.choice([0, 5]))})
    # A header that lies in two segments is looked at.
    heads = [skip + sum(map(len, records[:n])) for n in range(len(records))]
    split = any(head < cut < head + 5 for head in heads for cut in cuts)
    tells = [
        head < end and (telling == EVERY or record[0] != 23 or len(record) - 5 == telling)
        for head, record in zip(heads, records, strict=True)
    ]
    segments = [((start + a) & 0xFFFFFFFF, data[a:b], b - a, ACK) for a, b in pairwise(cuts)]
    broken = _break(rng, segments)
    header = next((head for head in heads if head >= end), len(data))
    after = Next((start + end) & 0xFFFFFFFF, (start + header) & 0xFFFFFFFF, telling)
    return Sent(Next(start, (start + skip) & 0xFFFFFFFF, telling), segments, not (any(tells) or split or broken), after)


def _break(rng: random.Random, segments: list[tuple[int, bytes, int, int]]) -> bool:
    """Now and then send something again, leave something out, cut it, or end the conversation."""
    what, at = rng.choice(["nothing"] * 12 + ["again", "hole", "cut", "end"]), rng.randrange(len(segments))
    sequence, payload, size, flags = segments[at]
    if what == "again":
        segments.insert(at, segments[at])
    elif what == "hole" and size > 1:
        segments[at] = ((sequence + 1) & 0xFFFFFFFF, payload[1:], size - 1, flags)
    elif what == "cut":
        segments[at] = (sequence, payload[:-1], size, flags)
    elif what == "end":
        segments[at] = (sequence, payload, size, flags | FIN)
    return what != "nothing" and not (what == "hole" and size == 1)


def table(conversations: list[tuple[Sent, Sent]]) -> tuple[Segments, np.ndarray]:
    """The rows of a batch, those of a conversation together, its sides mixed."""
    rows = []
    for index, sides in enumerate(conversations):
        queues = [[(index, sender, *segment) for segment in side.segments] for sender, side in enumerate(sides)]
        while any(queues):
            rows.append(max(queues, key=len).pop(0))
            rows.append((index, rows[-1][1] ^ 1, 0, b"", 0, ACK))
    payloads = [row[3] for row in rows]
    captured = np.array([len(payload) for payload in payloads])
    length = np.array([row[4] for row in rows])
    nothing = np.zeros(len(rows), np.int64)
    packets = Packets(
        data=memoryview(b"".join(payloads)),
        frame=np.arange(len(rows)),
        time=nothing,
        digits=nothing.astype(np.uint8),
        protocol=np.full(len(rows), TCP, np.uint8),
        family=np.full(len(rows), 4, np.uint8),
        **dict.fromkeys(
            ("source_high", "source_low", "destination_high", "destination_low"), nothing.astype(np.uint64)
        ),
        **dict.fromkeys(("source_port", "destination_port"), nothing.astype(np.uint16)),
        sequence=np.array([row[2] for row in rows], np.uint32),
        acknowledgement=nothing.astype(np.uint32),
        flags=np.array([row[5] for row in rows], np.uint8),
        payload=np.cumsum(captured) - captured,
        place=nothing,
        length=length,
        captured=captured,
        quoted=np.zeros(len(rows), np.bool_),
    )
    at = np.arange(len(rows))
    return Segments(packets, at, np.array([row[1] for row in rows]), at), np.bincount([row[0] for row in rows])


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("few", [1, bulk._FEW])
def test_only_bytes_that_say_nothing_are_stepped_over(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_FEW", few)
    rng = random.Random(seed)  # noqa: S311
    conversations = [(sent(rng), sent(rng)) for _ in range(SIDES // 2)]
    rows, counts = table(conversations)
    owners = rng.sample(range(100), len(conversations))
    followed = np.array([rng.random() < 0.9 for _ in conversations])
    records = np.full((100, 2, 3), UNKNOWN, np.int64)
    records[owners] = [[side.before for side in sides] for sides in conversations]
    passed = pass_over(records, rows, np.array(owners), counts, followed)
    silent = [all(side.silent for side in sides) for sides in conversations]
    wrong = np.flatnonzero(passed & ~(np.array(silent) & followed))
    assert wrong.tolist() == []
    missed = np.flatnonzero(~passed & np.array(silent) & followed)
    assert len(missed) < few
    for owner, sides, done in zip(owners, conversations, passed, strict=True):
        assert [Next(*row) for row in records[owner].tolist()] == [
            side.after if done else side.before for side in sides
        ]


def test_a_side_that_is_out_of_step_is_looked_at() -> None:
    rng = random.Random(1)  # noqa: S311
    conversations = [(sent(rng), sent(rng)) for _ in range(SIDES // 2)]
    rows, counts = table(conversations)
    records = np.full((len(counts), 2, 3), UNKNOWN, np.int64)
    followed = np.ones(len(counts), np.bool_)
    assert not pass_over(records, rows, np.arange(len(counts)), counts, followed).any()
