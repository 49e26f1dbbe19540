"""A forked command behaves like a separate process; only its run time differs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from forking import program
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "samples" / "tls12-full.pcap"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["read", "--format", "csv", "-"], 0),
        (["read", "--format", "json", "-", "-o", "/dev/full"], 74),
        (["read", "--jobs", "2", "nothing", "\udcff"], 2),
        ([""], 2),
        (["summary", "--color", "always", "-"], 0),
    ],
)
def test_a_command_is_that_of_a_process(words: list[str], status: int, tmp_path: Path) -> None:
    def end(*command: str | Path) -> tuple[int, bytes, bytes]:
        environment = {**os.environ, "COLUMNS": "60"}
        with SAMPLE.open("rb") as file:
            given = [*command, *words]
            done = subprocess.run(given, stdin=file, capture_output=True, check=False, cwd=tmp_path, env=environment)
        return done.returncode, done.stdout, done.stderr

    assert end(program()) == end(sys.executable, "-m", "tlsdissect")
    assert end(program())[0] == status


def test_a_command_ends_with_whoever_asked_for_it(tmp_path: Path) -> None:
    """The pipe is open for writing only while something reads it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [program(), "read", "-q", pipe]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as client, pipe.open("wb", buffering=0) as file:
        file.write(SAMPLE.read_bytes()[:100])
        client.kill()
        assert client.stderr is not None
        assert b"Traceback" not in client.stderr.read()
        with pytest.raises(BrokenPipeError):
            file.write(SAMPLE.read_bytes()[100:])
    assert client.returncode == -signal.SIGKILL
