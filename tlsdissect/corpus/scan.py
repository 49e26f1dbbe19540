"""A scan: the workers of a Dask cluster read captures into a dataset, whose connections are then linked.

Dask schedules, retries and limits the memory of workers. A capture is done if its manifest describes the present
version of the file, so an interrupted scan continues where it stopped.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import dask
from dask import distributed
from msgspec import json
from msgspec.structs import asdict, replace

from tlsdissect.capture import CaptureError
from tlsdissect.corpus.cluster import as_task
from tlsdissect.corpus.dataset import DOCUMENTS, LINKED, MANIFESTS, Linked, Manifest, in_order
from tlsdissect.corpus.documents import read_connection
from tlsdissect.corpus.scanning import TRACES, LinksDigest, Plan, relink_capture, scan_capture
from tlsdissect.corpus.store import FAILURES, OTHERS, DestinationError, ids
from tlsdissect.corpus.traces import DocumentRows, read_traces
from tlsdissect.handshake.links import NONE, Linker, Links, unlinked
from tlsdissect.handshake.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask.distributed import Client

    from tlsdissect.corpus.selection import Selection
    from tlsdissect.corpus.sources import Source
    from tlsdissect.corpus.store import Store
    from tlsdissect.corpus.traces import TracedConnection
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection

_dask: Any = distributed  # most of its functions have no annotations
RETRIES = 2
"""How often Dask retries a capture after an error of the system or the network."""
MAX_SUBMITTED = 1000
"""Captures that the scheduler knows of at a time."""
_DAMAGED = "is damaged: scan its capture again"
_SECONDS_TO_CONNECT = 10
_SECONDS_FOR_WORKERS = 30


class Failure(NamedTuple):
    """A capture that is not in the dataset, or not wholly, and why."""

    source: str
    why: str


class Scan:
    """Brings captures into a dataset."""

    def __init__(self, plan: Plan, sources: Iterable[Source]) -> None:
        """Look up which captures are done; raises OSError."""
        self._plan, self._store, self._named = plan, plan.store, list(sources)
        self._done, others = self._store.manifests(MANIFESTS), self._store.manifests(OTHERS)
        self._failed = self._store.manifests(FAILURES)
        sizes = self._store.sizes()
        self._token = token_hex(8)
        """Part of the names of the tasks: a scheduler takes tasks of the same name for the same task."""
        self.pending = [one for one in self._named if not (_is_other(one, others) or self._is_done(one, sizes))]
        # The largest first: begun last, it would keep one worker busy when all others have finished.
        self.pending.sort(key=lambda one: -(one.size or 0))
        self.skipped = len(self._named) - len(self.pending)
        """Files that are unchanged since an earlier scan."""
        self.bytes = sum(one.size or 0 for one in self.pending)
        self.bytes_done = 0
        self.captures_done = 0
        self._read: set[str] = set()
        """The ids of the captures that this scan brought into the dataset."""
        self.others = 0
        """Files of folders that are no captures."""
        self.linked_part = 0.0
        """The fraction of the links that is made and written, from 0 to 1."""
        self.failures: list[Failure] = []
        damaged = ids(sizes, MANIFESTS) - self._done.keys() - {one.id for one in self.pending}
        self.damaged = [Failure(f"{MANIFESTS}/{name}.json", _DAMAGED) for name in sorted(damaged)]
        """The captures of earlier scans whose files in the dataset are damaged."""

    def _is_done(self, source: Source, sizes: dict[str, int]) -> bool:
        """Return whether the rows of a capture are in the dataset, whose files have these sizes."""
        known = self._done.get(source.id)
        return (
            known is not None
            and source.is_read(known)
            and source.id not in self._failed
            and known.files.items() <= sizes.items()
        )

    def read(self, client: Client) -> None:
        """Read the captures that are not done.

        DestinationError if their rows cannot be written, StoreError if another scan writes to the folder.
        """
        plan = as_task(client, self._plan)
        waiting = iter(self.pending)
        running = {self._submit(client, plan, one): one for one in islice(waiting, MAX_SUBMITTED)}
        finished = _dask.as_completed(list(running))
        for future in finished:
            self._finish(running.pop(future), future)
            for source in islice(waiting, 1):
                task = self._submit(client, plan, source)
                running[task] = source
                finished.add(task)

    def _submit(self, client: Client, plan: Any, source: Source) -> Any:
        old = tuple(self._done[source.id].files) if source.id in self._done else ()
        key = f"scan-{self._token}-{source.id}"
        return client.submit(scan_capture, plan, source, old, key=key, retries=RETRIES, pure=False)

    def _finish(self, source: Source, future: Any) -> None:
        error = future.exception()
        if isinstance(error, DestinationError):
            raise error
        self._store.check_held()
        if error is not None:
            why = _reason(error)
            self._write(FAILURES, source, why)
            self.failures.append(Failure(source.name, why))
        else:
            if source.id in self._failed:
                self._store.remove(f"{FAILURES}/{source.id}.json")
            manifest = future.result()
            if manifest is None:
                self._write(OTHERS, source)
                self.others += 1
            else:
                self._done[source.id] = manifest
                self._read.add(source.id)
        self.captures_done += 1
        self.bytes_done += source.size or 0

    def _write(self, folder: str, source: Source, why: str | None = None) -> None:
        manifest = Manifest(
            source=source.name, size=source.size, etag=source.etag, modified=source.modified, refused=why
        )
        self._store.write(f"{folder}/{source.id}.json", manifest)

    @property
    def captures_read(self) -> int:
        """The captures that this scan brought into the dataset and that were not refused."""
        return sum(self._done[one].refused is None for one in self._read & self._done.keys())

    @property
    def connections(self) -> int:
        """The connections that this scan brought into the dataset."""
        return sum(self._done[one].connections for one in self._read & self._done.keys())

    def count_unreported(self) -> None:
        """Count the captures that workers finished without the scan learning of it before its end."""
        found, sizes = self._store.manifests(MANIFESTS), self._store.sizes()
        for source in self.pending:
            if source.id not in self._read and source.id in found:
                self._done[source.id] = found[source.id]
                if self._is_done(source, sizes):
                    self._read.add(source.id)

    @property
    def refused(self) -> list[Failure]:
        """The captures that are broken, including those that an earlier scan found to be broken."""
        known = [(one.name, self._done[one.id]) for one in self._named if one.id in self._done]
        return [Failure(name, found.refused) for name, found in known if found.refused is not None]

    def remove_leftovers(self) -> None:
        """Remove what killed workers left in the dataset."""
        self._store.remove_leftovers()

    @property
    def is_linked(self) -> bool:
        """Whether the links are made over all captures that are done."""
        known = self._store.read(LINKED, Linked)
        return known is not None and known.digest == self._digest()

    def link(self, client: Client) -> None:
        """Make the links over all captures of the dataset, in their order; rewrite the captures whose links changed.

        Captures whose files are damaged are left out, and read again by the next scan that names them. If the workers
        that write the links of a capture are lost, the next scan makes all links again.
        """
        if self.is_linked:
            return
        ordered = sorted(self._done.items(), key=in_order)
        linker = Linker(self._plan.options.limits.max_sessions)
        plan, tasks, written = as_task(client, self._plan), [], True
        for number, (name, manifest) in enumerate(ordered):
            self._store.check_held()
            try:
                links, digest = self._links(linker, number, manifest)
            except (CaptureError, FileNotFoundError) as error:
                self._leave_out(name, manifest, error)
                continue
            if digest != manifest.links:
                task = client.submit(relink_capture, plan, name, manifest, links, digest, retries=RETRIES, pure=False)
                tasks.append((name, task))
            self.linked_part = (number + 1) / (len(ordered) + len(tasks))
        for number, (name, task) in enumerate(tasks):
            try:
                self._done[name] = task.result()
            except (CaptureError, FileNotFoundError) as error:
                self._leave_out(name, self._done[name], error)
            except (_dask.KilledWorker, MemoryError) as error:
                why = f"{_reason(error, 'wrote its links')}: run the same command to write them"
                self.failures.append(Failure(self._done[name].source, why))
                written = False
            self.linked_part = (len(ordered) + number + 1) / (len(ordered) + len(tasks))
        if not written:
            return
        self._store.write(LINKED, Linked(len(ordered), self._digest(), linker.evicted))

    def _leave_out(self, name: str, manifest: Manifest, error: Exception) -> None:
        why = str(error) if isinstance(error, CaptureError) else "a file is missing"
        self._store.write(f"{FAILURES}/{name}.json", replace(manifest, refused=f"in the dataset: {why}"))
        self.damaged.append(Failure(manifest.source, f"in the dataset: {why}: scan it again"))
        del self._done[name]

    def _digest(self) -> str:
        """Return the digest of all captures that are done, and of their links."""
        content = [(name, one.size, one.etag, one.modified, one.links) for name, one in sorted(self._done.items())]
        return sha256(json.encode(content)).hexdigest()

    def _links(self, linker: Linker, number: int, manifest: Manifest) -> tuple[dict[int, Links], str | None]:
        """Return the links of a capture's connections by their row, and their digest."""
        files = {file.partition("/")[0]: file for file in manifest.files}
        found: dict[int, Links] = {}
        digest = LinksDigest()
        with self._store.open(files[TRACES]) as file, _Documents(self._store, files[DOCUMENTS]) as documents:
            for event in read_traces(file, manifest.source):
                if isinstance(event, Session):
                    linker.learn(number, event)
                    continue
                links = linker.links(number, event.trace, documents.facts(event))
                if links is not NONE and event.row is not None:
                    digest.add(event.row, links)
                    found[event.row] = links
        return found, digest.text


class _Documents:
    """The connections of a capture that its traces do not have, read only if they are asked for."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._rows: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rows is not None:
            self._rows.close()

    def facts(self, event: TracedConnection) -> Callable[[], Connection]:
        """Return the function that reads a connection."""

        def read() -> Connection:
            return unlinked(read_connection(event.json if event.row is None else self._line(event.row)))

        return read

    def _line(self, row: int) -> bytes:
        if self._rows is None:
            self._rows = DocumentRows(self._store.open(self._name))
        line: bytes = self._rows.json(row)
        return line


def _is_other(source: Source, others: dict[str, Manifest]) -> bool:
    """Return whether an earlier scan found that a file is no capture."""
    other = others.get(source.id)
    return other is not None and source.is_read(other)


def _reason(error: BaseException, doing: str = "read it") -> str:
    if isinstance(error, _dask.KilledWorker):
        return f"{error.allowed_failures + 1} workers were lost while they {doing}, possibly because memory ran out"
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"internal error: {type(error).__name__}: {error}"


def described(options: Options, selection: Selection, keylogs: Iterable[str]) -> dict[str, Any]:
    """Return what the rows of a dataset depend on besides the captures, as JSON."""
    chosen = {name: getattr(selection, name) for name in selection.__struct_fields__}
    return {
        "limits": asdict(options.limits),
        "raw_fingerprints": options.raw_fingerprints,
        "selection": {name: _text(value) for name, value in chosen.items() if value},
        "keylogs": sorted(sha256(Path(path).read_bytes()).hexdigest() for path in keylogs),
    }


def _text(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_text(one) for one in value]
    return value if isinstance(value, bool) else str(value)


class ClusterError(Exception):
    """The cluster cannot be used; the text says why."""


@contextmanager
def connected(scheduler: str | None, jobs: int | None, memory: int | None) -> Iterator[Client]:
    """Yield the client of a scheduler; without one, that of a cluster on this machine with `jobs` workers.

    A worker of that cluster that takes more than `memory` bytes is killed. Its connections, on loopback, are encrypted
    with keys of their own, because whoever can connect to it can run code.
    """
    # What becomes of a capture is said by the command.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler is not None:
        try:
            client = _dask.Client(scheduler, timeout=_SECONDS_TO_CONNECT)
        except (OSError, ValueError) as error:
            raise ClusterError(str(error)) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=_SECONDS_FOR_WORKERS)
            except TimeoutError as error:
                raise ClusterError("has no workers") from error
            yield client
        return
    with (
        # Dask's own folder for its workers would stay behind.
        TemporaryDirectory(prefix="tlsdissect-", ignore_cleanup_errors=True) as folder,
        dask.config.set({**_LOCAL, "temporary-directory": folder}),
        _local_cluster(jobs, memory) as cluster,
        _dask.Client(cluster) as client,
    ):
        yield client


def _local_cluster(jobs: int | None, memory: int | None) -> Any:
    try:
        return _dask.LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            memory_limit="auto" if memory is None else memory,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            security=_dask.Security.temporary(),
            silence_logs=50,
        )
    except (OSError, RuntimeError) as error:
        # Also a TimeoutError, which says nothing.
        raise ClusterError(str(error) or "they took too long to start") from error


_LOCAL = {
    # A capture fails that two workers did not survive; one is not held against captures that it had not begun.
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,
    # No pages for others on this machine.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Dask would look at the stack of each worker a hundred times a second.
    "distributed.worker.profile.enabled": False,
    # Workers keep no results, so there is nothing to write to disk or to wait for.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}
