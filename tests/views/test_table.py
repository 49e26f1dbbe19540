"""The table: lines that fit, columns that stay where they are, words that are right."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made, recorded
from msgspec.structs import replace

from tlsdissect.model.connection import Alert, Connection, Endpoint, Problem, Timing
from tlsdissect.views import table
from tlsdissect.views.printable import columns, printable, shortened
from tlsdissect.views.table import COLUMNS, GROWTH, Table, layout

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LONG = Endpoint("2001:0db8:85a3:1234:5678:8a2e:0370:7334", 51_234)


def line(connection: Connection, width: int | None, **options: Any) -> str:
    return Table(width, **options).row(connection).decode()


def at_worst() -> Connection:
    """Every cell as long as it may come."""
    (leaf, *_) = recorded().certificates or ()
    return made(
        source="/very/long/" * 30,
        stream=123_456,
        client=LONG,
        server=LONG,
        sni="a" * 60 + ".example.com" * 10,
        version="TLS 1.3 (draft 23)",
        cipher_suite="TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384",
        group="SecP256r1MLKEM768",
        alpn="x" * 200,
        resumption="session_id",
        round_trips=120,
        timing=Timing(handshake_ms=123_456_789.125),
        outcome="alert",
        failed_by="server",
        alerts=(Alert("server", "fatal", "certificate_required", 9),),
        problems=tuple(Problem(code, "") for code in ("gap", "truncated_packet", "malformed_record")),
        certificates=(replace(leaf, subject="CN=" + "漢字\u202e" * 30),),
    )


@pytest.mark.parametrize("width", [1, 2, 5, 6, 7, 20, 40, 60, 79, 80, 99, 100, 120, 133, 160, 200, 240, 320, 500])
def test_lines_never_exceed_the_width(width: int) -> None:
    for connection in (recorded(), at_worst()):
        table = Table(width)
        for text in (table.head.decode(), table.row(connection).decode()):
            assert columns(text.removesuffix("\n")) <= width


@pytest.mark.parametrize("width", [40, 80, 120, 200, None])
def test_columns_stand_where_their_titles_do(width: int | None) -> None:
    table = Table(width, coloured=True)
    lines = [COLOUR.sub("", text.decode()).removesuffix("\n") for text in (table.head, table.row(recorded()))]
    assert len(lines[0]) == len(lines[1])
    assert lines[1].index("1.2 ") == lines[0].index("TLS")
    worst = COLOUR.sub("", table.row(at_worst()).decode()).removesuffix("\n")
    assert columns(worst) == len(lines[0])


def test_colours_change_no_text() -> None:
    for width in (80, 200):
        assert COLOUR.sub("", line(recorded(), width, coloured=True)).rstrip() == line(recorded(), width).rstrip()


def test_wider_shows_more_and_never_less() -> None:
    before: dict[str, int] = {}
    for width in range(100, 400):
        now = {column.title: size for column, size in layout(width, 2, judged=True)}
        assert set(before) <= set(now)
        before = now
    assert set(before) == {column.title for column in COLUMNS} == set(dict(GROWTH))


def test_80_columns_tell_the_essentials() -> None:
    titles = [column.title for column, _ in layout(80, 1)]
    assert titles == ["stream", "server", "TLS", "suite", "group", "RT", "ms", "outcome"]
    judged = [column.title for column, _ in layout(80, 1, judged=True)]
    assert judged == ["stream", "server", "TLS", "suite", "RT", "outcome", "findings"]


@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_any_text_is_shortened_to_its_width(text: str, width: int, tail: int) -> None:
    shown = printable(text)
    short = shortened(shown, width, tail=tail)
    assert columns(short) <= width
    assert (short == shown) == (columns(shown) <= width)


@given(st.text())
def test_nothing_printable_moves_the_cursor(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert not set(shown) & set("\u200b\u200d\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\u0301\u3164\x1b\x9b")


def test_what_is_escaped_and_what_is_not() -> None:
    assert printable("a\x1b[2J\x9b\u202e\u200b\U000e0001") == "a\\x1b[2J\\x9b\\u202e\\u200b\\U000e0001"
    assert printable("Zürich, 東京, \\x41") == "Zürich, 東京, \\x41"
    assert printable("caf\udce9") == "caf\\xe9"
    assert shortened("2001:db8:85a3::7334", 10, tail=6) == "200…::7334"
    assert columns("東京") == 4


def test_sections_head_other_captures() -> None:
    table = Table(80, sections=True)
    assert [table.section(name) for name in ("a", "a", "b\x07")] == [b"a\n", b"", b"b\\x07\n"]
    assert Table(80).section("a") == b""
    assert Table(sections=True).section("a") == b""


def test_a_terminal_without_the_ellipsis_keeps_its_columns() -> None:
    row = Table(80, encoding="ascii").row(at_worst())
    assert len(row) <= 81
    assert b"~" in row


@pytest.mark.parametrize(
    ("name", "short", "full"),
    [
        ("TLS_AES_128_GCM_SHA256", "AES128-GCM", "AES128-GCM"),
        ("TLS_CHACHA20_POLY1305_SHA256", "CHACHA20", "CHACHA20"),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM", "ECDHE-RSA AES256-GCM"),
        ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", "3DES-CBC", "RSA 3DES-CBC"),
        ("TLS_RSA_WITH_RC4_128_MD5", "RC4-128", "RSA RC4-128"),
        ("TLS_RSA_EXPORT_WITH_RC4_40_MD5", "RC4-40", "RSA-EXPORT RC4-40"),
        ("TLS_RSA_WITH_NULL_SHA256", "NULL", "RSA NULL"),
        ("0x1302", "0x1302", "0x1302"),
        ("GREASE", "GREASE", "GREASE"),
    ],
)
def test_suites_are_short(name: str, short: str, full: str) -> None:
    assert table.suite(made(cipher_suite=name)) == (full, short)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("TLS 1.3", "1.3"),
        ("TLS 1.3 (draft 23)", "1.3d23"),
        ("TLS 1.0", "1.0"),
        ("SSL 3.0", "SSL3"),
        ("SSL 2.0", "SSL2"),
        ("DTLS 1.2", "D1.2"),
        ("0x7e01", "0x7e01"),
    ],
)
def test_versions_are_short(name: str, short: str) -> None:
    assert table.version(made(version=name)) == (short,)


def test_who_ended_it_and_how() -> None:
    alert = made(
        outcome="alert",
        failed_by="client",
        alerts=(Alert("client", "fatal", "unknown_ca", 9), Alert("server", None, None, 10)),
    )
    assert table.outcome(alert)[:2] == ("alert: unknown_ca by client", "alert: unknown_ca")
    assert table.outcome(made(outcome="reset", failed_by="server"))[0] == "reset by server"
    assert table.outcome(made(outcome="no_answer", failed_by=None)) == ("no_answer",)


def test_a_name_says_its_port_unless_it_is_that_of_https() -> None:
    plain = Endpoint("192.0.2.1", 443)
    assert table.server(made(sni="example.com", server=plain))[-1] == "example.com"
    assert table.server(made(sni="example.com", server=Endpoint("192.0.2.1", 8443)))[-1] == "example.com:8443"
    assert table.server(made(sni=None, server=plain)) == ("192.0.2.1:443",)
    assert table.server(made(sni=None, server=Endpoint("::1", 443))) == ("[::1]:443",)


def test_subjects() -> None:
    (leaf, *_) = recorded().certificates or ()

    def told(**changes: Any) -> str | None:
        (text,) = table.certificate(made(certificates=(replace(leaf, **changes),)))
        return text

    assert told(subject="C=XX,CN=a\\,b,O=c") == "a\\,b"
    assert told(subject="O=c", dns_names=("d", "e")) == "d"
    assert told(subject="O=c", dns_names=()) == "O=c"
    assert table.certificate(made(certificates=())) == ()
