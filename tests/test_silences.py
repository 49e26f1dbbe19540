"""Silences: what one ends, and what none does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import Talk, said, write

from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

DAY = 86_400
NO_TLS = 0, b"\xee" * 32


@dataclass(frozen=True)
class Interrupted(Talk):
    """A conversation in which a day goes by behind its first packets."""

    quick: int = 0

    def packets(self) -> list[tuple[float, bytes]]:
        """All packets but the first ones are a day late."""
        return [(time + DAY * (n >= self.quick), packet) for n, (time, packet) in enumerate(super().packets())]


def talk(quick: int, *before: tuple[int, bytes]) -> Talk:
    return Interrupted([*before, *said("tls12-full")], start=0, closed=1, port=40_000, quick=quick)


def read(path: Path, batch: int, **options: bool) -> list[Connection]:
    return list(Reading([path], Options(batch=batch, **options)))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 65_536])
@pytest.mark.parametrize("quick", [1, 2, 3])
def test_tls_begins_whenever_it_does(tmp_path: Path, quick: int, batch: int, keep: bool) -> None:
    """The clock of a capture's first packet is often another than that of the rest."""
    (connection,) = read(write(tmp_path / "late.pcap", talk(quick)), batch, keep=keep)
    assert connection.outcome == "established"
    assert (connection.first_frame, connection.upgrade) == (1, None)
    assert connection.timing.tcp_ms == pytest.approx(2 + 1000 * DAY * (quick < 3))


@pytest.mark.parametrize("batch", [1, 7, 65_536])
def test_tls_begins_on_a_conversation_that_was_something_else_and_silent(tmp_path: Path, batch: int) -> None:
    (connection,) = read(write(tmp_path / "late.pcap", talk(4, NO_TLS)), batch)
    assert (connection.outcome, connection.upgrade) == ("established", "unknown")


@pytest.mark.parametrize("batch", [1, 7, 65_536])
def test_a_silence_within_a_handshake_ends_it(tmp_path: Path, batch: int) -> None:
    reading = Reading([write(tmp_path / "cut.pcap", talk(4))], Options(batch=batch))
    (connection,) = reading
    assert (connection.outcome, connection.packets, connection.version) == ("incomplete", 4, None)
    assert reading.summary.late > 0
