"""More than one processor: several processes for all captures, or the workers of a Dask cluster, a capture each.

Each process reads all packets, follows its share of the conversations, and writes what it finds. Numbering comes
before sharing, so that each process numbers alike; what they write is merged by its place. Output is so the same for
any number of processes.

A cluster is for those who have more than one machine. On it alone captures may come over a network, by the URLs that
fsspec knows; no command of the command line does that.
"""

from __future__ import annotations

import heapq
import os
import pickle
import signal
import struct
from collections import deque
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, NamedTuple, TypeVar

from tlsdissect.capture import CaptureError, NoCaptureError, open_capture
from tlsdissect.pipeline import Place, Reading, files
from tlsdissect.streams.directory import Share
from tlsdissect.streams.flows import DEFAULTS
from tlsdissect.transcript.links import Linker
from tlsdissect.transcript.sessions import Session
from tlsdissect.transcript.tracking.lookups import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask.distributed import Client, Future

    from tlsdissect.capture import Capture
    from tlsdissect.pipeline import Told
    from tlsdissect.streams.limits import Limits
    from tlsdissect.transcript.connection import Connection

BYTES_A_JOB = 16 << 20
"""Bytes of captures that make another process worthwhile."""

AHEAD = 2
"""Captures that each thread of a cluster reads before their turn has come: so many may wait in memory."""

_HEADER = struct.Struct("<qqqqqq")
"""Place (four numbers), bytes of the captures read so far, and length of what follows; -1: the worker's account."""
_BUFFER = 1 << 20

Account = TypeVar("Account")


class Line(NamedTuple):
    """What a worker wrote of a connection, or of a session."""

    place: Place
    position: int
    text: bytes


class WorkerError(Exception):
    """A worker ended without its account; the text says why."""


def worthwhile(captures: list[str], jobs: int | None = None) -> int:
    """How many processes to use: those asked for, or one a core, but no more than there is work for.

    One for what can be read only once, as a pipe.
    """
    if any(not Path(path).is_file() and not Path(path).is_dir() for path in captures):
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
        reading: Callable[[Share], Reading],
        write: Callable[[Told], bytes],
        account: Callable[[Reading], Account],
    ) -> None:
        self._reading, self._write, self._account = reading, write, account
        self.accounts: list[Account] = []
        self.position = 0
        self._workers = [self._start(Share(number, jobs)) for number in range(jobs)]

    def __iter__(self) -> Iterator[Line]:
        """Yield what the workers write, in its place."""
        try:
            for line in heapq.merge(*(self._lines(pipe) for _, pipe in self._workers)):
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

    def _start(self, share: Share) -> tuple[int, BinaryIO]:
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
        finally:
            os._exit(status)

    def _work(self, share: Share, pipe: BinaryIO) -> None:
        reading = self._reading(share)
        signal.signal(signal.SIGTERM, lambda *_: reading.stop())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        try:
            for place, told in reading.placed():
                text = self._write(told)
                pipe.write(_HEADER.pack(*place, reading.position, len(text)) + text)
            last: object = self._account(reading)
        except Exception as error:  # noqa: BLE001  # what it is, the parent tells
            last = WorkerError(f"{type(error).__name__}: {error}")
        pipe.write(_HEADER.pack(0, 0, 0, 0, 0, -1) + pickle.dumps(last))

    def _lines(self, pipe: BinaryIO) -> Iterator[Line]:
        while len(header := pipe.read(_HEADER.size)) == _HEADER.size:
            *place, position, size = _HEADER.unpack(header)
            if size < 0:
                last = pickle.loads(pipe.read())  # noqa: S301  # from our own process
                if isinstance(last, WorkerError):
                    raise last
                self.accounts.append(last)
                return
            yield Line(Place(*place), position, pipe.read(size))
        raise WorkerError("a worker process was ended from outside")


class _Brought(NamedTuple):
    """What a worker found in a capture: connections and what links them, in order, and why it was refused."""

    told: tuple[Connection | Session, ...]
    refused: str | None


def read_on(
    client: Client, captures: Iterable[str | os.PathLike[str]], *, limits: Limits = DEFAULTS, **options: Any
) -> Iterator[Connection]:
    """Yield the connections of captures in their order, linked over all of them, as `tlsdissect.read` does.

    Captures are paths of files or folders that the workers see too, or URLs: "s3://bucket/day-*.pcap.gz". All that a
    capture holds travels to the client at once. Raises CaptureError at the end for inputs that could not be read.
    """
    linker, refused = Linker(limits.max_sessions), []
    threads: dict[str, int] = client.nthreads()  # type: ignore[no-untyped-call]
    ahead = AHEAD * max(1, sum(threads.values()))
    every = enumerate(_expanded(captures))
    tasks: deque[tuple[int, str, Future[_Brought]]] = deque()
    while True:
        for number, (path, named) in islice(every, ahead - len(tasks)):
            task = client.submit(_brought, path, named=named, limits=limits, pure=False, **options)
            tasks.append((number, path, task))
        if not tasks:
            break
        number, path, task = tasks.popleft()
        told, why = task.result()
        if why is not None:
            refused.append(f"{path}: {why}")
        for one in told:
            if isinstance(one, Session):
                linker.learn(number, one)
            else:
                yield linker.link(number, one)
    if refused:
        raise CaptureError("; ".join(refused))


def _brought(path: str, *, named: bool, limits: Limits, **options: Any) -> _Brought:
    """Read a capture; one that was not `named`, but found in a folder, may turn out to be none."""
    if not named:
        try:
            open_capture(path).close()
        except NoCaptureError:
            return _Brought((), None)
        except CaptureError as error:
            return _Brought((), str(error))
    reading = Reading([path], limits=limits, opener=_opened, **options)
    told = tuple([one for _, one in reading.placed() if not isinstance(one, Heard)])
    return _Brought(told, "; ".join(why for _, why in reading.summary.refused) or None)


def _expanded(captures: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[str, bool]]:
    """The files of folders and of URLs with asterisks, and whether each was named itself."""
    for capture in map(str, captures):
        if not _is_url(capture):
            yield from files([capture])
            continue
        import fsspec  # noqa: PLC0415  # an extra

        system, _, paths = fsspec.get_fs_token_paths(capture)
        yield from ((system.unstrip_protocol(path), True) for path in paths)


def _is_url(capture: str) -> bool:
    return "://" in capture


@contextmanager
def _opened(source: str, *, batch: int) -> Iterator[Capture]:
    if not _is_url(source):
        with open_capture(source, batch=batch) as capture:
            yield capture
        return
    import fsspec  # noqa: PLC0415  # an extra

    try:
        file = fsspec.open(source, "rb").open()
    except OSError as error:
        raise CaptureError(error.strerror or f"cannot be opened: {error}") from error
    with file, open_capture(file, batch=batch) as capture:
        yield capture
