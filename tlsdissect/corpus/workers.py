"""Worker processes that read the same captures in parallel.

Every worker reads all packets and follows the connections of its shard only. Streams are numbered before they are
assigned to a shard, so all workers number them alike, and the parent merges their output by its place in the captures.
The output is therefore the same for any number of processes. Splitting the captures instead would not work: a
connection may continue in the next file, and a single process would read one large file.

A worker pickles its output, of which the parent accepts plain data only, and sends _BATCH_BYTES of it at a time. It
waits while the pipe is full, so a worker that is ahead of the others takes no more memory than its batch.
"""

from __future__ import annotations

import errno
import gc
import heapq
import io
import os
import pickle
import signal
import threading
import time
from enum import Enum
from mmap import mmap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from tlsdissect.capture.inputs import total_size
from tlsdissect.flows.table import Shard
from tlsdissect.pipeline import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.context import ForkProcess

    from tlsdissect.handshake.connections import ReadingEvent
    from tlsdissect.pipeline import Reading

BYTES_A_JOB = 16 << 20
"""Bytes of captures for each process that is started by default."""

_BATCH_BYTES = 1 << 18
_POSITION_PERIOD = 0.1
"""Seconds after which a worker writes its position again."""
_NUMBER_BYTES = 8
_HANDLED = (signal.SIGINT, signal.SIGTERM)
_ONE_JOB = "--jobs 1 uses a single process and less memory"

_SENT = {
    ("collections", "Counter"),
    ("markupsafe", "Markup"),
    ("tlsdissect.pipeline", "Summary"),
    ("tlsdissect.trust.chain", "_decoded"),
}
"""What workers send, besides structs, named tuples and enumerations of this package."""

Result = TypeVar("Result")


class WorkerOutput(NamedTuple):
    """What a worker sends of a connection, a session or a lookup."""

    place: Place
    content: Any


class WorkerError(Exception):
    """An exception in a worker; the text names it."""


class _Failure(NamedTuple):
    """The exception that ended a worker, as data: the pickle of an exception may name functions."""

    text: str
    number: int | None = None
    """The `errno` of an OSError."""
    file: str | None = None

    @classmethod
    def of(cls, error: Exception) -> _Failure:
        """Describe an exception."""
        if isinstance(error, OSError) and error.errno is not None:
            return cls(error.strerror or "", error.errno, None if error.filename is None else str(error.filename))
        return cls(f"{type(error).__name__}: {error}")

    def exception(self) -> Exception:
        """Return the OSError, or a WorkerError that names what was raised."""
        if self.number is None:
            return WorkerError(self.text)
        named = () if self.file is None else (self.file,)
        return OSError(self.number, self.text, *named)


class _WorkerEnd(NamedTuple):
    """The last thing that a worker sends: its result, or what ended it."""

    result: Any
    failure: _Failure | None = None


class WorkerLostError(Exception):
    """A worker was killed or ran out of memory; the text says which."""


def job_count(captures: list[str], jobs: int | None = None, bytes_a_job: int = BYTES_A_JOB) -> int:
    """Return how many processes to use: `jobs`, or one per core, but one per `bytes_a_job` of the captures at most.

    A pipe can be read only once, and so by one process only.
    """
    # Unlike the functions of pathlib, these return False for a path that cannot be examined.
    if any(not os.path.isfile(path) and not os.path.isdir(path) for path in captures):  # noqa: PTH112, PTH113
        return 1
    if jobs is not None:
        return jobs
    return max(1, min(len(os.sched_getaffinity(0)), total_size(captures) // bytes_a_job))


def forked(run: Callable[[Pipe, Pipe], None], *, duplex: bool, forks: bool = False) -> Worker:
    """Start a worker process that calls `run` with the parent's end of a pipe, which it must close, and its own end.

    The signals that end a run are blocked in it: only the parent handles them. With `forks`, the worker may start
    processes of its own.
    """
    # The default of Python 3.14, forkserver, would pickle the query and import everything again.
    from multiprocessing import get_context  # noqa: PLC0415 (start-up time of a single process)

    context = get_context("fork")
    ours, theirs = context.Pipe(duplex)
    process = context.Process(target=_run, args=(run, ours, theirs), daemon=not forks)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return Worker(process, ours)


def _run(run: Callable[[Pipe, Pipe], None], ours: Pipe, theirs: Pipe) -> None:
    # The cycle collector need not look again and again at what this process has inherited.
    gc.freeze()
    run(ours, theirs)


class Workers(Generic[Result]):
    """Worker processes, one for each shard.

    `reading` opens the reading of a shard, `pack` converts each event of it to what the worker sends (None: nothing),
    and `result` makes the final value that a worker returns at its end; `results` collects these.
    """

    def __init__(
        self,
        jobs: int,
        reading: Callable[[Shard], Reading],
        pack: Callable[[ReadingEvent, Reading], object],
        result: Callable[[Reading], Result],
    ) -> None:
        self._reading, self._pack, self._result = reading, pack, result
        self.results: list[Result] = []
        # Shared with the workers, each of which writes its own: a shard may have no output for a long time.
        self._positions = memoryview(mmap(-1, _NUMBER_BYTES * jobs)).cast("Q")
        self._finished, self._pending = (memoryview(mmap(-1, _NUMBER_BYTES * jobs)).cast("Q") for _ in range(2))
        """What `Reading.finishing` says in each of them."""
        self._workers = [self._start(Shard(number, jobs)) for number in range(jobs)]

    def __iter__(self) -> Iterator[WorkerOutput]:
        """Yield the output of all workers, merged by place."""
        try:
            yield from heapq.merge(*map(self._outputs, self._workers), key=attrgetter("place"))
        finally:
            self.stop()

    @property
    def position(self) -> int:
        """Bytes of the captures that all workers have read: the slowest decides how much is left."""
        return min(self._positions)

    @property
    def finishing(self) -> tuple[int, int]:
        """Return the sums of what `Reading.finishing` says in the workers."""
        return sum(self._finished), sum(self._pending)

    def finish(self) -> None:
        """Ask the workers to stop reading and to send what they have read."""
        for worker in self._workers:
            worker.process.terminate()

    def stop(self) -> None:
        """Kill the workers that still run."""
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def _start(self, shard: Shard) -> Worker:
        return forked(lambda receiver, sender: self._run(shard, receiver, sender), duplex=False)

    def _run(self, shard: Shard, receiver: Pipe, sender: Pipe) -> None:
        """Read a shard in a worker process; without memory or without a parent, the exit status is all that is left."""
        # Sending fails once no process is left that could receive.
        receiver.close()
        try:
            self._send(shard, _Sender(sender))
        except MemoryError:
            os._exit(errno.ENOMEM)
        except BrokenPipeError:
            os._exit(1)

    def _send(self, shard: Shard, sender: _Sender) -> None:
        # Ctrl-C reaches the whole process group; only the parent handles it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        reading = self._reading(shard)
        signal.signal(signal.SIGTERM, lambda *_: reading.stop())
        threading.Thread(target=self._report_position, args=(shard, reading), daemon=True).start()
        # Only then, so that this thread handles both.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        try:
            for place, event in reading.placed():
                content = self._pack(event, reading)
                if content is not None:
                    # Plain tuples are pickled much faster than named ones.
                    sender.add((*place, content))
            self._write_position(shard, reading)
            end = _WorkerEnd(self._result(reading))
        except (MemoryError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  # the parent reports it
            end = _WorkerEnd(None, _Failure.of(error))
        sender.add(end)
        sender.flush()

    def _report_position(self, shard: Shard, reading: Reading) -> None:
        """Write the position of this process to shared memory repeatedly."""
        while True:
            self._write_position(shard, reading)
            time.sleep(_POSITION_PERIOD)

    def _write_position(self, shard: Shard, reading: Reading) -> None:
        self._positions[shard.number] = reading.position
        self._finished[shard.number], self._pending[shard.number] = reading.finishing()

    def _outputs(self, worker: Worker) -> Iterator[WorkerOutput]:
        """Yield what a worker sends, until its end."""
        while True:
            try:
                batch = worker.pipe.recv_bytes()
            except (EOFError, OSError):
                raise WorkerLostError(f"a worker process {worker.cause_of_death()}") from None
            for received in _unpickled_all(batch):
                if not isinstance(received, _WorkerEnd):
                    yield WorkerOutput(Place(*received[:-1]), received[-1])
                elif received.failure is not None:
                    raise received.failure.exception()
                else:
                    self.results.append(received.result)
                    return


class _Sender:
    """Pickles objects, and sends them in batches: a batch is a stream of pickles, which may refer to earlier ones."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._begin()

    def add(self, item: object) -> None:
        """Add an object to the batch, and send the batch if it is full."""
        self._pickler.dump(item)
        if self._batch.tell() >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send the batch."""
        self._pipe.send_bytes(self._batch.getvalue())
        self._begin()

    def _begin(self) -> None:
        self._batch = io.BytesIO()
        self._pickler = pickle.Pickler(self._batch, pickle.HIGHEST_PROTOCOL)


def unpickled(data: bytes) -> Any:
    """Return what a worker sent, which is data; anything else raises UnpicklingError."""
    return _Unpickler(io.BytesIO(data)).load()


def _unpickled_all(batch: bytes) -> Iterator[Any]:
    """Yield the objects of a batch."""
    stream = io.BytesIO(batch)
    load = _Unpickler(stream).load
    while stream.tell() < len(batch):
        yield load()


class _Unpickler(pickle.Unpickler):
    """Accepts plain data only: a pickle may name any function to call, and a hijacked worker may send any pickle.

    Nobody else can: the pipe has no name, and only this process and the worker have an end of it.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return a class of data."""
        if (module, name) in _SENT:
            return super().find_class(module, name)
        if module.startswith("tlsdissect.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (issubclass(found, Struct | Enum) or hasattr(found, "_fields")):
                return found
        raise pickle.UnpicklingError(f"a worker sent {module}.{name}, which is not plain data")


class _Answer(NamedTuple):
    """What a process made that was started for one thing, or why it did not."""

    result: Any
    error: str | None = None


def send_result(pipe: Pipe, make: Callable[[], object]) -> None:
    """Send what `make` returns; without memory or without a parent, the exit status is all that is left."""
    try:
        pipe.send_bytes(pickle.dumps(_answer(make), pickle.HIGHEST_PROTOCOL))
    except MemoryError:
        os._exit(errno.ENOMEM)
    except (EOFError, OSError):
        os._exit(1)


def _answer(make: Callable[[], object]) -> _Answer:
    try:
        return _Answer(make())
    except (MemoryError, EOFError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  # the parent raises it
        return _Answer(None, f"{type(error).__name__}: {error}")


class Worker(NamedTuple):
    """A worker process, and the pipe to it."""

    process: ForkProcess
    pipe: Pipe

    def stop(self) -> None:
        """Kill the process, if it still runs."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def result(self) -> Any:
        """Wait for what the process sends by `send_result`."""
        try:
            answer: _Answer = unpickled(self.pipe.recv_bytes())
        except (EOFError, OSError):
            raise WorkerLostError(f"a worker process {self.cause_of_death()}") from None
        if answer.error is not None:
            raise WorkerError(answer.error)
        return answer.result

    def cause_of_death(self) -> str:
        """Describe how the process ended."""
        self.process.join()
        status = self.process.exitcode or 0
        if status == errno.ENOMEM:
            return f"ran out of memory: {_ONE_JOB}"
        if status >= 0:
            return "ended unexpectedly"
        if -status == signal.SIGKILL:
            return f"was killed by SIGKILL, possibly because memory ran out: {_ONE_JOB}"
        name = {one.value: one.name for one in signal.Signals}.get(-status, f"signal {-status}")
        return f"was killed by {name}"
