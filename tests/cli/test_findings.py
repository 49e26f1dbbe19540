"""Findings on the command line: when they are looked for, and what they do to the exit status."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from commands import TLS12, TLS13, on_terminal, run

from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

STATIC = "samples/tls12-static-rsa.pcap"


def found(*arguments: str) -> list[str] | None:
    done = run("read", "-q", "--format", "json", *arguments)
    findings = json.loads(done.stdout)["findings"]
    return findings and [one["code"] for one in findings]


def test_findings_stand_beside_long_outcomes_on_a_narrow_terminal() -> None:
    _, shown = on_terminal(80, "read", "-q", "--findings", "--color", "never", "samples/network/network-failures.pcap")
    heading, *rows = shown.splitlines()
    assert heading.split()[-1] == "findings"
    assert sum("name_mismatch" in row for row in rows) == 2


def test_findings_are_null_until_asked_for() -> None:
    assert found(STATIC) is None
    assert "static_rsa" in (found("--min-severity", "info", STATIC) or ())
    assert found("--min-severity", "medium", STATIC) == ["static_rsa"]
    assert "static_rsa" in (found("--findings", STATIC) or ())
    assert run("read", "--format", "json", "--min-severity", "high", STATIC).stdout == b""


@pytest.mark.parametrize(("level", "status"), [("info", 3), ("low", 3), ("medium", 3), ("high", 0)])
def test_the_gate(level: str, status: int) -> None:
    assert run("read", "--fail-on", level, STATIC).returncode == status


def test_an_input_that_is_refused_is_worse_than_a_finding() -> None:
    assert run("read", "--fail-on", "low", STATIC, "missing.pcap").returncode == 2


def test_a_gate_that_could_never_close_is_refused() -> None:
    done = run("read", "--min-severity", "high", "--fail-on", "low", STATIC)
    assert done.returncode == 2
    assert b"--fail-on low" in done.stderr


def test_trust_is_checked_where_somebody_is_trusted(tmp_path: Path) -> None:
    root = tmp_path / "roots" / "root.pem"
    root.parent.mkdir()
    evidence = Evidence()
    (one,) = Reading([TLS12], evidence=evidence)
    assert one.certificates is not None
    root.write_bytes(evidence.encoding(one.certificates[1].sha256) or b"")
    for options in (("--ca-file", str(root)), ("--ca-path", str(root.parent))):
        told = found(*options, "--min-severity", "info", TLS12)
        assert told is not None
        assert "untrusted" not in told
    assert "untrusted" in (found("--system-ca", TLS12) or ())
    told = found("--ca-file", str(root), "--at", "2050-01-01", TLS12)
    assert told is not None
    assert {"expired", "untrusted"} <= set(told)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--ca-file", "missing"), "missing: No such file"),
        (("--ca-file", TLS12), "contains no certificate"),
        (("--ca-path", "tests/missing"), "tests/missing: No such file"),
        (("--crl", TLS12), "contains no CRL"),
        (("--at", "yesterday"), "'yesterday' is not a time"),
    ],
)
def test_what_cannot_be_used_is_named(options: tuple[str, str], complaint: str) -> None:
    done = run("read", *options, TLS13)
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.search(complaint, done.stderr.decode())
    assert done.stderr.count(b"\n") == 1


def test_a_terminal_shows_what_was_found() -> None:
    status, shown = on_terminal(80, "read", "--min-severity", "low", "--color", "never", STATIC)
    assert status == 0
    head, row, *rest = shown.splitlines()
    assert head.split()[-1] == "findings"
    assert row.endswith("static_rsa +1")
    assert rest[-2:] == ["medium: 1 static_rsa", "low: 1 long_lifetime"]
    assert max(map(len, shown.splitlines())) <= 80


def test_without_findings_nothing_of_it_is_loaded() -> None:
    script = (
        "import sys\nfrom tlsdissect.cli import main\nmain(sys.argv[2:], standalone_mode=False)\n"
        "print([n for n in sys.modules if n.startswith(('tlsdissect.trust', 'OpenSSL'))], file=sys.stderr)\n"
    )
    status, shown = on_terminal(200, "-c", script, "", "read", "-q", TLS13)
    assert status == 0
    assert shown.splitlines()[-1] == "[]"


def test_a_narrow_table_keeps_how_many_more_findings_there_are() -> None:
    _, shown = on_terminal(80, "read", "--findings", "--color", "never", "samples/network/network-failures.pcap")
    (row,) = [line for line in shown.splitlines() if line.startswith("    10 ")]
    assert row.endswith("…+4")
