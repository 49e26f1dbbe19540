"""Sentences about a connection that was captured in two places: where time went, and what was lost between them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.handshake.facts.timing import elapsed
from tlsdissect.model.connection import stream_name
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.views.both_ends.path import Ends, ends, losses, lost_syns
from tlsdissect.views.durations import in_ms
from tlsdissect.views.explain.model import Sentence, named
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, Message, Side
    from tlsdissect.views.both_ends.path import Lost, LostSyns

_LATE = 10.0
"""Milliseconds from which on it is reported that a flight took longer to arrive than to be sent."""
_TOLD = 8
"""Losses that are reported one by one; the rest are counted."""


class _Flight(NamedTuple):
    """Messages that one side sent before the other answered."""

    sender: Side
    first: Message
    last: Message

    @property
    def kinds(self) -> tuple[str, str, str]:
        """What has to be the same at both ends."""
        return self.sender, self.first.type, self.last.type


def between(c: Connection) -> Iterator[Sentence]:
    """Yield sentences about both views of a connection: `c` and its other view; none without one."""
    if not isinstance(c, KeptConnection) or c.other_view is None:
        return
    found = ends(c, c.other_view)
    yield _recognized(found)
    yield from _losses(found)
    yield from _tcp(found)
    yield from _turns(found)


def _recognized(found: Ends) -> Sentence:
    other, by = found.server, "the random of both hellos"
    if found.client.server_hello is None or other.server_hello is None:
        by = "the random of its ClientHello"
    where = "which of the two was captured nearer to the client is not known"
    if found.known:
        where = "this capture is nearer to the client, that one to the server"
    that = f"Stream {stream_name(other.transport, other.stream)} of {without_surrogates(other.source)}"
    text = f"{that} is the same connection, by {by}: {where}."
    return Sentence("path", "same_connection", text, _hello(found.client), other_frames=_hello(other))


def _hello(c: Connection) -> tuple[int, ...]:
    return () if c.client_hello is None else (c.client_hello.frame,)


def _tcp(found: Ends) -> Iterator[Sentence]:
    here, there = found.client.timing.syn_synack_ms, found.server.timing.syn_synack_ms
    if here is None or there is None or not found.known:
        return
    text = f"From the SYN to the SYN-ACK it took {in_ms(here)} at the client's end and {in_ms(there)} at the server's: "
    text += f"the round trip between the two took {in_ms(here - there)}."
    frames = (found.client.first_frame,), (found.server.first_frame,)
    yield Sentence("path", "round_trip_between", text, frames[0], other_frames=frames[1])


def _turns(found: Ends) -> Iterator[Sentence]:
    """Yield how long each side and the path took for each answer, and for a flight that arrived late."""
    here, there = _flights(found.client), _flights(found.server)
    if not found.known or [one.kinds for one in here] != [one.kinds for one in there]:
        return
    both = list(zip(here, there, strict=True))
    for number, (mine, theirs) in enumerate(both):
        if number:
            yield from _answer(both[number - 1], (mine, theirs))
        yield from _spread(mine, theirs)


def _flights(c: Connection) -> list[_Flight]:
    said = [one for one in c.messages if one.type != "alert"]
    groups = [list(group) for _, group in groupby(said, key=lambda one: one.sender)]
    return [_Flight(group[0].sender, group[0], group[-1]) for group in groups]


def _answer(asked: tuple[_Flight, _Flight], answered: tuple[_Flight, _Flight]) -> Iterator[Sentence]:
    """Yield how long an answer took at each end; both are durations of one clock."""
    took = [_between(ask.last, answer.first) for ask, answer in zip(asked, answered, strict=True)]
    if took[0] is None or took[1] is None:
        return
    who = answered[0].sender
    own, whole = (took[0], took[1]) if who == "client" else (took[1], took[0])
    text = (
        f"From {named(asked[0].last)} to {named(answered[0].first)} it took {in_ms(took[0])} at the client's end and "
    )
    text += f"{in_ms(took[1])} at the server's"
    if whole >= own >= 0:
        text += f": {in_ms(own)} in the {who}, and {in_ms(whole - own)} on the way there and back"
    frames = [(ask.last.frame, answer.first.frame) for ask, answer in zip(asked, answered, strict=True)]
    yield Sentence("path", "answer", f"{text}.", frames[0], other_frames=frames[1])


def _spread(mine: _Flight, theirs: _Flight) -> Iterator[Sentence]:
    at_client, at_server = _between(mine.first, mine.last), _between(theirs.first, theirs.last)
    sent, arrived = (at_client, at_server) if mine.sender == "client" else (at_server, at_client)
    if sent is None or arrived is None or arrived - sent < _LATE:
        return
    text = f"The flight of the {mine.sender} from {mine.first.type} to {mine.last.type} left within {in_ms(sent)}, and "
    text += f"arrived within {in_ms(arrived)}."
    frames = (mine.first.frame, mine.last.frame), (theirs.first.frame, theirs.last.frame)
    yield Sentence("path", "flight_late", text, frames[0], other_frames=frames[1])


def _losses(found: Ends) -> Iterator[Sentence]:
    lost = losses(found)
    if lost is None:
        yield Sentence("path", "losses_unknown", "What was lost between the two is not known.")
        return
    syns = lost_syns(found)
    yield from map(_lost_syns, syns)
    if not lost and not syns:
        yield Sentence("path", "nothing_lost", "Nothing of the handshake was lost between the two.")
    for one in lost[:_TOLD]:
        yield _loss(one)
    if len(lost) > _TOLD:
        text = f"{counted(len(lost) - _TOLD, 'more packet')} did not arrive."
        yield Sentence("path", "more_lost", text)


def _lost_syns(lost: LostSyns) -> Sentence:
    client = lost.sender == "client"
    what, other = ("SYN", "server") if client else ("SYN-ACK", "client")
    text = f"{len(lost.sent) - len(lost.seen)} of {counted(len(lost.sent), what)} of the {lost.sender} did not arrive "
    text += f"at the {other}'s end: they were lost on the way, unless the capture there is incomplete."
    sent, seen = (tuple([one.frame for one in several]) for several in (lost.sent, lost.seen))
    mine, theirs = (sent, seen) if client else (seen, sent)
    return Sentence("path", "lost_on_the_way", text, mine, guess=True, other_frames=theirs)


def _loss(lost: Lost) -> Sentence:
    other = "server" if lost.sender == "client" else "client"
    what = f"{counted(lost.size, 'byte')} of the {lost.sender}"
    here, there = [lost.packet.frame], []
    if lost.missed:
        text = f"{what} are not in the capture at the {other}'s end, which has their acknowledgement: they arrived."
    elif lost.again is None:
        text = (
            f"{what} did not arrive at the {other}'s end, and no other transmission did: lost on the way, unless the "
        )
        text += "capture there lacks them."
    else:
        waited = elapsed(lost.packet.time, lost.again.time)
        text = f"{what} were lost on the way: they arrived at the {other}'s end only when they were sent again"
        text += "." if waited is None else f", {in_ms(waited)} later."
        here.append(lost.again.frame)
        there += [lost.arrived.frame] if lost.arrived else []
    code = "not_captured" if lost.missed else "lost_on_the_way"
    frames = tuple(here), tuple(there)
    mine, theirs = frames if lost.sender == "client" else frames[::-1]
    guess = not lost.missed and lost.again is None
    return Sentence("path", code, text, mine, guess, other_frames=theirs)


def _between(one: Message, other: Message) -> float | None:
    return None if one.ms is None or other.ms is None else other.ms - one.ms
