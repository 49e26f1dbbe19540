"""The clock that ends flows, in captures where some packets have no timestamp."""

from __future__ import annotations

import math

from tlsdissect.capture.interfaces import EARLIEST, LATEST
from tlsdissect.capture.packet import UNTIMED, Packet
from tlsdissect.flows.limits import FOREVER, Limits
from tlsdissect.flows.table import FlowTable

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def shown(times: list[int]) -> list[int]:
    """The clock at packets with these timestamps."""
    table, reached = FlowTable(), []
    for time in times:
        table.tick(time)
        reached.append(table.clock)
    return reached


def test_it_shows_times_and_never_goes_back() -> None:
    assert shown([NOW, NOW + 5, NOW + 2, NOW + 9]) == [NOW, NOW + 5, NOW + 5, NOW + 9]


def test_it_stands_still_without_a_time() -> None:
    assert shown([NOW, UNTIMED, NOW + 2, UNTIMED]) == [NOW, NOW, NOW + 2, NOW + 2]
    assert len(set(shown([UNTIMED] * 5))) == 1


def test_what_came_before_the_first_time_is_not_old_thereby() -> None:
    first, *rest = shown([UNTIMED, UNTIMED, NOW, UNTIMED, NOW + SECOND, NOW - SECOND])
    assert [one - first for one in rest] == [0, 0, 0, SECOND, SECOND]


def test_a_capture_begins_with_its_first_packet_that_has_a_time() -> None:
    table = FlowTable()
    for time, begin in ((UNTIMED, UNTIMED), (NOW, NOW), (NOW - SECOND, NOW), (UNTIMED, NOW)):
        table.tick(time)
        assert table.begin == begin


def test_time_passes_without_packets() -> None:
    table = FlowTable()
    table.pass_time(NOW)
    table.tick(NOW - 5)
    assert table.clock == NOW
    table.tick(NOW + 5)
    assert table.clock == NOW + 5
    table.pass_time(NOW - 1)
    assert table.clock == NOW + 5


def test_time_passes_from_where_it_is_counted() -> None:
    table = FlowTable()
    table.tick(UNTIMED)
    before = table.clock
    table.pass_time(NOW)
    assert table.clock == before  # nothing says how long ago that packet was
    table.tick(NOW)
    table.pass_time(NOW + SECOND)
    assert table.clock == before + SECOND


def test_all_times_can_be_counted_with() -> None:
    table, packet = FlowTable(limits=Limits(silent_after=math.inf)), Packet()
    for packet.time in (UNTIMED, EARLIEST, LATEST):
        table.tick(packet.time)
        flow = table.find(packet)
    assert flow is not None
    assert flow.due == LATEST - EARLIEST + FOREVER * SECOND
