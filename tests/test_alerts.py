"""Alerts: cut and joined over records (RFC 5246 section 6.2.1), warnings, and those that only report the peer's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write

from tlsdissect import ladder, read, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

HELLO12, HELLO13 = said("tls12-full")[0][1], said("tls13-full")[0][1]
HANDSHAKE_FAILURE, UNRECOGNIZED_NAME = b"\x02\x28", b"\x01\x70"


def records(*fragments: bytes) -> bytes:
    """Alert records."""
    return b"".join(b"\x15\x03\x03" + len(one).to_bytes(2, "big") + one for one in fragments)


def told(path: Path, words: Said) -> Connection:
    (connection,) = read(write(path, Talk(words, start=0, closed=1, port=40_000)), keep=True)
    return connection


def alerts(connection: Connection) -> list[tuple[str, str | None, str | None]]:
    return [(one.sender, one.level, one.description) for one in connection.alerts]


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("hello", [HELLO12, HELLO13])
@pytest.mark.parametrize("together", [True, False])
def test_an_alert_in_two_records_is_one(tmp_path: Path, hello: bytes, side: int, together: bool) -> None:
    first, second = records(HANDSHAKE_FAILURE[:1]), records(HANDSHAKE_FAILURE[1:])
    parts = [(side, first + second)] if together else [(side, first), (side, second)]
    connection = told(tmp_path / "cut.pcap", [(CLIENT, hello), *parts])
    who = ("client", "server")[side]
    assert alerts(connection) == [(who, "fatal", "handshake_failure")]
    assert (connection.outcome, connection.failed_by, connection.problems) == ("alert", who, ())
    assert [message.bytes for message in connection.messages] == [len(hello) - 9, 2]
    assert "alert handshake_failure" in str(ladder(connection))
    assert "handshake_failure" in str(tree(connection))


def test_several_alerts_in_records_are_told_apart(tmp_path: Path) -> None:
    """Two in one record, a third cut by its end."""
    warning = UNRECOGNIZED_NAME
    sent = records(warning + b"\x01\x5a" + HANDSHAKE_FAILURE[:1], HANDSHAKE_FAILURE[1:])
    connection = told(tmp_path / "several.pcap", [(CLIENT, HELLO12), (SERVER, sent)])
    names = ["unrecognized_name", "user_canceled", "handshake_failure"]
    assert [one.description for one in connection.alerts] == names
    assert [message.bytes for message in connection.messages[1:]] == [2, 2, 2]
    assert (connection.outcome, connection.failed_by) == ("alert", "server")
    assert all(f"alert {name}" in str(ladder(connection)) for name in names)
    assert all(name in str(tree(connection)) for name in names)


def test_half_an_alert_is_none(tmp_path: Path) -> None:
    connection = told(tmp_path / "half.pcap", [(CLIENT, HELLO12), (SERVER, records(b"\x02"))])
    assert alerts(connection) == []
    assert [problem.code for problem in connection.problems] == ["malformed_message"]
    # The client of these captures closes first.
    assert (connection.outcome, connection.failed_by) == ("closed", "client")
