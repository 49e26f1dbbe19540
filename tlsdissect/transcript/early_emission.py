"""When a handshake is decided, for connections that are returned then and not when they are over.

A handshake is decided when it succeeded, failed, or was silent for a while. In TLS 1.3 what follows the client's flight
decides; a record of an alert's length decides together with what comes after it, for only then is it known whether the
client was refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.flows.flow import NEVER, Interest
from tlsdissect.transcript.deadlines import Deadlines
from tlsdissect.transcript.tracking.shapes import shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.packet import Packet
    from tlsdissect.transcript.tracking.tracker import Tracker

REPLY_NS = 250_000_000
"""How long a server may take to answer a client's flight of TLS 1.3: many answer nothing, and none need."""


class Decision(NamedTuple):
    """When a handshake was decided."""

    clock: int
    frame: int
    """The frame that decided; NEVER: silence did, or a limit."""
    last_frame: int
    """The flow's last frame until then."""


class _Latest(NamedTuple):
    """The latest packet of a handshake that is not decided, and the clock behind which silence decides it."""

    frame: int
    deadline: int
    tracker: Tracker


class EarlyEmission:
    """The handshakes that are not decided yet."""

    def __init__(self, idle_ns: int) -> None:
        """`idle_ns` is the silence, in nanoseconds, that decides a handshake."""
        self._idle = idle_ns
        self._open: dict[int, _Latest] = {}
        self._deadlines = Deadlines()

    def __len__(self) -> int:
        return len(self._open)

    def after(self, tracker: Tracker, packet: Packet, clock: int) -> Decision | None:
        """Say whether the packet that a tracker has just looked at decided its handshake."""
        stream = tracker.flow.stream
        if tracker.script.client is None:
            return None
        refused = tracker.settled is not None and _may_be_refused(tracker)
        if tracker.state == Interest.NOTHING or (tracker.settled is not None and not refused) or _is_cut_off(tracker):
            self.forget(stream)
            return Decision(clock, packet.frame, packet.frame)
        patience = REPLY_NS if refused or _awaits_reply(tracker) else self._idle
        self._open[stream] = _Latest(packet.frame, clock + patience, tracker)
        self._deadlines.set(stream, clock + patience)
        return None

    def silent(self, clock: int) -> Iterator[tuple[Tracker, Decision]]:
        """Return the handshakes that silence decided before this clock; flows that were over first are left out."""
        for stream in self._deadlines.passed(clock):
            latest = self._open.pop(stream)
            if latest.deadline < latest.tracker.flow.due:
                yield latest.tracker, Decision(latest.deadline, NEVER, latest.frame)

    def forget(self, stream: int) -> int | None:
        """Wait for a flow no more; return the last frame of its handshake, if that was not decided."""
        self._deadlines.forget(stream)
        latest = self._open.pop(stream, None)
        return None if latest is None else latest.frame


def _awaits_reply(tracker: Tracker) -> bool:
    """Whether both sides have sent what TLS 1.3 encrypts."""
    script = tracker.script
    return script.tls13 and min(script.protected) > 0


def _is_cut_off(tracker: Tracker) -> bool:
    """Whether a RST ended it, or the server's FIN where only its answer to the client's flight was missing."""
    if any(half.tcp.rst is not None for half in tracker.halves):
        return True
    script = tracker.script
    if script.client is None or not _awaits_reply(tracker):
        return False
    server = tracker.halves[1 - script.client]
    return server.fin is not None and server.assembler.position >= server.assembler.offset(server.fin.end)


def _may_be_refused(tracker: Tracker) -> bool:
    """Whether all that answered the client's flight of TLS 1.3 so far has an alert's length: what comes next tells."""
    seen = shape(tracker.script)
    if seen is None or seen.reply is None or seen.reply.size != seen.sizes.alert:
        return False
    server = tracker.halves[seen.reply.sender]
    return server.fin is None and server.assembler.position == seen.reply.end
