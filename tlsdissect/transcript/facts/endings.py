"""How a handshake and its connection ended, and who ended it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.sequence import difference
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.record import ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_SIZE
from tlsdissect.transcript.connection import Alert, Closure

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Side
    from tlsdissect.transcript.facts.scene import Scene
    from tlsdissect.transcript.tracking.half import Half
    from tlsdissect.transcript.tracking.seen import Item

ANSWER_NS = 1_000_000_000
"""Nanoseconds within which a server answers a ClientHello, if it ever does: a second, after which TCP too takes a
segment for lost (RFC 6298 section 2). Where the capture ends earlier, nobody knows whether an answer came."""
_FATAL = 2
_CLOSE_NOTIFY, _USER_CANCELED = 0, 90
_DECODE_ERROR = bytes([50])
_HANDSHAKE_RECORDS = frozenset((HANDSHAKE, APPLICATION_DATA))
"""Content types of records that hold handshake messages; under TLS 1.3's encryption all look like data."""


_frame = attrgetter("frame")


class Ending(NamedTuple):
    """How it ended; `inferred` says what of this rests on the lengths of records."""

    complete: bool
    outcome: str
    failed_by: Side | None
    inferred: str | None


def ending(scene: Scene, until: int) -> Ending:
    """Judge the handshake: the first outcome that fits.

    `until` is how long the capture would have shown more, in nanoseconds since 1970-01-01T00:00:00Z, or UNTIMED.
    """
    if scene.script.tls13 and scene.script.answer is not None:
        rejection = _rejection(scene, until)
        if rejection is not None:
            return rejection
        if _complete13(scene):
            exact = scene.shape is not None and scene.shape.exact
            guess = (
                None
                if exact
                else "no record of the client has the length of a Finished: the handshake's end is told by order"
            )
            return Ending(True, "established", None, guess)
    elif scene.finished(0) and scene.finished(1) and scene.change(0) and scene.change(1):
        return Ending(True, "established", None, None)
    return _failure(scene, until)


def _complete13(scene: Scene) -> bool:
    shape = scene.shape
    return shape is not None and bool(shape.flight) and shape.before is not None and _fatal(scene) is None


def _rejection(scene: Scene, until: int) -> Ending | None:
    """A handshake of TLS 1.3 that one side refused under encryption, as the lengths of records tell it."""
    shape = scene.shape
    if shape is None:
        return None
    if shape.refused:
        # What it says is not known, but that its sender knew of the server's end.
        if _knew_end(scene, shape.flight[0]):
            return _failure(scene, until)
        return Ending(False, "alert", "client", "the client's first protected record has an alert's length")
    client, server = scene.halves
    reply = shape.reply
    refused = (
        bool(shape.flight)
        and reply is not None
        # A client that closed before is answered by a close_notify: that refuses nothing.
        and (client.fin is None or client.fin.frame > reply.frame)
        and reply.size == shape.sizes.alert
        and (server.fin is not None or server.rst is not None)
        and server.assembler.position == reply.end
        and not any(item.size == shape.sizes.alert and item.frame < reply.frame for item in shape.after)
    )
    if refused:
        return Ending(
            False,
            "alert",
            "server",
            "all that the server sent after the client's flight is a record of an alert's length",
        )
    return None


def _failure(scene: Scene, until: int) -> Ending:
    client, server = scene.halves
    if not (scene.tracker.flow.one.seen and scene.tracker.flow.other.seen):
        return Ending(False, "one_sided", None, None)
    fatal = _fatal(scene)
    if fatal is not None:
        guess = "an alert that cannot be read is taken as fatal" if fatal.encrypted else None
        return Ending(False, "alert", scene.side(fatal.sender), guess)
    first = min((s for half in scene.halves for s in (half.fin, half.rst) if s), default=None, key=_frame)
    by_client = first is not None and first in (client.fin, client.rst)
    if _unanswered(scene) and (by_client or (first is None and _had_time(scene, until))):
        return Ending(False, "no_answer", "client" if by_client else None, None)
    if first is None or _has_holes(scene):
        return Ending(False, "incomplete", None, None)
    return Ending(
        False, "reset" if first in (client.rst, server.rst) else "closed", "client" if by_client else "server", None
    )


def _has_holes(scene: Scene) -> bool:
    """Whether bytes are missing: behind them the handshake may have been over."""
    return any(half.first_hole is not None for half in scene.halves)


def _unanswered(scene: Scene) -> bool:
    """Whether the server acknowledged the whole ClientHello and sent nothing."""
    client, server = scene.halves
    offer = scene.script.offer
    if offer is None or server.payload or client.acked is None:
        return False
    # A FIN is acknowledged as if it were a byte.
    acknowledged = [client.acked] if client.fin is None else [client.acked, client.fin.end]
    return min(map(client.assembler.offset, acknowledged)) >= offer.item.end


def _had_time(scene: Scene, until: int) -> bool:
    """Whether the capture goes on for long enough behind the ClientHello that an answer would be in it."""
    offer = scene.script.offer
    return offer is not None and UNTIMED not in (offer.item.time, until) and until - offer.item.time >= ANSWER_NS


def _fatal(scene: Scene) -> Item | None:
    """The first alert that ends a handshake (RFC 8446 section 6, RFC 5246 section 7.2).

    One that only reports that the other side had ended the connection before ends nothing: a client whose server
    closes instead of answering often says decode_error then, for want of the answer's bytes. But what the other side
    said last, and nobody answered, may be the reason for an alert too.
    """
    items, speaker = scene.script.items, None
    last_handshake = {item.sender: n for n, item in enumerate(items) if item.content_type in _HANDSHAKE_RECORDS}
    for n, item in enumerate(items):
        if item.content_type != ALERT:
            speaker = item.sender
            continue
        if (speaker == item.sender or item.body[1:] == _DECODE_ERROR) and _knew_end(scene, item):
            continue
        if item.encrypted:
            # Where a side could not be read to the end, the handshake may have been over before.
            if _has_holes(scene) or any(half.strayed for half in scene.halves):
                continue
            return item
        level, description = item.body
        # TLS 1.3 takes alerts for errors whatever their level. But a server that does not know the name that was
        # asked for may warn of that before it chooses a version, and go on (RFC 6066 section 3).
        error = scene.script.tls13 and description not in (_CLOSE_NOTIFY, _USER_CANCELED)
        if level == _FATAL or (error and last_handshake.get(item.sender, -1) < n):
            return item
    return None


def _knew_end(scene: Scene, alert: Item) -> bool:
    """Whether the sender of an alert had the other side's FIN when it sent it, or the other side's RST came first."""
    peer = scene.tracker.halves[1 - alert.sender]
    if peer.rst is not None and peer.rst.frame < alert.frame:
        return True
    if peer.fin is None:
        return False
    acknowledged = scene.script.acknowledged.get((alert.sender, alert.start))
    if acknowledged is None:
        return peer.fin.frame < alert.frame
    # A FIN is acknowledged as if it were a byte.
    return difference(acknowledged, peer.fin.end) > 0


def alerts(scene: Scene) -> tuple[Alert, ...]:
    """Every alert record, with its level and description where it is in the clear."""
    return tuple([
        Alert(
            sender=scene.side(item.sender),
            level=None if item.encrypted else Registry.ALERT_LEVELS.names[item.body[0]],
            description=None if item.encrypted else Registry.ALERTS.names[item.body[1]],
            frame=item.frame,
        )
        for item in scene.script.items
        if item.content_type == ALERT
    ])  # fmt: skip


def closure(scene: Scene) -> Closure:
    """How each side ended: by an alert that says so, by the shape of one, or by TCP alone."""
    return Closure(_closed(scene, 0), _closed(scene, 1))


def _closed(scene: Scene, side: int) -> str | None:
    half, said = scene.halves[side], scene.alerts[side]
    if said and any(not item.encrypted and item.body[1] == _CLOSE_NOTIFY for item in said):
        return "close_notify"
    if _ends_in_alert(scene, half, said):
        return "inferred_alert"
    if half.ended is None:
        return None
    return "rst" if half.ended is half.rst else "fin"


def _ends_in_alert(scene: Scene, half: Half, said: list[Item]) -> bool:
    """Whether a side's last record is an encrypted alert, or has the length of one, and the conversation ended."""
    if scene.script.tls13:
        last, shape = half.last, scene.shape
        if last is None or shape is None or last.content_type != APPLICATION_DATA or last.length != shape.sizes.alert:
            return False
        end = last.start + HEADER_SIZE + last.length
    elif said and said[-1].encrypted:
        end = said[-1].end
    else:
        return False
    if half.ended is not None:
        return end == half.assembler.offset(half.ended.end)
    return end == half.assembler.position and scene.halves[half is scene.halves[0]].ended is not None
