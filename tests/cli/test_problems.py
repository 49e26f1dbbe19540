"""Problems in words: each has some, and sentences count connections with them."""

from __future__ import annotations

import re

import pytest
from commands import run
from recorded import ROOT

from tlsdissect.views.problems import IN_WORDS, counted_problems


def test_every_documented_problem_has_words() -> None:
    section = (ROOT / "docs" / "connection.md").read_text().partition("## Problems")[2].partition("\n## ")[0]
    codes = {
        code for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }
    assert codes <= set(IN_WORDS)
    assert len(codes) > 10


def test_problems_that_only_keys_show_keep_their_mark_and_unknown_ones_their_code() -> None:
    assert counted_problems({"gap": 1200, "malformed_message*": 1, "of_tomorrow": 2}) == [
        "1,200 with missing bytes",
        "1 with malformed messages*",
        "2 with the problem of_tomorrow",
    ]


@pytest.mark.parametrize(
    ("captures", "said"),
    [
        (["tls12-full"], "1 connection: TLS 1.2"),
        (["tls13-no-common-version"], "1 connection, of no visible version"),
        (["tls13-full", "tls13-resumed"], "3 connections: all TLS 1.3"),
        (["tls13-no-common-version", "tls12-no-common-suite"], "2 connections, all of no visible version"),
        (["tls13-full", "tls12-full"], "2 connections: 1 TLS 1.3, 1 TLS 1.2"),
        (["talk/httpd-8889-unknown-ca-tls13"], "1 connection: TLS 1.3; 1 connection with inferred facts"),
    ],
)
def test_closing_lines(captures: list[str], said: str) -> None:
    told = run("read", *[f"samples/{name}.pcap" for name in captures]).stderr.decode()
    assert told.startswith((f"{said}\n", f"{said};"))
