"""Many files of one result: certificates and chains in a folder, each named by what is in it."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

import click

from tlsdissect.cli.endings import NotWrittenError, warn
from tlsdissect.cli.sink import place_new
from tlsdissect.views.certificates import pem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.trust.exhibits import Exhibits

_TOLD = 20
"""Files that are told one by one where something else has their names; the others are counted."""


def make(folder: str) -> None:
    """Make the folder of --to, unless it is there; raises UsageError where a file has its name."""
    if os.path.exists(folder) and not os.path.isdir(folder):  # noqa: PTH110, PTH112 (paths are text here)
        raise click.UsageError(f"--to {folder}: this is no folder")
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError as error:
        raise NotWrittenError(f"{folder}: {error.strerror}") from error


def write_files(folder: str, exhibits: Exhibits) -> int:
    """Write each certificate as SHA256.pem, and each chain of several as chain-SHA256.pem, of all its certificates.

    A file that is there already stays as it is; one that holds something else than its name says is told. Returns how
    many those are; raises NotWrittenError where a file cannot be written.
    """
    others = 0
    for name, content in _files(exhibits):
        path = os.path.join(folder, name)  # noqa: PTH118
        try:
            there = place_new(path, content)
        except OSError as error:
            raise NotWrittenError(f"{path}: {error.strerror}") from error
        if not there:
            others += 1
            if others <= _TOLD:
                warn(f"{path}: not written, for there is something else of this name")
    if others > _TOLD:
        warn(f"{others - _TOLD:,} more files not written, for there is something else of their names")
    return others


def _files(exhibits: Exhibits) -> Iterator[tuple[str, bytes]]:
    texts = {
        one.sha256: (pem(one, encoding), encoding)
        for one in exhibits
        if (encoding := exhibits.encoding(one.sha256)) is not None
    }
    for digest, (text, _) in texts.items():
        yield f"{digest}.pem", text
    for chain in exhibits.chains:
        if len(chain) > 1 and all(digest in texts for digest in chain):
            name = sha256(b"".join([texts[digest][1] for digest in chain])).hexdigest()
            yield f"chain-{name}.pem", b"".join([texts[digest][0] for digest in chain])
