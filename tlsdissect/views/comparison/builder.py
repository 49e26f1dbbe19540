"""Builds a comparison from connections, one at a time: counts, times and sizes of each version, in bounded memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import lru_cache
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from tlsdissect.model.connection import FAILURES, is_offer
from tlsdissect.model.transcript import keyed_end
from tlsdissect.trust.certificate import emails
from tlsdissect.views.both_ends.recognition import Recognizer
from tlsdissect.views.comparison import client_times
from tlsdissect.views.comparison.model import (
    PAIRED,
    VERSIONS,
    Exposure,
    Group,
    Keyed,
    PostQuantum,
    Side,
    version_group,
)
from tlsdissect.views.comparison.pairs import Pairs, kind_of
from tlsdissect.views.comparison.sampling import Budget, Names, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tlsdissect.model.connection import Certificate, ClientHello, Connection, Hidden
    from tlsdissect.views.comparison.model import Spread

_AEAD = re.compile(r"_(GCM|CCM|CCM_8|POLY1305|MGM_[LS]|AEGIS_256|AEGIS_128L)(_|$)")
_FORWARD_SECRET = re.compile(r"_(EC)?DHE_|_(EC)?DH_anon_|_ECCPWD_")
_POST_QUANTUM = re.compile(r"MLKEM|Kyber", re.IGNORECASE)
_NOT_HANDSHAKE = frozenset(("change_cipher_spec", "alert"))
_OF_CERTIFICATES = frozenset((
    "bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired", "certificate_unknown",
    "unknown_ca", "bad_certificate_status_response",
))  # fmt: skip
"""Alerts about a certificate: its sender has received one, and the client's only comes after the server's."""
_MEASURES = ("hello_bytes", "hello_segments", "share_bytes", "server_hello_bytes")
MAX_KINDS = 1000
"""Distinct values listed of each kind, such as cipher suites or groups; the rest count as `others`."""
_COUNTED = (
    "alerts", "resumption", "early_data", "against_expected", "capture_points", "cipher_suites", "offered_suites",
    "groups", "signature_schemes",
)  # fmt: skip
By = Literal["server", "sni", "client", "capture"]
MAX_GROUPS = 10_000
"""Servers, names, clients or captures that get a group of their own; connections of others count only in the total."""
MAX_GROUP_BYTES = 4 << 20
"""Bytes of their names; beyond it, connections of further groups count only in the total, too."""
_KEYS: dict[str, Callable[[Connection], str]] = {
    "server": lambda c: str(c.server),
    "sni": lambda c: c.sni or "(no server_name)",
    "client": lambda c: c.client.host,
    "capture": lambda c: c.source,
}


@lru_cache(maxsize=512)
def is_aead(suite: str) -> bool:
    """Whether a suite uses AEAD (RFC 5116)."""
    return _AEAD.search(suite) is not None


def is_forward_secret(c: Connection) -> bool:
    """Whether the key exchange was ephemeral."""
    return c.group is not None or c.dh_bits is not None or _FORWARD_SECRET.search(c.cipher_suite or "") is not None


@lru_cache(maxsize=512)
def is_post_quantum(group: str) -> bool:
    """Whether a group includes a post-quantum KEM: ML-KEM, or its predecessor Kyber."""
    return _POST_QUANTUM.search(group) is not None


def has_post_quantum(groups: tuple[str, ...] | None) -> bool:
    """Whether one of these groups is post-quantum."""
    return any(map(is_post_quantum, groups or ()))


def is_retry_for_it(c: Connection, hello: ClientHello) -> bool:
    """Whether post-quantum groups caused the HelloRetryRequest: it asked for one, or the client had sent no other."""
    asked = c.hello_retry_request
    if asked is None or asked.group is None:
        return False
    sent = list(filter(is_offer, hello.key_shares or ()))
    return is_post_quantum(asked.group) or (bool(sent) and all(map(is_post_quantum, sent)))


def share_bytes(hello: ClientHello) -> int | None:
    """Return the size of the key_share extension in bytes; None if the hello has none."""
    return next((one.bytes for one in hello.extensions or () if one.type == "key_share"), None)


class ExposureCounter:
    """Counts what was in the clear, and what was encrypted."""

    def __init__(self, budget: Budget) -> None:
        self._n: Counter[str] = Counter()
        self._certificates = Names(budget)
        self._names = Names(budget)
        self._emails = Names(budget)
        self._server_names = Names(budget)
        self._sizes: defaultdict[tuple[str, str], Sample] = defaultdict(lambda: Sample(budget))

    def add(self, c: Connection) -> None:
        """Add a connection."""
        offered = c.client_hello is not None and bool(c.client_hello.alpn)
        self._n["alpn_offered"] += offered
        self._n["alpn_agreed"] += c.alpn is not None
        self._n["connections"] += bool(c.certificates or c.client_certificates)
        self._n["client_certificates"] += bool(c.client_certificates)
        if c.sni is not None:
            self._n["sni"] += 1
            self._server_names.add(c.sni)
        for one in (*(c.certificates or ()), *(c.client_certificates or ())):
            self._certificate(one)
        established = c.outcome == "established"
        judged = any(one.description in _OF_CERTIFICATES for one in c.alerts)
        self._n["hidden_certificates"] += c.is_tls13 and c.certificates is None and (established or judged)
        if established:
            self._n["hidden_alpn"] += c.is_tls13 and offered
            self._handshake(c)

    def _certificate(self, one: Certificate) -> None:
        self._n["bytes"] += one.bytes
        if not self._certificates.add(one.sha256):
            return
        for name in (*(one.dns_names or ()), *(one.ip_addresses or ())):
            self._names.add(name)
        for address in emails(one):
            self._emails.add(address)

    def _handshake(self, c: Connection) -> None:
        sums: Counter[tuple[str, str]] = Counter()
        for one in c.messages:
            if one.type not in _NOT_HANDSHAKE:
                sums["encrypted" if one.type == "encrypted" else "readable", one.sender] += one.bytes
        for what, many in sums.items():
            self._sizes[what].add(many)

    def result(self) -> Exposure:
        """Return the counts."""
        counts = ("connections", "bytes", "client_certificates", "sni", "alpn_offered", "alpn_agreed")
        return Exposure(
            **{name: self._n[name] for name in (*counts, "hidden_certificates", "hidden_alpn")},
            distinct=len(self._certificates),
            names=len(self._names),
            emails=len(self._emails),
            sni_names=len(self._server_names),
            readable=self._spreads("readable"),
            encrypted=self._spreads("encrypted"),
            cut=any(one.cut for one in (self._certificates, self._names, self._emails, self._server_names)),
        )

    def _spreads(self, kind: str) -> dict[str, Spread]:
        spreads = ((side, self._sizes[kind, side].spread()) for side in ("client", "server"))
        return {side: spread for side, spread in spreads if spread is not None}


class PostQuantumCounter:
    """Counts connections that offer or negotiate it, and the sizes of hellos with and without it."""

    def __init__(self, budget: Budget) -> None:
        self._n: Counter[str] = Counter()
        self._sizes: defaultdict[str, Sample] = defaultdict(lambda: Sample(budget))

    def add(self, c: Connection) -> None:
        """Add a connection."""
        negotiated = c.group is not None and is_post_quantum(c.group)
        self._n["negotiated"] += negotiated
        # In a truncated ServerHello, ja3s and the group may be unknown: it is neither with nor without such a group.
        if c.server_hello is not None and (c.ja3s is not None or c.group is not None):
            self._size("server_hello_bytes", c.server_hello.bytes, with_it=negotiated)
        if c.client_hello is not None:
            self._hello(c, c.client_hello)

    def _hello(self, c: Connection, hello: ClientHello) -> None:
        shared = has_post_quantum(hello.key_shares)
        self._n["shared"] += shared
        self._n["offered"] += shared or has_post_quantum(hello.groups)
        self._n["retries"] += is_retry_for_it(c, hello)
        if shared or c.has_whole_client_hello:
            self._size("hello_bytes", hello.bytes, with_it=shared)
        if c.has_whole_client_hello:
            self._size("hello_segments", hello.segments, with_it=shared)
        share = share_bytes(hello)
        if share is not None:
            self._size("share_bytes", share, with_it=shared)

    def _size(self, measure: str, value: int, *, with_it: bool) -> None:
        self._sizes[measure if with_it else f"{measure}_without"].add(value)

    def result(self) -> PostQuantum:
        """Return the counts and sizes."""
        names = [name for measure in _MEASURES for name in (measure, f"{measure}_without")]
        counts = {name: self._n[name] for name in ("offered", "shared", "negotiated", "retries")}
        values: dict[str, Any] = {**counts, **{name: self._sizes[name].spread() for name in names}}
        return PostQuantum(**values)


class KeyedCounter:
    """Counts what only keys show."""

    def __init__(self, budget: Budget) -> None:
        self._n: Counter[str] = Counter()
        self._early_data: Counter[str] = Counter()
        self._round_trips: Counter[str] = Counter()
        self._certificates = Names(budget)
        self._names = Names(budget)

    def add(self, c: Connection, hidden: Hidden) -> None:
        """Add what keys show of a connection."""
        self._n["connections"] += 1
        self._n["failed"] += c.outcome not in FAILURES and keyed_end(c) is not None
        self._n["certificates"] += bool(hidden.certificates or hidden.client_certificates)
        self._n["client_certificates"] += bool(hidden.client_certificates)
        self._n["requested"] += bool(hidden.client_certificate_requested)
        self._n["alpn_agreed"] += hidden.alpn is not None
        self._n["tickets"] += bool(hidden.session_tickets)
        if hidden.early_data is not None:
            self._early_data[hidden.early_data] += 1
        if hidden.round_trips is not None:
            self._round_trips[str(hidden.round_trips)] += 1
        for one in (*(hidden.certificates or ()), *(hidden.client_certificates or ())):
            self._n["bytes"] += one.bytes
            if self._certificates.add(one.sha256):
                for name in (*(one.dns_names or ()), *(one.ip_addresses or ())):
                    self._names.add(name)

    def result(self) -> Keyed:
        """Return the counts."""
        counted = (
            "connections",
            "failed",
            "certificates",
            "client_certificates",
            "requested",
            "alpn_agreed",
            "tickets",
            "bytes",
        )
        return Keyed(
            **{name: self._n[name] for name in counted},
            early_data=dict(sorted(self._early_data.items())),
            round_trips=dict(sorted(self._round_trips.items())),
            distinct=len(self._certificates),
            names=len(self._names),
        )


class Tally:
    """Counts of one version, and samples of its times and sizes."""

    def __init__(self, version: str, budget: Budget) -> None:
        self._version = version
        self._budget = budget
        self._n: Counter[str] = Counter()
        self._by: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._values: defaultdict[tuple[str, str], Sample] = defaultdict(lambda: Sample(budget))
        self._exposure = ExposureCounter(budget)
        self._keyed = KeyedCounter(budget)
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
        if c.hidden is not None:
            self._keyed.add(c, c.hidden)
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
        self._by["count", "round_trips"][str(c.round_trips)] += 1
        self._n["over_tcp"] += c.transport == "tcp"
        expected = client_times.expected_round_trips(c)
        if expected is not None:
            self._n["expected"] += expected
            self._n["with_expected"] += 1
        self._count("against_expected", client_times.against_expected(c))

    def _times(self, c: Connection) -> None:
        self._count("capture_points", client_times.capture_point(c))
        self._n["split_paths"] += bool(c.timing.split_path)
        unit, kind, at = c.timing.path_ms, kind_of(c), client_times.since_client_hello(c)
        for name, took in at.items():
            self._values["ms", name].add(took)
            if unit and name != "tcp":
                self._values["rt", name].add(took / unit)
            if name == "handshake" and c.outcome == "established" and kind is not None:
                self._values["kind", kind].add(took)
        whole = client_times.to_first_data(c, at)
        if whole is not None:
            self._values["ms", "to_first_data"].add(whole)
        for name, took in client_times.layers(c, at):
            self._values["layer", name].add(took)

    def _choices(self, c: Connection) -> None:
        self._count("cipher_suites", c.cipher_suite)
        self._count("groups", c.group or (f"DH {c.dh_bits}" if c.dh_bits else None))
        self._count("signature_schemes", c.signature_scheme)
        if c.client_hello is not None:
            for suite in set(c.client_hello.offered_suites):
                self._count("offered_suites", suite)
        if c.cipher_suite is not None:
            self._n["aead"] += is_aead(c.cipher_suite)
            self._n["forward_secret"] += is_forward_secret(c)

    def _bytes(self, c: Connection) -> None:
        for side, many in (("client", c.handshake_bytes.client), ("server", c.handshake_bytes.server)):
            if many is not None:
                self._values["bytes", side].add(many)
        for message in c.messages:
            self._by["messages", message.sender][message.type] += 1
            self._by["sizes", message.sender][message.type] += message.bytes

    def _count(self, what: str, key: str | None) -> None:
        """Count a name. The set is bounded, because an unregistered code point may be any number."""
        if key is None:
            return
        names = self._by["count", what]
        if key not in names:
            if len(names) >= MAX_KINDS or self._budget.counted <= 0:
                key = "others"
            else:
                self._budget.counted -= 1
        names[key] += 1

    def side(self) -> Side:
        """Return the counts."""
        n, trips = self._n, self._by["count", "round_trips"]
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
            # QUIC, DTLS and EAP need no round trip of TCP.
            mean_with_tcp=None if mean is None else mean + n["over_tcp"] / trips.total(),
            expected_round_trips=n["expected"] / n["with_expected"] if n["with_expected"] else None,
            split_paths=n["split_paths"],
            milliseconds=self._spreads("ms"),
            handshakes=self._spreads("kind"),
            in_round_trips=self._spreads("rt"),
            layers=self._spreads("layer"),
            aead=n["aead"],
            forward_secret=n["forward_secret"],
            post_quantum=self._post_quantum.result(),
            exposure=self._exposure.result(),
            keyed=self._keyed.result(),
            client_bytes=self._values["bytes", "client"].spread(),
            server_bytes=self._values["bytes", "server"].spread(),
            client_message_bytes=self._means("client"),
            server_message_bytes=self._means("server"),
            **{name: _ordered(self._by["count", name]) for name in _COUNTED},
        )

    def _means(self, side: str) -> dict[str, float]:
        many, sizes = self._by["messages", side], self._by["sizes", side]
        return {kind: sizes[kind] / count for kind, count in many.items()}

    def _spreads(self, measure: str) -> dict[str, Spread]:
        spreads = ((name, sample.spread()) for (kind, name), sample in self._values.items() if kind == measure)
        return {name: spread for name, spread in spreads if spread is not None}


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """Sort by count, most frequent first."""
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


class _GroupTallies:
    """The tallies and pairs of one group."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.tallies: dict[str, Tally] = {}
        self.pairs = Pairs(budget)

    def add(self, c: Connection) -> None:
        version = version_group(c)
        if version not in self.tallies:
            self.tallies[version] = Tally(version, self.budget)
        self.tallies[version].add(c)
        if version in PAIRED:
            # The address without the port: a server may offer the versions on two ports.
            ends = f"{c.client.host}\0{c.server.host}\0{c.sni or ''}"
            self.pairs.add(c, ends, PAIRED.index(version))

    def group(self, key: str | None) -> Group:
        sides = tuple(self.tallies[version].side() for version in VERSIONS if version in self.tallies)
        return Group(key, sides, self.pairs.differences(), self.pairs.left_out)


class ComparisonBuilder:
    """Collects connections in bounded memory: one budget for the total, and one that all groups share."""

    def __init__(self, by: By | None = None) -> None:
        self._key = None if by is None else _KEYS[by]
        self._by = by
        self._views = Recognizer()
        self._other_views = 0
        self._total = _GroupTallies(Budget())
        self._budget = Budget()
        self._groups: dict[str, _GroupTallies] = {}
        self._names_bytes = 0
        self.left_out = 0
        """Connections that have no group, because there were too many groups."""

    def add(self, c: Connection) -> None:
        """Add a connection; one that another capture showed before counts once, except where captures are compared."""
        counted = self._views.add(c)
        if counted:
            self._other_views += 1
        else:
            self._total.add(c)
        if self._key is None or (counted and self._by != "capture"):
            return
        key = self._key(c)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS or self._names_bytes + getsizeof(key) > MAX_GROUP_BYTES:
                self.left_out += 1
                return
            self._names_bytes += getsizeof(key)
            group = self._groups[key] = _GroupTallies(self._budget)
        group.add(c)

    def groups(self) -> tuple[Group, ...]:
        """Return the comparison of all connections, then that of each group in order of first appearance."""
        total = replace(self._total.group(None), other_views=self._other_views, unrecognized=self._views.left_out)
        return total, *(tallies.group(key) for key, tallies in self._groups.items())


def compared(connections: Iterable[Connection], by: By | None = None) -> tuple[Group, ...]:
    """Compare connections: all of them, then those of each group."""
    builder = ComparisonBuilder(by)
    for connection in connections:
        builder.add(connection)
    return builder.groups()
