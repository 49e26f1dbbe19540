"""ClientHellos without an answer: unanswered only where the capture goes on for long enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import ACK, CLIENT, FIN, SERVER, SYN, Talk, said, write

from tlsdissect import explain
from tlsdissect.pipeline import Reading
from tlsdissect.transcript.facts.endings import ANSWER_NS
from tlsdissect.transcript.options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

ENOUGH = ANSWER_NS / 1_000_000_000
HELLO = 0.003
"""Seconds from the beginning of these conversations to the ClientHello."""


@dataclass(frozen=True)
class Unanswered(Talk):
    """A conversation that ends with the acknowledgement of the ClientHello, and perhaps the client's FIN."""

    leaves: bool = False
    probe: float | None = None
    """When the client asks again whether the server is there."""

    def packets(self) -> list[tuple[float, bytes]]:
        """TCP's handshake, the ClientHello, its acknowledgement, and what comes then."""
        hello = said("tls12-full")[0][1]
        steps = [(CLIENT, SYN, b""), (SERVER, SYN | ACK, b""), (CLIENT, ACK, b""), (CLIENT, ACK, hello)]
        steps += [(SERVER, ACK, b"")] + [(CLIENT, ACK | FIN, b"")] * self.leaves
        steps += [(CLIENT, ACK, b"")] * (self.probe is not None)
        sent, found = [1000, 5000], []
        for number, (side, flags, data) in enumerate(steps):
            late = self.probe is not None and number == len(steps) - 1
            time = self.probe if late and self.probe is not None else self.start + number / 1000
            found.append((time, self._packet(side, flags, sent, data)))
            sent[side] += len(data) + bool(flags & (SYN | FIN))
        return found


def told(path: Path, *talks: Talk, **options: float) -> Connection:
    reading = Reading([write(path, *talks)], Options(**options))
    return next(one for one in reading if one.stream == 0)


@pytest.mark.parametrize(
    ("end", "outcome"), [(0.001, "incomplete"), (ENOUGH - 0.1, "incomplete"), (ENOUGH, "no_answer")]
)
def test_the_capture_must_go_on_for_long_enough(tmp_path: Path, end: float, outcome: str) -> None:
    """In other connections, or in this one."""
    one = Unanswered([], 0, 0, 40_000)
    other = Talk(said("tls12-full"), HELLO + end, HELLO + end, 40_001)
    last = Unanswered([], HELLO + end, 0, 40_001)
    probed = Unanswered([], 0, 0, 40_000, probe=HELLO + end)
    for talks in ((one, last), (one, other), (probed,)) if outcome == "no_answer" else ((probed,),):
        connection = told(tmp_path / "a.pcap", *talks)
        assert (connection.outcome, connection.failed_by) == (outcome, None)
        assert ("never answered" in str(explain(connection))) == (outcome == "no_answer")


def test_a_capture_that_ends_with_the_acknowledgement_does_not_say_that_no_answer_came(tmp_path: Path) -> None:
    connection = told(tmp_path / "a.pcap", Unanswered([], 0, 0, 40_000))
    assert (connection.outcome, connection.failed_by) == ("incomplete", None)


def test_a_client_that_leaves_had_no_answer(tmp_path: Path) -> None:
    connection = told(tmp_path / "a.pcap", Unanswered([], 0, 0, 40_000, leaves=True))
    assert (connection.outcome, connection.failed_by) == ("no_answer", "client")


@pytest.mark.parametrize(("idle", "outcome"), [(0.5, "incomplete"), (5.0, "no_answer")])
def test_a_handshake_that_silence_decides_waited_as_long(tmp_path: Path, idle: float, outcome: str) -> None:
    """Where connections are returned once they are decided, and not when they are over."""
    later = Talk(said("tls12-full"), 60, 60, 40_001)
    connection = told(tmp_path / "a.pcap", Unanswered([], 0, 0, 40_000), later, idle=idle)
    assert (connection.outcome, connection.open) == (outcome, True)
