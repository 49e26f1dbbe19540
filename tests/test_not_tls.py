"""TCP flows without TLS: they are counted by protocol, and the summary reports them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from capture.rows import calls
from conversing import ACK, CLIENT, FIN, OPENED, RST, SERVER, SYN, Said, Step, Talk, said, steps, write
from recorded import snapped

from tlsdissect.cli.totals import Tally, sentences
from tlsdissect.corpus.parallel import ParallelOutputRows
from tlsdissect.corpus.query import Query
from tlsdissect.corpus.selection import Selection
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake import not_tls
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading, Summary
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from pathlib import Path

HTTP = [(CLIENT, b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n")]
GREETING = (SERVER, b"220 mail.example ESMTP\r\n")
EHLO = (CLIENT, b"EHLO alice.example\r\n")


def counted(path: Path, **options: object) -> Counter[str]:
    reading = Reading([path], Options(**options))
    list(reading)
    return reading.summary.not_tls


REFUSED = ((CLIENT, SYN, b""), (SERVER, RST | ACK, b""))


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (REFUSED, "refused"),
        (((CLIENT, SYN, b""), (SERVER, RST | ACK, b"no service here")), "refused"),
        (((CLIENT, SYN, b""),), "unanswered"),
        (((CLIENT, SYN, b""), (CLIENT, RST, b"")), "unanswered"),
        (OPENED, "without data"),
        ((*OPENED, (CLIENT, FIN | ACK, b""), (SERVER, FIN | ACK, b"")), "without data"),
        (((CLIENT, ACK, b""),), "begun before the capture"),
        (((CLIENT, ACK, b"\xa7\x31\x08\x99 and so on"),), "begun before the capture"),
        ((*OPENED, (CLIENT, ACK, b"\xa7\x31\x08\x99 and so on")), "of an unknown protocol"),
        (((CLIENT, ACK, b"\x17\x03\x03\x00\x20" + bytes(32)),), "TLS begun before the capture"),
        ((*OPENED, (CLIENT, ACK, b"\x17\x03\x03\x00\x20" + bytes(32))), "TLS without a hello"),
    ],
)
@pytest.mark.parametrize("keep", [False, True])
def test_a_flow_by_its_headers(tmp_path: Path, sent: tuple[Step, ...], kind: str, *, keep: bool) -> None:
    assert counted(write(tmp_path / "flow.pcap", steps(*sent)), keep=keep) == {kind: 1}


def smtp(*more: tuple[int, bytes]) -> Said:
    return [GREETING, EHLO, (SERVER, b"250-mail.example\r\n250 STARTTLS\r\n"), *more]


LDAP_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"


@pytest.mark.parametrize(
    ("spoken", "kind"),
    [
        (HTTP, "plain HTTP"),
        ([(CLIENT, b"GET /a/long/target"), (CLIENT, b" HTTP/1.1\r\n\r\n")], "plain HTTP"),
        ([(CLIENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], "plain HTTP"),
        ([(SERVER, b"SSH-2.0-OpenSSH_9.2\r\n"), (CLIENT, b"SSH-2.0-OpenSSH_9.2\r\n")], "SSH"),
        ([GREETING, (CLIENT, b"QUIT\r\n")], "SMTP without STARTTLS"),
        (smtp((CLIENT, b"QUIT\r\n")), "SMTP with STARTTLS offered and not used"),
        (smtp((CLIENT, b"STARTTLS\r\n"), (SERVER, b"454 4.7.0 not now\r\n")), "SMTP with STARTTLS refused (454)"),
        (smtp((CLIENT, b"STARTTLS\r\n"), (SERVER, b"220 go ahead\r\n")), "SMTP with STARTTLS agreed to and not begun"),
        (smtp((CLIENT, b"STARTTLS\r\n")), "SMTP with STARTTLS unanswered"),
        (
            [(SERVER, b"220 ftp FTP\r\n"), (CLIENT, b"AUTH TLS\r\n"), (SERVER, b"534 no\r\n")],
            "FTP with AUTH TLS refused (534)",
        ),
        ([(SERVER, b"+OK\r\n"), (CLIENT, b"STLS\r\n"), (SERVER, b"-ERR no\r\n")], "POP3 with STLS refused (-ERR)"),
        (
            [(SERVER, b"* OK ready\r\n"), (CLIENT, b"a1 STARTTLS\r\n"), (SERVER, b"* OK\r\na1 NO sorry\r\n")],
            "IMAP with STARTTLS refused (NO)",
        ),
        ([(SERVER, b"* OK ready\r\n"), (CLIENT, b"a1 LOGIN a b\r\n")], "IMAP without STARTTLS"),
        (
            [(CLIENT, LDAP_START_TLS), (SERVER, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")],
            "LDAP with StartTLS refused (result code 52)",
        ),
        ([(CLIENT, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (SERVER, b"N")], "PostgreSQL with TLS refused (N)"),
        ([(CLIENT, b"\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00")], "PostgreSQL without TLS"),
        ([(CLIENT, b"\x00\x1c\x0d\x20\x01\x00\x00\x01" + bytes(22)), (SERVER, b"\x00\x0c" + bytes(12))], "DNS"),
        ([(SERVER, b"\x4a\x00\x00\x00\x0a8.0.36\x00" + bytes(64)), (CLIENT, bytes(40))], "MySQL"),
        (
            [(CLIENT, b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 403 Forbidden\r\n\r\n")],
            "HTTP CONNECT refused (403)",
        ),
        (
            [
                (CLIENT, b"<stream:stream xmlns='jabber:client'>"), (SERVER, b"<stream:stream xmlns='jabber:client'>"),
                (CLIENT, b"<starttls/>"), (SERVER, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ],
            "XMPP with STARTTLS refused",
        ),
    ],
)  # fmt: skip
def test_a_flow_by_its_words(tmp_path: Path, spoken: Said, kind: str) -> None:
    path = write(tmp_path / "words.pcap", Talk(spoken, 0, 5, 40_000))
    assert counted(path) == counted(path, keep=True) == counted(path, batch=1) == {kind: 1}


def test_a_name_needs_no_syn(tmp_path: Path) -> None:
    path = write(tmp_path / "later.pcap", steps((SERVER, ACK, HTTP[1][1])), steps((CLIENT, ACK, HTTP[0][1]), port=2))
    assert counted(path) == {"plain HTTP": 2}


def test_what_the_snap_length_cut_is_not_guessed_at(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.pcap", Talk(HTTP, 0, 5, 40_000))
    assert counted(snapped(path, 40, tmp_path / "cut.pcap")) == {"with data that the capture lacks": 1}


def test_a_flow_of_tls_is_no_other(tmp_path: Path) -> None:
    path = write(
        tmp_path / "both.pcap",
        Talk(said("tls13-full"), 0, 5, 40_000),
        # It is given up as plain HTTP before its hello comes.
        Talk([*HTTP, *said("tls12-full")], 0, 5, 40_001),
        steps(*REFUSED, port=40_002),
    )
    reading = Reading([path])
    assert len(list(reading)) == 2
    assert reading.summary.not_tls == {"refused": 1}


def test_a_flow_that_goes_on_after_silence_is_counted_once(tmp_path: Path) -> None:
    """No silence ends a flow without payload for good."""
    path = write(
        tmp_path / "silent.pcap",
        steps(*OPENED),
        steps(*REFUSED, port=2, start=7200),
        steps((SERVER, ACK, GREETING[1]), start=7300, first=(1001, 5001)),
    )
    assert counted(path) == {"SMTP": 1, "refused": 1}


def mixed(tmp_path: Path) -> Path:
    kinds = [Talk(HTTP, 0, 5, 40_000 + number) for number in range(4)]
    kinds += [Talk(smtp((CLIENT, b"QUIT\r\n")), 1, 5, 41_000 + number) for number in range(3)]
    kinds += [steps(*REFUSED, port=42_000 + number) for number in range(5)]
    kinds += [steps((CLIENT, SYN, b""), port=43_000 + number) for number in range(2)]
    return write(tmp_path / "mixed.pcap", *kinds)


def test_processes_count_together(tmp_path: Path) -> None:
    path = mixed(tmp_path)
    alone = counted(path)
    assert alone == {
        "plain HTTP": 4, "SMTP with STARTTLS offered and not used": 3, "refused": 5, "unanswered": 2,
    }  # fmt: skip
    shared = ParallelOutputRows(Query((str(path),), Options(), Selection(), Ndjson()), 3)
    assert list(shared) == []
    assert shared.summary.not_tls == alone


def test_an_evicted_flow_is_counted_too(tmp_path: Path) -> None:
    talks = [steps((CLIENT, SYN, b""), port=number, start=number) for number in range(1, 100)]
    assert counted(write(tmp_path / "scan.pcap", *talks), limits=Limits(known=10)) == {"unanswered": 99}


def test_the_summary_says_what_flows_were(tmp_path: Path) -> None:
    reading = Reading([mixed(tmp_path)])
    list(reading)
    assert sentences(Tally(), reading.summary, selected=False) == [
        "no TLS connections",
        "14 TCP flows: 5 refused, 4 plain HTTP, 3 SMTP with STARTTLS offered and not used, 2 unanswered",
    ]
    reading.summary.connections = 1
    assert "14 other TCP flows: 5 refused" in sentences(Tally(), reading.summary, selected=True)[-1]


def test_many_kinds_make_no_long_sentence() -> None:
    summary = Summary()
    summary.not_tls = Counter({f"SMTP with STARTTLS refused ({code})": 600 - code for code in range(400, 500)})
    *_, said_last = sentences(Tally(), summary, selected=False)
    assert said_last.startswith("15,050 TCP flows: 200 SMTP with STARTTLS refused (400), 199 ")
    assert said_last.endswith("of 88 other kinds")


def test_an_unknown_protocol_is_not_searched_for() -> None:
    """There may be many such flows, and each is classified once: its first bytes have to be enough."""
    data = b"\xa7\x31\x08\x99 and so on" * 100
    assert not_tls.by_first_bytes(data, data, CLIENT) == ""
    assert calls(lambda: not_tls.by_first_bytes(data, data, CLIENT)) < 60


def test_words_cannot_make_kinds_without_end() -> None:
    """Only the code of a reply is reported, three digits at most."""
    replies = [b"454", b"4545", b"454454454", b"\x1b[31m", b"554-a\r\n554"]
    kinds = {
        not_tls.by_first_bytes(EHLO[1] + b"STARTTLS\r\n", GREETING[1] + b"250 ok\r\n" + reply + b" x\r\n", CLIENT)
        for reply in replies
    }
    assert kinds == {
        "SMTP with STARTTLS refused (454)", "SMTP with STARTTLS refused (554)", "SMTP with STARTTLS unanswered",
    }  # fmt: skip
