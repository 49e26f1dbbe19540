from __future__ import annotations

import json

from commands import RESUMED, TLS12, on_terminal, run
from recorded import ROOT


def test_text_on_a_terminal() -> None:
    status, shown = on_terminal(80, "explain", "-q", TLS12, NO_COLOR="1")
    assert status == 0
    assert "What the server chose" in shown
    assert "\x1b[" not in shown


def test_json_is_one_line_a_connection() -> None:
    done = run("explain", "-q", "--format", "json", RESUMED)
    first, second = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["stream"], second["stream"]) == (0, 1)
    assert "resumed" in {sentence["code"] for sentence in second["sentences"]}


def test_findings_that_nobody_asked_for_are_not_counted() -> None:
    assert run("explain", TLS12).stderr == b"1 connection: TLS 1.2\n"


def test_stories_are_grouped_unless_all_are_asked_for() -> None:
    capture = str(ROOT / "samples/network/network-failures.pcap")
    grouped, every = run("explain", "-q", capture), run("explain", "-q", "--all", capture)
    assert (grouped.stdout.count(b" more like this one: "), every.stdout.count(b" more like this one: ")) == (3, 0)
    verdicts = [line for line in every.stdout.decode().splitlines() if line[:1] in ("✓", "✗")]
    assert len(verdicts) == 11
    assert verdicts[0].startswith("✓")
    assert grouped.stdout.decode().splitlines()[1].startswith("✗")


def test_a_terminal_colours_the_verdict() -> None:
    _, shown = on_terminal(120, "explain", "-q", str(ROOT / "samples/tls12-unknown-ca.pcap"))
    assert "\x1b[31m✗ the client refused the handshake" in shown
