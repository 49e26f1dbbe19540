"""Figures of what changes over time: connections by version, and shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.ticker import PercentFormatter

from tlsdissect.views.comparison.builder import has_post_quantum, is_post_quantum
from tlsdissect.views.plots.style import GOOD, GREY, ODD, VERSIONS, count_up, dated, mark_keys, version_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from tlsdissect.views.dataframes import Tables

_INTERVALS, _LEAST_INTERVALS = 60, 9
"""Bars, of which there are as many as whole units of time allow."""
_UNITS = {
    "100ms": "0.1 seconds",
    "1s": "a second", "5s": "5 seconds", "15s": "15 seconds", "1min": "a minute", "5min": "5 minutes",
    "15min": "15 minutes", "1h": "an hour", "3h": "3 hours", "12h": "12 hours", "1D": "a day", "7D": "a week",
    "28D": "4 weeks", "364D": "52 weeks",
}  # fmt: skip
_TICKS = 7
_POST_QUANTUM = {"negotiated": GOOD, "offered, not negotiated": ODD, "not offered": GREY}


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
    with_date = dated(data["start"])
    left_out = len(data) - len(with_date) if len(with_date) else 0
    data = data.loc[with_date.index] if left_out else data
    starts = data["start"]
    edges, step = _intervals(starts.min(), starts.max())
    interval = edges.searchsorted(starts, side="right") - 1
    counts = pd.crosstab(interval, data["category"].to_numpy()).reindex(range(len(edges) - 1), fill_value=0)
    if shares:
        counts = counts.div(counts.sum(axis=1).where(lambda total: total > 0), axis=0).fillna(0)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        ax.set_ylim(0, 1)
        ax.set_ylabel("share of connections begun")
        ax.grid(visible=False, axis="x")
    shown = {name: colour for name, colour in colours.items() if name in counts}
    days: Any = date2num(edges)  # type: ignore[no-untyped-call]
    bottom: Any = 0
    for name, colour in shown.items():
        values = counts[name].to_numpy()
        ax.bar(days[:-1], values, days[1:] - days[:-1], bottom, align="edge", color=colour, linewidth=0)
        bottom = bottom + values
    ax.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=_TICKS))  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(_Time(_form(edges[0], edges[-1])))  # type: ignore[no-untyped-call]
    ax.set_xlim(days[0], days[-1])
    clock = "time (UTC)" if len(with_date) else "time, by a clock without a date"
    ax.set_xlabel(f"{clock}; a bar is {step}{f'; {left_out:,} without a date left out' if left_out else ''}")
    mark_keys(ax, shown)


class _Time(DateFormatter):
    """Formats times, with tenths of a second at most."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        written: str = super().__call__(x, pos)  # type: ignore[no-untyped-call]
        return written[:-5] if self.fmt.endswith("%f") else written


def _intervals(first: pd.Timestamp, last: pd.Timestamp) -> tuple[Any, str]:
    """Return the edges of intervals that hold these times, each as long as a unit of time, and that unit."""
    span = last - first
    unit = next((one for one in _UNITS if span / pd.Timedelta(one) < _INTERVALS), "364D")
    step = pd.Timedelta(unit)
    begin = first.floor(unit)
    many = int((last - begin) / step) + 1
    # A moment stands in the middle, with some time around it.
    before = max(_LEAST_INTERVALS - many, 0) // 2
    edges = pd.date_range(begin - before * step, periods=max(many, _LEAST_INTERVALS) + 1, freq=step)
    return edges, _UNITS[unit]


def _form(first: pd.Timestamp, last: pd.Timestamp) -> str:
    """Return how the times of an axis are written; the caption has the days."""
    span = last - first
    if span > pd.Timedelta(days=3):
        return "%Y-%m-%d"
    if span <= pd.Timedelta(seconds=7):
        return "%H:%M:%S.%f"
    if span <= pd.Timedelta(hours=1):
        return "%H:%M:%S"
    return "%H:%M" if first.date() == last.date() else "%m-%d %H:%M"
