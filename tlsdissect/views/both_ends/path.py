"""What happened to a connection between the two places where it was captured.

Each end has a clock of its own, and the clocks differ. So a time at one end is never subtracted from a time at the
other; only durations are compared, each between two packets at the same end. Segments are compared by their offset in
the stream, which counts from the SYN: a proxy or NAT may rewrite sequence numbers, ports and addresses. Network cards
split and join segments, so what was sent and what arrived need not have the same boundaries: both are cut into parts at
all boundaries. Datagrams are compared as a whole.

How often a part was sent and how often it arrived shows what was lost. If it was sent again, the transmission that
arrived is the one whose time since the SYN differs least: path delay varies by less than the retransmission timeout.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tlsdissect.model.renumbering import is_reordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.model.connection import Side
    from tlsdissect.model.transcript import KeptConnection, Packet

MAX_PARTS = 262_144
"""Parts into which the segments of a side are cut; with more, losses are not looked for."""
_SYN = 2
_SIDES: tuple[Side, Side] = ("client", "server")
_OTHER: dict[Side, Side] = {"client": "server", "server": "client"}


class Ends(NamedTuple):
    """Two views of a connection."""

    client: KeptConnection
    """The one that was captured nearer to the client."""
    server: KeptConnection
    known: bool
    """Whether it is known which of them is nearer."""

    def at(self, side: Side) -> KeptConnection:
        """Return the view at a side's end."""
        return self.client if side == "client" else self.server


def ends(one: KeptConnection, other: KeptConnection) -> Ends:
    """Return which of two views was captured nearer to the client: there, the server's answers come later."""
    for name in ("syn_synack_ms", "server_hello_ms"):
        here, there = getattr(one.timing, name), getattr(other.timing, name)
        if here is not None and there is not None and here != there:
            return Ends(one, other, known=True) if here > there else Ends(other, one, known=True)
    return Ends(one, other, known=False)


def joined(one: KeptConnection, other: KeptConnection) -> KeptConnection:
    """Return the view captured nearer to the client, with the other as its `other_view`.

    If it is not known which one is nearer, return the first.
    """
    found = ends(one, other)
    return replace(found.client, other_view=found.server)


class Lost(NamedTuple):
    """A segment or datagram that was sent but not seen at the other end."""

    sender: Side
    packet: Packet
    """As it was sent."""
    size: int
    """Its bytes that were not seen at the other end."""
    again: Packet | None
    """Its next transmission, of which some bytes were seen there; None if there is none."""
    arrived: Packet | None
    """That transmission at the other end."""
    missed: bool
    """Whether its receiver acknowledged the bytes, so that they arrived and the capture there lacks them."""


def losses(found: Ends) -> list[Lost] | None:
    """Return what was sent at one end and not seen at the other, by sender; None if that is not known.

    Of captures that are not in the order of time it is not: frames say which packet was sent again.
    """
    if not found.known or found.client.transport == "eap" or is_reordered(found.client) or is_reordered(found.server):
        return None
    lost: list[Lost] = []
    for sender in _SIDES:
        other = _OTHER[sender]
        sent, seen = _Flow(found.at(sender), sender), _Flow(found.at(other), sender)
        if sent.is_stream:
            sent.cut(_handshake_end(found.at(sender), sender))
        parts = _parts(sent, seen)
        if parts is None:
            return None
        lost += _lost(sent, seen, parts, _acknowledged(found.at(other), other))
    return lost


class LostSyns(NamedTuple):
    """The SYNs of a side, or its SYN-ACKs, of which fewer were seen at the other end."""

    sender: Side
    sent: list[Packet]
    seen: list[Packet]


def lost_syns(found: Ends) -> list[LostSyns]:
    """Return the sides whose SYNs were lost; none where that is not known, as when a capture began after them."""
    if not found.known or found.client.transport != "tcp":
        return []
    sides = ((side, _syns(found.at(side), side), _syns(found.at(_OTHER[side]), side)) for side in _SIDES)
    return [LostSyns(side, sent, seen) for side, sent, seen in sides if 0 < len(seen) < len(sent)]


def _syns(c: KeptConnection, sender: Side) -> list[Packet]:
    return [one for one in c.transcript.packets if one.sender == sender and one.flags & _SYN]


class _Part:
    """Bytes of a stream, or a datagram, with the packets in which they were sent and seen."""

    __slots__ = ("seen", "sent", "size", "start")

    def __init__(self, start: int, size: int) -> None:
        self.start, self.size = start, size
        self.sent: list[Packet] = []
        self.seen: list[Packet] = []


class _Flow:
    """What a side sent, as one end saw it."""

    def __init__(self, c: KeptConnection, sender: Side) -> None:
        self.sender = sender
        self.is_stream = c.transport == "tcp"
        mine = [packet for packet in c.transcript.packets if packet.sender == sender]
        self.packets = [one for one in mine if one.length and (one.offset is not None or not self.is_stream)]
        # Of several SYNs, the last is most likely the one that arrived.
        opening = _syns(c, sender)[-1:] if self.is_stream else self.packets
        self.begin = opening[0] if opening else None
        """The packet since which times are counted; None if there is none."""

    def cut(self, end: int) -> None:
        """Leave out what begins at a stream offset or after it."""
        self.packets = [packet for packet in self.packets if (packet.offset or 0) < end]

    def since_begin(self, packet: Packet) -> int | None:
        """Return nanoseconds since the first packet."""
        if packet.time is None or self.begin is None or self.begin.time is None:
            return None
        return packet.time - self.begin.time


def _parts(sent: _Flow, seen: _Flow) -> list[_Part] | None:
    """Return the parts of what was sent and seen; None if there are too many, or a stream has no beginning."""
    if not sent.is_stream:
        datagrams: dict[bytes, _Part] = {}
        for flow in (sent, seen):
            for packet in flow.packets:
                part = datagrams.setdefault(packet.payload, _Part(0, packet.length))
                (part.sent if flow is sent else part.seen).append(packet)
        return list(datagrams.values())
    if sent.begin is None or seen.begin is None:
        return None
    borders = sorted({at for flow in (sent, seen) for packet in flow.packets for at in _range(packet)})
    parts = [_Part(start, end - start) for start, end in pairwise(borders)]
    room = MAX_PARTS
    for flow in (sent, seen):
        for packet in flow.packets:
            first, last = (bisect_left(borders, at) for at in _range(packet))
            room -= last - first
            if room < 0:
                return None
            for part in parts[first:last]:
                (part.sent if flow is sent else part.seen).append(packet)
    return parts


def _handshake_end(c: KeptConnection, sender: Side) -> int:
    """Return the stream offset at which a side's handshake ends: of what comes later, not all packets are kept."""
    last = max((one.frame for one in c.messages if one.sender == sender and one.type != "alert"), default=0)
    return max((one.end for one in c.transcript.records if one.sender == sender and one.frame <= last), default=0)


def _range(packet: Packet) -> tuple[int, int]:
    start = packet.offset or 0
    return start, start + packet.length


def _lost(sent: _Flow, seen: _Flow, parts: Iterable[_Part], acknowledged: int | None) -> Iterator[Lost]:
    """Yield each packet of which parts were lost."""
    missing: defaultdict[int, list[_Part]] = defaultdict(list)
    """By the frame in which they were sent."""
    arrivals: dict[int, Packet] = {}
    """By the frame in which a packet was sent, the one at the other end that has parts of it."""
    for part in parts:
        left = list(part.sent)
        for packet in part.seen:
            if left:
                left.remove(nearest := min(left, key=_by_time(sent, seen.since_begin(packet))))
                arrivals.setdefault(nearest.frame, packet)
        for packet in left:
            missing[packet.frame].append(part)
    for packet in sent.packets:
        its = missing[packet.frame]
        if not its:
            continue
        later = {one.frame: one for part in its for one in part.sent if one.frame > packet.frame}
        again = next((later[frame] for frame in sorted(later) if frame in arrivals), None)
        end = max(part.start + part.size for part in its)
        missed = acknowledged is not None and acknowledged >= end and not any(part.seen for part in its)
        arrived = None if again is None else arrivals[again.frame]
        yield Lost(sent.sender, packet, sum(part.size for part in its), again, arrived, missed)


def _by_time(sent: _Flow, at: int | None) -> Callable[[Packet], tuple[int, int]]:
    """Sort transmissions by how well the time since the first packet fits; without times, the last is taken."""

    def key(packet: Packet) -> tuple[int, int]:
        since = sent.since_begin(packet)
        return (0 if since is None or at is None else abs(since - at)), -packet.frame

    return key


def _acknowledged(c: KeptConnection, receiver: Side) -> int | None:
    """Return up to which byte a side acknowledged; None for datagrams."""
    if c.transport != "tcp":
        return None
    acks = [one.acknowledged for one in c.transcript.packets if one.sender == receiver]
    return max((ack for ack in acks if ack is not None), default=None)
