"""Whether the compiled kernel was built from the sources as they are now.

As a script: exit status 1 where a kernel module has to be compiled (again).
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from Cython.Build.Dependencies import create_dependency_tree

import tlsdissect
from tlsdissect import kernel

SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""How the names of extension modules end that this Python loads."""


def refuse_stale() -> None:
    """Exit where compiled modules are not of today's sources: what they do says nothing about these."""
    found = complaints()
    if found:
        raise SystemExit("\n".join([*found, "To compile the kernel anew: python setup.py build_ext --inplace"]))


def complaints() -> list[str]:
    """Say of each compiled module of the package what is wrong with it, if anything is."""
    found = []
    for binary in sorted(path for folder in tlsdissect.__path__ for path in Path(folder).rglob(f"*{SUFFIX}")):
        source = binary.with_name(binary.name.removesuffix(SUFFIX) + ".py")
        if not source.exists():
            found.append(f"{binary}: its source is gone; delete it")
        elif is_stale(source, binary):
            found.append(f"{binary}: older than its sources")
    return found


def is_stale(source: Path, binary: Path) -> bool:
    """Tell whether the source of a module, or a `.pxd` that it depends on, has changed since it was compiled."""
    changed, _ = create_dependency_tree(quiet=True).newest_dependency(str(source))
    return bool(changed > binary.stat().st_mtime)


if __name__ == "__main__":
    sys.exit(bool(complaints()) or kernel.describe() != "compiled")
