# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Plaintext facts about certificates and sessions, which anyone on the path can read."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import cython
from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.facts.handshake import CLIENT, SERVER
from tlsdissect.model.connection import Certificate, CertificateRequest, OcspStaple, Problem, SessionTicket
from tlsdissect.tls.certificate import Certificate as CertificateMessage
from tlsdissect.tls.certificate import Certificate13, CertificateStatus, RawPublicKey
from tlsdissect.tls.certificate import CertificateRequest as CertificateRequestMessage
from tlsdissect.tls.codepoints import RAW_PUBLIC_KEY, ExtensionType, HandshakeType, Registry
from tlsdissect.tls.extensions import FROM_CERTIFICATE_ENTRY
from tlsdissect.tls.extensions import decode as decode_extension
from tlsdissect.tls.messages import NewSessionTicket
from tlsdissect.tls.server_hello import Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError, decode_partially

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.tls.certificate import CertificateEntry

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_CERTIFICATE = HandshakeType.CERTIFICATE
_CERTIFICATE_REQUEST = HandshakeType.CERTIFICATE_REQUEST
_CERTIFICATE_STATUS = HandshakeType.CERTIFICATE_STATUS
_NEW_SESSION_TICKET = HandshakeType.NEW_SESSION_TICKET
_STATUS_REQUEST = ExtensionType.STATUS_REQUEST
_CLIENT, _SERVER = CLIENT, SERVER  # C integers, by the .pxd

T = TypeVar("T")

CHAIN_CACHE_BYTES = 8 << 20
"""Bytes of cached Certificate messages with the facts of their certificates."""
MAX_CHAIN = 100
"""Maximum certificates reported of one chain."""
_EMPTY = 3
"""Bytes of a Certificate without certificates: the length of its list."""
CERTIFICATE_TYPES = (ExtensionType.CLIENT_CERTIFICATE_TYPE, ExtensionType.SERVER_CERTIFICATE_TYPE)
"""The extensions that select the type of the client's and of the server's certificate."""


class Exposure(Struct, frozen=True, gc=False):
    """Facts of plaintext messages; None if not sent or not visible."""

    certificates: tuple[Certificate, ...] | None
    client_certificate_requested: bool | None
    certificate_request: CertificateRequest | None
    client_certificates: tuple[Certificate, ...] | None
    ocsp_staple: OcspStaple | None
    session_ticket: SessionTicket | None
    problems: tuple[Problem, ...] = ()
    """Errors in these messages, and limits that were reached."""


def exposure(handshake: Handshake, resumption: str | None, evidence: Evidence | None = None) -> Exposure:
    """Decode the plaintext messages of both sides; certificates and OCSP responses are kept as evidence."""
    if handshake.tls13:
        # A server that authenticates by a pre-shared key sends no certificate: RFC 8446 section 2.2.
        return Exposure(() if resumption == "psk" else None, None, None, None, None, None)
    plaintext = MessageDecoder(handshake, evidence)
    asked = handshake.message(_SERVER, _CERTIFICATE_REQUEST)
    return Exposure(
        plaintext.server_certificates(),
        True if asked else (False if handshake.server_is_whole else None),
        None if asked is None else plaintext.request(asked),
        plaintext.chain(_CLIENT) if asked else None,
        plaintext.staple(),
        plaintext.ticket(),
        tuple(plaintext.problems),
    )


@cache
def _certificate_decoder() -> Callable[[bytes], tuple[Certificate, tuple[str, ...]]]:
    """Import what decodes certificates with the first one: the import takes a tenth of a second."""
    from tlsdissect.x509.certificates import certificate  # noqa: PLC0415

    return certificate


class Chain(NamedTuple):
    """What a Certificate message shows."""

    facts: tuple[Certificate, ...]
    encodings: tuple[bytes, ...]
    """The certificates in DER."""
    staples: tuple[bytes, ...] = ()
    """The OCSP responses beside the first certificate in TLS 1.3."""


@cached(CHAIN_CACHE_BYTES)
def flawless(body: bytes, tls13: cython.bint) -> Chain | None:
    """Decode a Certificate message with certificates; None if it has a problem."""
    staples: tuple[bytes, ...] = ()
    errors: tuple[WireError, ...] = ()
    try:
        if tls13:
            message13, error = decode_partially(Certificate13.read, body)
            staples, errors = stapled(message13.certificate_list)
            encodings = tuple([entry.cert_data for entry in message13.certificate_list])
        else:
            message, error = decode_partially(CertificateMessage.read, body)
            encodings = message.certificate_list
    except WireError:
        return None
    if error is not None or errors or not encodings or len(encodings) > MAX_CHAIN:
        return None
    decode = _certificate_decoder()
    decoded = [decode(encoding) for encoding in encodings]
    if any(problems for _, problems in decoded):
        return None
    return Chain(tuple([fact for fact, _ in decoded]), encodings, staples)


def stapled(entries: tuple[CertificateEntry, ...]) -> tuple[tuple[bytes, ...], tuple[WireError, ...]]:
    """Return the OCSP responses beside the first certificate of a chain in TLS 1.3, and what is wrong with others."""
    responses: list[bytes] = []
    errors: list[WireError] = []
    for extension in entries[0].extensions if entries else ():
        if extension.extension_type == _STATUS_REQUEST:
            try:
                status = decode_extension(FROM_CERTIFICATE_ENTRY, _STATUS_REQUEST, extension.extension_data)
            except WireError as error:
                errors.append(error)
                continue
            response = getattr(status, "ocsp_response", None)
            responses += [response] if response else []
    return tuple(responses), tuple(errors)


@cython.no_gc
@cython.cclass
class MessageDecoder:
    """Decodes messages of one handshake and collects their problems."""

    problems: list[Problem]
    _handshake: Handshake
    _evidence: Evidence | None

    def __init__(self, handshake: Handshake, evidence: Evidence | None) -> None:
        self._handshake = handshake
        self._evidence = evidence
        self.problems = []

    def server_certificates(self) -> tuple[Certificate, ...] | None:
        """Return the server's chain; empty if it sent none."""
        handshake, seen, decoded = self._handshake, self._handshake.log.server_hello, self._handshake.server_hello
        if seen is not None and decoded is not None and isinstance(decoded.shared, Ssl2ServerHello):
            return self.facts([decoded.shared.certificate] if decoded.shared.certificate else [], seen.event)
        if handshake.message(_SERVER, _CERTIFICATE) is None:
            return () if handshake.server_is_whole else None
        return self.chain(_SERVER)

    def chain(self, side: cython.longlong) -> tuple[Certificate, ...] | None:
        """Return the certificates of a side's Certificate message."""
        event = self._handshake.message(side, _CERTIFICATE)
        if self._handshake.server_extensions.get(CERTIFICATE_TYPES[side], "certificate_type") == RAW_PUBLIC_KEY:
            # A raw public key is sent instead of certificates (RFC 7250 section 3).
            return None if self.read(event, RawPublicKey.read) is None else ()
        if event is None:
            return None
        known = flawless(event.body, False)
        if known is not None:
            return self.keep(known)
        message = self.read(event, CertificateMessage.read)
        if message is None:
            return None
        # A list that cannot be decoded is not an empty one.
        if not message.certificate_list and event.size > _EMPTY:
            return None
        return self.facts(message.certificate_list, event)

    def keep(self, chain: Chain) -> tuple[Certificate, ...]:
        """Keep the certificates of a chain as evidence, and return their facts."""
        if self._evidence is not None:
            for fact, encoding in zip(chain.facts, chain.encodings, strict=True):
                self._evidence.keep(fact.sha256, encoding)
        return chain.facts

    def request(self, event: HandshakeEvent | None) -> CertificateRequest | None:
        """Return the server's CertificateRequest before TLS 1.3."""
        version = self._handshake.log.version
        if version == UNKNOWN:
            # Without the ServerHello, it is unknown whether the message has signature schemes, as that of TLS 1.2 has.
            return None
        message = self.read(event, lambda r: CertificateRequestMessage.read(r, version=version))
        if message is None:
            return None
        from tlsdissect.x509.names import name  # noqa: PLC0415

        schemes = message.supported_signature_algorithms
        return CertificateRequest(
            types=tuple(Registry.CLIENT_CERTIFICATE_TYPES.names[kind] for kind in message.certificate_types),
            signature_schemes=None if schemes is None else tuple(Registry.SIGNATURE_SCHEMES.names[s] for s in schemes),
            authorities=tuple(name(authority) for authority in message.certificate_authorities),
        )

    def staple(self) -> OcspStaple | None:
        """Return the OCSP response in the server's CertificateStatus."""
        event = self._handshake.message(_SERVER, _CERTIFICATE_STATUS)
        message = self.read(event, CertificateStatus.read)
        if event is None or message is None:
            return None
        # The first response is about the server's own certificate; it may be empty (RFC 6961 section 2.2).
        response = next(iter(message.ocsp_response_list or ()), message.ocsp_response)
        return self.response(response, event) if response else None

    def response(self, response: bytes, event: HandshakeEvent) -> OcspStaple:
        """Return the facts of an OCSP response."""
        from tlsdissect.x509.staples import staple  # noqa: PLC0415

        fact, problems = staple(response)
        if self._evidence is not None and fact.sha256 is not None:
            self._evidence.keep(fact.sha256, response)
        for problem in problems:
            self.report("malformed_message", f"OCSP response: {problem}", event)
        return fact

    def ticket(self) -> SessionTicket | None:
        """Return the server's NewSessionTicket."""
        event = self._handshake.message(_SERVER, _NEW_SESSION_TICKET)
        message = self.read(event, NewSessionTicket.read)
        return None if message is None else SessionTicket(message.ticket_lifetime_hint, len(message.ticket))

    def facts(self, chain: Sequence[bytes], event: HandshakeEvent) -> tuple[Certificate, ...]:
        """Return the facts of a chain, or of its first certificates."""
        decode, facts = _certificate_decoder(), []
        if len(chain) > MAX_CHAIN:
            self.report("limit", f"only the first {MAX_CHAIN} of {len(chain)} certificates are decoded", event)
        for encoding in chain[:MAX_CHAIN]:
            fact, problems = decode(encoding)
            facts.append(fact)
            if self._evidence is not None:
                self._evidence.keep(fact.sha256, encoding)
            for problem in problems:
                self.report("malformed_message", f"certificate {fact.sha256[:16]}: {problem}", event)
        return tuple(facts)

    def read(self, event: HandshakeEvent | None, read: Callable[[Reader], T]) -> T | None:
        """Decode a message; of a malformed one, the part before the error."""
        if event is None:
            return None
        value: T | None = None
        reader = Reader(event.body)
        try:
            value = read(reader)
            error = reader.error or (WireError(f"{len(reader)} bytes left over", reader.offset) if reader else None)
        except WireError as caught:
            error = caught
        if error is not None and event.handshake_type is not None:
            name = Registry.HANDSHAKE_TYPES.names[event.handshake_type]
            self.report("malformed_message", f"{name}: {error}", event)
        return value

    def report(self, code: str, detail: str, event: HandshakeEvent) -> None:
        """Report a problem of a message."""
        self.problems.append(Problem(code, detail, event.frame, event.start, self._handshake.side(event.sender)))
