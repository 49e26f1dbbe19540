"""The facts of a TLS connection, as immutable structs with the names of the JSON output.

`None` means absent or not visible; an empty tuple is a list that is visible and empty. Times are in RFC 3339 and UTC
with the digits of the capture's clock, durations in milliseconds, code points by their IANA names, bytes in lower-case
hexadecimal. Frames are numbered from 1 as in Wireshark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs, to_builtins

from tlsdissect.x509.facts import Certificate as Certificate  # noqa: PLC0414, TC001  # a part of a connection
from tlsdissect.x509.facts import OcspStaple as OcspStaple  # noqa: PLC0414, TC001  # a part of a connection

if TYPE_CHECKING:
    from collections.abc import Iterator

Side = Literal["client", "server"]
Transport = Literal["tcp", "quic", "udp", "eap"]
"""What carries TLS: "udp" is DTLS."""
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
"""In the order of the output."""
OUTCOMES = ("established", "one_sided", "alert", "no_answer", "reset", "closed", "incomplete")
Outcome = Annotated[str, Meta(extra_json_schema={"enum": [*OUTCOMES]})]
Resumption = Annotated[str, Meta(extra_json_schema={"enum": ["none", "session_id", "ticket", "psk"]})]
EarlyData = Annotated[str, Meta(extra_json_schema={"enum": ["none", "offered", "accepted", "rejected"]})]
Ech = Annotated[str, Meta(extra_json_schema={"enum": ["none", "grease_or_offered"]})]
Version = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": r"^(GREASE|0x[0-9a-f]{4}|(SSL|TLS|DTLS) [0-9]\.[0-9].*)$",
            "examples": ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0", "SSL 3.0", "DTLS 1.2", "TLS 1.3 (draft 23)"],
        }
    ),
]
OLD_VERSIONS = frozenset({"SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "DTLS 1.0"})
"""What RFC 8996 and its predecessors forbid."""
FAILURES = frozenset({"alert", "no_answer", "reset", "closed"})
"""The outcomes of a handshake that was seen to fail."""
LOOPBACK_MS = 1.0
"""Milliseconds below which a round trip of TCP measures the programs, and not the path."""
_NEAR = 0.1
"""Largest share of the round trip between the capture point and a side that is near."""
CRYPTO_ERROR = "CRYPTO_ERROR"
"""The code of a CONNECTION_CLOSE that stands for an alert."""
Severity = Literal["info", "low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""In ascending order."""


def as_json(value: Any) -> Any:
    """Return dicts for structs and lists for tuples, which is what JSON knows."""
    return _with_lists(to_builtins(value))


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_lists(one) for name, one in value.items()}
    return [_with_lists(one) for one in value] if isinstance(value, list | tuple) else value


class Endpoint(Struct, frozen=True, gc=False):
    """One end of a connection; EAP over a LAN has neither IP addresses nor ports."""

    ip: str | None
    """Its address."""
    port: int | None
    """Its port."""

    @property
    def host(self) -> str:
        """The IP address, or else the MAC address."""
        return "no address" if self.ip is None else self.ip

    def __str__(self) -> str:
        """Return `ip:port` or `[ipv6]:port` (RFC 3986 section 3.2.2); without an IP address, the host alone."""
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Station(Endpoint, frozen=True, gc=False):
    """One end of EAP over a LAN."""

    mac: str
    """Its MAC address."""

    @property
    def host(self) -> str:
        """The MAC address."""
        return self.mac


class Origin(Struct, frozen=True, gc=False):
    """Another connection of the same run and over the same transport."""

    source: str
    """Its capture, as it was named."""
    stream: int
    """Its number, as `stream` has it."""


def stream_name(transport: Transport, stream: int) -> str:
    """Return the number of a TCP stream, `udp:` and the number of a UDP stream, or `eap:` and that of an EAP one."""
    return str(stream) if transport == "tcp" else f"{'eap' if transport == 'eap' else 'udp'}:{stream}"


class Closure(Struct, frozen=True, gc=False):
    """How each side ended: "close_notify", "inferred_alert", "fin", "rst", or None."""

    client: str | None
    """How the client ended."""
    server: str | None
    """How the server ended."""


class Timing(Struct, frozen=True, gc=False):
    """Durations in milliseconds at the capture point; None if an end is missing, untimed, or out of order."""

    # They are measured in handshake/facts/timing.py.
    tcp_ms: float | None = None
    """SYN to the ACK of the SYN-ACK: the passive round trip of RFC 8912 section 10."""
    syn_synack_ms: float | None = None
    """SYN to SYN-ACK."""
    synack_ack_ms: float | None = None
    """SYN-ACK to its ACK."""
    ack_client_hello_ms: float | None = None
    """ACK of the SYN-ACK to the first ClientHello, including a protocol before TLS."""
    server_hello_ms: float | None = None
    """First ClientHello to ServerHello."""
    handshake_ms: float | None = None
    """First ClientHello to the end of the client's handshake."""
    client_data_ms: float | None = None
    """First ClientHello to the first application data of the client."""
    server_data_ms: float | None = None
    """First ClientHello to the first application data of the server, before TLS 1.3."""
    server_record_ms: float | None = None
    """TLS 1.3: first ClientHello to the server's first record after the client's flight, a ticket or data."""
    split_path: bool | None = None
    """Whether TCP seems to end nearer than TLS: server_hello_ms is at least 5 * tcp_ms and tcp_ms + 10."""

    @property
    def path_ms(self) -> float | None:
        """The round-trip time of the TCP handshake; None if it is unknown or shorter than LOOPBACK_MS."""
        return None if self.tcp_ms is None or self.tcp_ms < LOOPBACK_MS else self.tcp_ms

    @property
    def captured_near(self) -> Side | None:
        """The side near which the packets were captured, judged by TCP's handshake; None if that is not known."""
        path, there, back = self.path_ms, self.syn_synack_ms, self.synack_ack_ms
        if path is None or there is None or back is None:
            return None
        return "client" if back <= _NEAR * path else "server" if there <= _NEAR * path else None


class HandshakeBytes(Struct, frozen=True, gc=False):
    """Bytes of each side's records, headers included, to the end of its handshake."""

    client: int | None
    """Those of the client; None if not visible."""
    server: int | None
    """Those of the server; None if not visible."""


class HelloRetryRequest(Struct, frozen=True, gc=False):
    """A server's request for another ClientHello (RFC 8446 section 4.1.4)."""

    frame: int
    """The frame that completed the message."""
    group: str | None
    """The group for which it asks a key share; None if it asks for none."""
    cookie_bytes: int | None
    """The length of its cookie; None without one."""


class Extension(Struct, frozen=True, gc=False):
    """One extension of a hello, in the order of the wire (RFC 8446 section 4.2).

    A known extension has a subclass with its decoded fields.
    """

    type: str
    """Its name, such as server_name."""
    code: int
    """Its code point."""
    bytes: int
    """The length of its data."""


class ClientHello(Struct, frozen=True, gc=False):
    """The first ClientHello (RFC 8446 section 4.1.2; RFC 5246 section 7.4.1.2)."""

    frame: int
    """The frame that completed it."""
    bytes: int
    """Its length."""
    segments: int
    """TCP segments, DTLS fragments or QUIC datagrams in which it arrived."""
    version: str
    """Its legacy_version, which is not the offered version if it has supported_versions."""
    random: str | None
    """32 bytes that the client chose."""
    session_id: str | None
    """The session to resume, or what the client put in its place; empty if there is none."""
    cipher_suites: tuple[str, ...] | None
    """The cipher suites offered, in the client's order, GREASE and signaling values included."""
    compression_methods: tuple[str, ...] | None
    """The compression methods offered."""
    extensions: tuple[Extension, ...] | None
    """None if bytes before them are missing or malformed."""
    supported_versions: tuple[Version, ...] | None = None
    """The versions in the extension of that name; None without it."""
    groups: tuple[str, ...] | None = None
    """The groups offered in supported_groups; None without it."""
    key_shares: tuple[str, ...] | None = None
    """The groups for which the client sent a key share; None without key_share."""
    signature_schemes: tuple[str, ...] | None = None
    """The schemes offered in signature_algorithms; None without it."""
    alpn: tuple[str, ...] | None = None
    """The protocols offered above TLS; None without that extension."""
    psk_modes: tuple[str, ...] | None = None
    """The modes of psk_key_exchange_modes; None without it."""
    ec_point_formats: tuple[str, ...] | None = None
    """The formats of points on elliptic curves; None without that extension."""

    def __repr__(self) -> str:
        suites = "-" if self.cipher_suites is None else len(self.cipher_suites)
        extensions = "-" if self.extensions is None else len(self.extensions)
        return f"<ClientHello in frame {self.frame}: {suites} cipher suites, {extensions} extensions>"

    @property
    def offered_suites(self) -> tuple[str, ...]:
        """The cipher suites that were offered, in order; none if the list was not seen."""
        return tuple(filter(is_offer, self.cipher_suites or ()))

    @property
    def falls_back(self) -> bool:
        """Whether the client says that an earlier attempt with a better offer failed (RFC 7507)."""
        return "TLS_FALLBACK_SCSV" in (self.cipher_suites or ())


def is_offer(name: str) -> bool:
    """Whether a name in a list of a ClientHello offers something.

    GREASE (RFC 8701) and signaling cipher suite values (RFC 5746 section 3.3, RFC 7507) do not.
    """
    return name != "GREASE" and not name.endswith("_SCSV")


class ServerHello(Struct, frozen=True, gc=False):
    """The final ServerHello (RFC 8446 section 4.1.3; RFC 5246 section 7.4.1.3)."""

    frame: int
    """The frame that completed it."""
    bytes: int
    """Its length."""
    version: str
    """Its legacy_version, which is not the negotiated version if it has supported_versions."""
    random: str | None
    """32 bytes that the server chose."""
    session_id: str | None
    """The session's identifier; in TLS 1.3 that of the ClientHello."""
    cipher_suite: str | None
    """The cipher suite selected."""
    compression_method: str | None
    """The compression method selected."""
    extensions: tuple[Extension, ...] | None
    """None if bytes before them are missing or malformed."""


class CertificateRequest(Struct, frozen=True, gc=False):
    """The server's CertificateRequest (RFC 5246 section 7.4.4; RFC 8446 section 4.3.2)."""

    types: tuple[str, ...] | None
    """None in TLS 1.3, which has none."""
    signature_schemes: tuple[str, ...] | None
    """The schemes that the server accepts; None before TLS 1.2."""
    authorities: tuple[str, ...]
    """The names of the authorities that the server accepts."""


class SessionTicket(Struct, frozen=True, gc=False):
    """The first NewSessionTicket in the clear (RFC 5077 section 3.3)."""

    lifetime_s: int
    """Seconds for which the client may use it; 0 if the server does not say."""
    bytes: int
    """Its length."""


class Alert(Struct, frozen=True, gc=False):
    """An alert (RFC 5246 section 7.2); level and description are None if it is encrypted."""

    sender: Side = field(name="from")
    """The side that sent it."""
    level: str | None
    """warning or fatal; None if it is encrypted."""
    description: str | None
    """Such as unknown_ca; None if it is encrypted."""
    frame: int
    """The frame that completed it."""


class Message(Struct, frozen=True, gc=False):
    """One handshake message, ChangeCipherSpec or alert.

    `frame` is the frame that completed it, and `ms` the time since the first ClientHello, None as in Timing.
    """

    sender: Side = field(name="from")
    """The side that sent it."""
    type: str
    """Such as client_hello, change_cipher_spec, alert, or encrypted."""
    bytes: int
    """Its length."""
    frame: int
    """The frame that completed it."""
    ms: float | None
    """Milliseconds since the first ClientHello."""


class Heartbeat(Struct, frozen=True, gc=False):
    """A heartbeat (RFC 6520 section 4); type and payload_bytes are None if it is encrypted."""

    sender: Side = field(name="from")
    """The side that sent it."""
    type: str | None
    """heartbeat_request or heartbeat_response."""
    bytes: int
    """The length of the record."""
    payload_bytes: int | None
    """Its payload_length field."""
    frame: int
    """The frame that completed it."""


class DataCopy(Struct, frozen=True, gc=False):
    """One version of bytes that were sent more than once with different values."""

    frame: int | None
    """The frame that it is in; the last one if it came in fragments, and None if it is not known."""
    bytes: str
    """Its bytes from the first to the last that differ, in hexadecimal; of more than 64, the first 64."""
    used: bool | None
    """Whether the facts are read from it; None if that is not known."""
    hop_limit: int | None
    """The TTL or Hop Limit of its IP packet at the capture point."""


class Problem(Struct, frozen=True, gc=False):
    """A reason why a fact may be missing, inferred or incomplete."""

    code: str
    """Its stable code, such as gap."""
    detail: str
    """What was found, in words."""
    frame: int | None = None
    """The frame in which it was found."""
    offset: int | None = None
    """The offset in the byte stream of the side, or in a damaged capture."""
    sender: Side | None = field(name="from", default=None)
    """The side whose bytes it concerns; None if it is not one side's."""
    copies: tuple[DataCopy, ...] | None = None
    """The copies that differ, if the problem is conflicting_data."""
    facts: tuple[str, ...] | None = None
    """The keys of the facts that are inferred, if the problem is inferred: outcome, timing.handshake_ms."""


class HiddenTicket(Struct, frozen=True, gc=False):
    """A NewSessionTicket that was sent encrypted (RFC 8446 section 4.6.1)."""

    lifetime_s: int
    """Seconds for which the client may use it."""
    bytes: int
    """Its length."""
    identity: str
    """The ticket, which is the identity that a client offers to resume the session."""
    frame: int
    """The frame that completed it."""


class QuicClose(Struct, frozen=True, gc=False):
    """A CONNECTION_CLOSE of QUIC (RFC 9000 section 19.19)."""

    sender: Side = field(name="from")
    """The side that sent it."""
    code: str
    """The name of its error code; CRYPTO_ERROR stands for an alert."""
    reason: str
    """The text that the sender gave."""
    frame: int
    """The frame that contains it."""


class Hidden(Struct, frozen=True, kw_only=True, gc=False):
    """Facts that encryption hides, opened with keys; None if visible without keys, or not visible at all."""

    certificates: tuple[Certificate, ...] | None = None
    """The server's certificates."""
    client_certificate_requested: bool | None = None
    """Whether the server asked for a client certificate."""
    certificate_request: CertificateRequest | None = None
    """The server's CertificateRequest."""
    client_certificates: tuple[Certificate, ...] | None = None
    """The client's certificates."""
    ocsp_staple: OcspStaple | None = None
    """The OCSP response for the server's certificate."""
    alpn: str | None = None
    """The protocol that the server selected."""
    alerts: tuple[Alert, ...] | None = None
    """Alerts that were sent encrypted."""
    session_tickets: tuple[HiddenTicket, ...] | None = None
    """Tickets that were sent encrypted."""
    messages: tuple[Message, ...] | None = None
    """Handshake messages and alerts that were sent encrypted."""
    encrypted_extensions: tuple[Extension, ...] | None = None
    """The extensions of EncryptedExtensions, in order."""
    early_data: str | None = None
    """What the server said of early data; None if that is visible without keys."""
    round_trips: int | None = None
    """As `round_trips` of the connection."""
    quic_close: QuicClose | None = None
    """The first CONNECTION_CLOSE in a Handshake packet. None if there is none, or if `quic.close` shows one."""
    ech: str | None = None
    """Whether Encrypted Client Hello was accepted or rejected."""
    inner_sni: str | None = None
    """The host name in the inner ClientHello."""
    inner_alpn: tuple[str, ...] | None = None
    """The protocols that the inner ClientHello offers."""
    resumes: Origin | None = None
    """The earlier connection that sent the ticket with which this one resumes."""
    problems: tuple[Problem, ...] = ()
    """What kept something from being opened or decoded."""


class Keys(Struct, frozen=True, gc=False):
    """Where the secrets came from that opened something, and their labels."""

    origin: Literal["keylog", "capture"] = field(name="from")
    """A key log, or secrets inside the capture."""
    labels: tuple[str, ...]
    """Labels of a key log, such as CLIENT_HANDSHAKE_TRAFFIC_SECRET."""


class Counts(Struct, frozen=True, gc=False):
    """A number of each side."""

    client: int
    """That of the client."""
    server: int
    """That of the server."""


class Quic(Struct, frozen=True, gc=False):
    """What only QUIC has; connection IDs are in hexadecimal."""

    version: str
    """That of the server's first Initial packet (RFC 9368), else that of the client's."""
    version_negotiation: bool | None
    """Whether the server sent a Version Negotiation packet; None if that is not visible."""
    retry: bool | None
    """None if the first Initial that was captured may have followed a Retry."""
    original_destination_connection_id: str
    """That of the client's first Initial, from which the keys of Initial packets are derived."""
    client_connection_id: str | None
    """The connection ID that the client chose; None if it is not known."""
    server_connection_id: str | None
    """The connection ID that the server chose; None if it is not known."""
    initial_packets: Counts
    """Initial packets that could be opened."""
    transport_parameters: dict[str, object] | None
    """The client's, by name."""
    close: QuicClose | None
    """The first CONNECTION_CLOSE in an Initial packet."""


class ConnectionIds(Struct, frozen=True, gc=False):
    """The connection ID that each side chose, in hexadecimal (RFC 9146); None without one."""

    client: str | None
    """The client's choice, in records sent to it."""
    server: str | None
    """The server's choice, in records sent to it."""


class Dtls(Struct, frozen=True, gc=False):
    """What only DTLS has."""

    cookie_bytes: int | None
    """Bytes of the cookie of a HelloVerifyRequest or HelloRetryRequest; None without one."""
    connection_ids: ConnectionIds
    """The connection IDs that were negotiated."""
    fragments: Counts
    """Fragments of messages that were sent in several, repeated ones not counted."""
    retransmitted_messages: Counts
    """How often the beginning of a message or a Finished was sent again."""


class Eap(Struct, frozen=True, gc=False):
    """What only TLS inside EAP has."""

    method: str
    """The EAP method, such as EAP-TLS or PEAP."""
    carrier: Literal["eapol", "radius"]
    """What carries EAP: EAP over a LAN, or RADIUS."""
    supplicant: str | None
    """Its MAC address, or the Calling-Station-Id."""
    authenticator: str | None
    """Its MAC address, or the Called-Station-Id."""
    identity: str | None
    """The outer identity, which EAP sends unencrypted."""
    result: Literal["success", "failure"] | None
    """The result that the authentication server sent at the end; None if that is not visible."""
    result_frame: int | None
    """The frame of the result."""


def at_least(severity: str) -> frozenset[str]:
    """Return this severity and all higher ones."""
    return frozenset(SEVERITIES[SEVERITIES.index(severity) :])


class Finding(Struct, frozen=True, gc=False):
    """A verdict, with its evidence."""

    code: str
    """Its stable code, such as expired."""
    severity: Severity
    """info, low, medium or high."""
    detail: str
    """A sentence."""
    frame: int | None
    """The frame that it is based on."""
    certificate: str | None
    """The SHA-256 of the certificate that it is about."""
    rule: str
    """What it follows from, such as a section of an RFC."""
    with_keys: bool = False
    """Whether it rests on what only keys show."""


class CapturePart(Struct, frozen=True, gc=False):
    """One of several captures that were read as one."""

    source: str
    """The capture, as it was named."""
    frames_before: int
    """Frames of the captures before it: the number of a frame in this capture is less by as many."""


class Connection(Struct, frozen=True, gc=False):
    """The facts of one TLS connection."""

    source: str
    """The capture, as it was named."""
    stream: int
    """Wireshark's `tcp.stream` or `udp.stream` in the capture, or the number of the EAP conversation."""
    transport: Transport
    """What carries TLS: tcp, quic, udp (DTLS) or eap."""
    client: Endpoint
    """The sender of the ClientHello."""
    server: Endpoint
    """The other end."""
    start: str | None
    """The time of the first packet; None if the capture has no times."""
    end: str | None
    """The time of the last packet."""
    first_frame: int
    """The frame of its first packet."""
    packets: int
    """Packets in both directions."""
    bytes: int
    """Bytes of TCP or UDP payload in both directions."""
    open: bool
    """Whether the connection was not over when it was printed."""
    upgrade: str | None
    """The protocol on the stream before TLS, such as smtp or http-connect."""
    upgrade_target: str | None
    """The target that a proxy was asked for."""
    complete: bool
    """Whether both sides were seen to finish the handshake."""
    outcome: Outcome
    """How the handshake ended: established, one_sided, alert, no_answer, reset, closed or incomplete."""
    failed_by: Side | None
    """The side that sent the alert or ended TCP."""
    closure: Closure
    """How each side ended the connection."""
    version: Version | None
    """The negotiated version, such as TLS 1.3."""
    cipher_suite: str | None
    """The server's choice."""
    group: str | None
    """The group of the key exchange."""
    dh_bits: int | None
    """Bits of the prime of a finite-field Diffie-Hellman key exchange before TLS 1.3."""
    signature_scheme: str | None
    """The scheme of the server's signature over its key exchange, before TLS 1.3."""
    extended_master_secret: bool | None
    """Whether RFC 7627 was negotiated; None in TLS 1.3."""
    secure_renegotiation: bool | None
    """Whether RFC 5746 was negotiated; None in TLS 1.3."""
    sni: str | None
    """The host name that the client requested."""
    alpn: str | None
    """The protocol that the server selected, if it is not encrypted."""
    resumption: Resumption | None
    """What the server accepted to resume a session: none, session_id, ticket or psk."""
    resumes: Origin | None
    """The earlier connection whose session this one resumes: it set up the session, or sent the ticket."""
    same_ticket_as: Origin | None
    """The first connection that offered one of the same TLS 1.3 identities."""
    retry_of: Origin | None
    """The failed connection that this one retries with a lower version, TLS_FALLBACK_SCSV (RFC 7507) or a smaller
    offer. Both have the same client address and server (address and port, or SNI), and this one began at most 10 s
    after the last packet of the failed one. With a problem "inferred" unless the client sent TLS_FALLBACK_SCSV."""
    early_data: EarlyData | None
    """none, offered, accepted or rejected."""
    hello_retry: bool | None
    """Whether the server asked for another ClientHello."""
    hello_retry_request: HelloRetryRequest | None
    """That request; None if there was none."""
    ech: Ech | None
    """none or grease_or_offered."""
    round_trips: int | None
    """Server flights that the client waited for until it could send data."""
    timing: Timing
    """Durations at the capture point."""
    handshake_bytes: HandshakeBytes
    """What the handshake took of each direction."""
    client_hello: ClientHello | None
    """The first ClientHello; None if it is not visible."""
    server_hello: ServerHello | None
    """The ServerHello; None if there was none, or it is not visible."""
    certificates: tuple[Certificate, ...] | None
    """The server's certificates, in the order in which they were sent."""
    client_certificate_requested: bool | None
    """Whether the server asked for a client certificate."""
    certificate_request: CertificateRequest | None
    """The server's CertificateRequest, if it is not encrypted."""
    client_certificates: tuple[Certificate, ...] | None
    """The client's certificates."""
    ocsp_staple: OcspStaple | None
    """The OCSP response that the server stapled, if it is not encrypted."""
    session_ticket: SessionTicket | None
    """The first ticket, if it is not encrypted."""
    alerts: tuple[Alert, ...]
    """Alerts of both sides."""
    messages: tuple[Message, ...]
    """Handshake messages, ChangeCipherSpec and alerts, in the order of the wire."""
    renegotiations: int
    """Handshakes after the first one."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """Heartbeats of both sides, in order."""
    ja3: str | None = None
    """The JA3 fingerprint of the client."""
    ja3s: str | None = None
    """The JA3S fingerprint of the server."""
    ja4: str | None = None
    """The JA4 fingerprint of the client."""
    ja3_string: str | UnsetType | None = UNSET
    """JA3 before hashing. The unhashed fingerprints and JA3N are included only on request."""
    ja3n: str | UnsetType | None = UNSET
    """JA3 with its extensions sorted, hashed; included only on request."""
    ja4_r: str | UnsetType | None = UNSET
    """JA4 before hashing; included only on request."""
    hidden: Hidden | None = None
    """What only keys show; None if no key opened anything."""
    keys: Keys | None = None
    """The keys that opened something; None if none did."""
    quic: Quic | None = None
    """What only QUIC has; None for other transports."""
    dtls: Dtls | None = None
    """What only DTLS has; None for other transports."""
    eap: Eap | None = None
    """What only EAP has; None for other transports."""
    psk_identity: str | None = None
    """The identity of the pre-shared key that the client uses, before TLS 1.3 (RFC 4279 section 2)."""
    psk_identity_hint: str | None = None
    """The hint by which the server helps the client to choose one (RFC 4279 section 2)."""
    findings: tuple[Finding, ...] | None = None
    """What is wrong or weak; None unless findings were asked for."""
    problems: tuple[Problem, ...] = ()
    """Each reason why a fact is missing, inferred or incomplete."""
    captures: tuple[CapturePart, ...] | None = None
    """The captures that the frames named here are in, if several were read as one."""

    def __repr__(self) -> str:
        name = self.sni or str(self.server)
        ended = self.outcome if self.failed_by is None else f"{self.outcome} by {self.failed_by}"
        return f"<Connection {self.stream_name} of {self.source!r}: {name!r}, {self.version}, {ended}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as `read --format json` prints them."""
        found: dict[str, Any] = as_json(self)
        return found

    @property
    def stream_name(self) -> str:
        """The stream as `--stream` takes it: `3` for TCP, `udp:3` for QUIC and DTLS, `eap:3` for EAP."""
        return stream_name(self.transport, self.stream)

    def chain(self, side: Side) -> tuple[Certificate, ...] | None:
        """The certificates that a side showed, in the clear or as keys show them; None if that is not visible."""
        chain: tuple[Certificate, ...] | None = self.known(
            "certificates" if side == "server" else "client_certificates"
        )
        return chain

    def leaf(self, side: Side) -> Certificate | None:
        """The first of them, which is the side's own; None if there is none."""
        chain = self.chain(side)
        return chain[0] if chain else None

    def first_message(self, kind: str, sender: Side | None = None) -> Message | None:
        """The first message of a type, of one side or of either, in the clear or else as keys show it."""
        for message in (*self.messages, *(self.hidden.messages or () if self.hidden else ())):
            if message.type == kind and sender in (None, message.sender):
                return message
        return None

    def known(self, name: str) -> Any:
        """The fact of this name that anyone sees, or else what keys show of it; None if that is not visible."""
        seen = getattr(self, name)
        return getattr(self.hidden, name) if seen is None and self.hidden is not None else seen

    def needs_keys(self, name: str) -> bool:
        """Whether only keys show the fact of this name."""
        return getattr(self, name) is None and getattr(self.hidden, name, None) is not None

    @property
    def inferred(self) -> frozenset[str]:
        """The keys of all facts that are inferred and not read: `"early_data"`, `"timing.split_path"`."""
        return frozenset([key for one in self.problems for key in one.facts or ()])

    @property
    def is_tls13(self) -> bool:
        """Whether TLS 1.3, a draft of it or DTLS 1.3 was negotiated."""
        return self.version is not None and "1.3" in self.version

    @property
    def offered_versions(self) -> tuple[str, ...]:
        """The versions that the client offered; none if that is not known.

        Those of supported_versions, and without that extension the legacy_version (RFC 8446 section 4.2.1). If bytes
        of the hello are missing, the extension may be among them.
        """
        hello = self.client_hello
        if hello is None:
            return ()
        listed = tuple(filter(is_offer, hello.supported_versions or ()))
        return listed or ((hello.version,) if self.has_whole_client_hello else ())

    @property
    def has_whole_client_hello(self) -> bool:
        """Whether no byte of the ClientHello is missing, so that it lists the whole offer.

        A complete one has a JA4, or in SSL 2.0 an empty list of extensions, which an incomplete one never has.
        """
        hello = self.client_hello
        return hello is not None and (self.ja4 is not None or hello.extensions == ())


def named_frames(value: object) -> Iterator[int]:
    """Yield the frames that facts name, of a connection or of a part of it."""
    if isinstance(value, tuple):
        for one in value:
            if isinstance(one, (tuple, Struct)):
                yield from named_frames(one)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            fact = getattr(value, name)
            if isinstance(fact, (tuple, Struct)):
                yield from named_frames(fact)
            elif fact is not None and (name == "frame" or name.endswith("_frame")):
                yield fact


RAW_FINGERPRINTS = frozenset(one.encode_name for one in structs.fields(Connection) if one.default is UNSET)
"""The keys that exist on request only."""
