"""UDP flows: their numbers, their ends, and how many are known."""

from __future__ import annotations

import gc

from tlsdissect.capture.packet import UDP, Packet
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.table import Shard
from tlsdissect.flows.udp import UdpFlow, UdpTable

SECOND = 1_000_000_000


def datagram(source: int, destination: int) -> Packet:
    """A datagram between two ports of one host."""
    packet = Packet()
    packet.protocol = UDP
    packet.endpoints = bytes([10, 0, 0, 1] * 2) + source.to_bytes(2, "big") + destination.to_bytes(2, "big")
    return packet


def find(table: UdpTable, source: int, destination: int, clock: int = 0) -> UdpFlow:
    """Find the flow of a datagram."""
    return table.find(datagram(source, destination), clock)


def test_both_directions_have_one_number() -> None:
    table = UdpTable()
    first = find(table, 5000, 53)
    assert table.sender == 0
    assert find(table, 53, 5000) is first
    assert table.sender == 1
    assert [find(table, port, 53).stream for port in (5001, 5000, 5002)] == [1, 0, 2]


def test_only_a_followed_flow_ends() -> None:
    table = UdpTable(limits=Limits(udp_silent_after=10))
    followed = find(table, 5000, 53)
    find(table, 5001, 53)
    table.follow(followed, object())
    find(table, 5000, 53, 5 * SECOND)
    assert not table.is_any_over(10 * SECOND)
    assert table.over(12 * SECOND) == []
    assert table.is_any_over(15 * SECOND + 1)
    assert table.over(16 * SECOND) == [(15 * SECOND, followed)]
    assert table.over(40 * SECOND) == []


def test_a_flow_that_ended_keeps_its_number() -> None:
    table = UdpTable(limits=Limits(udp_silent_after=10))
    flow = find(table, 5000, 53)
    table.follow(flow, object())
    table.over(11 * SECOND)
    flow.follower = None
    again = find(table, 5000, 53, 12 * SECOND)
    assert again is flow
    table.follow(again, object())
    assert table.over(30 * SECOND) == [(22 * SECOND, flow)]


def test_a_full_table_evicts_flows_without_tls_first() -> None:
    table = UdpTable(limits=Limits(udp_known=16))
    oldest = find(table, 5000, 53)
    table.follow(oldest, object())
    for number in range(1, 17):
        find(table, 5000 + number, 53, number)
    assert table.is_any_over(20)
    assert table.over(20) == []
    assert not table.is_any_over(20)
    assert find(table, 5000, 53, 21) is oldest
    assert find(table, 5001, 53, 22).stream == 17
    assert table.evicted == 0


def test_an_evicted_flow_with_tls_is_over() -> None:
    table = UdpTable(limits=Limits(udp_known=8))
    for number in range(9):
        table.follow(find(table, 5000 + number, 53, number), object())
    assert [(clock, flow.stream) for clock, flow in table.over(20)] == [(20, 0), (20, 1)]
    assert table.evicted == 2
    assert [flow.stream for flow in table.finish()] == list(range(2, 9))


def test_nothing_keeps_flows_that_were_evicted() -> None:
    table, begun = UdpTable(limits=Limits(udp_known=40)), flows_in_memory()
    for number in range(2000):
        table.follow(find(table, number, 53, number), object())
        table.over(number)
    assert flows_in_memory() - begun <= 40


def flows_in_memory() -> int:
    return sum(isinstance(one, UdpFlow) for one in gc.get_objects())


def test_each_flow_is_decoded_by_one_shard() -> None:
    shards = [UdpTable(Shard(number, 2)) for number in range(2)]
    for port in (5000, 5001, 5002):
        flows = [find(table, port, 53) for table in shards]
        assert len({flow.stream for flow in flows}) == 1
        assert sum(table.has(flow) for table, flow in zip(shards, flows, strict=True)) == 1
