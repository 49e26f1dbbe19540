"""Several answers to one SYN that number their bytes differently: the one that is taken up counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import ACK, SERVER, SYN, Talk, said, write

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
    (connection,) = Reading([write(tmp_path / "answers.pcap", talk)], batch=batch, keep=keep)
    assert (connection.outcome, connection.version) == ("established", "TLS 1.2")
    assert connection.certificates is not None
    assert {problem.code for problem in connection.problems} <= {"inferred"}
    assert connection.timing.tcp_ms == pytest.approx(2)


def test_data_without_an_acknowledgement_follows_the_last_answer(tmp_path: Path) -> None:
    class Unacknowledged(Answered):
        def packets(self) -> list[tuple[float, bytes]]:
            return [one for n, one in enumerate(super().packets()) if n not in (0, 2)]

    talk = Unacknowledged(said("tls12-full"), start=0, closed=1, port=40_000, other=9)
    (connection,) = Reading([write(tmp_path / "answers.pcap", talk)])
    assert (connection.outcome, connection.client.port) == ("established", 40_000)
