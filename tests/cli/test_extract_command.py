"""`tlsdissect extract` on the command line."""

from __future__ import annotations

import gzip
import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import on_terminal, run
from recorded import ROOT, facts, need

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

FAILURES = ROOT / "samples" / "network" / "network-failures.pcap"


def test_the_failing_connections_are_written(tmp_path: Path) -> None:
    done = run("extract", "--failed", FAILURES, "-o", tmp_path / "failed.pcapng")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"packets written to" in done.stderr
    assert b"7 of 11 connections" in done.stderr
    before, after = list(tlsdissect.read(FAILURES, failed=True)), list(tlsdissect.read(tmp_path / "failed.pcapng"))
    assert [(one.start, one.outcome, one.failed_by) for one in after] == [
        (one.start, one.outcome, one.failed_by) for one in before
    ]
    piped = run("extract", "--failed", FAILURES, "-o", "-")
    assert piped.stdout == (tmp_path / "failed.pcapng").read_bytes()
    run("extract", "--failed", FAILURES, "-o", tmp_path / "failed.pcapng.gz")
    assert gzip.decompress((tmp_path / "failed.pcapng.gz").read_bytes()) == piped.stdout


def test_the_packets_of_a_client_that_moved_are_written(tmp_path: Path) -> None:
    """Those of the UDP flow in which its connection of QUIC began, and those of the other one."""
    run("extract", "--stream", "udp:0", ROOT / "samples" / "quic" / "quic-moved.pcap", "-o", tmp_path / "moved.pcapng")
    [one] = facts(tmp_path / "moved.pcapng")
    assert (one["packets"], one["outcome"]) == (17, "established")


def test_nothing_selected_leaves_no_file(tmp_path: Path) -> None:
    asked = ("extract", "--sni", "nobody.example", FAILURES, "-o", tmp_path / "none.pcapng")
    done = run(*asked)
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1)
    assert b"none of 11 connections selected" in done.stderr
    assert run(*asked, "--exit-status").returncode == 1
    assert run("extract", tmp_path / "missing.pcap", "-o", tmp_path / "none.pcapng").returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_captures_are_not_overwritten(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    shutil.copy(FAILURES, capture)
    (tmp_path / "link.pcap").symlink_to(capture)
    for given, output in ((capture, capture), (capture, tmp_path / "link.pcap"), (tmp_path, capture)):
        done = run("extract", given, "-o", output)
        assert done.returncode == 2
        assert b"this is one of the captures" in done.stderr
    assert capture.read_bytes() == FAILURES.read_bytes()


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for given in ("-", tmp_path / "pipe"):
        done = run("extract", given, "-o", tmp_path / "out.pcapng")
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert b"save it to a file first" in done.stderr


def test_packets_are_not_written_to_a_terminal() -> None:
    status, shown = on_terminal(80, "extract", str(FAILURES), "-o", "-")
    assert status == 2
    assert "terminal" in shown
    assert run("extract", FAILURES).returncode == 2


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    done = run("extract", FAILURES, "-o", tmp_path / "missing" / "out.pcapng")
    assert (done.returncode, done.stderr.count(b"\n") > 0) == (74, True)


def test_filters_are_printed_with_a_command(tmp_path: Path) -> None:
    need("tshark")
    capture = tmp_path / "it's one.pcap"
    shutil.copy(FAILURES, capture)
    done = run("extract", "-q", "--filter", "--failed", capture, "-o", tmp_path / "out.pcapng")
    name, text, command = done.stdout.decode().splitlines()
    assert (name, text.strip()) == (str(capture), "tcp.stream in {1, 3..4, 6..9}")
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    run("extract", "--failed", capture, "-o", tmp_path / "extract.pcapng")
    assert [one["packets"] for one in facts(tmp_path / "out.pcapng")] == [
        one["packets"] for one in facts(tmp_path / "extract.pcapng")
    ]


@pytest.mark.parametrize("names", [("a.pcap", "b.pcap")])
def test_each_capture_has_its_filter(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        shutil.copy(FAILURES, tmp_path / name)
    done = run("extract", "-q", "--filter", "--stream", "b.pcap:2", "--stream", "a.pcap:1", tmp_path)
    lines = done.stdout.decode().splitlines()
    assert [line.strip() for line in lines[1::3]] == ["tcp.stream in {1}", "tcp.stream in {2}"]
    assert [line.split()[-1] for line in lines[2::3]] == ["extract-1.pcapng", "extract-2.pcapng"]
