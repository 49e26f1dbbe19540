"""Connections that are told when their handshake is decided are as they are when they are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from recorded import ROOT

from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.transcript.connection import Connection

LATER = {"open", "end", "packets", "bytes", "alerts", "messages", "closure", "timing", "problems", "renegotiations"}
"""What may still change, or rests on what may."""


@pytest.mark.parametrize("path", sorted((ROOT / "samples").rglob("*.pcap*")), ids=lambda path: path.name)
@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_what_is_decided_is_as_it_is_in_the_end(path: Path, batch: int) -> None:
    over = {one.stream: decided(one) for one in Reading([path])}
    assert {one.stream: decided(one) for one in Reading([path], batch=batch, idle=10.0)} == over


def decided(one: Connection) -> dict[str, object]:
    facts = {name: value for name, value in msgspec.to_builtins(one).items() if name not in LATER}
    timing = one.timing
    return {**facts, "timing": timing and (timing.tcp_ms, timing.server_hello_ms, timing.handshake_ms)}
