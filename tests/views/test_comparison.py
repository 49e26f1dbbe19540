"""Comparisons against the truth of recorded paths, and against what was put in."""

from __future__ import annotations

import csv
import io
import json
from functools import cache

import pytest
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.transcript.connection import Connection, Timing
from tlsdissect.views.comparison import rows
from tlsdissect.views.comparison.model import Group, Side, Spread
from tlsdissect.views.comparison.pairs import LEAST
from tlsdissect.views.comparison.text import Text
from tlsdissect.views.comparison.whole import Comparing

TRUTH = {f"{one['server']}:{one['port']}": one for one in json.loads((ROOT / "samples/paths.json").read_text())}
ENDS = ("client", "server")


@cache
def recorded(end: str) -> tuple[Connection, ...]:
    return tuple(tlsdissect.read(ROOT / f"samples/paths-{end}.pcap.gz"))


@cache
def sample(name: str) -> Connection:
    (one,) = tlsdissect.read(ROOT / f"samples/{name}.pcap")
    return one


def compared(connections: tuple[Connection, ...] | list[Connection], by: str | None = None) -> tuple[Group, ...]:
    comparing = Comparing(by)  # type: ignore[arg-type]  # a test's own names
    for one in connections:
        comparing.add(one)
    return comparing.groups()


def full(end: str) -> list[Connection]:
    return [one for one in recorded(end) if one.resumption == "none"]


@pytest.mark.parametrize("end", ENDS)
def test_round_trips_of_each_path(end: str) -> None:
    _, *groups = compared(full(end), "server")
    assert {group.key for group in groups} == set(TRUTH)
    for group in groups:
        (side,) = group.sides
        truth = TRUTH[group.key or ""]
        assert (side.version, side.mean_round_trips) == (truth["version"], truth["round_trips"])
        assert side.capture_points == {f"near the {end}": truth["each"]}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("server", [server for server, one in TRUTH.items() if not one["loss"]])
def test_handshake_time_in_round_trips_is_the_same_from_either_end(end: str, server: str) -> None:
    """The longer the path, the less the programs' own time weighs, which the truth does not know."""
    truth = TRUTH[server]
    groups = {group.key: group for group in compared(full(end), "server")}
    told = groups[server].sides[0].in_round_trips["handshake"].median
    # A retry makes a key anew: some milliseconds, and twice the messages.
    allowed = 0.05 if truth["rtt_ms"] >= 120 else 0.1
    assert told == pytest.approx(truth["round_trips"], rel=allowed)


@pytest.mark.parametrize("end", ENDS)
def test_the_conclusions_are_those_of_the_truth(end: str) -> None:
    whole, *_ = compared(recorded(end))
    told = {(one.kind, one.measure): one for one in whole.differences or ()}
    # Each path has as many handshakes of TLS 1.3 with one round trip as with two.
    trips = told["full", "round_trips"]
    assert (trips.difference, trips.pairs, trips.connections) == (0.5, 4, 120)
    assert trips.differs
    assert trips.low <= 0.5 <= trips.high
    assert told["full", "milliseconds"].differs
    for measure in ("round_trips", "milliseconds", "in_round_trips"):
        assert not told["resumed", measure].differs


def test_the_same_is_told_each_time() -> None:
    assert compared(recorded("client")) == compared(recorded("client"))


def at_cost(version: str, trips: int, took: float) -> Connection:
    one = sample("tls12-full" if version == "TLS 1.2" else "tls13-full")
    return replace(
        one, round_trips=trips, timing=Timing(tcp_ms=10, syn_synack_ms=10, synack_ack_ms=0, handshake_ms=took)
    )


@pytest.mark.parametrize(("old", "new"), [(LEAST, LEAST - 1), (LEAST - 1, LEAST), (0, 50), (0, 0)])
def test_too_few_to_say_anything(old: int, new: int) -> None:
    (whole,) = compared([at_cost("TLS 1.2", 2, 20)] * old + [at_cost("TLS 1.3", 1, 10)] * new)
    assert whole.differences is None
    if whole.sides:
        assert "too few to say anything" in "\n".join(Text().lines(whole))


def test_no_difference_where_the_interval_holds_zero() -> None:
    times = [10.0, 30.0] * LEAST
    (whole,) = compared([at_cost(v, 1, took) for v in ("TLS 1.2", "TLS 1.3") for took in times])
    assert whole.differences is not None
    assert not any(one.differs for one in whole.differences)
    text = "\n".join(Text().lines(whole))
    assert "no difference to be told" in text
    assert "TLS 1.3 takes" not in text


def test_slower_is_told_as_such() -> None:
    (whole,) = compared([at_cost("TLS 1.2", 1, 10)] * LEAST + [at_cost("TLS 1.3", 2, 25)] * LEAST)
    assert "full, ms: TLS 1.3 takes 15.00 more" in "\n".join(Text().lines(whole))


def side(version: str, *names: str) -> Side:
    whole, *_ = compared([sample(name) for name in names])
    (told,) = [one for one in whole.sides if one.version == version]
    return told


def test_what_anyone_could_read() -> None:
    old, new = side("TLS 1.2", "tls12-client-cert", "tls12-full"), side("TLS 1.3", "tls13-client-cert")
    shown = [sample("tls12-client-cert"), sample("tls12-full")]
    certificates = [c for one in shown for c in (*(one.certificates or ()), *(one.client_certificates or ()))]
    assert old.exposure.connections == 2
    assert old.exposure.client_certificates == 1
    assert old.exposure.distinct == len({one.sha256 for one in certificates})
    assert old.exposure.bytes == sum(one.bytes for one in certificates)
    assert old.exposure.emails > 0
    assert (new.exposure.connections, new.exposure.bytes, new.exposure.sni) == (0, 0, 1)


def test_failures_and_unknown_versions() -> None:
    told = side("unknown", "tls12-no-common-suite", "tls13-no-common-version")
    assert (told.connections, told.failed, told.established) == (2, 2, 0)
    assert sum(told.alerts.values()) == 2


def test_retries_and_early_data() -> None:
    told = side("TLS 1.3", "tls13-hello-retry")
    assert (told.hello_retries, told.round_trips, told.fewer_round_trips) == (1, {"2": 1}, 0)


def test_a_spread() -> None:
    assert Spread.of([]) is None
    assert Spread.of([5]) == Spread(1, 5, 5, 5)
    assert Spread.of(range(101)) == Spread(101, 50, 90, 99)


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_text_fits(width: int) -> None:
    connections = [
        *recorded("client"),
        sample("tls12-no-common-suite"),
        replace(sample("tls12-full"), version="SSL 3.0"),
    ]
    for group in compared(connections, "sni"):
        assert max(map(len, Text(width).lines(group))) <= width


@pytest.mark.parametrize("name", ["=cmd()", "<script>", "\x1b[2J", "\u202eabc", "a" * 255, 'x,"y\r\nz'])
def test_names_from_the_wire_do_no_harm(name: str) -> None:
    groups = compared([replace(sample("tls12-full"), sni=name)], "sni")
    text = b"".join(Text(80).written(groups)).decode()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert json.loads(list(rows.lines(groups))[1])["key"] == name
    (_, *table) = csv.reader(io.StringIO(b"".join(rows.rows(groups)).decode(), newline=""))
    assert {row[0] for row in table} == {"", f"'{name}" if name.startswith("=") else name}


def test_csv_has_each_number_of_the_json() -> None:
    groups = compared(recorded("client"))
    (told,) = map(json.loads, rows.lines(groups))
    table = list(csv.DictReader(io.StringIO(b"".join(rows.rows(groups)).decode(), newline="")))
    cells = {(row["version"], row["measure"]): row["value"] for row in table}
    assert len(cells) == len(table)
    for one in told["sides"]:
        median = one["milliseconds"]["handshake"]["median"]
        assert float(cells[one["version"], "milliseconds.handshake.median"]) == median
    assert float(cells["", "full.round_trips.difference"]) == 0.5
