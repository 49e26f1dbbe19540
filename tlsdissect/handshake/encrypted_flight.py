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

from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.record import APPLICATION_DATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.logged import LoggedHandshake

_HMAC_ONLY = 3
"""Words in the name of a cipher suite without encryption: TLS_SHA256_SHA256."""
_HASHES = {"SHA256": 32, "SHA384": 48, "SHA512": 64, "SM3": 32}


class RecordLengths(NamedTuple):
    """Lengths of the protected records that contain one of these messages alone, without padding."""

    finished: int
    alert: int
    end_of_early_data: int


@lru_cache(maxsize=64)
def sizes(cipher_suite: int) -> RecordLengths:
    """Return the record lengths of a TLS 1.3 cipher suite."""
    words = Registry.CIPHER_SUITES.names[cipher_suite].split("_")
    size = _HASHES.get(words[-1], 32)
    # A cipher suite without encryption uses HMAC, whose tag is as long as its hash (RFC 9150 section 4).
    tag = 8 if "8" in words else size if len(words) == _HMAC_ONLY else 16
    return RecordLengths(size + 4 + 1 + tag, 2 + 1 + tag, 4 + 1 + tag)


def is_guessed(cipher_suite: int) -> bool:
    """Return whether a cipher suite is not registered, so that its hash and tag lengths are a guess."""
    return Registry.CIPHER_SUITES.names[cipher_suite].startswith("0x")


class EncryptedFlight(NamedTuple):
    """The client's flight of a TLS 1.3 handshake and the records around it, found by their lengths."""

    sizes: RecordLengths
    flight: tuple[HandshakeEvent, ...]
    """The client's protected records from the ServerHello to its Finished, without early data."""
    exact: bool
    """Whether the last of them has the length of a Finished."""
    ended_early_data: bool
    """Whether the client sent a record with the length of an EndOfEarlyData."""
    before: HandshakeEvent | None
    """The server's last protected record before that flight."""
    reply: HandshakeEvent | None
    """The server's first protected record after it."""
    after: tuple[HandshakeEvent, ...]
    """The client's protected records after it."""

    @property
    def refused(self) -> bool:
        """Return whether the client's flight begins with a record of an alert's length and has no Finished."""
        return bool(self.flight) and not self.exact and self.flight[0].size == self.sizes.alert


def encrypted_flight(log: HandshakeLog | LoggedHandshake) -> EncryptedFlight | None:
    """Find the client's flight; None if the server did not select TLS 1.3."""
    server_hello = log.server_hello
    if server_hello is None or not log.tls13 or server_hello.cipher_suite is None:
        return None
    lengths = sizes(server_hello.cipher_suite)
    protected = [event for event in _since(server_hello.event, log.events) if event.content_type == APPLICATION_DATA]
    server = server_hello.event.sender
    # After a HelloRetryRequest there is no early data: RFC 8446 section 4.2.10.
    early = log.client_hello is not None and log.hello_retry is None and log.client_hello.offers_early_data
    ended = _find(protected, 0, 1 - server, lengths.end_of_early_data) if early else None
    start = 0 if ended is None else ended + 1
    end = _find(protected, start, 1 - server, lengths.finished)
    exact = end is not None
    end = _before_reply(protected, server, start) if end is None else end
    if end is None:
        return EncryptedFlight(lengths, (), False, ended is not None, _last(protected, server), None, ())
    if early and ended is None:
        # A client sends early data that is rejected until it receives the server's flight; its own flight follows.
        start = next((n + 1 for n in range(end, -1, -1) if protected[n].sender == server), 0)
    begin = next(n for n in range(start, end + 1) if protected[n].sender != server)
    after = protected[end + 1 :]
    return EncryptedFlight(
        sizes=lengths,
        flight=tuple([event for event in protected[begin : end + 1] if event.sender != server]),
        exact=exact,
        ended_early_data=ended is not None,
        before=_last(protected[:begin], server),
        reply=next((event for event in after if event.sender == server), None),
        after=tuple([event for event in after if event.sender != server]),
    )


def is_decided(log: HandshakeLog) -> bool:
    """Return whether the handshake has succeeded or failed, so that its packets need no longer be decoded."""
    if not log.tls13:
        return log.sealed[0] and log.sealed[1]
    if not log.replied:
        return False
    seen = encrypted_flight(log)
    return seen is not None and seen.exact and seen.reply is not None


def _since(hello: HandshakeEvent, events: list[HandshakeEvent]) -> list[HandshakeEvent]:
    """Return the events from the ServerHello on; the log lacks it if its bytes are missing or a limit was reached."""
    try:
        return events[events.index(hello) :]
    except ValueError:
        return [event for event in events if event.frame >= hello.frame]


def _find(events: Sequence[HandshakeEvent], start: int, sender: int, size: int) -> int | None:
    """Return the index of a side's first record with a length, from `start` on."""
    for n in range(start, len(events)):
        if events[n].size == size and events[n].sender == sender:
            return n
    return None


def _last(events: Sequence[HandshakeEvent], sender: int) -> HandshakeEvent | None:
    return next((event for event in reversed(events) if event.sender == sender), None)


def _before_reply(protected: Sequence[HandshakeEvent], server: int, start: int) -> int | None:
    """Return the index of the client's last record before the server's second group of records."""
    spoken = next((n for n, event in enumerate(protected) if event.sender == server), len(protected))
    begin = next((n for n in range(max(start, spoken), len(protected)) if protected[n].sender != server), None)
    if begin is None:
        return None
    end = begin
    while end + 1 < len(protected) and protected[end + 1].sender != server:
        end += 1
    return end
