"""Compares two sides, such as TLS 1.2 and TLS 1.3, over connections of the same client to the same server.

Comparing all connections of one side with all of the other would compare the paths and servers that happen to be on
each. Within a pair of client and server, only the side differs.

Times are compared by medians: of each side, the median over the pairs of each pair's median, and the difference is that
of these two numbers. Times have long tails, so that one handshake that waited for a lost packet would decide a
difference of means. A median over pairs of differences would be as sound, but would not be the difference of any two
numbers that could stand beside it. Round trips are few and small: their median hides that a tenth of the handshakes
took one more, so theirs are means, in both steps.

The interval is a bootstrap of that statistic over pairs and connections, which assumes nothing about how times are
distributed.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlsdissect.views.comparison import client_times
from tlsdissect.views.comparison.model import Difference, Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.comparison.sampling import Budget

    Values = NDArray[np.float64]

LEAST = 10
"""Connections of each side, in pairs, that a comparison needs at least."""
THICK = 5
"""Connections of each side that a pair needs to show the variance of its times by itself."""
RESAMPLED = 2000
"""Bootstrap samples for an interval."""
MAX_DRAWN = 1_000_000
"""Differences of pairs that the bootstrap draws at a time, 8 bytes each."""
_SEED = 20180810
_CONFIDENCE = (2.5, 97.5)
_KINDS = ("full", "resumed", "retried")
_MEASURES = ("round_trips", "milliseconds", "in_round_trips")
_WIDTH = 1 + len(_MEASURES)
"""Numbers kept for a connection: a code for its kind and side, and its measures."""


class _Pair(NamedTuple):
    """One measure of a pair, on both sides."""

    old: Values
    new: Values


class Pairs:
    """Collects established handshakes of two sides by client and server, and by kind."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._kept: dict[bytes, array[float]] = {}
        self.left_out = 0
        """Connections beyond the budget."""

    def add(self, c: Connection, ends: str, side: int) -> None:
        """Add a connection to side 0 or 1, if its handshake was finished; `ends` names its client and server."""
        kind = kind_of(c)
        if c.outcome != "established" or kind is None:
            return
        kept = self._row(ends)
        if kept is None:
            self.left_out += 1
            return
        kept.extend((len(_KINDS) * side + _KINDS.index(kind), *_values(c)))

    def _row(self, ends: str) -> array[float] | None:
        """Return the values of a client and server; None if the budget is used up."""
        key = blake2b(ends.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        if self._budget.paired <= 0 or (key not in self._kept and self._budget.pairs <= 0):
            return None
        self._budget.paired -= 1
        if key not in self._kept:
            self._budget.pairs -= 1
            self._kept[key] = array("d")
        return self._kept[key]

    def differences(self) -> tuple[Difference, ...] | None:
        """Return side 0 minus side 1 of each measure; None if there are too few connections."""
        both = [rows for rows in map(_rows, self._kept.values()) if len(set(rows[:, 0] // len(_KINDS))) > 1]
        found = [_difference(both, *one) for one in product(range(len(_KINDS)), range(len(_MEASURES)))]
        return tuple([one for one in found if one is not None]) or None

    def milliseconds(self, side: int) -> dict[str, Spread]:
        """Return, by kind, how long the handshakes of a side took in pairs that have the kind on both sides."""
        both = [_rows(kept) for kept in self._kept.values()]
        found: dict[str, Spread] = {}
        for kind, name in enumerate(_KINDS):
            pairs = [_pair(rows, kind, _MEASURES.index("milliseconds")) for rows in both]
            values = [pair[side] for pair in pairs if len(pair.old) and len(pair.new)]
            spread = Spread.of(np.concatenate(values).tolist()) if values else None
            if spread is not None:
                found[name] = spread
        return found


def kind_of(c: Connection) -> str | None:
    """Return the kind of a handshake; None if it is not known whether it resumed a session.

    One with a HelloRetryRequest, or HelloVerifyRequest of DTLS, takes a round trip more, whatever else it is, so it is
    of a kind of its own.
    """
    if c.resumption is None:
        return None
    return "retried" if c.hello_retry else "full" if c.resumption == "none" else "resumed"


def _rows(kept: array[float]) -> Values:
    return np.asarray(kept, dtype=float).reshape(-1, _WIDTH)


def _difference(both: Iterable[Values], kind: int, measure: int) -> Difference | None:
    pairs = _usable([_pair(rows, kind, measure) for rows in both])
    if min(sum(len(pair.old) for pair in pairs), sum(len(pair.new) for pair in pairs)) < LEAST:
        return None
    name = _MEASURES[measure]
    statistic = _MEAN if name == "round_trips" else _MEDIAN
    low, high = np.percentile(_drawn(pairs, statistic), _CONFIDENCE).tolist()
    old, new = (float(statistic.of(np.array([statistic.of(pair[side]) for pair in pairs]))) for side in range(2))
    return Difference(
        kind=_KINDS[kind],
        measure=name,
        pairs=len(pairs),
        connections=sum(len(pair.old) + len(pair.new) for pair in pairs),
        old=old,
        new=new,
        difference=old - new,
        low=low,
        high=high,
    )


def _pair(rows: Values, kind: int, measure: int) -> _Pair:
    old, new = (rows[rows[:, 0] == len(_KINDS) * side + kind, 1 + measure] for side in range(2))
    return _Pair(old[~np.isnan(old)], new[~np.isnan(new)])


def _usable(pairs: list[_Pair]) -> list[_Pair]:
    """Leave out pairs with one side only, and thin pairs if there are too few of them to be resampled."""
    both = [pair for pair in pairs if len(pair.old) and len(pair.new)]
    thick = [pair for pair in both if not _is_thin(pair)]
    return both if len(both) - len(thick) >= LEAST else thick


def _is_thin(pair: _Pair) -> bool:
    return min(len(pair.old), len(pair.new)) < THICK


def _drawn(pairs: Sequence[_Pair], statistic: _Statistic) -> Values:
    """Return bootstrap samples of the difference: connections are drawn with replacement within each pair.

    Thin pairs are themselves drawn with replacement, too. Resampling a pair with a single connection of each side
    always gives the same value, so that ten such pairs would otherwise seem to have no variance at all.
    """
    draw = np.random.default_rng(_SEED)
    thin = [pair for pair in pairs if _is_thin(pair)]
    ordered = [*thin, *(pair for pair in pairs if not _is_thin(pair))]
    # With very many pairs, fewer samples are drawn at a time, to bound memory.
    step = max(1, MAX_DRAWN // len(ordered))
    parts = []
    for at in range(0, RESAMPLED, step):
        many = min(step, RESAMPLED - at)
        old, new = (_resampled([pair[side] for pair in ordered], statistic, draw, many) for side in range(2))
        if thin:
            chosen = draw.integers(len(thin), size=(len(thin), many))
            for side in (old, new):
                side[: len(thin)] = np.take_along_axis(side[: len(thin)], chosen, axis=0)
        parts.append(statistic.of(old) - statistic.of(new))
    return np.concatenate(parts)


def _resampled(samples: Sequence[Values], statistic: _Statistic, draw: np.random.Generator, many: int) -> Values:
    """Return the statistic of `many` bootstrap samples of each sample: a row for each."""
    found = np.empty((len(samples), many))
    of_size: dict[int, list[int]] = {}
    for at, one in enumerate(samples):
        of_size.setdefault(len(one), []).append(at)
    for alike in of_size.values():
        # Samples of one size are drawn together: with many pairs, a call for each would take minutes.
        found[alike] = statistic.resampled(np.sort(np.stack([samples[at] for at in alike])), draw, many)
    return found


def _resampled_means(rows: Values, draw: np.random.Generator, many: int) -> Values:
    """Return the means of bootstrap samples of each row; rows have few distinct values.

    How often each distinct value is drawn is multinomial, so that the values need not be drawn one by one.
    """
    size = rows.shape[1]
    found: Values = np.zeros((len(rows), many))
    left, rest = np.full((len(rows), many), size), np.full((len(rows), 1), size)
    for value in np.unique(rows):
        has = np.count_nonzero(rows == value, axis=1, keepdims=True)
        often = draw.binomial(left, has / np.maximum(rest, 1))
        found += often * value
        left, rest = left - often, rest - has
    found /= size
    return found


def _resampled_medians(rows: Values, draw: np.random.Generator, many: int) -> Values:
    """Return medians of bootstrap samples of each row, whose values are sorted.

    Drawing n of n sorted values is drawing n uniform numbers between 0 and n, whose integer parts are the positions.
    The k-th smallest of n uniform numbers between 0 and 1 has the distribution Beta(k, n + 1 - k), and the one after it
    is the smallest of the n - k that are left. So a median takes one or two draws, however many values there are.
    """
    count, size = rows.shape
    below = (size + 1) // 2
    at = draw.beta(below, size + 1 - below, size=(count, many))
    median = _at(rows, at)
    if size % 2 == 0:
        median = (median + _at(rows, at + (1 - at) * draw.beta(1, size - below, size=(count, many)))) / 2
    return median


def _at(rows: Values, at: Values) -> Values:
    """Return the values of each row at these parts of its length."""
    size = rows.shape[1]
    return np.take_along_axis(rows, np.minimum((at * size).astype(np.int64), size - 1), axis=1)


class _Statistic(NamedTuple):
    """A way to summarize values."""

    of: Callable[[Values], Values]
    """Returns it over the first axis."""
    resampled: Callable[[Values, np.random.Generator, int], Values]
    """Returns it of bootstrap samples of each row: a row for each."""


_MEAN = _Statistic(lambda values: np.mean(values, axis=0), _resampled_means)
_MEDIAN = _Statistic(lambda values: np.median(values, axis=0), _resampled_medians)


def _values(c: Connection) -> tuple[float, ...]:
    """Return the measures of a connection, NaN where one is unknown."""
    nan, unit = float("nan"), c.timing.path_ms
    trips = nan if c.round_trips is None else float(c.round_trips)
    took = client_times.since_client_hello(c).get("handshake", nan)
    return trips, took, took / unit if unit else nan
