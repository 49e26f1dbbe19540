"""Finds the FIN or RST that ended a handshake early, and the last message before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.flows.flow import FIN, RST
from tlsdissect.model.transcript import KeptConnection

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection, Message
    from tlsdissect.model.transcript import Packet


class EarlyEnd(NamedTuple):
    """How far a handshake had come when a FIN or RST ended it."""

    after: Message | None
    """The last message, no alert, before the FIN or RST; without a transcript, the last one of all."""
    frame: int | None
    """The frame of the FIN or RST; None without a transcript: nothing shows then which messages came behind it."""
    is_first: bool = False
    """Whether it came before the first message."""

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames of both, as far as they are known."""
        known = (None if self.after is None else self.after.frame, self.frame)
        return tuple(dict.fromkeys([frame for frame in known if frame is not None]))


def early_end(c: Connection) -> EarlyEnd:
    """Return the FIN or RST that ended a handshake, and the message before it."""
    end, seen = _packet(c), list(c.messages)
    if isinstance(c, KeptConnection) and end is not None:
        # What its sender sent before it may have been captured behind it.
        overtaken = {one.frame for one in c.transcript.packets if _is_before(one, end)}
        seen = [one for one in seen if one.frame <= end.frame or (one.sender == end.sender and one.frame in overtaken)]
    after = next((message for message in reversed(seen) if message.type != "alert"), None)
    return EarlyEnd(after, None if end is None else end.frame, is_first=bool(c.messages) and not seen)


def _is_before(packet: Packet, end: Packet) -> bool:
    """Return whether a packet carries bytes of the stream that the sender of a FIN or RST sent before it."""
    if packet.sender != end.sender or packet.offset is None or end.offset is None:
        return False
    return packet.offset < end.offset + end.length


def _packet(c: Connection) -> Packet | None:
    """Return the packet by which a side ended a handshake that failed; None if it is not known."""
    if not isinstance(c, KeptConnection) or c.transport != "tcp" or c.failed_by is None:
        return None
    flag = RST if c.outcome == "reset" else FIN
    dropped = {problem.frame for problem in c.problems if problem.code == "dropped_segment"}
    mine = (one for one in c.transcript.packets if one.sender == c.failed_by and one.flags & flag)
    return next((one for one in mine if one.frame not in dropped), None)
