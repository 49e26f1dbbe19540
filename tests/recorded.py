"""Where the captures are, what is read from them, and what tests do about a program that is not installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tlsdissect

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SAMPLES = sorted((ROOT / "samples").glob("*.pcap"), key=lambda path: path.stem)


def facts(path: Path) -> list[dict[str, Any]]:
    """Read a capture; its connections as the JSON output has them."""

    return [msgspec.json.decode(msgspec.json.encode(connection)) for connection in tlsdissect.read(path)]


def need(program: str) -> str:
    """Path of a program; without it the test is skipped, or fails where CI runs it."""
    found = shutil.which(program)
    if found is None:
        absent(f"{program} is not installed")
    return str(found)


def absent(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
