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
    def of(cls, values: Sequence[float], n: int | None = None) -> Spread | None:
        """Sum up values, which may stand for `n`; None where there is nothing."""
        if not len(values):
            return None
        median, p90, p99 = np.percentile(np.asarray(values, dtype=float), (50, 90, 99)).tolist()
        return cls(len(values) if n is None else n, median, p90, p99)


class Exposure(Struct, frozen=True):
    """What anyone on the path could read."""

    connections: int
    """That showed certificates."""
    distinct: int
    """Certificates, each once."""
    bytes: int
    """Of certificates, as often as they were shown."""
    names: int
    """Different DNS names and IP addresses in certificates."""
    emails: int
    """Different e-mail addresses in certificates: of subjects and of subjectAltName."""
    client_certificates: int
    """Connections that showed the client's."""
    sni: int
    sni_names: int
    """Different ones."""
    alpn_offered: int
    alpn_agreed: int
    hidden_certificates: int
    """Connections whose server certified itself under encryption: full handshakes of TLS 1.3."""
    hidden_alpn: int
    """Connections that offered application protocols, and whose choice was encrypted."""
    readable: dict[str, Spread]
    """By side, bytes of the handshake messages of an established connection that were in the clear."""
    encrypted: dict[str, Spread]
    """By side, those of the records that were not."""
    cut: bool
    """Certificates and names were more than were told apart: they are at least so many."""


class PostQuantum(Struct, frozen=True):
    """Connections that offered, and took, a group that a quantum computer does not break; and what that weighs.

    `shared` are those whose ClientHello had such a key share, `retries` the HelloRetryRequests that came of it: the
    server asked for such a share, or the client had sent no other. Spreads are of hellos with such a share and without.
    """

    offered: int
    shared: int
    negotiated: int
    retries: int
    hello_bytes: Spread | None
    hello_bytes_without: Spread | None
    hello_segments: Spread | None
    hello_segments_without: Spread | None
    share_bytes: Spread | None
    """Of the client's key_share extension (RFC 8446 section 4.2.8)."""
    share_bytes_without: Spread | None
    server_hello_bytes: Spread | None
    """Where such a group was negotiated."""
    server_hello_bytes_without: Spread | None


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
    mean_with_tcp: float | None
    """With the one of TCP's own handshake."""
    expected_round_trips: float | None
    """Mean of what a handshake of its kind takes: 2 in full up to TLS 1.2 (RFC 5246 section 7.3), else 1."""
    against_expected: dict[str, int]
    """`as expected`, or why not: `false start`, `early data`: one fewer; `HelloRetryRequest`: one more."""
    capture_points: dict[str, int]
    """Near which end packets were captured, as the halves of the TCP handshake tell."""
    split_paths: int
    """Connections whose TCP may end nearer than their TLS: their unit, the TCP round trip, is then too short."""
    milliseconds: dict[str, Spread]
    """From the ClientHello on, as the client sees it: `server_hello`, `handshake`, `client_data`, `first_byte`,
    `first_record` (where tickets of TLS 1.3 look like data, either of them); `tcp` is TCP's own handshake."""
    in_round_trips: dict[str, Spread]
    """The same in units of the connection's own TCP round trip."""
    layers: dict[str, Spread]
    """Milliseconds of each layer on its own: `tcp`, `tcp_to_tls`, `tls`, `tls_to_data`, `data_to_first_byte`."""
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
    client_message_bytes: dict[str, float]
    """Mean bytes of each of the client's messages, over those that were in the clear; `encrypted`: of records."""
    server_message_bytes: dict[str, float]


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
    """None: too few to say anything."""
    unpaired: int = 0
    """Connections that were left out of the pairs, for there were too many."""
