"""Comparisons against the truth of recorded paths, and against what was put in."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
from functools import cache

import numpy as np
import pytest
from made import made
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.model.connection import Connection, Endpoint, HelloRetryRequest, Timing
from tlsdissect.views.comparison import builder, formats, pairs, sampling
from tlsdissect.views.comparison.builder import ComparisonBuilder
from tlsdissect.views.comparison.client_times import layers, since_client_hello, to_first_data
from tlsdissect.views.comparison.formats import Text
from tlsdissect.views.comparison.model import Group, Side, Spread
from tlsdissect.views.comparison.pairs import LEAST, kind_of

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
    comparison = ComparisonBuilder(by)  # type: ignore[arg-type]  # a test's own names
    for one in connections:
        comparison.add(one)
    return comparison.groups()


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
    # Each path has as many full handshakes of TLS 1.3 with a HelloRetryRequest, which are of another kind.
    trips = told["full", "round_trips"]
    assert (trips.difference, trips.pairs, trips.connections) == (1, 4, 80)
    assert trips.differs
    assert trips.low == trips.high == 1
    assert told["full", "milliseconds"].differs
    assert not told["resumed", "round_trips"].differs
    # What the programs take for themselves may differ, and be told: it is far from a round trip.
    assert abs(told["resumed", "milliseconds"].difference) < 3
    assert abs(told["resumed", "in_round_trips"].difference) < 0.05


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
        assert ("too few" if old else "nothing to compare") in "\n".join(Text().lines(whole))
        assert "too few connections to compare" in "\n".join(Text(whole=True).lines(whole))


def test_no_difference_where_the_interval_holds_zero() -> None:
    times = [10.0, 30.0] * LEAST
    (whole,) = compared([at_cost(v, 1, took) for v in ("TLS 1.2", "TLS 1.3") for took in times])
    assert whole.differences is not None
    assert not any(one.differs for one in whole.differences)
    text = "\n".join(Text(whole=True).lines(whole))
    assert "no significant difference" in text
    assert "TLS 1.3 takes" not in text


def test_slower_is_told_as_such() -> None:
    (whole,) = compared([at_cost("TLS 1.2", 1, 10)] * LEAST + [at_cost("TLS 1.3", 2, 25)] * LEAST)
    assert "full, time: TLS 1.3 takes 15.0 ms more (median 25.0 ms, not 10.0 ms; 95 %: 15.0 to 15.0 ms;" in " ".join(
        "\n".join(Text(whole=True).lines(whole)).split()
    )
    told = " ".join("\n".join(Text().lines(whole)).split())
    assert "full handshakes take 15.0 ms more with TLS 1.3 (median 25.0 ms, not 10.0 ms; 95 %: 15.0 to 15.0 ms)" in told


def test_a_difference_too_small_to_be_written_is_not_zero() -> None:
    (whole,) = compared([at_cost("TLS 1.2", 1, 10)] * LEAST + [at_cost("TLS 1.3", 1, 10.004)] * LEAST)
    for text in (Text(), Text(whole=True)):
        told = " ".join("\n".join(text.lines(whole)).split())
        assert "less than 0.01 ms more" in told
        assert "0.00 ms" not in told.replace("0.00 to 0.00 ms", "")


def test_the_interval_is_that_of_the_difference_that_is_told() -> None:
    """Where TLS 1.3 takes longer, both bounds are positive, the smaller one first."""
    slower = [at_cost("TLS 1.3", 1, 20 + n) for n in range(LEAST)]
    (whole,) = compared([at_cost("TLS 1.2", 1, 10 + n) for n in range(LEAST)] + slower)
    (one,) = [found for found in whole.differences or () if found.measure == "milliseconds"]
    assert one.low <= one.difference == -10 <= one.high < 0
    told = f"10.0 ms more with TLS 1.3 (median 24.5 ms, not 14.5 ms; 95 %: {-one.high:.2f} to {-one.low:.1f} ms)"
    assert told in " ".join("\n".join(Text(110).lines(whole)).split())
    assert f"+10.0 (+{-one.high:.2f} to +{-one.low:.1f})" in "\n".join(Text(110).lines(whole))


def test_kinds_of_handshakes_are_not_mixed() -> None:
    (whole,) = compared(tlsdissect.read(ROOT / "samples/paths-client.pcap.gz"))
    newer = next(side for side in whole.sides if side.version == "TLS 1.3")
    took: dict[str, list[float]] = {"full": [], "resumed": [], "retried": []}
    for c in tlsdissect.read(ROOT / "samples/paths-client.pcap.gz", tls="1.3"):
        kind = "retried" if c.hello_retry else "full" if c.resumption == "none" else "resumed"
        took[kind].append(since_client_hello(c)["handshake"])
    assert {kind: spread.n for kind, spread in newer.handshakes.items()} == {k: len(v) for k, v in took.items()}
    assert newer.handshakes["full"].median == pytest.approx(statistics.median(took["full"]))


def test_groups_are_rows() -> None:
    groups = compared(tlsdissect.read(ROOT / "samples/paths-client.pcap.gz"), "sni")
    text = b"".join(Text(100).written(groups)).decode()
    (row,) = [line for line in text.splitlines() if line.startswith("server.test")]
    assert row.split()[1:3] == ["80", "120"]
    assert "+" in row or "-" in row.split(maxsplit=8)[-1]


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


def test_quic_is_compared_from_the_first_packet_on() -> None:
    quic = side("QUIC", "quic/quic-full", "quic/quic-chromium", "quic/quic-retry", "quic/quic-version-negotiation")
    (full, chromium, *_) = (sample(f"quic/{name}").timing for name in ("quic-full", "quic-chromium"))
    spread = quic.milliseconds["to_first_data"]
    assert spread.n == 2  # before the others' ClientHello something went that they do not say the time of
    assert spread.median == pytest.approx((full.server_record_ms + chromium.server_record_ms) / 2)
    tcp = sample("tls13-full")
    t = tcp.timing
    at = since_client_hello(tcp)
    assert to_first_data(tcp, at) == pytest.approx(
        t.tcp_ms + t.ack_client_hello_ms + t.server_record_ms + t.synack_ack_ms
    )
    assert to_first_data(replace(tcp, timing=replace(t, tcp_ms=None)), at) is None
    shown = brief("quic/quic-full", "tls13-full", "tls12-no-common-suite")
    assert re.search(r"first packet to first data +[0-9.]+ / [0-9.]+ / [0-9.]+ +57\.0 / 57\.0 / 57\.0\n", shown)
    assert "failed: 1 of 1 without a visible version" in shown
    assert "unknown" not in shown
    assert "first packet" not in brief("tls13-full", "tls12-full")


def brief(*samples: str) -> str:
    (whole,) = compared([sample(name) for name in samples])
    return "\n".join(Text(110).lines(whole))


def test_the_numbers_of_the_verdict_come_first_and_others_say_of_what_they_are() -> None:
    """A reader who quotes a median must see at once whether it is of pairs or of all connections."""
    [whole] = compared(recorded("client"))
    lines = list(Text(80).lines(whole))
    pairs, everyone = lines.index("the same clients and servers in both versions"), lines.index("connections")
    assert pairs < everyone
    assert lines.index("round trips of all connections") > everyone
    assert any(line.startswith("ms of all connections:") for line in Text(80, whole=True).lines(whole))
    assert "  quote the differences" in "\n".join(lines)


def test_no_label_of_a_difference_is_cut_at_60_columns() -> None:
    [whole] = compared(recorded("client"))
    lines = list(Text(60).lines(whole))
    at = lines.index("the same clients and servers in both versions")
    assert re.fullmatch(r"  full, ms \(median\) +366 +184 +-182", lines[at + 3])
    assert re.fullmatch(r"    95 % +-182 to -181", lines[at + 4])
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= 60


def test_no_interval_is_cut_at_80_columns() -> None:
    (whole,) = compared(recorded("client"))
    lines = list(Text(80).lines(whole))
    assert not any("…" in line for line in lines)
    (shown,) = [line for line in lines if line.startswith("  full handshake ")]
    assert re.fullmatch(r"  full handshake( +[0-9.]+ / [0-9.]+ / [0-9.]+){2}", shown)
    (shown,) = [line for line in lines if line.startswith("  full, ms (median) ")]
    assert re.fullmatch(r"  full, ms \(median\)( +[0-9.]+){2} +-[0-9.]+ \(-[0-9.]+ to -[0-9.]+\)", shown)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("whole", [False, True])
def test_versions_that_do_not_fit_go_below(whole: bool) -> None:
    """All versions at 80 columns, with times of seven digits: each number is there, whole, under its version."""
    long = replace(sample("tls12-full").timing, handshake_ms=1_234_567.0, tcp_ms=None)
    others = [replace(sample("tls12-full"), version=version, timing=long) for version in ("TLS 1.0", "TLS 1.2")]
    quic = replace(sample("tls13-full"), transport="quic", timing=long)
    [group] = compared([*recorded("client"), *others, quic, sample("tls12-no-common-suite")])
    lines = list(Text(80, whole=whole).lines(group))
    heads = [set(re.split("  +", line.strip())) for line in lines if line.startswith("   ") and "TLS 1.2" not in line]
    assert {"older", "QUIC"} <= set().union(*heads)
    assert max(map(len, lines)) <= 80
    numbers = [line for line in lines if re.search(r"[0-9]$|%\)$", line)]
    assert not any("…" in re.split("  +", line.strip(), maxsplit=1)[-1] for line in numbers)
    # Of one connection, the three percentiles are the same.
    times = [line for line in lines if line.count("1,234,567 / 1,234,567 / 1,234,567")]
    assert len(times) >= 1


def test_an_outlier_does_not_decide_the_difference() -> None:
    """One handshake that waited for a lost packet: the difference is that of the medians, not of the means."""
    old = [10.0 + n for n in range(LEAST)]
    before, after = [*old, 500.0], [n - 2 for n in [*old, 15.0]]
    (whole,) = compared(
        [at_cost("TLS 1.2", 2, took) for took in before] + [at_cost("TLS 1.3", 1, took) for took in after]
    )
    found = {one.measure: one for one in whole.differences or ()}
    times, trips = found["milliseconds"], found["round_trips"]
    assert (times.old, times.new, times.difference) == (15, 13, 2)
    assert times.low <= 2 <= times.high < 20
    assert (trips.old, trips.new, trips.difference) == (2, 1, 1)


@pytest.mark.parametrize("end", ENDS)
def test_a_difference_is_that_of_the_numbers_beside_it(end: str) -> None:
    (whole,) = compared(recorded(end))
    assert whole.differences
    for one in whole.differences:
        assert one.difference == one.old - one.new
        assert one.low <= one.difference <= one.high
    (full,) = [one for one in whole.differences if (one.kind, one.measure) == ("full", "milliseconds")]
    paths: dict[tuple[str, str], list[float]] = {}
    for c in recorded(end):
        if kind_of(c) == "full" and c.outcome == "established":
            took = since_client_hello(c)["handshake"]
            paths.setdefault((c.version or "", c.server.host), []).append(took)
    for version, told in (("TLS 1.2", full.old), ("TLS 1.3", full.new)):
        assert told == statistics.median(
            statistics.median(several) for (one, _), several in paths.items() if one == version
        )


@pytest.mark.parametrize("many", [1, 2, 5, 12])
def test_medians_are_drawn_as_from_the_values_themselves(many: int) -> None:
    """The distribution of bootstrap medians against one made by drawing the values, which takes longer."""
    draw = np.random.default_rng(1)
    values = np.sort(draw.lognormal(1, 1, many))
    drawn = np.median(draw.choice(values, (50_000, many)), axis=1)
    quick = pairs._resampled_medians(values[np.newaxis], draw, 50_000)[0]
    assert np.mean(quick) == pytest.approx(np.mean(drawn), rel=0.02)
    assert np.std(quick) == pytest.approx(np.std(drawn), rel=0.03)


def test_failures_and_unknown_versions() -> None:
    told = side("unknown", "tls12-no-common-suite", "tls13-no-common-version")
    assert (told.connections, told.failed, told.established) == (2, 2, 0)
    assert sum(told.alerts.values()) == 2


def test_retries_and_early_data() -> None:
    told = side("TLS 1.3", "tls13-hello-retry")
    assert (told.hello_retries, told.round_trips) == (1, {"2": 1})
    assert (told.expected_round_trips, told.mean_with_tcp) == (1, 3)
    assert told.against_expected == {"HelloRetryRequest": 1}


def against(name: str, **changes: object) -> dict[str, int]:
    whole, *_ = compared([replace(one, **changes) for one in tlsdissect.read(ROOT / f"samples/{name}.pcap")])
    return whole.sides[0].against_expected


def test_round_trips_beside_those_expected() -> None:
    assert against("tls12-full") == {"as expected": 1}
    assert against("tls12-resumed-id") == {"as expected": 2}
    assert against("tls13-early-data") == {"as expected": 1, "early data": 1}
    assert against("tls12-full", round_trips=1) == {"false start": 1}
    assert against("tls12-full", round_trips=None) == {}


def test_layers_follow_one_another() -> None:
    """TCP, gap, TLS, gap, first byte: together they are the time from the SYN to the first byte, as captured here."""
    one, full = sample("tls12-full"), sample("tls13-full")
    took = dict(layers(one, since_client_hello(one)))
    whole = one.timing.tcp_ms + one.timing.ack_client_hello_ms + one.timing.server_data_ms
    # The way between capture point and client is added to the end that a message of the server makes.
    assert sum(took.values()) == pytest.approx(whole + one.timing.synack_ack_ms)
    assert all(value >= 0 for value in took.values())
    assert "data_to_first_byte" not in dict(layers(full, since_client_hello(full)))


def post_quantum(shares: tuple[str, ...], group: str, asked: str | None = None) -> Connection:
    one = sample("tls13-full")
    retry = None if asked is None else HelloRetryRequest(6, asked, None)
    hello = replace(one.client_hello, groups=("X25519MLKEM768", "x25519"), key_shares=shares, bytes=1500, segments=2)
    return replace(one, client_hello=hello, group=group, hello_retry=retry is not None, hello_retry_request=retry)


def test_what_post_quantum_costs() -> None:
    hybrid = "X25519MLKEM768"
    (whole,) = compared([
        sample("tls13-full"),
        post_quantum((hybrid, "x25519"), hybrid),
        post_quantum(("x25519",), hybrid, hybrid),
        post_quantum((hybrid,), "x25519", "x25519"),
        post_quantum((hybrid, "x25519"), "secp384r1", "secp384r1"),
    ])  # fmt: skip
    told = whole.sides[0].post_quantum
    assert (told.offered, told.shared, told.negotiated) == (4, 3, 2)
    # To get such a share, and for want of another; the server that wanted P-384 would have asked anyway.
    assert told.retries == 2
    assert told.hello_bytes is not None
    assert (told.hello_bytes.n, told.hello_bytes.median, told.hello_segments.median) == (3, 1500, 2)
    assert told.hello_bytes_without.n == 2
    assert told.share_bytes.n == 3


@pytest.mark.parametrize(
    ("suite", "aead"),
    [
        ("TLS_AES_128_CCM_8_SHA256", True),
        ("TLS_RSA_WITH_AES_128_CCM", True),
        ("TLS_CHACHA20_POLY1305_SHA256", True),
        ("TLS_AEGIS_128L_SHA256", True),
        ("TLS_SM4_GCM_SM3", True),
        ("TLS_GOSTR341112_256_WITH_MAGMA_MGM_L", True),
        ("TLS_SHA256_SHA256", False),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", False),
    ],
)
def test_aead(suite: str, aead: bool) -> None:
    assert builder.is_aead(suite) is aead


@pytest.mark.parametrize(
    ("suite", "group", "bits", "secret"),
    [
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", None, None, False),
        ("TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256", None, None, False),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", None, None, True),
        ("TLS_DH_anon_WITH_AES_128_GCM_SHA256", None, None, True),
        ("TLS_AES_128_GCM_SHA256", None, None, False),  # a PSK without (EC)DHE
        ("TLS_AES_128_GCM_SHA256", "x25519", None, True),
        ("0x9999", None, 2048, True),
    ],
)
def test_forward_secrecy(suite: str, group: str | None, bits: int | None, secret: bool) -> None:
    connection = replace(sample("tls12-full"), cipher_suite=suite, group=group, dh_bits=bits)
    assert builder.is_forward_secret(connection) is secret


def test_addresses_in_certificates() -> None:
    one = sample("tls12-full")
    leaf = replace(one.certificates[0], subject="CN=a,emailAddress=joe@a.example", email_addresses=("ann@a.example",))
    other = replace(leaf, sha256="1" * 64, email_addresses=("joe@a.example",))
    (whole,) = compared([replace(one, certificates=(leaf,)), replace(one, certificates=(other, other))])
    told = whole.sides[0].exposure
    assert (told.distinct, told.emails, told.bytes) == (2, 2, 3 * leaf.bytes)


def test_what_tls13_hides() -> None:
    old, new = side("TLS 1.2", "tomcat-tls12").exposure, side("TLS 1.3", "tomcat-tls13").exposure
    assert (old.hidden_certificates, old.hidden_alpn) == (0, 0)
    assert new.hidden_certificates == 1
    assert new.readable["server"].median < old.readable["server"].median
    assert new.encrypted["server"].median > old.encrypted["server"].median


def test_a_refused_certificate_was_sent() -> None:
    """Two of the four clients answered unknown_ca: the certificates that they refuse are encrypted, too."""
    (whole,) = compared(tuple(tlsdissect.read(ROOT / "samples/network/network-failures.pcap")))
    (newer,) = [side for side in whole.sides if side.version == "TLS 1.3"]
    assert (newer.connections, newer.established, newer.exposure.hidden_certificates) == (4, 2, 4)
    # The server's alert about something else says nothing about certificates.
    (refused,) = tlsdissect.read(ROOT / "samples/tls13-unknown-ca.pcap")
    other = replace(refused, alerts=tuple(replace(one, description="decode_error") for one in refused.alerts))
    (whole,) = compared([refused, other])
    assert whole.sides[0].exposure.hidden_certificates == 1


def test_each_request_for_another_hello_has_its_name() -> None:
    """DTLS 1.0 and 1.2 have HelloVerifyRequest (RFC 6347), TLS 1.3 and DTLS 1.3 have HelloRetryRequest."""
    (dtls,) = compared([*tlsdissect.read(ROOT / "samples/dtls"), sample("tls13-hello-retry")])
    asked = {side.version: side.hello_retries for side in dtls.sides}
    assert asked["TLS 1.2"]
    assert asked["TLS 1.3"]
    for whole in (False, True):
        lines = list(Text(110, whole=whole).lines(dtls))
        first = lines.index("connections")
        lines = lines[first - 1 : next(at for at in range(first + 1, len(lines)) if not lines[at].startswith(" "))]
        versions = re.split("  +", next(line for line in lines if "TLS 1.2  " in line).strip())
        rows = {
            line.split()[0]: dict(zip(versions, re.split("  +", line.strip())[1:], strict=True))
            for line in lines
            if line.startswith(("  HelloVerifyRequest", "  HelloRetryRequest")) and "%" in line
        }
        assert rows["HelloVerifyRequest"]["TLS 1.2"].startswith(f"{asked['TLS 1.2']} (")
        assert rows["HelloVerifyRequest"]["TLS 1.3"] == "-"
        assert rows["HelloRetryRequest"]["TLS 1.3"].startswith(f"{asked['TLS 1.3']} (")
        assert rows["HelloRetryRequest"]["TLS 1.2"] == "-"


def test_pairs_of_one_connection_each_are_no_certainty() -> None:
    """Ten clients, each with one connection of both versions: only what differs between the clients shows how sure."""
    costs = [5, -5, 1, -1, 3, -4, 2, -2, 6, -4]
    both = [
        replace(at_cost(version, 1, 20 + (cost if version == "TLS 1.3" else 0)), client=Endpoint(f"192.0.2.{at}", 5000))
        for at, cost in enumerate(costs)
        for version in ("TLS 1.2", "TLS 1.3")
    ]
    (whole,) = compared(both)
    told = {one.measure: one for one in whole.differences or ()}["milliseconds"]
    assert (told.pairs, told.differs) == (10, False)
    assert told.low < -1
    assert told.high > 1


def test_limits_sample_or_say_what_they_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_VALUES", 1000)
    monkeypatch.setattr(sampling, "MAX_NAMES", 30)
    monkeypatch.setattr(sampling, "MAX_PAIRS", 5)
    connections = [
        replace(
            at_cost(("TLS 1.2", "TLS 1.3")[n % 2], 1, float(n)),
            client=Endpoint(f"192.0.2.{n // 2 % 10}", 5000),
            sni=f"{n}.example",
        )
        for n in range(5000)
    ]
    (whole,) = compared(connections)
    for told in whole.sides:
        spread = told.milliseconds["handshake"]
        assert spread.n == 2500
        assert spread.median == pytest.approx(2500, rel=0.1)
        assert spread.p90 == pytest.approx(4500, rel=0.1)
        assert told.exposure.cut
    assert sum(told.exposure.sni_names for told in whole.sides) <= 30
    assert whole.unpaired == 5000 - 5
    assert "30 or more" in "\n".join(Text(whole=True).lines(whole)) or "or more" in "\n".join(
        Text(whole=True).lines(whole)
    )
    assert "4,995 connections were left out of the pairs" in "\n".join(Text(whole=True).lines(whole))


def test_names_take_no_more_bytes_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_NAME_BYTES", 100_000)
    names = sampling.Names(sampling.Budget())
    assert [names.add(f"{n}." * 10_000) for n in range(5)] == [True] * 4 + [False]
    assert names.cut


def test_groups_and_what_is_counted_of_them_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "MAX_GROUP_BYTES", 50_000)
    monkeypatch.setattr(sampling, "MAX_COUNTED", 100)
    one = at_cost("TLS 1.3", 1, 1.0)
    comparison = builder.ComparisonBuilder("sni")
    for n in range(10):
        suites = tuple([f"0x{n:02x}{suite:02x}" for suite in range(60)])
        hello = replace(one.client_hello, cipher_suites=suites)
        comparison.add(replace(one, sni=f"{n}." * 5000, client_hello=hello))
    groups = comparison.groups()
    assert len(groups) == 1 + 4
    assert comparison.left_out == 6
    for told in (groups[0].sides, [side for group in groups[1:] for side in group.sides]):
        assert sum(len(side.offered_suites.keys() - {"others"}) for side in told) <= 100
        assert sum(side.offered_suites["others"] for side in told if "others" in side.offered_suites) > 0


def test_a_sample_is_everything_as_long_as_there_is_room() -> None:
    sample_of = sampling.Sample(sampling.Budget())
    for value in range(101):
        sample_of.add(value)
    assert sample_of.spread() == Spread(101, 50, 90, 99)
    full = sampling.Budget()
    full.values = 0
    few = sampling.Sample(full)
    for value in range(1000):
        few.add(value)
    spread = few.spread()
    assert spread is not None
    assert spread.n == 1000
    assert 300 < spread.median < 700


def test_a_spread() -> None:
    assert Spread.of([]) is None
    assert Spread.of([5]) == Spread(1, 5, 5, 5)
    assert Spread.of(range(101)) == Spread(101, 50, 90, 99)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_text_fits(width: int, whole: bool) -> None:
    connections = [
        *recorded("client"),
        sample("tls12-no-common-suite"),
        replace(sample("tls12-full"), version="SSL 3.0"),
    ]
    for group in compared(connections, "sni"):
        assert max(map(len, Text(width, whole=whole).lines(group))) <= width


def test_what_is_cut_misleads_nobody() -> None:
    """Of two versions on 60 columns: suites differ in what is left of their names, and no number is cut."""
    suites = [
        f"TLS_ECDHE_{key}_WITH_AES_{bits}_GCM_SHA{digest}"
        for key in ("RSA", "ECDSA")
        for bits, digest in ((128, 256), (256, 384))
    ]
    near = replace(sample("tls12-full"), timing=replace(sample("tls12-full").timing, tcp_ms=1.0))
    some = [replace(near, cipher_suite=suite, stream=number) for number, suite in enumerate(suites)]
    slow = replace(near.timing, handshake_ms=1_234_500.0)
    others = [replace(near, version="SSL 3.0", timing=slow), replace(near, version="TLS 1.0")]
    [group] = compared([*some, *others])
    lines = list(Text(60, whole=True).lines(group))
    first = lines.index("cipher suite chosen") + 1
    assert len({line[:28] for line in lines[first : first + 4]}) == 4
    [took] = [line for line in lines[lines.index("in TCP round trips") :] if line.startswith("  handshake  ")][:1]
    assert re.search(r" {2}[0-9,.]+ / [0-9,.]+ / [0-9,.]+$", took)


def test_loopback_has_no_round_trips_to_compare_with() -> None:
    """A handshake over it takes hundreds of them, which is the time of programs."""
    timing = replace(sample("tls12-full").timing, tcp_ms=0.03)
    connections = [
        replace(sample(name), stream=number, timing=timing)
        for name in ("tls12-full", "tls13-full")
        for number in range(12)
    ]
    [group] = compared(connections)
    assert all(side.in_round_trips == {} and side.milliseconds for side in group.sides)
    assert {one.measure for one in group.differences or ()} == {"round_trips", "milliseconds"}


@pytest.mark.parametrize("name", ["=cmd()", "<script>", "\x1b[2J", "\u202eabc", "a" * 255, 'x,"y\r\nz'])
def test_names_from_the_wire_do_no_harm(name: str) -> None:
    groups = compared([replace(sample("tls12-full"), sni=name)], "sni")
    text = b"".join(Text(80, whole=True).written(groups)).decode()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert json.loads(list(formats.json_lines(groups))[1])["key"] == name
    (_, *table) = csv.reader(io.StringIO(b"".join(formats.csv_rows(groups)).decode(), newline=""))
    assert {row[0] for row in table} == {"", f"'{name}" if name.startswith("=") else name}


def test_csv_has_each_number_of_the_json() -> None:
    groups = compared(recorded("client"))
    (told,) = map(json.loads, formats.json_lines(groups))
    table = list(csv.DictReader(io.StringIO(b"".join(formats.csv_rows(groups)).decode(), newline="")))
    cells = {(row["version"], row["measure"]): row["value"] for row in table}
    assert len(cells) == len(table)
    for one in told["sides"]:
        median = one["milliseconds"]["handshake"]["median"]
        assert float(cells[one["version"], "milliseconds.handshake.median"]) == median
    assert float(cells["", "full.round_trips.difference"]) == 1


def test_only_tcp_has_a_round_trip_of_its_own() -> None:
    [group] = compared([sample("dtls/dtls12-full")])
    [side] = [side for side in group.sides if side.connections]
    assert (side.mean_round_trips, side.mean_with_tcp) == (3, 3)
    assert side.against_expected == {"HelloVerifyRequest": 1}


def test_a_row_for_each_group_comes_first() -> None:
    """With `--all` every group has all sections instead, and there is no such table."""
    groups = compared([made(stream=one, sni=f"{one}.example") for one in range(3)], "sni")
    lines = b"".join(Text(100).written(groups)).decode().splitlines()
    assert lines[0].split()[:3] == ["1.2", "1.3", "failed"]
    assert [line.split()[0] for line in lines[1:4]] == ["0.example", "1.example", "2.example"]
    assert (lines[4], lines[5].partition(":")[0]) == ("", "nothing to compare")
    assert not any("RT 1.2" in line for line in b"".join(Text(100, whole=True).written(groups)).decode().splitlines())


def test_quic_stands_beside_tcp() -> None:
    """QUIC is a column of its own, and has no round trip of TCP."""
    names = ("quic/quic-full", "quic/quic-retry", "quic/quic-version-negotiation", "tls13-full")
    [group] = compared([sample(name) for name in names])
    sides = {side.version: side for side in group.sides}
    assert list(sides) == ["TLS 1.3", "QUIC"]
    assert (sides["TLS 1.3"].mean_round_trips, sides["TLS 1.3"].mean_with_tcp) == (1, 2)
    assert sides["QUIC"].round_trips == {"1": 1, "2": 2}
    assert sides["QUIC"].mean_with_tcp == sides["QUIC"].mean_round_trips == pytest.approx(5 / 3)
    assert sides["QUIC"].against_expected == {"Retry": 1, "Version Negotiation": 1, "as expected": 1}
    assert sides["QUIC"].exposure.hidden_alpn == 3
    assert "tcp" not in sides["QUIC"].milliseconds
