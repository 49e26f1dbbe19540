"""What is asked for wrongly, or of nothing: one line on standard error that says what to do, and no result."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import PROGRAM, TLS12, on_terminal, run
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WRITING = [
    ("read", "-o", "result.json"),
    ("read", "-o", "result.csv"),
    ("show", "-o", "result.html"),
    ("explain", "-o", "result.json"),
    ("ladder", "-o", "result.txt"),
    ("compare", "-o", "result.csv"),
    ("certs", "-o", "result.pem"),
    ("plot", "groups", "-o", "result.svg"),
    ("report", "-o", "result.html"),
]
each_writing = pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
SPOILT = """
import sys
from tlsdissect import pipeline
from tlsdissect.cli import main

whole = pipeline.Reading._judged

def fail(self, told):
    if self.summary.connections > 1:
        raise KeyError("spoilt")
    return whole(self, told)

pipeline.Reading._judged = fail
sys.exit(main())
"""


@pytest.fixture(scope="module")
def without_tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "without.pcap"
    path.write_bytes((ROOT / TLS12).read_bytes()[:24])
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        *["read", "show", "ladder", "explain", "compare", "certs", "read --format csv", "read --jobs 2"],
        *["show --format html", "certs --format csv", "compare --format json", "report -o -", "explain --format json"],
    ],
)
def test_where_nothing_can_be_read_there_is_no_result(arguments: str, tmp_path: Path) -> None:
    done = run(*arguments.split(), tmp_path / "missing")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().splitlines()[0] == f"tlsdissect: {tmp_path}/missing: No such file or directory"


@each_writing
def test_where_nothing_can_be_read_a_file_stays_what_it_was(arguments: tuple[str, ...], tmp_path: Path) -> None:
    *asked, name = arguments
    path = tmp_path / name
    path.write_text("of yesterday")
    assert run(*asked, path, tmp_path / "missing").returncode == 2
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(name, "of yesterday")]


def test_where_nothing_can_be_read_nothing_is_exported(tmp_path: Path) -> None:
    assert run("export", tmp_path / "missing", "--to", tmp_path / "tables").returncode == 2
    assert list((tmp_path / "tables").iterdir()) == []


def test_tables_that_were_not_finished_are_not_there(tmp_path: Path) -> None:
    command = [*PROGRAM[:1], "-c", SPOILT, "export", "samples/tls12-resumed-id.pcap", TLS12, "--to", tmp_path]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 70
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_connections_has_no_heading(without_tls: Path) -> None:
    assert run("read", without_tls).stdout == b""
    assert run("read", "--jobs", "2", without_tls).stdout == b""
    assert on_terminal(80, "read", str(without_tls)) == (0, "no TLS connections\n")
    assert run("read", "--format", "csv", without_tls).stdout.startswith(b"source,stream,")


@pytest.mark.parametrize("command", ["export", "certs"])
def test_a_file_is_no_folder_to_write_to(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(command, TLS12, "--to", tmp_path / "file")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"--to {tmp_path}/file: this is no folder (see tlsdissect {command} --help)" in done.stderr.decode()
