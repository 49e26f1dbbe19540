"""`tlsdissect show`."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, options
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import destination
from tlsdissect.corpus.suggestion import suggestion

if TYPE_CHECKING:
    from tlsdissect.corpus.query import OutputRow, View

EXAMPLES = """\b
Examples:
  tlsdissect show capture.pcap --stream 0
  tlsdissect show --depth 3 capture.pcap
  tlsdissect show --message client_hello --bytes capture.pcap
  tlsdissect show --format html -o handshake.html capture.pcap
  tlsdissect show --format json a.pcap | jq '.. | .meaning? // empty'
"""
_LEVELS = 2
"""Levels of a tree that is longer than the terminal: records and messages, or packets and frames."""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".html": "html", ".htm": "html", ".txt": "tree"}


@options.capture_command(EXAMPLES)
@click.option(
    "--message",
    type=completion.Word(completion.messages),
    metavar="TYPE",
    help="Only messages of this type, such as client_hello or alert.",
)
@click.option("--bytes", "dumped", is_flag=True, help="Add a hex dump in which the bytes of each field are marked.")
@click.option(
    "--depth",
    type=click.IntRange(0),
    help="Show this many levels of the tree, 0 for all. By default all, or 2 if the tree is longer than the terminal.",
)
@options.result_options("tree", "json", "html")
@options.run_options
def command(captures: tuple[str, ...], output: str | None, form: str | None, **given: Any) -> int:
    """Show handshakes as trees: records, messages, and every field of every message and extension.

    Each field is shown with its value and meaning, its byte range in the frame, and the RFC section that defines it.
    Malformed data is shown in place, with what was expected instead.
    """
    file, form, seen = options.result(output, form, _SUFFIXES, "tree", captures)
    if given["dumped"] and form == "json":
        raise click.UsageError("--bytes requires --format tree or html")
    _check(given["message"])
    if given["depth"] is not None and form != "tree":
        raise click.UsageError("--depth requires --format tree")
    view = _view(form, given, seen=seen)
    query = options.query(captures, given, view, judge=options.judge(given), keep=True)
    # A connection without such a message is not selected.
    has_it = None if given["message"] is None else _has_text
    return Run(query, given, keeps=has_it).print_all(destination(file), on_terminal=seen)


def _has_text(row: OutputRow) -> bool:
    return bool(row.text)


def _check(message: str | None) -> None:
    """Refuse a name that is not a message type."""
    from tlsdissect.views.tree.build import MESSAGE_TYPES  # noqa: PLC0415 (not needed for --help)

    if message is not None and message not in MESSAGE_TYPES:
        near = suggestion(message, MESSAGE_TYPES) or ", such as client_hello, certificate or alert"
        raise click.UsageError(f"--message {message}: unknown message type{near}")


def _view(form: str, given: dict[str, Any], *, seen: bool) -> View:
    """Make the view of a format."""
    from tlsdissect.views import tree  # noqa: PLC0415 (not needed for --help)

    message, dumped = given["message"], given["dumped"]
    if form == "json":
        return tree.json(message)
    if form == "html":
        return tree.Page(message=message, dumped=dumped)
    style = options.text_style(given["color"], seen=seen)
    # Whoever asks for a message or its bytes wants its fields.
    fold = tree.Fold(_LEVELS, get_terminal_size().lines) if seen and message is None and not dumped else None
    if given["depth"] is not None:
        fold = tree.Fold(given["depth"]) if given["depth"] else None
    return tree.text(**style, message=message, dumped=dumped, fold=fold)
