"""Run tlsdissect's commands in this process, one after another, for `tests/compare`.

The interpreter of the installation under test runs this file. Each line of standard input is a JSON object with the
`arguments` of a command and the `seconds` of processor time that it may take: beyond, SIGPROF ends this process. Each
gets a line of JSON on standard output: what the command printed, how it ended and the processor time it took. The
first line of output says which installation was found.

Commands write to file descriptors 1 and 2 themselves, so these are redirected to temporary files; replacing
`sys.stdout` would miss those writes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import tlsdissect
from tlsdissect.cli import main

MEMORY = 4 << 30
"""Bytes of address space; beyond, Python raises MemoryError, and that is how the command ends."""
OUTPUT = 32 << 20
"""Maximum size of output that is sent back; of larger output, only the size and the SHA-256 are sent."""


class Captured:
    """A file descriptor whose output goes to a temporary file."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open until the process ends)
        os.dup2(self._file.fileno(), stream.fileno())

    def take(self) -> str:
        """Return what was written since the last call."""
        self._stream.flush()
        number = self._file.fileno()
        size = os.fstat(number).st_size
        if size <= OUTPUT:
            text = os.pread(number, size, 0).decode(errors="surrogateescape")
        else:
            self._file.seek(0)
            text = f"{size} bytes, SHA-256 {hashlib.file_digest(self._file, 'sha256').hexdigest()}\n"
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        return text


def ended(arguments: list[str]) -> str:
    """Run a command; return its exit status, or the exception that it raised."""
    try:
        return f"exit status {main(arguments, standalone_mode=False)}"
    except SystemExit as error:
        return f"exit status {error.code}"
    except Exception as error:  # noqa: BLE001 (every exception is an answer, MemoryError too)
        return f"{type(error).__name__}: {error}"


def serve() -> None:
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output, errors = Captured(sys.stdout), Captured(sys.stderr)

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value).encode() + b"\n")
        answers.flush()

    # Help loads most of what a command needs: an installation without its dependencies is found out here.
    end = ended(["read", "--help"])
    package = str(Path(tlsdissect.__file__).parent)
    answer({"package": package, "python": platform.python_version(), "end": end, "stderr": errors.take()})
    output.take()
    for request in requests:
        asked = json.loads(request)
        begin = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
        end = ended(asked["arguments"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.process_time() - begin
        answer({"stdout": output.take(), "stderr": errors.take(), "end": end, "seconds": seconds})


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    serve()
