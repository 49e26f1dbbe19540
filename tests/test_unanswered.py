"""ClientHellos without an answer: unanswered only where the capture goes on for long enough."""

from __future__ import annotations

import struct
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
BARE = 40
"""Bytes of a packet without payload."""
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


@dataclass(frozen=True)
class Unseen(Talk):
    """A conversation of which the packets with the server's bytes are not in the capture."""

    def packets(self) -> list[tuple[float, bytes]]:
        """All packets but those."""
        return [one for one in super().packets() if len(one[1]) == BARE or one[1][20:22] != b"\x01\xbb"]


def test_a_server_whose_bytes_the_client_acknowledged_answered(tmp_path: Path) -> None:
    words = [(side, data) for side, data in said("tls12-full") if side == SERVER or data[0] == 22]
    connection = told(tmp_path / "a.pcap", Unseen(words, 0, 60, 40_000))
    assert (connection.outcome, connection.failed_by) == ("incomplete", None)
    assert "never answered" not in str(explain(connection))


def test_datagrams_tell_too_how_long_the_capture_went_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pcap", Unanswered([], 0, 0, 40_000))
    data = path.read_bytes()
    udp = struct.pack(">HHHH", 40_000, 53, 9, 0) + b"?"
    packet = struct.pack(">BBHIBBH", 0x45, 0, 20 + len(udp), 0, 64, 17, 0) + data[-28:-20] + udp
    second = struct.unpack("<I", data[24:28])[0] + 2
    path.write_bytes(data + struct.pack("<IIII", second, 0, len(packet), len(packet)) + packet)
    (connection,) = Reading([path], Options())
    assert connection.outcome == "no_answer"
