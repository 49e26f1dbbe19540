"""A folder of PEM files: certificates and chains, each named by its SHA-256."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

import click

from tlsdissect.cli.exit_status import NotWrittenError, warn
from tlsdissect.cli.sink import place_new
from tlsdissect.views.certificates import pem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.trust.inventory import CertificateInventory

_LISTED = 20
"""Name conflicts that are reported one by one; the rest are counted."""


def make(folder: str) -> None:
    """Create the folder of --to, unless it exists; raises UsageError if it exists and is not a folder."""
    if os.path.exists(folder) and not os.path.isdir(folder):  # noqa: PTH110, PTH112 (paths are text here)
        raise click.UsageError(f"--to {folder}: this is not a folder")
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError as error:
        raise NotWrittenError(f"{folder}: {error.strerror}") from error


def write_files(folder: str, inventory: CertificateInventory) -> int:
    """Write each certificate as SHA256.pem, and each chain of two or more certificates as chain-SHA256.pem.

    An existing file is never overwritten. If its content differs, it is reported; returns the number of such conflicts.
    Raises NotWrittenError if a file cannot be written.
    """
    conflicts = 0
    for name, content in _files(inventory):
        path = os.path.join(folder, name)  # noqa: PTH118
        try:
            has_content = place_new(path, content)
        except OSError as error:
            raise NotWrittenError(f"{path}: {error.strerror}") from error
        if not has_content:
            conflicts += 1
            if conflicts <= _LISTED:
                warn(f"{path}: not written, because a file with this name and other content exists")
    if conflicts > _LISTED:
        warn(f"{conflicts - _LISTED:,} more files not written, because files with their names and other content exist")
    return conflicts


def _files(inventory: CertificateInventory) -> Iterator[tuple[str, bytes]]:
    texts = {
        one.sha256: (pem(one, encoding), encoding)
        for one in inventory
        if (encoding := inventory.encoding(one.sha256)) is not None
    }
    for digest, (text, _) in texts.items():
        yield f"{digest}.pem", text
    for chain in inventory.chains:
        if len(chain) > 1 and all(digest in texts for digest in chain):
            name = sha256(b"".join([texts[digest][1] for digest in chain])).hexdigest()
            yield f"chain-{name}.pem", b"".join([texts[digest][0] for digest in chain])
