"""Connections that are told when their handshake is decided are as they are when they are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from recorded import ROOT, SHARED

from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection

LATER = {"open", "end", "packets", "bytes", "alerts", "messages", "closure", "timing", "problems", "renegotiations"}
"""What may still change, or rests on what may."""

CAPTURES = sorted((ROOT / "samples").rglob("*.pcap*"))
SMALL = 64 << 10
OTHERS = [
    path
    for path in sorted((SHARED / "captures").glob("*/*.pcap*"))
    if path.suffix != ".keys" and path.stat().st_size <= SMALL
]


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_what_is_decided_is_as_it_is_in_the_end(path: Path) -> None:
    over = {one.stream: decided(one) for one in Reading([path])}
    assert {one.stream: decided(one) for one in Reading([path], Options(idle=10.0))} == over


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_decisions_do_not_depend_on_how_much_is_looked_at_together(path: Path) -> None:
    whole = told(path, 65_536)
    assert whole
    assert told(path, 3) == whole
    # A packet at a time is slow.
    assert path.stat().st_size > SMALL or told(path, 1) == whole


@pytest.mark.skipif(not OTHERS, reason=f"no captures under {SHARED}: those of other projects are not part of this one")
def test_captures_of_other_projects() -> None:
    differ = [str(path) for path in OTHERS if len({told(path, size) for size in (1, 7, 65_536)}) > 1]
    assert differ == []


def told(path: Path, batch: int) -> bytes | str:
    try:
        return b"\n".join(map(msgspec.json.encode, Reading([path], Options(batch=batch, idle=10.0))))
    except OSError as error:  # no capture at all: the same words for every size
        return str(error)


def decided(one: Connection) -> dict[str, object]:
    facts = {name: value for name, value in msgspec.to_builtins(one).items() if name not in LATER}
    timing = one.timing
    return {**facts, "timing": timing and (timing.tcp_ms, timing.server_hello_ms, timing.handshake_ms)}
