"""What the system or the user's environment lacks is no error of the program: a line, and a status of its own."""

from __future__ import annotations

import atexit
import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import PROGRAM, TLS12, run
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RAISING = """
import sys
from tlsdissect import pipeline
from tlsdissect.cli import main

def fail(self, told):
    raise {error}

pipeline.Summary.count = fail
sys.exit(main())
"""


def in_shell(command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which PROGRAM stands for the command."""
    line = command.replace("PROGRAM", " ".join(PROGRAM))
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "command", ["read -", "read --jobs 2 -", "certs -", "show -", "report -o - -", f"read - {TLS12}"]
)
def test_standard_input_is_closed(command: str) -> None:
    done = in_shell(f"PROGRAM {command} <&-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"tlsdissect: standard input: is closed\n")
    assert bool(done.stdout) == (TLS12 in command)


@pytest.mark.parametrize("command", ["--help", "read --help", "--version"])
def test_help_where_the_disk_is_full(command: str) -> None:
    done = in_shell(f"PROGRAM {command} >/dev/full")
    assert (done.returncode, done.stderr) == (74, b"tlsdissect: No space left on device\n")


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("OSError(28, 'No space left on device', '/tmp/a')", 74, b"/tmp/a: No space left on device"),
        ("OSError(24, 'Too many open files')", 71, b"Too many open files"),
        ("MemoryError", 71, b"out of memory"),
        ("ImportError('a library: failed to map segment')", 71, b"a library: failed to map segment"),
        ("ModuleNotFoundError('no module')", 70, b"internal error after 17 frames: ModuleNotFoundError"),
    ],
)
def test_whose_error_it_is(error: str, status: int, said: bytes, jobs: str) -> None:
    if "Import" in error or "Module" in error:
        jobs = "1"
    command = [sys.executable, "-c", RAISING.format(error=error), "read", "--jobs", jobs, TLS12]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert said in done.stderr.splitlines()[0]
    assert (b"internal" in done.stderr) == (status == 70)


@pytest.mark.parametrize("name", ["a" * 300, "a" * 5000, "", f"{TLS12}/a"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    done = run("read", name, TLS12)
    assert done.returncode == 2
    assert done.stdout.count(b"\n") == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"TMPDIR": "/dev/null/none"},
        {"HOME": "/dev/null/none"},
        {"COLUMNS": "abc", "LINES": ""},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TERM": "", "NO_COLOR": ""},
        {"MPLBACKEND": "no-such"},
    ],
    ids=",".join,
)
@pytest.mark.parametrize("command", ["read", "plot"])
def test_an_odd_environment(command: str, environment: dict[str, str], tmp_path: Path) -> None:
    given = ("plot", "versions", "-o", tmp_path / "a.svg") if command == "plot" else (command,)
    done = run(*given, TLS12, **environment)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("given", ["abc", "", "1e5", "9" * 30, "-" + "9" * 30])
@pytest.mark.parametrize("command", [("plot", "versions", "-o", "a.svg"), ("report", "-o", "a.html")], ids=" ".join)
def test_a_time_that_pictures_cannot_have(command: tuple[str, ...], given: str, tmp_path: Path) -> None:
    *words, name = command
    done = run(*words, tmp_path / name, TLS12, SOURCE_DATE_EPOCH=given)
    assert done.returncode == 2
    assert done.stderr.startswith(b"tlsdissect: SOURCE_DATE_EPOCH=")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        f"read {TLS12}",
        f"read --jobs 2 --format json {TLS12}",
        f"show {TLS12}",
        f"ladder --stream 0 {TLS12}",
        f"explain {TLS12}",
        f"compare {TLS12}",
        f"certs {TLS12}",
        f"report -o - {TLS12}",
    ],
)
def test_a_result_for_a_standard_output_that_is_closed(command: str) -> None:
    done = in_shell(f"PROGRAM {command} >&-")
    assert (done.returncode, done.stderr) == (74, b"tlsdissect: standard output: Bad file descriptor\n")
    assert in_shell(f"PROGRAM {command} >&- 2>&- <&-").returncode == 74


@pytest.mark.parametrize("command", ["--help", "read --help", "--version"])
def test_help_for_a_standard_output_that_is_closed(command: str) -> None:
    done = in_shell(f"PROGRAM {command} >&-")
    assert (done.returncode, done.stderr) == (74, b"tlsdissect: Bad file descriptor\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("command", ["plot versions -o {}/a.svg", "export --to {}"])
def test_a_file_is_written_whatever_is_closed(command: str, closed: str, tmp_path: Path) -> None:
    done = in_shell(f"PROGRAM {command.format(tmp_path)} {TLS12} {closed}")
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert any(tmp_path.iterdir())


def test_python_looks_for_no_cycles_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go through all connections that are left."""
    at_exit: list[object] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    assert run("--version").returncode == 0
    assert gc.freeze in at_exit
