"""Every command with every format and choice that shapes its output, as the command line itself lists them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

from tlsdissect.cli import options
from tlsdissect.cli.commands import tlsdissect as program

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPING = {"vocabulary", "by", "kind"}
"""Parameters whose choices shape an output, besides its format."""
FLAGS = {*options._GROUPS["Output"]} - {"quiet", "dark"}
"""Parameters that do so if they are flags; the two others leave out sentences, or choose colours."""
NEEDED = {
    "query": ("FROM connections JOIN certificates USING (source, transport, stream)",),
    "diff": ("samples/tls12-full.pcap",),
    "--raw-fingerprints": ("--format", "json"),
}
"""Without these, a command or a flag does nothing."""
ONE_FORMAT = {"extract": {".pcapng": "pcapng"}, "cbom": {".json": "json"}}
"""Commands that write the same whatever the name of the file."""
ELSEWHERE = {"live", "scan", "schema"}
"""Commands with tests of their own: one reads no captures, one writes a dataset, and one prints a file."""


class Try(NamedTuple):
    """Words of a command, its format, and the option that names its output with the name; None for a pipe."""

    words: tuple[str, ...]
    form: str
    place: tuple[str, str] | None = None


def tries() -> Iterator[Try]:
    """Each command with each of its formats, and with each choice and flag that shapes its output."""
    context = click.Context(program)
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None
        if name in ELSEWHERE:
            continue
        parameters = {str(one.name): one for one in command.params}
        words = (name, *NEEDED.get(name, ()))
        kinds = {key: one.type.choices for key, one in parameters.items() if isinstance(one.type, click.Choice)}
        suffixes: dict[str, str] = ONE_FORMAT.get(name) or import_module(f"tlsdissect.cli.{name}")._SUFFIXES
        if "output" not in parameters:
            for form in kinds["form"]:
                yield Try((*words, "--format", form), form, ("--to", "tables"))
            for choice in kinds["vocabulary"]:
                yield Try((*words, "--names", choice), "csv", ("--to", "tables"))
            continue
        assert {*kinds.get("form", ())} <= {*suffixes.values()}, f"{name}: a format without a suffix"
        for choice in kinds.get("kind", ())[1:]:
            yield Try((*words, choice), "svg", ("-o", "made.svg"))
        words += tuple(kinds.get("kind", ())[:1])
        for form, suffix in {form: suffix for suffix, form in reversed(suffixes.items())}.items():
            yield Try(words, form, ("-o", f"made{suffix}"))
        for choice in kinds.get("by", ()):
            yield Try((*words, "--by", choice, "--format", "json"), "json")
        if not parameters["output"].required:
            for key in FLAGS & {*parameters}:
                flag = parameters[key].opts[0]
                if getattr(parameters[key], "is_flag", False):
                    yield Try((*words, flag, *NEEDED.get(flag, ())), "json" if flag in NEEDED else "text")
        if "folder" in parameters:
            yield Try(words, "pem", ("--to", "files"))
