"""Figures of how long handshakes take: curves by version and kind, and the server's bytes beside them."""

from __future__ import annotations

from math import ceil, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, PercentFormatter

from tlsdissect.model.connection import LOOPBACK_MS
from tlsdissect.views.durations import in_ms
from tlsdissect.views.plots.style import GREY, VERSIONS, mark_keys, version_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from tlsdissect.views.dataframes import Tables

INITIAL_WINDOW = 10 * 1460
"""Bytes that a server may send before the first acknowledgement (RFC 6928), with segments of 1460 bytes."""
_RETRY, _VERIFY = "with HelloRetryRequest", "with HelloVerifyRequest"
_STYLES = {"full": "-", "resumed": "--", _RETRY: ":", _VERIFY: ":"}
"""Kinds of handshakes: mixing them would hide the round trips in which they differ."""
_UNITS = ((3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))
_FEW = 5
"""Values that a curve needs to be seen without dots."""
MAX_CURVES = 8
"""Maximum curves in a figure. Groups of the versions `_FIRST` are drawn first, then the largest ones."""
_FIRST = ("TLS 1.2", "TLS 1.3")
_NOT_DRAWN = 6
"""Groups without a curve that are named below the axis."""
_SPREAD = 8
"""An axis of bytes that ends at so many times their median is logarithmic: else all dots would lie at its start."""
NO_PATH = "no TCP round trip of 1 ms or more: here programs take more time than the path"
"""What stands instead of a figure in round trips."""
_LINE, _BELOW = 92, -44
"""Characters of a line below the axis, and where the first stands, in points."""
_ROWS_PER_CURVE = 1.8
"""Rows of categories that are as high as the name of a curve."""
_LEAST_ROWS = 7
"""Height of a figure with few curves, in rows of categories."""
_USUAL, _FAR, _BEYOND = 0.99, 20, 2
"""An axis ends at so many times the 99th percentile, if the largest value is far beyond that."""
_LABELLED = 6
"""Values on an axis that have room beside each other."""
_LEAST_LABELLED = 3
"""Values without which nobody can read a logarithmic axis."""
_MOMENTS = (
    *(number * 10**power for power in range(-3, 4) for number in (1, 2, 5)),
    10_000, 20_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 36_000_000,
)  # fmt: skip
"""Milliseconds that are labelled."""
_COUNTS = tuple(number * 10**power for power in range(-3, 7) for number in (1, 2, 3, 5))
_WHOLE = frozenset((*(10**power for power in range(-3, 7)), 60_000, 600_000, 3_600_000, 36_000_000))
"""Of these, the powers of ten and the whole units, which are labelled on any axis."""
_MANY = 2000
"""Points beyond which a scatter plot would be a blob, so that the density of points is drawn."""
_AROUND = 1.1
"""An axis of bytes begins at the smallest value divided by this; one of times ends at most so far above the largest."""
_INSIDE = 0.6
"""Width of a cell of density inside that of the version below it."""
_MARGIN, _NARROW = 0.03, 1.004
"""Free space beside the smallest value on a logarithmic axis: its share of the axis, and its least factor."""
_GRID, _FAINTEST = 60, 0.25
"""Of a drawing of density: cells from left to right, and how opaque a cell with a single point is."""


def handshake_times(tables: Tables) -> pd.DataFrame:
    """Return how long each handshake took its client in milliseconds, with its version and kind."""
    known = tables.connections
    return _of_kinds(known.assign(value=_as_client_sees(known)))


def handshake_round_trips(tables: Tables) -> pd.DataFrame:
    """Return the same in units of each connection's own TCP round trip, if that is longer than what programs take."""
    known = tables.connections
    unit = known["timing_tcp_ms"].where(lambda tcp: tcp >= LOOPBACK_MS)
    return _of_kinds(known.assign(value=_as_client_sees(known) / unit))


def server_bytes(tables: Tables) -> pd.DataFrame:
    """Return the handshake bytes of each server, and the time of its handshake in TCP round trips."""
    found = handshake_round_trips(tables)
    bytes_sent = tables.connections["handshake_bytes_server"].astype("Float64").astype(float)
    return found.assign(bytes=bytes_sent.loc[found.index]).dropna(subset=["bytes"])


def _as_client_sees(connections: pd.DataFrame) -> pd.Series[float]:
    """Return handshake times as the client saw them: see `comparison.client_times`."""
    older = ~connections["version"].astype(str).str.contains("1.3", regex=False)
    to_client = connections["timing_synack_ack_ms"].fillna(0).where(older & (connections["resumption"] == "none"), 0)
    return connections["timing_handshake_ms"] + to_client


def _of_kinds(connections: pd.DataFrame) -> pd.DataFrame:
    known = connections.dropna(subset=["value"])
    resumed = known["resumption"].astype(object).fillna("none") != "none"
    retried = known["hello_retry"].fillna(value=False).astype(bool)
    # Up to DTLS 1.2, the server asks for another ClientHello by a HelloVerifyRequest (RFC 6347).
    newer = known["version"].astype(str).str.contains("1.3", regex=False)
    kind = resumed.map({False: "full", True: "resumed"}).mask(retried & newer, _RETRY).mask(retried & ~newer, _VERIFY)
    return pd.DataFrame({"value": known["value"], "version": version_names(known), "kind": kind})


def draw_times(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the cumulative distribution of the handshake times of each version and kind."""
    _curves(data, ax, _duration, _MOMENTS)
    ax.set_xlabel("time of the handshake, as the client saw it")


def draw_round_trips(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the same in round trips, with those that the protocols need marked."""
    for trips in (1, 2, 3):
        ax.axvline(trips, color=GREY, linewidth=0.8)
    _curves(data, ax, _number, _COUNTS)
    ax.set_xlabel("time of the handshake, in round trips of TCP")


def curve_rows(data: pd.DataFrame) -> int:
    """Return how high a figure is for the names of its curves, in rows of categories."""
    return max(_LEAST_ROWS, ceil(len(_drawn(data)) * _ROWS_PER_CURVE))


def _curves(data: pd.DataFrame, ax: Axes, written: Callable[[float], str], marks: Sequence[float]) -> None:
    """Draw a curve for each version and kind, named beside the Axes with its median, the fastest first."""
    groups = sorted(_drawn(data), key=lambda one: float(one[1]["value"].median()))
    shown = {name for name, _ in groups}
    rest = [(name, len(rows)) for name, rows in data.groupby(["version", "kind"]) if name not in shown]
    if rest:
        named = [f"{version}, {kind} ({many:,})" for (version, kind), many in _largest(rest)[:_NOT_DRAWN]]
        more = f", {len(rest) - _NOT_DRAWN} more" if len(rest) > _NOT_DRAWN else ""
        below = "\n".join(wrap(f"not drawn: {', '.join(named)}{more}", _LINE))
        ax.annotate(
            below,
            (0, 0),
            xytext=(0, _BELOW),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=9,
        )
    for (version, kind), rows in groups:
        values = rows["value"].sort_values()
        shares = [number / len(values) for number in range(1, len(values) + 1)]
        ax.step(
            values, shares, where="post", color=VERSIONS[str(version)], linestyle=_STYLES[str(kind)], linewidth=1.8,
            marker="o" if len(values) < _FEW else "", markersize=4,
            label=f"{version}, {kind}\nmedian {_median(values, written)}, n = {len(values):,}",
        )  # fmt: skip
    if data["value"].min() > 0:
        ax.set_xscale("log")
    else:
        ax.set_xscale("symlog", linthresh=0.1)
    high = _without_far(data["value"], ax, written)
    if data["value"].min() > 0:
        ax.set_xlim(left=_below(data["value"], high))
    ax.set_xlim(right=high)
    _mark(ax.xaxis, ax.get_xlim()[0], high, marks, written)
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.set_ylim(0, 1.02)
    ax.set_ylabel("handshakes done by then")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), labelspacing=0.9, handlelength=2.2)


def _drawn(data: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """Return the groups that get a curve: all, or of many those in which the versions differ most, and the largest."""
    groups: list[tuple[Any, pd.DataFrame]] = list(data.groupby(["version", "kind"]))
    if len(groups) <= MAX_CURVES:
        return groups
    thick = [one for one in groups if len(one[1]) >= _FEW] or groups
    return sorted(thick, key=lambda one: (one[0][0] not in _FIRST, -len(one[1])))[:MAX_CURVES]


def _largest(groups: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
    return sorted(groups, key=lambda one: -one[1])


def _median(values: pd.Series[float], written: Callable[[float], str]) -> str:
    median = float(values.median())
    return in_ms(median) if written is _duration else f"{median:,.2f}"


def _without_far(values: pd.Series[float], ax: Axes, written: Callable[[float], str]) -> float:
    """Return where the axis of these values ends, and say above the Axes what lies beyond: a few very long ones."""
    high, most = float(values.quantile(_USUAL)), float(values.max())
    if most <= _FAR * high:
        return most * min(max(_room(values, most), _NARROW), _AROUND)
    beyond = int((values > _BEYOND * high).sum())
    ax.set_title(f"{beyond:,} longer than shown, up to {written(most)}", loc="right", fontsize=10)
    return _BEYOND * high


def _below(values: pd.Series[float], high: float) -> float:
    """Return where a logarithmic axis up to `high` begins, so that the dot of the smallest value is not cut."""
    return float(values.min()) / max(_room(values, high), _NARROW)


def _room(values: pd.Series[float], high: float) -> float:
    """Return the factor by which a logarithmic axis up to `high` grows by the share _MARGIN."""
    low = float(values.min())
    return float((high / low) ** _MARGIN) if low > 0 else _AROUND


def _mark(axis: Axis, low: float, high: float, marks: Sequence[float], written: Callable[[float], str]) -> None:
    """Label values of a logarithmic axis: powers of ten and whole units, and some between where there is room."""
    shown = [one for one in marks if low <= one <= high]
    if len(shown) < _LEAST_LABELLED:
        shown = [float(one) for one in MaxNLocator(4, steps=(1, 2, 5, 10)).tick_values(low, high) if low <= one <= high]
    main = [one for one in shown if one in _WHOLE]
    axis.set_major_locator(FixedLocator(shown if len(shown) <= _LABELLED else main))
    axis.set_major_formatter(lambda value, _: written(value))
    axis.set_minor_formatter(NullFormatter())


def _duration(ms: float) -> str:
    """Write a duration in its largest unit."""
    size, unit = next((one for one in _UNITS if ms >= one[0]), _UNITS[-1])
    return f"{ms / size:.3g} {unit}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def draw_server_bytes(data: pd.DataFrame, ax: Axes) -> None:
    """Draw each handshake's time over the server's bytes, with the initial window, which costs a round trip more."""
    most = max(data["bytes"].max(), INITIAL_WINDOW * 1.25) * 1.05
    many, unit = len(data) > _MANY, "bytes of the server's handshake records"
    found = {str(version): rows for version, rows in data.groupby("version")}
    groups = {version: found[version] for version in VERSIONS if version in found}
    rarest_last = sorted(groups.items(), key=lambda one: -len(one[1]))  # on top, where dots hide each other
    if not many:
        for version, rows in rarest_last:
            ax.scatter(rows["bytes"], rows["value"], s=14, linewidths=0, alpha=0.7, color=VERSIONS[version])
    ax.axvline(INITIAL_WINDOW, color=GREY, linewidth=1)
    ax.annotate(
        "initial window\n(RFC 6928)", (INITIAL_WINDOW, 1), xytext=(5, -2), textcoords="offset points",
        xycoords=("data", "axes fraction"), va="top",
    )  # fmt: skip
    wide = data["bytes"].min() > 0 and most >= _SPREAD * data["bytes"].median()
    start = data["bytes"].min() / _AROUND if wide else 0
    if wide:
        ax.set_xscale("log")
    ax.set_xlim(start, most)
    logarithmic = data["value"].min() > 0
    if logarithmic:
        ax.set_yscale("log")
    high = _without_far(data["value"], ax, _number)
    low = _below(data["value"], high) if logarithmic else 0
    if many:
        unit += "; the stronger the colour, the more handshakes"
        for number, (version, rows) in enumerate(rarest_last):
            _density(rows, ax, VERSIONS[version], (start, most, low, high), _INSIDE**number)
    ax.set_ylim(low, high)
    if logarithmic:
        _mark(ax.yaxis, low, high, _COUNTS, _number)
    if wide:
        _mark(ax.xaxis, start, most, _COUNTS, _number)
    else:
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel(unit)
    ax.set_ylabel("time, in round trips of TCP")
    mark_keys(ax, {f"{version}, n = {len(rows):,}": VERSIONS[version] for version, rows in groups.items()})


def _density(rows: pd.DataFrame, ax: Axes, colour: str, limits: tuple[float, float, float, float], size: float) -> None:
    """Draw how many points lie where between the limits, on a scale in which one handshake is seen beside thousands.

    Cells are a part of the Axes: of the data, they would vanish where all points lie close together. `size` is the part
    of a cell that is filled, so that a version below is seen around one above.
    """
    across, scale = ax.get_xscale(), ax.get_yscale()
    left, right, low, high = limits
    cells = ax.hexbin(
        rows["bytes"], rows["value"], gridsize=_GRID, mincnt=1,
        xscale="log" if across == "log" else "linear", yscale="log" if scale == "log" else "linear",
        extent=(
            *((log10(left), log10(right)) if across == "log" else (left, right)),
            *((log10(low), log10(high)) if scale == "log" else (low, high)),
        ),
        norm=LogNorm(vmin=1), linewidths=0, rasterized=True,
        cmap=LinearSegmentedColormap.from_list(colour, [to_rgba(colour, _FAINTEST), to_rgba(colour)]),
    )  # fmt: skip
    for path in cells.get_paths():
        corners: Any = path.vertices
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        path.vertices = middle + (corners - middle) * size
