"""What the Python functions take, and how they read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from msgspec.structs import replace

from tlsdissect.capture import CaptureError
from tlsdissect.corpus.dataset import are_datasets, start_reading
from tlsdissect.corpus.selection import Network, Selection, utc
from tlsdissect.flows.limits import Limits, whole
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    import pandas as pd
    from dask.distributed import Client

    from tlsdissect.corpus.dataset import DatasetReading
    from tlsdissect.corpus.sql import Statement
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.judge import Judge
    from tlsdissect.views.certificates import Certificates
    from tlsdissect.views.diff.builder import Given
    from tlsdissect.views.summary import CaptureSummary

Path = str | os.PathLike[str]
Paths = Path | Sequence[Path]
Text = str | Sequence[str]
Number = int | Sequence[int]
Streams = int | str | Sequence[int | str]
Networks = str | Network | Sequence[str | Network]


class LiveCriteria(TypedDict, total=False):
    """What selects connections of any packets; of values that may be several, one must match."""

    ip: Networks
    """Address or network of the client or the server."""
    client: Networks
    server: Networks
    sni: Text
    """Patterns such as "*.example.com"; "" for a ClientHello without SNI."""
    tls: Text
    """Negotiated version: "1.3", "1.2", "1.1", "1.0", "ssl3" or "older"."""
    offers: Text
    """The highest version that the client offered."""
    failed: bool
    outcome: Text
    since: str | datetime | timedelta | None
    """Time at which connections start, or later; a duration counts from the first packet of the capture."""
    until: str | datetime | timedelta | None
    """Time before which connections start."""
    finding: Text
    """Codes of findings, for example "expired"."""
    min_severity: Literal["info", "low", "medium", "high"] | None
    """Severity that a finding must reach; lower ones are not reported."""
    where: str | None
    """Expression in CEL over the keys of the JSON output."""


class Criteria(LiveCriteria, total=False):
    """Criteria by which connections are selected; the options of the command line have the same names."""

    stream: Streams
    """`stream` of a connection, or text such as "capture.pcap:udp:3"."""
    port: Number
    """Of the client or the server."""


class JudgeOptions(TypedDict, total=False):
    """What findings connections have."""

    findings: bool
    """Whether connections have findings; whatever else is about findings implies it."""
    ca_file: Paths
    """Files of certificates to trust, in PEM or DER."""
    ca_path: Paths
    """Folders of them."""
    system_ca: bool
    """Whether to trust OpenSSL's default authorities on this system."""
    crl: Paths
    """Files of CRLs to check certificates against."""
    at: str | datetime | None
    """Time to check as of, instead of the capture's time."""


class LiveOptions(LiveCriteria, JudgeOptions, total=False):
    """What selects connections of an interface, and what findings they have."""


class ReadOptions(Criteria, JudgeOptions, total=False):
    """What selects connections, and how they are read."""

    joined: bool
    """Whether all captures are read as one, in the order of their first packets."""
    raw_fingerprints: bool
    """Whether JA3 and JA4 are also given unhashed."""
    keep: bool
    """Whether connections are KeptConnections, whose `transcript` has their packets and records."""
    keylog: Paths
    """Key log files, whose secrets decrypt handshakes."""
    limits: Limits | None
    batch: int
    cluster: Client | None
    """A Dask cluster whose workers read."""


class Settled:
    """The options of a function, checked and with their defaults: TypeError or ValueError says what is wrong."""

    def __init__(self, captures: tuple[Path, ...], given: ReadOptions) -> None:
        refuse_unknown(given, ReadOptions)
        for capture in captures:
            if not isinstance(capture, str | os.PathLike):
                raise TypeError(
                    f"a capture is a path, not {type(capture).__name__}; pass several as arguments: read(*paths)"
                )
        self.captures = captures
        self.cluster = given.get("cluster")
        self.selection = selection(given)
        self.options = _options(given, raw=self.selection.needs_raw_fingerprints)
        self.judge = judge(given, self.selection)
        if self.options.joined and self.cluster is not None:
            raise ValueError("captures cannot be joined on a cluster, where a worker reads each capture alone")
        if self.cluster is not None and are_datasets([os.fspath(path) for path in captures]):
            raise ValueError("a dataset cannot be read with a cluster: its captures have already been read")

    def read(self) -> Iterator[Connection]:
        """Yield the selected connections; CaptureError at the end names the inputs that could not be read."""
        if self.cluster is not None:
            from tlsdissect.corpus.cluster import read_with_cluster  # noqa: PLC0415 (an extra)

            yield from read_with_cluster(self.cluster, self.captures, self.options, self.selection, self.judge)
            return
        reading = self._reading(self.options, self.judge)
        yield from self._selected(reading)
        self._raise_refused(reading)

    def _reading(
        self, options: Options, judge: Judge | None, evidence: Evidence | None = None
    ) -> Reading | DatasetReading:
        """Start reading the captures, or the datasets in their place."""
        captures = [os.fspath(path) for path in self.captures]
        return start_reading(captures, options, self.selection, judge=judge, evidence=evidence)

    def summarize(self) -> CaptureSummary:
        """Return the summary of the selected connections; inputs that could not be read are among its notes."""
        from tlsdissect.corpus.left_out import notes  # noqa: PLC0415
        from tlsdissect.views.summary import SummaryBuilder  # noqa: PLC0415

        reading, builder = self._reading(self.options, self.judge), SummaryBuilder()
        for connection in self._selected(reading):
            builder.add(connection)
        totals = reading.summary
        return builder.summary(
            totals.connections, totals.not_tls, notes(totals), selected=bool(self.selection), frames=totals.frames
        )

    def pass_to(self, add: Callable[[Connection], object]) -> Given:
        """Call a function with each selected connection; return what a diff says of this side besides."""
        from tlsdissect.corpus.left_out import notes, unused_keys  # noqa: PLC0415
        from tlsdissect.views.diff.builder import Given  # noqa: PLC0415

        reading = self._reading(self.options, self.judge)
        for connection in self._selected(reading):
            add(connection)
        self._raise_refused(reading)
        captures, totals = [os.fspath(path) for path in self.captures], reading.summary
        return Given(captures, totals.connections, notes(totals, counts_unused_keys=False), unused_keys(totals))

    def query(self, statement: Statement, memory: int) -> pd.DataFrame:
        """Return the answer to an SQL statement about the selected connections."""
        from tlsdissect.corpus.sql import Database  # noqa: PLC0415 (an extra)
        from tlsdissect.views.query_result import frame  # noqa: PLC0415 (an extra)

        with Database(statement, memory) as database:
            for connection in self.read():
                database.add(connection)
            return frame(database.answer())

    def certificates(self, ends_within: int | None = None) -> Certificates:
        """Return the certificates of the selected connections, as `tlsdissect certs` lists them."""
        from tlsdissect.trust.inventory import CertificateInventory  # noqa: PLC0415
        from tlsdissect.views.certificates import Certificates  # noqa: PLC0415

        # Findings select certificates here, and everything else connections.
        chosen = replace(self.selection, finding=(), min_severity=None)
        evidence, judge = Evidence(), self.judge or make_judge()
        inventory = CertificateInventory(judge, evidence)
        options = replace(self.options, linked=chosen.needs_links)
        reading = self._reading(options, judge if chosen.needs_findings else None, evidence)
        for connection in reading:
            if chosen.matches(connection, reading.begin):
                inventory.add(connection)
        self._raise_refused(reading)
        inventory.compare(lambda: False)
        return Certificates(
            one
            for one in inventory
            if self.selection.lists([(it.code, it.severity) for it in one.findings])
            and (ends_within is None or one.ends_within(ends_within))
        )

    def extract(self) -> Iterator[bytes]:
        """Yield the packets of the selected connections as `tlsdissect extract` writes them."""
        from tlsdissect.corpus.extraction import Extraction, check_readable_twice  # noqa: PLC0415

        captures = [os.fspath(path) for path in self.captures]
        check_readable_twice(captures)
        reading, extraction = Reading(self.captures, self.options, judge=self.judge), Extraction(captures, self.options)
        for connection in self._selected(reading):
            extraction.add(connection)
        yield from extraction.pieces()
        self._raise_refused(reading)

    def report(self, detailed: int) -> bytes:
        """Return the page that `tlsdissect report` writes."""
        from tlsdissect.corpus.left_out import report_notes  # noqa: PLC0415
        from tlsdissect.views.report.page import Report  # noqa: PLC0415

        judge, evidence = self.judge or make_judge(), Evidence()
        captures = [os.fspath(path) for path in self.captures]
        page = Report(captures, judge, evidence, detailed)
        # Connections of datasets have no packets, and so no transcripts.
        reading = self._reading(replace(self.options, keep=not are_datasets(captures)), judge, evidence)
        for connection in self._selected(reading):
            page.add(connection)
        return b"".join(page.pieces(report_notes(reading.summary)))

    def cbom(self) -> bytes:
        """Return the file that `tlsdissect cbom` writes."""
        from tlsdissect.views.cbom import new_document  # noqa: PLC0415
        from tlsdissect.views.cbom.use import CryptographicUse  # noqa: PLC0415

        document, use = new_document(), CryptographicUse()
        for connection in self.read():
            use.add(connection)
        return b"".join(document.pieces(use))

    def both_ends(self) -> Iterator[Connection]:
        """Yield the selected connections with their transcripts; one that appears in two captures is yielded once."""
        from tlsdissect.corpus.both_ends import BothEnds, recognizing  # noqa: PLC0415
        from tlsdissect.corpus.extraction import check_readable_twice  # noqa: PLC0415

        captures = [os.fspath(path) for path in self.captures]
        check_readable_twice(captures)
        reading = Reading(captures, replace(self.options, keep=True), judge=self.judge)
        yield from BothEnds(reading, recognizing(captures, self.options), self.selection)
        self._raise_refused(reading)

    def _selected(self, reading: Reading | DatasetReading) -> Iterator[Connection]:
        for connection in reading:
            if self.selection.matches(connection, reading.begin):
                yield connection

    def _raise_refused(self, reading: Reading | DatasetReading) -> None:
        refused = reading.summary.refused
        if refused:
            raise CaptureError("; ".join(f"{printable(source)}: {why}" for source, why in refused))


def _options(given: ReadOptions, *, raw: bool) -> Options:
    limits = given.get("limits")
    limits = Limits() if limits is None else limits
    if not isinstance(limits, Limits):
        raise TypeError(f"limits must be tlsdissect.Limits, not {type(limits).__name__}")
    batch = given.get("batch", Options().batch)
    whole("batch", batch, 1)
    raw, keep, joined = (
        raw or given.get("raw_fingerprints", False),
        given.get("keep", False),
        given.get("joined", False),
    )
    logs = paths(given.get("keylog", ()))
    secrets = KeyLog(logs) if logs else None
    return Options(batch=batch, raw_fingerprints=raw, keep=keep, limits=limits, keylog=secrets, joined=joined)


def refuse_unknown(given: ReadOptions | LiveOptions, known: type[ReadOptions | LiveOptions]) -> None:
    """Raise TypeError if there is an option that a function does not have."""
    unknown = given.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")


def selection(given: ReadOptions | LiveOptions) -> Selection:
    """Return the selection of a function's options; ValueError says what is wrong."""
    return Selection.of(**{name: value for name, value in given.items() if name in Criteria.__annotations__})


def judge(given: ReadOptions | LiveOptions, chosen: Selection) -> Judge | None:
    """Make a Judge of a function's options; None if nothing asks for findings."""
    if not (chosen.needs_findings or any(given.get(name) for name in JudgeOptions.__annotations__)):
        return None
    at = given.get("at")
    return make_judge(
        ca_files=paths(given.get("ca_file", ())),
        ca_paths=paths(given.get("ca_path", ())),
        system_ca=given.get("system_ca", False),
        crl_files=paths(given.get("crl", ())),
        at=None if at is None else check_time(at),
        min_severity=given.get("min_severity"),
    )


def paths(given: Any) -> list[str]:
    """Return one path or several as a list."""
    several = not isinstance(given, str | os.PathLike) and isinstance(given, Iterable)
    return [os.fspath(path) for path in (given if several else (given,))]


def check_time(given: str | datetime) -> str:
    """Read the time at which to check certificates, and format it in UTC, in seconds."""
    return utc(given).isoformat(timespec="seconds").replace("+00:00", "Z")


def make_judge(
    *,
    ca_files: Iterable[str] = (),
    ca_paths: Iterable[str] = (),
    system_ca: bool = False,
    crl_files: Iterable[str] = (),
    at: str | None = None,
    min_severity: str | None = None,
) -> Judge:
    """Make a Judge with the authorities and CRLs of files; ValueError names a file that cannot be used."""
    from tlsdissect.trust import anchors  # noqa: PLC0415 (start-up time)
    from tlsdissect.trust.judge import Judge  # noqa: PLC0415
    from tlsdissect.trust.revocation import Crl, CrlError  # noqa: PLC0415
    from tlsdissect.trust.verdicts import Settings  # noqa: PLC0415

    try:
        trusted = [one for path in ca_files for one in anchors.certificates(path)]
        trusted += [one for path in ca_paths for one in anchors.folder(path)]
        trusted += anchors.system() if system_ca else ()
        lists = [Crl(encoding, path) for path in crl_files for encoding in anchors.lists(path)]
    except (anchors.AnchorError, CrlError) as error:
        raise ValueError(str(error)) from None
    return Judge(Settings(anchors=tuple(trusted), lists=tuple(lists), at=at), min_severity=min_severity or "info")
