"""Round trips and milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.tls.record import APPLICATION_DATA
from tlsdissect.transcript.connection import HandshakeBytes, Timing
from tlsdissect.transcript.negotiation import hello_retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.transcript.scene import Scene
    from tlsdissect.transcript.transcript import Item

_SPLIT_FACTOR, _SPLIT_MS = 5, 10


def round_trips(scene: Scene, early_data: str | None, *, complete: bool) -> int | None:
    """Server flights that the client had to wait for before its handshake was over; None: not to be seen.

    TLS 1.2: RFC 5246 section 7.3, RFC 7918 for a false start. TLS 1.3: RFC 8446 section 2.
    """
    if not complete:
        return None
    if not scene.script.tls13:
        return _round_trips12(scene)
    retried = hello_retry(scene)
    if early_data is None or retried is None:
        return None
    return 0 if early_data == "accepted" else 1 + retried


def _round_trips12(scene: Scene) -> int | None:
    mine, theirs = scene.finished(0), scene.finished(1)
    if mine is None or theirs is None:
        return None
    if scene.is_full is not True:
        return None if scene.is_full is None else 1
    data = scene.script.first_data[scene.client]
    if data is None or data.acknowledgement is None:
        return 2
    return 1 if scene.halves[1].assembler.offset(data.acknowledgement) < theirs.end else 2


def timing(scene: Scene) -> Timing:
    """Milliseconds between the packets that matter, as they passed the capture point."""
    way = scene.tracker.way
    syn, synack, ack = way.syn, way.synack, way.ack
    answer, start = scene.script.answer, scene.start
    if way.opener != scene.client:
        syn = synack = ack = None
    tcp_ms = _ms(syn, ack)
    server_hello_ms = _ms(start, answer.item.time if answer else None)
    split = None
    if tcp_ms is not None and server_hello_ms is not None:
        split = server_hello_ms >= _SPLIT_FACTOR * tcp_ms and server_hello_ms >= tcp_ms + _SPLIT_MS
    data = [_data_time(scene, side) for side in (0, 1)]
    return Timing(
        tcp_ms=tcp_ms,
        syn_synack_ms=_ms(syn, synack),
        synack_ack_ms=_ms(synack, ack),
        ack_client_hello_ms=_ms(ack, start),
        server_hello_ms=server_hello_ms,
        handshake_ms=_ms(start, _end_time(scene)),
        client_data_ms=_ms(start, data[0]),
        server_data_ms=_ms(start, data[1]),
        server_record_ms=_ms(start, _reply_time(scene)),
        split_path=split,
    )


def _ms(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else (end - start) / 1_000_000


def _end_time(scene: Scene) -> int | None:
    """When the handshake was over as the client sees it: with the Finished that comes last."""
    if scene.script.tls13:
        shape = scene.shape
        # A first record of an alert's length ends it otherwise: the client refuses.
        if shape is None or shape.before is None or not shape.flight or shape.refused:
            return None
        return shape.flight[-1].time
    mine, theirs = scene.finished(0), scene.finished(1)
    if mine is None or theirs is None or scene.is_full is None:
        return None
    return theirs.time if scene.is_full else mine.time


def _data_time(scene: Scene, side: int) -> int | None:
    """When a side's application data began.

    In TLS 1.3 a client's first protected record behind its flight that has not an alert's length; which of a server's
    records are tickets cannot be seen.
    """
    data = scene.script.first_data[scene.client ^ side]
    if not scene.script.tls13:
        return None if data is None else data.time
    if scene.shape is None or side == 1:
        return None
    times = (item.time for item in scene.shape.after if item.size != scene.shape.sizes.alert)
    return next(times, data.time if data is not None and scene.script.decided else None)


def _reply_time(scene: Scene) -> int | None:
    """When the server's first record behind the client's flight came, unless it has an alert's length."""
    reply = None if scene.shape is None else scene.shape.reply
    return None if reply is None or scene.shape is None or reply.size == scene.shape.sizes.alert else reply.time


def handshake_bytes(scene: Scene, *, complete: bool) -> HandshakeBytes:
    """Bytes of each side's records to the end of its handshake; None where that is not seen."""
    if not complete:
        return HandshakeBytes(None, None)
    if not scene.script.tls13:
        ends = scene.finished(0), scene.finished(1)
    else:
        ends = (scene.shape.flight[-1], scene.shape.before) if scene.shape else (None, None)
    return HandshakeBytes(_bytes(scene, 0, ends[0]), _bytes(scene, 1, ends[1]))


def _bytes(scene: Scene, side: int, last: Item | None) -> int | None:
    if last is None or not scene.halves[side].is_whole(last.end):
        return None
    items = [item for item in scene.items[side] if item.end <= last.end]
    if side == 0:
        flight = scene.shape.flight if scene.shape else ()
        items = [item for item in items if item.content_type != APPLICATION_DATA or item in flight]
    return _covered(items)


def _covered(items: Iterable[Item]) -> int:
    """Bytes of the records in which these messages lie, each once."""
    total, reached = 0, -1
    for item in items:
        start, end = item.start, item.end
        if end > reached:
            total += end - max(start, reached)
            reached = end
    return total
