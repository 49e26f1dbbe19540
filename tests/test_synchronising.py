"""Several answers to one SYN that number their bytes differently: the one that is taken up counts."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import ACK, SERVER, SYN, Talk, said, write

from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = (1, 5001, 2**31 + 5000, 2**32 - 10)


@dataclass(frozen=True)
class Answered(Talk):
    """A conversation whose SYN gets another answer at a time in milliseconds."""

    other: int = 0
    at: float = 0.5

    def packets(self) -> list[tuple[float, bytes]]:
        """All packets, and the other answer."""
        answer = self._packet(SERVER, SYN | ACK, [1001, self.other], b"")
        return [*super().packets(), (self.start + self.at / 1000, answer)]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 65_536])
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("at", [0.5, 2.5])
def test_only_one_answer_counts(tmp_path: Path, at: float, other: int, batch: int, keep: bool) -> None:
    """Another one comes before, or after the client has acknowledged the first."""
    talk = Answered(said("tls12-full"), start=0, closed=1, port=40_000, other=other, at=at)
    (connection,) = Reading([write(tmp_path / "answers.pcap", talk)], Options(batch=batch, keep=keep))
    assert (connection.outcome, connection.version) == ("established", "TLS 1.2")
    assert connection.certificates is not None
    assert [problem.code for problem in connection.problems] == (["dropped_segment"] if at > 2 else [])
    assert connection.timing.tcp_ms == pytest.approx(2)


def test_data_without_an_acknowledgement_follows_the_last_answer(tmp_path: Path) -> None:
    class Unacknowledged(Answered):
        def packets(self) -> list[tuple[float, bytes]]:
            return [one for n, one in enumerate(super().packets()) if n not in (0, 2)]

    talk = Unacknowledged(said("tls12-full"), start=0, closed=1, port=40_000, other=9)
    (connection,) = Reading([write(tmp_path / "answers.pcap", talk)])
    assert (connection.outcome, connection.client.port) == ("established", 40_000)


@dataclass(frozen=True)
class Twice(Talk):
    """A conversation captured in front of a device that numbers the server's bytes anew, and behind it."""

    ahead: int = 0

    def packets(self) -> list[tuple[float, bytes]]:
        """All packets, those of the server twice."""
        return [one for time, packet in super().packets() for one in self._seen(time, packet)]

    def _seen(self, time: float, packet: bytes) -> list[tuple[float, bytes]]:
        if packet[20:22] != (443).to_bytes(2, "big"):
            return [(time, packet)]
        sequence, acknowledged = struct.unpack_from(">II", packet, 24)
        numbers = struct.pack(">II", sequence + self.ahead & 0xFFFFFFFF, acknowledged + 2**29 & 0xFFFFFFFF)
        return [(time, packet[:24] + numbers + packet[32:]), (time + 0.0001, packet)]


@pytest.mark.parametrize("ahead", [1 << 26, 3 << 29, 5 << 29, -(1 << 26)])
def test_what_was_numbered_by_somebody_else_is_left_out(tmp_path: Path, ahead: int) -> None:
    plain = Talk(said("tls12-full"), start=0, closed=1, port=40_000)
    (original,) = Reading([write(tmp_path / "once.pcap", plain)])
    talk = Twice(said("tls12-full"), start=0, closed=1, port=40_000, ahead=ahead)
    (connection,) = Reading([write(tmp_path / "twice.pcap", talk)])
    same = (
        "outcome",
        "version",
        "cipher_suite",
        "resumption",
        "round_trips",
        "certificates",
        "handshake_bytes",
        "ja3s",
    )
    assert [getattr(connection, name) for name in same] == [getattr(original, name) for name in same]
    assert [message.type for message in connection.messages] == [message.type for message in original.messages]
    assert [alert.sender for alert in connection.alerts] == [alert.sender for alert in original.alerts]
