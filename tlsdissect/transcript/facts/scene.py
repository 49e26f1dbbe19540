"""A conversation's TLS with its sides named: what every fact is concluded from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.capture.packet import time_or_none
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.transcript.facts.hellos import Extensions, client_extensions, server_extensions
from tlsdissect.transcript.tracking.shapes import Shape, shape

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Side
    from tlsdissect.transcript.tracking.half import Half
    from tlsdissect.transcript.tracking.script import Script
    from tlsdissect.transcript.tracking.seen import Item
    from tlsdissect.transcript.tracking.tracker import Tracker

_WHOLE_FLIGHT = frozenset(
    (HandshakeType.SERVER_HELLO_DONE, HandshakeType.SERVER_KEY_EXCHANGE, HandshakeType.CERTIFICATE)
)

NOTHING = Extensions((), {})


class Scene(Struct, frozen=True, gc=False):
    """Both sides of a TLS connection."""

    script: Script
    client: int
    halves: tuple[Half, Half]
    """The client's, the server's."""
    items: tuple[list[Item], list[Item]]
    """What the client said, what the server said."""
    alerts: tuple[list[Item], list[Item]]
    """The client's alerts, the server's."""
    said: tuple[dict[int, Item], dict[int, Item]]
    """The client's and the server's first handshake message of each type in the clear."""
    changes: list[Item | None]
    """Each side's first ChangeCipherSpec."""
    sealed: list[Item | None]
    """Each side's first encrypted handshake record: in TLS 1.2 and older its Finished."""
    asked: Extensions
    """Extensions of the ClientHello."""
    answered: Extensions
    """Extensions of the ServerHello."""
    shape: Shape | None
    """What the lengths of records tell of TLS 1.3."""
    tracker: Tracker

    @classmethod
    def of(cls, tracker: Tracker, client: int) -> Scene:
        """Name the sides of a conversation."""
        script = tracker.script
        halves = tracker.halves[client], tracker.halves[1 - client]
        items: tuple[list[Item], list[Item]] = ([], [])
        alerts: tuple[list[Item], list[Item]] = ([], [])
        said: tuple[dict[int, Item], dict[int, Item]] = ({}, {})
        changes: list[Item | None] = [None, None]
        sealed: list[Item | None] = [None, None]
        for item in script.items:
            side = item.sender ^ client
            items[side].append(item)
            if item.handshake_type is not None:
                said[side].setdefault(item.handshake_type, item)
            elif item.content_type == CHANGE_CIPHER_SPEC:
                changes[side] = changes[side] or item
            elif item.content_type == HANDSHAKE:
                sealed[side] = sealed[side] or item
            elif item.content_type == ALERT:
                alerts[side].append(item)
        asked = client_extensions(script.offer, halves[0]) if script.offer else NOTHING
        answered = server_extensions(script.answer, halves[1]) if script.answer else NOTHING
        return cls(
            script, client, halves, items, alerts, said, changes, sealed, asked, answered, shape(script), tracker
        )

    def side(self, sender: int) -> Side:
        """The name of a side."""
        return "client" if sender == self.client else "server"

    def message(self, side: int, kind: HandshakeType) -> Item | None:
        """The first handshake message of a type that a side (0: client, 1: server) sent in the clear."""
        return self.said[side].get(kind)

    def change(self, side: int) -> Item | None:
        """A side's first ChangeCipherSpec."""
        return self.changes[side]

    def finished(self, side: int) -> Item | None:
        """What ends the handshake on a side: the first encrypted handshake record of TLS 1.2 and older."""
        return self.sealed[side]

    @property
    def start(self) -> int | None:
        """The time of the first ClientHello; None where it was not seen, or has no time."""
        offer, retry = self.script.offer, self.script.retry
        if offer is None or (retry is not None and retry.item.frame < offer.item.frame):
            return None
        return time_or_none(offer.item.time)

    @property
    def cipher_suite(self) -> int | None:
        """The number of the suite that the server chose."""
        answer = self.script.answer
        return answer.hello.cipher_suite if answer and isinstance(answer.hello, ServerHello) else None

    @property
    def is_full(self) -> bool | None:
        """Whether a server of TLS 1.2 or older answered with a whole flight; None: the capture does not show it."""
        if not _WHOLE_FLIGHT.isdisjoint(self.said[1]):
            return True
        change = self.change(1)
        shown = change is not None and self.script.answer is not None and self.halves[1].is_whole(change.start)
        return False if shown else None

    @property
    def server_is_whole(self) -> bool:
        """Whether the server's flight was seen to its ServerHelloDone or ChangeCipherSpec, without a hole."""
        seen = self.message(1, HandshakeType.SERVER_HELLO_DONE) or self.change(1)
        if seen is None or self.script.answer is None or 1 - self.client in self.script.limited:
            return False
        return self.halves[1].is_whole(seen.end)
