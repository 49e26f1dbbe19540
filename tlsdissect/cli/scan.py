"""`tlsdissect scan`."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, exit_status, options
from tlsdissect.cli.run import Interrupts, Stopped
from tlsdissect.cli.status_line import FractionBar, ScanBar
from tlsdissect.handshake.options import Options
from tlsdissect.views.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dask.distributed import Client

    from tlsdissect.corpus.scan import Scan
    from tlsdissect.corpus.selection import Selection

EXAMPLES = """\b
Examples:
  tlsdissect scan captures/ --to dataset
  tlsdissect scan s3://taps/ --to s3://tls/all --scheduler tcp://10.0.0.1:8786
  tlsdissect scan captures/ --to old --tls 1.2 --memory 2G
"""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _bytes(given: str) -> int:
    """Read a number of bytes; ValueError says what is wrong."""
    match = re.fullmatch(r"([0-9]{1,12})([KMG]?)", given, re.IGNORECASE)
    if match is None or not int(match[1]):
        raise ValueError(f"{given!r} is not a size such as 500M or 2G")
    return int(match[1]) * _UNITS[match[2].upper()]


@click.command(cls=options.GroupedCommand, epilog=EXAMPLES)
@click.argument("captures", type=completion.FILE, nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "--to",
    "folder",
    type=completion.FOLDER,
    required=True,
    metavar="DEST",
    help="Folder of the dataset, or a URL such as s3://bucket/folder.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Read with the workers of this Dask scheduler, for example tcp://10.0.0.1:8786; by default with workers on "
    "this machine. Whoever can reach a scheduler can run code on its workers.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), metavar="N", help="Workers on this machine; by default one per core."
)
@click.option(
    "--memory",
    type=options.Parsed("bytes", _bytes),
    metavar="BYTES",
    help="Kill a worker on this machine that takes more memory (500M, 2G); by default, one core's share of all memory.",
)
@options.facts_selection
@click.option("--raw-fingerprints", is_flag=True, help="Add the strings that JA3 and JA4 are computed from.")
@options.run_options
def command(captures: tuple[str, ...], folder: str, **given: Any) -> int:
    """Read many captures into a dataset, on one machine or many.

    CAPTURE is a file, a directory, a pattern such as 'captures/*.pcap', or a URL that fsspec supports: s3://, gs://,
    https://. This is the only command that opens network connections: to the hosts that URLs name, and to the workers
    of a Dask cluster.

    For each capture, the dataset has the tables that `tlsdissect export` writes, as Parquet files by day, and each
    connection as JSON. Captures that the dataset already has are not read again unless they have changed, so an
    interrupted scan continues where it stopped. Links between connections (resumes, same_ticket_as, retry_of) are found
    across the whole dataset.
    """
    try:
        from tlsdissect.corpus.scan import Scan, described  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        raise click.UsageError(f"scan needs {error.name}: pip install 'tlsdissect[cluster,parquet]'") from None
    from tlsdissect.corpus.scanning import Plan  # noqa: PLC0415
    from tlsdissect.corpus.sources import find_sources  # noqa: PLC0415
    from tlsdissect.corpus.store import Store, StoreError  # noqa: PLC0415

    for name in ("jobs", "memory"):
        if given["scheduler"] and given[name]:
            raise click.UsageError(f"--{name} is for workers on this machine, and cannot be combined with --scheduler")
    if not folder:
        raise click.UsageError("--to '' names no folder")
    selection = _selection(given)
    raw = given["raw_fingerprints"] or selection.needs_raw_fingerprints
    reading = Options(limits=options.limits(given), keylog=options.keylog(given["keylogs"]), raw_fingerprints=raw)
    sources, refused = find_sources(captures)
    for name, why in refused:
        exit_status.warn(f"{name}: {why}")
    if not sources:
        return exit_status.BAD_INPUT
    try:
        store = Store(folder)
    except OSError as error:
        raise click.UsageError(f"--to {folder}: {error.strerror or error}") from None
    try:
        with store.claimed(described(reading, selection, given["keylogs"])):
            status = _scan(Scan(Plan(store, reading, selection), sources), given)
    except StoreError as error:
        raise click.UsageError(f"--to {folder}: {error}") from None
    return status or (exit_status.BAD_INPUT if refused else 0)


def _selection(given: dict[str, Any]) -> Selection:
    """Return the selection; refuse one by what is known only once the whole dataset is read."""
    selection = options.selection(given)
    for needed, what in ((selection.needs_findings, "findings"), (selection.needs_links, "links or problems")):
        if needed:
            raise click.UsageError(f"--where: a scan cannot select by {what}; use it when reading the dataset")
    return selection


def _scan(scan: Scan, given: dict[str, Any]) -> int:
    """Scan; return the exit status."""
    status = 0
    if scan.pending or not scan.is_linked:
        status = _scan_pending(scan, given)
    lost = [*scan.refused, *scan.failures, *scan.damaged]
    for failure in lost:
        exit_status.warn(f"{failure.source}: {failure.why}")
    if not given["quiet"]:
        exit_status.print_stderr("; ".join(_sentences(scan)))
    return status or (exit_status.BAD_INPUT if lost else 0)


def _scan_pending(scan: Scan, given: dict[str, Any]) -> int:
    """Scan what an earlier scan left; return the exit status, 0 if nothing ended it."""
    from tlsdissect.corpus.scan import ClusterError, connected  # noqa: PLC0415 (an extra)
    from tlsdissect.corpus.store import DestinationError  # noqa: PLC0415

    interrupts, status = Interrupts(_stop, lambda: False), 0
    try:
        with interrupts, ExitStack() as cluster:
            _run(scan, lambda: cluster.enter_context(connected(given["scheduler"], given["jobs"], given["memory"])))
    except Stopped:
        status = interrupts.status
        also = "; what its workers still finish is not counted" if given["scheduler"] else ""
        exit_status.warn(f"stopped{also}: run the same command to continue")
    except DestinationError as error:
        status = exit_status.NOT_WRITTEN
        exit_status.warn(f"--to {error.filename}: {error.strerror}: run the same command to continue")
    except ClusterError as error:
        if given["scheduler"]:
            raise click.UsageError(f"--scheduler {given['scheduler']}: {error}") from None
        status = exit_status.OUT_OF_RESOURCES
        exit_status.warn(f"the workers on this machine: {error}")
    # The workers of others may still write what they have begun.
    if not (status and given["scheduler"]):
        scan.remove_leftovers()
    if status:
        scan.count_unreported()
    return status


def _stop() -> None:
    raise Stopped


def _run(scan: Scan, connect: Callable[[], Client]) -> None:
    def captures() -> str:
        failed = f", {len(scan.failures):,} failed" if scan.failures else ""
        return f"{scan.captures_done:,} of {counted(len(scan.pending), 'capture')}{failed}"

    # Workers take seconds to start.
    with ScanBar(lambda: (scan.bytes_done, scan.bytes), lambda: (scan.captures_done, len(scan.pending)), captures):
        client = connect()
        scan.read(client)
    with FractionBar("linking", lambda: scan.linked_part):
        scan.link(client)


def _sentences(scan: Scan) -> Iterator[str]:
    """Say what was done."""
    yield f"{counted(scan.captures_read, 'capture')} read, {counted(scan.connections, 'connection')}"
    if scan.skipped:
        yield f"{counted(scan.skipped, 'file')} unchanged since an earlier scan"
    if scan.others:
        yield f"{counted(scan.others, 'file')} without a capture"
    if scan.refused:
        yield f"{counted(len(scan.refused), 'capture')} refused"
    if scan.failures:
        yield f"{counted(len(scan.failures), 'capture')} failed"
    if scan.damaged:
        yield f"{counted(len(scan.damaged), 'capture')} damaged in the dataset"
