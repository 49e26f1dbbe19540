"""The workers of a Dask cluster, a capture each.

A cluster is for those who have more than one machine. On it alone captures may come over a network, by the URLs that
fsspec knows; no command of the command line does that.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture import CaptureError, NoCaptureError, open_capture
from tlsdissect.pipeline import Reading, files
from tlsdissect.transcript.links import Linker
from tlsdissect.transcript.sessions import Session
from tlsdissect.transcript.tracking.lookups import Heard
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from dask.distributed import Client, Future

    from tlsdissect.capture import PacketReader
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.options import Options

AHEAD = 2
"""Captures that each thread of a cluster reads before their turn has come: so many may wait in memory."""


class _Brought(NamedTuple):
    """What a worker found in a capture: connections and what links them, in order, and why it was refused."""

    told: tuple[Connection | Session, ...]
    refused: str | None


def read_on(client: Client, captures: Iterable[str | os.PathLike[str]], options: Options) -> Iterator[Connection]:
    """Yield the connections of captures in their order, linked over all of them, as `tlsdissect.read` does.

    Captures are paths of files or folders that the workers see too, or URLs: "s3://bucket/day-*.pcap.gz". All that a
    capture holds travels to the client at once. Raises CaptureError at the end for inputs that could not be read.
    """
    linker, refused = Linker(options.limits.max_sessions), []
    threads: dict[str, int] = client.nthreads()  # type: ignore[no-untyped-call]
    ahead = AHEAD * max(1, sum(threads.values()))
    every = enumerate(_expanded(captures))
    tasks: deque[tuple[int, str, Future[_Brought]]] = deque()
    while True:
        for number, (path, named) in islice(every, ahead - len(tasks)):
            task = client.submit(_brought, path, options, named=named, pure=False)
            tasks.append((number, path, task))
        if not tasks:
            break
        number, path, task = tasks.popleft()
        told, why = task.result()
        if why is not None:
            refused.append(f"{printable(str(path))}: {why}")
        for one in told:
            if isinstance(one, Session):
                linker.learn(number, one)
            else:
                yield linker.link(number, one)
    if refused:
        raise CaptureError("; ".join(refused))


def _brought(path: str, options: Options, *, named: bool) -> _Brought:
    """Read a capture; one that was not `named`, but found in a folder, may turn out to be none."""
    if not named:
        try:
            open_capture(path).close()
        except NoCaptureError:
            return _Brought((), None)
        except CaptureError as error:
            return _Brought((), str(error))
    reading = Reading([path], options, opener=_opened)
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
def _opened(source: str) -> Iterator[PacketReader]:
    if not _is_url(source):
        with open_capture(source) as capture:
            yield capture
        return
    import fsspec  # noqa: PLC0415  # an extra

    try:
        file = fsspec.open(source, "rb").open()
    except OSError as error:
        raise CaptureError(error.strerror or f"cannot be opened: {error}") from error
    with file, open_capture(file) as capture:
        yield capture
