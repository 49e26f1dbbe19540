"""How tests run the command: as a process, with pipes or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = [sys.executable, "-m", "tlsdissect"]
TLS12 = "samples/tls12-full.pcap"
TLS13 = "samples/tls13-full.pcap"
RESUMED = "samples/tls13-resumed.pcap"


def run(*arguments: str | Path, given: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command with pipes; nothing at all stands on its standard input unless it is given."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=given,
        stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def on_terminal(width: int, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the command, or a script after -c, on a terminal of some width; its exit status and what was shown."""
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.chdir(ROOT)
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        program = PROGRAM if arguments[0] != "-c" else PROGRAM[:1]
        os.execve(program[0], [*program, *arguments], {**inherited, "TERM": "xterm", **environment})  # noqa: S606
    shown = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    # Linux says EIO where all that had the terminal open are gone.
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
