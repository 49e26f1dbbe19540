"""The documents of a capture in a dataset: its connections as they are read again, as Parquet (the extra `parquet`).

A row is a connection or a revocation lookup, in the order of the reading. It contains the certificates and OCSP
responses that no earlier row has, so that findings can be computed without the capture.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
from msgspec import MsgspecError, Raw, Struct, json, to_builtins
from msgspec.structs import replace
from pyarrow import parquet

from tlsdissect.capture import CaptureError, Damage
from tlsdissect.corpus.plausible import check_connection, check_extension, check_untyped, checked
from tlsdissect.handshake.facts.evidence import EVIDENCE_BYTES
from tlsdissect.handshake.facts.timing import CertificateTimes
from tlsdissect.handshake.revocation_lookups import CapturedLookup, RevocationLookup
from tlsdissect.pipeline import Span, Summary
from tlsdissect.views.ndjson import Ndjson, Parsed, ParsedExtension
from tlsdissect.views.parquet import ParquetGroups
from tlsdissect.views.printable import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.model.connection import Connection

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("source", pa.string()),
        ("transport", pa.string()),
        ("stream", pa.int64()),
        ("json", pa.binary()),
        ("times", pa.binary()),
        ("encodings", pa.list_(pa.binary())),
    ]
)
"""`kind` is "connection" or "lookup", `json` the connection as `read --format json` prints it, or the lookup; `times`
its CertificateTimes as JSON, if lookups may need them; `encodings` certificates in DER and OCSP responses."""
ROWS = 1024
"""Rows of a group, and kept until it is written."""
GROUP_BYTES = 4 << 20
"""Bytes of JSON and encodings after which a group of rows is written."""

REPEATED_BYTES = EVIDENCE_BYTES // 2
"""Bytes of encodings after which each is written once more when it occurs again, because readers of the rows keep only
the latest `EVIDENCE_BYTES`."""

_encode = json.Encoder().encode


@cache
def _decoders() -> tuple[json.Decoder[Parsed], json.Decoder[RevocationLookup], json.Decoder[CertificateTimes]]:
    """Make the decoders once they are needed: they look at the types of all fields, which takes 20 ms."""
    connections = json.Decoder(checked(Parsed), dec_hook=_extension)
    return connections, json.Decoder(checked(RevocationLookup)), json.Decoder(checked(CertificateTimes))


def _extension(_: type, value: Any) -> ParsedExtension:
    extension = ParsedExtension(value)
    check_extension(extension)
    return extension


class DocumentWriter:
    """Writes the connections and lookups of one capture in the order of a reading, in bounded memory."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._groups = ParquetGroups(SCHEMA, write, ROWS, GROUP_BYTES)
        self._line = Ndjson().row
        self._written: set[str] = set()
        """SHA-256 digests of the encodings that were written and need not be repeated."""
        self._written_bytes = 0

    def connection(self, connection: Connection, evidence: Evidence) -> None:
        """Write a connection, without findings; `evidence` comes from its reading."""
        times = evidence.certificate_times(connection)
        self._add(
            kind="connection",
            source=without_surrogates(connection.source),
            transport=connection.transport,
            stream=connection.stream,
            json=self._line(replace(connection, findings=None)).rstrip(b"\n"),
            times=None if times is None else _encode(times),
            encodings=list(self._new_encodings(connection, evidence)),
        )

    def lookup(self, captured: CapturedLookup) -> None:
        """Write a lookup."""
        self._add(
            kind="lookup",
            source=without_surrogates(captured.lookup.source),
            transport=captured.transport,
            stream=captured.stream,
            json=_encode(replace(captured.lookup, source=without_surrogates(captured.lookup.source))),
            times=None,
            encodings=[captured.body],
        )

    def end(self) -> None:
        """Write what is left, and what a Parquet file ends with."""
        self._groups.end()

    def _new_encodings(self, connection: Connection, evidence: Evidence) -> Iterator[bytes]:
        for digest in _digests(connection):
            encoding = None if digest in self._written else evidence.encoding(digest)
            if encoding is not None:
                if self._written_bytes > REPEATED_BYTES:
                    self._written.clear()
                    self._written_bytes = 0
                self._written.add(digest)
                self._written_bytes += len(encoding)
                yield encoding

    def _add(self, **row: Any) -> None:
        self._groups.add(row, len(row["json"]) + sum(len(one) for one in row["encodings"]))


def read_documents(file: BinaryIO, evidence: Evidence | None) -> Iterator[Connection | CapturedLookup]:
    """Yield the connections and lookups of a file of documents; the certificates that they need are kept as `evidence`.

    Without it, there are no lookups. Raises CaptureError if the file is damaged, and OSError if it cannot be read.
    """
    columns = [name for name in SCHEMA.names if evidence is not None or name in ("kind", "json")]
    with damage_named(), parquet.ParquetFile(file) as rows:
        if any(rows.schema_arrow.field(name).type != SCHEMA.field(name).type for name in columns):
            raise CaptureError("has columns of unexpected types")
        for batch in rows.iter_batches(batch_size=ROWS, columns=columns):
            yield from _events(batch.to_pylist(), evidence)


def read_connection(line: bytes) -> Connection:
    """Read the JSON of a connection back; CaptureError if it is damaged, or has a value that no capture has."""
    with damage_named():
        connections, _, _ = _decoders()
        connection = connections.decode(line)
        check_connection(connection)
        return connection


@contextmanager
def damage_named() -> Iterator[None]:
    """Raise CaptureError for what a damaged Parquet file, or rows of another kind, make of reading it.

    A file for which memory does not suffice need not be damaged: that stays a MemoryError.
    """
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, MsgspecError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CaptureError(f"is damaged: {_first_line(error)}") from error


def _events(rows: Iterable[dict[str, Any]], evidence: Evidence | None) -> Iterator[Connection | CapturedLookup]:
    _, lookups, times = _decoders()
    for row in rows:
        if row["kind"] == "connection":
            connection = read_connection(row["json"])
            if evidence is not None:
                for encoding in row["encodings"]:
                    evidence.keep(sha256(encoding).hexdigest(), encoding)
                if row["times"] is not None:
                    evidence.set_certificate_times(connection, times.decode(row["times"]))
            yield connection
        elif evidence is not None:
            yield CapturedLookup(lookups.decode(row["json"]), row["encodings"][0])


def _digests(connection: Connection) -> Iterator[str]:
    """Yield the SHA-256 of each certificate and OCSP response that a judge may ask for."""
    hidden = connection.hidden
    for facts in (connection, hidden) if hidden is not None else (connection,):
        for one in (*(facts.certificates or ()), *(facts.client_certificates or ())):
            yield one.sha256
        if facts.ocsp_staple is not None and facts.ocsp_staple.sha256 is not None:
            yield facts.ocsp_staple.sha256


class _SavedSummary(Struct, frozen=True):
    """The totals of the reading of one capture, as JSON has them."""

    captures: int
    frames: int
    connections: int
    versions: list[tuple[str | None, int]]
    quic: int
    dtls: int
    eap: list[tuple[str, str, int]]
    not_tls: dict[str, int]
    skipped: dict[str, int]
    damage: list[tuple[str, Damage]]
    spans: list[Span]
    refused: list[tuple[str, str]]
    late: int
    given_up: int
    returned_early: int
    evicted_connections: int
    evicted_sessions: int
    google_quic: dict[str, int] = {}
    """Datasets have it that were written since it is counted."""


_summaries: json.Decoder[_SavedSummary] = json.Decoder(_SavedSummary)
_MOST_COUNTED = 1 << 48
"""The largest plausible count: the sums over all captures have to fit into 64 bits."""
_PLAIN = ("captures", "frames", "connections", "quic", "dtls", "late", "given_up", "returned_early",
          "evicted_connections", "evicted_sessions", "spans")  # fmt: skip
"""Fields that are the same in both."""


def summary_to_json(summary: Summary) -> Raw:
    """Return the totals of a reading as JSON; those of keys are left out."""
    saved = _SavedSummary(
        **{name: getattr(summary, name) for name in _PLAIN},
        versions=list(summary.versions.items()),
        eap=[(*kind, many) for kind, many in summary.eap.items()],
        google_quic=dict(summary.google_quic),
        not_tls=dict(summary.not_tls),
        skipped=dict(summary.skipped),
        damage=[(without_surrogates(source), one) for source, one in summary.damage],
        refused=[(without_surrogates(source), why) for source, why in summary.refused],
    )
    return Raw(_encode(saved))


def summary_from_json(given: Raw) -> Summary:
    """Return the totals that `summary_to_json` returned; CaptureError if these are not."""
    try:
        saved, summary = _summaries.decode(given), Summary()
        check_untyped(to_builtins(replace(saved, spans=[])), _MOST_COUNTED)
    except (MsgspecError, ValueError) as error:
        raise CaptureError(f"the totals in its manifest are damaged: {error}") from error
    for name in _PLAIN:
        setattr(summary, name, getattr(saved, name))
    summary.versions.update(dict(saved.versions))
    summary.eap.update({(method, carrier): many for method, carrier, many in saved.eap})
    summary.google_quic.update(saved.google_quic)
    summary.not_tls.update(saved.not_tls)
    summary.skipped.update(saved.skipped)
    summary.damage += saved.damage
    summary.refused += saved.refused
    return summary


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
