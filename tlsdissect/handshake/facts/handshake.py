"""A conversation's TLS with its sides named: what every fact is concluded from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.capture.packet import time_or_none
from tlsdissect.handshake.encrypted_flight import EncryptedFlight, encrypted_flight
from tlsdissect.handshake.facts.hellos import Extensions, client_extensions, server_extensions
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE
from tlsdissect.tls.server_hello import ServerHello

if TYPE_CHECKING:
    from tlsdissect.handshake.direction import Direction
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.tracker import Tracker
    from tlsdissect.model.connection import Side

_WHOLE_FLIGHT = frozenset(
    (HandshakeType.SERVER_HELLO_DONE, HandshakeType.SERVER_KEY_EXCHANGE, HandshakeType.CERTIFICATE)
)

NOTHING = Extensions((), {})


class Handshake(Struct, frozen=True, gc=False):
    """Both sides of a TLS connection."""

    log: HandshakeLog
    client: int
    directions: tuple[Direction, Direction]
    """The client's, the server's."""
    events: tuple[list[HandshakeEvent], list[HandshakeEvent]]
    """What the client said, what the server said."""
    alerts: tuple[list[HandshakeEvent], list[HandshakeEvent]]
    """The client's alerts, the server's."""
    said: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]]
    """The client's and the server's first handshake message of each type in the clear."""
    changes: list[HandshakeEvent | None]
    """Each side's first ChangeCipherSpec."""
    sealed: list[HandshakeEvent | None]
    """Each side's first encrypted handshake record: in TLS 1.2 and older its Finished."""
    asked: Extensions
    """Extensions of the ClientHello."""
    answered: Extensions
    """Extensions of the ServerHello."""
    encrypted_flight: EncryptedFlight | None
    """What the lengths of records tell of TLS 1.3."""
    tracker: Tracker

    @classmethod
    def of(cls, tracker: Tracker, client: int) -> Handshake:
        """Name the sides of a conversation."""
        log = tracker.log
        directions = tracker.directions[client], tracker.directions[1 - client]
        events: tuple[list[HandshakeEvent], list[HandshakeEvent]] = ([], [])
        alerts: tuple[list[HandshakeEvent], list[HandshakeEvent]] = ([], [])
        said: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]] = ({}, {})
        changes: list[HandshakeEvent | None] = [None, None]
        sealed: list[HandshakeEvent | None] = [None, None]
        for event in log.events:
            side = event.sender ^ client
            events[side].append(event)
            if event.handshake_type is not None:
                said[side].setdefault(event.handshake_type, event)
            elif event.content_type == CHANGE_CIPHER_SPEC:
                changes[side] = changes[side] or event
            elif event.content_type == HANDSHAKE:
                sealed[side] = sealed[side] or event
            elif event.content_type == ALERT:
                alerts[side].append(event)
        asked = client_extensions(log.client_hello, directions[0]) if log.client_hello else NOTHING
        answered = server_extensions(log.server_hello, directions[1]) if log.server_hello else NOTHING
        return cls(
            log,
            client,
            directions,
            events,
            alerts,
            said,
            changes,
            sealed,
            asked,
            answered,
            encrypted_flight(log),
            tracker,
        )

    def side(self, sender: int) -> Side:
        """The name of a side."""
        return "client" if sender == self.client else "server"

    def message(self, side: int, kind: HandshakeType) -> HandshakeEvent | None:
        """The first handshake message of a type that a side (0: client, 1: server) sent in the clear."""
        return self.said[side].get(kind)

    def change(self, side: int) -> HandshakeEvent | None:
        """A side's first ChangeCipherSpec."""
        return self.changes[side]

    def finished(self, side: int) -> HandshakeEvent | None:
        """What ends the handshake on a side: the first encrypted handshake record of TLS 1.2 and older."""
        return self.sealed[side]

    @property
    def start(self) -> int | None:
        """The time of the first ClientHello; None where it was not seen, or has no time."""
        client_hello, hello_retry = self.log.client_hello, self.log.hello_retry
        if client_hello is None or (hello_retry is not None and hello_retry.event.frame < client_hello.event.frame):
            return None
        return time_or_none(client_hello.event.time)

    @property
    def cipher_suite(self) -> int | None:
        """The number of the suite that the server chose."""
        server_hello = self.log.server_hello
        return server_hello.hello.cipher_suite if server_hello and isinstance(server_hello.hello, ServerHello) else None

    @property
    def is_full(self) -> bool | None:
        """Whether a server of TLS 1.2 or older answered with a whole flight; None: the capture does not show it."""
        if not _WHOLE_FLIGHT.isdisjoint(self.said[1]):
            return True
        change = self.change(1)
        shown = change is not None and self.log.server_hello is not None and self.directions[1].is_whole(change.start)
        return False if shown else None

    @property
    def server_is_whole(self) -> bool:
        """Whether the server's flight was seen to its ServerHelloDone or ChangeCipherSpec, without a hole."""
        seen = self.message(1, HandshakeType.SERVER_HELLO_DONE) or self.change(1)
        if seen is None or self.log.server_hello is None or 1 - self.client in self.log.limited:
            return False
        return self.directions[1].is_whole(seen.end)
