"""Figures of many connections: what they show, and that no name does harm in them."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations
from typing import TYPE_CHECKING

import matplotlib.image
import pandas as pd
import pytest
from made import made
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.cli.plot import _KINDS
from tlsdissect.views.comparison.client_times import since_client_hello
from tlsdissect.views.dataframes import Tables
from tlsdissect.views.plots import KINDS, MAX_BARS, PLOTS, figure, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def tables() -> Tables:
    return tlsdissect.tables(SAMPLES / "talk", SAMPLES / "tls12-full.pcap", SAMPLES / "tls13-full.pcap")


def drawn(tables: Tables, kind: str) -> Axes:
    return KINDS[kind].draw(tables, Figure().add_subplot())


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
    assert [text.get_text() for text in drawn(Tables(list), kind).texts] == ["no data for this figure"]


def test_bars_count_connections(tables: Tables) -> None:
    ax = drawn(tables, "cipher-suites")
    counts = tables.connections["cipher_suite"].value_counts()
    assert names(ax)[0] == counts.index[0]
    assert [text.get_text() for text in ax.texts] == [f"{many:,}" for many in counts[counts > 0]]


def test_curves_reach_the_slowest(tables: Tables) -> None:
    ax = drawn(tables, "handshake-times")
    told = [(one.version, dict(since_client_hello(one)).get("handshake")) for one in tables.read()]
    for line in ax.lines:
        version = str(line.get_label()).split(" (")[0]
        assert max(line.get_xdata()) == max(took for name, took in told if name == version and took is not None)
        assert max(line.get_ydata()) == 1


@pytest.mark.parametrize("count", [3, 300])
def test_of_many_categories_the_most_frequent_are_named(count: int) -> None:
    ax = drawn(many(count), "cipher-suites")
    assert len(names(ax)) == min(count, MAX_BARS + 1)
    assert count == 3 or names(ax)[-1] == f"{count - MAX_BARS} others"


@pytest.mark.parametrize("kind", PLOTS)
@pytest.mark.parametrize("count", [3, 300])
def test_nothing_overlaps_and_nothing_is_cut(kind: str, count: int) -> None:
    assert badly_placed(figure(many(count), kind)) == []


@pytest.mark.parametrize("name", ["tls12-full", "tls13-client-cert", "tls12-renegotiation", "tls12-unknown-ca"])
def test_words_of_a_timeline_overlap_nowhere(name: str) -> None:
    assert badly_placed(figure(tlsdissect.tables(SAMPLES / f"{name}.pcap"), "timeline")) == []


def test_a_timeline_is_to_scale() -> None:
    tables = tlsdissect.tables(SAMPLES / "tls12-full.pcap")
    ax = drawn(tables, "timeline")
    arrows = [text for text in ax.texts if isinstance(text, Annotation) and text.arrow_patch is not None]
    timing = tables.connections.iloc[0]
    # Half the way from the capture point to either end, as TCP's handshake measured it.
    slant = (timing["timing_syn_synack_ms"] + timing["timing_synack_ack_ms"]) / 2
    assert [end[1] - begin[1] for end, begin in ((one.xy, one.xyann) for one in arrows)] == pytest.approx(
        [slant] * len(arrows)
    )
    ways = (timing["timing_synack_ack_ms"] / 2, timing["timing_syn_synack_ms"] / 2)
    passed = {round(one.xyann[1] + ways[round(one.xyann[0])], 6) for one in arrows}
    assert passed >= {round(ms, 6) for ms in tables.messages["ms"]}


def test_a_timeline_is_of_one_connection() -> None:
    assert [text.get_text() for text in drawn(many(3), "timeline").texts] == ["3 connections: select one"]


def test_names_do_no_harm() -> None:
    hostile = ["=cmd()", "<script>alert(1)</script>", "\x1b[31m", "\u202eevil", "$\\frac{1}{2}$", "a" * 255]
    tables = Tables(lambda: [made(stream=n, group=name) for n, name in enumerate(hostile)])
    svg = picture(tables, "groups", "svg").decode()
    assert "<script" not in svg
    assert "\x1b" not in svg
    assert "\u202e" not in svg
    assert not any(len(name) > 60 for name in names(drawn(tables, "groups")))


def test_certificates_that_are_not_valid_are_told(tables: Tables) -> None:
    ax = drawn(tables, "lifetimes")
    assert len(ax.patches) == tables.certificates["sha256"].nunique()
    assert pd.notna(ax.lines[0].get_xdata()[0])


def test_certificates_are_called_as_in_their_table(tables: Tables) -> None:
    called = names(drawn(tables, "lifetimes"))
    assert {"localhost", "server.test"} & set(called)
    assert not any("=" in one for one in called)
