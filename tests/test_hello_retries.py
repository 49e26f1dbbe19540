"""HelloRetryRequests: one is allowed, a second one is a problem (RFC 8446 section 4.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import SERVER, Said, Talk, said, write

from tlsdissect import explain, read, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

HELLO, RETRY, AGAIN, *REST = said("tls13-hello-retry")


def told(path: Path, words: Said) -> Connection:
    (connection,) = read(write(path, Talk(words, start=0, closed=1, port=40_000)), keep=True)
    return connection


def retries(connection: Connection) -> list[int]:
    return [message.frame for message in connection.messages if message.type == "hello_retry_request"]


@pytest.mark.parametrize("more", [0, 1, 2])
def test_another_hello_retry_request_is_one_and_a_problem(tmp_path: Path, more: int) -> None:
    plain = told(tmp_path / "plain.pcap", [HELLO, RETRY, AGAIN, *REST])
    connection = told(tmp_path / "more.pcap", [HELLO, *[RETRY, AGAIN] * (1 + more), *REST])
    frames = retries(connection)
    assert frames == [5 + 2 * n for n in range(1 + more)]
    assert connection.hello_retry_request == plain.hello_retry_request
    assert (connection.outcome, connection.server_hello is not None) == ("established", True)
    problems = [(p.code, p.frame, p.sender) for p in connection.problems if p.code != "inferred"]
    assert problems == [("malformed_message", frame, "server") for frame in frames[1:]]
    assert connection.round_trips == 2 + more
    sentences = explain(connection).about("time")
    assert [one.frames[-1] for one in sentences if one.code == "trip_retry"] == frames
    assert len([one for one in explain(connection).sentences if one.code == "hello_retry_again"]) == bool(more)
    assert str(tree(connection)).count("hello_retry_request") == 1 + more


def test_one_behind_the_server_hello_is_a_problem(tmp_path: Path) -> None:
    connection = told(tmp_path / "late.pcap", [*said("tls13-full")[:2], (SERVER, RETRY[1]), *said("tls13-full")[2:]])
    assert retries(connection) == [6]
    assert "malformed_message" in {problem.code for problem in connection.problems}
