"""Worker processes that read the same captures in parallel.

Every worker reads all packets and follows the connections of its shard only. Streams are numbered before they are
assigned to a shard, so all workers number them alike, and the parent merges their output by its place in the captures.
The output is therefore the same for any number of processes. Splitting the captures instead would not do: a
connection may continue in the next file, and one large file would keep a single process busy.
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

    from tlsdissect.handshake.connections import ReadingEvent

BYTES_A_JOB = 16 << 20
"""Bytes of captures for each process that is started by default."""

_HEADER = struct.Struct("<qqqqqq")
"""Place (four numbers), bytes of the captures read so far, and length of the text that follows. A negative length is
that of the worker's pickled result, which comes last."""
_BUFFER = 1 << 20
_ONE_JOB = "--jobs 1 uses a single process and less memory"

Result = TypeVar("Result")


class WorkerOutput(NamedTuple):
    """The text that a worker wrote for a connection, a session or a lookup, and its place in the captures."""

    place: Place
    position: int
    text: bytes


class WorkerError(Exception):
    """An exception in a worker; the text names it."""


class WorkerLostError(Exception):
    """A worker was killed or ran out of memory; the text says which."""


def job_count(captures: list[str], jobs: int | None = None) -> int:
    """Return how many processes to use: `jobs`, or one per core, but one per BYTES_A_JOB at most.

    A pipe can be read only once, and so by one process only.
    """
    # Unlike the functions of pathlib, these return False for a path that cannot be examined.
    if any(not os.path.isfile(path) and not os.path.isdir(path) for path in captures):  # noqa: PTH112, PTH113
        return 1
    if jobs is not None:
        return jobs
    size = Reading(captures).progress()[1] or 0
    return max(1, min(len(os.sched_getaffinity(0)), size // BYTES_A_JOB))


class Workers(Generic[Result]):
    """Worker processes, one for each shard.

    `reading` opens the reading of a shard, `write` formats what it yields, and `result` makes the final value that a
    worker returns at its end; `results` collects these.
    """

    def __init__(
        self,
        jobs: int,
        reading: Callable[[Shard], Reading],
        write: Callable[[ReadingEvent], bytes],
        result: Callable[[Reading], Result],
    ) -> None:
        self._reading, self._write, self._result = reading, write, result
        self.results: list[Result] = []
        self.position = 0
        self._workers = [self._start(Shard(number, jobs)) for number in range(jobs)]

    def __iter__(self) -> Iterator[WorkerOutput]:
        """Yield the output of all workers, merged by place."""
        try:
            for output in heapq.merge(*(self._outputs(pid, pipe) for pid, pipe in self._workers)):
                self.position = max(self.position, output.position)
                yield output
        finally:
            self.stop()

    def finish(self) -> None:
        """Ask the workers to stop reading and to write the connections that they have read."""
        for pid, _ in self._workers:
            os.kill(pid, signal.SIGTERM)

    def stop(self) -> None:
        """Kill the workers that still run."""
        for pid, pipe in self._workers:
            pipe.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._workers = []

    def _start(self, shard: Shard) -> tuple[int, BinaryIO]:
        inner, outer = os.pipe()
        # SIGTERM stays blocked until the worker has installed its handler.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(outer)
            return pid, os.fdopen(inner, "rb", _BUFFER)
        status = 1
        try:
            # Ctrl-C reaches the whole process group; only the parent handles it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.close(inner)
            with os.fdopen(outer, "wb", _BUFFER) as pipe:
                self._work(shard, pipe)
            status = 0
        except MemoryError:
            status = errno.ENOMEM
        finally:
            os._exit(status)

    def _work(self, shard: Shard, pipe: BinaryIO) -> None:
        reading = self._reading(shard)
        signal.signal(signal.SIGTERM, lambda *_: reading.stop())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        try:
            for place, event in reading.placed():
                text = self._write(event)
                pipe.write(_HEADER.pack(*place, reading.position, len(text)) + text)
            last: object = self._result(reading)
        except MemoryError:
            # Pickling a result takes memory, too: the exit status reports this to the parent.
            raise
        except OSError as error:
            last = error
        except Exception as error:  # noqa: BLE001  # the parent reports it
            last = WorkerError(f"{type(error).__name__}: {error}")
        pickled = pickle.dumps(last)
        pipe.write(_HEADER.pack(0, 0, 0, 0, 0, -len(pickled)) + pickled)

    def _outputs(self, pid: int, pipe: BinaryIO) -> Iterator[WorkerOutput]:
        while len(header := pipe.read(_HEADER.size)) == _HEADER.size:
            *place, position, size = _HEADER.unpack(header)
            text = pipe.read(abs(size))
            if len(text) < abs(size):
                break
            if size < 0:
                last = pickle.loads(text)  # noqa: S301  # from our own process
                if isinstance(last, (WorkerError, OSError, MemoryError)):
                    raise last
                self.results.append(last)
                return
            yield WorkerOutput(Place(*place), position, text)
        raise WorkerLostError(f"a process of this command {_cause_of_death(pid)}")


def _cause_of_death(pid: int) -> str:
    """Describe how a child ended, without reaping it: `stop` waits for it, too."""
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if end is None or end.si_code == os.CLD_EXITED:
        if end is not None and end.si_status == errno.ENOMEM:
            return f"ran out of memory: {_ONE_JOB}"
        return "ended unexpectedly"
    if end.si_status == signal.SIGKILL:
        return f"was killed by SIGKILL, possibly because memory ran out: {_ONE_JOB}"
    name = {one.value: one.name for one in signal.Signals}.get(end.si_status, f"signal {end.si_status}")
    return f"was killed by {name}"
