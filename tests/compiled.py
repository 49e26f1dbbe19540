"""Check that the compiled kernel was built from the current sources.

As a script: exit status 1 if a kernel module has to be compiled (again).
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from Cython.Build.Dependencies import create_dependency_tree

import tlsdissect
from tlsdissect import kernel

SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""The suffix of the extension modules that this Python loads."""


def refuse_stale() -> None:
    """Exit if a compiled module is not of the current sources: its results would say nothing about these."""
    found = complaints()
    if found:
        raise SystemExit("\n".join([*found, "To compile the kernel again: python setup.py build_ext --inplace"]))


def complaints() -> list[str]:
    """Return a message for each compiled module of the package whose source is gone or newer."""
    found = []
    for binary in sorted(path for folder in tlsdissect.__path__ for path in Path(folder).rglob(f"*{SUFFIX}")):
        source = binary.with_name(binary.name.removesuffix(SUFFIX) + ".py")
        if not source.exists():
            found.append(f"{binary}: its source is gone; delete it")
        elif is_stale(source, binary):
            found.append(f"{binary}: older than its sources")
    return found


def is_stale(source: Path, binary: Path) -> bool:
    """Return whether the source of a module, or a `.pxd` that it depends on, is newer than the compiled module."""
    changed, _ = create_dependency_tree(quiet=True).newest_dependency(str(source))
    return bool(changed > binary.stat().st_mtime)


if __name__ == "__main__":
    sys.exit(bool(complaints()) or kernel.describe() != "compiled")
