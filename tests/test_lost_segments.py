"""A hello of which a segment is missing has the frame and time of what there is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversing import CLIENT, Said, Talk, said, write
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


def test_what_a_hello_without_its_end_took_is_not_known(tmp_path: Path) -> None:
    hello = said("tls13-full")[0][1]
    rest = said("tls13-full")[1:]
    halves: Said = [(CLIENT, hello[:200]), (CLIENT, hello[200:]), *rest]
    path = write(tmp_path / "two.pcap", Talk(halves, 0, 5, 50_000))
    (whole,) = facts(path)
    (one,) = facts(without(path, {whole["client_hello"]["frame"]}, tmp_path / "lost.pcap"))
    assert one["client_hello"]["frame"] == whole["client_hello"]["frame"] - 1
    assert one["client_hello"]["segments"] == 1
    assert {name for name, ms in one["timing"].items() if ms != whole["timing"][name]} == {
        name for name, ms in one["timing"].items() if ms is None and whole["timing"][name] is not None
    }
    assert one["timing"]["server_hello_ms"] is None
    assert {message["ms"] for message in one["messages"]} == {None}


@pytest.mark.parametrize("begin", [1, 4], ids=["SYN", "ClientHello"])
def test_a_flight_that_is_missing_is_told_wherever_the_capture_begins(tmp_path: Path, begin: int) -> None:
    steps = said("tls12-full")
    answer = next(number for number, (side, _) in enumerate(steps) if number and side == CLIENT)
    path = write(tmp_path / "whole.pcap", Talk(steps, 0, 5, 50_000))
    lost = set(range(1, begin)) | set(range(5, 4 + answer))
    (one,) = facts(without(path, lost, tmp_path / "lost.pcap"))
    assert one["server_hello"] is None
    size = sum(len(data) for _, data in steps[1:answer])
    gaps = [(problem["detail"], problem["from"]) for problem in one["problems"] if problem["code"] == "gap"]
    assert gaps == [(f"{size} bytes are not in the capture", "server")]
