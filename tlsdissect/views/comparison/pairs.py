"""Compares two sides, such as TLS 1.2 and TLS 1.3, over connections of the same client to the same server.

Comparing all connections of one side with all of the other would compare the paths and servers that happen to be on
each. Within a pair of client and server, only the side differs. The interval is a bootstrap over pairs and connections,
which assumes nothing about how times are distributed.
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
    from collections.abc import Iterable

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
    low, high = np.percentile(_drawn(pairs), _CONFIDENCE).tolist()
    return Difference(
        kind=_KINDS[kind],
        measure=_MEASURES[measure],
        pairs=len(pairs),
        connections=sum(len(pair.old) + len(pair.new) for pair in pairs),
        difference=float(np.mean([pair.old.mean() - pair.new.mean() for pair in pairs])),
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


def _drawn(pairs: list[_Pair]) -> Values:
    """Return bootstrap samples of the mean difference: connections are drawn with replacement within each pair.

    Thin pairs are themselves drawn with replacement, too. Resampling a pair with a single connection of each side
    always gives the same value, so that ten such pairs would otherwise seem to have no variance at all.
    """
    draw = np.random.default_rng(_SEED)
    thin = sum(map(_is_thin, pairs))
    total, left = np.zeros(RESAMPLED), np.full(RESAMPLED, thin)
    for pair in pairs:
        often: NDArray[np.int64] | int = 1
        if _is_thin(pair):
            # How often this pair is drawn: a multinomial distribution, sampled one pair after the other.
            often = draw.binomial(left, 1 / thin)
            left, thin = left - often, thin - 1
        total += often * (_means(pair.old, draw) - _means(pair.new, draw))
    return total / len(pairs)


def _means(given: Values, draw: np.random.Generator) -> Values:
    """Return the means of bootstrap samples of the values."""
    # A pair with very many connections is sampled in parts, to bound memory.
    step = max(1, 1_000_000 // len(given))
    parts = [
        given[draw.integers(len(given), size=(min(step, RESAMPLED - at), len(given)))].mean(axis=1)
        for at in range(0, RESAMPLED, step)
    ]
    return np.concatenate(parts)


def _values(c: Connection) -> tuple[float, ...]:
    """Return the measures of a connection, NaN where one is unknown."""
    nan, unit = float("nan"), client_times.round_trip(c)
    trips = nan if c.round_trips is None else float(c.round_trips)
    took = dict(client_times.since_client_hello(c)).get("handshake", nan)
    return trips, took, took / unit if unit else nan
