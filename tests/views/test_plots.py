"""Figures of many connections: what they show, and that no name does harm in them."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations
from math import log
from typing import TYPE_CHECKING

import matplotlib.image
import pytest
from made import made
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import num2date
from matplotlib.figure import Figure
from matplotlib.text import Text
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.cli.plot import _KINDS
from tlsdissect.model.connection import Timing
from tlsdissect.views.colours import SHEETS
from tlsdissect.views.comparison.client_times import since_client_hello
from tlsdissect.views.comparison.notebook import Comparison
from tlsdissect.views.dataframes import Tables
from tlsdissect.views.plots import KINDS, PLOTS, figure, picture
from tlsdissect.views.plots.counts import MAX_BARS
from tlsdissect.views.plots.lifetimes import MAX_LIFETIMES
from tlsdissect.views.plots.style import BAD, PALE, VERSIONS, version_names
from tlsdissect.views.plots.times import MAX_CURVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def tables() -> Tables:
    captures = ("talk", "tls12-full.pcap", "tls13-full.pcap", "tls12-unknown-ca.pcap", "paths-client.pcap.gz")
    return tlsdissect.tables(*(SAMPLES / name for name in captures))


def test_a_certificate_may_end_within_a_second() -> None:
    (certificate, *_) = made().certificates or ()
    ends = replace(certificate, not_after="2026-12-31T23:59:59.5Z")
    (told,) = Tables(lambda: [made(certificates=(ends,))]).certificates["not_after"]
    assert str(told) == "2026-12-31 23:59:59+00:00"


def drawn(tables: Tables, kind: str) -> Axes:
    plot = KINDS[kind]
    return plot.draw_on(plot.data(tables), Figure().add_subplot())


def names(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def badly_placed(of: Figure) -> list[str]:
    """Words of a figure that are cut, or lie on others; what is slanted stands in a box larger than itself."""
    FigureCanvasAgg(of).draw()
    texts = [one for one in of.findobj(Text) if one.get_visible() and one.get_text().strip()]
    boxes = {one: one.get_window_extent() for one in texts}
    limits = of.bbox.padded(1)
    shown = [one for one in texts if one not in beyond(of)]
    cut = [one.get_text() for one in shown if not all(limits.contains(*corner) for corner in boxes[one].corners())]
    upright = [one for one in shown if one.get_rotation() in (0, 90)]
    on = [
        f"{one.get_text()} / {other.get_text()}"
        for one, other in combinations(upright, 2)
        if boxes[one].shrunk(0.98, 0.9).overlaps(boxes[other].shrunk(0.98, 0.9))
    ]
    return cut + on


def beyond(of: Figure) -> set[Text]:
    """The labels of ticks outside their axes, which are not drawn."""
    axes = [axis for ax in of.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [(axis, tick) for axis in axes for tick in (*axis.majorTicks, *axis.minorTicks)]
    outside = [
        tick
        for axis, tick in ticks
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    return {label for tick in outside for label in (tick.label1, tick.label2)}


def many(count: int) -> Tables:
    """Connections of as many suites, groups, names and authorities as there are of them, over a month."""
    (leaf, *_) = made().certificates or ()
    return Tables(
        lambda: [
            made(
                stream=n,
                version=("TLS 1.2", "TLS 1.3", "SSL 3.0")[n % 3],
                cipher_suite=f"TLS_ECDHE_ECDSA_WITH_SOMETHING_128_{n}_SHA256",
                group=f"group{n}",
                round_trips=1 + n % 7,
                start=f"2026-01-{1 + n % 28:02}T00:00:00.000000Z",
                certificates=(replace(leaf, sha256=f"{n:064}", subject=f"CN={n}.a-rather-long-name.example.com,O=x"),),
                client_hello=replace(made().client_hello, cipher_suites=(f"TLS_OFFERED_{n}", "TLS_OFFERED")),
            )
            for n in range(count)
        ]
    )


def test_the_command_knows_every_kind() -> None:
    assert tuple(KINDS) == _KINDS


@pytest.mark.parametrize("kind", PLOTS)
@pytest.mark.parametrize("dark", [False, True])
def test_each_kind_is_a_picture(tables: Tables, kind: str, dark: bool) -> None:
    png = picture(tables, kind, "png", dark=dark)
    pixels = matplotlib.image.imread(BytesIO(png))
    assert len({tuple(pixel) for pixel in pixels[::7, ::7].reshape(-1, pixels.shape[2]).tolist()}) > 2
    assert bool(pixels[0, 0, :3].mean() < 0.2) is dark


@pytest.mark.parametrize("kind", PLOTS)
def test_nothing_to_draw_is_said(kind: str) -> None:
    assert [text.get_text() for text in drawn(Tables(list), kind).texts] == [KINDS[kind].instead]


def test_bars_count_connections(tables: Tables) -> None:
    ax = drawn(tables, "cipher-suites")
    counts = tables.connections["cipher_suite"].value_counts()
    assert names(ax)[0] == counts.index[0].removeprefix("TLS_")
    assert [text.get_text() for text in ax.texts] == [f"{many:,}" for many in counts[counts > 0]]


def test_dtls_12_has_no_hello_retry_request() -> None:
    """Its request for another ClientHello is a HelloVerifyRequest (RFC 6347)."""
    shown = drawn(tlsdissect.tables(ROOT / "samples/dtls"), "handshake-times")
    curves = {str(line.get_label()).split("\n")[0] for line in shown.lines}
    assert "DTLS 1.2, with HelloVerifyRequest" in curves
    assert not any("1.3" not in name and "HelloRetryRequest" in name for name in curves)


def test_curves_reach_the_slowest(tables: Tables) -> None:
    ax = drawn(tables, "handshake-times")
    slowest: dict[str, float] = {}
    for one in tables.read():
        took = since_client_hello(one).get("handshake")
        kind = "resumed" if one.resumption not in (None, "none") else "full"
        name = f"{one.version}, {'with HelloRetryRequest' if one.hello_retry else kind}"
        if took is not None:
            slowest[name] = max(took, slowest.get(name, 0))
    assert {str(line.get_label()).split("\n")[0]: max(line.get_xdata()) for line in ax.lines} == slowest
    assert all(max(line.get_ydata()) == 1 for line in ax.lines)
    assert len(slowest) == 5


@pytest.mark.parametrize("count", [3, 300])
def test_of_many_categories_the_most_frequent_are_named(count: int) -> None:
    ax = drawn(many(count), "cipher-suites")
    assert len(names(ax)) == min(count, MAX_BARS)
    assert ax.get_xlabel() == "connections" + ("" if count == 3 else "; 280 more kinds have 280")


def test_the_bars_of_categories_are_as_long_as_the_figure_allows() -> None:
    """A bar of all others would be much longer than the others."""
    ax = drawn(many(300), "cipher-suites")
    assert max(bar.get_width() for bar in ax.patches) > 0.7 * ax.get_xlim()[1]


@pytest.mark.parametrize("kind", PLOTS)
@pytest.mark.parametrize("count", [3, 300])
def test_nothing_overlaps_and_nothing_is_cut(kind: str, count: int) -> None:
    assert badly_placed(figure(many(count), kind)) == []


@pytest.mark.parametrize("kind", PLOTS)
def test_all_keys_have_room(kind: str) -> None:
    """All versions, categories with long names, and several certificates, one of them expired."""
    (leaf, *_) = made().certificates or ()
    long = "TLS_ECDHE_ECDSA_WITH_SOMETHING_LONG_POLY1305_SHA256"
    versions = [*VERSIONS, None]
    tables = Tables(
        lambda: [
            made(
                stream=n, version=versions[n % len(versions)], cipher_suite=f"{long}_{n % 3}", group=f"{long}_{n % 2}",
                certificates=(replace(leaf, sha256=f"{n:064}", not_after=f"202{6 + n % 2}-11-20T00:00:00Z"),),
                timing=Timing(tcp_ms=20.0, handshake_ms=40.0 + n),
            )
            for n in range(60)
        ]
    )  # fmt: skip
    assert badly_placed(figure(tables, kind)) == []


def test_keys_of_dots_are_in_the_order_of_versions() -> None:
    tables = Tables(
        lambda: [
            made(stream=n, version=version, timing=Timing(tcp_ms=20.0, handshake_ms=40.0))
            for n, version in enumerate(("DTLS 1.2", "TLS 1.2", "TLS 1.3"))
        ]
    )
    keys = [text.get_text() for text in drawn(tables, "server-bytes").get_legend().get_texts()]
    assert keys == ["TLS 1.3, n = 1", "TLS 1.2, n = 1", "DTLS 1.2, n = 1"]


def test_points_that_lie_close_together_are_seen() -> None:
    connections = [made(stream=n, timing=Timing(tcp_ms=20.0, handshake_ms=40.0 + n % 2)) for n in range(3000)]
    of = figure(Tables(lambda: connections), "server-bytes")
    FigureCanvasAgg(of).draw()
    (density,) = of.axes[0].collections
    cell = density.get_paths()[0].get_extents(density.get_transform())
    assert cell.width > 5
    labelled = [tick for tick in of.axes[0].get_yticks() if 1 < tick < 3]
    assert len(labelled) > 1


@pytest.mark.parametrize(
    ("last", "unit", "written"),
    [
        ("2026-11-23T00:00:00.5", "0.1 seconds", "00:00:00.2"),
        ("2026-11-23T00:00:20", "a second", "00:00:00"),
        ("2026-11-23T00:30:00", "a minute", "00:00:00"),
        ("2026-11-23T20:00:00", "an hour", "00:00"),
        ("2026-12-31T00:00:00", "a day", "2026-"),
        ("2036-11-23T00:00:00", "52 weeks", "2026-"),
    ],
)
def test_bars_over_time_are_units_of_time(last: str, unit: str, written: str) -> None:
    starts = ("2026-11-23T00:00:00.000000Z", f"{last}Z")
    ax = figure(Tables(lambda: [made(stream=n, start=one) for n, one in enumerate(starts)]), "versions").axes[0]
    assert ax.get_xlabel() == f"time (UTC); a bar is {unit}"
    assert sum(bar.get_height() for bar in ax.patches) == 2
    assert any(one.get_text().startswith(written) for one in ax.get_xticklabels())


@pytest.mark.parametrize("kind", ["versions", "version-shares", "post-quantum"])
def test_times_of_a_clock_without_a_date_do_not_stretch_the_axis(kind: str) -> None:
    """A capture whose times count from zero is not of 1970, when there was no TLS."""
    without = [made(stream=n, start=f"1970-01-01T00:00:0{n}.000000Z") for n in range(3)]
    dates = [made(stream=n, start=f"2026-11-2{n}T00:00:00.000000Z") for n in range(3, 8)]
    drawn = figure(Tables(lambda: [*without, *dates]), kind)
    (ax,) = drawn.axes
    first, last = (f"{num2date(edge):%Y-%m-%d}" for edge in ax.get_xlim())
    assert first > "2026-11-01"
    assert last < "2026-12-01"
    assert ax.get_xlabel().endswith("; 3 without a date left out")
    assert drawn.get_supxlabel().endswith("2026-11-23 to 2026-11-27")
    drawn = figure(Tables(lambda: without), kind)
    assert drawn.axes[0].get_xlabel() == "time, by a clock without a date; a bar is 0.1 seconds"
    assert drawn.get_supxlabel().endswith("no date")


@pytest.mark.parametrize("name", ["tls12-full", "tls13-client-cert", "tls12-renegotiation", "tls12-unknown-ca"])
def test_words_of_a_timeline_overlap_nowhere(name: str) -> None:
    assert badly_placed(figure(tlsdissect.tables(SAMPLES / f"{name}.pcap"), "timeline")) == []


def test_a_timeline_is_the_ladder_to_scale() -> None:
    tables = tlsdissect.tables(SAMPLES / "paths-client.pcap.gz", stream=0)
    texts = {text.get_text(): text.get_position()[1] for text in drawn(tables, "timeline").texts}
    assert {"327 ms", "2 round trips", "handshake complete"} <= set(texts)
    assert texts["200"] - texts["100"] == pytest.approx(texts["400"] - texts["300"])
    # It is known without the packets that these alerts are encrypted.
    assert "encrypted alert 26" in texts


def test_a_timeline_is_of_one_connection() -> None:
    assert [text.get_text() for text in drawn(many(3), "timeline").texts] == ["3 connections: select one"]


def test_a_figure_without_data_takes_little_room() -> None:
    heights = {kind: figure(Tables(list), kind).get_figheight() for kind in PLOTS}
    assert max(heights.values()) < figure(many(3), "versions").get_figheight() / 2


def test_names_do_no_harm() -> None:
    hostile = ["=cmd()", "<script>alert(1)</script>", "\x1b[31m", "\u202eevil", "$\\frac{1}{2}$", "a" * 255]
    tables = Tables(lambda: [made(stream=n, group=name) for n, name in enumerate(hostile)])
    svg = picture(tables, "groups", "svg").decode()
    assert "<script" not in svg
    assert "\x1b" not in svg
    assert "\u202e" not in svg
    assert not any(len(name) > 60 for name in names(drawn(tables, "groups")))


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_no_formulas_on_the_axes_of_others(kind: str) -> None:
    tables = Tables(lambda: [made(stream=n, cipher_suite="$\\frac{$", group="$\\frac{$") for n in range(3)])
    of = Figure()
    Comparison(tables).plot(kind, of.add_subplot())
    of.savefig(BytesIO())


def test_figures_look_alike_on_all_axes(tables: Tables) -> None:
    """Without a box, ticks or a frame around the legend, in the colours of whoever made the Axes."""
    plain = tlsdissect.plot("handshake-times", SAMPLES / "paths-client.pcap.gz").axes[0]
    with rc_context({"axes.edgecolor": "#123456"}):
        foreign = Comparison(tables).plot("handshake-times", Figure().add_subplot())
    for ax in (plain, foreign):
        assert [side for side, spine in ax.spines.items() if spine.get_visible()] == ["bottom"]
        assert {tick.tick1line.get_markersize() for tick in (*ax.xaxis.majorTicks, *ax.xaxis.minorTicks)} == {0}
        assert not ax.get_legend().get_frame_on()
    assert to_hex(foreign.spines["bottom"].get_edgecolor()) == "#123456"
    assert to_hex(plain.spines["bottom"].get_edgecolor()) == SHEETS[False][1]


def test_certificates_are_judged_by_when_they_were_seen() -> None:
    """A certificate is not called invalid because another one was seen at another time."""
    (leaf, *_) = made().certificates or ()
    lives = [("2020-01-01", "2021-01-01"), ("2025-01-01", "2026-01-01"), ("2030-01-01", "2031-01-01")]
    seen = ["2020-06-01", "2027-06-01", "2029-06-01"]
    tables = Tables(
        lambda: [
            made(
                stream=n,
                start=f"{day}T00:00:00.000000Z",
                certificates=(
                    replace(leaf, sha256=f"{n:064}", not_before=f"{since}T00:00:00Z", not_after=f"{until}T00:00:00Z"),
                ),
            )
            for n, ((since, until), day) in enumerate(zip(lives, seen, strict=True))
        ]
    )
    ax = drawn(tables, "lifetimes")
    verdicts = [text.get_text() for text in ax.texts]
    assert verdicts == ["", "expired when seen", "not yet valid when seen"]
    assert sum(to_hex(bar.get_facecolor()) == BAD for bar in ax.patches) == 2


def test_of_many_certificates_those_that_end_first_are_drawn() -> None:
    ax = drawn(many(300), "lifetimes")
    assert len(names(ax)) == MAX_LIFETIMES
    assert ax.get_xlabel() == f"the {MAX_LIFETIMES} of 300 certificates that end first"


@pytest.mark.parametrize("count", [1, 20_000])
def test_one_connection_and_many(count: int) -> None:
    """An hour among milliseconds leaves the others readable, and 20,000 points are drawn as their density."""
    timing = made().timing
    connections = [
        made(stream=n, timing=replace(timing, handshake_ms=3_600_000.0 if n == 7 else 20.0 + n % 50, tcp_ms=20.0))
        for n in range(count)
    ]
    tables = Tables(lambda: connections)
    for kind in ("handshake-times", "handshake-round-trips", "server-bytes", "versions"):
        assert badly_placed(figure(tables, kind)) == []
        assert len(picture(tables, kind, "svg")) < 600_000
    assert len(drawn(tables, "server-bytes").collections) == 1
    ax = drawn(tables, "handshake-times")
    low, high = ax.get_xlim()
    assert 0 < low < 21
    assert high < 200
    assert ax.get_title("right") == ("1 longer than shown, up to 1 h" if count > 7 else "")


def test_each_curve_has_its_name_beside_it_and_the_curves_their_room() -> None:
    versions = ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "TLS 1.3 (draft 23)")
    tables = Tables(
        lambda: [
            made(stream=n, version=version, resumption=kind, timing=Timing(tcp_ms=20.0, handshake_ms=20.0 + n))
            for n, (version, kind) in enumerate((version, kind) for version in versions for kind in ("none", "psk"))
        ]
    )
    for kind in ("handshake-times", "handshake-round-trips"):
        of = figure(tables, kind)
        assert badly_placed(of) == []
        (ax,) = of.axes
        legend, height = ax.get_legend(), of.get_size_inches()[1]
        assert len(legend.get_texts()) == MAX_CURVES
        (left_out,) = [one.get_text() for one in ax.texts if one.get_text().startswith("not drawn")]
        assert left_out.count("(1)") == 2
        drawn_versions = " ".join(text.get_text() for text in legend.get_texts())
        assert all(f"{version}, {how}" in drawn_versions for version in versions[2:4] for how in ("full", "resumed"))
        assert legend.get_window_extent().y0 > 0
        assert ax.get_position().height * height > 2.5


def test_of_many_groups_those_of_few_handshakes_are_named_without_a_curve() -> None:
    """One of nine groups has fewer handshakes than a curve needs."""
    versions = ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "SSL 3.0")
    groups = [(version, kind) for version in versions for kind in ("none", "psk")][:9]
    took = [(group, n) for at, group in enumerate(groups) for n in range(2 if at == 5 else 6)]
    tables = Tables(
        lambda: [
            made(stream=at, version=version, resumption=kind, timing=Timing(tcp_ms=20.0, handshake_ms=20.0 + n))
            for at, ((version, kind), n) in enumerate(took)
        ]
    )
    ax = drawn(tables, "handshake-times")
    assert len(ax.lines) == 8
    assert [one.get_text() for one in ax.texts] == ["not drawn: TLS 1.2, resumed (2)"]


def test_dots_are_spread_where_the_initial_window_is_far_away() -> None:
    """The flights of the paths have 150 to 1,000 bytes; on a linear axis to 15,000 they are one heap at its start."""
    ax = drawn(tlsdissect.tables(SAMPLES / "paths-client.pcap.gz"), "server-bytes")
    assert ax.get_xscale() == "log"
    assert len([tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]) >= 2


def test_a_certificate_that_ends_soon_has_its_day() -> None:
    of = figure(tlsdissect.tables(SAMPLES / "network" / "network-failures.pcap"), "lifetimes")
    (ax,) = of.axes
    assert "to 2026-12-13" in [text.get_text() for text in ax.texts]
    FigureCanvasAgg(of).draw()
    validity = [bar.get_window_extent().width for bar in ax.patches if to_hex(bar.get_facecolor()) == PALE]
    assert min(validity) > 5


def test_few_bars_are_no_slabs() -> None:
    bar = figure(many(1), "cipher-suites").axes[0].patches[0]
    FigureCanvasAgg(bar.figure).draw()
    assert bar.get_window_extent().height / bar.figure.dpi < 0.5


def test_an_expired_certificate_is_drawn_with_the_time_at_which_it_was_seen() -> None:
    (leaf, *_) = made().certificates
    old = replace(leaf, not_before="2026-01-01T00:00:00Z", not_after="2026-05-01T00:00:00Z")
    ax = drawn(Tables(lambda: [made(start="2026-11-20T00:00:00.000000Z", certificates=(old,))]), "lifetimes")
    assert [text.get_text() for text in ax.texts] == ["expired when seen"]
    low, high = ax.get_xlim()
    assert low <= 2026
    assert high > 2026.88
    assert {text.get_text() for text in ax.get_xticklabels()} >= {"Mar 2026", "Nov 2026"}


@pytest.mark.parametrize("far", [3.364, 3_600_000.0])
def test_no_dot_is_cut_by_the_axis(far: float) -> None:
    """Neither among times that hardly differ, nor below one of an hour; and the axis ends soon after the last."""
    timing = made().timing
    took = (3.345, 3.35, far)
    connections = [made(stream=n, timing=replace(timing, handshake_ms=ms, tcp_ms=20.0)) for n, ms in enumerate(took)]
    tables = Tables(lambda: connections)
    times, sizes = drawn(tables, "handshake-times"), drawn(tables, "server-bytes")
    values = times.lines[0].get_xdata()
    spots = sizes.collections[0].get_offsets()[:, 1]
    for ax, edges, found in ((times, times.get_xlim(), values), (sizes, sizes.get_ylim(), spots)):
        low, high = (log(edge) for edge in edges)
        room = 0.01 * (high - low)
        assert low + room < log(min(found)) <= log(max(found)) < high - room / 2
        if far < 4:
            assert ax is times or high - low < 0.1
            assert edges[1] < 1.01 * max(found)


def test_the_rarer_version_does_not_hide_the_other() -> None:
    """Where all handshakes have one size, it is drawn last, and in smaller cells."""
    versions = ["TLS 1.2", *["TLS 1.3"] * 2] * 700
    timing = replace(made().timing, tcp_ms=20.0)
    connections = [made(stream=n, version=version, timing=timing) for n, version in enumerate(versions)]
    for many in (2100, 300):
        below, above = drawn(Tables(lambda many=many: connections[:many]), "server-bytes").collections[:2]
        drawn_in = [one.get_facecolor()[0] if one.get_array() is None else one.cmap(1.0) for one in (below, above)]
        colours = [to_rgb(one[:3]) for one in drawn_in]
        assert colours == [to_rgb(VERSIONS["TLS 1.3"]), to_rgb(VERSIONS["TLS 1.2"])]
    large = drawn(Tables(lambda: connections), "server-bytes").collections
    widths = [max(one.get_paths()[0].vertices[:, 0]) - min(one.get_paths()[0].vertices[:, 0]) for one in large[:2]]
    assert widths[1] < 0.7 * widths[0]


def test_versions_have_names_of_their_own() -> None:
    told = ["SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "TLS 1.3 (draft 23)", "DTLS 1.2", "0x0100", None]
    tables = Tables(lambda: [made(stream=n, version=version) for n, version in enumerate(told)])
    assert list(version_names(tables.connections)) == [
        "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "TLS 1.3 draft", "DTLS 1.2", "other", "no version",
    ]  # fmt: skip
    assert len(set(VERSIONS.values())) == len(VERSIONS)


@pytest.mark.parametrize("dark", [False, True])
def test_each_version_is_seen_on_its_sheet(dark: bool) -> None:
    """WCAG 1.4.11 asks for a contrast of 3 to 1 in graphics; on white, names beside the bars identify the palest."""
    assert min(contrast(colour, SHEETS[dark][0]) for colour in VERSIONS.values()) > (3 if dark else 1.7)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2)."""
    lower, higher = sorted(luminance(to_rgb(colour)) for colour in (one, other))
    return (higher + 0.05) / (lower + 0.05)


def luminance(colour: tuple[float, float, float]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_failures_are_counted_by_reason() -> None:
    tables = tlsdissect.tables(SAMPLES / "network" / "network-failures.pcap")
    ax = drawn(tables, "failures")
    assert dict(zip(names(ax), [text.get_text() for text in ax.texts], strict=True)) == {
        "alert unknown_ca by client": "3",
        "alert handshake_failure by server": "2",
        "alert protocol_version by server": "2",
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [("quic-unknown-ca", "alert bad_certificate* by client"), ("quic-quinn-unknown-ca", "closed* by client")],
)
def test_failures_that_only_keys_show_are_counted_and_marked(name: str, reason: str) -> None:
    path = SAMPLES / "quic" / f"{name}.pcap"
    assert names(drawn(tlsdissect.tables(path, keylog=path.with_suffix(".keys")), "failures")) == [reason]
    without = drawn(tlsdissect.tables(path), "failures")
    assert [text.get_text() for text in without.texts] == [KINDS["failures"].instead]


def test_suites_are_ranked_by_how_often_they_were_chosen(tables: Tables) -> None:
    ax = drawn(tables, "offered-and-chosen")
    chosen = tables.connections["cipher_suite"].value_counts()
    assert names(ax)[0] == chosen.index[0].removeprefix("TLS_")
    assert ax.texts[0].get_text().startswith(f"{chosen.iloc[0]:,} of ")


def test_the_caption_names_captures_days_and_number(tables: Tables) -> None:
    said = figure(tables, "cipher-suites").get_supxlabel()
    known = tables.connections["cipher_suite"].notna().sum()
    others = tables.connections["source"].nunique() - 1
    assert said.startswith(f"{known:,} connections · ")
    assert f" and {others:,} others · 2026-11-23 to 2026-11-25" in said


def test_certificates_are_called_as_in_their_table(tables: Tables) -> None:
    called = names(drawn(tables, "lifetimes"))
    assert {"localhost", "server.test"} & set(called)
    assert not any("=" in one for one in called)
