"""Captures whose packets are not in order: timestamps and acknowledgements give the order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from mangle import Segment, Way, first_conversation
from recorded import ROOT, facts, kept

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

TALKS = ("tls12-full", "tls12-resumed-id", "tls12-unknown-ca", "tls13-full", "tls13-unknown-ca", "tls13-hello-retry")
SAME = (
    "sni", "version", "cipher_suite", "outcome", "complete", "failed_by", "closure", "round_trips", "resumption",
    "early_data", "ja3", "ja4", "ja3s", "alpn", "hello_retry", "handshake_bytes", "certificates",
)  # fmt: skip


def read(path: Path, sent: list[Segment]) -> dict[str, Any]:
    path.write_bytes(Way()(sent))
    [connection] = facts(path)
    return connection


def split(sent: list[Segment], *, server_first: bool) -> list[Segment]:
    return sorted(sent, key=lambda one: (one.ports == sent[0].ports) == server_first)


def told(connection: dict[str, Any]) -> dict[str, Any]:
    return {key: connection[key] for key in SAME}


def types(connection: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["from"], message["type"]) for message in connection["messages"]]


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("server_first", [False, True])
def test_one_direction_stands_before_the_other(name: str, server_first: bool, tmp_path: Path) -> None:
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    plain = read(tmp_path / "plain.pcap", sent)
    connection = read(tmp_path / "apart.pcap", split(sent, server_first=server_first))
    assert told(connection) == told(plain)
    assert types(connection) == types(plain)
    assert connection["timing"] == plain["timing"]
    assert "out_of_order" in {problem["code"] for problem in connection["problems"]}
    assert "out_of_order" not in {problem["code"] for problem in plain["problems"]}


@pytest.mark.parametrize("name", TALKS)
def test_a_capture_in_reverse_order_has_no_dropped_segments(name: str, tmp_path: Path) -> None:
    """The SYN comes last: it is earlier than the connection's other packets, and did not come into it."""
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    plain, connection = (read(tmp_path / "a.pcap", one) for one in (sent, sent[::-1]))
    assert types(connection) == types(plain)
    assert "dropped_segment" not in {problem["code"] for problem in connection["problems"]}


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("server_first", [False, True])
def test_acknowledgements_tell_the_order_where_times_are_all_the_same(
    name: str, server_first: bool, tmp_path: Path
) -> None:
    sent = [replace(one, time=1_700_000_000_000_000) for one in first_conversation(ROOT / f"samples/{name}.pcap")]
    plain = read(tmp_path / "plain.pcap", sent)
    connection = read(tmp_path / "apart.pcap", split(sent, server_first=server_first))
    assert told(connection) == told(plain)
    assert "out_of_order" in {problem["code"] for problem in connection["problems"]}


def test_frames_are_those_of_the_capture(tmp_path: Path) -> None:
    path, sent = (
        tmp_path / "apart.pcap",
        split(first_conversation(ROOT / "samples/tls13-full.pcap"), server_first=False),
    )
    connection = read(path, sent)
    hello = 1 + next(n for n, one in enumerate(sent) if one.payload[5:6] == b"\x01")
    answer = 1 + next(n for n, one in enumerate(sent) if one.payload[5:6] == b"\x02")
    assert connection["client_hello"]["frame"] == hello
    assert connection["server_hello"]["frame"] == answer
    [whole] = kept(path)
    sides = {packet.frame: packet.sender for packet in whole.transcript.packets}  # type: ignore[attr-defined]
    assert (sides[hello], sides[answer]) == ("client", "server")
    assert not {s.code for s in tlsdissect.explain(whole).sentences} & {"sent_again", "late_segment"}


def test_a_clock_that_is_set_back_is_no_other_order(tmp_path: Path) -> None:
    sent = first_conversation(ROOT / "samples/tls13-full.pcap")
    back = [replace(one, time=one.time - 3_000_000) if n > len(sent) // 2 else one for n, one in enumerate(sent)]
    connection = read(tmp_path / "back.pcap", back)
    assert connection["outcome"] == "established"
    assert "out_of_order" not in {problem["code"] for problem in connection["problems"]}


def test_a_segment_seen_only_when_it_is_sent_again_is_in_its_place(tmp_path: Path) -> None:
    """The capture lacks the first copy, but its timestamps ascend: it is in order."""
    sent = first_conversation(ROOT / "samples/tls12-full.pcap")
    at = next(n for n, one in enumerate(sent) if one.payload[5:6] == b"\x02")
    after = [replace(one, time=one.time + 200_000) for one in sent[at + 3 :]]
    late = [*sent[:at], *sent[at + 1 : at + 3], replace(sent[at], time=after[0].time), *after]
    connection = read(tmp_path / "late.pcap", late)
    assert "out_of_order" not in {problem["code"] for problem in connection["problems"]}


@pytest.mark.parametrize("name", [*TALKS, "tls13-client-cert-rejected"])
def test_packets_swapped_within_a_millisecond_are_put_in_order(name: str, tmp_path: Path) -> None:
    """Packets of two taps were merged: an answer may precede what it acknowledges, in its place and in its time."""
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    plain = read(tmp_path / "plain.pcap", sent)
    swaps = [
        n
        for n, (one, other) in enumerate(pairwise(sent))
        if one.payload and other.acknowledged == one.sequence + len(one.payload) and other.time - one.time < 1_000
    ]
    assert len(swaps) >= 2
    for n in swaps:
        one, other = replace(sent[n], time=sent[n + 1].time), replace(sent[n + 1], time=sent[n].time)
        connection = read(tmp_path / "swapped.pcap", [*sent[:n], other, one, *sent[n + 2 :]])
        assert told(connection) == told(plain), n
        assert types(connection) == types(plain), n


@pytest.mark.parametrize("name", [*TALKS, "tls13-client-cert-rejected", "tls13-early-data"])
@pytest.mark.parametrize("ahead", [-50_000, -5_000, 5_000, 50_000])
def test_two_taps_whose_clocks_differ(name: str, ahead: int, tmp_path: Path) -> None:
    """The server's packets have the times of a clock that is ahead by so many microseconds, or behind."""
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    plain = read(tmp_path / "plain.pcap", sent)
    skewed = [one if one.ports == sent[0].ports else replace(one, time=one.time + ahead) for one in sent]
    connection = read(tmp_path / "skewed.pcap", sorted(skewed, key=lambda one: one.time))
    assert told(connection) == told(plain)
    assert types(connection) == types(plain)
    # What was measured between the two directions is not known.
    known = {key: value for key, value in connection["timing"].items() if value is not None}
    assert known.items() <= plain["timing"].items()
    assert connection["timing"]["client_data_ms"] == plain["timing"]["client_data_ms"]
    [reason] = [one["detail"] for one in connection["problems"] if one["code"] == "out_of_order"]
    assert "since the clocks of the two directions differ: the packets were put in order by acknowledgements" in reason


@pytest.mark.parametrize("name", TALKS)
def test_losses_of_the_capture_are_no_clocks_that_differ(name: str, tmp_path: Path) -> None:
    """It lacks the first SYN-ACK and the first copy of the server's answer; both were sent again."""
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    hello = next(n for n, one in enumerate(sent) if one.payload[5:6] == b"\x02")
    later = [replace(one, time=one.time + 1_000_000) for one in sent[3:]]
    synack = replace(sent[1], time=later[0].time - 1)
    answer = replace(later[hello - 3], time=later[hello - 2].time + 200_000)
    rest = [replace(one, time=one.time + 200_000) for one in later[hello - 1 :]]
    taken = [sent[0], sent[2], synack, *later[: hello - 3], later[hello - 2], answer, *rest]
    connection = read(tmp_path / "lossy.pcap", taken)
    assert "out_of_order" not in {problem["code"] for problem in connection["problems"]}
