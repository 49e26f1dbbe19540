"""What of certificates and sessions anyone on the path could read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tlsdissect.tls.certificate import Certificate as CertificateMessage
from tlsdissect.tls.certificate import CertificateRequest as CertificateRequestMessage
from tlsdissect.tls.certificate import CertificateStatus, RawPublicKey
from tlsdissect.tls.codepoints import RAW_PUBLIC_KEY, ExtensionType, HandshakeType, Registry
from tlsdissect.tls.messages import NewSessionTicket
from tlsdissect.tls.server_hello import Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError
from tlsdissect.transcript.connection import Certificate, CertificateRequest, OcspStaple, SessionTicket

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.transcript.facts.scene import Scene
    from tlsdissect.transcript.tracking.half import Half
    from tlsdissect.transcript.tracking.seen import Item

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


def exposure(scene: Scene, resumption: str | None, evidence: Evidence | None = None) -> Exposure:
    """Read what both sides showed; what verdicts need of it is kept as evidence."""
    if scene.script.tls13:
        # A server that authenticates by a pre-shared key sends no certificate: RFC 8446 section 2.2.
        return Exposure(() if resumption == "psk" else None, None, None, None, None, None)
    asked = scene.message(1, HandshakeType.CERTIFICATE_REQUEST)
    return Exposure(
        certificates=_server_certificates(scene, evidence),
        client_certificate_requested=True if asked else (False if scene.server_is_whole else None),
        certificate_request=_request(scene, asked),
        client_certificates=_chain(scene, 0, evidence) if asked else None,
        ocsp_staple=_staple(scene, evidence),
        session_ticket=_ticket(scene),
    )


def _server_certificates(scene: Scene, evidence: Evidence | None) -> tuple[Certificate, ...] | None:
    answer = scene.script.answer
    if answer is not None and isinstance(answer.hello, Ssl2ServerHello):
        shown = [answer.hello.certificate] if answer.hello.certificate else []
        return _facts(shown, scene.halves[1], answer.item, evidence)
    if scene.message(1, HandshakeType.CERTIFICATE) is None:
        return () if scene.server_is_whole else None
    return _chain(scene, 1, evidence)


def _chain(scene: Scene, side: int, evidence: Evidence | None) -> tuple[Certificate, ...] | None:
    item = scene.message(side, HandshakeType.CERTIFICATE)
    if scene.answered.get(_TYPES[side], "certificate_type") == RAW_PUBLIC_KEY:
        # A key stands in place of certificates, of which none is sent: RFC 7250 section 3.
        return None if _read(scene.halves[side], item, RawPublicKey.read) is None else ()
    message = _read(scene.halves[side], item, CertificateMessage.read)
    if item is None or message is None:
        return None
    # A list of which nothing can be read is not an empty one.
    if not message.certificate_list and item.size > _EMPTY:
        return None
    if len(message.certificate_list) > MAX_CHAIN:
        detail = f"of {len(message.certificate_list)} certificates the first {MAX_CHAIN} are told"
        scene.halves[side].trouble("limit", detail, item.frame, item.start)
    return _facts(message.certificate_list[:MAX_CHAIN], scene.halves[side], item, evidence)


def _facts(
    chain: tuple[bytes, ...] | list[bytes], half: Half, item: Item, evidence: Evidence | None
) -> tuple[Certificate, ...]:
    # cryptography is loaded when the first certificate shows: a tenth of a second that others need not wait.
    from tlsdissect.transcript.x509.certificates import certificate  # noqa: PLC0415

    facts = []
    for encoding in chain:
        fact, flaws = certificate(encoding)
        facts.append(fact)
        if evidence is not None:
            evidence.keep(fact.sha256, encoding)
        for flaw in flaws:
            half.trouble("malformed_message", f"certificate {fact.sha256[:16]}: {flaw}", item.frame, item.start)
    return tuple(facts)


def _request(scene: Scene, item: Item | None) -> CertificateRequest | None:
    version = scene.script.version or 0
    message = _read(scene.halves[1], item, lambda r: CertificateRequestMessage.read(r, version))
    if message is None:
        return None
    from tlsdissect.transcript.x509.names import name  # noqa: PLC0415

    schemes = message.supported_signature_algorithms
    return CertificateRequest(
        types=tuple(Registry.CLIENT_CERTIFICATE_TYPES.names[kind] for kind in message.certificate_types),
        signature_schemes=None if schemes is None else tuple(Registry.SIGNATURE_SCHEMES.names[s] for s in schemes),
        authorities=tuple(name(authority) for authority in message.certificate_authorities),
    )


def _staple(scene: Scene, evidence: Evidence | None) -> OcspStaple | None:
    item = scene.message(1, HandshakeType.CERTIFICATE_STATUS)
    message = _read(scene.halves[1], item, CertificateStatus.read)
    if item is None or message is None:
        return None
    # Of a list the first is the server's own, and empty where it has none: RFC 6961 section 2.2.
    response = next(iter(message.ocsp_response_list or ()), message.ocsp_response)
    if not response:
        return None
    from tlsdissect.transcript.x509.staples import staple  # noqa: PLC0415

    fact, flaws = staple(response)
    if evidence is not None and fact.sha256 is not None:
        evidence.keep(fact.sha256, response)
    for flaw in flaws:
        scene.halves[1].trouble("malformed_message", f"OCSP response: {flaw}", item.frame, item.start)
    return fact


def _ticket(scene: Scene) -> SessionTicket | None:
    message = _read(scene.halves[1], scene.message(1, HandshakeType.NEW_SESSION_TICKET), NewSessionTicket.read)
    return None if message is None else SessionTicket(message.ticket_lifetime_hint, len(message.ticket))


def _read(half: Half, item: Item | None, read: Callable[[Reader], T]) -> T | None:
    """Read a message; what can be read of one that is malformed counts, and the rest is a trouble."""
    if item is None:
        return None
    reader, value = Reader(item.body), None
    try:
        value = read(reader)
        error = reader.error or (WireError(f"{len(reader)} bytes left over", reader.offset) if reader else None)
    except WireError as caught:
        error = caught
    if error is not None and item.handshake_type is not None:
        name = Registry.HANDSHAKE_TYPES.names[item.handshake_type]
        half.trouble("malformed_message", f"{name}: {error}", item.frame, item.start)
    return value
