"""Figures with a bar for each category, the most frequent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tlsdissect.model.connection import is_offer
from tlsdissect.views.phrases import counted
from tlsdissect.views.plots.style import (
    BAD,
    GOOD,
    PALE,
    VERSIONS,
    count_along,
    mark_keys,
    name_categories,
    version_names,
    write_behind,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlsdissect.views.dataframes import Tables

MAX_BARS = 20
"""Categories that are drawn, most frequent first; the others are counted below the axis.

One bar of all others may be ten times as long as those that have a name, which nobody could tell apart then.
"""
_LONG = 1.08
"""How much longer an axis is whose bars have two numbers behind them."""
_KEYS = ["source", "transport", "stream"]


def round_trips(tables: Tables) -> pd.DataFrame:
    """Return the round trips of each handshake, with its version."""
    return _by_version(tables, "round_trips")


def cipher_suites(tables: Tables) -> pd.DataFrame:
    """Return the cipher suite of each connection, with its version."""
    return _by_version(tables, "cipher_suite")


def groups(tables: Tables) -> pd.DataFrame:
    """Return the key exchange group of each connection, with its version."""
    return _by_version(tables, "group")


def _by_version(tables: Tables, column: str) -> pd.DataFrame:
    known = tables.connections.dropna(subset=[column])
    return pd.DataFrame({"category": known[column].astype(str), "version": version_names(known), "weight": 1})


def certificate_bytes(tables: Tables) -> pd.DataFrame:
    """Return the certificates that anyone on the path could read: sender, bytes and the connection's version."""
    shown = tables.certificates
    shown = shown[~shown["with_keys"].fillna(value=False).astype(bool)]
    versions = tables.connections[[*_KEYS, "version"]]
    shown = shown[[*_KEYS, "sender", "bytes"]].merge(versions, on=_KEYS)
    return pd.DataFrame(
        {"category": shown["sender"].astype(str), "version": version_names(shown), "weight": shown["bytes"].astype(int)}
    )


def failures(tables: Tables) -> pd.DataFrame:
    """Return why each failed handshake failed, as tables say it: what only keys show is marked."""
    reasons = pd.Series(tables.failure_reasons, dtype="object")
    return pd.DataFrame({"category": reasons, "version": "failed", "weight": 1})


def offers(tables: Tables) -> pd.DataFrame:
    """Return, for each cipher suite, how many connections offered it and how many chose it."""
    known = tables.connections.dropna(subset=["cipher_suite", "client_hello_cipher_suites"])
    offered = known["client_hello_cipher_suites"].explode()
    offered = offered[offered.map(is_offer).astype(bool)]
    once = offered.reset_index().drop_duplicates()
    counts = once["client_hello_cipher_suites"].astype(str).value_counts()
    chosen = known["cipher_suite"].astype(str).value_counts().reindex(counts.index, fill_value=0)
    found = pd.DataFrame({"offered": counts, "chosen": chosen})
    return found.sort_values(["chosen", "offered"], ascending=False, kind="stable")


def bars(data: pd.DataFrame) -> int:
    """Return the number of bars."""
    return min(data["category"].nunique(), MAX_BARS)


def draw_connections(data: pd.DataFrame, ax: Axes) -> None:
    """Draw a bar for each category, the most frequent first."""
    counts = _crossed(data)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    left_out = counts.iloc[MAX_BARS:]
    rest = f"; {len(left_out):,} more kinds have {int(left_out.to_numpy().sum()):,}" if len(left_out) else ""
    _bars(counts.iloc[:MAX_BARS], ax, f"connections{rest}")


def draw_bytes(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the bytes of each sender."""
    _bars(_crossed(data), ax, "bytes")


def draw_in_order(data: pd.DataFrame, ax: Axes) -> None:
    """Draw a bar for each number, the lowest first."""
    counts = _crossed(data).sort_index(key=lambda names: names.astype(int))
    _bars(counts.rename(index=lambda name: counted(int(name), "round trip")), ax, "connections")


def _crossed(data: pd.DataFrame) -> pd.DataFrame:
    return data.pivot_table("weight", "category", "version", aggfunc="sum", fill_value=0, observed=True)


def _bars(counts: pd.DataFrame, ax: Axes, unit: str) -> None:
    colours = {name: colour for name, colour in {**VERSIONS, "failed": BAD}.items() if name in counts}
    left = pd.Series(0, index=counts.index)
    for name, colour in colours.items():
        ax.barh(range(len(counts)), counts[name], left=left, height=0.7, color=colour)
        left = left + counts[name]
    for row, total in enumerate(left):
        write_behind(ax, total, row, f"{total:,}")
    count_along(ax, unit, left.max())
    name_categories(ax, [str(name) for name in counts.index])
    if "failed" not in colours:
        mark_keys(ax, colours)


def offered_rows(data: pd.DataFrame) -> int:
    """Return the number of rows of `draw_offers`."""
    return min(len(data), MAX_BARS)


def draw_offers(data: pd.DataFrame, ax: Axes) -> None:
    """Draw how many connections offered each suite, and how many of all chose it."""
    shown = data.head(MAX_BARS)
    ax.barh(range(len(shown)), shown["offered"], height=0.7, color=PALE)
    ax.barh(range(len(shown)), shown["chosen"], height=0.34, color=GOOD)
    for row, (offered, chosen) in enumerate(zip(shown["offered"], shown["chosen"], strict=True)):
        write_behind(ax, offered, row, f"{chosen:,} of {offered:,}")
    part = f"; the {len(shown)} most chosen of {len(data):,} suites" if len(data) > len(shown) else ""
    count_along(ax, f"connections{part}", shown["offered"].max() * _LONG)
    name_categories(ax, [str(name) for name in shown.index])
    mark_keys(ax, {"offered": PALE, "chosen": GOOD})
