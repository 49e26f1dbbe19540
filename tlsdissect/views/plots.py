"""Plots of many connections. Each function draws DataFrames on an Axes and returns the Axes."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from tlsdissect.model.connection import is_offer
from tlsdissect.views.certificates import shown_name
from tlsdissect.views.ladder import timeline
from tlsdissect.views.printable import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes

    from tlsdissect.views.dataframes import Tables

MAX_BARS = 20
"""Categories that are drawn, most frequent first; the rest share one bar."""
MAX_LIFETIMES = 40
"""Certificates whose lifetimes are drawn, those that expire first."""
_LABEL = 44
"""Maximum length of a category's name, in characters."""
_TICKS = 7
"""Maximum number of ticks of an integer axis."""
_OTHER = "other"
_COLOURS = {"TLS 1.3": "#0072b2", "TLS 1.2": "#d55e00", _OTHER: "#7f7f7f"}
"""Colours that colour-blind people can distinguish (Okabe and Ito), and that differ in grey."""
_LINES = {"TLS 1.3": "-", "TLS 1.2": "--", _OTHER: ":"}
_HATCHES = {"TLS 1.3": "", "TLS 1.2": "///", _OTHER: "..."}
_SHEETS = {False: ("#ffffff", "#1a1a1a"), True: ("#14181d", "#e8eaed")}
_INCHES = {"width": 8.0, "least": 3.2, "row": 0.27, "around": 1.5}


class Plot(NamedTuple):
    """A kind of figure."""

    title: str
    draw: Callable[[Tables, Axes], Axes]
    rows: Callable[[Tables], int] = lambda _: 0
    """Returns the number of categories below each other."""


def handshake_times(tables: Tables, ax: Axes) -> Axes:
    """Draw the cumulative distribution of handshake times by version, in milliseconds as the client saw them."""
    return _cumulative(tables.connections.assign(value=_as_client_sees), ax, "milliseconds")


def handshake_round_trips(tables: Tables, ax: Axes) -> Axes:
    """Draw the same in units of each connection's own TCP round trip, if that was captured."""
    ratio = tables.connections.assign(value=lambda c: _as_client_sees(c) / c["timing_tcp_ms"].where(lambda t: t > 0))
    for trips in (1, 2, 3):
        ax.axvline(trips, color=_COLOURS[_OTHER], linewidth=0.8)
    return _cumulative(ratio, ax, "round trips of TCP")


def _as_client_sees(connections: pd.DataFrame) -> pd.Series[float]:
    """Return handshake times as the client saw them: see `comparison.client_times`."""
    older = ~connections["version"].astype(str).str.contains("1.3", regex=False)
    to_client = connections["timing_synack_ack_ms"].fillna(0).where(older & (connections["resumption"] == "none"), 0)
    return connections["timing_handshake_ms"] + to_client


def round_trips(tables: Tables, ax: Axes) -> Axes:
    """Draw the number of handshakes by round trips and version."""
    known = tables.connections.dropna(subset=["round_trips"])
    counts = _by_version(known.assign(category=known["round_trips"].astype(str)))
    return _bars(counts.sort_index(), ax, "connections")


def cipher_suites(tables: Tables, ax: Axes) -> Axes:
    """Draw how often each cipher suite was negotiated, by version."""
    return _bars(_most(tables, "cipher_suite"), ax, "connections")


def groups(tables: Tables, ax: Axes) -> Axes:
    """Draw how often each key exchange group was used, by version."""
    return _bars(_most(tables, "group"), ax, "connections")


def certificate_bytes(tables: Tables, ax: Axes) -> Axes:
    """Draw the bytes of certificates that anyone on the path could read, by version and side."""
    keys = ["source", "transport", "stream"]
    versions = tables.connections[[*keys, "version"]]
    shown = tables.certificates[[*keys, "sender", "bytes"]].merge(versions, on=keys)
    shown = shown.assign(category=shown["sender"].astype(str))
    sums = shown.pivot_table("bytes", "category", _version(shown), aggfunc="sum", observed=True, fill_value=0)
    return _bars(sums, ax, "bytes")


def versions(tables: Tables, ax: Axes) -> Axes:
    """Draw connections over time, stacked by version."""
    timed = tables.connections.dropna(subset=["start"])
    starts = timed["start"]
    if not len(starts):
        return _nothing(ax)
    edges: Any = pd.date_range(starts.min(), max(starts.max(), starts.min() + pd.Timedelta("1s")), periods=41)
    names = _version(timed)
    shown = [name for name in _COLOURS if (names == name).any()]
    bottom: Any = 0
    for name in shown:
        counts = pd.cut(starts[names == name], edges, include_lowest=True).value_counts(sort=False).to_numpy()
        colour, hatch = _COLOURS[name], _HATCHES[name]
        ax.bar(edges[:-1], counts, edges[1:] - edges[:-1], bottom, align="edge", label=name, color=colour, hatch=hatch)
        bottom = bottom + counts
    ax.set_xlabel("time (UTC)")
    ax.set_ylabel("connections begun")
    ax.yaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
    ax.tick_params(axis="x", rotation=30)
    _legend(ax)
    return ax


def lifetimes(tables: Tables, ax: Axes) -> Axes:
    """Draw the validity periods of certificates, those that expire first, and the time of the captures."""
    shown = _lifetimes(tables)
    if not len(shown):
        return _nothing(ax)
    begin = shown["not_before"].dt.year + shown["not_before"].dt.day_of_year / 366
    end = shown["not_after"].dt.year + shown["not_after"].dt.day_of_year / 366
    captured = tables.connections["start"].max()
    # NaN makes the comparisons false, and no line is drawn.
    now = float("nan") if pd.isna(captured) else captured.year + captured.day_of_year / 366
    colours = ["#d55e00" if until < now or since > now else "#0072b2" for since, until in zip(begin, end, strict=True)]
    ax.barh(range(len(shown)), end - begin, left=begin, color=colours, edgecolor=colours, linewidth=1.5, height=0.6)
    label = "captured (time unknown)" if pd.isna(captured) else "captured (not valid then: orange)"
    ax.axvline(now, color="#009e73", linestyle="--", label=label)
    subjects = shown["subject"].astype(object).where(shown["subject"].notna(), None)
    _names(ax, [shown_name(one, names) for one, names in zip(subjects, shown["dns_names"], strict=True)])
    ax.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
    ax.set_xlabel("year")
    _legend(ax)
    return ax


def offered_and_chosen(tables: Tables, ax: Axes) -> Axes:
    """Draw, for each offered cipher suite, which suites were chosen, as shares of the connections that offer it."""
    table = _offers(tables)
    if not len(table):
        return _nothing(ax)
    image = ax.imshow(table.to_numpy(), aspect="auto", cmap="cividis", vmin=0, vmax=1)
    _names(ax, [str(name) for name in table.index])
    names = [_short(str(name), _LABEL) for name in table.columns]
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_xlabel("chosen")
    ax.set_ylabel("offered")
    _figure(ax).colorbar(image, ax=ax, label="share of the connections that offer it")
    return ax


PLOTS: dict[str, Plot] = {
    "handshake-times": Plot("How long handshakes take", handshake_times),
    "handshake-round-trips": Plot("How long handshakes take, in round trips", handshake_round_trips),
    "round-trips": Plot("Round trips of handshakes", round_trips),
    "cipher-suites": Plot("Cipher suites", cipher_suites, lambda t: len(_most(t, "cipher_suite"))),
    "groups": Plot("Groups of the key exchange", groups, lambda t: len(_most(t, "group"))),
    "certificate-bytes": Plot("Certificates in the clear", certificate_bytes),
    "versions": Plot("Versions over time", versions),
    "lifetimes": Plot("Lifetimes of certificates", lifetimes, lambda t: len(_lifetimes(t))),
    "offered-and-chosen": Plot("Cipher suites: offered and chosen", offered_and_chosen, lambda t: len(_offers(t)) + 16),
}
"""Figures of any number of connections."""
KINDS: dict[str, Plot] = {**PLOTS, "timeline": Plot("One handshake, to scale", timeline.timeline, timeline.rows)}
"""All figures, including the one of a single connection."""


def picture(tables: Tables, kind: str, form: str, *, dark: bool = False) -> bytes:
    """Draw a figure as "svg", "png" or "pdf"; its height depends on the number of categories."""
    with _inked(dark=dark):
        made, out = figure(tables, kind), BytesIO()
        # No time stamp, so that the same connections give the same file.
        nothing = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
        made.savefig(out, format=form, dpi=144, metadata=nothing, facecolor=_SHEETS[dark][0])
    return out.getvalue()


def figure(tables: Tables, kind: str) -> Figure:
    """Draw a figure with its title, in the current colours."""
    plot = KINDS[kind]
    height = max(_INCHES["least"], plot.rows(tables) * _INCHES["row"] + _INCHES["around"])
    made = Figure(figsize=(_INCHES["width"], height), layout="constrained")
    plot.draw(tables, made.add_subplot()).set_title(plot.title, loc="left", pad=28)
    return made


def _inked(*, dark: bool) -> AbstractContextManager[None]:
    """Set the colours for a light or dark background."""
    sheet, ink = _SHEETS[dark]
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "hatch.color")
    settings: dict[Any, Any] = {
        **dict.fromkeys(names, ink),
        "axes.facecolor": sheet,
        "legend.facecolor": sheet,
        "svg.hashsalt": "tlsdissect",
        "text.parse_math": False,
    }
    return rc_context(settings)


def _version(connections: pd.DataFrame) -> pd.Series[str]:
    names = connections["version"].astype(object)
    return names.where(names.isin(list(_COLOURS)), _OTHER)


def _by_version(connections: pd.DataFrame) -> pd.DataFrame:
    return pd.crosstab(connections["category"], _version(connections))


def _most(tables: Tables, column: str) -> pd.DataFrame:
    """Count by value and version: the most frequent values, and the rest together."""
    known = tables.connections.dropna(subset=[column])
    counts = _by_version(known.assign(category=known[column].astype(str)))
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    if len(counts) <= MAX_BARS:
        return counts
    rest = counts.iloc[MAX_BARS:]
    return pd.concat([counts.iloc[:MAX_BARS], rest.sum().to_frame(f"{len(rest):,} others").T])


def _lifetimes(tables: Tables) -> pd.DataFrame:
    known = tables.certificates.dropna(subset=["not_before", "not_after"]).drop_duplicates("sha256")
    return known.sort_values("not_after", kind="stable").head(MAX_LIFETIMES)


def _offers(tables: Tables) -> pd.DataFrame:
    """Return, of the connections that offer a suite, the share that chose each suite."""
    known = tables.connections.dropna(subset=["cipher_suite", "client_hello_cipher_suites"])
    pairs = known[["client_hello_cipher_suites", "cipher_suite"]].explode("client_hello_cipher_suites")
    pairs = pairs[pairs["client_hello_cipher_suites"].map(is_offer).astype(bool)]
    if not len(pairs):
        return pd.DataFrame()
    counts = pd.crosstab(pairs["client_hello_cipher_suites"], pairs["cipher_suite"].astype(str))
    rows = counts.sum(axis=1).sort_values(ascending=False, kind="stable").index[:MAX_BARS]
    columns = counts.sum().sort_values(ascending=False, kind="stable").index[: MAX_BARS // 2]
    return counts.div(counts.sum(axis=1), axis=0).loc[rows, columns]


def _cumulative(connections: pd.DataFrame, ax: Axes, unit: str) -> Axes:
    known = connections.dropna(subset=["value"])
    names = _version(known)
    for name, colour in _COLOURS.items():
        values = known["value"][names == name].sort_values()
        if len(values):
            shares = [(at + 1) / len(values) for at in range(len(values))]
            label = f"{name} ({len(values):,})"
            ax.step(values, shares, where="post", label=label, color=colour, linestyle=_LINES[name])
    if not len(known):
        return _nothing(ax)
    if known["value"].min() > 0:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(unit)
    ax.set_ylabel("share of handshakes")
    ax.set_ylim(0, 1.02)
    ax.grid(alpha=0.3)
    _legend(ax)
    return ax


def _bars(counts: pd.DataFrame, ax: Axes, unit: str) -> Axes:
    """Draw a bar per category, stacked by version, the first at the top."""
    if not len(counts):
        return _nothing(ax)
    left = pd.Series(0, index=counts.index)
    for name in (name for name in _COLOURS if name in counts):
        values = counts[name]
        ax.barh(
            range(len(counts)), values, left=left, height=0.7, label=name, color=_COLOURS[name], hatch=_HATCHES[name]
        )
        left = left + values
    for at, total in enumerate(left):
        ax.annotate(f"{total:,}", (total, at), xytext=(4, 0), textcoords="offset points", va="center")
    ax.set_xlim(0, max(left.max(), 1) * 1.14)
    ax.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _names(ax, [str(name) for name in counts.index])
    ax.set_xlabel(unit)
    _legend(ax)
    return ax


def _legend(ax: Axes) -> None:
    """Place the legend above the Axes, where it covers nothing."""
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)


def _names(ax: Axes, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), [_short(name, _LABEL) for name in names])
    ax.invert_yaxis()


def _short(name: str, width: int) -> str:
    return shortened(printable(name), width)


def _nothing(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, "no data for this figure", ha="center", va="center", transform=ax.transAxes)
    ax.set_axis_off()
    return ax


def _figure(ax: Axes) -> Figure:
    figure: Any = ax.get_figure(root=True)
    return cast("Figure", figure)
