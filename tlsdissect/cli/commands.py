"""The command that holds the others."""

from __future__ import annotations

import os
from importlib import import_module

import click

from tlsdissect.cli.endings import meant

EXAMPLES = """\b
Examples:
  tlsdissect read capture.pcap
  tlsdissect read --format json capture.pcapng.gz > connections.json
  tcpdump -i eth0 -c 1000 -w - | tlsdissect read -
"""
_COMMANDS = {
    "read": "The TLS connections of captures, one by one.",
    "live": "The TLS connections of an interface, each when its handshake is decided.",
    "show": "Handshakes as trees: every field of every message.",
    "ladder": "Handshakes as ladders: who said what when.",
    "explain": "What happened, in sentences: who chose what, and why it took so long.",
    "compare": "TLS 1.2 beside TLS 1.3: round trips, times, suites, exposure.",
    "certs": "The certificates that were shown, and what is wrong with them.",
    "export": "Tables of connections, certificates, messages and more, as files.",
    "plot": "Figures of connections: times, round trips, suites, groups, certificates.",
    "report": "One page about captures, to be read in a browser.",
}
"""Each command stands in the module of its name, under the name `command`."""


class Commands(click.Group):
    """Commands whose modules are loaded when they are run: the list of them costs no import."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is named first; UsageError says which may be meant."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            hint = f": to read a file, tlsdissect read {name}" if os.path.exists(name) else meant(name, _COMMANDS)  # noqa: PTH110
            raise click.UsageError(f"No such command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """List the names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """Load a command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"tlsdissect.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from tlsdissect import __version__, kernel  # noqa: PLC0415 (only asked for here)

        click.echo(f"tlsdissect {__version__} ({kernel.describe()})")
        ctx.exit()


@click.group(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version, and whether the kernel is compiled.",
)
def tlsdissect() -> None:
    """Tell what packet captures show of TLS: handshakes, certificates, fingerprints, round trips and failures.

    Captures are only read: nothing is ever sent, and no name is looked up.
    """


def invoke(args: list[str]) -> int:
    """Run a command line and return its exit status.

    click's own `main` would do, but for what it makes of a closed pipe and of Ctrl-C: exit status 1.
    """
    asked = os.environ.get("_TLSDISSECT_COMPLETE")
    if asked:
        from click.shell_completion import shell_complete  # noqa: PLC0415 (a shell's completion script asks)

        return shell_complete(tlsdissect, {}, "tlsdissect", "_TLSDISSECT_COMPLETE", asked)
    try:
        with tlsdissect.make_context("tlsdissect", args) as context:
            return int(tlsdissect.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
