"""Fuzz targets under atheris, guided by the coverage of the package, which must not be compiled.

    python -P guided.py FOLDER SECONDS TARGET...

Instrumenting the package takes longer than starting on a target, so each target runs in a fork of this process. FOLDER
has a folder with the benign inputs of each target, `seeds/TARGET`; what reaches something new is added to `TARGET`,
what fails to `found`, and what libFuzzer says goes to `TARGET.log`.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

import atheris

STAGES = (
    "capture",
    "flows",
    "tls",
    "x509",
    "handshake",
    "model",
    "trust",
    "views.tree",
    "views.explain",
    "views.ladder",
)
"""Packages all of whose modules are instrumented, whether a target imports them at once or later."""
LONGEST = 60
"""Seconds after which libFuzzer says that an input hangs."""
MEMORY = 2048
"""MiB that the process of a target may take."""

with atheris.instrument_imports(include=["tlsdissect"]):
    from fuzz.oracle import Oracle
    from fuzz.targets import TARGETS

    from tlsdissect import kernel

    for stage in STAGES:
        package = import_module(f"tlsdissect.{stage}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)


def fuzz(name: str, place: Path, seconds: int) -> None:
    """Fuzz a target in this process, which ends with it."""
    log = os.open(place / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    known = Path(__file__).parent / "corpus" / name
    folders = [place / name, place / "seeds" / name, *([known] if known.is_dir() else [])]
    limits = [f"-max_total_time={seconds}", f"-timeout={LONGEST}", f"-rss_limit_mb={MEMORY}"]
    arguments = [__file__, *map(str, folders), *limits, f"-artifact_prefix={place / 'found' / name}-"]
    atheris.Setup(arguments, Oracle(TARGETS[name]).check)
    atheris.Fuzz()


def main(folder: str, seconds: str, *names: str) -> None:
    assert kernel.describe() == "pure Python"
    for name in names:
        child = os.fork()
        if child == 0:
            # What is raised leaves this process: libFuzzer keeps the input as Python ends.
            fuzz(name, Path(folder), int(seconds))
            return
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
