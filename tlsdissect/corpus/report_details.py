"""The details of a report's connections, made by forks of the process that reads.

Whatever reads connections also links them, in the order of the page, so one process reads all of them. Sending a
connection with its transcript to another process takes as long as making half of its details. So this process keeps
connections until there are enough for a fork, which has them without receiving them, and which sends back only what the
page has: a tenth of their bytes, compressed. While no more processes may run, this process makes details itself.

A block depends on its connections alone, and DER values are sorted by digest: the page is the same for any number of
processes.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from tlsdissect.corpus.workers import Worker, forked, send_result
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.views.report.details import Blocks, Made, value_blocks

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from tlsdissect.model.connection import Connection

    Block = list[tuple[Connection, list[int]]]

BATCH_BLOCKS: Final = 16
"""Blocks of connections for one fork: making their details takes ten times as long as the fork."""
MAX_WAITING: Final = 32
"""Blocks that wait for a fork; beyond it, this process makes details itself."""
WAITING_BYTES: Final = 32 << 20
"""Bytes of packets of the connections that wait for a fork; beyond it, this process makes details itself."""


class ParallelBlocks:
    """As `Blocks`, in several processes."""

    def __init__(self, jobs: int) -> None:
        """Start up to `jobs` - 1 processes at a time, besides this one."""
        self._own = Blocks()
        self._jobs = jobs
        self._waiting: list[Block] = []
        self._waiting_bytes = 0
        self._made: list[Made | None] = []
        """Each batch in order; None while a fork makes it."""
        self._forks: dict[int, Worker] = {}
        """Forks by the number of their batch."""

    def add(self, connections: Block) -> None:
        """Add a block: connections, each with the numbers of its certificates."""
        if not connections:
            return
        self._waiting.append(connections)
        self._waiting_bytes += sum(_kept_bytes(one) for one, _ in connections)
        for number in [number for number, fork in self._forks.items() if fork.pipe.poll()]:
            self._receive(number)
        # What is made here first teaches this process the patterns that its forks know.
        if not self._made:
            self._make()
        elif len(self._waiting) >= BATCH_BLOCKS and len(self._forks) < self._jobs - 1:
            self._fork()
        elif len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= WAITING_BYTES:
            self._make()

    def finish(self) -> tuple[list[str], list[str]]:
        """Return the blocks of details and those of DER values, as text for the page."""
        self._make()
        for number in list(self._forks):
            self._receive(number)
        parts = [made for made in self._made if made is not None]
        blocks = [block for made in parts for block in made.blocks]
        return blocks, value_blocks({digest: value for made in parts for digest, value in made.values.items()})

    def close(self) -> None:
        """Kill the processes."""
        for fork in self._forks.values():
            fork.stop()
        self._forks.clear()

    def _fork(self) -> None:
        """Start a process that makes the details of the waiting blocks."""
        self._forks[len(self._made)] = forked(partial(self._send, self._taken()), duplex=False)
        self._made.append(None)

    def _make(self) -> None:
        """Make the details of the blocks that wait."""
        self._made.append(self._details(self._taken()))

    def _taken(self) -> list[Block]:
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return batch

    def _send(self, batch: list[Block], theirs: Pipe, pipe: Pipe) -> None:
        """Make details in a fork, and end it."""
        theirs.close()
        send_result(pipe, lambda: self._details(batch))
        # The usual end would flush standard error, whose lock the thread of the status line may have had at the fork.
        os._exit(0)

    def _details(self, batch: list[Block]) -> Made:
        for block in batch:
            self._own.add(block)
        return self._own.take()

    def _receive(self, number: int) -> None:
        """Take what a fork has made, and let it end."""
        fork = self._forks[number]
        self._made[number] = fork.result()
        del self._forks[number]
        fork.stop()


def _kept_bytes(connection: Connection) -> int:
    if not isinstance(connection, KeptConnection):
        return 0
    return sum([len(packet.payload) for packet in connection.transcript.packets])
