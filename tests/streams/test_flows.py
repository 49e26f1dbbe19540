"""Conversations: their numbers, totals and ends."""

from __future__ import annotations

import random
from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest

from tlsdissect.capture.packets import TCP, Packets
from tlsdissect.streams import directory
from tlsdissect.streams.directory import Share
from tlsdissect.streams.flows import DEFAULTS, FlowTable
from tlsdissect.streams.following import CLOSED, FOLLOW
from tlsdissect.streams.limits import Limits

FIN, SYN, RST, ACK = 1, 2, 4, 16
SECOND = 10**9
A, B = ("192.0.2.1", 40_000), ("198.51.100.2", 443)


def packets(rows: list[dict[str, Any]], first: int = 1) -> Packets:
    """Rows with the fields that matter here; the rest is plain."""

    def column(name: str, default: int, kind: type) -> np.ndarray[Any, Any]:
        return np.array([row.get(name, default) for row in rows], kind)

    def address(end: str) -> np.ndarray[Any, Any]:
        return np.array([int(ip_address(row.get(end, A if end == "src" else B)[0])) for row in rows], np.uint64)

    def port(end: str) -> np.ndarray[Any, Any]:
        return np.array([row.get(end, A if end == "src" else B)[1] for row in rows], np.uint16)

    nothing = np.zeros(len(rows), np.uint64)
    return Packets(
        data=memoryview(bytes(100)),
        frame=np.arange(first, first + len(rows)),
        time=column("time", 0, np.int64),
        digits=np.full(len(rows), 6, np.uint8),
        protocol=np.full(len(rows), TCP, np.uint8),
        family=np.full(len(rows), 4, np.uint8),
        source_high=nothing,
        source_low=address("src"),
        destination_high=nothing,
        destination_low=address("dst"),
        source_port=port("src"),
        destination_port=port("dst"),
        sequence=column("seq", 0, np.uint32),
        acknowledgement=column("ack", 0, np.uint32),
        flags=column("flags", ACK, np.uint8),
        payload=np.zeros(len(rows), np.int64),
        place=np.full(len(rows), -1),
        length=column("length", 0, np.int64),
        captured=column("length", 0, np.int64),
        quoted=column("quoted", 0, np.bool_),
    )


def back(**fields: Any) -> dict[str, Any]:
    return {"src": B, "dst": A, **fields}


def run(
    rows: list[dict[str, Any]], batch: int, share: Share = directory.WHOLE, limits: Limits = DEFAULTS
) -> list[tuple[int, ...]]:
    """(stream, first frame, packets, bytes, start, end) of conversations in the order in which they end."""
    table, told = FlowTable(share, limits), []

    def tell(*, everything: bool = False) -> None:
        totals = table.columns.totals([index for _, index in table.over(everything=everything)])
        told.extend((t.stream, t.first_frame, t.packets, t.bytes, t.start, t.end) for t in totals)

    for at in range(0, len(rows), batch):
        for _ in table.steps(packets(rows[at : at + batch], at + 1)):
            tell()
    tell(everything=True)
    return told


REUSED = [
    {"flags": SYN, "seq": 100, "time": 0},
    {"flags": SYN, "seq": 100, "time": 1},
    back(flags=SYN | ACK, seq=500, ack=101, time=2),
    {"flags": ACK, "seq": 101, "ack": 501, "length": 10, "time": 3},
    {"flags": SYN, "seq": 9000, "time": 4},
    back(flags=SYN | ACK, seq=77, ack=9001, time=5),
    {"flags": SYN, "seq": 9000, "time": 6},
    {"src": ("192.0.2.9", 1), "flags": SYN, "seq": 3, "time": 7},
    {"flags": SYN, "seq": 12, "time": 8},
]


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
def test_a_new_initial_sequence_number_starts_anew(batch: int) -> None:
    assert run(REUSED, batch) == [(0, 1, 4, 10, 0, 3), (1, 5, 3, 0, 4, 6), (2, 8, 1, 0, 7, 7), (3, 9, 1, 0, 8, 8)]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_syn_after_the_middle_of_a_conversation_starts_anew(batch: int) -> None:
    rows = [
        {"seq": 5000, "ack": 70, "length": 5},
        {"flags": SYN, "seq": 4999},
        {"flags": SYN, "seq": 1},
        back(flags=SYN, seq=69),
    ]
    streams = [told[0] for told in run(rows, batch)]
    # 4999 is the number before the first byte seen: a SYN that came late. What the other side's was is not known.
    assert streams == [0, 1]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_minute_after_the_close_nothing_counts_any_more(batch: int) -> None:
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        {"flags": FIN | ACK, "seq": 2, "time": 1 * SECOND},
        back(flags=FIN | ACK, seq=9, ack=3, time=2 * SECOND),
        {"flags": ACK, "seq": 3, "time": 62 * SECOND},
        {"flags": ACK, "seq": 3, "time": 62 * SECOND + 1},
        {"src": ("192.0.2.9", 1), "flags": SYN, "time": 63 * SECOND},
    ]
    assert run(rows, batch) == [(0, 1, 4, 0, 0, 62 * SECOND), (1, 6, 1, 0, 63 * SECOND, 63 * SECOND)]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_an_hour_of_silence_ends_a_conversation(batch: int) -> None:
    rows = [
        {"seq": 1, "time": 0, "length": 3},
        {"seq": 4, "time": 3600 * SECOND, "length": 3},
        {"seq": 7, "time": 7200 * SECOND + 1, "length": 3},
    ]
    assert run(rows, batch) == [(0, 1, 2, 6, 0, 3600 * SECOND)]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_no_silence_ends_a_conversation_in_which_nothing_was_said(batch: int) -> None:
    # The clock may have been set between the SYN and its answer.
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        back(flags=SYN | ACK, seq=9, ack=2, time=400_000 * SECOND),
        {"seq": 2, "time": 400_000 * SECOND + 1, "length": 3},
        {"seq": 5, "time": 404_000 * SECOND, "length": 3},
    ]
    assert run(rows, batch) == [(0, 1, 3, 3, 0, 400_000 * SECOND + 1)]


@pytest.mark.parametrize("batch", [1, 100])
def test_a_close_ends_a_conversation_in_which_nothing_was_said(batch: int) -> None:
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        back(flags=RST | ACK, seq=0, ack=2, time=1),
        {"seq": 2, "time": 400_000 * SECOND, "length": 3},
    ]
    assert run(rows, batch) == [(0, 1, 2, 0, 0, 1)]


def test_each_share_counts_the_late_packets_of_its_own() -> None:
    rows = [{"seq": 1, "length": 3}, {"src": ("192.0.2.9", 1), "length": 3}]
    rows += [{**row, "time": 4000 * SECOND} for row in rows[:1]]
    late = []
    for number in (0, 1):
        table = FlowTable(Share(number, 2))
        for _ in table.steps(packets(rows)):
            table.over()
        late.append(table.late)
    assert late == [1, 0]


@pytest.mark.parametrize("batch", [1, 100])
def test_time_that_goes_back_ends_nothing(batch: int) -> None:
    rows = [{"seq": 1, "time": 100 * SECOND, "length": 1}, {"seq": 2, "time": 5 * SECOND, "length": 1}]
    assert run(rows, batch) == [(0, 1, 2, 2, 100 * SECOND, 5 * SECOND)]


@pytest.mark.parametrize("batch", [1, 100])
def test_the_order_is_by_end_then_by_number(batch: int) -> None:
    other = {"src": ("192.0.2.9", 1)}
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        {**other, "flags": SYN, "seq": 1, "time": 1},
        {**other, "flags": RST, "seq": 2, "time": 2},
        {"flags": RST, "seq": 2, "time": 3},
        {"src": ("192.0.2.8", 1), "flags": SYN, "seq": 1, "time": 90 * SECOND},
    ]
    assert [told[0] for told in run(rows, batch)] == [1, 0, 2]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_colliding_digests_keep_conversations_apart(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(REUSED, batch)
    monkeypatch.setattr(directory, "_digests", lambda keys: np.zeros(keys.shape[1], np.uint64))
    assert run(REUSED, batch) == plain


def test_a_quotation_is_numbered_and_not_counted() -> None:
    rows = [{"quoted": 1, "length": 8, "time": 1}, {"src": ("192.0.2.9", 1), "time": 2}, {"length": 4, "time": 3}]
    assert run(rows, 100) == [(0, 1, 1, 4, 1, 3), (1, 2, 1, 0, 2, 2)]


def test_shares_number_alike_and_look_at_their_own() -> None:
    looked: list[list[int]] = []
    for number in (0, 1):
        table = FlowTable(Share(number, 2))
        for visits in table.steps(packets(REUSED)):
            looked += [[int(table.columns.stream[visit.index]) for visit in visits]]
        assert set(table.columns.state[: table.columns.size].tolist()) == {FOLLOW, CLOSED}
    assert sorted(looked[0] + looked[1]) == [0, 1, 2, 3]
    assert run(REUSED, 3, Share(1, 2)) == run(REUSED, 3)


def client(number: int, **fields: Any) -> dict[str, Any]:
    return {"src": ("192.0.2.9", number), **fields}


def test_a_full_table_forgets_what_is_over_then_most_of_what_said_nothing_then_what_is_silent() -> None:
    rows = [
        client(1, length=5, time=1),
        client(2, flags=RST, length=5, time=2),
        client(3, flags=SYN, time=100 * SECOND),
        client(4, length=5, time=101 * SECOND),
        client(5, flags=SYN, time=102 * SECOND),
        # The second is over, and forgotten: its next packet is another's, which is closed at once.
        client(2, flags=RST, length=6, time=103 * SECOND),
        client(6, flags=SYN, time=104 * SECOND),
        client(7, length=5, time=105 * SECOND),
        client(1, length=6, time=106 * SECOND),
    ]
    told = run(rows, 1, limits=Limits(known=4))
    assert [(stream, size) for stream, _, _, size, *_ in told] == [
        (1, 5), (5, 6), (2, 0), (0, 5), (3, 5), (4, 0), (6, 0), (7, 5), (8, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("colliding", [False, True])
def test_a_table_stays_as_small_as_it_may_be(colliding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if colliding:
        monkeypatch.setattr(directory, "_digests", lambda keys: keys[4] % np.uint64(3))
    table, chosen, known = FlowTable(limits=Limits(known=40)), random.Random(1), {}  # noqa: S311 (a test's choice)
    told: list[tuple[int, int]] = []
    for number in range(400):
        rows = [
            client(chosen.randrange(60), flags=SYN, seq=chosen.randrange(2), length=1, time=number * SECOND)
            for _ in range(10)
        ]
        for _ in table.steps(packets(rows, number * 10 + 1)):
            index = np.flatnonzero(table.columns.stream[: table.columns.size] >= 0)
            assert table.columns.known == len(index) <= 50
            known |= {int(table.columns.stream[at]): int(table.columns.packets[at]) for at in index}
            told += [(t.stream, t.packets) for t in table.columns.totals([at for _, at in table.over()])]
    told += [(t.stream, t.packets) for t in table.columns.totals([at for _, at in table.over(everything=True)])]
    assert sorted(told) == sorted(known.items())
    assert sum(many for _, many in told) + table.late == 4000
    assert table.displaced > 0
    assert table.columns.size <= 50
