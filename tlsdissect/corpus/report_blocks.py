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
from tlsdissect.views.report.details import Blocks, packed_values, value_blocks

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tree.layouts import DerBytes


class _Batch(NamedTuple):
    number: int
    blocks: list[str]
    """Where the block is put, at its number."""
    content: bytes
    """Connections with the numbers of their certificates, or DER values by digest."""


class _Packed(NamedTuple):
    text: str
    values: dict[str, DerBytes]
    """The DER values that this process has not sent before."""
    error: str | None = None


class ParallelBlocks:
    """As `Blocks`, in several processes."""

    def __init__(self, jobs: int) -> None:
        self._workers = [forked(_pack, duplex=True) for _ in range(jobs)]
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        self._waiting = 2 * jobs
        self._room = threading.Semaphore(self._waiting)
        """Of batches that wait or are being packed, so that reading does not run ahead."""
        self._packed: list[str] = []
        self._values: dict[str, DerBytes] = {}
        self._error: Exception | None = None
        self._threads = [threading.Thread(target=self._serve, args=(one,), daemon=True) for one in self._workers]
        for thread in self._threads:
            thread.start()

    def add(self, connections: list[tuple[Connection, list[int]]]) -> None:
        """Add a block: connections, each with the numbers of its certificates."""
        if connections:
            self._add(connections, self._packed)

    def finish(self) -> tuple[list[str], list[str]]:
        """Return all blocks as text for the page, and those of DER values."""
        # Which values there are is known when all connections are packed.
        for _ in range(self._waiting):
            self._room.acquire()
        for _ in range(self._waiting):
            self._room.release()
        values: list[str] = []
        for block in value_blocks(self._values):
            self._add(block, values)
        for _ in self._threads:
            self._batches.put(None)
        for thread in self._threads:
            thread.join()
        self._raise()
        return self._packed, values

    def _add(self, content: object, blocks: list[str]) -> None:
        self._room.acquire()
        self._raise()
        # In one pickle, what connections share is written once.
        self._batches.put(_Batch(len(blocks), blocks, pickle.dumps(content, pickle.HIGHEST_PROTOCOL)))
        blocks.append("")

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
                    worker.pipe.send_bytes(batch.content)
                    packed: _Packed = unpickled(worker.pipe.recv_bytes())
                except (EOFError, OSError):
                    self._error = WorkerLostError(f"a process of this command {worker.cause_of_death()}")
                else:
                    batch.blocks[batch.number] = packed.text
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
            content = pipe.recv_bytes()
            pipe.send_bytes(pickle.dumps(_packed(blocks, content)))
    except MemoryError:
        os._exit(errno.ENOMEM)
    except (EOFError, OSError):
        os._exit(0)


def _packed(blocks: Blocks, content: bytes) -> _Packed:
    try:
        unpacked = pickle.loads(content)  # noqa: S301  # from our own process
        text = packed_values(unpacked) if isinstance(unpacked, dict) else blocks.pack(unpacked)
        return _Packed(text, blocks.values())
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # the parent raises it
        return _Packed("", {}, f"{type(error).__name__}: {error}")
