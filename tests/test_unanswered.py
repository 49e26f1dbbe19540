"""ClientHellos without an answer: unanswered only where the capture goes on for long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from capture.building import ip4, udp
from conversing import ACK, CLIENT, FIN, OPENED, SERVER, Step, Steps, Talk, said, steps, write
from recorded import packets, without

from tlsdissect import explain
from tlsdissect.handshake.facts.endings import ANSWER_NS
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

ENOUGH = ANSWER_NS / 1_000_000_000
BARE = 40
"""Bytes of a packet without payload."""
HELLO = said("tls12-full")[0][1]
SENT = 0.003
"""Seconds from the beginning of these conversations to the ClientHello."""


def unanswered(*more: Step, port: int = 40_000, start: float = 0) -> Steps:
    """A conversation that ends with the acknowledgement of the ClientHello, or with these packets behind it."""
    return steps(*OPENED, (CLIENT, ACK, HELLO), (SERVER, ACK, b""), *more, port=port, start=start)


def probe(time: float) -> Steps:
    """The client asks again whether the server is there."""
    return steps((CLIENT, ACK, b""), start=time, first=(1001 + len(HELLO), 5001))


def told(path: Path, *talks: Talk, **options: float) -> Connection:
    reading = Reading([write(path, *talks)], Options(**options))
    return next(one for one in reading if one.stream == 0)


@pytest.mark.parametrize(
    ("end", "outcome"), [(0.001, "incomplete"), (ENOUGH - 0.1, "incomplete"), (ENOUGH, "no_answer")]
)
def test_the_capture_must_go_on_for_long_enough(tmp_path: Path, end: float, outcome: str) -> None:
    """In other connections, or in this one."""
    end += SENT
    for later in (unanswered(port=40_001, start=end), Talk(said("tls12-full"), end, end, 40_001), probe(end)):
        connection = told(tmp_path / "a.pcap", unanswered(), later)
        assert (connection.outcome, connection.failed_by) == (outcome, None)
        assert ("never answered" in str(explain(connection))) == (outcome == "no_answer")


def test_a_capture_that_ends_with_the_acknowledgement_does_not_say_that_no_answer_came(tmp_path: Path) -> None:
    connection = told(tmp_path / "a.pcap", unanswered())
    assert (connection.outcome, connection.failed_by) == ("incomplete", None)


def test_a_client_that_leaves_had_no_answer(tmp_path: Path) -> None:
    connection = told(tmp_path / "a.pcap", unanswered((CLIENT, ACK | FIN, b"")))
    assert (connection.outcome, connection.failed_by) == ("no_answer", "client")


@pytest.mark.parametrize(("idle", "outcome"), [(0.5, "incomplete"), (5.0, "no_answer")])
def test_a_handshake_that_silence_decides_waited_as_long(tmp_path: Path, idle: float, outcome: str) -> None:
    """Where a connection is returned once its handshake is decided, not when it ends."""
    later = Talk(said("tls12-full"), 60, 60, 40_001)
    connection = told(tmp_path / "a.pcap", unanswered(), later, idle=idle)
    assert (connection.outcome, connection.open) == (outcome, True)


def test_a_server_whose_bytes_the_client_acknowledged_answered(tmp_path: Path) -> None:
    """The packets with the server's bytes are not in the capture."""
    words = [(side, data) for side, data in said("tls12-full") if side == SERVER or data[0] == 22]
    path = write(tmp_path / "whole.pcap", Talk(words, 0, 60, 40_000))
    servers = {
        frame
        for frame, (_, packet) in enumerate(packets(path), 1)
        if len(packet) > BARE and packet[20:22] == b"\x01\xbb"
    }
    (connection,) = Reading([without(path, servers, tmp_path / "a.pcap")])
    assert (connection.outcome, connection.failed_by) == ("incomplete", None)
    assert "never answered" not in str(explain(connection))


class Datagram(Talk):
    """A UDP datagram, and nothing else."""

    def packets(self) -> list[tuple[float, bytes]]:
        """Its packet."""
        return [(self.start, ip4(udp(b"?"), 17))]


def test_datagrams_tell_too_how_long_the_capture_went_on(tmp_path: Path) -> None:
    connection = told(tmp_path / "a.pcap", unanswered(), Datagram([], 2, 2, 0))
    assert connection.outcome == "no_answer"
