# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""How a handshake and its connection ended, and who ended it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import cython
from msgspec import Struct

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.flows.sequence import add, difference
from tlsdissect.handshake.facts.handshake import CLIENT, SERVER
from tlsdissect.model.connection import Alert, Closure
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.dtls import MEDIA
from tlsdissect.tls.record import ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.handshake.encrypted_flight import EncryptedFlight
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.handshake.logged import DirectionSummary, LoggedQuic
    from tlsdissect.model.connection import Side

ANSWER_NS = 1_000_000_000
"""Nanoseconds within which a server answers a ClientHello, if it ever does: a second, after which TCP too takes a
segment for lost (RFC 6298 section 2). If the capture ends earlier, the outcome is unknown."""
_FATAL = 2
_CLOSE_NOTIFY, _USER_CANCELED = 0, 90
_DECODE_ERROR = bytes([50])
_HANDSHAKE_RECORDS = frozenset((HANDSHAKE, APPLICATION_DATA))
"""Content types of records that may contain handshake messages; in TLS 1.3, encrypted ones look like data."""


_frame = attrgetter("frame")
_LEVEL_NAMES, _ALERT_NAMES = Registry.ALERT_LEVELS.names, Registry.ALERTS.names
_ALERT, _CLIENT, _SERVER = ALERT, CLIENT, SERVER  # C integers, by the .pxd


class Ending(Struct, frozen=True, gc=False):
    """How a handshake ended; `inferred` is the reason if this is inferred from the lengths of records."""

    complete: bool
    outcome: str
    failed_by: Side | None
    inferred: str | None


@cython.ccall
def ending(handshake: Handshake, until: cython.longlong) -> Any:
    """Return the first outcome that applies.

    `until` is the time up to which the capture would contain further packets, in nanoseconds since
    1970-01-01T00:00:00Z, or UNTIMED.
    """
    if handshake.log.quic is not None:
        return _quic_ending(handshake, handshake.log.quic, until)
    if handshake.tls13 and handshake.log.server_hello is not None:
        rejection = _rejection(handshake, until)
        if rejection is not None:
            return rejection
        if _complete13(handshake):
            if _lacks_answer(handshake):
                return Ending(False, "incomplete", None, None)
            if _lacks_result(handshake):
                guess = "neither EAP's result nor an answer to the client's flight is in the capture"
                return Ending(False, "incomplete", None, guess)
            return Ending(True, "established", None, _guessed_end(handshake))
    elif (
        handshake.finished(_CLIENT)
        and handshake.finished(_SERVER)
        and handshake.change(_CLIENT)
        and handshake.change(_SERVER)
    ):
        return Ending(True, "established", None, None)
    return _failure(handshake, until)


def _quic_ending(handshake: Handshake, quic: LoggedQuic, until: cython.longlong) -> Ending:
    """Return the first outcome of a QUIC connection that applies."""
    if quic.close is None and quic.first_one_rtt[_SERVER] is not None:
        return Ending(
            True, "established", None, "the end of the handshake is inferred from each side's first 1-RTT packet"
        )
    if not handshake.log.two_sided:
        return Ending(False, "one_sided", None, None)
    if quic.close is not None:
        sender, frame, _ = quic.close
        return Ending(False, "closed" if frame.alert is None else "alert", handshake.side(sender), None)
    if not (handshake.events[_SERVER] or quic.refused) and _is_long_enough(handshake, until):
        return Ending(False, "no_answer", None, None)
    return Ending(False, "incomplete", None, None)


@cython.cfunc
def _complete13(handshake: Handshake) -> cython.bint:
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if flight is None or not flight.flight or flight.before is None:
        return False
    if handshake.log.transport == "udp" and flight.reply is None:
        # Over UDP the client's flight may be lost: only what the server sends then shows that it came.
        return False
    return _fatal(handshake) is None


@cython.cfunc
def _lacks_answer(handshake: Handshake) -> cython.bint:
    """Return whether all that the server sent after the client's flight is missing, and may be an alert, or two."""
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if flight is None or flight.reply is not None:
        return False
    alert: cython.longlong = HEADER_SIZE + flight.alerts[1 - handshake.client]
    server = handshake.direction(_SERVER)
    begin: cython.longlong = _answered_from(handshake, flight, server.position)
    if begin == UNKNOWN:
        return server.cut_off > 0
    return 0 < server.position + server.cut_off - begin <= 2 * alert


@cython.cfunc
def _answered_from(handshake: Handshake, flight: EncryptedFlight, end: cython.longlong) -> cython.longlong:
    """Return where the server's answer to the client's flight begins, if it is missing behind this stream offset.

    UNKNOWN if the end of the server's own flight may be missing there, too.
    """
    last: HandshakeEvent | None = flight.last()
    received: cython.longlong = UNKNOWN if last is None else handshake.received(_CLIENT, last)
    if received != UNKNOWN:
        return max(end, received)
    return end if flight.has_server_finished() else UNKNOWN


@cython.cfunc
def _lacks_result(handshake: Handshake) -> cython.bint:
    """Return whether an EAP server may still refuse the client: the end of its handshake alone does not show that.

    It answers with Success, or with what protects that (RFC 9190 section 2.1.1).
    """
    flight: EncryptedFlight | None = handshake.encrypted_flight
    eap = handshake.log.eap
    if eap is None or flight is None:
        return False
    return eap.result != "success" and flight.reply is None and not flight.after


@cython.cfunc
def _guessed_end(handshake: Handshake) -> Any:
    """Return how the end of a TLS 1.3 handshake is known if not by the length of the client's Finished."""
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if handshake.log.transport == "udp":
        reply: HandshakeEvent | None = None if flight is None else flight.reply
        media = " and from media" if reply is not None and reply.content_type == MEDIA else ""
        return f"the end of the handshake is inferred from the epochs of records{media}"
    if flight is not None and flight.exact:
        return None
    return "no record of the client has the length of a Finished: the end of the handshake is inferred from their order"


@cython.cfunc
def _rejection(handshake: Handshake, until: cython.longlong) -> Any:
    """Return the outcome of a TLS 1.3 handshake that an encrypted alert ended, inferred from record lengths."""
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if flight is None:
        return None
    if flight.refused:
        # The content of the alert is not known, but its sender knew that the server had ended the connection.
        # If a Finished may be missing before it, the alert may be a close_notify.
        if _sent_after_end(handshake, flight.flight[0]) or handshake.may_follow_finished(flight.flight[0]):
            return _failure(handshake, until)
        return Ending(False, "alert", "client", "the client's first protected record has an alert's length")
    client, server = handshake.direction(_CLIENT), handshake.direction(_SERVER)
    reply: HandshakeEvent | None = flight.reply
    if (
        flight.flight
        and reply is not None
        # If the client closed first, the alert is probably the close_notify that answers it, and refuses nothing.
        and (client.fin is None or client.fin.frame > reply.frame)
        and (_has_ended(server) or handshake.log.transport == "udp")
        and flight.only_alerts(server.position, server.last_data)
        and not _sent_alert_before(flight, reply.frame)
    ):
        if handshake.log.transport != "udp" and _may_answer_close(handshake, flight, reply):
            return Ending(False, "incomplete", None, None)
        if handshake.follows_hole(_SERVER, reply):
            return None if _lacks_data(handshake, flight, reply) else Ending(False, "incomplete", None, None)
        guess = "all that the server sent after the client's flight is a record of an alert's length"
        if server.position > reply.end:
            guess = "all that the server sent after the client's flight are two records of an alert's length"
        return Ending(False, "alert", "server", guess)
    eap = handshake.log.eap
    silent = bool(flight.flight) and reply is None and not flight.after
    if eap is not None and eap.result == "failure" and silent and not _has_holes(handshake):
        return Ending(False, "closed", "server", "EAP-Failure is the server's only answer to the client's flight")
    return None


@cython.cfunc
def _lacks_data(handshake: Handshake, flight: EncryptedFlight, reply: HandshakeEvent) -> cython.bint:
    """Return whether more than an alert is missing between the client's flight and a later record of the server."""
    before: HandshakeEvent | None = flight.before
    if before is None:
        return False
    begin: cython.longlong = _answered_from(handshake, flight, before.end)
    return begin != UNKNOWN and reply.start - begin > HEADER_SIZE + flight.alerts[reply.sender]


@cython.cfunc
def _may_answer_close(handshake: Handshake, flight: EncryptedFlight, reply: HandshakeEvent) -> cython.bint:
    """Return whether the server had more of the client than its flight, and the capture lacks it.

    It may be a close_notify, which the server answers with another.
    """
    client = handshake.direction(_CLIENT)
    last: HandshakeEvent | None = flight.last()
    hole: cython.longlong = client.first_hole
    if last is None:
        return False
    if reply.acknowledgement == UNKNOWN:
        return hole != UNKNOWN and hole >= last.end
    received: cython.longlong = handshake.received(_SERVER, reply)
    if hole == UNKNOWN:
        return received > client.position
    event: HandshakeEvent
    end: cython.longlong = last.end
    for event in handshake.events[_CLIENT]:
        if event.start == end:
            end = event.end
    # Nothing comes after a close_notify.
    data = client.last_data
    if data is not None and data[0] > end and data[1] != flight.alerts[last.sender]:
        return False
    return received > end


@cython.cfunc
def _has_ended(server: DirectionSummary) -> cython.bint:
    """Return whether the server sent a FIN or RST; the client's acknowledgement counts a FIN that is missing."""
    if server.fin is not None or server.rst is not None:
        return True
    return server.acked is not None and server.offset(server.acked) == server.position + 1


@cython.cfunc
def _sent_alert_before(flight: EncryptedFlight, frame: cython.longlong) -> cython.bint:
    """Return whether the client sent a record with the length of an alert after its flight, before this frame."""
    event: HandshakeEvent
    for event in flight.after:  # noqa: SIM110  # a generator would be a closure
        if event.size == flight.alerts[event.sender] and event.frame < frame:
            return True
    return False


def _failure(handshake: Handshake, until: cython.longlong) -> Ending:
    client, server = handshake.direction(_CLIENT), handshake.direction(_SERVER)
    if not handshake.log.two_sided:
        return Ending(False, "one_sided", None, None)
    fatal = _fatal(handshake)
    if fatal is not None:
        guess = "an alert that cannot be read is taken as fatal" if fatal.encrypted else None
        return Ending(False, "alert", handshake.side(fatal.sender), guess)
    first = min(
        (s for direction in handshake.directions for s in (direction.fin, direction.rst) if s), default=None, key=_frame
    )
    by_client = first is not None and first in (client.fin, client.rst)
    if _unanswered(handshake) and (by_client or (first is None and _is_long_enough(handshake, until))):
        return Ending(False, "no_answer", "client" if by_client else None, None)
    if first is None or _has_holes(handshake) or _sent_uncaptured_payload(server):
        return Ending(False, "incomplete", None, None)
    return Ending(
        False, "reset" if first in (client.rst, server.rst) else "closed", "client" if by_client else "server", None
    )


def _has_holes(handshake: Handshake) -> bool:
    """Return whether bytes are missing that were received, and with which the handshake may have been completed.

    A receiver reads neither unacknowledged bytes nor any bytes after them (RFC 9293 section 3.4).
    """
    return any(
        direction.first_hole != UNKNOWN and not _is_unreceived(direction, direction.first_hole)
        for direction in handshake.directions
    )


def _is_unreceived(direction: DirectionSummary, offset: cython.longlong) -> bool:
    """Return whether the other side acknowledged nothing from this stream offset on."""
    return direction.acked is not None and direction.offset(direction.acked) <= offset


def _unanswered(handshake: Handshake) -> bool:
    """Return whether the server acknowledged the whole ClientHello, which UDP cannot, and sent no payload."""
    client, server = handshake.direction(_CLIENT), handshake.direction(_SERVER)
    client_hello = handshake.log.client_hello
    if handshake.log.transport == "udp":
        return client_hello is not None and not server.payload
    if client_hello is None or server.payload or client.acked is None or _sent_uncaptured_payload(server):
        return False
    # A FIN is acknowledged as if it were a byte.
    acknowledged = [client.acked] if client.fin is None else [client.acked, client.fin.end]
    return min([client.offset(one) for one in acknowledged]) >= client_hello.event.end


def _sent_uncaptured_payload(direction: DirectionSummary) -> bool:
    """Return whether the other side acknowledged payload of a side that has none in the capture."""
    if direction.payload or direction.acked is None or direction.isn == UNKNOWN:
        return False
    first = add(direction.isn, 1) if direction.first == UNKNOWN else direction.first
    # A FIN is acknowledged as if it were a byte.
    return difference(direction.acked, first) > (direction.fin is not None)


def _is_long_enough(handshake: Handshake, until: cython.longlong) -> bool:
    """Return whether the capture continues after the ClientHello for long enough to contain an answer."""
    client_hello = handshake.log.client_hello
    return (
        client_hello is not None
        and UNTIMED not in (client_hello.event.time, until)
        and until - client_hello.event.time >= ANSWER_NS
    )


@cython.cfunc
def _fatal(handshake: Handshake) -> HandshakeEvent | None:
    """Return the first alert that ends a handshake (RFC 8446 section 6, RFC 5246 section 7.2).

    An alert that only reports that the other side had ended the connection does not count: a client whose server closes
    instead of answering often sends decode_error, because bytes are missing. But if the other side sent the last
    message, the alert may be a response to that message.
    """
    if not handshake.alerts[_CLIENT] and not handshake.alerts[_SERVER]:
        return None
    n: cython.Py_ssize_t
    event: HandshakeEvent
    events: list[HandshakeEvent] = handshake.log.events
    latest_sender: cython.longlong = UNKNOWN
    last_handshake: list[int] = [-1, -1]
    for n in range(len(events)):
        event = events[n]
        if event.content_type in _HANDSHAKE_RECORDS:
            last_handshake[event.sender] = n
    for n in range(len(events)):
        event = events[n]
        if event.content_type != _ALERT:
            latest_sender = event.sender
            continue
        if (latest_sender == event.sender or event.body[1:] == _DECODE_ERROR) and _sent_after_end(handshake, event):
            continue
        if event.encrypted:
            # If a side could not be read to the end, the handshake may have been completed before.
            if _has_holes(handshake) or handshake.direction(_CLIENT).strayed or handshake.direction(_SERVER).strayed:
                continue
            return event
        level, description = event.body
        # In TLS 1.3, alerts are errors whatever their level. But a server that does not know the requested name may
        # send a warning before it selects a version, and continue (RFC 6066 section 3).
        error = handshake.tls13 and description not in (_CLOSE_NOTIFY, _USER_CANCELED)
        if level == _FATAL or (error and last_handshake[event.sender] < n):
            return event
    return None


def _sent_after_end(handshake: Handshake, alert: HandshakeEvent) -> bool:
    """Return whether an alert was sent after its sender had received the other side's FIN, or after its RST."""
    peer = handshake.log.directions[1 - alert.sender]
    if peer.rst is not None and peer.rst.frame < alert.frame:
        return True
    if peer.fin is None:
        return False
    if alert.acknowledgement == UNKNOWN:
        return peer.fin.frame < alert.frame
    # A FIN is acknowledged as if it were a byte.
    return difference(alert.acknowledgement, peer.fin.end) > 0


@cython.ccall
def alerts(handshake: Handshake) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return all alerts, with level and description unless they are encrypted."""
    if not handshake.alerts[0] and not handshake.alerts[1]:
        return ()
    return named_alerts(handshake, handshake.log.events)


@cython.ccall
def named_alerts(handshake: Handshake, events: Iterable[HandshakeEvent]) -> tuple:  # type: ignore[type-arg]
    """Return the alerts among these events."""
    event: HandshakeEvent
    found = []
    for event in events:
        if event.content_type != _ALERT:
            continue
        level = description = None
        if not event.encrypted:
            level, description = _LEVEL_NAMES[event.body[0]], _ALERT_NAMES[event.body[1]]
        found.append(Alert(handshake.side(event.sender), level, description, event.frame))
    return tuple(found)


@cython.ccall
def closure(handshake: Handshake) -> Any:
    """Return how each side ended: by a close_notify, by a record with the length of an alert, or by TCP alone."""
    return Closure(_closed(handshake, _CLIENT), _closed(handshake, _SERVER))


@cython.cfunc
def _closed(handshake: Handshake, side: cython.longlong) -> Any:
    event: HandshakeEvent
    direction, sent = handshake.direction(side), handshake.alerts[side]
    for event in sent:
        if not event.encrypted and event.body[1] == _CLOSE_NOTIFY:
            return "close_notify"
    ended = direction.ended
    if _ends_in_alert(handshake, side, direction, ended):
        return "inferred_alert"
    if ended is None or handshake.log.transport != "tcp":
        return None
    return "rst" if ended == direction.rst else "fin"


@cython.cfunc
def _ends_in_alert(handshake: Handshake, side: cython.longlong, direction: DirectionSummary, ended: Any) -> cython.bint:
    """Return whether the connection ended, and a side's last record is an encrypted alert or has the length of one.

    Over UDP the alert is the end.
    """
    end: cython.longlong
    sent = handshake.alerts[side]
    datagrams: cython.bint = handshake.log.transport == "udp"
    if handshake.tls13:
        last, flight = direction.last_data, handshake.encrypted_flight
        if last is None or flight is None or last[1] != flight.alerts[handshake.client ^ side]:
            return False
        if datagrams:
            return True
        end = last[0] + HEADER_SIZE + last[1]
    elif sent and sent[len(sent) - 1].encrypted:
        end = sent[len(sent) - 1].end
    else:
        return False
    if ended is not None:
        return end == direction.offset(ended.end)
    return end == direction.position and (datagrams or handshake.direction(_SERVER - side).ended is not None)
