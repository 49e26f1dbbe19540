"""The result of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.model.connection import Connection

QUIC, UNKNOWN = "QUIC", "unknown"
VERSIONS = ("older", "TLS 1.2", "TLS 1.3", QUIC, UNKNOWN)
"""Version groups: SSL 2.0 to TLS 1.1; TLS 1.2; TLS 1.3 and its drafts; TLS 1.3 in QUIC; no version negotiated, or none
captured."""


PAIRED = ("TLS 1.2", "TLS 1.3")
"""Version groups between which differences are computed."""


def version_group(c: Connection) -> str:
    """Return the version group of a connection (`VERSIONS`)."""
    if c.version is None:
        return UNKNOWN
    if c.is_tls13:
        return QUIC if c.transport == "quic" else "TLS 1.3"
    return "TLS 1.2" if c.version.endswith("TLS 1.2") else "older"


class Spread(Struct, frozen=True):
    """Number of values, median, 90th and 99th percentile (linear interpolation)."""

    n: int
    median: float
    p90: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float], n: int | None = None) -> Spread | None:
        """Compute the percentiles of values, which may be a sample of `n`; None without values."""
        if not len(values):
            return None
        median, p90, p99 = np.percentile(np.asarray(values, dtype=float), (50, 90, 99)).tolist()
        return cls(len(values) if n is None else n, median, p90, p99)


class Exposure(Struct, frozen=True):
    """What anyone on the path could read."""

    connections: int
    """Connections with certificates in the clear."""
    distinct: int
    """Distinct certificates."""
    bytes: int
    """Bytes of all certificates, counted each time they were sent."""
    names: int
    """Distinct DNS names and IP addresses in certificates."""
    emails: int
    """Distinct e-mail addresses in certificates: of subject and subjectAltName."""
    client_certificates: int
    """Connections with a client certificate in the clear."""
    sni: int
    """Connections with a server name in the clear."""
    sni_names: int
    """Distinct server names."""
    alpn_offered: int
    alpn_agreed: int
    hidden_certificates: int
    """Connections with encrypted certificates: full handshakes of TLS 1.3, established or refused for a certificate.
    Of other failed ones, it is not seen whether the server's certificate was sent."""
    hidden_alpn: int
    """Connections that offered ALPN and whose negotiated protocol was encrypted."""
    readable: dict[str, Spread]
    """By side, bytes of handshake messages in the clear, per established connection."""
    encrypted: dict[str, Spread]
    """By side, bytes of encrypted records of the handshake, per established connection."""
    cut: bool
    """Whether there were more certificates or names than are counted, so that the counts are minimums."""


class Keyed(Struct, frozen=True):
    """What keys showed besides, of connections whose secrets were given."""

    connections: int
    """Connections in which keys opened something."""
    failed: int
    """Connections that only keys show to have failed."""
    certificates: int
    """Connections with certificates that only keys show."""
    client_certificates: int
    requested: int
    """Connections in which the server asked for a client certificate."""
    alpn_agreed: int
    tickets: int
    """Connections with tickets that only keys show."""
    early_data: dict[str, int]
    """Number of connections whose early data was accepted, and rejected, where only keys show which."""
    round_trips: dict[str, int]
    """Number of handshakes for each number of round trips, where only keys show that number."""
    distinct: int
    """Distinct certificates."""
    bytes: int
    """Bytes of all certificates, counted each time they were sent."""
    names: int
    """Distinct DNS names and IP addresses in certificates."""


class PostQuantum(Struct, frozen=True):
    """Connections that offered or negotiated a post-quantum group, and the sizes of their hellos.

    `shared` counts connections whose ClientHello had a post-quantum key share, `retries` the HelloRetryRequests caused
    by it: the server asked for a post-quantum share, or the client had sent no other. The percentiles are of hellos
    with such a share, and without.
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
    """Size of the client's key_share extension (RFC 8446 section 4.2.8)."""
    share_bytes_without: Spread | None
    server_hello_bytes: Spread | None
    """Of connections that negotiated a post-quantum group."""
    server_hello_bytes_without: Spread | None


class Side(Struct, frozen=True):
    """All connections of one version group. A dict of integers counts connections by its key."""

    version: str
    connections: int
    established: int
    failed: int
    """Connections that one side ended before the handshake was complete."""
    incomplete: int
    """Connections whose end the capture does not show."""
    alerts: dict[str, int]
    """Alerts of failed connections."""
    resumption: dict[str, int]
    hello_retries: int
    early_data: dict[str, int]
    round_trips: dict[str, int]
    mean_round_trips: float | None
    mean_with_tcp: float | None
    """Including the round trip of the TCP handshake."""
    expected_round_trips: float | None
    """Mean of the expected round trips: 2 for a full handshake up to TLS 1.2 (RFC 5246 section 7.3), otherwise 1."""
    against_expected: dict[str, int]
    """`as expected`, or the reason: `false start` and `early data` save one, `HelloRetryRequest` costs one."""
    capture_points: dict[str, int]
    """Near which end the packets were captured, judged by the halves of the TCP handshake."""
    split_paths: int
    """Connections whose TCP may end at a proxy before the TLS server: the TCP round trip is then too short a unit."""
    milliseconds: dict[str, Spread]
    """Since the ClientHello, as the client saw it: `server_hello`, `handshake`, `client_data`, `first_byte`,
    `first_record` (in TLS 1.3 application data or a ticket, which look alike); `tcp` is the TCP handshake.
    `to_first_data`: from the client's SYN, or ClientHello in QUIC, to the server's first data."""
    handshakes: dict[str, Spread]
    """Milliseconds of established handshakes, as the client saw them: `full`, `resumed`, or `retried` after a
    HelloRetryRequest or HelloVerifyRequest."""
    in_round_trips: dict[str, Spread]
    """The same in units of the connection's own TCP round trip."""
    layers: dict[str, Spread]
    """Milliseconds of each layer: `tcp`, `tcp_to_tls`, `tls`, `tls_to_data`, `data_to_first_byte`."""
    cipher_suites: dict[str, int]
    offered_suites: dict[str, int]
    groups: dict[str, int]
    signature_schemes: dict[str, int]
    aead: int
    forward_secret: int
    post_quantum: PostQuantum
    exposure: Exposure
    keyed: Keyed
    client_bytes: Spread | None
    server_bytes: Spread | None
    client_message_bytes: dict[str, float]
    """Mean bytes of each type of message that the client sent in the clear; `encrypted`: of encrypted records."""
    server_message_bytes: dict[str, float]


class Difference(Struct, frozen=True):
    """One side minus the other, TLS 1.2 minus TLS 1.3 or before minus after.

    Both are numbers of the same pairs of client and server: of times, the median over the pairs of each pair's median;
    of round trips, the mean of each pair's mean. The interval is a 95 % bootstrap interval of their difference.
    """

    kind: str
    """`full`, `resumed`, or `retried` after a HelloRetryRequest or HelloVerifyRequest."""
    measure: str
    """Of the handshake: `round_trips`, `milliseconds` or `in_round_trips`."""
    pairs: int
    connections: int
    """Of both sides, in these pairs."""
    old: float
    """Of the first side, TLS 1.2 or before: the median of times, the mean of round trips."""
    new: float
    """The same of the second side."""
    difference: float
    """`old` minus `new`."""
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


class Group(Struct, frozen=True):
    """The comparison of all connections, or of those of one server, name, client or capture."""

    key: str | None
    sides: tuple[Side, ...]
    differences: tuple[Difference, ...] | None
    """None if there are too few connections."""
    unpaired: int = 0
    """Connections left out of the pairs, because there were too many."""
    other_views: int = 0
    """Connections that are not counted, because an earlier capture shows the same one; 0 but for the whole."""
    unrecognized: int = 0
    """Connections of which other views were not looked for, because there were too many; 0 but for the whole."""
