"""Connections of one version in, counts and times out."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tlsdissect.views.comparison import clocks
from tlsdissect.views.comparison.model import Exposure, PostQuantum, Side, Spread

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Certificate, Connection

_AEAD = re.compile(r"_(GCM|CCM|CCM_8|POLY1305)(_|$)")
_POST_QUANTUM = re.compile(r"MLKEM|Kyber", re.IGNORECASE)
_EMAIL = re.compile(r"emailAddress=", re.IGNORECASE)
MAX_NAMES = 100_000
"""Different names of a kind that are told apart; more only count as connections."""


def version_group(c: Connection) -> str:
    """Name the group of versions that a connection belongs to."""
    if c.version is None:
        return "unknown"
    if "1.3" in c.version:
        return "TLS 1.3"
    return "TLS 1.2" if c.version == "TLS 1.2" else "older"


class Tally:
    """What was seen of one version: counts, and 8 bytes for each time of each connection."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._n: Counter[str] = Counter()
        self._by: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._values: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._kept: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, c: Connection) -> None:
        """Count a connection."""
        self._n["connections"] += 1
        self._outcome(c)
        self._times(c)
        self._choices(c)
        self._post_quantum(c)
        self._exposure(c)
        self._bytes(c)

    def _outcome(self, c: Connection) -> None:
        kind = "established" if c.outcome == "established" else "failed" if c.failed_by else "incomplete"
        self._n[kind] += 1
        if kind == "failed":
            self._by["alerts"].update({one.description for one in c.alerts if one.description})
        self._count("resumption", c.resumption)
        self._n["hello_retries"] += bool(c.hello_retry)
        self._count("early_data", None if c.early_data == "none" else c.early_data)

    def _times(self, c: Connection) -> None:
        if c.round_trips is not None:
            self._count("round_trips", str(c.round_trips))
            expected = clocks.expected_round_trips(c)
            self._n["fewer_round_trips"] += expected is not None and c.round_trips < expected
        self._count("capture_points", clocks.capture_point(c))
        unit = c.timing.tcp_ms
        for name, took in clocks.seen(c):
            self._values[f"ms {name}"].append(took)
            if unit and name != "tcp":
                self._values[f"rt {name}"].append(took / unit)
        for name, took in clocks.layers(c):
            self._values[f"layer {name}"].append(took)

    def _choices(self, c: Connection) -> None:
        self._count("cipher_suites", c.cipher_suite)
        self._count("groups", c.group or (f"DH {c.dh_bits}" if c.dh_bits else None))
        self._count("signature_schemes", c.signature_scheme)
        if c.client_hello is not None:
            self._by["offered_suites"].update(set(c.client_hello.cipher_suites or ()))
        if c.cipher_suite is not None:
            self._n["aead"] += _AEAD.search(c.cipher_suite) is not None
            self._n["forward_secret"] += c.group is not None or "DHE_" in c.cipher_suite

    def _post_quantum(self, c: Connection) -> None:
        hello = c.client_hello
        shared = hello is not None and any(map(_POST_QUANTUM.search, hello.key_shares or ()))
        self._n["pq_shared"] += shared
        self._n["pq_negotiated"] += c.group is not None and _POST_QUANTUM.search(c.group) is not None
        self._n["pq_retries"] += bool(c.hello_retry) and c.group is not None and bool(_POST_QUANTUM.search(c.group))
        if hello is None:
            return
        self._n["pq_offered"] += any(map(_POST_QUANTUM.search, hello.groups or ()))
        kind = "pq" if shared else "classical"
        self._values[f"hello {kind}"].append(hello.bytes)
        self._values[f"segments {kind}"].append(hello.segments)

    def _exposure(self, c: Connection) -> None:
        self._n["sni"] += c.sni is not None
        self._n["alpn_offered"] += c.client_hello is not None and bool(c.client_hello.alpn)
        self._n["alpn_agreed"] += c.alpn is not None
        self._n["certificates_shown"] += bool(c.certificates or c.client_certificates)
        self._n["client_certificates"] += bool(c.client_certificates)
        for one in (*(c.certificates or ()), *(c.client_certificates or ())):
            self._certificate(one)

    def _certificate(self, one: Certificate) -> None:
        self._n["certificate_bytes"] += one.bytes
        self._keep("certificates", one.sha256)
        for name in (*(one.dns_names or ()), *(one.ip_addresses or ())):
            self._keep("names", name)
        if one.subject is not None and _EMAIL.search(one.subject):
            self._keep("emails", one.subject)

    def _bytes(self, c: Connection) -> None:
        for side, many in (("client", c.handshake_bytes.client), ("server", c.handshake_bytes.server)):
            if many is not None:
                self._values[f"bytes {side}"].append(many)
        for message in c.messages:
            self._n[f"messages {message.type}"] += 1
            self._n[f"size {message.type}"] += message.bytes

    def _count(self, what: str, key: str | None) -> None:
        if key is not None:
            self._by[what][key] += 1

    def _keep(self, what: str, name: str) -> None:
        if len(self._kept[what]) < MAX_NAMES:
            self._kept[what].add(name)

    def side(self) -> Side:
        """Sum up."""
        n, trips = self._n, self._by["round_trips"]
        counted = trips.total()
        names = ("cipher_suites", "offered_suites", "groups", "signature_schemes")
        return Side(
            version=self._version,
            connections=n["connections"],
            established=n["established"],
            failed=n["failed"],
            incomplete=n["incomplete"],
            hello_retries=n["hello_retries"],
            fewer_round_trips=n["fewer_round_trips"],
            mean_round_trips=sum(int(k) * v for k, v in trips.items()) / counted if counted else None,
            round_trips=dict(sorted(trips.items())),
            milliseconds=self._spreads("ms "),
            in_round_trips=self._spreads("rt "),
            layers=self._spreads("layer "),
            aead=n["aead"],
            forward_secret=n["forward_secret"],
            post_quantum=self._quantum(),
            exposure=self._exposed(),
            client_bytes=Spread.of(self._values["bytes client"]),
            server_bytes=Spread.of(self._values["bytes server"]),
            message_bytes={
                key.removeprefix("messages "): n[key.replace("messages", "size", 1)] / many
                for key, many in n.items()
                if key.startswith("messages ")
            },
            **{
                key: _ordered(self._by[key]) for key in ("alerts", "resumption", "early_data", "capture_points", *names)
            },
        )

    def _spreads(self, prefix: str) -> dict[str, Spread]:
        told = ((key, Spread.of(values)) for key, values in self._values.items() if key.startswith(prefix))
        return {key.removeprefix(prefix): spread for key, spread in told if spread is not None}

    def _quantum(self) -> PostQuantum:
        return PostQuantum(
            offered=self._n["pq_offered"],
            shared=self._n["pq_shared"],
            negotiated=self._n["pq_negotiated"],
            retries=self._n["pq_retries"],
            hello_bytes=Spread.of(self._values["hello pq"]),
            hello_bytes_without=Spread.of(self._values["hello classical"]),
            hello_segments=Spread.of(self._values["segments pq"]),
            hello_segments_without=Spread.of(self._values["segments classical"]),
        )

    def _exposed(self) -> Exposure:
        return Exposure(
            connections=self._n["certificates_shown"],
            distinct=len(self._kept["certificates"]),
            bytes=self._n["certificate_bytes"],
            names=len(self._kept["names"]),
            emails=len(self._kept["emails"]),
            client_certificates=self._n["client_certificates"],
            sni=self._n["sni"],
            alpn_offered=self._n["alpn_offered"],
            alpn_agreed=self._n["alpn_agreed"],
        )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
