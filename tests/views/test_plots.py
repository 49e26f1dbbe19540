"""Figures of many connections: what they show, and that no name does harm in them."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib.image
import pandas as pd
import pytest
from made import made
from matplotlib.figure import Figure
from recorded import ROOT

import tlsdissect
from tlsdissect.cli.plot import _KINDS
from tlsdissect.views.frames import Tables
from tlsdissect.views.plots import MAX_BARS, PLOTS, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def tables() -> Tables:
    return tlsdissect.tables(SAMPLES / "talk", SAMPLES / "tls12-full.pcap", SAMPLES / "tls13-full.pcap")


def drawn(tables: Tables, kind: str) -> Axes:
    return PLOTS[kind].draw(tables, Figure().add_subplot())


def names(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def overlap(ax: Axes) -> bool:
    """Whether the names of two categories lie one on the other."""
    figure = ax.figure
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    return any(one.overlaps(other) for one, other in pairwise(boxes))


def many(count: int) -> Tables:
    return Tables(lambda: [made(stream=n, cipher_suite=f"TLS_SUITE_{n}") for n in range(count)])


def test_the_command_knows_every_kind() -> None:
    assert tuple(PLOTS) == _KINDS


@pytest.mark.parametrize("kind", PLOTS)
@pytest.mark.parametrize("dark", [False, True])
def test_each_kind_is_a_picture(tables: Tables, kind: str, dark: bool) -> None:
    png = picture(tables, kind, "png", dark=dark)
    pixels = matplotlib.image.imread(BytesIO(png))
    assert len({tuple(pixel) for pixel in pixels[::7, ::7].reshape(-1, pixels.shape[2]).tolist()}) > 2
    assert bool(pixels[0, 0, :3].mean() < 0.2) is dark


@pytest.mark.parametrize("kind", PLOTS)
def test_nothing_to_draw_is_said(kind: str) -> None:
    assert [text.get_text() for text in drawn(Tables(list), kind).texts] == ["no connection shows this"]


def test_bars_count_connections(tables: Tables) -> None:
    ax = drawn(tables, "cipher-suites")
    counts = tables.connections["cipher_suite"].value_counts()
    assert names(ax)[0] == counts.index[0]
    assert [text.get_text() for text in ax.texts] == [f"{many:,}" for many in counts[counts > 0]]


def test_curves_reach_the_slowest(tables: Tables) -> None:
    ax = drawn(tables, "handshake-times")
    known = tables.connections.dropna(subset=["timing_handshake_ms"])
    for line in ax.lines:
        version = str(line.get_label()).split(" (")[0]
        assert max(line.get_xdata()) == known["timing_handshake_ms"][known["version"] == version].max()
        assert max(line.get_ydata()) == 1


@pytest.mark.parametrize("count", [3, 300])
def test_many_categories_do_not_overlap(count: int) -> None:
    tables = many(count)
    plot = PLOTS["cipher-suites"]
    figure = Figure(figsize=(8, max(3.2, plot.rows(tables) * 0.27 + 1.5)), layout="constrained")
    ax = plot.draw(tables, figure.add_subplot())
    assert len(names(ax)) == min(count, MAX_BARS + 1)
    assert not overlap(ax)
    assert count == 3 or names(ax)[-1] == f"{count - MAX_BARS} others"


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
