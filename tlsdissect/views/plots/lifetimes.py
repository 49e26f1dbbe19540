"""The figure of the validity periods of certificates, each with the time in which it was seen in use."""

from __future__ import annotations

from calendar import month_abbr
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.ticker import MaxNLocator, MultipleLocator

from tlsdissect.views.certificates import shown_name
from tlsdissect.views.plots.style import BAD, GOOD, PALE, dated, mark_keys, name_categories, write_behind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlsdissect.views.dataframes import Tables

MAX_LIFETIMES = 40
"""Certificates whose lifetimes are drawn, those that expire first."""
_KEYS = ["source", "transport", "stream"]
_TICKS, _MONTHS = 7, (1, 2, 3, 6)
"""Dates below the axis, and months between two of them where it is short."""
_SEEN = 4
"""Times as wide as its mark of use that the bar of a short lifetime is at least, so that it can be seen."""
_SOON = 0.25
"""Years after its last use within which the end of a certificate is written as a day."""
_BEFORE, _AFTER = 4.0, 6.0
"""Years before the first use and after the last that are drawn; what lies beyond is written as a year."""


def lifetimes(tables: Tables) -> pd.DataFrame:
    """Return each certificate with its validity period and the first and last time at which it was shown."""
    known = tables.certificates.dropna(subset=["not_before", "not_after"])
    # A clock without a date does not say whether a certificate was valid.
    connections = tables.connections.assign(start=dated(tables.connections["start"]))
    used = known.merge(connections[[*_KEYS, "start"]], on=_KEYS).groupby("sha256")["start"].agg(["min", "max"])
    distinct = known.drop_duplicates("sha256").sort_values("not_after", kind="stable")
    return distinct.merge(used, left_on="sha256", right_index=True, how="left")


def lifetime_rows(data: pd.DataFrame) -> int:
    """Return the number of certificates that are drawn."""
    return min(len(data), MAX_LIFETIMES)


def draw_lifetimes(data: pd.DataFrame, ax: Axes) -> None:
    """Draw the certificates that expire first: their validity, their time of use, and whether they were valid then."""
    shown = data.head(MAX_LIFETIMES).reset_index(drop=True)
    begin, end, first, last = (_years(shown[name]) for name in ("not_before", "not_after", "min", "max"))
    wrong = [_verdict(*one) for one in zip(begin, end, first, last, strict=True)]
    seen = pd.concat([first, last]).dropna()
    around = seen if len(seen) else pd.concat([begin, end])
    low = min(max(begin.min(), around.min() - _BEFORE), around.min())
    high = max(min(end.max(), around.max() + _AFTER), around.max(), low + 0.1)
    least = (high - low) / 250
    ends = shown["not_after"]
    left, right = begin.clip(low, high), end.clip(low, high)
    right = right.clip(lower=left + _SEEN * least)
    ax.barh(
        range(len(shown)), right - left, left=left, height=0.5, color=[BAD if verdict else PALE for verdict in wrong]
    )
    used = (last - first).clip(lower=least).dropna()
    ax.barh(used.index, used, left=((first + last).dropna() - used) / 2, height=0.8, color=GOOD)
    for row, (edge, until, stop, verdict) in enumerate(zip(right, end, last, wrong, strict=True)):
        soon = not verdict and until - (low if pd.isna(stop) else stop) < _SOON
        beyond = f"to {until:.0f}" if until > high else f"to {ends.iloc[row]:%Y-%m-%d}" if soon else ""
        write_behind(ax, max(edge, stop if pd.notna(stop) else edge), row, "  ".join(filter(None, (verdict, beyond))))
    ax.set_xlim(low, high + (high - low) * 0.22)
    months = next((step for step in _MONTHS if (high - low) * 12 / step <= _TICKS), None)
    ax.xaxis.set_major_locator(MultipleLocator(months / 12) if months else MaxNLocator(_TICKS, integer=True))
    ax.xaxis.set_major_formatter(lambda year, _: _month(year) if months else f"{year:.0f}")
    subjects = shown["subject"].astype(object).where(shown["subject"].notna(), None)
    name_categories(ax, [shown_name(one, names) for one, names in zip(subjects, shown["dns_names"], strict=True)])
    keys = {"valid": PALE, **({"seen in use": GOOD} if len(seen) else {})}
    mark_keys(ax, {**keys, "not valid when seen": BAD} if any(wrong) else keys)
    if len(data) > len(shown):
        ax.set_xlabel(f"the {len(shown)} of {len(data):,} certificates that end first")


def _years(times: pd.Series[Any]) -> pd.Series[float]:
    """Return times as years with fractions; nanoseconds could not hold the year 9999."""
    fraction = (times.dt.day_of_year - 1 + times.dt.hour / 24) / 366
    years: pd.Series[float] = (times.dt.year + fraction).astype(float)
    return years


def _month(year: float) -> str:
    whole, month = divmod(round(year * 12), 12)
    return f"{month_abbr[month + 1]} {whole}"


def _verdict(since: float, until: float, first: float, last: float) -> str:
    """Return what is wrong with the times at which a certificate was in use; nothing if they are unknown."""
    if first < since:
        return "not yet valid when seen"
    return "expired when seen" if last > until else ""
