"""Captures of one direction: what the other side chose is not known, nor what a protected record contains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import Talk, said, write
from recorded import kept, packets, without

from tlsdissect.views.ladder.model import drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

SERVER_PORT = (443).to_bytes(2, "big")
SOURCE_PORT = slice(20, 22)
"""In these packets TCP's header begins behind that of IPv4."""
SERVER_FLIGHT = 5
"""The frame of the server's first flight, behind TCP's handshake and the ClientHello."""


def whole(path: Path, sample: str) -> Path:
    return write(path, Talk(said(sample), start=0, closed=1, port=40_000))


def of_the_client_alone(folder: Path, sample: str) -> Connection:
    path = whole(folder / "whole.pcap", sample)
    servers = {frame for frame, (_, packet) in enumerate(packets(path), 1) if packet[SOURCE_PORT] == SERVER_PORT}
    (connection,) = kept(without(path, servers, folder / "client.pcap"))
    return connection


@pytest.mark.parametrize("sample", ["tls13-full", "tls13-client-cert", "tls13-hello-retry", "tls13-early-data"])
def test_what_may_be_the_finished_is_not_called_data(tmp_path: Path, sample: str) -> None:
    """Without the ServerHello it is unknown whether TLS 1.3 was chosen, whose Finished looks like application data."""
    connection = of_the_client_alone(tmp_path, sample)
    assert (connection.outcome, connection.version) == ("one_sided", None)
    assert (connection.timing.client_data_ms, connection.timing.server_data_ms) == (None, None)
    assert all(arrow.kind != "data" for arrow in drawn(connection).arrows)


def test_data_behind_a_finished_of_older_versions_is_data(tmp_path: Path) -> None:
    connection = of_the_client_alone(tmp_path, "tls12-full")
    assert (connection.outcome, connection.version) == ("one_sided", None)
    assert connection.timing.client_data_ms is not None
    assert any(arrow.kind == "data" for arrow in drawn(connection).arrows)


def test_without_the_server_hello_alone_it_is_not_called_data_either(tmp_path: Path) -> None:
    path = whole(tmp_path / "whole.pcap", "tls13-full")
    (connection,) = kept(without(path, {SERVER_FLIGHT}, tmp_path / "hole.pcap"))
    assert connection.version is None
    assert (connection.timing.client_data_ms, connection.timing.server_data_ms) == (None, None)
