"""Captures of a clock that was never set: nowhere does a time that counts from zero look like a date of 1970."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from commands import on_terminal, run
from mangle import pcap, records
from recorded import ROOT

import tlsdissect
from tlsdissect.views.plots import KINDS, picture

if TYPE_CHECKING:
    from pathlib import Path

REVOKED = "talk/httpd-8890-revoked-tls12"
"""The server refuses the client's certificate, and an explanation says when that was valid."""
COMMANDS = [
    "summary", "read", "read --findings", "ladder", "explain", f"explain --keylog samples/{REVOKED}.keys", "certs",
    "compare", "diff samples/tls12-full.pcap",
]  # fmt: skip
_ETHERNET = 1


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose clock counts from zero."""
    packets = list(records(ROOT / "samples" / f"{REVOKED}.pcap"))
    path = tmp_path_factory.mktemp("undated") / "undated.pcap"
    path.write_bytes(pcap([(time - packets[0][0], frame) for time, frame in packets], _ETHERNET))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed(command: str, capture: Path) -> None:
    done = run(*command.split(), capture)
    assert done.returncode == 0, done.stderr
    assert b"1970" not in done.stdout + done.stderr


def test_a_wide_table_has_the_time_of_the_clock(capture: Path) -> None:
    _, shown = on_terminal(300, "read", "--color", "never", str(capture))
    assert "1970" not in shown
    assert " 00:00:00.0" in shown


def test_no_days_are_left_by_that_clock_but_by_a_given_time(capture: Path) -> None:
    head, first = run("certs", "-q", capture).stdout.decode().splitlines()[:2]
    assert head.endswith("days left")
    assert first.endswith(" -")
    assert run("certs", "-q", "--at", "2044-12-31", capture).stdout.decode().splitlines()[1].endswith(" 1")


def test_json_has_the_time_that_the_capture_states(capture: Path) -> None:
    assert json.loads(run("read", "-q", "--format", "json", capture).stdout)["start"].startswith("1970-01-01T00:00:00")


@pytest.mark.parametrize("kind", KINDS)
def test_figures(kind: str, capture: Path) -> None:
    drawn = picture(tlsdissect.tables(capture), kind, "svg")
    assert not any(word in drawn for word in (b"1970", b"not yet valid", b"seen in use"))


def test_no_certificate_is_judged_by_that_clock(capture: Path) -> None:
    """It was not yet valid in 1970, and neither was TLS."""
    codes = {found["code"] for one in read_findings(capture) for found in one["findings"]}
    assert not codes & {"not_yet_valid", "expired", "expires_soon"}
    at = {found["code"] for one in read_findings(capture, "--at", "2050-01-01") for found in one["findings"]}
    assert "expired" in at
    seen = json.loads(run("certs", "-q", "--format", "json", capture).stdout.splitlines()[0])
    assert (seen["first_seen"], seen["last_seen"], seen["days_left"]) == (None, None, None)


def read_findings(capture: Path, *options: str) -> list[dict[str, Any]]:
    lines = run("read", "-q", "--format", "json", "--min-severity", "info", *options, capture).stdout.splitlines()
    return [json.loads(line) for line in lines]
