"""`tlsdissect certs`."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from tlsdissect.cli import completion, options
from tlsdissect.cli.exit_status import NOT_WRITTEN, NotWrittenError, warn
from tlsdissect.cli.run import Collector, Interrupts, Run, Stopped
from tlsdissect.cli.sink import destination, place_new
from tlsdissect.cli.status_line import FractionBar
from tlsdissect.corpus.parallel import CertificateTransport
from tlsdissect.corpus.query import counted_as
from tlsdissect.corpus.workers import job_count
from tlsdissect.flows.limits import MOST
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.views.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.cli.run import Hold
    from tlsdissect.cli.sink import Sink
    from tlsdissect.corpus.query import Query
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.trust.inventory import CertificateInventory, CertificateSummary
    from tlsdissect.trust.judge import Judge

EXAMPLES = """\b
Examples:
  tlsdissect certs capture.pcap
  tlsdissect certs --system-ca --fail-on high captures/
  tlsdissect certs --ca-file root.pem --crl root.crl capture.pcap
  tlsdissect certs --format json capture.pcap | jq '{subject, days_left}'
  tlsdissect certs --to certificates/ capture.pcap
"""
_LISTED = 20
"""Name conflicts that are reported one by one; the rest are counted."""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".pem": "pem", ".txt": "table"} | {
    ".sarif": "sarif", ".xml": "junit",
}  # fmt: skip


@options.capture_command(EXAMPLES)
@options.result_options("table", "json", "csv", "pem", *options.FINDING_FORMS)
@click.option(
    "--to",
    "folder",
    type=completion.FOLDER,
    metavar="DIR",
    help="Write each certificate and each chain to DIR as PEM; never overwrites files.",
)
@click.option(
    "--ends-within",
    "ends_within",
    type=click.IntRange(0, MOST),
    metavar="DAYS",
    help="Only certificates that had expired when they were last seen, or expire within this many days after.",
)
@options.jobs_option
@options.run_options
def command(captures: tuple[str, ...], form: str | None, output: str | None, folder: str | None, **given: Any) -> int:
    """List the distinct certificates sent in the clear: who sent them, their validity, and findings about them.

    Paths are verified up to the authorities given with --ca-file, --ca-path or --system-ca, as of the time of the
    capture; without any of these, trust is not checked. TLS 1.3 encrypts certificates. SARIF and JUnit list the
    findings about each certificate, for use in a pipeline.
    """
    file, form, seen = options.result(output, form, _SUFFIXES, "table", captures)
    from tlsdissect.trust.inventory import CertificateInventory  # noqa: PLC0415 (start-up time of --help)

    evidence, judge = Evidence(), options.required_judge(given)
    inventory = CertificateInventory(judge, evidence)
    chosen = options.selection(given)
    # Findings select certificates here, and everything else connections.
    of_connections = replace(chosen, finding=(), min_severity=None)
    query = options.query(
        captures,
        given,
        Collector(inventory.add),
        judge=judge if of_connections.needs_findings else None,
        evidence=evidence,
        reports_findings=False,
        linked=of_connections.needs_links,
    )._replace(selection=of_connections)
    write = _writer(form, file, inventory, given, seen=seen)
    run = CertificateRun(query, inventory, judge, evidence, write, given, chosen)
    status = run.print_to(destination(file))
    # The first signal ends nothing: what was read is written. The second comes between two files.
    writing, conflicts = Interrupts(lambda: None, lambda: False), 0
    try:
        with writing:
            conflicts = 0 if folder is None else _write_files(folder, inventory, run.listed, writing.held)
    except Stopped:
        run.aborted = True
    finally:
        run.print_summary(on_terminal=seen)
    return status or writing.status or (NOT_WRITTEN if conflicts else 0)


class CertificateRun(Run):
    """A run that prints the certificates after all captures were read."""

    def __init__(
        self,
        query: Query,
        inventory: CertificateInventory,
        judge: Judge,
        evidence: Evidence,
        write: Callable[[Iterable[CertificateSummary]], Iterator[bytes]],
        given: dict[str, Any],
        chosen: Selection,
    ) -> None:
        # Workers know neither the findings of connections nor their links.
        alone = query.judge is not None or query.options.linked
        jobs = 1 if alone else job_count(list(query.captures), given["jobs"])
        transport = CertificateTransport(query.selection, inventory, evidence)
        super().__init__(query, given, jobs=jobs, transport=transport)
        self._inventory = inventory
        self._judge = judge
        self._evidence = evidence
        self._write = write
        self._chosen = chosen
        self._ends_within: int | None = given["ends_within"]
        self._also = " or with keys" if given["keylogs"] else ""
        self.listed: list[CertificateSummary] = []

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        super()._print(sink, interrupts)
        with self._status_line.hidden():
            before = interrupts.status
            with FractionBar("comparing keys", lambda: self._inventory.compared):
                self._inventory.compare(lambda: interrupts.status != before)
            if self._inventory.comparison_stopped:
                warn("interrupted: keys were not compared for shared primes")
            every = list(self._inventory)
            self.listed = [one for one in every if self._is_listed(one)]
            for text in self._write(self.listed):
                sink.write(text)
        chains, left_out = len(self._inventory.chains), self._inventory.left_out
        if every:
            self._tally.findings = Counter(counted_as(found) for one in self.listed for found in one.findings)
        least = "at least " if self._inventory.chains_cut else ""
        shown = f"{counted(len(every), 'certificate')} in {least}{counted(chains, 'chain')}"
        if self._chosen.names_findings or self._ends_within is not None:
            shown = f"{len(self.listed):,} of {shown}"
        if self._tally.connections or not self._selects:
            self._tally.lines.append(shown if every else f"no certificates in the clear{self._also}")
            if self._tally.lost_certificates:
                lacking = counted(self._tally.lost_certificates, "connection")
                self._tally.lines.append(f"{lacking} whose certificates may be among the bytes that are missing")
        if every and not self._judge.checks_paths:
            self._tally.lines.append("trust not checked: no authorities given")
        if self._evidence.lookups:
            self._tally.lines.append(f"{counted(self._evidence.lookups, 'lookup')} over plain HTTP")
        if self._inventory.not_compared:
            what = counted(self._inventory.not_compared, "certificate")
            self._tally.lines.append(f"{what} not checked for shared primes: RSA modulus too large")
        if self._evidence.lookups_left_out:
            self._tally.lines.append(f"{self._evidence.lookups_left_out:,} of them not kept: memory limit reached")
        if left_out:
            self._tally.lines.append(f"{left_out:,} occurrences of certificates not kept: memory limit reached")

    def _selected_nothing(self) -> bool:
        chooses = self._chosen.names_findings or self._ends_within is not None
        return not self.listed if chooses else super()._selected_nothing()

    def _is_listed(self, one: CertificateSummary) -> bool:
        chosen = self._chosen
        if self._ends_within is not None and not one.ends_within(self._ends_within):
            return False
        return chosen.lists([(it.code, it.severity) for it in one.findings])


def _writer(
    form: str, file: str | None, inventory: CertificateInventory, given: dict[str, Any], *, seen: bool
) -> Callable[[Iterable[CertificateSummary]], Iterator[bytes]]:
    if form in options.FINDING_FORMS:
        from tlsdissect.views.findings.results import of_certificates  # noqa: PLC0415 (not needed for other forms)

        document = options.finding_writer(form, given["fail_on"])
        return lambda listed: document(of_certificates(listed))
    from tlsdissect.views import certificates as views  # noqa: PLC0415 (not needed for --help)

    if form == "json":
        return views.lines
    if form == "csv":
        return partial(views.rows, seen=options.is_terminal(file))
    if form == "pem":
        return lambda listed: (
            views.pem(one, der) for one in listed if (der := inventory.encoding(one.sha256)) is not None
        )
    return views.CertificateTable(**options.text_style(given["color"], seen=seen)).table


def _write_files(folder: str, inventory: CertificateInventory, listed: list[CertificateSummary], held: Hold) -> int:
    """Write each certificate as SHA256.pem, and each chain of two or more certificates as chain-SHA256.pem.

    An existing file is never overwritten. If its content differs, it is reported; returns the number of such conflicts.
    Raises NotWrittenError if a file cannot be written, and Stopped between two files.
    """
    conflicts = 0
    for name, content in _files(inventory, listed):
        path = os.path.join(folder, name)  # noqa: PTH118
        try:
            with held:
                has_content = place_new(path, content)
        except OSError as error:
            raise NotWrittenError(f"{path}: {error.strerror}") from error
        if not has_content:
            conflicts += 1
            if conflicts <= _LISTED:
                warn(f"{path}: not written, because a file with this name but different content exists")
    if conflicts > _LISTED:
        warn(f"{conflicts - _LISTED:,} more files not written, because files with these names exist")
    return conflicts


def _files(inventory: CertificateInventory, listed: list[CertificateSummary]) -> Iterator[tuple[str, bytes]]:
    from tlsdissect.views.certificates import pem  # noqa: PLC0415 (not needed for --help)

    texts = {
        one.sha256: (pem(one, encoding), encoding)
        for one in listed
        if (encoding := inventory.encoding(one.sha256)) is not None
    }
    for digest, (text, _) in texts.items():
        yield f"{digest}.pem", text
    for chain in inventory.chains:
        if len(chain) > 1 and all(digest in texts for digest in chain):
            name = sha256(b"".join([texts[digest][1] for digest in chain])).hexdigest()
            yield f"chain-{name}.pem", b"".join([texts[digest][0] for digest in chain])
