"""When things happened that somebody waited for: what lookups are matched by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.capture.packet import time_or_none
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT

if TYPE_CHECKING:
    from tlsdissect.transcript.facts.scene import Scene
    from tlsdissect.transcript.tracking.seen import Item


class Moments(Struct, frozen=True, gc=False):
    """Times of a handshake in nanoseconds, each None where the capture does not show it."""

    hello: int | None
    """The ClientHello."""
    shown: int | None
    """The client has the server's certificate: its Certificate, or in TLS 1.3 the ServerHello."""
    flight: int | None
    """The server has the client's certificate: its Certificate, or in TLS 1.3 the client's flight."""
    reply: int | None
    """The server's answer to that: ChangeCipherSpec or alert, or in TLS 1.3 its first record."""


def moments(scene: Scene) -> Moments:
    """Tell when a handshake's sides had what they could look up, and when they went on."""
    offer, answer, shape = scene.script.offer, scene.script.answer, scene.shape
    hello = _time(offer.item if offer else None)
    if scene.script.tls13:
        flight = shape.flight[-1] if shape and shape.flight else None
        return Moments(hello, _time(answer.item if answer else None), _time(flight), _time(shape and shape.reply))
    exchange = scene.message(0, HandshakeType.CLIENT_KEY_EXCHANGE)
    flight = scene.message(0, HandshakeType.CERTIFICATE) or exchange
    shown = scene.message(1, HandshakeType.CERTIFICATE)
    return Moments(hello, _time(shown), _time(flight), _time(_reply(scene, flight)))


def _reply(scene: Scene, flight: Item | None) -> Item | None:
    if flight is None:
        return None
    later = [item for item in scene.items[1] if item.frame >= flight.frame]
    alert = next((item for item in later if item.content_type == ALERT), None)
    change = scene.change(1)
    return change if change is not None and change.frame >= flight.frame else alert


def _time(item: Item | None) -> int | None:
    return None if item is None else time_or_none(item.time)
