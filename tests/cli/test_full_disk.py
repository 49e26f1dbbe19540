"""A disk that is full leaves no file that looks whole, and what is there stays."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import PROGRAM, RESUMED, TLS12, run, run_process
from recorded import ROOT

from tlsdissect.cli import sink
from tlsdissect.cli.exit_status import NotWrittenError
from tlsdissect.cli.sink import place_new, whole_file

if TYPE_CHECKING:
    from pathlib import Path


def limited(size: int, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command where no file may have more bytes than that: writing fails as on a full disk (setrlimit(2)).

    Python before 3.13 keeps the cut bytecode of a module that it compiles there, and no later process could import it.
    """

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [*PROGRAM, *map(str, arguments)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False, preexec_fn=limit
    )


@pytest.mark.parametrize("size", [0, 100, 1500])
def test_certificates(size: int, tmp_path: Path) -> None:
    done = limited(size, "certs", "--to", tmp_path, TLS12)
    assert done.returncode == 74
    assert b"File too large" in done.stderr
    # What was read is summed up all the same.
    assert b"2 certificates in 1 chain" in done.stderr
    assert all(path.stat().st_size > 500 for path in tmp_path.iterdir())
    whole = run("certs", "--to", tmp_path, TLS12)
    assert whole.returncode == 0, whole.stderr
    assert len(list(tmp_path.glob("*.pem"))) == len(list(tmp_path.iterdir())) == 3
    assert all(b"-----END CERTIFICATE-----" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ("read", "-o", "a.json"),
        ("read", "-o", "a.csv"),
        ("show", "-o", "a.html"),
        ("certs", "-o", "a.pem"),
        ("cbom", "-o", "a.json"),
        ("report", "-o", "a.html"),
        ("plot", "versions", "-o", "a.svg"),
        ("ladder", "-o", "a.svg"),
    ],
    ids=" ".join,
)
def test_a_result(command: tuple[str, ...], tmp_path: Path) -> None:
    *words, name = command
    (tmp_path / name).write_bytes(b"before")
    done = limited(50, *words, tmp_path / name, TLS12)
    assert done.returncode == 74, done.stderr
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_tables_are_there_all_or_none(tmp_path: Path) -> None:
    done = limited(1000, "export", TLS12, "--to", tmp_path)
    assert done.returncode == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_that_is_full_indeed(tmp_path: Path) -> None:
    script = (
        f"mount -t tmpfs -o size=4k,mode=700 none {tmp_path} && "
        f"{' '.join(PROGRAM)} certs -q --to {tmp_path} {TLS12} >&2; echo $?; wc -c {tmp_path}/*.pem {tmp_path}/.*.part"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if b"mount" in done.stderr or b"unshare" in done.stderr:
        pytest.skip("no mounting here")
    status, *counted = done.stdout.splitlines()
    assert status == b"74", done.stderr
    assert b"No space left on device" in done.stderr
    assert not any(line.split()[0] == b"0" and line.split()[1] != b"total" for line in counted)


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = str(tmp_path / "a.pem")
    assert place_new(path, b"one")
    assert place_new(path, b"one")
    assert not place_new(path, b"other")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_comes_meanwhile_is_not_replaced(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pem"
    link = os.link

    def late(beside: str, target: str, **options: bool) -> None:
        path.write_bytes(b"theirs")
        if not linked:
            raise PermissionError(1, "Operation not permitted")
        link(beside, target, **options)

    monkeypatch.setattr(os, "link", late)
    assert not place_new(str(path), b"ours")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"theirs"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling"])
def test_what_is_no_file_is_something_else(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pem"
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "dangling": lambda: path.symlink_to("nowhere")}
    make[kind]()
    assert not place_new(str(path), b"ours")
    assert [one.name for one in tmp_path.iterdir()] == ["a.pem"]


def test_a_target_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(sink.os, "replace", replace)
    with pytest.raises(NotWrittenError, match="busy"), whole_file(str(tmp_path / "a")) as file:
        file.write(b"text")
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_may_be(tmp_path: Path) -> None:
    for name in ("a" * 255, "\u00e9" * 127):
        with whole_file(str(tmp_path / name)) as file:
            file.write(b"text")
        assert (tmp_path / name).read_bytes() == b"text"


def test_standard_output_by_its_path() -> None:
    done = run_process("read", "--format", "json", "-o", "/dev/stdout", TLS12)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run("read", "--format", "json", TLS12).stdout


CROWDED = """
import os, sys
from tlsdissect.cli import main
from tlsdissect.handshake.spill import WaitingHandshakes

WaitingHandshakes.__init__.__defaults__ = (0, 0, {limit})
{spoilt}
sys.exit(main())
"""
FULL = """
def full(*_):
    raise OSError(28, "No space left on device")

os.pwrite = full
"""
MISSING = """
import tempfile
tempfile.tempdir = None
tempfile._candidate_tempdir_list = lambda: ["/dev/null/none"]
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(
    ("spoilt", "limit", "status", "said"),
    [
        (FULL, "None", 74, b": No space left on device: connections were printed before their end"),
        (MISSING, "None", 74, b": No usable temporary directory found in ['/dev/null/none']"),
        ("", "0", 0, b"2 connections printed before their end, for lack of room to wait"),
    ],
    ids=["full", "missing", "limited"],
)
def test_where_nobody_can_wait_for_the_end_nothing_is_lost(
    spoilt: str, limit: str, status: int, said: bytes, jobs: str
) -> None:
    script = CROWDED.format(spoilt=spoilt, limit=limit)
    # Packets of both conversations come after the end of their handshakes.
    words = ("read", "--format", "json", "--batch", "2", "--jobs", jobs, RESUMED)
    usual = run(*words)
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert b"internal" not in done.stderr
    told, before = [[json.loads(line) for line in text.splitlines()] for text in (done.stdout, usual.stdout)]
    assert [one["stream"] for one in told] == [one["stream"] for one in before]
    for one, other in zip(told, before, strict=True):
        assert one["certificates"] == other["certificates"]
        assert one["client_hello"] == other["client_hello"]
        assert "limit" in {problem["code"] for problem in one["problems"]}
