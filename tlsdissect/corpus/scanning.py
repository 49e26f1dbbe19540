"""A worker of `scan` reads one capture into the files of a dataset: all of them, or none.

Rows are written to Parquet files in groups as they are read, so that memory does not grow with the capture. Links are
made within the capture at first, and over the whole dataset by `relink_capture`.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from msgspec.structs import replace

from tlsdissect.capture import CaptureError, NoCaptureError, open_capture
from tlsdissect.capture.inputs import Input, Inputs
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.reader import open_frames
from tlsdissect.capture.time_order import open_by_time
from tlsdissect.corpus.dataset import DOCUMENTS, MANIFESTS, Manifest
from tlsdissect.corpus.documents import DocumentWriter, read_documents, summary_to_json
from tlsdissect.corpus.sources import HEAD_BYTES, SourceFile, is_url
from tlsdissect.corpus.traces import TraceWriter
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.links import NONE, Linker, Links, Trace, linked, unlinked
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.handshake.sessions import Session
from tlsdissect.model.connection import Connection
from tlsdissect.pipeline import Reading
from tlsdissect.views.ndjson import json_line
from tlsdissect.views.parquet import ParquetRows
from tlsdissect.views.printable import without_surrogates
from tlsdissect.views.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from tlsdissect.capture import PacketReader
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.corpus.sources import Source
    from tlsdissect.corpus.store import Store
    from tlsdissect.handshake.options import Options
    from tlsdissect.views.tables import Table

TRACES = "traces"
"""The folder of what links are made from."""
SCANNED_TABLES = tuple(table for table in TABLES if table.name != "findings")
"""The tables of a dataset. Findings depend on authorities and times that are given when it is read."""


class Plan(NamedTuple):
    """What a scan does with each capture."""

    store: Store
    options: Options
    selection: Selection


def scan_capture(plan: Plan, source: Source, old: Collection[str] = ()) -> Manifest | None:
    """Read a capture into the dataset and return its manifest; None for a file of a folder that is not a capture.

    `old` are its files from an earlier scan. Raises OSError if the capture cannot be read or its files cannot be
    written.
    """
    manifest = Manifest(
        source=without_surrogates(source.name),
        size=source.size,
        etag=source.etag,
        modified=source.modified,
        program=version("tlsdissect"),
    )
    store = plan.store
    with store.folder_for_parts() as folder:
        parts = _Parts(store, folder)
        read = _read(plan, source, manifest, parts)
        if read is None:
            return None
        names = {name: f"{name}/day={read.day}/{source.id}.parquet" for name in parts.names}
        if old:
            store.remove(f"{MANIFESTS}/{source.id}.json")
        for name in old:
            if name not in names.values():
                store.remove(name)
        read = replace(read, files={target: parts.size(name) for name, target in names.items()})
        for name, target in names.items():
            store.place(parts.path(name), target)
    store.write(f"{MANIFESTS}/{source.id}.json", read)
    return read


class _Parts:
    """The files that are written for one capture."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self.names: list[str] = []

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self._folder / f"{name}.parquet"

    def size(self, name: str) -> int:
        """Return the size of a file that was written."""
        return self.path(name).stat().st_size

    def open(self, files: ExitStack, name: str) -> Callable[[bytes], object]:
        """Open a file, which `files` closes; what pyarrow writes of a file that was given up is dropped."""
        self.names.append(name)
        errors = self._store.part_errors
        with errors():
            file = self.path(name).open("wb")

        def close() -> None:
            with errors():
                file.close()

        def write(data: bytes) -> None:
            if not file.closed:
                with errors():
                    file.write(data)

        files.callback(close)
        return write


class _RowWriter:
    """Writes the connections of a capture into its documents and tables."""

    def __init__(self, parts: _Parts, files: ExitStack, evidence: Evidence, tables: Iterable[Table]) -> None:
        self._documents = DocumentWriter(parts.open(files, DOCUMENTS))
        self._evidence = evidence
        self._tables = [(table, ParquetRows(table, parts.open(files, table.name))) for table in tables]
        self.connections = 0
        self.rows = 0
        """Those of the documents, with lookups."""

    def lookup(self, captured: CapturedLookup) -> None:
        """Write a revocation lookup, which only the documents contain."""
        self.rows += 1
        self._documents.lookup(captured)

    def add(self, connection: Connection) -> None:
        """Write a connection."""
        self.connections += 1
        self.rows += 1
        self._documents.connection(connection, self._evidence)
        for table, writer in self._tables:
            for row in table.rows(connection):
                writer.add(row)

    def end(self) -> None:
        """Finish the files."""
        self._documents.end()
        for _, writer in self._tables:
            writer.end()


def _read(plan: Plan, source: Source, manifest: Manifest, parts: _Parts) -> Manifest | None:
    """Read a capture, and write its rows; return the manifest with what was read, None if it need not be a capture."""
    options, selection = plan.options, plan.selection
    evidence, linker, digest = Evidence(), Linker(options.limits.max_sessions), LinksDigest()
    opener, inputs = _Opener(), Inputs((Input(source.name, source.named),), ())
    reading = Reading([source.name], options, evidence=evidence, opener=opener, inputs=inputs)
    with ExitStack() as files:
        rows, traces = _RowWriter(parts, files, evidence, SCANNED_TABLES), TraceWriter(parts.open(files, TRACES))
        for _, event in reading.placed():
            if isinstance(event, Session):
                linker.learn(0, event)
                traces.session(event)
            elif isinstance(event, Connection):
                trace = Trace.of(event)
                links = linker.links(0, trace, lambda: event)  # noqa: B023  # called before the next event
                selected = selection.matches(event, reading.begin)
                traces.connection(event, trace, rows.rows if selected else None)
                if selected:
                    digest.add(rows.rows, links)
                    rows.add(linked(event, links))
            else:
                rows.lookup(event)
        opener.raise_error()
        if reading.summary.spill_error:
            raise OSError(reading.summary.spill_error)
        if opener.no_capture and not source.named:
            return None
        rows.end()
        traces.end()
    first = opener.first_time()
    summary = reading.summary
    summary.evicted_sessions = linker.evicted
    return replace(
        manifest,
        first=first,
        day="unknown" if first is None else datetime.fromtimestamp(first // 10**9, UTC).strftime("%Y-%m-%d"),
        begin=None if reading.begin == UNTIMED else reading.begin,
        connections=rows.connections,
        links=digest.text,
        summary=summary_to_json(summary),
        refused="; ".join(why for _, why in summary.refused) or None,
    )


def relink_capture(plan: Plan, name: str, manifest: Manifest, links: dict[int, Links], digest: str | None) -> Manifest:
    """Write the documents and connections of a capture again with these links, by row of the documents.

    The manifest gets the new digest last, so that an interrupted relinking is repeated.
    """
    store, evidence, tables = plan.store, Evidence(), [table for table in SCANNED_TABLES if table.name == "connections"]
    targets = {file.partition("/")[0]: file for file in manifest.files}
    with store.folder_for_parts() as folder:
        parts = _Parts(store, folder)
        with ExitStack() as files, store.open(targets[DOCUMENTS]) as documents:
            rows = _RowWriter(parts, files, evidence, tables)
            for event in read_documents(documents, evidence):
                if isinstance(event, CapturedLookup):
                    rows.lookup(event)
                else:
                    rows.add(linked(unlinked(event), links.get(rows.rows, NONE)))
            rows.end()
        sizes = {targets[one]: parts.size(one) for one in parts.names}
        for one in parts.names:
            store.place(parts.path(one), targets[one])
    manifest = replace(manifest, links=digest, files={**manifest.files, **sizes})
    store.write(f"{MANIFESTS}/{name}.json", manifest)
    return manifest


class LinksDigest:
    """A digest of the links of a capture's connections."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._any = False

    def add(self, row: int, links: Links) -> None:
        """Add the links of a connection."""
        if links is not NONE:
            self._any = True
            self._hash.update(json_line((row, links)))

    @property
    def text(self) -> str | None:
        """The digest; None without links."""
        return self._hash.hexdigest() if self._any else None


class _Opener:
    """Opens a capture, and keeps what its reading does not say."""

    def __init__(self) -> None:
        self._file: SourceFile | None = None
        self.no_capture = False
        """Whether the first bytes are those of no format."""

    @contextmanager
    def __call__(self, source: str) -> Iterator[PacketReader]:
        """Open a capture."""
        with SourceFile(source) as self._file:
            ordered = None if is_url(source) else open_by_time(source)
            if ordered is not None:
                self._file.read(HEAD_BYTES)
                with ordered:
                    yield ordered
                return
            try:
                capture = open_capture(self._file.binary)
            except NoCaptureError:
                self.no_capture = True
                raise
            with capture:
                yield capture

    def raise_error(self) -> None:
        """Raise the error of the file system that the reading took for the end of the capture."""
        if self._file is not None and self._file.error is not None:
            raise self._file.error

    def first_time(self) -> int | None:
        """Return the time of the first frame, which is among the first bytes nearly always; None if it has none."""
        if self._file is None:
            return None
        head = self._file.head
        first = _first_time(BytesIO(head))
        if first is None and len(head) == HEAD_BYTES:
            with SourceFile(self._file.name) as file:
                first = _first_time(file.binary)
        return first


def _first_time(file: BinaryIO) -> int | None:
    try:
        with closing(open_frames(file)) as frames:
            return frames.time if frames.next_frame() and frames.time != UNTIMED else None
    except CaptureError:
        return None
