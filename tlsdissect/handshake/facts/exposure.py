"""What of certificates and sessions anyone on the path could read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tlsdissect.model.connection import Certificate, CertificateRequest, OcspStaple, SessionTicket
from tlsdissect.tls.certificate import Certificate as CertificateMessage
from tlsdissect.tls.certificate import CertificateRequest as CertificateRequestMessage
from tlsdissect.tls.certificate import CertificateStatus, RawPublicKey
from tlsdissect.tls.codepoints import RAW_PUBLIC_KEY, ExtensionType, HandshakeType, Registry
from tlsdissect.tls.messages import NewSessionTicket
from tlsdissect.tls.server_hello import Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.handshake.direction import Direction
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.facts.handshake import Handshake

T = TypeVar("T")

MAX_CHAIN = 100
"""Certificates of one chain that are told."""
_EMPTY = 3
"""Bytes of a Certificate without certificates: the length of its list."""
_TYPES = (ExtensionType.CLIENT_CERTIFICATE_TYPE, ExtensionType.SERVER_CERTIFICATE_TYPE)
"""What agrees on the type of the client's and of the server's certificate."""


class Exposure(NamedTuple):
    """What was in the clear; None: not sent, or not to be seen."""

    certificates: tuple[Certificate, ...] | None
    client_certificate_requested: bool | None
    certificate_request: CertificateRequest | None
    client_certificates: tuple[Certificate, ...] | None
    ocsp_staple: OcspStaple | None
    session_ticket: SessionTicket | None


def exposure(handshake: Handshake, resumption: str | None, evidence: Evidence | None = None) -> Exposure:
    """Read what both sides showed; what verdicts need of it is kept as evidence."""
    if handshake.log.tls13:
        # A server that authenticates by a pre-shared key sends no certificate: RFC 8446 section 2.2.
        return Exposure(() if resumption == "psk" else None, None, None, None, None, None)
    asked = handshake.message(1, HandshakeType.CERTIFICATE_REQUEST)
    return Exposure(
        certificates=_server_certificates(handshake, evidence),
        client_certificate_requested=True if asked else (False if handshake.server_is_whole else None),
        certificate_request=_request(handshake, asked),
        client_certificates=_chain(handshake, 0, evidence) if asked else None,
        ocsp_staple=_staple(handshake, evidence),
        session_ticket=_ticket(handshake),
    )


def _server_certificates(handshake: Handshake, evidence: Evidence | None) -> tuple[Certificate, ...] | None:
    server_hello = handshake.log.server_hello
    if server_hello is not None and isinstance(server_hello.hello, Ssl2ServerHello):
        shown = [server_hello.hello.certificate] if server_hello.hello.certificate else []
        return _facts(shown, handshake.directions[1], server_hello.event, evidence)
    if handshake.message(1, HandshakeType.CERTIFICATE) is None:
        return () if handshake.server_is_whole else None
    return _chain(handshake, 1, evidence)


def _chain(handshake: Handshake, side: int, evidence: Evidence | None) -> tuple[Certificate, ...] | None:
    event = handshake.message(side, HandshakeType.CERTIFICATE)
    if handshake.answered.get(_TYPES[side], "certificate_type") == RAW_PUBLIC_KEY:
        # A key stands in place of certificates, of which none is sent: RFC 7250 section 3.
        return None if _read(handshake.directions[side], event, RawPublicKey.read) is None else ()
    message = _read(handshake.directions[side], event, CertificateMessage.read)
    if event is None or message is None:
        return None
    # A list of which nothing can be read is not an empty one.
    if not message.certificate_list and event.size > _EMPTY:
        return None
    if len(message.certificate_list) > MAX_CHAIN:
        detail = f"of {len(message.certificate_list)} certificates the first {MAX_CHAIN} are told"
        handshake.directions[side].report("limit", detail, event.frame, event.start)
    return _facts(message.certificate_list[:MAX_CHAIN], handshake.directions[side], event, evidence)


def _facts(
    chain: tuple[bytes, ...] | list[bytes], direction: Direction, event: HandshakeEvent, evidence: Evidence | None
) -> tuple[Certificate, ...]:
    # cryptography is loaded when the first certificate shows: a tenth of a second that others need not wait.
    from tlsdissect.x509.certificates import certificate  # noqa: PLC0415

    facts = []
    for encoding in chain:
        fact, flaws = certificate(encoding)
        facts.append(fact)
        if evidence is not None:
            evidence.keep(fact.sha256, encoding)
        for flaw in flaws:
            direction.report("malformed_message", f"certificate {fact.sha256[:16]}: {flaw}", event.frame, event.start)
    return tuple(facts)


def _request(handshake: Handshake, event: HandshakeEvent | None) -> CertificateRequest | None:
    version = max(0, handshake.log.version)
    message = _read(handshake.directions[1], event, lambda r: CertificateRequestMessage.read(r, version))
    if message is None:
        return None
    from tlsdissect.x509.names import name  # noqa: PLC0415

    schemes = message.supported_signature_algorithms
    return CertificateRequest(
        types=tuple(Registry.CLIENT_CERTIFICATE_TYPES.names[kind] for kind in message.certificate_types),
        signature_schemes=None if schemes is None else tuple(Registry.SIGNATURE_SCHEMES.names[s] for s in schemes),
        authorities=tuple(name(authority) for authority in message.certificate_authorities),
    )


def _staple(handshake: Handshake, evidence: Evidence | None) -> OcspStaple | None:
    event = handshake.message(1, HandshakeType.CERTIFICATE_STATUS)
    message = _read(handshake.directions[1], event, CertificateStatus.read)
    if event is None or message is None:
        return None
    # Of a list the first is the server's own, and empty where it has none: RFC 6961 section 2.2.
    response = next(iter(message.ocsp_response_list or ()), message.ocsp_response)
    if not response:
        return None
    from tlsdissect.x509.staples import staple  # noqa: PLC0415

    fact, flaws = staple(response)
    if evidence is not None and fact.sha256 is not None:
        evidence.keep(fact.sha256, response)
    for flaw in flaws:
        handshake.directions[1].report("malformed_message", f"OCSP response: {flaw}", event.frame, event.start)
    return fact


def _ticket(handshake: Handshake) -> SessionTicket | None:
    message = _read(
        handshake.directions[1], handshake.message(1, HandshakeType.NEW_SESSION_TICKET), NewSessionTicket.read
    )
    return None if message is None else SessionTicket(message.ticket_lifetime_hint, len(message.ticket))


def _read(direction: Direction, event: HandshakeEvent | None, read: Callable[[Reader], T]) -> T | None:
    """Read a message; what can be read of one that is malformed counts, and the rest is a trouble."""
    if event is None:
        return None
    reader, value = Reader(event.body), None
    try:
        value = read(reader)
        error = reader.error or (WireError(f"{len(reader)} bytes left over", reader.offset) if reader else None)
    except WireError as caught:
        error = caught
    if error is not None and event.handshake_type is not None:
        name = Registry.HANDSHAKE_TYPES.names[event.handshake_type]
        direction.report("malformed_message", f"{name}: {error}", event.frame, event.start)
    return value
