"""Confine a command that reads captures, before it opens the first of its input files.

This happens once per command, before it starts threads or workers, which inherit the confinement.
"""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli.sink import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def confined(command: Callable[..., int], *, draws: bool) -> Callable[..., int]:
    """Return a command that first makes the folder of --to, and then confines the process if that is its own."""

    @wraps(command)
    def run(**given: Any) -> int:
        if given.get("folder") is not None:
            make_folder(given["folder"])
        if click.get_current_context().find_root().obj:
            from tlsdissect.corpus.confinement import confine  # noqa: PLC0415 (not needed for --help)

            confine(_read(given, draws=draws), _written(given))
        return command(**given)

    return run


def _read(given: dict[str, Any], *, draws: bool) -> Iterator[str]:
    """Yield the files and folders that the options of a command name."""
    captures = given["captures"] if "captures" in given else (given["before"], given["after"])
    for path in (*captures, *given["keylogs"], *given["ca_files"], *given["ca_paths"], *given["crl_files"]):
        yield from _with_targets(path)
    if given["system_ca"]:
        import ssl  # noqa: PLC0415 (not needed without the option)

        places = ssl.get_default_verify_paths()
        for path in (places.cafile, places.capath):
            yield from () if path is None else _with_targets(path)
    if draws and given["output"] is not None and not given["output"].endswith(".txt"):
        from tlsdissect.views.fonts import font_folders  # noqa: PLC0415 (slow to load)

        yield from font_folders()


def _with_targets(path: str) -> Iterator[str]:
    """Yield a path, and where the links in it lead if it is a folder."""
    yield path
    if os.path.isdir(path):  # noqa: PTH112 (paths are text here)
        found = (os.path.join(top, one) for top, _, files in os.walk(path) for one in files)  # noqa: PTH118
        yield from (os.path.realpath(one) for one in found if os.path.islink(one))  # noqa: PTH114


def _written(given: dict[str, Any]) -> Iterator[str]:
    """Yield the folders of the files that a command makes; a pipe or a device is written to itself."""
    output = given.get("output")
    if given.get("folder") is not None:
        yield given["folder"]
    if output not in (None, "-"):
        exists = os.path.exists(output) and not os.path.isfile(output)  # noqa: PTH110, PTH113 (paths are text here)
        yield output if exists else os.path.dirname(os.path.realpath(output))  # noqa: PTH120
