from __future__ import annotations

import json
from typing import TYPE_CHECKING

from commands import RESUMED, TLS12, TLS13, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tree_on_a_terminal_is_cut_to_its_width() -> None:
    status, shown = on_terminal(80, "show", TLS12, "--message", "certificate")
    assert status == 0
    assert "tbsCertificate" in shown
    assert max(map(len, shown.splitlines())) < 120  # with the sequences for colours
    assert "\x1b[31m" not in shown


def test_json_is_one_line_a_connection() -> None:
    done = run("show", "--format", "json", RESUMED, TLS12)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["source"], one["stream"]) for one in told] == [(RESUMED, 0), (RESUMED, 1), (TLS12, 0)]
    assert told[0]["records"][0]["node"]["children"][3]["name"] == "client_hello"


def test_only_what_is_asked_for() -> None:
    done = run("show", "--format", "json", "--stream", "1", "--message", "server_hello", RESUMED, TLS12)
    [told] = [json.loads(line) for line in done.stdout.splitlines()]
    assert told["stream"] == 1
    assert [part["name"] for record in told["records"] for part in record["node"]["children"]] == ["server_hello"]


def test_the_suffix_tells_the_form(tmp_path: Path) -> None:
    assert run("show", TLS13, "-o", tmp_path / "a.html").returncode == 0
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    refused = run("show", TLS13, "-o", tmp_path / "a.csv")
    assert refused.returncode == 2
    assert b"unknown suffix (known: .json, .ndjson, .html, .htm, .txt)" in refused.stderr


def test_help_has_examples() -> None:
    shown = run("show", "--help").stdout.decode()
    assert "tlsdissect show --message client_hello --bytes capture.pcap" in shown


def test_depth() -> None:
    whole, folded = run("show", "-q", TLS12).stdout, run("show", "-q", "--depth", "2", TLS12).stdout
    assert b"--depth 0" in folded
    assert b"--depth 0" not in whole
    assert len(folded) < len(whole) / 3
    assert run("show", "-q", "--depth", "0", TLS12).stdout == whole
    _, shown = on_terminal(80, "show", "-q", TLS12)
    assert "folded to 2 levels" in shown
    assert "folded" not in on_terminal(80, "show", "-q", "--depth", "0", TLS12)[1]
    assert b"--depth requires --format tree" in run("show", "--depth", "1", "--format", "json", TLS12).stderr
