"""Figures of what changes over time: connections by version, and shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import PercentFormatter

from tlsdissect.views.comparison.builder import has_post_quantum, is_post_quantum
from tlsdissect.views.plots.style import BAD, GOOD, GREY, VERSIONS, count_up, mark_keys, version_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from tlsdissect.views.dataframes import Tables

_INTERVALS = 40
_POST_QUANTUM = {"negotiated": GOOD, "offered, not negotiated": BAD, "not offered": GREY}


def versions(tables: Tables) -> pd.DataFrame:
    """Return when each connection began, and its version."""
    known = tables.connections.dropna(subset=["start"])
    return pd.DataFrame({"start": known["start"], "category": version_names(known)})


def post_quantum(tables: Tables) -> pd.DataFrame:
    """Return when each connection with a ServerHello began, and what became of post-quantum key exchange."""
    known = tables.connections.dropna(subset=["start", "version", "client_hello_groups"])
    rows = zip(known["group"].astype(object), known["client_hello_groups"], strict=True)
    return pd.DataFrame({"start": known["start"], "category": [_exchange(*row) for row in rows]})


def _exchange(group: object, offered: tuple[str, ...]) -> str:
    if isinstance(group, str) and is_post_quantum(group):
        return "negotiated"
    return "offered, not negotiated" if has_post_quantum(offered) else "not offered"


def draw_versions(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the connections begun in each interval, stacked by version."""
    _stack(data, ax, VERSIONS, shares=False)
    count_up(ax, "connections begun")


def draw_version_shares(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the share of each version among the connections begun in each interval."""
    _stack(data, ax, VERSIONS, shares=True)


def draw_post_quantum(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the shares of the connections that negotiated, only offered, or did not offer a post-quantum group."""
    _stack(data, ax, _POST_QUANTUM, shares=True)


def _stack(data: pd.DataFrame, ax: Axes, colours: Mapping[str, str], *, shares: bool) -> None:
    starts = data["start"]
    end = max(starts.max(), starts.min() + pd.Timedelta("1s"))
    edges: Any = pd.date_range(starts.min(), end, periods=_INTERVALS + 1)
    interval = pd.cut(starts, edges, include_lowest=True)
    counts = pd.crosstab(interval, data["category"], dropna=False)
    if shares:
        counts = counts.div(counts.sum(axis=1).where(lambda total: total > 0), axis=0).fillna(0)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        ax.set_ylim(0, 1)
        ax.set_ylabel("share of the connections begun")
        ax.grid(visible=False, axis="x")
    shown = {name: colour for name, colour in colours.items() if name in counts}
    bottom: Any = 0
    for name, colour in shown.items():
        values = counts[name].to_numpy()
        ax.bar(edges[:-1], values, edges[1:] - edges[:-1], bottom, align="edge", color=colour, linewidth=0)
        bottom = bottom + values
    if starts.max() - starts.min() < pd.Timedelta("1s"):
        ax.set_xticks([edges[0]], [f"{edges[0]:%Y-%m-%d %H:%M:%S}"], ha="left")
    else:
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel("time (UTC)")
    mark_keys(ax, shown)
