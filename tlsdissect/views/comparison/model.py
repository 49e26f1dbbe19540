"""What a comparison says: frozen values, made from tallies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSIONS = ("older", "TLS 1.2", "TLS 1.3", "unknown")
"""SSL 2.0 to TLS 1.1; TLS 1.2; TLS 1.3 and its drafts; no version was agreed on, or seen."""


class Spread(Struct, frozen=True):
    """How values are spread: how many there are, and below which half, 90 % and 99 % of them lie (linear between)."""

    n: int
    median: float
    p90: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Sum up; None where there is nothing."""
        if not len(values):
            return None
        median, p90, p99 = np.percentile(np.asarray(values, dtype=float), (50, 90, 99)).tolist()
        return cls(len(values), median, p90, p99)


class Exposure(Struct, frozen=True):
    """What anyone on the path could read."""

    connections: int
    """That showed certificates."""
    distinct: int
    """Certificates, each once."""
    bytes: int
    names: int
    """Different DNS names and IP addresses in certificates."""
    emails: int
    client_certificates: int
    """Connections that showed the client's."""
    sni: int
    alpn_offered: int
    alpn_agreed: int


class PostQuantum(Struct, frozen=True):
    """Connections that offered, and took, a group that a quantum computer does not break; and what a hello weighs.

    A client that sent a ClientHello with such a key share counts in `shared`; `retries` are HelloRetryRequests to it.
    """

    offered: int
    shared: int
    negotiated: int
    retries: int
    hello_bytes: Spread | None
    hello_bytes_without: Spread | None
    hello_segments: Spread | None
    hello_segments_without: Spread | None


class Side(Struct, frozen=True):
    """All connections of one version; each dict counts connections by what its key says."""

    version: str
    connections: int
    established: int
    failed: int
    """That one side ended before the handshake was over."""
    incomplete: int
    """Of which the capture does not show the end."""
    alerts: dict[str, int]
    """Of failed connections."""
    resumption: dict[str, int]
    hello_retries: int
    early_data: dict[str, int]
    round_trips: dict[str, int]
    mean_round_trips: float | None
    fewer_round_trips: int
    """Than RFC 5246 section 7.3 and RFC 8446 section 2 have for this kind of handshake: false start, early data."""
    capture_points: dict[str, int]
    """Near which end packets were captured, as the halves of the TCP handshake tell."""
    milliseconds: dict[str, Spread]
    """`tcp`, `server_hello`, `handshake`, `first_byte`: from the ClientHello on, as the client sees it."""
    in_round_trips: dict[str, Spread]
    """The same in units of the connection's own TCP round trip."""
    layers: dict[str, Spread]
    """Milliseconds of each layer on its own: `tcp`, `tls`, `tls_to_data`, `data_to_first_byte`."""
    cipher_suites: dict[str, int]
    offered_suites: dict[str, int]
    groups: dict[str, int]
    signature_schemes: dict[str, int]
    aead: int
    forward_secret: int
    post_quantum: PostQuantum
    exposure: Exposure
    client_bytes: Spread | None
    server_bytes: Spread | None
    message_bytes: dict[str, float]
    """Mean bytes of each handshake message, over the connections that had it in the clear, or as records."""


class Difference(Struct, frozen=True):
    """TLS 1.2 less TLS 1.3, as the mean over pairs of the same client and server, with a 95 % interval (bootstrap)."""

    kind: str
    """`full` or `resumed`: what is alike is compared. A HelloRetryRequest is part of what a full handshake costs."""
    measure: str
    """`round_trips`, `milliseconds` or `in_round_trips`, of the handshake."""
    pairs: int
    connections: int
    """Of both versions, in these pairs."""
    difference: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


class Group(Struct, frozen=True):
    """What was compared: everything, or the connections of one server, name, client or capture."""

    key: str | None
    sides: tuple[Side, ...]
    differences: tuple[Difference, ...] | None
    """None: too few pairs to say anything."""
