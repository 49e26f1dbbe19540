"""The same client and server in both versions, and whether the versions differ."""

from __future__ import annotations

from array import array
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlsdissect.views.comparison import clocks
from tlsdissect.views.comparison.model import Difference
from tlsdissect.views.comparison.tally import version_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tlsdissect.transcript.connection import Connection

LEAST = 10
"""Connections of each version, in pairs, below which nothing is said."""
RESAMPLED = 2000
"""Samples that are drawn for an interval."""
MAX_PAIRS = 100_000
"""Pairs of client and server that are told apart; later ones are left out."""
_SEED = 20180810
_CONFIDENCE = (2.5, 97.5)
_KINDS = ("full", "resumed")
_MEASURES = ("round_trips", "milliseconds", "in_round_trips")


class _Key(NamedTuple):
    """Not the port: what offers both versions side by side may do it on two ports."""

    client: str
    server: str
    sni: str | None


class _Pair(NamedTuple):
    """Values of both versions: TLS 1.2, TLS 1.3."""

    old: array[float]
    new: array[float]


class Pairs:
    """Gathers established handshakes by client and server, full and resumed ones apart."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], dict[_Key, _Pair]] = {what: {} for what in product(_KINDS, _MEASURES)}

    def add(self, c: Connection) -> None:
        """Take a connection in, if its handshake was finished."""
        group = version_group(c)
        if c.outcome != "established" or c.resumption is None or group not in ("TLS 1.2", "TLS 1.3"):
            return
        key, kind = _Key(c.client.ip, c.server.ip, c.sni), _KINDS[c.resumption != "none"]
        for measure, value in _values(c):
            pairs = self._pairs[kind, measure]
            if key in pairs or len(pairs) < MAX_PAIRS:
                pair = pairs.setdefault(key, _Pair(array("d"), array("d")))
                (pair.old if group == "TLS 1.2" else pair.new).append(value)

    def differences(self) -> tuple[Difference, ...] | None:
        """Compare; None where there are too few to say anything."""
        told = tuple(one for one in map(self._difference, self._pairs) if one is not None)
        return told or None

    def _difference(self, what: tuple[str, str]) -> Difference | None:
        pairs = [pair for pair in self._pairs[what].values() if pair.old and pair.new]
        if sum(len(pair.old) for pair in pairs) < LEAST or sum(len(pair.new) for pair in pairs) < LEAST:
            return None
        draw = np.random.default_rng(_SEED)
        drawn = np.zeros(RESAMPLED)
        for pair in pairs:
            drawn += _means(pair.old, draw) - _means(pair.new, draw)
        low, high = np.percentile(drawn / len(pairs), _CONFIDENCE).tolist()
        return Difference(
            kind=what[0],
            measure=what[1],
            pairs=len(pairs),
            connections=sum(len(pair.old) + len(pair.new) for pair in pairs),
            difference=float(np.mean([np.mean(pair.old) - np.mean(pair.new) for pair in pairs])),
            low=low,
            high=high,
        )


def _means(values: array[float], draw: np.random.Generator) -> NDArray[np.float64]:
    """Means of samples as large as the values, drawn from them with replacement."""
    given = np.asarray(values)
    # A pair with very many connections is drawn in parts, for the sake of memory.
    step = max(1, 1_000_000 // len(given))
    parts = [
        given[draw.integers(len(given), size=(min(step, RESAMPLED - at), len(given)))].mean(axis=1)
        for at in range(0, RESAMPLED, step)
    ]
    return np.concatenate(parts)


def _values(c: Connection) -> Iterator[tuple[str, float]]:
    if c.round_trips is not None:
        yield "round_trips", c.round_trips
    took = dict(clocks.seen(c)).get("handshake")
    if took is not None:
        yield "milliseconds", took
        if c.timing.tcp_ms:
            yield "in_round_trips", took / c.timing.tcp_ms
