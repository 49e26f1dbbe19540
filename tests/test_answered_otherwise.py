"""A server of another protocol answers a ClientHello: its answer is quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import kept

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

GREETINGS = {
    "none": b"",
    "smtp": b"220 mail.example ESMTP\r\n",
    "imap": b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
    "ftp": b"220 Welcome to this FTP server\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
}
ANSWERS = {
    b"500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n": "500 5.5.2 Error: bad syntax",
    b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n": "HTTP/1.1 400 Bad Request",
    b"\r\nInvalid SSH identification string.\n": "Invalid SSH identification string.",
    b"* BAD \x1b[31m\xff\r\n": r"* BAD \x1b[31m\xff",
}
REFUSED = b"\x15\x03\x03\x00\x02\x02\x46"


def one(path: Path, talk: Said) -> Connection:
    (connection,) = kept(write(path, Talk(talk, 0, 5, 50_000)))
    return connection


def told(connection: Connection) -> list[str]:
    return [problem.detail for problem in connection.problems if problem.code == "malformed_record"]


@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("ending", [b"", REFUSED], ids=["closed", "alert"])
@pytest.mark.parametrize("at_once", [True, False])
def test_the_server_is_quoted(tmp_path: Path, greeting: str, answer: bytes, ending: bytes, at_once: bool) -> None:
    hello = said("tls13-full")[0]
    words: Said = [(SERVER, answer)] if at_once else [(SERVER, answer[n : n + 1]) for n in range(len(answer))]
    before: Said = [(SERVER, GREETINGS[greeting])] if GREETINGS[greeting] else []
    after: Said = [(CLIENT, ending)] if ending else []
    connection = one(tmp_path / "a.pcap", [*before, hello, *words, *after])
    assert told(connection) == [f'the ClientHello was answered with something that is no TLS: "{ANSWERS[answer]}"']
    (problem,) = (problem for problem in connection.problems if problem.code == "malformed_record")
    assert (problem.sender, problem.offset, problem.frame) == ("server", len(GREETINGS[greeting]), 5 + len(before))
    sentences = {sentence.code: sentence.text for sentence in tlsdissect.explain(connection).sentences}
    assert ANSWERS[answer] in sentences["answered_otherwise"]
    assert "the two spoke" not in sentences.get("upgrade", "")


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
def test_a_greeting_is_no_answer(tmp_path: Path, sample: str) -> None:
    hello, *rest = said(sample)
    greeting = (SERVER, GREETINGS["smtp"])
    for number, talk in enumerate(([greeting, hello], [greeting, hello, *rest])):
        connection = one(tmp_path / f"{number}.pcap", talk)
        assert told(connection) == []
        assert "answered_otherwise" not in {sentence.code for sentence in tlsdissect.explain(connection).sentences}
