"""When things happened that somebody waited for: what lookups are matched by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.capture.packet import time_or_none
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT

if TYPE_CHECKING:
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.facts.handshake import Handshake


class HandshakeTimes(Struct, frozen=True, gc=False):
    """Times of a handshake in nanoseconds, each None where the capture does not show it."""

    hello: int | None
    """The ClientHello."""
    shown: int | None
    """The client has the server's certificate: its Certificate, or in TLS 1.3 the ServerHello."""
    flight: int | None
    """The server has the client's certificate: its Certificate, or in TLS 1.3 the client's flight."""
    reply: int | None
    """The server's answer to that: ChangeCipherSpec or alert, or in TLS 1.3 its first record."""


def handshake_times(handshake: Handshake) -> HandshakeTimes:
    """Tell when a handshake's sides had what they could look up, and when they went on."""
    client_hello, server_hello, encrypted_flight = (
        handshake.log.client_hello,
        handshake.log.server_hello,
        handshake.encrypted_flight,
    )
    hello = _time(client_hello.event if client_hello else None)
    if handshake.log.tls13:
        flight = encrypted_flight.flight[-1] if encrypted_flight and encrypted_flight.flight else None
        return HandshakeTimes(
            hello,
            _time(server_hello.event if server_hello else None),
            _time(flight),
            _time(encrypted_flight and encrypted_flight.reply),
        )
    exchange = handshake.message(0, HandshakeType.CLIENT_KEY_EXCHANGE)
    flight = handshake.message(0, HandshakeType.CERTIFICATE) or exchange
    shown = handshake.message(1, HandshakeType.CERTIFICATE)
    return HandshakeTimes(hello, _time(shown), _time(flight), _time(_reply(handshake, flight)))


def _reply(handshake: Handshake, flight: HandshakeEvent | None) -> HandshakeEvent | None:
    if flight is None:
        return None
    later = [event for event in handshake.events[1] if event.frame >= flight.frame]
    alert = next((event for event in later if event.content_type == ALERT), None)
    change = handshake.change(1)
    return change if change is not None and change.frame >= flight.frame else alert


def _time(event: HandshakeEvent | None) -> int | None:
    return None if event is None else time_or_none(event.time)
