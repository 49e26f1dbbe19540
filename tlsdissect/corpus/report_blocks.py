"""The blocks of a report's page, packed by several processes while this one reads.

Trees, ladders and sentences are most of the work of a report, and depend only on their connection once it has links and
findings. So this process reads and hands over batches of connections, and each of the others takes the next batch when
it has finished one. Splitting the connections among reading processes, as `workers` does, would not work: none of them
knows the other connections that a link or a finding depends on.
"""

from __future__ import annotations

import errno
import os
import pickle
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.corpus.confinement import confine
from tlsdissect.corpus.workers import Worker, WorkerError, WorkerLostError, forked, unpickled
from tlsdissect.views.report.details import Blocks

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from tlsdissect.model.connection import Connection


class _Batch(NamedTuple):
    number: int
    connections: bytes


class _Packed(NamedTuple):
    text: str
    values: dict[str, bytes]
    """The nodes of DER values that this process has not sent before."""
    error: str | None = None


class ParallelBlocks:
    """As `Blocks`, in several processes."""

    def __init__(self, jobs: int) -> None:
        self._workers = [forked(_pack, duplex=True) for _ in range(jobs)]
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        self._room = threading.Semaphore(2 * jobs)
        """Of batches that wait or are being packed, so that reading does not run ahead."""
        self._packed: list[str] = []
        self._values: dict[str, bytes] = {}
        self._error: Exception | None = None
        self._threads = [threading.Thread(target=self._serve, args=(one,), daemon=True) for one in self._workers]
        for thread in self._threads:
            thread.start()

    def add(self, connections: list[tuple[Connection, list[int]]]) -> None:
        """Add a block: connections, each with the numbers of its certificates."""
        if not connections:
            return
        self._room.acquire()
        self._raise()
        # In one pickle, what connections share is written once.
        self._batches.put(_Batch(len(self._packed), pickle.dumps(connections, pickle.HIGHEST_PROTOCOL)))
        self._packed.append("")

    def finish(self) -> tuple[list[str], dict[str, bytes]]:
        """Return all blocks as text for the page, and the nodes of DER values by digest."""
        for _ in self._threads:
            self._batches.put(None)
        for thread in self._threads:
            thread.join()
        self._raise()
        return self._packed, self._values

    def close(self) -> None:
        """Kill the processes."""
        for worker in self._workers:
            worker.stop()
        for _ in self._threads:
            self._batches.put(None)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _serve(self, worker: Worker) -> None:
        """Give a worker one batch after the other; after an error, take the rest, so that nobody waits for it."""
        while (batch := self._batches.get()) is not None:
            if self._error is None:
                try:
                    worker.pipe.send_bytes(batch.connections)
                    packed: _Packed = unpickled(worker.pipe.recv_bytes())
                except (EOFError, OSError):
                    self._error = WorkerLostError(f"a process of this command {worker.cause_of_death()}")
                else:
                    self._packed[batch.number] = packed.text
                    self._values.update(packed.values)
                    if packed.error is not None:
                        self._error = WorkerError(packed.error)
            self._room.release()


def _pack(theirs: Pipe, pipe: Pipe) -> None:
    """Pack batches in a worker process, until there are no more."""
    theirs.close()
    confine(())
    blocks = Blocks()
    try:
        while True:
            connections = pipe.recv_bytes()
            pipe.send_bytes(pickle.dumps(_packed(blocks, connections)))
    except MemoryError:
        os._exit(errno.ENOMEM)
    except (EOFError, OSError):
        os._exit(0)


def _packed(blocks: Blocks, connections: bytes) -> _Packed:
    try:
        text = blocks.pack(pickle.loads(connections))  # noqa: S301  # from our own process
        return _Packed(text, blocks.values())
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # the parent raises it
        return _Packed("", {}, f"{type(error).__name__}: {error}")
