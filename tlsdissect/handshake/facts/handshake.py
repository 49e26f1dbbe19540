# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A handshake with its sides identified as client and server, from which all facts are derived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.encrypted_flight import EncryptedFlight, datagram_flight, encrypted_flight
from tlsdissect.handshake.events import DecodedHello, HandshakeEvent, cookie
from tlsdissect.handshake.facts.hello_extensions import NOTHING, Extensions, client_extensions, server_extensions
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_SIZE

if TYPE_CHECKING:
    from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
    from tlsdissect.model.connection import Side

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_FINISHED = HandshakeType.FINISHED
_HELLO_VERIFY_REQUEST = HandshakeType.HELLO_VERIFY_REQUEST
_SERVER_HELLO_DONE = HandshakeType.SERVER_HELLO_DONE

_WHOLE_FLIGHT = frozenset(
    (HandshakeType.SERVER_HELLO_DONE, HandshakeType.SERVER_KEY_EXCHANGE, HandshakeType.CERTIFICATE)
)

CLIENT, SERVER = 0, 1
"""The sides of a handshake. A `sender` in a log is a side of the flow, of which either may be the client. These are
integers because a member of an Enum would be converted in each call."""

# C integers, by the .pxd.
_ALERT, _CHANGE_CIPHER_SPEC, _HANDSHAKE = ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE
_CHANGE_SIZE = 1
"""Bytes of a ChangeCipherSpec that is not encrypted (RFC 5246 section 7.1)."""
_CLIENT, _SERVER = CLIENT, SERVER


@cython.no_gc
@cython.cclass
class Handshake:
    """A logged handshake with its sides named, its events sorted by side and kind, and its hellos decoded.

    Of each pair, the first belongs to the client and the second to the server. Nothing changes after `__init__`.
    """

    log: LoggedHandshake
    client: cython.longlong
    """The side of the flow that is the client."""
    tls13: cython.bint
    """As `LoggedHandshake.tls13`."""
    directions: tuple[DirectionSummary, DirectionSummary]
    events: tuple[list[HandshakeEvent], list[HandshakeEvent]]
    alerts: tuple[list[HandshakeEvent], list[HandshakeEvent]]
    messages: tuple[dict[int, HandshakeEvent], dict[int, HandshakeEvent]]
    """Of each side, its first plaintext handshake message of each type."""
    changes: list[HandshakeEvent | None]
    """Of each side, its first ChangeCipherSpec."""
    _finished: list[HandshakeEvent | None]
    """Of each side before TLS 1.3, its Finished: the first encrypted handshake record, or with a NULL suite a plaintext
    one."""
    client_hello: DecodedHello | None
    server_hello: DecodedHello | None
    client_extensions: Extensions
    """Extensions of the ClientHello."""
    server_extensions: Extensions
    """Extensions of the ServerHello."""
    cipher_suite: Any
    """The number of the selected cipher suite; None if there was none."""
    retry_or_verify_request: HandshakeEvent | None
    """The HelloRetryRequest, or DTLS's HelloVerifyRequest."""
    start: Any
    """The time of the first ClientHello; None if it was not captured or has no time."""
    is_full: Any
    """Whether this is a full handshake of TLS 1.2 or older; None if that is not visible."""
    encrypted_flight: EncryptedFlight | None
    """The client's encrypted flight in TLS 1.3; None for QUIC, which has no records."""

    def __init__(self, log: LoggedHandshake) -> None:
        """Name the sides of a logged handshake, and decode its hellos."""
        event: HandshakeEvent
        sent: list[HandshakeEvent]
        messages: dict[int, HandshakeEvent]
        side: cython.longlong
        client: cython.longlong = log.client
        self.log = log
        self.client = client
        self.tls13 = log.tls13
        self.directions = log.directions if client == 0 else (log.directions[1], log.directions[0])
        self.events = ([], [])
        self.alerts = ([], [])
        self.messages = ({}, {})
        self.changes = [None, None]
        self._finished = [None, None]
        for event in log.events:
            side = event.sender ^ client
            sent = self.events[side]
            sent.append(event)
            if event.handshake_type is not None:
                messages = self.messages[side]
                messages.setdefault(event.handshake_type, event)
                if (
                    event.handshake_type == _FINISHED
                    and self.changes[side] is not None
                    and self._finished[side] is None
                ):
                    self._note_finished(side, event)
            elif event.content_type == _CHANGE_CIPHER_SPEC:
                # A longer one is encrypted, of a renegotiation; but Cisco's DTLS has three bytes in the clear.
                plain: cython.bint = event.size == _CHANGE_SIZE or log.transport == "udp"
                if self.changes[side] is None and plain:
                    self.changes[side] = event
            elif event.content_type == _HANDSHAKE:
                if self._finished[side] is None:
                    self._note_finished(side, event)
            elif event.content_type == _ALERT:
                self.alerts[side].append(event)
        datagrams: cython.bint = log.transport == "udp"
        self.client_hello = None if log.client_hello is None else log.client_hello.decoded(datagrams)
        self.server_hello = None if log.server_hello is None else log.server_hello.decoded()
        self.client_extensions = NOTHING if self.client_hello is None else client_extensions(self.client_hello)
        self.server_extensions = NOTHING if self.server_hello is None else server_extensions(self.server_hello)
        self.cipher_suite = None if log.server_hello is None else log.server_hello.cipher_suite
        self.retry_or_verify_request = log.retry_request or self.message(_SERVER, _HELLO_VERIFY_REQUEST)
        self.start = _start(log, self.retry_or_verify_request)
        self.is_full = self._is_full()
        self.encrypted_flight = _encrypted_flight(log)

    @cython.ccall
    def side(self, sender: cython.longlong) -> Side:
        """Return the name of a side of the flow."""
        return "client" if sender == self.client else "server"

    @cython.ccall
    def direction(self, side: cython.longlong) -> DirectionSummary:
        """Return the state of the direction of a side, CLIENT or SERVER."""
        return self.directions[side]

    @cython.ccall
    def message(self, side: cython.longlong, kind: Any) -> HandshakeEvent | None:
        """Return the first plaintext handshake message of a type from a side, CLIENT or SERVER."""
        messages: dict[int, HandshakeEvent] = self.messages[side]
        return messages.get(kind)

    @cython.ccall
    def change(self, side: cython.longlong) -> HandshakeEvent | None:
        """Return a side's first ChangeCipherSpec."""
        return self.changes[side]

    @cython.ccall
    def finished(self, side: cython.longlong) -> HandshakeEvent | None:
        """Return a side's Finished in TLS 1.2 and older: its first encrypted handshake record."""
        return self._finished[side]

    @cython.ccall
    def lacks_first_hello(self) -> cython.bint:
        """Return whether the ClientHello is known to be a second one, which answers a HelloRetryRequest."""
        retry: HandshakeEvent | None = self.log.retry_request
        return (
            self.log.client_hello is not None and retry is not None and retry.frame < self.log.client_hello.event.frame
        )

    @cython.cfunc
    @cython.exceptval(-1)
    def _note_finished(self, side: cython.longlong, event: HandshakeEvent) -> cython.bint:
        """Note a record as a side's Finished, unless the Finished may be among bytes missing before it.

        Then it may be of a renegotiation, or a segment that somebody forged: the Finished may come later.
        """
        change: HandshakeEvent | None = self.changes[side]
        known: cython.bint = self.log.transport == "udp"
        if change is not None and not known:
            known = change.end == event.start or self.direction(side).is_whole(event.start)
        if known:
            self._finished[side] = event
        return True

    @cython.ccall
    def may_follow_finished(self, record: HandshakeEvent) -> cython.bint:
        """Return whether a Finished may be among bytes that are missing before a client's protected record."""
        flight: EncryptedFlight | None = self.encrypted_flight
        if flight is None or not self.follows_hole(_CLIENT, record):
            return False
        missing: cython.longlong = record.start - self.direction(_CLIENT).first_hole
        return missing >= HEADER_SIZE + flight.sizes.finished

    @cython.ccall
    def received(self, side: cython.longlong, record: HandshakeEvent) -> cython.longlong:
        """Return up to which stream offset a side had received the other's stream when it sent a record.

        UNKNOWN if the acknowledgement of its packet is not known.
        """
        if record.acknowledgement == UNKNOWN:
            return UNKNOWN
        return self.direction(1 - side).offset(record.acknowledgement)

    @cython.ccall
    def follows_hole(self, side: cython.longlong, record: HandshakeEvent) -> cython.bint:
        """Return whether bytes directly before a record are missing in a stream: its sender may have sent more."""
        event: HandshakeEvent
        if self.log.transport == "udp" or self.direction(side).is_whole(record.start):
            return False
        for event in self.events[side]:  # noqa: SIM110  # a generator would be a closure
            if event.end == record.start:
                return False
        return True

    @cython.cfunc
    def _is_full(self) -> Any:
        if not _WHOLE_FLIGHT.isdisjoint(self.messages[_SERVER]):
            return True
        change = self.change(_SERVER)
        shown = (
            change is not None and self.log.server_hello is not None and self.direction(_SERVER).is_whole(change.start)
        )
        return False if shown else None

    @property
    def server_is_whole(self) -> bool:
        """Whether no byte of the server's flight up to ServerHelloDone or ChangeCipherSpec is missing."""
        seen = self.message(_SERVER, _SERVER_HELLO_DONE) or self.change(_SERVER)
        if seen is None or self.log.server_hello is None or 1 - self.client in self.log.limited:
            return False
        return self.direction(_SERVER).is_whole(seen.end)


@cython.cfunc
def _encrypted_flight(log: LoggedHandshake) -> EncryptedFlight | None:
    if log.quic is not None or not log.tls13:
        return None
    return datagram_flight(log) if log.transport == "udp" else encrypted_flight(log)


@cython.cfunc
def _start(log: LoggedHandshake, retry_request: HandshakeEvent | None) -> Any:
    """Return the time of the first ClientHello; None if it was not captured or has no time."""
    client_hello = log.client_hello
    if client_hello is None or (retry_request is not None and retry_request.frame < client_hello.event.frame):
        return None
    if log.transport == "udp" and cookie(client_hello.event.body):
        # The client sends the server's cookie, so this is its second ClientHello.
        return None
    return time_or_none(client_hello.event.time)
