"""How tests run the command: in their own process, as a fork, as a process with pipes, or on a terminal."""

from __future__ import annotations

import fcntl
import gc
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from forking import program
from recorded import ROOT

from tlsdissect.cli import main

PROGRAM = [sys.executable, "-m", "tlsdissect"]
TLS12 = "samples/tls12-full.pcap"
TLS13 = "samples/tls13-full.pcap"
RESUMED = "samples/tls13-resumed.pcap"


def run(*arguments: str | Path, given: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command with nothing on its standard input; its exit status, and what it wrote to files 1 and 2.

    It runs in this process, which saves most of the time, unless something of a process is asked for: standard input,
    environment, workers, or a capture for which the command may change its user. Then it is a fork.
    """
    words = [*map(str, arguments)]
    if given is None and not environment and "--jobs" not in words and words[:1] != ["live"]:
        return _run_here(words)
    return _run([str(program())], words, given, environment)


def run_process(
    *arguments: str | Path, given: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process with pipes; nothing at all stands on its standard input unless it is given."""
    return _run(PROGRAM, [*map(str, arguments)], given, environment)


def _run(
    command: list[str], words: list[str], given: bytes | None, environment: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*command, *words],
        input=given,
        stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def _run_here(words: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run the command in this process, and undo what it changes in it."""
    kept = [os.dup(number) for number in range(3)]
    standard = sys.stdin, sys.stdout, sys.stderr
    handler, threshold = signal.getsignal(signal.SIGINT), gc.get_threshold()
    with Path(os.devnull).open("rb") as nothing, TemporaryFile() as out, TemporaryFile() as err, chdir(ROOT):
        for number, file in enumerate((nothing, out, err)):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = _opened(0, "r"), _opened(1, "w"), _opened(2, "w")
        try:
            status = main(words)
        finally:
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                stream.close()
            sys.stdin, sys.stdout, sys.stderr = standard
            for number, copy in enumerate(kept):
                os.dup2(copy, number)
                os.close(copy)
            signal.signal(signal.SIGINT, handler)
            gc.set_threshold(*threshold)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, status, out.read(), err.read())


def _opened(number: int, mode: str) -> TextIO:
    return open(number, mode, encoding="utf-8", closefd=False)  # type: ignore[return-value]


def on_terminal(width: int, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the command, or a script after -c, on a terminal of some width; its exit status and what was shown."""
    command = sys.executable if arguments[0] == "-c" else str(program())
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.chdir(ROOT)
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        os.execve(command, [command, *arguments], {**inherited, "TERM": "xterm", **environment})  # noqa: S606
    shown = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    # Linux says EIO where all that had the terminal open are gone.
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
