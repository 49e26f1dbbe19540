"""What looks like TLS within something else, a capture that is uploaded or a mail about one, is no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import ROOT, facts

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

CAPTURE = (ROOT / "samples" / "tls13-full.pcap").read_bytes()
HELLO = said("tls13-full")[0][1]

POST: Said = [
    (CLIENT, b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(CAPTURE)),
    *[(CLIENT, CAPTURE[at : at + 1400]) for at in range(0, len(CAPTURE), 1400)],
    (SERVER, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
]
MAIL: Said = [
    (SERVER, b"220 mail ESMTP\r\n"),
    (CLIENT, b"EHLO a\r\n"),
    (SERVER, b"250 mail\r\n"),
    (CLIENT, b"DATA\r\n"),
    (SERVER, b"354 go on\r\n"),
    (CLIENT, b"Subject: what I saw\r\n\r\n" + HELLO + b"\r\n.\r\n"),
    (SERVER, b"250 ok\r\n"),
]
STORED: Said = [(CLIENT, CAPTURE[at : at + 1400]) for at in range(0, len(CAPTURE), 1400)]


def told(path: Path, talk: Said) -> list[dict[str, Any]]:
    return facts(write(path, Talk(talk, 0, 5, 50_000)))


@pytest.mark.parametrize("talk", [POST, MAIL, STORED], ids=["http", "smtp", "ftp-data"])
def test_what_is_quoted_is_no_connection(tmp_path: Path, talk: Said) -> None:
    assert told(tmp_path / "a.pcap", talk) == []


def test_an_unanswered_hello_behind_a_proxy_header_is_one(tmp_path: Path) -> None:
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n"
    (one,) = told(tmp_path / "a.pcap", [(CLIENT, header + HELLO)])
    assert one["upgrade"] == "proxy"


def test_an_unanswered_hello_that_begins_a_segment_is_one(tmp_path: Path) -> None:
    begun: Said = [(SERVER, b"220 mail ESMTP\r\n"), (CLIENT, b"STARTTLS\r\n"), (SERVER, b"220 go\r\n"), (CLIENT, HELLO)]
    (one,) = told(tmp_path / "a.pcap", begun)
    assert one["upgrade"] == "smtp"


def test_an_answered_hello_within_a_segment_is_one(tmp_path: Path) -> None:
    (_, hello), *answers = said("tls13-full")
    (one,) = told(tmp_path / "a.pcap", [(CLIENT, b"X-LETS-GO\r\n\x00\x01\x02" + hello), *answers])
    assert (one["upgrade"], one["version"]) == ("unknown", "TLS 1.3")


GREETING = (SERVER, b"WELCOME\r\n")
BEFORE = b"X-LETS-GO\r\n\x00\x01\x02"


@pytest.mark.parametrize("parts", [1, 2])
def test_a_hello_behind_the_first_bytes_after_a_greeting_is_one(tmp_path: Path, parts: int) -> None:
    (_, hello), *answers = said("tls13-full")
    first = BEFORE + hello
    size = len(first) // parts + 1
    begun = [(CLIENT, first[at : at + size]) for at in range(0, len(first), size)]
    (one,) = told(tmp_path / "a.pcap", [GREETING, *begun, *answers])
    (plain,) = told(tmp_path / "b.pcap", [(CLIENT, hello), *answers])
    keys = ("sni", "ja4", "version", "cipher_suite", "outcome", "round_trips", "handshake_bytes")
    assert {key: one[key] for key in keys} == {key: plain[key] for key in keys}
    assert (one["upgrade"], one["problems"]) == ("unknown", [])


def test_the_same_without_an_answer_of_tls_is_none(tmp_path: Path) -> None:
    for answers in ([], [(SERVER, b"what?\r\n")], [(SERVER, b"what?\r\n"), (CLIENT, HELLO[:30])]):
        assert told(tmp_path / "a.pcap", [GREETING, (CLIENT, BEFORE + HELLO), *answers]) == []


def test_a_hello_that_is_not_found_is_a_problem(tmp_path: Path) -> None:
    (_, hello), *answers = said("tls13-full")
    talk: Said = [(CLIENT, BEFORE), GREETING, (CLIENT, BEFORE + hello), *answers]
    (one,) = told(tmp_path / "a.pcap", talk)
    assert (one["version"], one["client_hello"]) == ("TLS 1.3", None)
    assert "the ClientHello was not found" in one["problems"][0]["detail"]


def test_an_answer_that_is_no_tls_is_told(tmp_path: Path) -> None:
    (one,) = told(tmp_path / "a.pcap", [(CLIENT, HELLO), (SERVER, b"HTTP/1.1 400 Bad Request\r\n\r\n")])
    assert [(p["code"], p["frame"], p["from"]) for p in one["problems"]] == [("malformed_record", 5, "server")]
    assert "HTTP/1.1 400 Bad" in one["problems"][0]["detail"]


def test_explain_says_that_the_answer_is_no_tls(tmp_path: Path) -> None:
    talk: Said = [(CLIENT, HELLO), (SERVER, b"HTTP/1.1 400 Bad Request\r\n\r\n")]
    (one,) = tlsdissect.read(write(tmp_path / "a.pcap", Talk(talk, 0, 5, 50_000)))
    assert "no TLS" in str(tlsdissect.explain(one))
