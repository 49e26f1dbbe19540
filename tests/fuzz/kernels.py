"""The package with its kernel compiled and as pure Python, each in a process of its own, and how they differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

from recorded import ROOT

HERE = Path(__file__).resolve().parent
SECONDS = 60
"""Of processor time for one input."""
RAISED = "Traceback"
"""How the text of an exception begins."""
DIED = f"{RAISED}: the process ended"
"""How that begins which stands for a process that crashed, or took too much time."""
CONTEXT = 100
"""Characters that are shown before and after a difference."""


def environment(tree: Path) -> dict[str, str]:
    """The environment of a process that imports the package from a tree; sets have the same order in all."""
    return os.environ | {"PYTHONPATH": f"{tree}{os.pathsep}{HERE.parent}", "PYTHONHASHSEED": "0"}


def without_compiled(place: Path) -> Path:
    """Copy the package without its compiled modules; return the folder to import it from."""
    tree = place / "tree"
    shutil.copytree(ROOT / "tlsdissect", tree / "tlsdissect", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return tree


class Kernel:
    """A process that runs targets; started again after it died."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._start()

    def _start(self) -> None:
        # -P: without it the folder of the script comes before the tree.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(self._tree),
        )
        assert self._process.stdout is not None
        self.kind = json.loads(self._process.stdout.readline())

    def run(self, target: str, path: Path) -> str:
        """Return the text of what a target returns for an input; if the process died, its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"target": target, "path": str(path), "seconds": SECONDS}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if answer:
            return str(json.loads(answer))
        status = self.stop()
        self._start()
        return f"{DIED} with status {status}"

    def stop(self) -> int:
        """End the process, which reads to the end of its input, and return its exit status."""
        self._process.communicate()
        return self._process.returncode


def complaints(told: dict[str, str]) -> list[str]:
    """Describe each exception and, if there was none, the first difference between what the kernels tell."""
    raised = [f"{kernel}: {text}" for kernel, text in told.items() if text.startswith(RAISED)]
    if raised or len(set(told.values())) == 1:
        return raised
    at = next(at for at, each in enumerate(zip_longest(*told.values())) if len(set(each)) > 1)
    return [f"{kernel}: …{text[max(0, at - CONTEXT) : at + CONTEXT]}…" for kernel, text in told.items()]
