"""A record of several messages that has bytes missing: those in front of the hole are read, and nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import SERVER, Talk, said, write

from tlsdissect import read

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

HEADER = 5
LOST = 5
"""The second of the three segments that the server's flight comes in, behind TCP's handshake and the ClientHello."""


@dataclass(frozen=True)
class Lossy(Talk):
    """A conversation of which a packet is not in the capture."""

    lost: int = LOST

    def packets(self) -> list[tuple[float, bytes]]:
        """All packets but one."""
        return [one for n, one in enumerate(super().packets()) if n != self.lost]


def in_one_record(data: bytes) -> bytes:
    """The same handshake messages in one record."""
    messages, at = b"", 0
    while at < len(data):
        after = at + HEADER + int.from_bytes(data[at + 3 : at + HEADER], "big")
        messages += data[at + HEADER : after]
        at = after
    return data[:3] + len(messages).to_bytes(2, "big") + messages


def flight() -> bytes:
    return in_one_record(said("tls12-full")[1][1])


def told(path: Path, hole: int, size: int, lost: int = LOST) -> Connection:
    hello, (_, _), *rest = said("tls12-full")
    data = flight()
    parts = data[:hole], data[hole : hole + size], data[hole + size :]
    words = [hello, *((SERVER, part) for part in parts), *rest]
    (connection,) = read(write(path, Lossy(words, start=0, closed=1, port=40_000, lost=lost)))
    return connection


def ends() -> list[int]:
    """Where in the record each message ends."""
    data, at, found = flight(), HEADER, []
    while at < len(data):
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        found.append(at)
    return found


@pytest.mark.parametrize("whole", [1, 2, 3])
@pytest.mark.parametrize("more", [1, 4, 20])
def test_messages_in_front_of_a_hole_are_read(tmp_path: Path, whole: int, more: int) -> None:
    original = told(tmp_path / "whole.pcap", 100, 100, lost=-1)
    connection = told(tmp_path / "cut.pcap", min(ends()[whole - 1] + more, len(flight()) - 2), 1)
    assert original.server_hello is not None
    assert connection.server_hello is not None
    assert connection.server_hello.extensions == original.server_hello.extensions
    assert (connection.ja3s, connection.version) == (original.ja3s, original.version)
    assert connection.certificates == (original.certificates if whole > 1 else None)
    assert connection.group == (original.group if whole > 2 else None)
    assert "gap" in {problem.code for problem in connection.problems}
    assert [message.type for message in connection.messages if message.sender == "server"][:whole] == [
        message.type for message in original.messages if message.sender == "server"
    ][:whole]


@pytest.mark.parametrize("hole", [8, 20, 45, 60])
def test_a_hello_in_front_of_a_hole_tells_no_more_than_it_says(tmp_path: Path, hole: int) -> None:
    original, connection = told(tmp_path / "whole.pcap", 100, 100, lost=-1), told(tmp_path / "cut.pcap", hole, 4)
    assert (connection.ja3s, connection.certificates) == (None, None)
    assert connection.version in {None, original.version}
    assert connection.cipher_suite in {None, original.cipher_suite}


@pytest.mark.parametrize(("lost", "retried"), [(-1, True), (4, None), (3, True)])
def test_what_a_hole_may_hide_is_not_denied(tmp_path: Path, lost: int, retried: bool | None) -> None:
    """The second message of the conversation is a HelloRetryRequest; the ServerHello behind it was seen."""
    words = said("tls13-hello-retry")
    (connection,) = read(write(tmp_path / "cut.pcap", Lossy(words, start=0, closed=1, port=40_000, lost=lost)))
    assert (connection.version, connection.hello_retry) == ("TLS 1.3", retried)
    assert connection.round_trips == (2 if retried else None)
