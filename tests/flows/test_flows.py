"""Flows: their numbers, totals and ends."""

from __future__ import annotations

import gc
import random
from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.capture.packet import TCP, Packet
from tlsdissect.flows.flow import ACK, FIN, RST, SYN, Flow, Interest
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.table import DEFAULTS, WHOLE, Ended, FlowTable, Shard

SECOND = 10**9
A, B = ("192.0.2.1", 40_000), ("198.51.100.2", 443)


def packet(row: dict[str, Any], frame: int = 1) -> Packet:
    """A packet with the fields that matter here; the rest is plain."""
    made = Packet()
    ends = row.get("src", A), row.get("dst", B)
    made.endpoints = b"".join([ip_address(ip).packed for ip, _ in ends] + [port.to_bytes(2, "big") for _, port in ends])
    made.frame, made.digits, made.protocol = frame, 6, TCP
    made.time = row.get("time", 0)
    made.sequence, made.acknowledgement, made.flags = row.get("seq", 0), row.get("ack", 0), row.get("flags", ACK)
    made.length = made.captured = row.get("length", 0)
    made.place = -1
    made.quoted = bool(row.get("quoted", 0))
    return made


def back(**fields: Any) -> dict[str, Any]:
    return {"src": B, "dst": A, **fields}


def shown(table: FlowTable, row: dict[str, Any], frame: int) -> Flow | None:
    one = packet(row, frame)
    table.tick(one.time)
    return table.find(one)


def told(ended: list[Ended]) -> list[tuple[int, ...]]:
    flows = [one.flow for one in ended]
    return [(flow.stream, flow.first_frame, flow.packets, flow.payload_bytes, flow.start, flow.end) for flow in flows]


def run(rows: list[dict[str, Any]], shard: Shard = WHOLE, limits: Limits = DEFAULTS) -> list[tuple[int, ...]]:
    """(stream, first frame, packets, bytes, start, end) of flows in the order in which they end."""
    table, ended = FlowTable(shard, limits), []
    for frame, row in enumerate(rows, 1):
        shown(table, row, frame)
        if table.is_any_over():
            ended += table.over()
    return told([*ended, *table.finish()])


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


def test_a_new_initial_sequence_number_starts_anew() -> None:
    assert run(REUSED) == [(0, 1, 4, 10, 0, 3), (1, 5, 3, 0, 4, 6), (2, 8, 1, 0, 7, 7), (3, 9, 1, 0, 8, 8)]


def test_a_connection_gets_its_endpoints_back_when_the_one_that_took_them_is_evicted() -> None:
    """A SYN and its answer may be forged; the connection before continues."""
    opened = [
        {"flags": SYN, "seq": 100},
        back(flags=SYN | ACK, seq=500, ack=101),
        {"seq": 101, "ack": 501, "length": 10},
    ]
    forged = [{"flags": SYN, "seq": 9000}, back(flags=SYN | ACK, seq=77, ack=9001)]
    others = [{"src": ("192.0.2.9", port), "flags": SYN, "seq": 3} for port in range(3)]
    rows = [*opened, *forged, *others, back(seq=501, ack=111, length=7), {"seq": 111, "ack": 508, "length": 5}]
    streams = {row[0]: row[1:4] for row in run(rows, limits=Limits(known=4))}
    assert streams[0] == (1, 5, 22)
    assert streams[1] == (4, 2, 0)
    assert set(streams) == set(range(5))


def test_a_syn_after_the_middle_of_a_conversation_starts_anew() -> None:
    rows = [
        {"seq": 5000, "ack": 70, "length": 5},
        {"flags": SYN, "seq": 4999},
        {"flags": SYN, "seq": 1},
        back(flags=SYN, seq=69),
    ]
    streams = [told[0] for told in run(rows)]
    # 4999 is the number before the first byte seen: a SYN that came late. What the other side's was is not known.
    assert streams == [0, 1]


def test_a_minute_after_the_close_nothing_counts_any_more() -> None:
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        {"flags": FIN | ACK, "seq": 2, "time": 1 * SECOND},
        back(flags=FIN | ACK, seq=9, ack=3, time=2 * SECOND),
        {"flags": ACK, "seq": 3, "time": 62 * SECOND},
        {"flags": ACK, "seq": 3, "time": 62 * SECOND + 1},
        {"src": ("192.0.2.9", 1), "flags": SYN, "time": 63 * SECOND},
    ]
    assert run(rows) == [(0, 1, 4, 0, 0, 62 * SECOND), (1, 6, 1, 0, 63 * SECOND, 63 * SECOND)]


def test_an_hour_of_silence_ends_a_conversation() -> None:
    rows = [
        {"seq": 1, "time": 0, "length": 3},
        {"seq": 4, "time": 3600 * SECOND, "length": 3},
        {"seq": 7, "time": 7200 * SECOND + 1, "length": 3},
    ]
    assert run(rows) == [(0, 1, 2, 6, 0, 3600 * SECOND)]


def test_no_silence_ends_a_conversation_in_which_nothing_was_said() -> None:
    # The clock may have been set between the SYN and its answer.
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        back(flags=SYN | ACK, seq=9, ack=2, time=400_000 * SECOND),
        {"seq": 2, "time": 400_000 * SECOND + 1, "length": 3},
        {"seq": 5, "time": 404_000 * SECOND, "length": 3},
    ]
    assert run(rows) == [(0, 1, 3, 3, 0, 400_000 * SECOND + 1)]


def test_a_close_ends_a_conversation_in_which_nothing_was_said() -> None:
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        back(flags=RST | ACK, seq=0, ack=2, time=1),
        {"seq": 2, "time": 400_000 * SECOND},
    ]
    assert run(rows) == [(0, 1, 2, 0, 0, 1)]


def test_a_connection_without_payload_was_not_closed_if_payload_comes_later() -> None:
    """What closed it did not reach the receiver, or was forged."""
    for closing in ([back(flags=RST | ACK, seq=0, ack=2)], [{"flags": FIN | ACK, "seq": 2}, back(flags=FIN | ACK)]):
        rows = [{"flags": SYN, "seq": 1, "time": 0}, *closing, {"seq": 2, "time": 400 * SECOND, "length": 3}]
        assert run(rows) == [(0, 1, len(rows), 3, 0, 400 * SECOND)]


def test_each_shard_counts_the_late_packets_of_its_own() -> None:
    rows = [{"seq": 1, "length": 3}, {"src": ("192.0.2.9", 1), "length": 3}]
    rows += [{**row, "time": 4000 * SECOND} for row in rows[:1]]
    late = []
    for number in (0, 1):
        table = FlowTable(Shard(number, 2))
        for frame, row in enumerate(rows, 1):
            shown(table, row, frame)
            table.over()
        late.append(table.late)
    assert late == [1, 0]


def test_time_that_goes_back_ends_nothing() -> None:
    rows = [{"seq": 1, "time": 100 * SECOND, "length": 1}, {"seq": 2, "time": 5 * SECOND, "length": 1}]
    assert run(rows) == [(0, 1, 2, 2, 100 * SECOND, 5 * SECOND)]


def test_the_order_is_by_end_then_by_number() -> None:
    other = {"src": ("192.0.2.9", 1)}
    rows = [
        {"flags": SYN, "seq": 1, "time": 0},
        {**other, "flags": SYN, "seq": 1, "time": 1},
        {**other, "flags": RST, "seq": 2, "time": 2},
        {"flags": RST, "seq": 2, "time": 3},
        {"src": ("192.0.2.8", 1), "flags": SYN, "seq": 1, "time": 90 * SECOND},
    ]
    assert [told[0] for told in run(rows)] == [1, 0, 2]


def test_a_quotation_is_numbered_and_not_counted() -> None:
    rows = [{"quoted": 1, "length": 8, "time": 1}, {"src": ("192.0.2.9", 1), "time": 2}, {"length": 4, "time": 3}]
    assert run(rows) == [(0, 1, 1, 4, 1, 3), (1, 2, 1, 0, 2, 2)]


def test_shards_number_alike_and_look_at_their_own() -> None:
    looked: list[int] = []
    for number in (0, 1):
        table = FlowTable(Shard(number, 2))
        flows = [shown(table, row, frame) for frame, row in enumerate(REUSED, 1)]
        looked += {flow.stream for flow in flows if flow is not None and flow.interest == Interest.PACKETS}
    assert sorted(looked) == [0, 1, 2, 3]
    assert run(REUSED, Shard(1, 2)) == run(REUSED)


def test_both_directions_are_one_flow_also_with_itself() -> None:
    itself = {"src": A, "dst": A}
    rows = [{"seq": 1}, back(seq=9), {"seq": 1}, {**itself, "seq": 5}, {**itself, "seq": 5}]
    assert [(stream, packets) for stream, _, packets, *_ in run(rows)] == [(0, 3), (1, 2)]


def client(number: int, **fields: Any) -> dict[str, Any]:
    return {"src": ("192.0.2.9", number), **fields}


def test_a_full_table_forgets_what_is_over_then_most_of_what_said_nothing_then_what_is_silent() -> None:
    rows = [
        client(1, length=5, time=1),
        client(2, flags=RST, length=5, time=2),
        client(3, flags=SYN, time=100 * SECOND),
        client(4, length=5, time=101 * SECOND),
        client(5, flags=SYN, time=102 * SECOND),
        # The second is over, and evicted: its next packet is another's, which is closed at once.
        client(2, flags=RST, length=6, time=103 * SECOND),
        client(6, flags=SYN, time=104 * SECOND),
        client(7, length=5, time=105 * SECOND),
        client(1, length=6, time=106 * SECOND),
    ]
    told = run(rows, limits=Limits(known=4))
    assert [(stream, size) for stream, _, _, size, *_ in told] == [
        (1, 5), (5, 6), (2, 0), (0, 5), (3, 5), (4, 0), (6, 0), (7, 5), (8, 6),
    ]  # fmt: skip


def test_a_table_stays_as_small_as_it_may_be() -> None:
    table, chosen, known = FlowTable(limits=Limits(known=40)), random.Random(1), {}  # noqa: S311 (a test's choice)
    ended: list[tuple[int, int]] = []
    for frame in range(1, 4001):
        row = client(chosen.randrange(60), flags=SYN, seq=chosen.randrange(2), length=1, time=frame * SECOND // 10)
        flow = shown(table, row, frame)
        if flow is not None:
            known[flow.stream] = flow.packets
        ended += [(one.flow.stream, one.flow.packets) for one in table.over()]
        assert table.known <= 40
    ended += [(one.flow.stream, one.flow.packets) for one in table.finish()]
    assert sorted(ended) == sorted(known.items())
    assert sum(many for _, many in ended) + table.late == 4000
    assert table.evicted > 0


def test_nothing_keeps_flows_that_were_evicted() -> None:
    table, begun = FlowTable(limits=Limits(known=40)), flows_in_memory()
    for frame in range(1, 4001):
        shown(table, client(frame, flags=SYN, seq=frame, time=frame), frame)
        table.over()
    assert flows_in_memory() - begun <= 40


def flows_in_memory() -> int:
    return sum(isinstance(one, Flow) for one in gc.get_objects())


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from([ACK, SYN, FIN, RST]), st.integers(0, 90))))
def test_flows_end_once_and_in_order(steps: list[tuple[int, bool, int, int]]) -> None:
    table = FlowTable(limits=Limits(closed_after=60, silent_after=120))
    time, ended = 0, []
    for frame, (port, reply, flags, later) in enumerate(steps, 1):
        time += later * SECOND
        row = client(port, flags=flags, length=1, time=time)
        shown(table, back(dst=row["src"], **{**row, "src": B}) if reply else row, frame)
        ended += table.over()
        assert all(one.due < table.clock for one in ended)
    assert [one.due for one in ended] == sorted(one.due for one in ended)
    ended += table.finish()
    streams = [one.flow.stream for one in ended]
    assert len(set(streams)) == len(streams)
    assert sum(one.flow.packets for one in ended) + table.late == len(steps)
