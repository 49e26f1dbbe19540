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
from tlsdissect.views.table import COLUMNS, GROWTH, Table, layout, of_key

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SOURCES = ["captures/of/2026/monday-morning.pcap", "monday.pcap"]
LONG = Endpoint("2001:0db8:85a3:1234:5678:8a2e:0370:7334", 51_234)


def printed(*connections: Connection, width: int = 1000, **options: Any) -> list[str]:
    """The lines of a table of these connections, the heading first."""
    several = options.pop("several", False)
    table = Table(width, **options)
    rows = [(one.source, table.row(one)) for one in connections]
    heading = table.lay_out(rows, several=several)
    return b"".join([heading, *(table.line(*row) for row in rows)]).decode().splitlines()


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
    for rows in ([recorded()], [at_worst()], [recorded(), at_worst()]):
        assert max(map(columns, printed(*rows, width=width))) <= width
    as_they_come = Table(width)
    lines = [as_they_come.lay_out(several=True), as_they_come.line("x", as_they_come.row(at_worst()))]
    assert max(columns(text.decode().rstrip("\n")) for text in lines) <= width


@pytest.mark.parametrize("width", [40, 80, 120, 200, 1000])
def test_columns_stand_where_their_titles_do(width: int) -> None:
    heading, row, worst = [COLOUR.sub("", one) for one in printed(recorded(), at_worst(), width=width, coloured=True)]
    assert len(heading) == len(row) == columns(worst)
    if "TLS" in heading:
        assert row.index("1.2 ") == heading.index("TLS")


def test_colours_change_no_text() -> None:
    for width in (80, 200):
        coloured = [COLOUR.sub("", one).rstrip() for one in printed(recorded(), width=width, coloured=True)]
        assert coloured == printed(recorded(), width=width)


def test_only_what_is_old_weak_or_failed_is_coloured() -> None:
    def coloured(**changes: Any) -> list[str]:
        row = printed(made(**changes), coloured=True)[1]
        return [text.strip() for text in re.findall(r"\x1b\[3[0-9]m(.*?)\x1b", row)]

    assert coloured() == coloured(version="TLS 1.3") == coloured(outcome="incomplete", version=None) == []
    assert coloured(version="TLS 1.0") == ["1.0"]
    assert coloured(version="DTLS 1.0", outcome="closed", failed_by="server") == ["D1.0", "closed by server"]
    assert coloured(cipher_suite="TLS_RSA_WITH_RC4_128_MD5") == ["RSA RC4-128"]
    assert coloured(cipher_suite="TLS_DH_anon_WITH_AES_128_GCM_SHA256") == ["DH-anon AES128-GCM"]
    assert coloured(outcome="no_answer") == ["no_answer"]


def test_wider_shows_more_and_never_less() -> None:
    before: dict[str, int] = {}
    needs = {column.title: 1000 for column in COLUMNS}
    for width in range(60, 600):
        now = layout(needs, needs, width, 2)
        assert set(before) <= set(now)
        before = now
    assert set(before) == {column.title for column in COLUMNS} == set(dict(GROWTH))


def test_times_of_several_days_have_a_date() -> None:
    one, later = (made(start=f"2018-02-2{day}T22:30:01.123456Z", sni="a.example", client=LONG) for day in (3, 4))

    def starts(*connections: Connection, width: int) -> list[str]:
        found = (re.search(r"(\S+-\S+ )?22:30\S*", line) for line in printed(*connections, width=width)[1:])
        return [one[0] for one in found if one]

    assert starts(one, one, width=80) == ["22:30:01"] * 2
    assert starts(one, later, width=80) == ["2018-02-23 22:30", "2018-02-24 22:30"]
    for width in range(80, 400):
        for text in starts(one, width=width) + starts(one, later, width=width):
            assert "." not in text or text == "2018-02-23 22:30:01.123456" or "-24" in text
    assert starts(one, width=300) == ["2018-02-23 22:30:01.123456"]


def titles(*connections: Connection, **options: Any) -> list[str]:
    return printed(*connections, **options)[0].split()


def test_80_columns_tell_the_essentials() -> None:
    usual = ["stream", "start", "client", "server", "TLS", "suite", "group", "RT", "ms", "outcome"]
    assert titles(recorded(), width=80) == usual
    assert titles(made(findings=()), width=80, judged=True) == usual
    failed = made(outcome="alert", failed_by="client", alerts=(Alert("client", "fatal", "unknown_ca", 9),))
    assert titles(failed, width=80) == ["stream", "start", "client", "server", "TLS", "ms", "outcome"]
    as_they_come = Table(80).lay_out().decode().split()
    assert as_they_come == ["stream", "client", "server", "TLS", "outcome"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_outcome_is_never_cut(width: int) -> None:
    alert = Alert("client", "fatal", "certificate_unobtainable", 9)
    failed = made(outcome="alert", failed_by="client", alerts=(alert,), sni="a" * 200)
    lines = printed(recorded(), failed, width=width)
    assert "alert certificate_unobtainable by client" in lines[2]
    assert "…" in lines[2], "the server's name is"


def test_who_gave_up_is_not_who_did_not_answer() -> None:
    assert table.outcome(made(outcome="no_answer", failed_by="client")) == ("no_answer",)
    assert table.outcome(made(outcome="reset", failed_by="client")) == ("reset by client",)


def test_columns_without_content_are_left_out() -> None:
    assert {"ALPN", "resumed", "problems"}.isdisjoint(titles(recorded()))
    assert {"ALPN", "resumed", "problems"} <= set(titles(recorded(), at_worst()))
    assert "findings" not in titles(made(findings=()), judged=True)


def test_columns_that_were_asked_for() -> None:
    asked = (of_key("sni", lambda c: c.sni), of_key("alerts", lambda c: [one.sender for one in c.alerts]))
    asked += (of_key("port", lambda c: c.client.port), of_key("open", lambda c: c.open), of_key("x", lambda _: None))
    lines = printed(recorded(), at_worst(), asked=asked, width=60)
    assert lines[0].split() == ["sni", "alerts", "port", "open", "x"]
    assert lines[1].split() == ["localhost", "server,", "client", "39898", "false", "-"]
    assert lines[2].startswith("aaaa")
    assert max(map(columns, lines)) <= 60
    assert max(map(columns, printed(recorded(), asked=asked, width=10))) > 10, "none is left out"


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
    assert printable("a\x1b[2J\x9b\u202e\u200b\U000e0001") == "a\\x1b[2J\\u009b\\u202e\\u200b\\U000e0001"
    assert printable("Zürich, 東京, \\x41") == "Zürich, 東京, \\x41"
    assert printable("caf\udce9") == "caf\\xe9"
    assert shortened("2001:db8:85a3::7334", 10, tail=6) == "200…::7334"
    assert columns("東京") == 4


def test_sections_head_other_captures() -> None:
    rows = [made(source=source) for source in ("a", "a", "b\x07")]
    lines = printed(*rows, sections=True, several=True)
    assert (lines[1], lines[4]) == ("a", "b\\x07")
    assert "source" not in titles(*rows, sections=True, several=True)
    assert "source" in titles(*rows, several=True)
    assert "source" not in titles(recorded(), sections=True)


def test_captures_of_one_connection_each_have_a_row_each() -> None:
    rows = (made(source="captures/a.pcap"), made(source="captures/b.pcap"))
    lines = printed(*rows, width=80, sections=True, several=True)
    assert len(lines) == 3
    assert [line.split()[-1] for line in lines] == ["source", "captures/a.pcap", "captures/b.pcap"]


@pytest.mark.parametrize(
    ("width", "names"),
    [(80, ["monday-morning", "monday"]), (100, ["monday-morning.pcap", "monday.pcap"]), (200, SOURCES)],
)
def test_all_captures_are_named_alike(width: int, names: list[str]) -> None:
    rows = [made(source=source, outcome="alert", failed_by="server") for source in SOURCES]
    lines = printed(*rows, width=width, sections=True, several=True)
    assert [line.split()[-1] for line in lines[1:]] == names


def test_captures_of_one_name_are_told_apart() -> None:
    rows = [made(source=f"captures/{folder}/capture.pcap") for folder in ("first", "second")]
    lines = printed(*rows, width=80, sections=True, several=True)
    assert [line.split()[-1].removesuffix("/capture.pcap")[-3:] for line in lines[1:]] == ["rst", "ond"]


def test_a_terminal_without_the_ellipsis_keeps_its_columns() -> None:
    table = Table(80, encoding="ascii")
    table.lay_out()
    row = table.line("x", table.row(at_worst()))
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
    assert table.outcome(alert) == ("alert unknown_ca by client",)
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
