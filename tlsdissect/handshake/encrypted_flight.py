# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The encrypted flights of TLS 1.3, found by the lengths of their records.

Goal: find the client's Finished and the server's first record after it without keys, because the outcome, the timing
and the acceptance of early data depend on them. Encrypted records all have the type application_data (RFC 8446 section
5.2). But a Finished in a record of its own has a fixed length for each cipher suite, so the client's flight ends with
its first record of that length. Alerts and EndOfEarlyData have fixed lengths too. Without a record of that length,
because a client pads records or puts several messages in one, the flight ends before the server's next record.

Counting records instead would fail: their number in a flight depends on the implementation and on certificates.

A search is linear in the protected records, whose number `MAX_PROTECTED` and `MAX_EVENTS` limit. While a handshake is
undecided, the tracker repeats it with every packet that completes records after the server's reply.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.dtls import ACK, MEDIA
from tlsdissect.tls.record import APPLICATION_DATA, HANDSHAKE

if TYPE_CHECKING:
    from tlsdissect.handshake.events import HandshakeEvent, SeenClientHello, SeenServerHello
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.logged import LoggedHandshake

_HMAC_ONLY = 3
"""Words in the name of a cipher suite without encryption: TLS_SHA256_SHA256."""
_APPLICATION_DATA = APPLICATION_DATA  # a C integer, by the .pxd
_LONGER = 8
"""Bytes by which the header of a handshake message is longer in DTLS (RFC 9147 section 5.2)."""
_PADDING = 16
"""Zeros by which Java (JSSE) pads its records of TLS 1.3, except application data."""
_HASHES = {"SHA256": 32, "SHA384": 48, "SHA512": 64, "SM3": 32}


class RecordLengths(NamedTuple):
    """Lengths of the protected records that contain one of these messages alone, without padding."""

    finished: int
    alert: int
    end_of_early_data: int


@lru_cache(maxsize=64)
def sizes(cipher_suite: cython.longlong) -> RecordLengths:
    """Return the record lengths of a TLS 1.3 cipher suite."""
    words = Registry.CIPHER_SUITES.names[cipher_suite].split("_")
    size = _HASHES.get(words[len(words) - 1], 32)
    # A cipher suite without encryption uses HMAC, whose tag is as long as its hash (RFC 9150 section 4).
    tag = 8 if "8" in words else size if len(words) == _HMAC_ONLY else 16
    return RecordLengths(size + 4 + 1 + tag, 2 + 1 + tag, 4 + 1 + tag)


def is_guessed(cipher_suite: cython.longlong) -> bool:
    """Return whether a cipher suite is not registered, so that its hash and tag lengths are a guess."""
    return Registry.CIPHER_SUITES.names[cipher_suite].startswith("0x")


@cython.no_gc
@cython.cclass
class EncryptedFlight:
    """The client's flight of a TLS 1.3 handshake and the records around it, found by their lengths."""

    sizes: RecordLengths
    flight: list[HandshakeEvent]
    """The client's protected records from the ServerHello to its Finished, without early data."""
    exact: cython.bint
    """Whether the last of them has the length of a Finished."""
    ended_early_data: cython.bint
    """Whether the client sent a record with the length of an EndOfEarlyData, which shows that early data was accepted.

    `flight_after` looks for that record; the fact `early_data` is `facts.negotiation.early_data`.
    """
    before: HandshakeEvent | None
    """The server's last protected record before that flight."""
    reply: HandshakeEvent | None
    """The server's first protected record after it."""
    after: list[HandshakeEvent]
    """The client's protected records after it."""
    alerts: list[int]
    """The length of an alert of each side, by its number."""

    def __init__(
        self,
        lengths: RecordLengths,
        protected: list[HandshakeEvent],
        server: cython.longlong,
        begin: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        exact: cython.bint,
        ended_early_data: cython.bint,
        padding: cython.longlong = 0,
    ) -> None:
        """Take the flight from `protected[begin:end]`; `protected` has the encrypted records of both sides.

        Each record of the client's flight has `padding` bytes of padding.
        """
        event: HandshakeEvent
        n: cython.Py_ssize_t
        self.sizes = lengths
        self.flight = []
        self.exact = exact
        self.ended_early_data = ended_early_data
        self.before = None
        self.reply = None
        self.after = []
        self.alerts = [lengths.alert, lengths.alert]
        self.alerts[1 - server] += padding
        for n in range(len(protected)):
            event = protected[n]
            if event.sender != server and n >= begin:
                (self.flight if n < end else self.after).append(event)
            elif event.sender != server:
                continue
            elif n < begin:
                self.before = event
                padded: cython.bint = event.size == lengths.finished + _PADDING
                self.alerts[server] = lengths.alert + (_PADDING if padded else 0)
            elif n >= end and self.reply is None:
                self.reply = event

    @cython.ccall
    def has_server_finished(self) -> cython.bint:
        """Return whether the server's last record before the flight has the length of its Finished."""
        before: HandshakeEvent | None = self.before
        if before is None:
            return False
        padding: cython.longlong = self.alerts[before.sender] - self.sizes.alert
        return before.size - padding == self.sizes.finished

    @cython.ccall
    def last(self) -> HandshakeEvent | None:
        """Return the last record of the flight; None if there is none."""
        return self.flight[len(self.flight) - 1] if self.flight else None

    def only_alerts(self, position: cython.longlong, last_data: tuple[int, int] | None) -> bool:
        """Return whether all that the server sent after the flight is a record or two of an alert's length.

        `position` is the end of its stream, `last_data` the place and the length of its last record. A server of
        GnuTLS may send two alerts.
        """
        alert: HandshakeEvent | None = self.reply
        if alert is None or alert.size != self.alerts[alert.sender]:
            return False
        after: cython.longlong = position - alert.end
        return after == 0 or (after == alert.end - alert.start and last_data == (alert.end, alert.size))

    @property
    def refused(self) -> bool:
        """Whether the client's flight begins with a record of an alert's length and has no Finished."""
        alert = self.sizes.alert
        return bool(self.flight) and not self.exact and self.flight[0].size in (alert, alert + _PADDING)


def encrypted_flight(log: HandshakeLog | LoggedHandshake) -> EncryptedFlight | None:
    """Find the client's flight; None if the server did not select TLS 1.3."""
    if log.server_hello is None or not log.tls13:
        return None
    return flight_after(log.server_hello, log.client_hello, log.retry_request, log.events)


@cython.ccall
def flight_after(
    server_hello: SeenServerHello,
    client_hello: SeenClientHello | None,
    retry_request: HandshakeEvent | None,
    events: list[HandshakeEvent],
) -> EncryptedFlight | None:
    """Find the client's flight after a ServerHello of TLS 1.3; None if that has no cipher suite.

    This is also where it is decided that the server accepted early data: only then does the client send an
    EndOfEarlyData (RFC 8446 section 4.5), which is recognized by the length of its record.
    """
    if server_hello.cipher_suite is None:
        return None
    lengths = sizes(server_hello.cipher_suite)
    protected: list[HandshakeEvent] = _protected(server_hello.event, events)
    server: cython.longlong = server_hello.event.sender
    client: cython.longlong = 1 - server
    # After a HelloRetryRequest there is no early data: RFC 8446 section 4.2.10.
    early: cython.bint = client_hello is not None and retry_request is None and client_hello.offers_early_data
    start: cython.Py_ssize_t = _after(protected, 0, client, lengths.end_of_early_data) if early else 0
    ended_early_data: cython.bint = start > 0
    end: cython.Py_ssize_t = _after(protected, start, client, lengths.finished)
    padding: cython.longlong = 0
    if end == 0:
        end = _after(protected, start, client, lengths.finished + _PADDING)
        padding = _PADDING if end > 0 else 0
    exact: cython.bint = end > 0
    if not exact:
        end = _before_reply(protected, server, start, lengths.finished)
    if end == 0:
        return EncryptedFlight(lengths, protected, server, len(protected), len(protected), False, ended_early_data)
    if early and not ended_early_data:
        # A client sends early data that is rejected until it receives the server's flight; its own flight follows.
        start = _after_last(protected, end, server)
    begin: cython.Py_ssize_t = _first(protected, start, client)
    refusal: cython.Py_ssize_t = _refusal(protected, begin, end, server, lengths.alert)
    if refusal > 0:
        end, exact = refusal, False
    return EncryptedFlight(lengths, protected, server, begin, end, exact, ended_early_data, padding)


def datagram_flight(log: LoggedHandshake | HandshakeLog) -> EncryptedFlight | None:
    """Find the client's flight in DTLS 1.3; None if the server did not select that.

    The epoch of a record tells whether it is of the handshake or application data (RFC 9147 section 6.1). What may
    be an acknowledgement is no message; but the server's shows that it has the client's flight, as do its media.
    """
    server_hello = log.server_hello
    if server_hello is None or not log.tls13 or server_hello.cipher_suite is None:
        return None
    lengths = sizes(server_hello.cipher_suite)
    lengths = lengths._replace(finished=lengths.finished + _LONGER)
    server: cython.longlong = server_hello.event.sender
    client: cython.longlong = 1 - server
    records: list[HandshakeEvent] = [event for event in log.events if event.encrypted]
    messages: list[HandshakeEvent] = [one for one in records if one.content_type == HANDSHAKE]
    end: cython.Py_ssize_t = _after(messages, 0, client, lengths.finished)
    exact: cython.bint = end > 0
    if not exact:
        end = _after_last(messages, len(messages), client)
    if end == 0:
        return EncryptedFlight(lengths, messages, server, len(messages), len(messages), False, False)
    later = records[records.index(messages[end - 1]) :]
    kinds = {client: (APPLICATION_DATA, MEDIA), server: (APPLICATION_DATA, ACK, MEDIA)}
    data = [one for one in later if one.content_type in kinds[one.sender]]
    return EncryptedFlight(lengths, messages[:end] + data, server, _first(messages, 0, client), end, exact, False)


@cython.cfunc
def _protected(hello: HandshakeEvent, events: list[HandshakeEvent]) -> list[HandshakeEvent]:
    """Return the protected records after the ServerHello.

    The log lacks the ServerHello if bytes of it are missing or a limit was reached; then its frame counts.
    """
    event: HandshakeEvent
    found: list[HandshakeEvent] = []
    passed: cython.bint = False
    for event in events:
        if event is hello:
            passed = True
            found = []
        elif event.content_type == _APPLICATION_DATA and (passed or event.frame >= hello.frame):
            found.append(event)
    return found


@cython.cfunc
def _after(
    events: list[HandshakeEvent], start: cython.Py_ssize_t, sender: cython.longlong, size: cython.longlong
) -> cython.Py_ssize_t:
    """Return the index after a side's first record with a length, from `start` on; 0 if there is none."""
    n: cython.Py_ssize_t
    event: HandshakeEvent
    for n in range(start, len(events)):
        event = events[n]
        if event.size == size and event.sender == sender:
            return n + 1
    return 0


@cython.cfunc
def _first(events: list[HandshakeEvent], start: cython.Py_ssize_t, sender: cython.longlong) -> cython.Py_ssize_t:
    """Return the index of a side's first record from `start` on; the number of records if there is none."""
    n: cython.Py_ssize_t
    event: HandshakeEvent
    for n in range(start, len(events)):
        event = events[n]
        if event.sender == sender:
            return n
    return len(events)


@cython.cfunc
def _refusal(
    events: list[HandshakeEvent],
    begin: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    server: cython.longlong,
    alert: cython.longlong,
) -> cython.Py_ssize_t:
    """Return the index of an alert by which the server ends the client's flight, between these indexes; 0 if none does.

    A server that refuses an empty Certificate may do so before the Finished comes. After it sends a record of an
    alert's length, it sends no other.
    """
    event: HandshakeEvent
    n: cython.Py_ssize_t
    found: cython.Py_ssize_t = 0
    for n in range(begin, len(events)):
        event = events[n]
        if event.sender == server and event.size not in (alert, alert + _PADDING):
            return 0
        if event.sender == server and found == 0:
            found = n
    return found if found < end else 0


@cython.cfunc
def _after_last(events: list[HandshakeEvent], end: cython.Py_ssize_t, sender: cython.longlong) -> cython.Py_ssize_t:
    """Return the index after a side's last record before `end`; 0 if there is none."""
    n: cython.Py_ssize_t
    event: HandshakeEvent
    after: cython.Py_ssize_t = 0
    for n in range(end):
        event = events[n]
        if event.sender == sender:
            after = n + 1
    return after


@cython.cfunc
def _before_reply(
    protected: list[HandshakeEvent], server: cython.longlong, start: cython.Py_ssize_t, finished: cython.longlong
) -> cython.Py_ssize_t:
    """Return the index after the client's last record before the server's second group of records; 0 if there is none.

    That is the end of the client's first group of records after the server's first record. Records at its end that are
    too short for a Finished are application data, unless all are.
    """
    event: HandshakeEvent
    n: cython.Py_ssize_t
    begin: cython.Py_ssize_t = _first(protected, max(start, _first(protected, 0, server)), 1 - server)
    end: cython.Py_ssize_t = _first(protected, begin, server) if begin < len(protected) else 0
    for n in range(end, begin, -1):
        event = protected[n - 1]
        if event.size >= finished:
            return n
    return end
