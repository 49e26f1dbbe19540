"""Flow tables share their memory, and leave part of it to handshakes."""

from __future__ import annotations

from tlsdissect.capture.packet import TCP, UDP, Packet
from tlsdissect.capture.protocols import EAPOL
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.eap import KNOWN_BYTES, EapTable
from tlsdissect.flows.flow import SYN
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.table import FLOW_BYTES, WHOLE, FlowTable
from tlsdissect.flows.udp import UDP_FLOW_BYTES, UdpTable

HELLO = bytes((2, 1, 0, 11, 13, 0)) + b"hello"
"""An EAP Response."""


class Flood:
    """The tables of a reading, and the flows that enter them."""

    def __init__(self, table_bytes: int) -> None:
        self.budget = Budget(Limits(total_bytes=2 * table_bytes), table_bytes)
        self.tcp = FlowTable(WHOLE, Limits(), self.budget)
        self.udp = UdpTable(WHOLE, Limits(), budget=self.budget)
        self.eap = EapTable(WHOLE, Limits(), self.budget)
        self.most = 0

    def begin_tcp(self, number: int) -> None:
        packet = Packet()
        packet.protocol, packet.flags, packet.time = TCP, SYN, number
        packet.endpoints = number.to_bytes(4, "big") + bytes(8)
        self.tcp.tick(number)
        self.tcp.find(packet)
        self._look()

    def begin_udp(self, number: int) -> None:
        packet = Packet()
        packet.protocol, packet.endpoints = UDP, number.to_bytes(4, "big") + bytes(8)
        self.udp.find(packet, number)
        self._look()

    def begin_eap(self, number: int) -> None:
        packet = Packet()
        packet.protocol, packet.endpoints = EAPOL, bytes(6) + b"\2\0" + number.to_bytes(4, "big")
        packet.data, packet.captured, packet.length = HELLO, len(HELLO), len(HELLO)
        self.eap.find(packet, number)
        self._look()

    def _look(self) -> None:
        """Let the tables evict what has no room, as after each packet of a reading."""
        if self.tcp.is_any_over():
            self.tcp.over()
        self.udp.over(0)
        self.eap.over(0)
        self.most = max(self.most, self.budget.flow_bytes)


def test_the_tables_take_together_what_they_may() -> None:
    flood = Flood(300_000)
    for number in range(2000):
        flood.begin_tcp(number)
        flood.begin_udp(number)
        flood.begin_eap(number)
    assert 200_000 < flood.most <= 300_000
    assert flood.tcp.evicted > 0


def test_a_flood_evicts_its_own_flows() -> None:
    flood = Flood(300_000)
    for number in range(20):
        flood.begin_tcp(number)
        flood.begin_eap(number)
    for number in range(5000):
        flood.begin_udp(number)
    assert flood.most <= 300_000
    assert flood.tcp.known == len(flood.eap.finish()) == 20
    assert flood.tcp.evicted == 0


def test_what_leaves_a_table_gives_its_bytes_back() -> None:
    flood = Flood(1 << 30)
    for number in range(10):
        flood.begin_tcp(number)
        flood.begin_udp(number)
        flood.begin_eap(number)
    assert flood.budget.flow_bytes >= 10 * (FLOW_BYTES + UDP_FLOW_BYTES + KNOWN_BYTES)
    flood.eap.over(1 << 62)
    assert flood.budget.flow_bytes == 10 * (FLOW_BYTES + UDP_FLOW_BYTES)


def test_handshakes_take_what_flows_leave_and_at_least_three_eighths() -> None:
    budget = Budget(Limits(total_bytes=1000))
    rooms = []
    for budget.flow_bytes in (0, 300, 500, 900):
        rooms.append(budget.room())
        budget.used = budget.room()
        assert not budget.is_spent()
        budget.used += 1
        assert budget.is_spent()
    assert rooms == [1000, 700, 500, 375]


def test_what_is_given_up_makes_room_for_more_than_one() -> None:
    budget = Budget(Limits(total_bytes=800))
    spare = []
    for budget.used in (0, 700, 701, 800):
        assert not budget.is_spent()
        spare.append(budget.has_spare())
    assert spare == [True, True, False, False]
