"""Reads datasets of `tlsdissect scan` instead of captures: their connections, without the captures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from msgspec import Meta, MsgspecError, Raw, Struct, json
from msgspec.structs import replace

from tlsdissect.capture import CaptureError
from tlsdissect.capture.inputs import walked
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.corpus.plausible import checked
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.pipeline import Reading, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.corpus.selection import Selection
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.judge import Judge

T = TypeVar("T", bound=Struct)

MARK = "dataset.json"
"""The file that makes a folder a dataset."""
FORMAT = "tlsdissect-dataset"
VERSION = 1
"""The version of the layout that is written, and the highest that is read."""
LINKED = "linked.json"
"""The file that is written when the links between connections were made over all captures."""
MANIFESTS, DOCUMENTS = "manifest", "documents"
"""The folders of the manifest of each capture, and of its connections as they are read again."""
_NOTHING = Raw(b"{}")


class DatasetError(ValueError):
    """What was asked for cannot be had of a dataset; the text says why."""


class Mark(Struct, frozen=True):
    """The content of dataset.json."""

    format: str
    version: int
    options: dict[str, Any] = {}
    """What the rows depend on besides the captures."""


_FileName = Annotated[str, Meta(pattern=r"^[a-z_]+/day=(\d{4}-\d\d-\d\d|unknown)/[0-9a-f]{32}\.parquet$")]
"""The name of a file in a dataset. Nothing else is replaced or removed, whatever the manifest of a dataset says that
others may have written."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What a dataset says of one capture; times are in nanoseconds since 1970-01-01T00:00:00Z."""

    source: str
    size: int | None
    etag: str | None
    modified: str | None
    first: int | None = None
    """The time of its first frame."""
    begin: int | None = None
    """The time of its first TCP, UDP or EAP packet."""
    day: Annotated[str, Meta(pattern=r"^(\d{4}-\d\d-\d\d|unknown)$")] = "unknown"
    """The day of its first frame in UTC."""
    files: dict[_FileName, int] = {}
    """The names of its files in the dataset, with their sizes in bytes."""
    connections: int = 0
    """Those in the dataset: the selected ones."""
    links: str | None = None
    """A digest of the links between its connections and others; None if there are none."""
    summary: Raw = _NOTHING
    """The totals of its reading, as `documents.summary_to_json` makes them. They stay encoded until they are needed,
    for a dataset may have many manifests."""
    refused: str | None = None
    """Why it could not be read."""
    program: str = ""
    """The version of tlsdissect that read it."""


class Linked(Struct, frozen=True):
    """The content of linked.json."""

    captures: int
    digest: str
    """Of the captures, their versions and their links."""
    evicted_sessions: int
    """Sessions and failures that were evicted, so that later connections could not be linked to them."""


class _Entry(NamedTuple):
    """A capture of a dataset."""

    manifest: Manifest
    documents: Path
    """The file of its connections."""


def is_dataset(path: str) -> bool:
    """Return whether this is the folder of a dataset."""
    return os.path.isfile(os.path.join(path, MARK))  # noqa: PTH113, PTH118 (false for a path that cannot be examined)


def are_datasets(inputs: Sequence[str]) -> bool:
    """Return whether inputs are datasets; DatasetError if only some of them are."""
    datasets = [path for path in inputs if is_dataset(path)]
    if datasets and len(datasets) < len(inputs):
        raise DatasetError(f"{datasets[0]} is a dataset, which cannot be read together with captures")
    return bool(datasets)


def start_reading(
    inputs: Sequence[str],
    options: Options,
    selection: Selection,
    *,
    judge: Judge | None = None,
    evidence: Evidence | None = None,
) -> Reading | DatasetReading:
    """Start reading captures, or the datasets in their place; DatasetError if that cannot be done."""
    if are_datasets(inputs):
        return DatasetReading(inputs, options, selection, judge=judge, evidence=evidence)
    return Reading(inputs, options, judge=judge, evidence=evidence)


class DatasetReading:
    """The connections of datasets, capture by capture in the order of their first frames.

    A dataset or a part of it that cannot be read is added to `summary.refused`, and the others are still read.
    """

    def __init__(
        self,
        datasets: Iterable[str],
        options: Options,
        selection: Selection,
        *,
        judge: Judge | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """With a judge, connections have findings.

        If no connection of a capture can start within the selected times, only its totals are read. Raises DatasetError
        for options that need packets.
        """
        check_options(options)
        self._paths = tuple(datasets)
        self._options = options
        self._selection = selection
        self._judge = judge
        self._evidence = Evidence() if judge is not None and evidence is None else evidence
        self._stopped = False
        self._done = 0
        self._size: int | None = None
        self.begin = UNTIMED
        """Time of the first TCP, UDP or EAP packet of the capture that is read; UNTIMED if none had one."""
        self.summary = Summary()
        self.waiting = False
        """Whether it waits for packets: never."""

    def __iter__(self) -> Iterator[Connection]:
        """Yield the connections, with the links that were made over the whole dataset."""
        entries = [one for path in self._paths for one in self._entries(path)]
        evicted = sum(_evicted_sessions(path) for path in self._paths)
        self._size = sum(_size(one.documents) for one in entries)
        for one in entries:
            if self._stopped:
                return
            yield from self._connections(one)
            self._done += _size(one.documents)
        self.summary.evicted_sessions = evicted
        if not (self.summary.captures or self.summary.refused or self._stopped):
            self.summary.refused += [(path, "has no capture in it") for path in self._paths]

    def _entries(self, path: str) -> list[_Entry]:
        """Return the captures of a dataset in their order."""
        found: list[_Entry] = []
        mark = Path(path, MARK)
        try:
            _check_mark(_decoded(mark, Mark), self._options)
        except CaptureError as error:
            self.summary.refused.append((str(mark), str(error)))
            return found
        files = sorted(Path(path, MANIFESTS).glob("*.json"))
        for file in files:
            try:
                manifest = _decoded(file, Manifest)
            except CaptureError as error:
                self.summary.refused.append((str(file), str(error)))
            else:
                found.append(_Entry(manifest, Path(path, DOCUMENTS, f"day={manifest.day}", f"{file.stem}.parquet")))
        return sorted(found, key=lambda one: in_order((one.documents.stem, one.manifest)))

    def _connections(self, entry: _Entry) -> Iterator[Connection]:
        from tlsdissect.corpus.documents import read_documents, summary_from_json  # noqa: PLC0415 (an extra)

        manifest, file = entry
        try:
            totals = summary_from_json(manifest.summary)
            self.summary.include(totals)
            if not totals.connections or not self._may_be_selected(totals):
                return
            self.begin = UNTIMED if manifest.begin is None else manifest.begin
            with file.open("rb") as opened:
                for event in read_documents(opened, self._evidence):
                    if self._stopped:
                        return
                    if not isinstance(event, CapturedLookup):
                        yield self._with_findings(event)
                    elif self._evidence is not None:
                        self._evidence.add_lookup(event)
        except (CaptureError, OSError) as error:
            self.summary.refused.append((str(file), getattr(error, "strerror", None) or str(error)))

    def _with_findings(self, connection: Connection) -> Connection:
        if self._judge is None or self._evidence is None:
            return connection
        return replace(connection, findings=self._judge.findings(connection, self._evidence))

    def _may_be_selected(self, totals: Summary) -> bool:
        """Return whether a connection of a capture may start in the selected times."""
        return any(
            UNTIMED in (span.begin, span.end) or self._selection.may_start_in(span.begin, span.end)
            for span in totals.spans
        )

    def stop(self) -> None:
        """Stop reading."""
        self._stopped = True

    def progress(self) -> tuple[int, int | None]:
        """Return the bytes of the files that were read, and of all files once they are known."""
        return self._done, self._size

    def finishing(self) -> tuple[int, int]:
        """Return 0 of 0: no connection waits for the end of a capture."""
        return 0, 0


def check_options(options: Options) -> None:
    """Raise DatasetError if options need the packets, which a dataset has not."""
    if options.joined:
        raise DatasetError("--joined: a dataset has no packets; each capture in it was read alone")
    if options.keylog is not None:
        raise DatasetError("--keylog: a dataset has no packets to decrypt; name the captures instead")
    if options.keep:
        raise DatasetError("a dataset has no packets, which are needed here; name the captures instead")
    if options.idle is not None:
        raise DatasetError("--emit decided cannot be used with a dataset, which has only connections that have ended")


def _check_mark(mark: Mark, options: Options) -> None:
    """Raise CaptureError if a dataset cannot be read, or lacks what the options ask for."""
    if mark.format != FORMAT:
        raise CaptureError(f"is not in the format {FORMAT}")
    if mark.version > VERSION:
        raise CaptureError(
            f"written by a newer version of tlsdissect: layout {mark.version}, this version reads up to {VERSION}"
        )
    if options.raw_fingerprints and not mark.options.get("raw_fingerprints"):
        raise CaptureError("has no unhashed fingerprints: it was written without --raw-fingerprints")


def in_order(entry: tuple[str, Manifest]) -> tuple[bool, int, list[tuple[bool, list[str | int]]]]:
    """Return the key of the order in which `read` would read the captures of a folder, by their ids and manifests."""
    manifest = entry[1]
    return manifest.first is None, manifest.first or 0, walked(manifest.source)


def _decoded(file: Path, of: type[T]) -> T:
    """Read a JSON file; CaptureError if it cannot be read."""
    try:
        value: T = json.decode(file.read_bytes(), type=checked(of))
    except OSError as error:
        raise CaptureError(error.strerror or str(error)) from error
    except (MsgspecError, RecursionError, ValueError) as error:
        raise CaptureError(f"is damaged: {error}") from error
    return value


def _evicted_sessions(path: str) -> int:
    """Return the sessions of a dataset that later connections could not be linked to; 0 if its links were not made."""
    try:
        return _decoded(Path(path, LINKED), Linked).evicted_sessions
    except CaptureError:
        return 0


def _size(file: Path) -> int:
    """Return the size of a file; 0 if it does not exist."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
