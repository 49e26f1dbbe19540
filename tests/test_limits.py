"""What reaches a limit is told, and memory stays bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recorded import HEADER, SAMPLES, begun

from tlsdissect import Limits
from tlsdissect.pipeline import Reading
from tlsdissect.transcript.options import Options

if TYPE_CHECKING:
    from pathlib import Path


def test_conversations_beyond_the_limit_are_given_up_and_told(tmp_path: Path) -> None:
    reading = Reading([begun(tmp_path / "many.pcap", 5)], Options(limits=Limits(followed=2), batch=1))
    connections = list(reading)
    assert [c.stream for c in connections] == [0, 1, 2, 3, 4]
    assert [[p.code for p in c.problems] for c in connections] == [["limit"]] * 3 + [[]] * 2
    assert {c.outcome for c in connections} == {"incomplete"}
    assert {c.packets for c in connections} == {6}
    assert reading.summary.given_up == 3


def test_conversations_that_nobody_has_room_for_are_told_as_they_are(tmp_path: Path) -> None:
    reading = Reading([begun(tmp_path / "many.pcap", 5)], Options(limits=Limits(known=2), batch=1))
    connections = list(reading)
    assert [c.stream for c in connections] == [0, 1, 2, 3, 4]
    assert [[p.code for p in c.problems] for c in connections] == [["limit"]] * 3 + [[]] * 2
    assert {c.outcome for c in connections} == {"incomplete"}
    assert [c.packets for c in connections] == [6, 6, 6, 6, 6]
    assert reading.summary.displaced == 3


def test_messages_beyond_the_limit_are_told(tmp_path: Path) -> None:
    (connection,) = Reading([begun(tmp_path / "one.pcap", 1)], Options(limits=Limits(message_bytes=500)))
    assert connection.client_hello is not None
    assert connection.certificates is None
    assert "limit" in {problem.code for problem in connection.problems}


def test_bytes_behind_a_hole_are_given_up_at_the_limit(tmp_path: Path) -> None:
    path = begun(tmp_path / "one.pcap", 1)
    data = path.read_bytes()
    at = 24
    for _ in range(3):
        at += 16 + HEADER.unpack_from(data, at)[2]
    size = 16 + HEADER.unpack_from(data, at)[2]
    hello = bytearray(data[at : at + size])
    # The ClientHello comes 100 bytes later in its stream than it should: there is a hole in front of it.
    place = 16 + 14 + 40 + 4
    hello[place : place + 4] = (int.from_bytes(hello[place : place + 4], "big") + 100).to_bytes(4, "big")
    path.write_bytes(data[:at] + bytes(hello) + data[at + size :])
    (connection,) = Reading([path], Options(limits=Limits(held_bytes=50)))
    codes = [problem.code for problem in connection.problems]
    assert codes[:2] == ["limit", "gap"]
    assert connection.client_hello is not None


@pytest.mark.parametrize("seconds", [1e11, 1e30, float("inf")])
def test_a_time_without_end_is_one(seconds: float) -> None:
    endless = Limits(closed_after=seconds, silent_after=seconds)
    for sample in SAMPLES:
        usual = list(Reading([sample], Options(idle=60)))
        assert list(Reading([sample], Options(limits=endless, idle=seconds))) == usual
