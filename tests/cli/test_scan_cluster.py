"""`tlsdissect scan` with a Dask scheduler and workers in separate processes. Some tests kill workers."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commands import PROGRAM
from conversing import CLIENT, SERVER, Talk, said, write
from dask import distributed
from datasets import SECONDS, check_like_serial, ordered, run_scan
from msgspec import json
from recorded import ROOT

from tlsdissect.corpus.dataset import MANIFESTS
from tlsdissect.corpus.scan import Scan
from tlsdissect.corpus.scanning import Plan, relink_capture
from tlsdissect.corpus.selection import Selection
from tlsdissect.corpus.sources import find_sources
from tlsdissect.corpus.store import FAILURES, PARTS, Store
from tlsdissect.handshake.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

sys.path.append(str(ROOT / "tests" / "benchmarks"))
import captures as benchmark

SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
}
"""What docs/scan.md recommends."""
MEMORY = 300 * 10**6
"""Bytes that a worker may take."""


@dataclass
class Cluster:
    """A scheduler, and its workers."""

    address: str
    folder: Path
    workers: list[subprocess.Popen[bytes]]

    def add(self, *options: str) -> None:
        """Start a worker."""
        scratch = self.folder / f"worker-{len(self.workers)}"
        started = start("worker", self.address, "--nthreads", "1", "--local-directory", str(scratch), *options)
        self.workers.append(started)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
    quiet = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(
        [*command, *quiet],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    file = folder / "scheduler.json"
    scheduler = start("scheduler", "--port", "0", "--scheduler-file", str(file))
    made = Cluster("", folder, [])
    try:
        until(lambda: file.exists() and file.stat().st_size > 0)
        made.address = json.decode(file.read_bytes())["address"]
        yield made
    finally:
        for process in (*made.workers, scheduler):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(happened: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def manifests(dataset: Path) -> list[Path]:
    return list((dataset / MANIFESTS).glob("*.json"))


def test_a_worker_is_killed_in_the_middle(tmp_path: Path) -> None:
    """Its capture is read by another one: the rows are those of a serial run, and nothing of it is left."""
    folder, dataset = tmp_path / "captures", tmp_path / "dataset"
    folder.mkdir()
    for number in range(12):
        benchmark.write_handshakes(folder / f"{number}.pcap", 200)
    with cluster(tmp_path) as made:
        made.add("--no-nanny")
        made.add("--no-nanny")
        command = [*PROGRAM, "scan", str(folder), "--to", str(dataset), "--scheduler", made.address]
        scan = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        until(lambda: len(manifests(dataset)) >= 3)
        made.workers[0].send_signal(signal.SIGKILL)
        assert len(manifests(dataset)) < 11
        _, told = scan.communicate(timeout=SECONDS)
    assert scan.returncode == 0, told
    assert told.startswith(b"12 captures read, 2,400 connections")
    check_like_serial(dataset, [one.source for _, one in ordered(dataset)], tmp_path / "tables")
    assert not (dataset / PARTS).exists()
    named = {dataset / file for _, one in ordered(dataset) for file in one.files}
    assert set(dataset.glob("*/day=*/*")) == named


def test_a_capture_whose_links_no_worker_lives_to_write_is_named_and_linked_by_the_next_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that is to write them kills itself, and so does the next one."""
    folder, dataset = tmp_path / "captures", tmp_path / "dataset"
    folder.mkdir()
    for name in ("tls13-resumed", "tls13-resumed-again"):
        shutil.copy(ROOT / "samples/tls13-resumed.pcap", folder / f"{name}.pcap")
    sources, _ = find_sources([str(folder)])
    plan = Plan(Store(str(dataset)), Options(), Selection())
    killed = Scan(plan, sources)
    with cluster(tmp_path) as made:
        for _ in range(3):
            made.add("--no-nanny")
        with distributed.Client(made.address) as client:
            killed.read(client)
            submit = client.submit

            def submit_or_kill(task: Any, *given: Any, **options: Any) -> Any:
                if task is relink_capture:
                    return submit(signal.raise_signal, signal.SIGKILL, pure=False)
                return submit(task, *given, **options)

            with monkeypatch.context() as patch:
                patch.setattr(client, "submit", submit_or_kill)
                killed.link(client)
            assert not killed.is_linked
            ((source, why),) = killed.failures
            assert source in {one.name for one in sources}
            assert why.startswith("2 workers were lost while they wrote its links, ")
            again = Scan(plan, sources)
            again.read(client)
            again.link(client)
        until(lambda: [one.poll() for one in made.workers].count(-signal.SIGKILL) == 2)
    assert (again.captures_done, again.failures, again.is_linked) == (0, [], True)
    check_like_serial(dataset, [one.source for _, one in ordered(dataset)], tmp_path / "tables")


@dataclass(frozen=True)
class Gap(Talk):
    """A conversation of which the first answer is missing, so that all others are held."""

    def packets(self) -> list[tuple[float, bytes]]:
        every = super().packets()
        return every[:4] + every[5:-3]


def write_large(path: Path) -> None:
    """A small file of a capture of which 240 MB are held until its end."""
    hello = next(data for side, data in said("tls12-full") if side == CLIENT)
    answers = [(SERVER, bytes(60_000))] * 17
    talks = [Gap([(CLIENT, hello), *answers], 0, 1, 20_000 + number) for number in range(240)]
    plain = write(path.with_suffix(".tmp"), *talks)
    with plain.open("rb") as source, gzip.open(path, "wb", 1) as target:
        shutil.copyfileobj(source, target)
    plain.unlink()


def test_a_capture_that_takes_too_much_memory_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    """One that is larger than the memory of a worker takes no more than others."""
    folder, dataset = tmp_path / "captures", tmp_path / "dataset"
    folder.mkdir()
    write_large(folder / "large.pcap.gz")
    benchmark.write_bulk(folder / "bulk.pcap", 240)
    assert (folder / "bulk.pcap").stat().st_size > MEMORY
    for number in range(6):
        shutil.copy(ROOT / "samples" / "tls12-full.pcap", folder / f"{number}.pcap")
    with cluster(tmp_path) as made:
        made.add("--memory-limit", str(MEMORY))
        done = run_scan(folder, "--to", dataset, "--scheduler", made.address)
    assert done.returncode == 2
    (folder / "bulk.pcap").unlink()
    first, last = done.stderr.decode().splitlines()
    assert first.startswith(f"tlsdissect: {folder}/large.pcap.gz: 2 workers were lost while they read it")
    assert last == "7 captures read, 246 connections; 1 capture failed"
    small = [str(folder / f"{number}.pcap") for number in range(6)]
    assert {one.source for _, one in ordered(dataset)} == {*small, f"{folder}/bulk.pcap"}
    (failure,) = Store(str(dataset)).manifests(FAILURES).values()
    assert failure.source == f"{folder}/large.pcap.gz"
    # With more memory, the next scan reads it.
    done = run_scan(folder, "--to", dataset, "--jobs", "1", "--memory", "2G")
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode() == "1 capture read, 240 connections; 6 files unchanged since an earlier scan\n"
    assert Store(str(dataset)).manifests(FAILURES) == {}


def test_no_scheduler_or_no_worker_is_said(tmp_path: Path) -> None:
    sample = ROOT / "samples" / "tls12-full.pcap"
    done = run_scan(sample, "--to", tmp_path / "dataset", "--scheduler", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert b"--scheduler tcp://127.0.0.1:1: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert manifests(tmp_path / "dataset") == []
