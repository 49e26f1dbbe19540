"""A server of another protocol answers a ClientHello: its answer is quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import kept, packets

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


UNKNOWN_MESSAGE = b"\x16\x03\x03\x00\x07\x63\x00\x00\x03abc"
UNKNOWN_RECORD = b"\x63\x03\x03\x00\x03abc"
LONG_RECORD = b"\x16\x03\x03\xff\xff" + 100 * b"\x02"
NO_TLS = [
    (UNKNOWN_MESSAGE, "malformed_message", "a handshake message of type 99, which does not come here"),
    (UNKNOWN_RECORD, "malformed_record", r'something that is no TLS: "c\x03\x03\x00\x03abc"'),
    (LONG_RECORD, "malformed_record", "a TLS record of 65535 bytes, which is too long"),
]


@pytest.mark.parametrize(("data", "code", "what"), NO_TLS, ids=["message", "record", "length"])
def test_an_answer_is_told_in_the_terms_of_tls(tmp_path: Path, data: bytes, code: str, what: str) -> None:
    hello = said("tls12-full")[0]
    connection = one(tmp_path / "a.pcap", [hello, (SERVER, data)])
    assert [(it.code, it.detail, it.frame) for it in connection.problems] == [
        (code, f"the ClientHello was answered with {what}", 5)
    ]
    sentences = [it.text for it in tlsdissect.explain(connection).sentences if it.code == "answered_otherwise"]
    assert sentences == [
        f"The ClientHello was answered with {what}."
        + " Perhaps this port serves another protocol." * (code == "malformed_record")
    ]


@pytest.mark.parametrize(("data", "code", "what"), NO_TLS[:2], ids=["message", "record"])
@pytest.mark.parametrize("together", [True, False], ids=["one-segment", "two-segments"])
@pytest.mark.parametrize("size", [1, 2000])
def test_bytes_before_the_server_hello_are_a_problem(
    tmp_path: Path, data: bytes, code: str, what: str, together: bool, size: int
) -> None:
    hello, (_, answer), *rest = said("tls12-full")
    spoken = [data + answer] if together else [data, answer]
    parts: Said = [(SERVER, each[at : at + size]) for each in spoken for at in range(0, len(each), size)]
    connection = one(tmp_path / "a.pcap", [hello, *parts, *rest])
    assert connection.outcome == "established"
    found = [it for it in connection.problems if it.code != "inferred"]
    assert [(it.code, it.detail, it.frame, it.offset) for it in found] == [
        (code, f"before its first TLS message, the server sent {what}", 5, 0)
    ]


def test_a_server_hello_in_small_segments_is_no_problem(tmp_path: Path) -> None:
    hello, (_, answer), *rest = said("tls12-full")
    parts: Said = [(SERVER, answer[at : at + 1]) for at in range(len(answer))]
    problems = one(tmp_path / "a.pcap", [hello, *parts, *rest]).problems
    # It was sent slowly, as a server behind a proxy near the client.
    assert [it.code for it in problems] == ["inferred"]


def rearranged(path: Path, order: list[int]) -> Connection:
    """The connection of a capture with only these packets, in this order, too far apart to have changed places."""
    found = packets(path)
    first = found[0][0][:4]
    rows = [
        first + (20_000 * at).to_bytes(4, "little") + found[one][0][8:] + found[one][1] for at, one in enumerate(order)
    ]
    path.write_bytes(path.read_bytes()[:24] + b"".join(rows))
    (connection,) = kept(path)
    return connection


@pytest.mark.parametrize("size", range(1, 6))
def test_the_beginning_of_a_record_whose_rest_is_missing_is_no_problem(tmp_path: Path, size: int) -> None:
    hello, (_, answer), *rest = said("tls12-full")
    parts: Said = [(SERVER, answer[:size]), (SERVER, answer[size:40]), (SERVER, answer[40:])]
    path = write(tmp_path / "a.pcap", Talk([hello, *parts, *rest], 0, 5, 50_000))
    order = [at for at in range(len(packets(path))) if at != 5]
    sizes = [len(one) for _, one in packets(path)]
    assert sizes[5] - sizes[4] == 40 - 2 * size
    connection = rearranged(path, order)
    assert (told(connection), "gap" in {it.code for it in connection.problems}) == ([], True)
    end = write(tmp_path / "b.pcap", Talk([hello, parts[0]], 0, 5, 50_000))
    (cut,) = kept(end)
    assert told(cut) == []


def test_a_greeting_that_was_captured_behind_the_hello_is_no_answer(tmp_path: Path) -> None:
    hello, *rest = said("tls12-full")
    path = write(tmp_path / "a.pcap", Talk([(SERVER, GREETINGS["smtp"]), hello, *rest], 0, 5, 50_000))
    order = list(range(len(packets(path))))
    order[3], order[4] = order[4], order[3]
    assert told(rearranged(path, order)) == []


def test_zeros_of_a_frames_padding_are_no_answer(tmp_path: Path) -> None:
    assert told(one(tmp_path / "a.pcap", [said("tls12-full")[0], (SERVER, bytes(6))])) == []
