"""Several processes for all captures.

Each reads all packets, follows its share of the conversations, and writes what it finds. Numbering comes before
sharing, so that each process numbers alike; what they write is merged by its place. Output is so the same for any
number of processes.
"""

from __future__ import annotations

import errno
import heapq
import os
import pickle
import signal
import struct
from typing import TYPE_CHECKING, BinaryIO, Generic, NamedTuple, TypeVar

from tlsdissect.flows.table import Shard
from tlsdissect.pipeline import Place, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.pipeline import Told

BYTES_A_JOB = 16 << 20
"""Bytes of captures that make another process worthwhile."""

_HEADER = struct.Struct("<qqqqqq")
"""Place (four numbers), bytes of the captures read so far, and length of what follows; less than 0: that of the
worker's account."""
_BUFFER = 1 << 20
_ONE_JOB = "--jobs 1 takes only one, and less memory"

Account = TypeVar("Account")


class Line(NamedTuple):
    """What a worker wrote of a connection, or of a session."""

    place: Place
    position: int
    text: bytes


class WorkerError(Exception):
    """A worker failed; the text says in what."""


class WorkerLostError(Exception):
    """A worker was ended by somebody else, or ran out of memory; the text says how."""


def worthwhile(captures: list[str], jobs: int | None = None) -> int:
    """How many processes to use: those asked for, or one a core, but no more than there is work for.

    One for what can be read only once, as a pipe.
    """
    # Unlike those of pathlib, these take what cannot be looked at for no file.
    if any(not os.path.isfile(path) and not os.path.isdir(path) for path in captures):  # noqa: PTH112, PTH113
        return 1
    if jobs is not None:
        return jobs
    size = Reading(captures).progress()[1] or 0
    return max(1, min(len(os.sched_getaffinity(0)), size // BYTES_A_JOB))


class Workers(Generic[Account]):
    """Processes that share a reading.

    `reading` makes the reading of a share, `write` the text of a connection or of what is known beside, `account` what
    a worker tells at its end; `accounts` holds these when all has been read.
    """

    def __init__(
        self,
        jobs: int,
        reading: Callable[[Shard], Reading],
        write: Callable[[Told], bytes],
        account: Callable[[Reading], Account],
    ) -> None:
        self._reading, self._write, self._account = reading, write, account
        self.accounts: list[Account] = []
        self.position = 0
        self._workers = [self._start(Shard(number, jobs)) for number in range(jobs)]

    def __iter__(self) -> Iterator[Line]:
        """Yield what the workers write, in its place."""
        try:
            for line in heapq.merge(*(self._lines(pid, pipe) for pid, pipe in self._workers)):
                self.position = max(self.position, line.position)
                yield line
        finally:
            self.stop()

    def finish(self) -> None:
        """Ask the workers to read no more, and to tell what they have read."""
        for pid, _ in self._workers:
            os.kill(pid, signal.SIGTERM)

    def stop(self) -> None:
        """End the workers, if they still run."""
        for pid, pipe in self._workers:
            pipe.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._workers = []

    def _start(self, share: Shard) -> tuple[int, BinaryIO]:
        inner, outer = os.pipe()
        # Being asked to finish waits until the worker can.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(outer)
            return pid, os.fdopen(inner, "rb", _BUFFER)
        status = 1
        try:
            # Ctrl-C reaches the whole group: the parent alone decides what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.close(inner)
            with os.fdopen(outer, "wb", _BUFFER) as pipe:
                self._work(share, pipe)
            status = 0
        except MemoryError:
            status = errno.ENOMEM
        finally:
            os._exit(status)

    def _work(self, share: Shard, pipe: BinaryIO) -> None:
        reading = self._reading(share)
        signal.signal(signal.SIGTERM, lambda *_: reading.stop())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        try:
            for place, told in reading.placed():
                text = self._write(told)
                pipe.write(_HEADER.pack(*place, reading.position, len(text)) + text)
            last: object = self._account(reading)
        except MemoryError:
            # Pickling an account takes memory, too: the exit status tells the parent.
            raise
        except OSError as error:
            last = error
        except Exception as error:  # noqa: BLE001  # what it is, the parent tells
            last = WorkerError(f"{type(error).__name__}: {error}")
        account = pickle.dumps(last)
        pipe.write(_HEADER.pack(0, 0, 0, 0, 0, -len(account)) + account)

    def _lines(self, pid: int, pipe: BinaryIO) -> Iterator[Line]:
        while len(header := pipe.read(_HEADER.size)) == _HEADER.size:
            *place, position, size = _HEADER.unpack(header)
            text = pipe.read(abs(size))
            if len(text) < abs(size):
                break
            if size < 0:
                last = pickle.loads(text)  # noqa: S301  # from our own process
                if isinstance(last, (WorkerError, OSError, MemoryError)):
                    raise last
                self.accounts.append(last)
                return
            yield Line(Place(*place), position, text)
        raise WorkerLostError(f"a process of this command {_ended(pid)}")


def _ended(pid: int) -> str:
    """Tell how a child has ended, who is waited for by others too."""
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if end is None or end.si_code == os.CLD_EXITED:
        if end is not None and end.si_status == errno.ENOMEM:
            return f"ran out of memory: {_ONE_JOB}"
        return "ended before its time"
    if end.si_status == signal.SIGKILL:
        return f"was ended by SIGKILL, as where memory runs out: {_ONE_JOB}"
    name = {one.value: one.name for one in signal.Signals}.get(end.si_status, f"signal {end.si_status}")
    return f"was ended by {name}"
