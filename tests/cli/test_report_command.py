from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from commands import RESUMED, TLS12, run
from recorded import ROOT, kept

from tlsdissect.corpus import report_details
from tlsdissect.corpus.report_details import ParallelBlocks
from tlsdissect.corpus.report_figures import ParallelFigures
from tlsdissect.corpus.workers import WorkerError, WorkerLostError
from tlsdissect.views.report.details import Blocks
from tlsdissect.views.report.figure_rows import FigureData, FigureRows
from tlsdissect.views.report.figures import Figures

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection


def test_a_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run("report", TLS12, RESUMED, "-o", page)
    assert (done.returncode, done.stdout) == (0, b"")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "<li>The captures contain 3 connections of 1 client with 1 server" in page.read_text()


def test_selected_connections_alone() -> None:
    done = run("report", TLS12, RESUMED, "-o", "-", "--tls", "1.3")
    assert b"<li>The captures contain 2 connections of 1 client with 1 server" in done.stdout


def test_inputs_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    done = run("report", tmp_path / "missing", TLS12, "-o", tmp_path / "report.html")
    assert done.returncode == 2
    assert b"missing: No such file" in done.stderr
    assert (tmp_path / "report.html").exists()
    page = (tmp_path / "report.html").read_text()
    assert "1 input refused." in page
    assert f"{tmp_path}/missing: No such file or directory." in page


def test_a_capture_is_not_overwritten() -> None:
    done = run("report", TLS12, "-o", TLS12)
    assert done.returncode == 2
    assert b"this is one of the captures" in done.stderr


def test_a_grave_finding_has_a_status_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run("report", TLS12, "-o", page, "--fail-on", "low").returncode == 3
    assert "long_lifetime" in page.read_text()
    assert run("report", TLS12, "-o", page, "--fail-on", "medium").returncode == 0
    assert run("report", TLS12, "-o", page, "--fail-on", "low", "--min-severity", "high").returncode == 2


def test_what_only_many_certificates_show_counts(tmp_path: Path) -> None:
    """Two samples have certificates of one authority with one serial; no connection of its own shows that."""
    samples = ("samples/smtp-starttls.pcap", "samples/tomcat-firefox-tls12.pcap")
    done = run("report", *samples, "-o", tmp_path / "report.html", "--fail-on", "medium")
    assert done.returncode == 3
    assert b"medium: 2 duplicate_serial" in done.stderr


def test_little_findings_are_left_out(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    run("report", TLS12, "samples/tls12-static-rsa.pcap", "-o", page, "--min-severity", "medium")
    assert "static_rsa" in page.read_text()
    assert ">long_lifetime<" not in page.read_text()


def test_what_was_not_read_is_in_the_page(tmp_path: Path) -> None:
    capture, page = tmp_path / "cut.pcap", tmp_path / "report.html"
    capture.write_bytes((ROOT / TLS12).read_bytes()[:-10])
    assert run("report", capture, "-o", page).returncode == 0
    assert "Damage in 1 place." in page.read_text()


def test_several_processes_write_the_same_page(tmp_path: Path) -> None:
    pages = []
    for jobs in ("1", "3"):
        path = tmp_path / f"{jobs}.html"
        done = run("report", "samples/paths-client.pcap.gz", "-o", path, "--jobs", jobs)
        assert done.returncode == 0
        pages.append(path.read_bytes())
    assert b'id="connections-details-1"' in pages[0]
    assert pages[0] == pages[1]


def test_a_process_of_the_figures_that_was_killed_ends_the_report() -> None:
    with closing(ParallelFigures(2)) as figures:
        os.kill(figures._worker.process.pid or 0, signal.SIGKILL)
        figures.begin(FigureRows([], [], []))
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            figures.finish()


def test_an_error_in_a_figure_is_told() -> None:
    with closing(ParallelFigures(2)) as figures:
        figures.begin(FigureRows([[None]], [], []))
        with pytest.raises(WorkerError, match="ValueError"):
            figures.finish()


def test_the_figures_of_several_processes_keep_their_order() -> None:
    data, alone = FigureData(), Figures()
    for connection in kept(ROOT / TLS12):
        data.add(connection)
    alone.begin(data.rows)
    with closing(ParallelFigures(3)) as figures:
        assert figures.written() == 0
        figures.begin(data.rows)
        assert figures.finish() == alone.finish()
        assert figures.written() == alone.written() == 1


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[Connection, list[int]]]]:
    """Return blocks of connections, each large enough for a process of its own."""
    monkeypatch.setattr(report_details, "BATCH_BLOCKS", 1)
    return [[(one, [number])] for number, one in enumerate(kept(ROOT / "samples/paths-client.pcap.gz")[:12])]


@pytest.mark.parametrize("waiting", [1, 3, 100])
@pytest.mark.parametrize("jobs", [2, 4])
def test_details_are_the_same_whoever_makes_them(
    few: list[list[tuple[Connection, list[int]]]], jobs: int, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_details, "MAX_WAITING", waiting)
    alone = Blocks()
    with closing(ParallelBlocks(jobs)) as blocks:
        for one in few:
            alone.add(one)
            blocks.add(one)
        assert blocks.finish() == alone.finish()


def test_few_bytes_of_packets_wait_for_a_process(
    few: list[list[tuple[Connection, list[int]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_details, "WAITING_BYTES", 1)
    with closing(ParallelBlocks(1)) as blocks:
        for one in few:
            blocks.add(one)
            assert not blocks._waiting


def test_a_process_of_the_details_that_was_killed_ends_the_report(
    few: list[list[tuple[Connection, list[int]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Blocks, __: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with closing(ParallelBlocks(2)) as blocks:
        blocks.add(few[0])
        with monkeypatch.context() as patched:
            patched.setattr(Blocks, "add", killed)
            blocks.add(few[1])
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            blocks.finish()


def test_an_error_in_a_process_of_the_details_is_told(
    few: list[list[tuple[Connection, list[int]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_: Blocks, __: object) -> None:
        raise ValueError("wrong")

    with closing(ParallelBlocks(2)) as blocks:
        blocks.add(few[0])
        with monkeypatch.context() as patched:
            patched.setattr(Blocks, "add", wrong)
            blocks.add(few[1])
        with pytest.raises(WorkerError, match="ValueError: wrong"):
            blocks.finish()
