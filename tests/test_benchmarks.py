"""The benchmarks run: each is started with a tiny input, so that none stops working unnoticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT, absent, need

if TYPE_CHECKING:
    from pathlib import Path

BENCHMARKS = ROOT / "tests" / "benchmarks"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_run_measures_every_comparison(tmp_path: Path) -> None:
    for program in ("ssldump", "tshark", "editcap", "ndpiReader"):
        need(program)
    done = run("run", "--connections", "4", "--runs", "1", "--captures", str(tmp_path))
    # So small a capture measures the start of programs: whether a goal is met says nothing.
    assert done.returncode in {0, 1}, done.stderr
    names = [line.partition(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names == [
        "handshakes", "handshakes-tshark", "bulk", "bulk-tshark", "bulk-pcapng", "bulk-gzip", "certs",
        "select-flags", "select-where", "select-extension", "quic", "keys-tls12", "keys-tls13", "keys-quic", "small",
    ]  # fmt: skip
    assert done.stdout.count("ratio") == len(names)


def test_limits_measures_each_attack() -> None:
    done = run("limits", "--part", "0.00001")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ")[1:] for line in done.stdout.splitlines()[2:]]
    assert len(rows) == 20
    assert all(0 < float(row[1]) < 500 and float(row[-1].strip(" |")) > 0 for row in rows)


def test_stages_measures_each_stage() -> None:
    done = run("stages", str(ROOT / "samples" / "tls12-full.pcap"), "--runs", "1")
    assert done.returncode == 0, done.stderr
    for stage in ("start-up", "read", "packets", "flows", "facts", "output"):
        assert stage in done.stdout


def test_scan_measures_workers_beside_other_commands() -> None:
    few = ("--captures", "3", "--connections", "2", "--handshakes", "2", "--bulk", "2", "--jobs", "1")
    done = run("scan", *few)
    assert done.returncode == 0, done.stderr
    runs = ["read --jobs 1", "export --format parquet", "scan --jobs 1", "again"]
    told = [line.strip().partition(":")[0] for line in done.stdout.splitlines() if "wrote" not in line]
    assert told == [one for kind in ("start", "small", "handshakes", "bulk") for one in (kind, *runs)]


def test_query_measures_memory_and_what_is_spilled() -> None:
    done = run("query", "--connections", "20")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^spilled: [0-9]+ MB, left behind: 0 files$", done.stdout, re.MULTILINE)


def test_report_measures_the_page() -> None:
    need("chromium")
    done = run("report", "--connections", "20")
    assert done.returncode in {0, 1}, done.stderr
    assert "open a connection" in done.stdout


def test_live_measures_every_listener() -> None:
    if os.geteuid() != 0:
        absent("listening to an interface needs root")
    need("dumpcap")
    done = run("live", "--packets", "2000", "--connections", "5", "--runs", "1")
    assert done.returncode in {0, 1}, done.stderr
    assert "dumpcap" in done.stdout


def test_soak_counts_what_is_told() -> None:
    if os.geteuid() != 0:
        absent("network namespaces need root")
    # Memory grows in so short a time: that is not what this is about.
    done = run("soak", "--connections", "40", "--syns", "2000", "--first", "500", "--growth", "9")
    assert done.returncode in {0, 1}, done.stderr
    assert "told: 40: 24 TLS 1.2 established, 16 TLS 1.3 established" in done.stdout


def test_inference_judges_what_is_inferred(tmp_path: Path) -> None:
    for name in ("tls13-full", "tls13-early-data", "tls13-client-cert-missing", "tomcat-tls13"):
        for suffix in ("pcap", "keys"):
            folder = ROOT / "samples" / ("keys" if name == "tls13-client-cert-missing" else "")
            (tmp_path / f"{name}.{suffix}").write_bytes((folder / f"{name}.{suffix}").read_bytes())
    done = run("inference", "--only", str(tmp_path))
    rows = dict(line.strip("| ").split(" | ", 1) for line in done.stdout.splitlines() if line.startswith("| "))
    assert rows["the handshake is complete"] == "5 | 0 | 0"
    assert rows["early data was accepted"] == "1 | 0 | 0"
    assert rows["the client had no certificate to show"] == "1 | 0 | 0"
    # JSSE pads its alerts, and Tomcat's Finished, which would show that, is in a record with other messages.
    assert rows["the server closes with an alert"] == "4 | 1 | 0"
    assert "tomcat-tls13.pcap stream 0: the server closes with an alert: False" in done.stdout
    assert done.returncode == 1


def test_the_documentation_says_how_often_inference_is_right() -> None:
    """Of the samples in all folders, those of QUIC, DTLS, EAP and ECH among them."""
    done = run("inference", "--only", str(ROOT / "samples"))
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    documented = "".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("derivation", "connection"))
    assert len(rows) == 2 + 7
    assert "\n".join(rows) in documented
    assert f"the {done.stdout.split(maxsplit=1)[0]} connections of TLS 1.3" in documented
    checked = sum(int(cell) for row in rows[2:] for cell in row.split(" | ")[1:3])
    assert f"all but two of {checked} such facts" in documented


def test_inference_reads_captures_with_decryption_secrets(tmp_path: Path) -> None:
    sample, inside = ROOT / "samples" / "tls13-full", tmp_path / "inside.pcapng"
    need("editcap")
    keys = f"tls,{sample.with_suffix('.keys')}"
    command = ["editcap", "--inject-secrets", keys, str(sample.with_suffix(".pcap")), str(inside)]
    subprocess.run(command, check=True, timeout=60)
    assert run("inference", "--only", str(tmp_path)).stdout.startswith("1 connections of TLS 1.3 in 1 captures")


@pytest.mark.parametrize("script", ["inference", "live", "report", "run", "soak", "stages"])
def test_each_says_how_it_is_used(script: str) -> None:
    done = run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout
