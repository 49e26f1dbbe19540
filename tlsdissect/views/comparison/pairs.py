"""The same client and server in both versions, and whether the versions differ."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlsdissect.views.comparison import clocks
from tlsdissect.views.comparison.kinds import version_group
from tlsdissect.views.comparison.model import Difference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tlsdissect.transcript.connection import Connection
    from tlsdissect.views.comparison.room import Room

    Values = NDArray[np.float64]

LEAST = 10
"""Connections of each version, in pairs, below which nothing is said."""
THICK = 5
"""Connections of each version from which on a pair shows by itself how much its times differ."""
RESAMPLED = 2000
"""Samples that are drawn for an interval."""
_SEED = 20180810
_CONFIDENCE = (2.5, 97.5)
_KINDS = ("full", "resumed")
_MEASURES = ("round_trips", "milliseconds", "in_round_trips")
_VERSIONS = ("TLS 1.2", "TLS 1.3")
_WIDTH = 1 + len(_MEASURES)
"""Numbers kept of a connection: which of both kinds and versions it is, and its measures."""


class _Pair(NamedTuple):
    """Values of both versions."""

    old: Values
    new: Values


class Pairs:
    """Gathers established handshakes by client and server, full and resumed ones apart.

    A server is its address and the name asked for, not its port: what offers both versions may do so on two.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kept: dict[bytes, array[float]] = {}
        self.left_out = 0
        """Connections for which there was no room."""

    def add(self, c: Connection) -> None:
        """Take a connection in, if its handshake was finished."""
        version = version_group(c)
        if c.outcome != "established" or c.resumption is None or version not in _VERSIONS:
            return
        kept = self._row(c)
        if kept is None:
            self.left_out += 1
            return
        code = 2 * _VERSIONS.index(version) + (c.resumption != "none")
        kept.extend((code, *_values(c)))

    def _row(self, c: Connection) -> array[float] | None:
        """Find what is kept of the connection's client and server; None where there is no room for more."""
        named = f"{c.client.ip}\0{c.server.ip}\0{c.sni or ''}".encode("utf-8", "surrogateescape")
        key = blake2b(named, digest_size=16).digest()
        if self._room.paired <= 0 or (key not in self._kept and self._room.pairs <= 0):
            return None
        self._room.paired -= 1
        if key not in self._kept:
            self._room.pairs -= 1
            self._kept[key] = array("d")
        return self._kept[key]

    def differences(self) -> tuple[Difference, ...] | None:
        """Compare; None where there are too few to say anything."""
        both = [rows for rows in map(_rows, self._kept.values()) if len({int(code) // 2 for code in rows[:, 0]}) > 1]
        told = [_difference(both, kind, measure) for kind, measure in product(range(2), range(3))]
        return tuple([one for one in told if one is not None]) or None


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
    old, new = (rows[rows[:, 0] == 2 * version + kind, 1 + measure] for version in range(2))
    return _Pair(old[~np.isnan(old)], new[~np.isnan(new)])


def _usable(pairs: list[_Pair]) -> list[_Pair]:
    """Leave out pairs of one version, and thin ones where there are not enough to be drawn among themselves."""
    both = [pair for pair in pairs if len(pair.old) and len(pair.new)]
    thick = [pair for pair in both if not _is_thin(pair)]
    return both if len(both) - len(thick) >= LEAST else thick


def _is_thin(pair: _Pair) -> bool:
    return min(len(pair.old), len(pair.new)) < THICK


def _drawn(pairs: list[_Pair]) -> Values:
    """Draw the mean difference anew: within each pair, its connections with replacement.

    Thin pairs are drawn with replacement, too, among themselves: ten pairs of one connection of each version would
    otherwise look like certainty, for what differs within them does not show.
    """
    draw = np.random.default_rng(_SEED)
    thin = sum(map(_is_thin, pairs))
    total, left = np.zeros(RESAMPLED), np.full(RESAMPLED, thin)
    for pair in pairs:
        often: NDArray[np.int64] | int = 1
        if _is_thin(pair):
            # How often each is drawn, of as many as there are: a multinomial, one pair after the other.
            often = draw.binomial(left, 1 / thin)
            left, thin = left - often, thin - 1
        total += often * (_means(pair.old, draw) - _means(pair.new, draw))
    return total / len(pairs)


def _means(given: Values, draw: np.random.Generator) -> Values:
    """Means of samples as large as the values, drawn from them with replacement."""
    # A pair with very many connections is drawn in parts, for the sake of memory.
    step = max(1, 1_000_000 // len(given))
    parts = [
        given[draw.integers(len(given), size=(min(step, RESAMPLED - at), len(given)))].mean(axis=1)
        for at in range(0, RESAMPLED, step)
    ]
    return np.concatenate(parts)


def _values(c: Connection) -> tuple[float, ...]:
    """Give the measures of a connection, NaN where one is not known."""
    nan, unit = float("nan"), c.timing.tcp_ms
    trips = nan if c.round_trips is None else float(c.round_trips)
    took = dict(clocks.seen(c)).get("handshake", nan)
    return trips, took, took / unit if unit else nan
