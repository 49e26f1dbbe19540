"""A hello of which a segment is missing has the frame and time of what there is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from recorded import ROOT, facts, packets, without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLES = ("tls12-full", "tls12-resumed-ticket", "tls13-full", "tls13-resumed", "tls13-hello-retry")


def durations(connection: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((key, ms) for key, ms in connection["timing"].items() if key.endswith("_ms") and ms is not None)
    yield from ((one["type"], one["ms"]) for one in connection["messages"] if one["ms"] is not None)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_duration_is_negative_whichever_segment_is_lost(tmp_path: Path, sample: str) -> None:
    path = ROOT / "samples" / f"{sample}.pcap"
    for frame in range(1, len(packets(path)) + 1):
        for connection in facts(without(path, {frame}, tmp_path / "lost.pcap")):
            assert {name: ms for name, ms in durations(connection) if ms < 0} == {}, frame
