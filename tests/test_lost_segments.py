"""A hello of which a segment is missing has the frame and time of what there is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversing import CLIENT, Said, Talk, said, write
from mangle import segments
from recorded import ROOT, facts, kept, packets, without

import tlsdissect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLES = ("tls12-full", "tls12-resumed-ticket", "tls13-full", "tls13-resumed", "tls13-hello-retry")


def explained(path: Path) -> str:
    (connection,) = kept(path)
    return "\n".join(sentence.text for sentence in tlsdissect.explain(connection).sentences)


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


SERVER_PORT = (8443).to_bytes(2, "big")
REFUSED = "tls13-client-cert-rejected", "tls12-unknown-ca"


@pytest.mark.parametrize("sample", [*SAMPLES, *REFUSED])
def test_every_segment_that_is_lost_is_reported(tmp_path: Path, sample: str) -> None:
    path = ROOT / "samples" / f"{sample}.pcap"
    for frame, segment in enumerate(segments(path), 1):
        if segment.payload:
            connections = facts(without(path, {frame}, tmp_path / "lost.pcap"))
            problems = [problem for connection in connections for problem in connection["problems"]]
            side = "server" if segment.ports[:2] == SERVER_PORT else "client"
            assert ("gap", side) in [(problem["code"], problem["from"]) for problem in problems], frame


def test_an_alert_lost_before_the_fin_leaves_the_outcome_open(tmp_path: Path) -> None:
    for sample, frame, side, size in (("tls12-unknown-ca", 8, "client", 7), (REFUSED[0], 9, "server", 24)):
        path = ROOT / "samples" / f"{sample}.pcap"
        (whole,) = facts(path)
        assert (whole["outcome"], whole["failed_by"]) == ("alert", side)
        (one,) = facts(without(path, {frame}, tmp_path / "lost.pcap"))
        assert (one["outcome"], one["failed_by"], one["complete"]) == ("incomplete", None, False)
        (gap,) = [problem for problem in one["problems"] if problem["code"] == "gap"]
        # The frame of the FIN: the next one of that side, without the lost one before it.
        assert (gap["detail"], gap["frame"]) == (f"{size} bytes before the FIN are not in the capture", frame)


def test_an_alert_lost_with_the_fin_is_shown_by_its_acknowledgement(tmp_path: Path) -> None:
    path = ROOT / "samples" / "tls12-unknown-ca.pcap"
    (one,) = facts(without(path, {8, 9}, tmp_path / "lost.pcap"))
    assert (one["outcome"], one["failed_by"]) == ("incomplete", None)
    gaps = [(problem["detail"], problem["frame"]) for problem in one["problems"] if problem["code"] == "gap"]
    assert gaps == [("at least 7 bytes that were acknowledged are not in the capture", None)]
    # Without the FIN alone, nothing of the stream is missing.
    (one,) = facts(without(path, {9}, tmp_path / "fin.pcap"))
    assert (one["outcome"], one["problems"]) == ("alert", [])


def test_whether_close_notify_came_is_not_known_without_the_last_bytes(tmp_path: Path) -> None:
    path = ROOT / "samples" / "tls12-full.pcap"
    assert "Both sides ended the connection with an encrypted alert." in explained(path)
    text = explained(without(path, {14}, tmp_path / "lost.pcap"))
    said = "with a FIN, and with close_notify if that is among the bytes that the capture lacks"
    assert f"The client ended the connection {said}" in text


def test_a_fin_that_its_receiver_never_reaches_shows_no_loss() -> None:
    # FINs in the window that were sent 1,000 bytes ahead, each before the one that ended the connection.
    connections = facts(ROOT / "samples" / "evasion.pcap.gz")
    assert [one["stream"] for one in connections if "before the FIN" in str(one["problems"])] == []
