"""A run that is interrupted while it writes loses nothing and says nothing twice."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tlsdissect.cli.sink import Sink

LINES = b"".join(b"%d a line that is whole\n" % number for number in range(20_000))


class StoppedError(Exception):
    """What the signal raises, as Ctrl-C raises KeyboardInterrupt."""


def test_what_an_interruption_left_is_written_next() -> None:
    def interrupt(*_: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGALRM, interrupt)
    end, begin = os.pipe()
    read = bytearray()

    def drain() -> None:
        while data := os.read(end, 1 << 16):
            read.extend(data)

    with os.fdopen(begin, "wb") as file, os.fdopen(end, "rb"):
        sink = Sink(file, "a pipe")
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(StoppedError):
            sink.write(LINES)
        signal.signal(signal.SIGALRM, before)
        reader = threading.Thread(target=drain)
        reader.start()
        sink.flush()
        file.close()
        reader.join(10)
    assert bytes(read) == LINES
