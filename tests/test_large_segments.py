"""Segments that are too large for the path are lost: explain reports them, and nothing begins behind the hole."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import mangle
import pytest
from conversing import ACK, CLIENT, FIN, FIRST_SEQUENCE, SERVER, SYN, said
from random_captures import START, segment
from recorded import kept

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection
    from tlsdissect.views.explain.model import Sentence

PORT = 50_000
SHORTER = 600
"""Bytes of the segment that arrives."""


class Segment(NamedTuple):
    """What a side sends: its place in the stream, what it acknowledges, and what it acknowledges selectively."""

    time: float
    side: int
    flags: int
    start: int
    acknowledged: int | None
    data: bytes = b""
    sacked: tuple[int, int] | None = None

    def packet(self) -> mangle.Segment:
        """The segment with its sequence numbers and its SACK option (RFC 2018 section 3)."""
        mine, other = FIRST_SEQUENCE[self.side], FIRST_SEQUENCE[1 - self.side]
        sequence = mine + self.start + (not self.flags & SYN)
        known = 0 if self.acknowledged is None else other + 1 + self.acknowledged
        options = b""
        if self.sacked is not None:
            options = b"\x01\x01\x05\x0a" + struct.pack(">II", *(other + 1 + edge for edge in self.sacked))
        sent = segment(PORT, self.side, self.flags, (sequence, known), self.data)
        return replace(sent, time=START + round(self.time * 1_000_000), options=options)


def opened() -> list[Segment]:
    return [
        Segment(0, CLIENT, SYN, 0, None),
        Segment(0.001, SERVER, SYN | ACK, 0, 0),
        Segment(0.002, CLIENT, ACK, 0, 0),
    ]


def hello_and_flight(sample: str) -> tuple[bytes, bytes]:
    (_, hello), (_, flight) = said(sample)[:2]
    return hello, flight


def lost_answer(sample: str, large: int, *, seen: bool) -> list[Segment]:
    """A server's flight in two segments. The first one is lost; if `seen`, it was captured before the loss."""
    hello, flight = hello_and_flight(sample)
    size, end = len(hello), large + SHORTER
    first = Segment(0.005, SERVER, ACK, 0, size, flight[:large])
    times = [0.005, 0.3, 0.7, 1.5, 3.1] if seen else []
    return [
        *opened(),
        Segment(0.003, CLIENT, ACK, 0, 0, hello),
        *(first._replace(time=time) for time in times[:1]),
        Segment(0.006, SERVER, ACK, large, size, flight[large:end]),
        Segment(0.007, CLIENT, ACK, size, 0, sacked=(large, end)),
        *(first._replace(time=time) for time in times[1:]),
        Segment(10, CLIENT, ACK | FIN, size, 0, sacked=(large, end)),
        Segment(10.001, SERVER, ACK, end, size + 1),
    ]


def one(path: Path, segments: list[Segment]) -> Connection:
    path.write_bytes(mangle.Way()([sent.packet() for sent in segments]))
    (connection,) = kept(path)
    return connection


def sentences(connection: Connection) -> dict[str, Sentence]:
    return {sentence.code: sentence for sentence in tlsdissect.explain(connection).sentences}


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
@pytest.mark.parametrize("seen", [True, False])
def test_a_flight_that_is_lost_on_its_way(tmp_path: Path, sample: str, seen: bool) -> None:
    large = 1000
    connection = one(tmp_path / "a.pcap", lost_answer(sample, large, seen=seen))
    assert (connection.outcome, connection.failed_by, connection.upgrade) == ("closed", "client", None)
    assert {problem.code for problem in connection.problems} <= {"gap"}
    told = sentences(connection)
    what = "were sent 5 times and" if seen else "are not in the capture and were"
    assert told["never_acknowledged"].text.startswith(
        f"The server's first 1,000 bytes {what} never acknowledged, while "
    )
    assert not told["never_acknowledged"].guess
    assert told["path_mtu"].guess
    assert "answered_otherwise" not in told


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
@pytest.mark.parametrize("behind", [True, False])
def test_a_hello_whose_first_segment_is_lost(tmp_path: Path, sample: str, behind: bool) -> None:
    hello, large = hello_and_flight(sample)[0], 80
    first = Segment(0.003, CLIENT, ACK, 0, 0, hello[:large])
    rest = [Segment(0.004, CLIENT, ACK, large, 0, hello[large:])] if behind else []
    segments = [
        *opened(),
        first,
        *rest,
        Segment(0.005, SERVER, ACK, 0, 0, sacked=(large, len(hello))),
        *(first._replace(time=time) for time in (0.2, 0.6, 1.4)),
    ]
    connection = one(tmp_path / "a.pcap", segments)
    assert connection.outcome == "incomplete"
    told = sentences(connection)
    assert told["never_acknowledged"].text.startswith("The client's first 80 bytes were sent 4 times and never")
    # What was not seen has no known size.
    assert ("path_mtu" in told) is (behind and len(hello) - large < large)


def test_a_larger_segment_that_arrived_is_evidence_against_a_limit(tmp_path: Path) -> None:
    connection = one(tmp_path / "a.pcap", lost_answer("tls12-full", 300, seen=True))
    told = sentences(connection)
    assert told["never_acknowledged"].text.endswith("sent 5 times and never acknowledged.")
    assert "path_mtu" not in told


def test_bytes_that_were_merely_on_their_way_are_not_called_lost(tmp_path: Path) -> None:
    segments = lost_answer("tls12-full", 1000, seen=True)[:7]
    assert "never_acknowledged" not in sentences(one(tmp_path / "a.pcap", segments))


def test_a_hole_that_was_acknowledged_hides_the_end(tmp_path: Path) -> None:
    """The client read what the capture lacks: the handshake may have been over."""
    segments = lost_answer("tls12-full", 1000, seen=False)
    read = [part._replace(acknowledged=1000 + SHORTER) if part.sacked else part for part in segments]
    connection = one(tmp_path / "a.pcap", read)
    assert (connection.outcome, connection.failed_by) == ("incomplete", None)
    assert "never_acknowledged" not in sentences(connection)


def test_the_end_of_a_hello_is_no_protocol_in_front_of_tls(tmp_path: Path) -> None:
    """The capture lacks the first segment of the ClientHello, which the server answers."""
    hello, flight = hello_and_flight("tls12-full")
    segments = [
        *opened(),
        Segment(0.004, CLIENT, ACK, 100, 0, hello[100:]),
        Segment(0.005, SERVER, ACK, 0, len(hello), flight),
    ]
    connection = one(tmp_path / "a.pcap", segments)
    assert connection.server_hello is not None
    assert (connection.client_hello, connection.upgrade) == (None, None)
