# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The results of the negotiation: resumption, early data, key exchange and extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython
from msgspec import Struct

from tlsdissect.handshake.facts.extensions import unchanged
from tlsdissect.handshake.facts.handshake import CLIENT, SERVER
from tlsdissect.handshake.facts.refill import Refill, Refills
from tlsdissect.handshake.facts.text import text
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import HandshakeType, Registry
from tlsdissect.tls.key_exchange import DhParams, EcdhParams, ServerKeyExchange, key_exchange
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.handshake.facts.hello_extensions import Extensions

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_GROUP_NAMES, _SUITE_NAMES = Registry.GROUPS.names, Registry.CIPHER_SUITES.names
_SCHEME_NAMES = Registry.SIGNATURE_SCHEMES.names
_APPLICATION_LAYER_PROTOCOL_NEGOTIATION = Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION
_EARLY_DATA = Type.EARLY_DATA
_CLIENT_KEY_EXCHANGE = HandshakeType.CLIENT_KEY_EXCHANGE
_KEY_SHARE = Type.KEY_SHARE
_KEY_SHARE_OLD = Type.KEY_SHARE_OLD
_PRE_SHARED_KEY = Type.PRE_SHARED_KEY
_SERVER_KEY_EXCHANGE = HandshakeType.SERVER_KEY_EXCHANGE
_SESSION_TICKET = Type.SESSION_TICKET
_SERVER = SERVER  # a C integer, by the .pxd

_ECH = frozenset((Type.ENCRYPTED_CLIENT_HELLO, 0xFFCE, 0xFE08, 0xFE09, 0xFE0A, 0xFE0B, 0xFE0C))
"""encrypted_client_hello, and the code points of its drafts and of its predecessor ESNI."""


_KEY_EXCHANGES = Refills()
"""What follows from each ServerKeyExchange, by key exchange and version."""


class KeyExchange(Struct, frozen=True, gc=False):
    """The parameters of the key exchange, from ServerKeyExchange or key_share."""

    group: str | None = None
    dh_bits: int | None = None
    signature_scheme: str | None = None
    problem: str | None = None
    """The error in the ServerKeyExchange."""
    psk_identity_hint: str | None = None
    """The server's hint for the choice of a PSK identity."""


@cython.ccall
def resumption(handshake: Handshake) -> Any:
    """Return what the server resumed: "none", "ticket", "session_id" or "psk"; None if that is not visible.

    TLS 1.2 and older: in a resumption, ChangeCipherSpec follows directly on ServerHello or NewSessionTicket (RFC 5246
    section 7.3, RFC 5077 section 3.1). TLS 1.3: RFC 8446 section 4.2.11.
    """
    server_hello = handshake.log.server_hello
    if server_hello is None or handshake.cipher_suite is None:
        return None
    if handshake.tls13:
        accepted = _has(server_hello.event, handshake.server_extensions, _PRE_SHARED_KEY)
        return None if accepted is None else "psk" if accepted else "none"
    if handshake.is_full is not False or handshake.log.client_hello is None:
        return "none" if handshake.is_full else None
    if handshake.client_extensions.shown(_SESSION_TICKET, "data"):
        return "ticket"
    if not handshake.log.client_hello.event.whole and _SESSION_TICKET not in handshake.client_extensions.bodies:
        # The missing bytes may contain a ticket; with one, the session ID is the client's choice (RFC 5077 section
        # 3.4).
        return None
    offered = b"" if handshake.client_hello is None else handshake.client_hello.session_id
    return "session_id" if offered and server_hello.session_id == offered else None


@cython.ccall
def hello_retry(handshake: Handshake) -> Any:
    """Return whether the server sent a HelloRetryRequest; None if the missing bytes may contain one."""
    if handshake.log.retry_request is not None or handshake.log.hello_verify:
        return True
    server_hello = handshake.log.server_hello
    if (
        server_hello is None
        or handshake.log.hello_verify is None
        or (handshake.tls13 and not handshake.direction(_SERVER).is_whole(server_hello.event.start))
    ):
        return None
    return False


@cython.ccall
def early_data(handshake: Handshake) -> Any:
    """Return "none", "offered", "accepted" or "rejected" for early data (RFC 8446 section 4.2.10); None if not visible.

    That it was accepted is inferred from the lengths of the client's records, in `encrypted_flight.flight_after`. With
    keys, `Hidden.early_data` tells it from the EncryptedExtensions.
    """
    if handshake.log.client_hello is None:
        return None
    offered = _has(handshake.log.client_hello.event, handshake.client_extensions, _EARLY_DATA)
    if not offered:
        # A second ClientHello offers none (RFC 8446 section 4.2.10), whatever the first one did.
        return "none" if offered is False and not handshake.lacks_first_hello() else None
    if handshake.log.retry_request is not None:
        return "rejected"
    if handshake.log.server_hello is None:
        # A server of QUIC that went on had answered: the capture lacks its hello.
        quic = handshake.log.quic
        return "offered" if quic is None or quic.first_one_rtt[_SERVER] is None else None
    if _has(handshake.log.server_hello.event, handshake.server_extensions, _PRE_SHARED_KEY) is None:
        return None
    if handshake.server_extensions.shown(_PRE_SHARED_KEY, "selected_identity") != 0:
        return "rejected"
    flight = handshake.encrypted_flight
    if flight is None or not flight.exact or handshake.log.transport == "udp":
        # DTLS 1.3 has no EndOfEarlyData (RFC 9147 section 5.6).
        return None
    if flight.ended_early_data:
        return "accepted"
    # The EndOfEarlyData may be among bytes that are missing before the client's Finished.
    return "rejected" if handshake.direction(CLIENT).is_whole(flight.flight[0].start) else None


@cython.ccall
def infers_early_data(handshake: Handshake) -> cython.bint:
    """Return whether the acceptance of early data is inferred from record lengths."""
    if _EARLY_DATA not in handshake.client_extensions.bodies or handshake.log.retry_request is not None:
        return False
    return bool(handshake.server_extensions.shown(_PRE_SHARED_KEY, "selected_identity") == 0)


@cython.ccall
def ech(handshake: Handshake) -> Any:
    """Return whether an Encrypted Client Hello, or GREASE that looks like one, was offered (RFC 9849)."""
    if handshake.log.client_hello is None:
        return None
    bodies = handshake.client_extensions.bodies
    for number in _ECH:
        if number in bodies:
            return "grease_or_offered"
    return "none" if handshake.log.client_hello.event.whole else None


@cython.ccall
def key_agreement(handshake: Handshake) -> Any:
    """Return the group, prime size and signature scheme of the key exchange."""
    if handshake.tls13:
        extensions = handshake.server_extensions
        return KeyExchange(extensions.shown(_KEY_SHARE, "group") or extensions.shown(_KEY_SHARE_OLD, "group"))
    event, suite = handshake.message(_SERVER, _SERVER_KEY_EXCHANGE), handshake.cipher_suite
    kind = None if suite is None else key_exchange(_SUITE_NAMES[suite])
    if event is None or kind is None:
        return KeyExchange()
    version = max(0, handshake.log.version)
    form = kind.name, version
    known: Refill | None = _KEY_EXCHANGES.find(form, event.body)
    if known is not None:
        return known.fact_of(event.body)
    reader = Reader(event.body)
    try:
        message = ServerKeyExchange.read(reader, exchange=kind, version=version)
    except WireError as error:
        return KeyExchange(problem=f"ServerKeyExchange: {error}")
    params, scheme = message.params, message.signature_scheme
    curve = getattr(params.curve_params, "named_curve", None) if isinstance(params, EcdhParams) else None
    found = KeyExchange(
        group=None if curve is None else _GROUP_NAMES[curve],
        dh_bits=int.from_bytes(params.dh_p, "big").bit_length() if isinstance(params, DhParams) else None,
        signature_scheme=None if scheme is None else _SCHEME_NAMES[scheme],
        psk_identity_hint=text(message.psk_identity_hint or b"") or None,
    )
    if isinstance(params, EcdhParams) and not kind.psk and _KEY_EXCHANGES.wants(form, event.body):
        # Nothing follows from the bytes of a point and a signature, while a hint is shown.
        refill = unchanged(found, ServerKeyExchange, event.body, exchange=kind, version=version)
        _KEY_EXCHANGES.add(form, event.body, refill)
    return found


@cython.ccall
def psk_identity(handshake: Handshake) -> Any:
    """Return the identity of the pre-shared key that the client uses, which comes first in its ClientKeyExchange."""
    event, suite = handshake.message(0, _CLIENT_KEY_EXCHANGE), handshake.cipher_suite
    kind = None if suite is None else key_exchange(_SUITE_NAMES[suite])
    if event is None or kind is None or not kind.psk:
        return None
    try:
        return text(Reader(event.body).sized(2)) or None
    except WireError:
        return None


@cython.ccall
def negotiated(handshake: Handshake, extension: Any) -> Any:
    """Return whether the server accepted an extension that TLS 1.3 removed; None there, and without a ServerHello."""
    server_hello = handshake.log.server_hello
    if handshake.tls13 or handshake.cipher_suite is None or server_hello is None:
        return None
    return _has(server_hello.event, handshake.server_extensions, extension)


@cython.cfunc
def _has(hello: HandshakeEvent, extensions: Extensions, extension: Any) -> Any:
    """Return whether a hello has an extension; None if the missing bytes of the hello may contain it."""
    return extension in extensions.bodies or (None if not hello.whole else False)


@cython.ccall
def alpn(handshake: Handshake) -> Any:
    """Return the protocol that the server selected in plaintext (RFC 7301 section 3.2)."""
    names = handshake.server_extensions.get(_APPLICATION_LAYER_PROTOCOL_NEGOTIATION, "protocol_name_list")
    return text(names[0]) if names and not handshake.tls13 else None


@cython.ccall
def external_psk(handshake: Handshake) -> cython.bint:
    """Return whether the accepted pre-shared key may be external: its ticket age is 0 (RFC 8446 section 4.2.11)."""
    if not handshake.tls13:
        return False
    selected = handshake.server_extensions.shown(_PRE_SHARED_KEY, "selected_identity")
    if selected is None:
        return False
    identities = handshake.client_extensions.shown(_PRE_SHARED_KEY, "identities") or ()
    return bool(selected < len(identities) and identities[selected]["obfuscated_ticket_age"] == 0)
