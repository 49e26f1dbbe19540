"""`tlsdissect schema`."""

from __future__ import annotations

import click

from tlsdissect.cli.sink import destination

EXAMPLES = """\b
Examples:
  tlsdissect schema | jq '."$defs".Connection.properties | keys'
"""


@click.command(epilog=EXAMPLES)
def command() -> int:
    """Print the JSON Schema of what `read --format json` prints for each connection.

    It is one for all captures. `version` changes only if a key loses its name or its meaning.
    """
    from tlsdissect.views.schema import text  # noqa: PLC0415 (not needed for --help)

    with destination(None) as sink:
        sink.write(text().encode())
    return 0
