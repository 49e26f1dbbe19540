from __future__ import annotations

from typing import TYPE_CHECKING

from commands import RESUMED, TLS12, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run("report", TLS12, RESUMED, "-o", page)
    assert (done.returncode, done.stdout) == (0, b"")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "<li>3 connections.</li>" in page.read_text()


def test_selected_connections_alone() -> None:
    done = run("report", TLS12, RESUMED, "-o", "-", "--tls", "1.3")
    assert b"<li>2 connections.</li>" in done.stdout


def test_inputs_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    done = run("report", tmp_path / "missing", TLS12, "-o", tmp_path / "report.html")
    assert done.returncode == 2
    assert b"missing: No such file" in done.stderr
    assert (tmp_path / "report.html").exists()


def test_a_capture_is_not_overwritten() -> None:
    done = run("report", TLS12, "-o", TLS12)
    assert done.returncode == 2
    assert b"this is one of the captures" in done.stderr
