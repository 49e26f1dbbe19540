"""TLS 1.3 told by the lengths of records that nobody can read.

Which records are the client's flight and what answers it. What rests on this is a guess, and labelled so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.tls.record import APPLICATION_DATA
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.transcript.tracking.sizes import Sizes, sizes
from tlsdissect.transcript.tracking.versions import offers_early_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.transcript.tracking.script import Script
    from tlsdissect.transcript.tracking.seen import Item


class Shape(NamedTuple):
    """What the lengths of the protected records say of a handshake of TLS 1.3."""

    sizes: Sizes
    flight: tuple[Item, ...]
    """The client's protected records after the ServerHello, up to its Finished; early data left out."""
    exact: bool
    """The last of them has a Finished's length."""
    ended_early_data: bool
    """An EndOfEarlyData's length came before."""
    before: Item | None
    """The server's last protected record before that flight."""
    reply: Item | None
    """The server's first protected record after it."""
    after: tuple[Item, ...]
    """The client's protected records after it."""

    @property
    def refused(self) -> bool:
        """Whether the client's flight begins with a record of an alert's length and has no Finished."""
        return bool(self.flight) and not self.exact and self.flight[0].size == self.sizes.alert


def shape(script: Script) -> Shape | None:
    """Tell the shape of a handshake whose ServerHello chose TLS 1.3."""
    answer = script.answer
    if answer is None or not script.tls13 or not isinstance(answer.hello, ServerHello):
        return None
    lengths = sizes(answer.hello.cipher_suite)
    protected = [item for item in _since(answer.item, script.items) if item.content_type == APPLICATION_DATA]
    server = answer.item.sender
    # After a HelloRetryRequest there is no early data: RFC 8446 section 4.2.10.
    early = script.offer is not None and script.retry is None and offers_early_data(script.offer.hello)
    ended = _find(protected, 0, 1 - server, lengths.end_of_early_data) if early else None
    start = 0 if ended is None else ended + 1
    end = _find(protected, start, 1 - server, lengths.finished)
    exact = end is not None
    end = _before_reply(protected, server, start) if end is None else end
    if end is None:
        return Shape(lengths, (), False, ended is not None, _last(protected, server), None, ())
    if early and ended is None:
        # Early data that was refused goes on until the server's flight is there; the client's own comes after it.
        start = next((n + 1 for n in range(end, -1, -1) if protected[n].sender == server), 0)
    begin = next(n for n in range(start, end + 1) if protected[n].sender != server)
    after = protected[end + 1 :]
    return Shape(
        sizes=lengths,
        flight=tuple([item for item in protected[begin : end + 1] if item.sender != server]),
        exact=exact,
        ended_early_data=ended is not None,
        before=_last(protected[:begin], server),
        reply=next((item for item in after if item.sender == server), None),
        after=tuple([item for item in after if item.sender != server]),
    )


def is_decided(script: Script) -> bool:
    """Whether the handshake is over, one way or the other, so that its packets need no longer be followed."""
    if not script.tls13:
        return script.sealed[0] and script.sealed[1]
    if not script.replied:
        return False
    seen = shape(script)
    return seen is not None and seen.exact and seen.reply is not None


def _since(hello: Item, items: list[Item]) -> list[Item]:
    """The items from the ServerHello on; it is none of them where bytes of it are missing, or too much was said."""
    try:
        return items[items.index(hello) :]
    except ValueError:
        return [item for item in items if item.frame >= hello.frame]


def _find(items: Sequence[Item], start: int, sender: int, size: int) -> int | None:
    """Index of the first of a side's records of a length, from `start` on."""
    for n in range(start, len(items)):
        if items[n].size == size and items[n].sender == sender:
            return n
    return None


def _last(items: Sequence[Item], sender: int) -> Item | None:
    return next((item for item in reversed(items) if item.sender == sender), None)


def _before_reply(protected: Sequence[Item], server: int, start: int) -> int | None:
    """Index of the client's last record before the server's next one, once the server has sent one."""
    spoken = next((n for n, item in enumerate(protected) if item.sender == server), len(protected))
    begin = next((n for n in range(max(start, spoken), len(protected)) if protected[n].sender != server), None)
    if begin is None:
        return None
    end = begin
    while end + 1 < len(protected) and protected[end + 1].sender != server:
        end += 1
    return end
