"""`tlsdissect cbom`."""

from __future__ import annotations

from typing import Any

import click

from tlsdissect.cli import completion, exit_status, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination

EXAMPLES = """\b
Examples:
  tlsdissect cbom capture.pcap -o cbom.json
  tlsdissect cbom --server 192.0.2.0/24 captures/ -o cbom.json
  tlsdissect cbom capture.pcap | jq '.services[] | {name, properties}'
"""


@options.capture_command(EXAMPLES)
@click.option("-o", "--output", type=completion.FILE, metavar="FILE", help="Write to FILE instead of standard output.")
@options.run_options
def command(captures: tuple[str, ...], output: str | None, **given: Any) -> int:
    """Write an inventory of the cryptography in use, a CBOM in CycloneDX 1.7.

    Each server is a service with its protocol versions; suites, groups, signature schemes and certificates are
    components. The evidence for each is the capture, stream and frame of the first connection to a server that shows
    it. What clients offered and no server chose is marked, and so is what only the keys of --keylog show.

    The properties tlsdissect:post-quantum-key-agreement and tlsdissect:post-quantum-signatures of a service say
    how far its connections used post-quantum cryptography. The same captures give the same file: it has no
    timestamp, and its serial number is derived from the content.
    """
    file = options.result(output, "json", {}, "json", captures).file
    from tlsdissect.views.cbom import new_document  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.cbom.use import CryptographicUse  # noqa: PLC0415

    try:
        document = new_document()
    except ImportError as error:
        raise click.UsageError(str(error)) from None
    use = CryptographicUse()
    query = options.query(captures, given, Collector(use.add), judge=options.judge(given))
    status = Run(query, given, end=lambda: document.pieces(use)).print_all(destination(file))
    if use.left_out:
        exit_status.warn(f"{use.left_out:,} values are not in the inventory: memory limit reached")
    return status
