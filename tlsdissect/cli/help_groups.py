"""Help with the options in groups; --help-all adds the limits, which few runs need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tlsdissect.flows.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HELP_ALL = "tlsdissect.help_all"
"""Key of the context's `meta` that is set while --help-all prints."""
_GROUPS = {
    "Capture": ("interface", "ports", "expression", "listing", "duration", "count", "save", "rotation", "user"),
    "Selection": ("streams", "ports", "names", "versions", "message"),
    "Output": (
        "form", "output", "folder", "vocabulary", "by", "emit", "idle", "raw_fingerprints", "dumped", "verbose",
        "stats", "detailed", "dark", "color", "quiet",
    ),
    "Findings": ("min_severity", "fail_on", "ca_files", "ca_paths", "system_ca", "crl_files", "at"),
    "Limits": Limits.__struct_fields__,
}  # fmt: skip
"""Names of the parameters in each group; options in none of them come last, under "Other"."""


class GroupedCommand(click.Command):
    """A command whose --help lists its options in groups, without the limits."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups; click calls this for --help."""
        is_live = any(one.name == "interface" for one in self.params)
        left = {one.name or "": one for one in self.get_params(ctx) if isinstance(one, click.Option)}
        sections: dict[str, list[tuple[str, str]]] = {}
        for group, names in _GROUPS.items():
            if group == "Capture" and not is_live:
                continue
            options = [left.pop(name) for name in names if name in left]
            if group != "Limits" or ctx.meta.get(_HELP_ALL):
                sections[group] = _records(ctx, options)
        sections["Other"] = _records(ctx, list(left.values()))
        for group, records in sections.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


def help_all(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --help-all, which prints the help with the limits."""
    return click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_all,
        help="Show this message and the limit options.",
    )(command)


def _print_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_HELP_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _records(ctx: click.Context, options: list[click.Option]) -> list[tuple[str, str]]:
    """Return the help of each option that is not hidden."""
    return [record for one in options if (record := one.get_help_record(ctx)) is not None]
