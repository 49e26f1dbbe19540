"""The `tlsdissect` command and its subcommands."""

from __future__ import annotations

import os
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from tlsdissect.corpus.suggestion import suggestion

EXAMPLES = """\b
Examples:
  tlsdissect capture.pcap
  tlsdissect read --failed capture.pcap
  tlsdissect read --format json capture.pcapng.gz > connections.json
  tcpdump -i eth0 -c 1000 -w - | tlsdissect read -
"""
_COMMANDS = {
    "summary": "Summarize captures on one screen: failures, versions, what is weak.",
    "read": "List the TLS connections of captures.",
    "live": "List the TLS connections of an interface as their handshakes end.",
    "show": "Show handshakes as trees: every field of every message.",
    "ladder": "Draw handshakes as ladder diagrams.",
    "explain": "Explain handshakes in sentences: who chose what, and what took time.",
    "compare": "Compare TLS 1.2 and TLS 1.3: round trips, times, suites, exposure.",
    "diff": "Show what changed between two captures: who fails now, versions, certificates, times.",
    "certs": "List the certificates in captures, and their problems.",
    "extract": "Write the packets of connections to a capture of their own.",
    "cbom": "Write an inventory of the cryptography in use, a CycloneDX CBOM.",
    "export": "Export tables of connections, certificates, messages and more.",
    "scan": "Read many captures into a dataset, on one machine or many.",
    "query": "Run an SQL query over the tables of captures.",
    "plot": "Plot times, round trips, suites, groups, certificates.",
    "report": "Write an HTML report about captures.",
    "schema": "Print the JSON Schema of the output.",
}
"""Summaries for --help. Each command is the attribute `command` of the module of the same name."""


class Commands(click.Group):
    """A group that imports the module of a command only when the command runs."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first argument, for a file or option `summary`; suggest one for a misspelt name."""
        name = args[0]
        if name not in _COMMANDS and ctx.resilient_parsing:
            # A shell asks what could follow.
            return super().resolve_command(ctx, ["summary", *args] if os.path.exists(name) else args)  # noqa: PTH110
        if name in _COMMANDS:
            return super().resolve_command(ctx, args)
        # Paths are text here, which functions of os.path take.
        command = next((one for one in args if one in _COMMANDS and not os.path.exists(one)), None)  # noqa: PTH110
        if name.startswith("-") and command is not None:
            raise click.UsageError(f"Options follow the command: tlsdissect {command} {name}", ctx)
        if name.startswith("-") or os.path.exists(name):  # noqa: PTH110
            return super().resolve_command(ctx, ["summary", *args])
        raise click.UsageError(f"No such command or file {name!r}{suggestion(name, _COMMANDS)}", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Suggest commands, without importing them, options and files."""
        named = [CompletionItem(name, help=text) for name, text in _COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete), CompletionItem(incomplete, type="file")]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names of the commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"tlsdissect.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from tlsdissect import __version__, kernel  # noqa: PLC0415 (only asked for here)

        click.echo(f"tlsdissect {__version__} ({kernel.describe()})")
        ctx.exit()


@click.group(
    cls=Commands,
    epilog=EXAMPLES,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and whether the kernel is compiled.",
)
def tlsdissect() -> None:
    """Analyze TLS handshakes in packet captures: versions, certificates, fingerprints, round trips and failures.

    The analysis is passive: it makes no DNS queries, and only scan opens network connections.
    """


def invoke(args: list[str], *, confines: bool) -> int:
    """Run a command line and return its exit status; it may confine the process.

    click's own `main` is not used, because it exits with status 1 on a closed pipe and on Ctrl-C.
    """
    asked = os.environ.get("_TLSDISSECT_COMPLETE")
    if asked:
        from click.shell_completion import shell_complete  # noqa: PLC0415 (for shell completion only)

        return shell_complete(tlsdissect, {"obj": confines}, "tlsdissect", "_TLSDISSECT_COMPLETE", asked)
    try:
        with tlsdissect.make_context("tlsdissect", args or ["--help"], obj=confines) as context:
            return int(tlsdissect.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
