"""TLS 1.3 told by the lengths of records that nobody can read.

Which records are the client's flight and what answers it. What rests on this is a guess, and labelled so.
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
"""Words in the name of a suite without a cipher: TLS_SHA256_SHA256."""
_HASHES = {"SHA256": 32, "SHA384": 48, "SHA512": 64, "SM3": 32}


class RecordLengths(NamedTuple):
    """Lengths of protected records."""

    finished: int
    alert: int
    end_of_early_data: int


@lru_cache(maxsize=64)
def sizes(cipher_suite: int) -> RecordLengths:
    """Lengths of the records that can be told apart, for a suite of TLS 1.3."""
    words = Registry.CIPHER_SUITES.names[cipher_suite].split("_")
    size = _HASHES.get(words[-1], 32)
    # A suite without a cipher protects by HMAC alone, whose tag is as long as its hash: RFC 9150 section 4.
    tag = 8 if "8" in words else size if len(words) == _HMAC_ONLY else 16
    return RecordLengths(size + 4 + 1 + tag, 2 + 1 + tag, 4 + 1 + tag)


def is_guessed(cipher_suite: int) -> bool:
    """Whether no registry names the suite, so that its hash and its tag are a guess."""
    return Registry.CIPHER_SUITES.names[cipher_suite].startswith("0x")


class EncryptedFlight(NamedTuple):
    """What the lengths of the protected records say of a handshake of TLS 1.3."""

    sizes: RecordLengths
    flight: tuple[HandshakeEvent, ...]
    """The client's protected records after the ServerHello, up to its Finished; early data left out."""
    exact: bool
    """The last of them has a Finished's length."""
    ended_early_data: bool
    """An EndOfEarlyData's length came before."""
    before: HandshakeEvent | None
    """The server's last protected record before that flight."""
    reply: HandshakeEvent | None
    """The server's first protected record after it."""
    after: tuple[HandshakeEvent, ...]
    """The client's protected records after it."""

    @property
    def refused(self) -> bool:
        """Whether the client's flight begins with a record of an alert's length and has no Finished."""
        return bool(self.flight) and not self.exact and self.flight[0].size == self.sizes.alert


def encrypted_flight(log: HandshakeLog | LoggedHandshake) -> EncryptedFlight | None:
    """Tell the shape of a handshake whose ServerHello chose TLS 1.3."""
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
        # Early data that was refused goes on until the server's flight is there; the client's own comes after it.
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
    """Whether the handshake is over, one way or the other, so that its packets need no longer be followed."""
    if not log.tls13:
        return log.sealed[0] and log.sealed[1]
    if not log.replied:
        return False
    seen = encrypted_flight(log)
    return seen is not None and seen.exact and seen.reply is not None


def _since(hello: HandshakeEvent, events: list[HandshakeEvent]) -> list[HandshakeEvent]:
    """The items from the ServerHello on; it is none of them where bytes of it are missing, or too much was said."""
    try:
        return events[events.index(hello) :]
    except ValueError:
        return [event for event in events if event.frame >= hello.frame]


def _find(events: Sequence[HandshakeEvent], start: int, sender: int, size: int) -> int | None:
    """Index of the first of a side's records of a length, from `start` on."""
    for n in range(start, len(events)):
        if events[n].size == size and events[n].sender == sender:
            return n
    return None


def _last(events: Sequence[HandshakeEvent], sender: int) -> HandshakeEvent | None:
    return next((event for event in reversed(events) if event.sender == sender), None)


def _before_reply(protected: Sequence[HandshakeEvent], server: int, start: int) -> int | None:
    """Index of the client's last record before the server's next one, once the server has sent one."""
    spoken = next((n for n, event in enumerate(protected) if event.sender == server), len(protected))
    begin = next((n for n in range(max(start, spoken), len(protected)) if protected[n].sender != server), None)
    if begin is None:
        return None
    end = begin
    while end + 1 < len(protected) and protected[end + 1].sender != server:
        end += 1
    return end
