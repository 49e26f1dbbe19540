"""Write manual pages for tlsdissect and each of its commands from their --help: `python docs/site/man.py FOLDER`."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from inspect import cleandoc
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click_man.man import ManPage

from tlsdissect.cli.commands import tlsdissect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    group = click.Context(tlsdissect, info_name="tlsdissect")
    names = tlsdissect.list_commands(group)
    yield "tlsdissect.1", page(group, names)
    for name in names:
        command = tlsdissect.get_command(group, name)
        if command is not None:
            yield f"tlsdissect-{name}.1", page(click.Context(command, group, info_name=name))


def page(context: click.Context, commands: Sequence[str] = ()) -> str:
    """Return the page of a command."""
    command = context.command
    summary, text = summary_of(command), f"{cleandoc(command.help or '')}\n\n{cleandoc(command.epilog or '')}"
    made = ManPage(context.command_path)
    made.version, made.date = version("tlsdissect"), date()
    made.short_help, made.description = escaped(summary), escaped(text)
    made.synopsis = " ".join(command.collect_usage_pieces(context))
    records = [one.get_help_record(context) for one in command.get_params(context) if isinstance(one, click.Option)]
    made.options = [(flags, escaped(text)) for flags, text in filter(None, records)]
    made.commands = [(name, escaped(summary_of(tlsdissect.get_command(context, name)))) for name in commands]
    return str(made)


def summary_of(command: click.Command | None) -> str:
    """Return the first sentence of a command's help."""
    return (
        "" if command is None else cleandoc(command.help or "").split("\n\n")[0].partition(". ")[0].replace("\n", " ")
    )


def date() -> str:
    """Return today, or the day of SOURCE_DATE_EPOCH."""
    given = environ.get("SOURCE_DATE_EPOCH")
    return (datetime.now(UTC) if given is None else datetime.fromtimestamp(int(given), UTC)).strftime("%Y-%m-%d")


def escaped(text: str) -> str:
    """Escape text for roff (groff_man(7)); paragraphs that click does not wrap keep their lines."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        kept = paragraph.startswith("\b\n")
        lines = paragraph.removeprefix("\b\n").replace("\\", r"\e").replace("-", r"\-")
        # A period or an apostrophe at the beginning of a line would be a request.
        lines = re.sub(r"^(?=[.'])", lambda _: r"\&", lines, flags=re.MULTILINE)
        paragraphs.append(f".nf\n{lines}\n.fi" if kept else lines)
    return "\n\n".join(paragraphs)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / name).write_text(text)
