"""Reading with the workers of a Dask cluster, one capture per task.

This is what `cluster=` in Python does; captures may be URLs that fsspec supports.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from tlsdissect.capture import CaptureError, NoCaptureError, open_capture
from tlsdissect.capture.inputs import find_inputs
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.time_order import open_in_order
from tlsdissect.corpus.sources import SourceFile, file_system, is_url
from tlsdissect.handshake.links import Linker
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.handshake.sessions import Session
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from dask.distributed import Client, Future

    from tlsdissect.capture import PacketReader
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.verdicts import Settings

MAX_AHEAD = 2
"""Captures per thread of the cluster that may be read ahead of their turn, and so wait in memory."""


class _CaptureResult(NamedTuple):
    """What a worker read from a capture: its connections and sessions in order, and why it was refused, if it was."""

    events: tuple[Connection | Session, ...]
    begin: int
    """The time of its first packet."""
    refused: str | None


class _Plan(NamedTuple):
    """How a worker reads a capture."""

    options: Options
    settings: Settings | None
    """What findings depend on; None without findings."""
    min_severity: str


def read_with_cluster(
    client: Client,
    captures: Iterable[str | os.PathLike[str]],
    options: Options,
    selection: Selection,
    judge: Judge | None = None,
) -> Iterator[Connection]:
    """Yield the selected connections of captures in order, linked across all of them, as `tlsdissect.read` does.

    Captures are URLs such as "s3://bucket/day-*.pcap.gz", or paths of files or folders that the workers can also read.
    All connections of a capture are sent to the client together, with their findings if there is a judge. Raises
    CaptureError at the end if inputs could not be read.
    """
    linker, refused = Linker(options.limits.max_sessions), []
    threads: dict[str, int] = client.nthreads()  # type: ignore[no-untyped-call]
    ahead = MAX_AHEAD * max(1, sum(threads.values()))
    every = enumerate(_expanded(captures))
    plan = _Plan(options, None if judge is None else judge.settings, "info" if judge is None else judge.min_severity)
    # Authorities, CRLs and keys may be large, so they are sent once.
    shared = as_task(client, plan)
    tasks: deque[tuple[int, str, Future[_CaptureResult]]] = deque()
    while True:
        for number, (path, named) in islice(every, ahead - len(tasks)):
            task = client.submit(_read_capture, path, shared, named=named, pure=False)
            tasks.append((number, path, task))
        if not tasks:
            break
        number, path, task = tasks.popleft()
        events, begin, why = task.result()
        if why is not None:
            refused.append(f"{printable(str(path))}: {why}")
        for event in events:
            if isinstance(event, Session):
                linker.learn(number, event)
            elif selection.matches(connection := linker.link(number, event), begin):
                yield connection
    if refused:
        raise CaptureError("; ".join(refused))


def as_task(client: Client, value: Any) -> Any:
    """Return a value as the result of a task: if its worker is lost, Dask makes it again, unlike scattered data."""
    return client.submit(_itself, value, pure=False)


def _itself(value: Any) -> Any:
    return value


def _read_capture(path: str, plan: _Plan, *, named: bool) -> _CaptureResult:
    """Read a capture; a file found in a folder, rather than `named` by the caller, need not be one."""
    if not named:
        try:
            open_capture(path).close()
        except NoCaptureError:
            return _CaptureResult((), UNTIMED, None)
        except CaptureError as error:
            return _CaptureResult((), UNTIMED, str(error))
    # A judge remembers verdicts, and threads cannot share it. Findings depend on nothing outside of their capture.
    judge = None if plan.settings is None else Judge(plan.settings, min_severity=plan.min_severity)
    reading = Reading([path], plan.options, judge=judge, opener=_opened)
    events = tuple([event for _, event in reading.placed() if not isinstance(event, CapturedLookup)])
    return _CaptureResult(events, reading.begin, "; ".join(why for _, why in reading.summary.refused) or None)


def _expanded(captures: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[str, bool]]:
    """Expand folders and URL patterns into files; the flag is true for a file that the caller named."""
    for capture in map(str, captures):
        if not is_url(capture):
            yield from ((one.path, one.named) for one in find_inputs([capture]).files)
            continue
        system, path = file_system(capture)
        yield from ((system.unstrip_protocol(one), True) for one in system.expand_path(path))


@contextmanager
def _opened(source: str) -> Iterator[PacketReader]:
    if not is_url(source):
        with open_in_order(source) as capture:
            yield capture
        return
    try:
        file = SourceFile(source)
    except OSError as error:
        raise CaptureError(error.strerror or f"cannot be opened: {error}") from error
    with file, open_capture(file.binary) as capture:
        yield capture
