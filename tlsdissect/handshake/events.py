# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The entries of a handshake log: events, and hellos with the fields that are needed to follow a handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython
from msgspec import Struct

from tlsdissect.capture.octets import cut
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.key_logs import RSA_PREFIX
from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import ExtensionType, HandshakeType, is_tls13
from tlsdissect.tls.hello_cache import CLIENT_HELLOS, SERVER_HELLOS, UNNUMBERED, HelloCache, HelloTemplate
from tlsdissect.tls.record import SSL2
from tlsdissect.tls.server_hello import RETRY_RANDOM, HelloRetryRequest, ServerHello, Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError, decode_partially

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.tls.client_hello import Extension

_RANDOM, _SESSION_ID = 2, 34
"""Bytes of a hello before the random, and before the session ID."""
_UNKNOWN = UNKNOWN  # a C integer, by the .pxd
# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_EARLY_DATA = ExtensionType.EARLY_DATA
_PRE_SHARED_KEY = ExtensionType.PRE_SHARED_KEY
_SUPPORTED_VERSIONS = ExtensionType.SUPPORTED_VERSIONS
_HELLO_RETRY_REQUEST = HandshakeType.HELLO_RETRY_REQUEST
_SERVER_HELLO = HandshakeType.SERVER_HELLO


@cython.no_gc
@cython.cclass
class HandshakeEvent:
    """A handshake message, ChangeCipherSpec, alert, or encrypted record; it does not change once it is in a log."""

    sender: cython.longlong
    content_type: cython.longlong
    handshake_type: Any
    """None if it is encrypted or not a handshake message."""
    size: cython.longlong
    """The length field of the message, or of the record if it is encrypted or not a handshake record."""
    body: bytes
    frame: cython.longlong
    time: cython.longlong
    start: cython.longlong
    """Stream offset of the header of the record in which it begins."""
    end: cython.longlong
    """Stream offset after the record in which it ends."""
    encrypted: cython.bint
    whole: cython.bint
    """Whether no byte of a plaintext message is missing."""
    acknowledgement: cython.longlong
    """In a log, that of its packet; UNKNOWN if that is not known."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HandshakeEvent) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def _fields(self) -> tuple[Any, ...]:
        return (
            self.sender,
            self.content_type,
            self.handshake_type,
            self.size,
            self.body,
            self.frame,
            self.time,
            self.start,
            self.end,
            self.encrypted,
        )

    @property
    def is_retry_request(self) -> bool:
        """Whether this is a HelloRetryRequest: a ServerHello with a special random (RFC 8446 section 4.1.3)."""
        if self.handshake_type == _SERVER_HELLO:
            return cut(self.body, _RANDOM, _SESSION_ID) == RETRY_RANDOM
        return bool(self.handshake_type == _HELLO_RETRY_REQUEST)


@cython.ccall
def new_event(
    sender: cython.longlong,
    content_type: cython.longlong,
    handshake_type: Any,
    size: cython.longlong,
    body: bytes,
    frame: cython.longlong,
    time: cython.longlong,
    start: cython.longlong,
    end: cython.longlong,
    encrypted: cython.bint,
) -> HandshakeEvent:
    """Make an event."""
    event: HandshakeEvent = HandshakeEvent.__new__(HandshakeEvent)
    event.sender = sender
    event.content_type = content_type
    event.handshake_type = handshake_type
    event.size = size
    event.body = body
    event.frame = frame
    event.time = time
    event.start = start
    event.end = end
    event.encrypted = encrypted
    event.whole = len(body) >= size
    event.acknowledgement = _UNKNOWN
    return event


@cython.no_gc
@cython.cclass
class SeenClientHello:
    """A ClientHello of a handshake.

    Only the number of its template is kept, and the hello is decoded again for its facts. A decoded hello takes more
    than 1 KB, and a reference to the template would keep that in memory after the cache evicted it.
    """

    event: HandshakeEvent
    segments: cython.longlong
    """The number of its TCP segments."""
    offers_tls13: cython.bint
    offers_early_data: cython.bint
    pre_shared_keys: bytes | None
    """The body of the pre_shared_key extension, which is the last one (RFC 8446 section 4.2.11); None without it."""
    template: cython.longlong
    """The number of its template; UNNUMBERED without one."""

    def __init__(
        self,
        event: HandshakeEvent,
        segments: cython.longlong,
        offers_tls13: cython.bint,
        offers_early_data: cython.bint,
        pre_shared_keys: bytes | None = None,
        template: cython.longlong = UNNUMBERED,
    ) -> None:
        self.event = event
        self.segments = segments
        self.offers_tls13 = offers_tls13
        self.offers_early_data = offers_early_data
        self.pre_shared_keys = pre_shared_keys
        self.template = template

    @cython.ccall
    def decoded(self, datagram: cython.bint = False) -> DecodedHello:
        """Decode it again; see `decode_client_hello`."""
        cache: HelloCache = CLIENT_HELLOS
        # In DTLS the cookie is no part of the template.
        template: HelloTemplate | None = None if datagram else cache.numbered(self.template)
        if template is None:
            return decode_client_hello(self.event, datagram)
        return _decoded(template.hello, template, None, self.event.body)


@cython.no_gc
@cython.cclass
class SeenServerHello:
    """A ServerHello of a handshake."""

    event: HandshakeEvent
    cipher_suite: Any
    """None in SSL 2.0, where the client selects it."""
    session_id: bytes
    template: cython.longlong
    """As `SeenClientHello.template`."""

    def __init__(
        self,
        event: HandshakeEvent,
        cipher_suite: Any,
        session_id: bytes,
        template: cython.longlong = UNNUMBERED,
    ) -> None:
        self.event = event
        self.cipher_suite = cipher_suite
        self.session_id = session_id
        self.template = template

    @cython.ccall
    def decoded(self) -> DecodedHello:
        """Decode it again; see `decode_server_hello`."""
        cache: HelloCache = SERVER_HELLOS
        template: HelloTemplate | None = cache.numbered(self.template)
        if template is None:
            return decode_server_hello(self.event)
        return _decoded(template.hello, template, None, self.event.body)


@cython.no_gc
@cython.cclass
class DecodedHello:
    """A decoded hello; one that matches a template is not copied out of it until `hello` is asked for."""

    shared: Any
    """The hello, or another one of its template: its random, session ID and extensions that vary are not to be used."""
    template: HelloTemplate | None
    """Its template if it has one."""
    error: WireError | None
    """What ended its decoding."""
    body: bytes
    is_ssl2: cython.bint
    """Whether it is a hello of SSL 2.0."""

    @property
    def number(self) -> cython.longlong:
        """The number of its template; UNNUMBERED without one."""
        template: HelloTemplate | None = self.template
        return UNNUMBERED if template is None else template.number

    @property
    def hello(self) -> Any:
        """The whole hello."""
        template: HelloTemplate | None = self.template
        return self.shared if template is None else template.fill(self.body)

    @property
    def session_id(self) -> bytes:
        """The session ID of a hello of SSL 3.0 or newer; empty if there is none."""
        template: HelloTemplate | None = self.template
        if template is not None:
            return template.session_id(self.body)
        if isinstance(self.shared, ClientHello):
            return self.shared.legacy_session_id or b""
        return getattr(self.shared, "legacy_session_id_echo", None) or b""


@cython.cfunc
def _decoded(shared: Any, template: HelloTemplate | None, error: WireError | None, body: bytes) -> DecodedHello:
    """Make a decoded hello."""
    decoded: DecodedHello = DecodedHello.__new__(DecodedHello)
    decoded.shared = shared
    decoded.template = template
    decoded.error = error
    decoded.body = body
    decoded.is_ssl2 = template is None and isinstance(shared, Ssl2ClientHello | Ssl2ServerHello)
    return decoded


def client_random(event: HandshakeEvent) -> bytes:
    """Return the random of a ClientHello; in SSL 2.0 the challenge, padded in front (RFC 5246 appendix E.2)."""
    if event.content_type != SSL2:
        return event.body[2:34]
    hello, _ = decode_partially(Ssl2ClientHello.read, event.body)
    return hello.challenge.rjust(32, b"\0")


def premaster_key(event: HandshakeEvent) -> bytes:
    """Return what a ClientKeyExchange with RSA finds the premaster secret in a key log by."""
    return event.body[2 : 2 + RSA_PREFIX]


@cython.ccall
def decode_client_hello(event: HandshakeEvent, datagram: cython.bint = False) -> DecodedHello:
    """Decode a ClientHello, or the part of it before an error; raise WireError if nothing can be decoded.

    That of DTLS (`datagram`) is decoded without its cookie, which makes it one of TLS.
    """
    if event.content_type == SSL2:
        hello, error = decode_partially(Ssl2ClientHello.read, event.body)
        return _decoded(hello, None, error, event.body)
    if datagram:
        start, end = _cookie(event.body)
        decoded: DecodedHello = _decode_client_hello(event.body[:start] + event.body[end:])
        error = decoded.error
        if error is not None and error.offset >= start:
            error = WireError(error.problem, error.offset + end - start)
            return _decoded(decoded.shared, decoded.template, error, decoded.body)
        return decoded
    return _decode_client_hello(event.body)


@cython.cfunc
def _decode_client_hello(body: bytes) -> DecodedHello:
    try:
        return _decode_with_template(CLIENT_HELLOS, ClientHello.read, body)
    except WireError:
        beginning, error = decode_partially(ClientHello.read_beginning, body)
        return _decoded(beginning, None, error, body)


def cookie(body: bytes) -> bytes:
    """Return the cookie in a ClientHello of DTLS; empty if there is none, or only a part of it was captured."""
    start, end = _cookie(body)
    return body[start + 1 : end] if end <= len(body) else b""


def _cookie(body: bytes) -> tuple[int, int]:
    """Return the place of the cookie with its length, after the session ID (RFC 6347 section 4.2.1).

    In a malformed hello it may end after the end of the body.
    """
    start = _SESSION_ID + 1 + int.from_bytes(body[_SESSION_ID : _SESSION_ID + 1], "big")
    return start, start + 1 + int.from_bytes(body[start : start + 1], "big")


@cython.ccall
def decode_server_hello(event: HandshakeEvent) -> DecodedHello:
    """Decode a ServerHello; raise WireError if it is malformed before its extensions."""
    if event.content_type == SSL2:
        hello, error = decode_partially(Ssl2ServerHello.read, event.body)
        return _decoded(hello, None, error, event.body)
    return _decode_with_template(SERVER_HELLOS, ServerHello.read, event.body)


def decode_retry_request(event: HandshakeEvent) -> DecodedHello:
    """Decode a HelloRetryRequest, which was a message type of its own until draft 21 of TLS 1.3."""
    if event.handshake_type == _HELLO_RETRY_REQUEST:
        hello, error = decode_partially(HelloRetryRequest.read, event.body)
        return _decoded(hello, None, error, event.body)
    return _decode_with_template(SERVER_HELLOS, ServerHello.read, event.body)


@cython.cfunc
def _decode_with_template(cache: HelloCache, read: Callable[[Reader], Any], body: bytes) -> DecodedHello:
    template: HelloTemplate | None = cache.find(body)
    if template is not None:
        return _decoded(template.hello, template, None, body)
    hello, error = decode_partially(read, body)
    return _decoded(hello, cache.learn(body, hello) if error is None else None, error, body)


class HeartbeatRecord(Struct, frozen=True, gc=False):
    """A record of the Heartbeat protocol."""

    sender: int
    size: int
    """The record's length field."""
    head: bytes
    """The plaintext before its payload; empty if it is encrypted."""
    frame: int


@cython.no_gc
@cython.cclass
class SealedRecord:
    """A protected record, or a packet of QUIC, that is kept to be opened with keys; it does not change."""

    sender: cython.longlong
    epoch: cython.longlong
    """ChangeCipherSpecs of the sender before it; in DTLS as in its header: its two low-order bits in DTLS 1.3."""
    number: Any
    """Protected records of the sender before it: in TLS 1.3 all of them, in older versions those of its epoch. In DTLS,
    its epoch and sequence number, which have 64 bits; 0 in DTLS 1.3, where they are encrypted."""
    content_type: cython.longlong
    version: cython.longlong
    body: bytes
    """Of a packet, all of it."""
    frame: cython.longlong
    """The frame that completed it."""
    time: cython.longlong
    start: cython.longlong
    """Stream offset of its header."""
    previous: bytes
    """The end of the sender's record before it: before TLS 1.1, the initialization vector of CBC."""
    header: bytes
    """The header of a record of DTLS."""


@cython.ccall
def new_sealed(
    sender: cython.longlong,
    epoch: cython.longlong,
    number: Any,
    content_type: cython.longlong,
    version: cython.longlong,
    body: bytes,
    frame: cython.longlong,
    time: cython.longlong,
    start: cython.longlong,
    previous: bytes = b"",
    header: bytes = b"",
) -> SealedRecord:
    """Make a protected record."""
    record: SealedRecord = SealedRecord.__new__(SealedRecord)
    record.sender = sender
    record.epoch = epoch
    record.number = number
    record.content_type = content_type
    record.version = version
    record.body = body
    record.frame = frame
    record.time = time
    record.start = start
    record.previous = previous
    record.header = header
    return record


class BegunAlert(Struct, frozen=True, gc=False):
    """The first byte of an alert, its level, whose second byte is in a later record (RFC 5246 section 6.2.1)."""

    level: bytes
    frame: int
    start: int
    """Stream offset of the record's header."""
    end: int
    """Stream offset after the record."""


def extension_data(extensions: tuple[Extension, ...] | None, number: cython.longlong) -> bytes | None:
    """Return the body of the first extension of a type; None if there is none."""
    for extension in extensions or ():
        if extension.extension_type == number:
            return extension.extension_data
    return None


def selected_version(hello: ServerHello | Ssl2ServerHello | HelloRetryRequest) -> int:
    """Return the version in supported_versions, or else legacy_version (RFC 8446 section 4.2.1)."""
    if not isinstance(hello, ServerHello):
        return hello.server_version
    data = extension_data(hello.extensions, _SUPPORTED_VERSIONS)
    return int.from_bytes(data, "big") if data is not None and len(data) == 2 else hello.legacy_version


def lacks_version(hello: ServerHello) -> bool:
    """Return whether a hello may be one of TLS 1.3 whose supported_versions is missing."""
    selected = extension_data(hello.extensions, _SUPPORTED_VERSIONS)
    return selected is None and hello.legacy_version == 0x0303


def offers_tls13(hello: ClientHello | Ssl2ClientHello) -> bool:
    """Return whether a client offers TLS 1.3 or a draft of it."""
    if not isinstance(hello, ClientHello):
        return False
    data = extension_data(hello.extensions, _SUPPORTED_VERSIONS)
    if data is None:
        return False
    return any(is_tls13(int.from_bytes(data[at : at + 2], "big")) for at in range(1, len(data) - 1, 2))


def offers_early_data(hello: ClientHello | Ssl2ClientHello) -> bool:
    """Return whether a client offers early data (RFC 8446 section 4.2.10)."""
    return isinstance(hello, ClientHello) and extension_data(hello.extensions, _EARLY_DATA) is not None


def pre_shared_keys(decoded: DecodedHello) -> bytes | None:
    """Return the body of the pre_shared_key extension, which is the last one (RFC 8446 section 4.2.11)."""
    if not (isinstance(decoded.shared, ClientHello) and decoded.shared.extensions):
        return None
    extensions = decoded.shared.extensions
    last = len(extensions) - 1
    if extensions[last].extension_type != _PRE_SHARED_KEY:
        return None
    template: HelloTemplate | None = decoded.template
    if template is None:
        data: bytes = extensions[last].extension_data
        return data
    # It varies, so it is in the last of the places.
    _, _, start, end = template.places[len(template.places) - 1]
    return decoded.body[start:end]
