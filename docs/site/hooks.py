"""What `mkdocs build` does besides: a page for each command, and a name for the dialog of the search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from mkdocs.structure.files import File

from tlsdissect.cli.commands import Commands

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

WIDTH = 80
COMMANDS = Commands()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the commands first among those under Commands."""
    (section,) = (entry["Commands"] for entry in config.nav or [] if "Commands" in entry)
    section[:0] = [{name: f"commands/{name}.md"} for name in COMMANDS.list_commands(click.Context(COMMANDS))]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each command: what its --help prints."""
    group = click.Context(COMMANDS, info_name="tlsdissect")
    for name in COMMANDS.list_commands(group):
        _, command, _ = COMMANDS.resolve_command(group, [name])
        if command is None:
            continue
        context = click.Context(command, group, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        text = f"# tlsdissect {name}\n\n```text\n{command.get_help(context)}\n```\n"
        files.append(File.generated(config, f"commands/{name}.md", content=text))
    return files


def on_post_page(output: str, **_: object) -> str:
    """Name the dialog of the search."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
