"""What the capture does not show is null and named, never told as something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from recorded import ROOT, facts, packets, snapped, without

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "samples"


def frame_of(sample: str, message: str, sender: str) -> int:
    (connection, *_) = facts(SAMPLES / f"{sample}.pcap")
    return int(next(m["frame"] for m in connection["messages"] if (m["type"], m["from"]) == (message, sender)))


def told(path: Path) -> dict[str, Any]:
    (connection,) = facts(path)
    return connection


def codes(connection: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in connection["problems"]}


def test_a_lost_server_flight_is_no_resumption(tmp_path: Path) -> None:
    lost = frame_of("tls12-full", "server_hello", "server")
    connection = told(without(SAMPLES / "tls12-full.pcap", {lost}, tmp_path / "gap.pcap"))
    assert connection["complete"]
    assert "gap" in codes(connection)
    unseen = ("version", "cipher_suite", "resumption", "round_trips", "certificates", "client_certificate_requested")
    assert {connection[key] for key in unseen} == {None}
    assert connection["timing"]["handshake_ms"] is None
    assert connection["handshake_bytes"]["server"] is None


@pytest.mark.parametrize("size", [230, 400, 1000])
def test_a_cut_server_flight_is_no_resumption(tmp_path: Path, size: int) -> None:
    connection = told(snapped(SAMPLES / "tls12-full.pcap", size, tmp_path / "cut.pcap"))
    assert "truncated_packet" in codes(connection)
    assert connection["resumption"] in (None, "none")
    assert connection["certificates"] is None
    assert connection["client_certificate_requested"] is None
    assert connection["round_trips"] in (None, 2)
    assert connection["handshake_bytes"]["server"] is None


def test_a_cut_hello_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    connection = told(snapped(SAMPLES / "tls12-full.pcap", 150, tmp_path / "cut.pcap"))
    whole = told(SAMPLES / "tls12-full.pcap")
    assert connection["client_hello"]["random"] == whole["client_hello"]["random"]
    assert connection["client_hello"]["bytes"] == whole["client_hello"]["bytes"]
    assert connection["sni"] is None
    assert "truncated_packet" in codes(connection)
    assert "malformed_message" not in codes(connection)


def test_a_hello_without_its_answer_is_told(tmp_path: Path) -> None:
    hello = frame_of("tls13-full", "client_hello", "client")
    path = without(SAMPLES / "tls13-full.pcap", set(range(hello + 1, 1000)), tmp_path / "hello.pcap")
    connection = told(path)
    assert (connection["outcome"], connection["version"], connection["hello_retry"]) == ("incomplete", None, None)
    assert connection["certificates"] is None


def test_a_missing_finished_is_not_a_failure(tmp_path: Path) -> None:
    lost = frame_of("tls12-full", "client_key_exchange", "client")
    connection = told(without(SAMPLES / "tls12-full.pcap", {lost}, tmp_path / "gap.pcap"))
    assert not connection["complete"]
    assert (connection["outcome"], connection["failed_by"]) == ("incomplete", None)
    assert "gap" in codes(connection)


def test_one_direction_alone(tmp_path: Path) -> None:
    sample = SAMPLES / "tls12-full.pcap"
    connection = told(sample)
    servers = {m["frame"] for m in connection["messages"] if m["from"] == "server"}
    port = packets(sample)[0][1][54:56]
    other = {n for n, (_, packet) in enumerate(packets(sample), 1) if packet[54:56] != port}
    assert servers <= other
    alone = told(without(sample, other, tmp_path / "client.pcap"))
    assert (alone["outcome"], alone["version"], alone["sni"]) == ("one_sided", None, connection["sni"])


@pytest.mark.parametrize("cut", [400, 417, 800])
def test_a_file_cut_in_a_packet_is_damage_of_what_went_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes((SAMPLES / "tls12-full.pcap").read_bytes()[:-cut])
    connection = told(path)
    assert "damaged_capture" in codes(connection)
    assert connection["outcome"] == "established"


def test_a_cut_server_hello_of_tls13_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    connection = told(snapped(SAMPLES / "tls13-full.pcap", 180, tmp_path / "cut.pcap"))
    assert connection["version"] == "TLS 1.3"
    assert connection["server_hello"]["random"] == told(SAMPLES / "tls13-full.pcap")["server_hello"]["random"]
    assert (connection["complete"], connection["outcome"], connection["group"]) == (False, "incomplete", None)
    assert "truncated_packet" in codes(connection)
