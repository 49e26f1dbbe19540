"""Figures of many connections, and of one: each kind draws data of the tables on an Axes of matplotlib."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tlsdissect.views.colours import SHEETS
from tlsdissect.views.ladder import timeline
from tlsdissect.views.plots import counts, lifetimes, over_time, times
from tlsdissect.views.plots.style import LEFT, Plot, caption, inked

if TYPE_CHECKING:
    from tlsdissect.views.dataframes import Tables

_INCHES = {"width": 8.0, "usual": 4.0, "row": 0.27, "around": 1.7, "empty": 1.6, "pad": 0.1}
_DPI = 144

PLOTS: dict[str, Plot] = {
    "handshake-times": Plot("How long handshakes take", "handshakes", times.handshake_times, times.draw_times,
        times.curve_rows),
    "handshake-round-trips": Plot(
        "How long handshakes take, in round trips", "handshakes", times.handshake_round_trips, times.draw_round_trips,
        times.curve_rows, instead=times.NO_PATH,
    ),
    "server-bytes": Plot(
        "Time and size of the server's flight", "handshakes", times.server_bytes, times.draw_server_bytes,
        instead=times.NO_PATH,
    ),
    "round-trips": Plot(
        "Round trips of handshakes", "handshakes", counts.round_trips, counts.draw_in_order, counts.bars
    ),
    "failures": Plot(
        "Why handshakes failed", "failed handshakes", counts.failures, counts.draw_connections, counts.bars,
        instead="no handshake failed",
    ),
    "cipher-suites": Plot("Cipher suites", "connections", counts.cipher_suites, counts.draw_connections, counts.bars),
    "groups": Plot("Groups of the key exchange", "connections", counts.groups, counts.draw_connections, counts.bars),
    "certificate-bytes": Plot(
        "Certificates in the clear", "certificates", counts.certificate_bytes, counts.draw_bytes, counts.bars
    ),
    "versions": Plot("Versions over time", "connections", over_time.versions, over_time.draw_versions),
    "version-shares": Plot(
        "Shares of versions over time", "connections", over_time.versions, over_time.draw_version_shares
    ),
    "post-quantum": Plot(
        "Post-quantum key exchange over time", "connections", over_time.post_quantum, over_time.draw_post_quantum
    ),
    "lifetimes": Plot(
        "Lifetimes of certificates", "certificates", lifetimes.lifetimes, lifetimes.draw_lifetimes,
        lifetimes.lifetime_rows,
    ),
    "offered-and-chosen": Plot(
        "Cipher suites: offered and chosen", "cipher suites", counts.offers, counts.draw_offers, counts.offered_rows
    ),
}  # fmt: skip
"""Figures of any number of connections."""
KINDS: dict[str, Plot] = {
    **PLOTS,
    "timeline": Plot(
        "One handshake, to scale", "connections", lambda tables: tables.read(), timeline.timeline, timeline.rows
    ),
}
"""All figures, including the one of a single connection."""


def picture(tables: Tables, kind: str, form: str, *, dark: bool = False, data: Any = None) -> bytes:
    """Draw a figure as "svg", "png" or "pdf"; its height depends on the number of categories.

    `data` is what the kind takes from the tables, if that is known.
    """
    with inked(dark=dark):
        made, out, sheet = figure(tables, kind, data), BytesIO(), SHEETS[dark][0]
        # No time stamp, so that the same connections give the same file.
        if form == "svg":
            # What `savefig` writes, without drawing everything twice.
            made.set(dpi=_DPI, facecolor=sheet)
            FigureCanvasSVG(made).print_svg(out, metadata={"Date": None})  # type: ignore[no-untyped-call]
        else:
            nothing = {"CreationDate": None} if form == "pdf" else None
            made.savefig(out, format=form, dpi=_DPI, metadata=nothing, facecolor=sheet)
    return out.getvalue()


def figure(tables: Tables, kind: str, data: Any = None) -> Figure:
    """Draw a figure with its title and caption, in the current colours."""
    plot = KINDS[kind]
    data = plot.data(tables) if data is None else data
    rows = plot.rows(data) if len(data) else 0
    usual = _INCHES["usual" if len(data) else "empty"]
    height = rows * _INCHES["row"] + _INCHES["around"] if rows else usual
    made = Figure(
        figsize=(_INCHES["width"], height), layout=ConstrainedLayoutEngine(w_pad=_INCHES["pad"], h_pad=_INCHES["pad"])
    )
    plot.draw_on(data, made.add_subplot())
    made.suptitle(plot.title, x=LEFT, ha="left", fontsize=14, fontweight="bold")
    made.supxlabel(caption(tables, len(data), plot.unit), x=LEFT, ha="left", fontsize=9, alpha=0.75)
    return made
