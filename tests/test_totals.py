"""The totals of several readings together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from quicwriting import INITIAL, ORIGINAL, PEER, V1, Sent, header, pcap
from recorded import ROOT

from tlsdissect.flows.table import WHOLE, Shard
from tlsdissect.pipeline import Reading, Summary

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES = [str(ROOT / "samples" / f"{name}.pcap") for name in ("tls12-resumed-ticket", "network/network-failures")]
NEVER_ADDED = {"views_not_joined", "undecided"}
"""Totals of readings that are never added to others."""


def totals(captures: list[str], shard: Shard = WHOLE) -> Summary:
    reading = Reading(captures, shard=shard)
    for _ in reading.placed():
        pass
    return reading.summary


def test_totals_of_captures_are_those_of_reading_them_together() -> None:
    both = Summary()
    for path in CAPTURES:
        both.include(totals([path]))
    assert vars(both) == vars(totals(CAPTURES))


def test_totals_of_shards_are_those_of_the_whole() -> None:
    first, second = (totals(CAPTURES, Shard(number, 2)) for number in range(2))
    assert 0 < second.connections < totals(CAPTURES).connections
    first.include_shard(second)
    assert vars(first) == vars(totals(CAPTURES))


def test_each_shard_counts_flows_that_are_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "unknown.pcap"
    packet = header(INITIAL, V1, ORIGINAL, PEER) + bytes(1200)
    path.write_bytes(pcap(Sent(packet, port=40_000 + number) for number in range(3)))
    first, second = (totals([str(path)], Shard(number, 2)) for number in range(2))
    first.include_shard(second)
    assert first.quic == totals([str(path)]).quic == 3


def test_no_total_is_forgotten() -> None:
    """What one reading counted is there after it was added to one that counted nothing."""
    counted: dict[str, Any] = {
        name: value + 1 if isinstance(value, int) else "disk full" if value is None else type(value)(["one"])
        for name, value in vars(Summary()).items()
        if name not in NEVER_ADDED
    }
    assert {type(value) for value in counted.values()} == {int, str, Counter, list, set, frozenset}
    one, none = Summary(), Summary()
    for name, value in counted.items():
        setattr(one, name, value)
    none.include(one)
    assert {name: getattr(none, name) for name in counted} == counted
