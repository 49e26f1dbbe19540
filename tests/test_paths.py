"""The truth of recorded paths, told from either end."""

from __future__ import annotations

import json
from statistics import median

import pytest
from recorded import ROOT

import tlsdissect
from tlsdissect.views.comparison.client_times import since_client_hello

TRUTH = {(one["server"], one["port"]): one for one in json.loads((ROOT / "samples/paths.json").read_text())}
EACH = sum(one["each"] * (1 if one["round_trips_resumed"] is None else 2) for one in TRUTH.values())


@pytest.mark.parametrize("end", ["client", "server"])
def test_every_connection_is_told_with_its_round_trips(end: str) -> None:
    connections = list(tlsdissect.read(ROOT / f"samples/paths-{end}.pcap.gz"))
    assert len(connections) == EACH >= 200
    for one in connections:
        truth = TRUTH[one.server.ip, one.server.port]
        kind = "round_trips" if one.resumption == "none" else "round_trips_resumed"
        assert (one.version, one.round_trips, one.outcome) == (truth["version"], truth[kind], "established")


def test_both_ends_tell_the_same() -> None:
    told = [
        {
            (one.client.port, one.server.ip, one.server.port): (one.version, one.resumption, one.round_trips, one.ja4)
            for one in tlsdissect.read(ROOT / f"samples/paths-{end}.pcap.gz")
        }
        for end in ("client", "server")
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "place", [place for place in TRUTH if not TRUTH[place]["loss"]], ids=lambda place: f"{place[0]}:{place[1]}"
)
def test_round_trips_take_what_the_path_takes(place: tuple[str, int]) -> None:
    """Seen at the client, on the paths that lose nothing: a lost packet costs more than a round trip."""
    truth = TRUTH[place]
    seen = [one for one in tlsdissect.read(ROOT / "samples/paths-client.pcap.gz") if one.server.ip == place[0]]
    times = [one.timing for one in seen if one.server.port == place[1] and one.resumption == "none"]
    assert median(time.tcp_ms for time in times) == pytest.approx(truth["rtt_ms"], rel=0.05)
    ratio = median(time.handshake_ms / time.tcp_ms for time in times)
    assert ratio == pytest.approx(truth["round_trips"], rel=0.05)


@pytest.mark.parametrize("end", ["client", "server"])
def test_every_handshake_takes_its_round_trips(end: str) -> None:
    """Within 5 %, from either end, on the paths that lose nothing."""
    told = list(tlsdissect.read(ROOT / f"samples/paths-{end}.pcap.gz"))
    steady = [one for one in told if not TRUTH[one.server.ip, one.server.port]["loss"]]
    assert len(steady) == 150
    for one in steady:
        truth = TRUTH[one.server.ip, one.server.port]
        kind = "round_trips" if one.resumption == "none" else "round_trips_resumed"
        assert dict(since_client_hello(one))["handshake"] / one.timing.tcp_ms == pytest.approx(truth[kind], rel=0.05)
