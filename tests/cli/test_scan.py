"""`tlsdissect scan`: captures into a dataset, by real workers of Dask on loopback."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest
from commands import PROGRAM, run
from dask import distributed
from datasets import SECONDS, check_like_serial, documents, ordered, run_scan
from msgspec import json
from pyarrow import parquet
from recorded import ROOT

from tlsdissect.capture.inputs import find_inputs
from tlsdissect.corpus import scan
from tlsdissect.corpus.dataset import MANIFESTS
from tlsdissect.corpus.scanning import Plan, scan_capture
from tlsdissect.corpus.selection import Selection
from tlsdissect.corpus.sources import find_sources
from tlsdissect.corpus.store import PARTS, Store
from tlsdissect.handshake import spill
from tlsdissect.handshake.options import Options
from tlsdissect.handshake.spill import WaitingHandshakes

if TYPE_CHECKING:
    from pathlib import Path

sys.path.append(str(ROOT / "tests" / "benchmarks"))
import captures as benchmark

SAMPLES = ROOT / "samples"
NAMES = ("tls12-full", "tls12-resumed-ticket", "tls13-resumed", "tls13-early-data", "network/network-failures")


def captures(folder: Path) -> Path:
    """Make a folder of captures and a text file; one capture resumes a session that another sets up."""
    folder.mkdir()
    for name in NAMES:
        shutil.copy(SAMPLES / f"{name}.pcap", folder)
    (folder / "again").mkdir()
    shutil.copy(SAMPLES / "tls12-resumed-ticket.pcap", folder / "again")
    (folder / "notes.txt").write_text("no capture")
    return folder


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `captures` and their `dataset`."""
    folder = tmp_path_factory.mktemp("scanned")
    captures(folder / "captures")
    done = run_scan(folder / "captures", "--to", folder / "dataset", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b"6 captures read, 20 connections; 1 file without a capture\n"
    return folder


def test_rows_are_those_of_a_serial_run(scanned: Path, tmp_path: Path) -> None:
    inputs = find_inputs([str(scanned / "captures")]).files
    sources = [one.path for one in inputs if not one.path.endswith(".txt")]
    assert [one.source for _, one in ordered(scanned / "dataset")] == sources
    check_like_serial(scanned / "dataset", sources, tmp_path / "tables")
    resumed = [one for one in documents(scanned / "dataset") if one["resumes"]]
    assert any(one["resumes"]["source"] != one["source"] for one in resumed)


def state(folder: Path) -> dict[Path, int]:
    """When each file of a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def no_cluster(*_: object) -> None:
    raise AssertionError("a cluster was started")


def test_a_second_scan_reads_nothing(scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started, and no capture opened: their bytes are others here, under the same size and time."""
    shutil.copytree(scanned, tmp_path, dirs_exist_ok=True)
    (tmp_path / "captures").rename(tmp_path / "kept")
    for manifest in (tmp_path / "dataset" / MANIFESTS).glob("*.json"):
        assert json.decode(manifest.read_bytes())["source"].startswith(str(scanned))
    monkeypatch.setattr(scan, "connected", no_cluster)
    before = state(tmp_path / "dataset")
    kept = {path: path.stat() for path in (scanned / "captures").rglob("*") if path.is_file()}
    contents = {path: path.read_bytes() for path in kept}
    try:
        for path, status in kept.items():
            path.write_bytes(bytes(status.st_size))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        done = run("scan", scanned / "captures", "--to", tmp_path / "dataset")
    finally:
        for path, content in contents.items():
            path.write_bytes(content)
            os.utime(path, ns=(kept[path].st_atime_ns, kept[path].st_mtime_ns))
    assert done.returncode == 0
    assert done.stderr == b"0 captures read, 0 connections; 7 files unchanged since an earlier scan\n"
    assert state(tmp_path / "dataset") == before


def test_other_options_need_another_folder(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "connected", no_cluster)
    for options in (
        ("--failed",),
        ("--known", "7"),
        ("--raw-fingerprints",),
        ("--keylog", SAMPLES / "tls13-full.keys"),
    ):
        done = run("scan", scanned / "captures", "--to", scanned / "dataset", *options)
        assert done.returncode == 2
        assert b"was written with different options (" in done.stderr
    done = run("scan", SAMPLES / "tls12-full.pcap", "--to", scanned / "captures")
    assert done.returncode == 2
    assert b"captures: is neither empty nor a dataset" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--where", "findings.size() > 0"), b"cannot select by findings"),
        (("--where", "resumes != null"), b"cannot select by links or problems"),
        (("--scheduler", "tcp://127.0.0.1:1", "--jobs", "2"), b"--jobs is for workers on this machine"),
        (("--memory", "2 apples"), b"is not a size such as 500M or 2G"),
    ],
)
def test_what_a_scan_cannot_do_is_said(options: tuple[str, ...], said: bytes, tmp_path: Path) -> None:
    done = run("scan", SAMPLES / "tls12-full.pcap", "--to", tmp_path / "dataset", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "dataset").exists()


def test_connections_are_selected_and_linked_to_others(tmp_path: Path) -> None:
    """A connection that was not selected set up the session, and one that was not selected failed before a retry."""
    captures(tmp_path / "captures")
    chosen = ("--where", 'resumption != "none"')
    done = run_scan(tmp_path / "captures", "--to", tmp_path / "dataset", "--jobs", "1", *chosen)
    assert done.returncode == 0, done.stderr
    told = run("read", "--format", "json", tmp_path / "captures", *chosen)
    assert documents(tmp_path / "dataset") == [json.decode(line) for line in told.stdout.splitlines()] != []


def test_links_are_made_again_when_captures_come_before(tmp_path: Path) -> None:
    """The order of scans does not matter: what was scanned last may be the first."""
    for name in ("first", "second"):
        shutil.copy(SAMPLES / "tls12-resumed-ticket.pcap", tmp_path / f"{name}.pcap")
    both = [str(tmp_path / f"{name}.pcap") for name in ("first", "second")]
    for path in reversed(both):
        done = run_scan(path, "--to", tmp_path / "dataset", "--jobs", "1")
        assert done.returncode == 0, done.stderr
    check_like_serial(tmp_path / "dataset", both, tmp_path / "tables")
    assert {one["resumes"]["source"] for one in documents(tmp_path / "dataset") if one["resumes"]} == {both[0]}


def test_a_broken_capture_is_listed_and_a_damaged_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (SAMPLES / "tls12-full.pcap").read_bytes()
    files = {"whole": whole, "cut": whole[:-40], "text": b"no capture at all, but named", "empty": b""}
    paths = [tmp_path / f"{name}.pcap" for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    for told in (
        b"2 captures read, 2 connections; 2 captures refused",
        b"0 captures read, 0 connections; 4 files unchanged",
    ):
        done = run_scan(*paths, tmp_path / "none", "--to", tmp_path / "dataset", "--jobs", "1")
        assert done.returncode == 2
        lines = done.stderr.splitlines()
        assert lines[0] == f"tlsdissect: {tmp_path}/none: No such file or directory".encode()
        empty, text = sorted(lines[1:3])
        assert empty == f"tlsdissect: {tmp_path}/empty.pcap: is empty".encode()
        assert text.startswith(f"tlsdissect: {tmp_path}/text.pcap: is not a capture: ".encode())
        assert lines[3].startswith(told)


def test_a_changed_capture_is_read_again_and_nothing_of_the_old_one_stays(tmp_path: Path) -> None:
    capture, dataset = tmp_path / "capture.pcap", tmp_path / "dataset"
    shutil.copy(SAMPLES / "tls12-full.pcap", capture)
    run_scan(capture, "--to", dataset, "--jobs", "1")
    shutil.copy(SAMPLES / "network" / "network-failures.pcap", capture)
    stray = dataset / "connections" / "day=2000-01-01" / "left.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"of a killed worker")
    done = run_scan(capture, "--to", dataset, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    check_like_serial(dataset, [str(capture)], tmp_path / "tables")
    ((_, manifest),) = ordered(dataset)
    assert set(dataset.glob("*/day=*/*")) == {dataset / file for file in manifest.files}


def test_a_signal_ends_a_scan_which_goes_on_later(tmp_path: Path) -> None:
    folder, dataset = tmp_path / "captures", tmp_path / "dataset"
    folder.mkdir()
    for number in range(60):
        shutil.copy(SAMPLES / "network" / "network-failures.pcap", folder / f"{number}.pcap")
    command = [*PROGRAM, "scan", str(folder), "--to", str(dataset), "--jobs", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    while len(list(dataset.glob(f"{MANIFESTS}/*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    read = len(list(dataset.glob(f"{MANIFESTS}/*.json")))
    counted = f"{read} captures read, {len(documents(dataset)):,} connections"
    assert told.decode() == f"tlsdissect: stopped: run the same command to continue\n{counted}\n"
    left = 60 - read
    assert left > 0
    assert not (dataset / PARTS).exists()
    done = run_scan(folder, "--to", dataset, "--jobs", "1")
    assert done.stderr.startswith(f"{left} capture".encode())
    check_like_serial(dataset, [str(folder / f"{number}.pcap") for number in range(60)], tmp_path / "tables")


def test_captures_count_that_workers_finished_unheard(tmp_path: Path) -> None:
    """A scan that is stopped has not heard of all; those that an earlier scan read, or that changed, do not count."""
    folder = captures(tmp_path / "captures")
    store = Store(str(tmp_path / "dataset"))
    plan, (sources, _) = Plan(store, Options(), Selection()), find_sources([str(folder)])
    with store.claimed(scan.described(Options(), Selection(), ())):
        scan_capture(plan, sources[0])
        scan_capture(plan, sources[1])
        os.utime(sources[1].name, ns=(0, 0))
        stopped = scan.Scan(plan, find_sources([str(folder)])[0])
        assert stopped.skipped == 1
        finished = [one for one in map(partial(scan_capture, plan), sources[2:4]) if one is not None]
        stopped.count_unreported()
    assert stopped.captures_read == len(finished) == 2
    assert stopped.connections == sum(one.connections for one in finished) > 0


def test_a_second_scan_at_the_same_time_is_refused(tmp_path: Path) -> None:
    with Store(str(tmp_path)).claimed(scan.described(Options(), Selection(), ())):
        before = state(tmp_path)
        done = run("scan", SAMPLES / "tls12-full.pcap", "--to", tmp_path)
    assert done.returncode == 2
    assert b"another scan is writing to it" in done.stderr
    assert state(tmp_path) == before


FULL = """
mount -t tmpfs -o size=2M none {to} && {scan}; echo $? >&2
find {to} -name .part >&2; ls {to}/manifest | wc -l >&2
mount -o remount,size=64M {to} && {scan}; echo $? >&2
cp -r {to} {copy}
"""
"""A scan to a disk that becomes full, then has room again."""


def test_a_full_disk_ends_a_scan_which_goes_on_later(tmp_path: Path) -> None:
    """No capture is blamed for it, and what was finished before stays."""
    folder, to = tmp_path / "captures", tmp_path / "disk"
    folder.mkdir()
    to.mkdir()
    for number in range(30):
        shutil.copy(SAMPLES / "network" / "network-failures.pcap", folder / f"{number}.pcap")
    scan = shlex.join([*PROGRAM, "scan", str(folder), "--to", str(to), "--jobs", "2"])
    script = FULL.format(scan=scan, to=to, copy=tmp_path / "copy")
    # In a mount namespace of its own.
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=ROOT,
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    full, read, status, finished, *others = done.stderr.decode().splitlines()
    assert full == f"tlsdissect: --to {to}: No space left on device: run the same command to continue"
    assert read.startswith(f"{finished} captures read")
    assert status == "74"
    assert others[0].startswith(f"{30 - int(finished)} captures read")
    assert others[1] == "0"
    assert len(others) == 2
    assert 0 < int(finished) < 30
    check_like_serial(tmp_path / "copy", [str(folder / f"{number}.pcap") for number in range(30)], tmp_path / "tables")


def test_a_full_disk_for_temporary_files_fails_the_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise connections that could not wait would be written as they were before their end."""
    benchmark.write_handshakes(tmp_path / "capture.pcap", 40)
    ((source,), _) = find_sources([str(tmp_path / "capture.pcap")])
    monkeypatch.setattr(WaitingHandshakes.__init__, "__defaults__", (0, 0, None))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "_write", full)
    with pytest.raises(OSError, match="No space left on device"):
        scan_capture(Plan(Store(str(tmp_path / "dataset")), Options(), Selection()), source)
    assert not (tmp_path / "dataset" / MANIFESTS).exists()


def test_rows_are_written_while_a_capture_is_read(tmp_path: Path) -> None:
    """No more than a group of rows is kept in memory."""
    benchmark.write_handshakes(tmp_path / "capture.pcap", 1500)
    store = Store(str(tmp_path / "dataset"))
    ((source,), _) = find_sources([str(tmp_path / "capture.pcap")])
    manifest = scan_capture(Plan(store, Options(), Selection()), source)
    assert manifest is not None
    assert manifest.connections == 1500
    for name, most in (("documents", 1024), ("messages", 10_000)):
        (file,) = (tmp_path / "dataset" / name).glob("*/*.parquet")
        found = parquet.ParquetFile(file).metadata
        rows = [found.row_group(at).num_rows for at in range(found.num_row_groups)]
        assert len(rows) > 1
        assert max(rows) <= most


def test_nobody_else_can_use_the_workers_of_this_machine() -> None:
    """They listen on loopback alone, and speak TLS with keys that are in memory only."""
    with scan.connected(None, 1, None) as client:
        workers = client.scheduler_info()["workers"]
        assert len(workers) == 1
        assert all(address.startswith("tls://127.0.0.1:") for address in (*workers, client.scheduler.address))
        process = psutil.Process()
        listening = [
            one.laddr
            for it in (process, *process.children(recursive=True))
            for one in it.net_connections()
            if one.status == "LISTEN"
        ]
        assert {one.ip for one in listening} == {"127.0.0.1"}
        assert 8787 not in {one.port for one in listening}


def test_workers_that_do_not_start_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(distributed, "LocalCluster", late)
    done = run("scan", SAMPLES / "tls12-full.pcap", "--to", tmp_path / "dataset")
    assert done.returncode == 71
    assert done.stderr.splitlines()[0] == b"tlsdissect: the workers on this machine: they took too long to start"


def test_nothing_of_dask_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    done = run_scan(SAMPLES / "tls13-full.pcap", "--to", tmp_path / "dataset", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []


def test_a_symbolic_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset").symlink_to(tmp_path / "gone")
    done = run_scan(SAMPLES / "tls13-full.pcap", "--to", tmp_path / "dataset", "--jobs", "1")
    assert done.returncode == 2
    assert f"is a symbolic link to {tmp_path / 'gone'}, which does not exist".encode() in done.stderr
    assert b"File exists" not in done.stderr
