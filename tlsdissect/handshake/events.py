"""What was seen of a conversation's TLS, in order, before anything is concluded from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.server_hello import RETRY_RANDOM

if TYPE_CHECKING:
    from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
    from tlsdissect.tls.hello_cache import HelloTemplate
    from tlsdissect.tls.server_hello import HelloRetryRequest, ServerHello, Ssl2ServerHello


class HandshakeEvent(Struct, frozen=True, gc=False):
    """A handshake message, ChangeCipherSpec, alert, or record that nobody can read."""

    sender: int
    content_type: int
    handshake_type: int | None
    """None where the message is encrypted, and for what is no handshake message."""
    size: int
    """The length field: the message's, or the record's where there is no message to see."""
    body: bytes
    frame: int
    time: int
    start: int
    """Stream offset of the header of the record in which it begins."""
    end: int
    """Stream offset behind the record in which it ends."""
    encrypted: bool

    @property
    def whole(self) -> bool:
        """Whether a message in the clear is all there: what is not in one that was cut, may have been."""
        return len(self.body) >= self.size

    @property
    def is_retry_request(self) -> bool:
        """Whether this is a HelloRetryRequest: a ServerHello with a certain random (RFC 8446 section 4.1.3)."""
        if self.handshake_type == HandshakeType.SERVER_HELLO:
            return self.body[2 : 2 + len(RETRY_RANDOM)] == RETRY_RANDOM
        return self.handshake_type == HandshakeType.HELLO_RETRY_REQUEST


class SeenClientHello(Struct, frozen=True):
    """A ClientHello with what it says, as far as it could be read."""

    event: HandshakeEvent
    hello: ClientHello | Ssl2ClientHello
    segments: int
    """In how many segments it came."""
    template: HelloTemplate[ClientHello] | None = None
    """What it has in common with other hellos, where that is known."""


class SeenServerHello(Struct, frozen=True):
    """A ServerHello with what it says, as far as it could be read."""

    event: HandshakeEvent
    hello: ServerHello | Ssl2ServerHello
    template: HelloTemplate[ServerHello] | None = None
    """What it has in common with other hellos, where that is known."""


class SeenRetryRequest(Struct, frozen=True):
    """A HelloRetryRequest with what it says, as far as it could be read."""

    event: HandshakeEvent
    hello: ServerHello | HelloRetryRequest


class HeartbeatRecord(Struct, frozen=True, gc=False):
    """A record of the Heartbeat protocol."""

    sender: int
    size: int
    """The record's length field."""
    head: bytes
    """What of it is in the clear before its payload."""
    frame: int


class BegunAlert(Struct, frozen=True, gc=False):
    """The first byte of an alert, its level, whose second byte is in a later record (RFC 5246 section 6.2.1)."""

    level: bytes
    frame: int
    start: int
    """Stream offset of the record's header."""
    end: int
    """Stream offset behind the record."""


class Trouble(Struct, frozen=True, gc=False):
    """Something that could not be read, and where."""

    code: str
    detail: str
    frame: int
    offset: int | None
