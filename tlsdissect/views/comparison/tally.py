"""Counts and times of the connections of one version."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tlsdissect.views.comparison import client_times, predicates
from tlsdissect.views.comparison.exposure import ExposureCounter
from tlsdissect.views.comparison.model import Side
from tlsdissect.views.comparison.post_quantum import PostQuantumCounter
from tlsdissect.views.comparison.sampling import Sample

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection
    from tlsdissect.views.comparison.model import Spread
    from tlsdissect.views.comparison.sampling import Budget

MAX_KINDS = 1000
"""Distinct values listed of each kind, such as cipher suites or groups; the rest count as `others`."""
_COUNTED = (
    "alerts", "resumption", "early_data", "against_expected", "capture_points", "cipher_suites", "offered_suites",
    "groups", "signature_schemes",
)  # fmt: skip


class Tally:
    """Counts of one version, and samples of its times and sizes."""

    def __init__(self, version: str, budget: Budget) -> None:
        self._version = version
        self._budget = budget
        self._n: Counter[str] = Counter()
        self._by: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._values: defaultdict[str, Sample] = defaultdict(lambda: Sample(budget))
        self._exposure = ExposureCounter(budget)
        self._post_quantum = PostQuantumCounter(budget)

    def add(self, c: Connection) -> None:
        """Add a connection."""
        self._n["connections"] += 1
        self._outcome(c)
        self._trips(c)
        self._times(c)
        self._choices(c)
        self._bytes(c)
        self._exposure.add(c)
        self._post_quantum.add(c)

    def _outcome(self, c: Connection) -> None:
        kind = "established" if c.outcome == "established" else "failed" if c.failed_by else "incomplete"
        self._n[kind] += 1
        if kind == "failed":
            for name in {one.description for one in c.alerts if one.description}:
                self._count("alerts", name)
        self._count("resumption", c.resumption)
        self._n["hello_retries"] += bool(c.hello_retry)
        self._count("early_data", None if c.early_data == "none" else c.early_data)

    def _trips(self, c: Connection) -> None:
        if c.round_trips is None:
            return
        self._by["round_trips"][str(c.round_trips)] += 1
        expected = client_times.expected_round_trips(c)
        if expected is not None:
            self._n["expected"] += expected
            self._n["with_expected"] += 1
        self._count("against_expected", client_times.against_expected(c))

    def _times(self, c: Connection) -> None:
        self._count("capture_points", client_times.capture_point(c))
        self._n["split_paths"] += bool(c.timing.split_path)
        unit = c.timing.tcp_ms
        for name, took in client_times.since_client_hello(c):
            self._values[f"ms {name}"].add(took)
            if unit and name != "tcp":
                self._values[f"rt {name}"].add(took / unit)
        for name, took in client_times.layers(c):
            self._values[f"layer {name}"].add(took)

    def _choices(self, c: Connection) -> None:
        self._count("cipher_suites", c.cipher_suite)
        self._count("groups", c.group or (f"DH {c.dh_bits}" if c.dh_bits else None))
        self._count("signature_schemes", c.signature_scheme)
        if c.client_hello is not None:
            for suite in set(c.client_hello.offered_suites):
                self._count("offered_suites", suite)
        if c.cipher_suite is not None:
            self._n["aead"] += predicates.is_aead(c.cipher_suite)
            self._n["forward_secret"] += predicates.is_forward_secret(c)

    def _bytes(self, c: Connection) -> None:
        for side, many in (("client", c.handshake_bytes.client), ("server", c.handshake_bytes.server)):
            if many is not None:
                self._values[f"bytes {side}"].add(many)
        for message in c.messages:
            self._by[f"messages {message.sender}"][message.type] += 1
            self._by[f"sizes {message.sender}"][message.type] += message.bytes

    def _count(self, what: str, key: str | None) -> None:
        """Count a name. The set is bounded, because an unregistered code point may be any number."""
        if key is None:
            return
        names = self._by[what]
        if key not in names:
            if len(names) >= MAX_KINDS or self._budget.counted <= 0:
                key = "others"
            else:
                self._budget.counted -= 1
        names[key] += 1

    def side(self) -> Side:
        """Return the counts."""
        n, trips = self._n, self._by["round_trips"]
        mean = sum(int(k) * v for k, v in trips.items()) / trips.total() if trips else None
        return Side(
            version=self._version,
            connections=n["connections"],
            established=n["established"],
            failed=n["failed"],
            incomplete=n["incomplete"],
            hello_retries=n["hello_retries"],
            round_trips=dict(sorted(trips.items())),
            mean_round_trips=mean,
            mean_with_tcp=None if mean is None else mean + 1,
            expected_round_trips=n["expected"] / n["with_expected"] if n["with_expected"] else None,
            split_paths=n["split_paths"],
            milliseconds=self._spreads("ms "),
            in_round_trips=self._spreads("rt "),
            layers=self._spreads("layer "),
            aead=n["aead"],
            forward_secret=n["forward_secret"],
            post_quantum=self._post_quantum.result(),
            exposure=self._exposure.result(),
            client_bytes=self._values["bytes client"].spread(),
            server_bytes=self._values["bytes server"].spread(),
            client_message_bytes=self._means("client"),
            server_message_bytes=self._means("server"),
            **{name: _ordered(self._by[name]) for name in _COUNTED},
        )

    def _means(self, side: str) -> dict[str, float]:
        many, sizes = self._by[f"messages {side}"], self._by[f"sizes {side}"]
        return {kind: sizes[kind] / count for kind, count in many.items()}

    def _spreads(self, prefix: str) -> dict[str, Spread]:
        spreads = ((key, sample.spread()) for key, sample in self._values.items() if key.startswith(prefix))
        return {key.removeprefix(prefix): spread for key, spread in spreads if spread is not None}


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """Sort by count, most frequent first."""
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
