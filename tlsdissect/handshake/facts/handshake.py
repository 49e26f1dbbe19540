"""A handshake with its sides identified as client and server, from which all facts are derived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.capture.packet import time_or_none
from tlsdissect.handshake.encrypted_flight import EncryptedFlight, encrypted_flight
from tlsdissect.handshake.events import decode_client_hello, decode_server_hello
from tlsdissect.handshake.facts.hellos import NOTHING, Extensions, client_extensions, server_extensions
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE

if TYPE_CHECKING:
    from tlsdissect.handshake.events import DecodedHello, HandshakeEvent
    from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
    from tlsdissect.model.connection import Side
    from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
    from tlsdissect.tls.server_hello import ServerHello, Ssl2ServerHello

_WHOLE_FLIGHT = frozenset(
    (HandshakeType.SERVER_HELLO_DONE, HandshakeType.SERVER_KEY_EXCHANGE, HandshakeType.CERTIFICATE)
)


class Handshake(Struct, frozen=True, gc=False):
    """A logged handshake with its sides named, its events sorted by side and kind, and its hellos decoded.

    Of each pair, the first belongs to the client and the second to the server.
    """

    log: LoggedHandshake
    client: int
    """The side of the flow that is the client."""
    directions: tuple[DirectionSummary, DirectionSummary]
    events: tuple[list[HandshakeEvent], list[HandshakeEvent]]
    alerts: tuple[list[HandshakeEvent], list[HandshakeEvent]]
    messages: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]]
    """The first handshake message of each type in the clear."""
    changes: list[HandshakeEvent | None]
    """The first ChangeCipherSpec."""
    sealed: list[HandshakeEvent | None]
    """The first encrypted handshake record: in TLS 1.2 and older, the Finished."""
    client_hello: DecodedHello[ClientHello | Ssl2ClientHello] | None
    server_hello: DecodedHello[ServerHello | Ssl2ServerHello] | None
    client_extensions: Extensions
    """Extensions of the ClientHello."""
    server_extensions: Extensions
    """Extensions of the ServerHello."""
    encrypted_flight: EncryptedFlight | None
    """The client's encrypted flight in TLS 1.3."""

    @classmethod
    def of(cls, log: LoggedHandshake) -> Handshake:
        """Name the sides of a logged handshake, and decode its hellos."""
        client = log.client
        events: tuple[list[HandshakeEvent], list[HandshakeEvent]] = ([], [])
        alerts: tuple[list[HandshakeEvent], list[HandshakeEvent]] = ([], [])
        messages: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]] = ({}, {})
        changes: list[HandshakeEvent | None] = [None, None]
        sealed: list[HandshakeEvent | None] = [None, None]
        for event in log.events:
            side = event.sender ^ client
            events[side].append(event)
            if event.handshake_type is not None:
                messages[side].setdefault(event.handshake_type, event)
            elif event.content_type == CHANGE_CIPHER_SPEC:
                changes[side] = changes[side] or event
            elif event.content_type == HANDSHAKE:
                sealed[side] = sealed[side] or event
            elif event.content_type == ALERT:
                alerts[side].append(event)
        client_hello, server_hello = None, None
        if log.client_hello is not None:
            client_hello = decode_client_hello(log.client_hello.event)
        if log.server_hello is not None:
            server_hello = decode_server_hello(log.server_hello.event)
        return cls(
            log,
            client,
            log.directions if client == 0 else (log.directions[1], log.directions[0]),
            events,
            alerts,
            messages,
            changes,
            sealed,
            client_hello,
            server_hello,
            NOTHING if client_hello is None else client_extensions(client_hello),
            NOTHING if server_hello is None else server_extensions(server_hello),
            encrypted_flight(log),
        )

    def side(self, sender: int) -> Side:
        """Return the name of a side."""
        return "client" if sender == self.client else "server"

    def message(self, side: int, kind: HandshakeType) -> HandshakeEvent | None:
        """Return the first plaintext handshake message of a type from a side (0: client, 1: server)."""
        return self.messages[side].get(kind)

    def change(self, side: int) -> HandshakeEvent | None:
        """Return a side's first ChangeCipherSpec."""
        return self.changes[side]

    def finished(self, side: int) -> HandshakeEvent | None:
        """Return a side's Finished in TLS 1.2 and older: its first encrypted handshake record."""
        return self.sealed[side]

    @property
    def start(self) -> int | None:
        """The time of the first ClientHello; None if it was not captured or has no time."""
        client_hello, hello_retry = self.log.client_hello, self.log.hello_retry
        if client_hello is None or (hello_retry is not None and hello_retry.frame < client_hello.event.frame):
            return None
        return time_or_none(client_hello.event.time)

    @property
    def cipher_suite(self) -> int | None:
        """The number of the selected cipher suite."""
        return None if self.log.server_hello is None else self.log.server_hello.cipher_suite

    @property
    def is_full(self) -> bool | None:
        """Whether this is a full handshake of TLS 1.2 or older; None if that is not visible."""
        if not _WHOLE_FLIGHT.isdisjoint(self.messages[1]):
            return True
        change = self.change(1)
        shown = change is not None and self.log.server_hello is not None and self.directions[1].is_whole(change.start)
        return False if shown else None

    @property
    def server_is_whole(self) -> bool:
        """Whether no byte of the server's flight up to ServerHelloDone or ChangeCipherSpec is missing."""
        seen = self.message(1, HandshakeType.SERVER_HELLO_DONE) or self.change(1)
        if seen is None or self.log.server_hello is None or 1 - self.client in self.log.limited:
            return False
        return self.directions[1].is_whole(seen.end)
