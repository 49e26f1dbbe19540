"""Captures of one direction: what the other side chose is not known, and so not what a record holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Talk, said, write

from tlsdissect import read
from tlsdissect.views.ladder.model import drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

PORTS = 20
"""Where TCP's header begins in these packets: behind that of IPv4."""


@dataclass(frozen=True)
class Alone(Talk):
    """A conversation of which one side's packets are not in the capture, or those of its first turn."""

    left_out: int = SERVER
    turns: int | None = None

    def packets(self) -> list[tuple[float, bytes]]:
        """The other side's packets."""
        mine, found, left = self.port if self.left_out == CLIENT else 443, [], self.turns
        for time, packet in super().packets():
            theirs = int.from_bytes(packet[PORTS : PORTS + 2], "big") != mine
            if theirs or (left == 0) or (left is not None and len(packet) == 40):
                found.append((time, packet))
            elif left is not None:
                left -= 1
        return found


def told(path: Path, sample: str, left_out: int, turns: int | None = None) -> Connection:
    words = said(sample)
    talk = Alone(words, start=0, closed=1, port=40_000, left_out=left_out, turns=turns)
    (connection,) = read(write(path, talk), keep=True)
    return connection


@pytest.mark.parametrize("sample", ["tls13-full", "tls13-client-cert", "tls13-hello-retry", "tls13-early-data"])
def test_what_may_be_the_finished_is_not_called_data(tmp_path: Path, sample: str) -> None:
    """Without the ServerHello nobody knows whether TLS 1.3 was chosen, whose Finished looks like data."""
    connection = told(tmp_path / "client.pcap", sample, SERVER)
    assert (connection.outcome, connection.version) == ("one_sided", None)
    assert (connection.timing.client_data_ms, connection.timing.server_data_ms) == (None, None)
    assert all(arrow.kind != "data" for arrow in drawn(connection).arrows)


def test_data_behind_a_finished_of_older_versions_is_data(tmp_path: Path) -> None:
    connection = told(tmp_path / "client.pcap", "tls12-full", SERVER)
    assert (connection.outcome, connection.version) == ("one_sided", None)
    assert connection.timing.client_data_ms is not None
    assert any(arrow.kind == "data" for arrow in drawn(connection).arrows)


def test_without_the_server_hello_alone_it_is_not_called_data_either(tmp_path: Path) -> None:
    connection = told(tmp_path / "hole.pcap", "tls13-full", SERVER, turns=1)
    assert connection.version is None
    assert (connection.timing.client_data_ms, connection.timing.server_data_ms) == (None, None)
