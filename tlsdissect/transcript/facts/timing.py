"""Round trips and milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import NO_TIME
from tlsdissect.tls.record import APPLICATION_DATA
from tlsdissect.transcript.connection import HandshakeBytes, Timing
from tlsdissect.transcript.facts.negotiation import hello_retry
from tlsdissect.transcript.tracking.versions import offers_tls13

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tlsdissect.transcript.facts.scene import Scene
    from tlsdissect.transcript.tracking.seen import Item, Moment
    from tlsdissect.transcript.transcript import Packet, WireRecord

_SPLIT_FACTOR, _SPLIT_MS = 5, 10
_NS_A_MS = 1_000_000


def round_trips(scene: Scene, early_data: str | None, *, complete: bool) -> int | None:
    """Server flights that the client had to wait for before its handshake was over; None: not to be seen.

    TLS 1.2: RFC 5246 section 7.3, RFC 7918 for a false start. TLS 1.3: RFC 8446 section 2.
    """
    if not complete:
        return None
    if not scene.script.tls13:
        return _round_trips12(scene)
    if early_data is None or hello_retry(scene) is None:
        return None
    return 0 if early_data == "accepted" else 1 + scene.script.retries


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
    answer, start = scene.script.answer, scene.start
    syn, synack, ack = _tcp_times(scene)
    tcp_ms = elapsed(syn, ack)
    server_hello_ms = elapsed(start, _time(answer.item if answer else None))
    split = None
    if tcp_ms is not None and server_hello_ms is not None:
        split = server_hello_ms >= _SPLIT_FACTOR * tcp_ms and server_hello_ms >= tcp_ms + _SPLIT_MS
    data = [_time(_data(scene, side)) for side in (0, 1)]
    return Timing(
        tcp_ms=tcp_ms,
        syn_synack_ms=elapsed(syn, synack),
        synack_ack_ms=elapsed(synack, ack),
        ack_client_hello_ms=elapsed(ack, start),
        server_hello_ms=server_hello_ms,
        handshake_ms=elapsed(start, _time(_end(scene))),
        client_data_ms=elapsed(start, data[0]),
        server_data_ms=elapsed(start, data[1]),
        server_record_ms=elapsed(start, _time(_reply(scene))),
        split_path=split,
    )


def _tcp_times(scene: Scene) -> tuple[int | None, int | None, int | None]:
    """Times of the client's SYN, the SYN-ACK and its acknowledgement."""
    handshake = scene.tracker.flow.handshake
    if handshake.opener != scene.client:
        return None, None, None
    syn, synack, ack = (
        None if time == NO_TIME else time_or_none(time) for time in (handshake.syn, handshake.synack, handshake.ack)
    )
    return syn, synack, ack


def elapsed(start: int | None, end: int | None) -> float | None:
    """Milliseconds from one time to a later one; None where one is missing, or the capture's clock was set back."""
    return None if start is None or end is None or end < start else (end - start) / _NS_A_MS


class Begin(NamedTuple):
    """The frame that completed the first ClientHello, and its time."""

    frame: int
    time: int | None


def since(begin: Packet | WireRecord | Begin | None, frame: int, time: int | None) -> float | None:
    """Milliseconds from a packet or record to another frame, less than none where that came before.

    None where the capture does not tell, or its times do not go on from frame to frame.
    """
    if begin is None or frame >= begin.frame:
        return None if begin is None else elapsed(begin.time, time)
    before = elapsed(time, begin.time)
    return None if before is None else 0.0 - before


def each_since(begin: Begin | None, items: Sequence[Item]) -> list[float | None]:
    """The same of many messages: nearly all come later, and have a time."""
    frame, time = begin or (0, None)
    if time is None:
        return [None] * len(items)
    return [
        (item.time - time) / _NS_A_MS
        if item.frame >= frame and item.time >= time
        else since(begin, item.frame, time_or_none(item.time))
        for item in items
    ]


def _time(event: Item | Moment | None) -> int | None:
    return None if event is None or event.time is None else time_or_none(event.time)


def _end(scene: Scene) -> Item | None:
    """What ends the handshake as the client sees it: the Finished that comes last."""
    if scene.script.tls13:
        shape = scene.shape
        # A first record of an alert's length ends it otherwise: the client refuses.
        if shape is None or shape.before is None or not shape.flight or shape.refused:
            return None
        return shape.flight[-1]
    mine, theirs = scene.finished(0), scene.finished(1)
    if mine is None or theirs is None or scene.is_full is None:
        return None
    return theirs if scene.is_full else mine


def first_data(scene: Scene) -> tuple[Item | Moment | None, Item | Moment | None]:
    """What begins each side's application data; in TLS 1.3 the server's may be a ticket."""
    return _data(scene, 0), _reply(scene) if scene.script.tls13 else _data(scene, 1)


def _data(scene: Scene, side: int) -> Item | Moment | None:
    """What begins a side's application data.

    In TLS 1.3 a client's first protected record behind its flight that has not an alert's length; which of a server's
    records are tickets cannot be seen. Where it is not seen whether TLS 1.3 was chosen, a record that looks like data
    may be a part of the handshake.
    """
    data = scene.script.first_data[scene.client ^ side]
    if not scene.script.tls13:
        return None if _may_be_handshake(scene, side) else data
    if scene.shape is None or side == 1:
        return None
    behind = (item for item in scene.shape.after if item.size != scene.shape.sizes.alert)
    return next(behind, data if scene.script.decided else None)


def _may_be_handshake(scene: Scene, side: int) -> bool:
    """Whether what looks like a side's first data may hold handshake messages of TLS 1.3.

    In older versions an encrypted handshake record, the Finished, comes before data.
    """
    if scene.script.version is not None or scene.finished(side) is not None:
        return False
    offer = scene.script.offer
    return offer is None or not offer.item.whole or offers_tls13(offer.hello)


def _reply(scene: Scene) -> Item | None:
    """The server's first record behind the client's flight, unless it has an alert's length."""
    reply = None if scene.shape is None else scene.shape.reply
    return None if reply is None or scene.shape is None or reply.size == scene.shape.sizes.alert else reply


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
