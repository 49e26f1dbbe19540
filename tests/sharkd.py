"""Wireshark as a process that reads one capture after another: its start takes longer than most captures."""

from __future__ import annotations

import atexit
import json
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

from recorded import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@cache
def _started() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [need("sharkd"), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    atexit.register(process.communicate)
    return process


def _ask(method: str, **parameters: str) -> Any:
    """Return the answer to a request; None if there is none, as to a load of a capture that is cut short."""
    process = _started()
    assert process.stdin is not None
    assert process.stdout is not None
    for number, (name, given) in enumerate([(method, parameters), ("status", {})], 1):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": name, "params": given}) + "\n")
    process.stdin.flush()
    found = None
    while (answer := json.loads(process.stdout.readline()))["id"] == 1:
        found = answer.get("result")
    return found


def columns(path: Path, fields: Sequence[str]) -> list[list[str]]:
    """Return for each frame of a capture the values of these fields, all of a field joined by commas."""
    if _ask("load", file=str(path)) is not None:
        asked = {f"column{number}": f"{name}:0" for number, name in enumerate(fields)}
        return [frame["c"] for frame in _ask("frames", **asked)]
    words = [word for name in fields for word in ("-e", name)]
    command = [need("tshark"), "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [line.split("\t") for line in told.splitlines()]
