# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""How long a handshake took (`timing`), in how many round trips, and how many bytes it had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython
from msgspec import Struct

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import NO_TIME, UNKNOWN
from tlsdissect.handshake.events import HandshakeEvent
from tlsdissect.handshake.facts.handshake import CLIENT, SERVER
from tlsdissect.handshake.facts.negotiation import hello_retry
from tlsdissect.model.connection import HandshakeBytes, Timing
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import APPLICATION_DATA

if TYPE_CHECKING:
    from tlsdissect.handshake.encrypted_flight import EncryptedFlight
    from tlsdissect.handshake.facts.handshake import Handshake
    from tlsdissect.model.transcript import Packet, PacketRef, WireRecord

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_CERTIFICATE = HandshakeType.CERTIFICATE
_CLIENT_KEY_EXCHANGE = HandshakeType.CLIENT_KEY_EXCHANGE


_SPLIT_FACTOR, _SPLIT_MS = 5, 10
_EXACT = 1 << 53
"""From here on, a float cannot hold every integer."""
_ACKNOWLEDGEMENT = 36
"""Bytes of the longest QUIC Handshake packet that is taken for an acknowledgement alone: a packet number of 4, an ACK
frame of 16 and a tag of 16. One with a Finished has at least 56 (RFC 9000 sections 19.3 and 19.6)."""
# C integers, by the .pxd.
_APPLICATION_DATA, _NO_TIME, _UNTIMED, _NS_PER_MS = APPLICATION_DATA, NO_TIME, UNTIMED, 1_000_000
_CLIENT, _SERVER = CLIENT, SERVER


@cython.ccall
def round_trips(handshake: Handshake, early_data: Any, complete: cython.bint) -> Any:
    """Return the number of server flights for which the client waited during its handshake; None if not visible.

    TLS 1.2: RFC 5246 section 7.3, RFC 7918 for a false start. TLS 1.3: RFC 8446 section 2. A Retry and a Version
    Negotiation of QUIC are one more each.
    """
    if not complete:
        return None
    if not handshake.tls13:
        flights, verified = _round_trips12(handshake), handshake.log.hello_verify
        return None if flights is None or verified is None else flights + verified
    retried = hello_retry(handshake)
    # After a HelloRetryRequest there is no early data (RFC 8446 section 4.2.10).
    if retried is None or (early_data is None and not retried):
        return None
    quic, waits = handshake.log.quic, 0
    if quic is not None:
        if quic.retry is None or quic.version_negotiation is None:
            return None
        waits = quic.retry + quic.version_negotiation
    return 0 if early_data == "accepted" else 1 + handshake.log.hello_retries + waits


@cython.cfunc
def _round_trips12(handshake: Handshake) -> Any:
    mine, theirs = handshake.finished(_CLIENT), handshake.finished(_SERVER)
    if mine is None or theirs is None:
        return None
    if handshake.is_full is not True:
        return None if handshake.is_full is None else 1
    data = handshake.log.first_data[handshake.client]
    if data is None or data.acknowledgement is None:
        return 2
    return 1 if handshake.direction(_SERVER).offset(data.acknowledgement) < theirs.end else 2


@cython.ccall
def timing(handshake: Handshake) -> Any:
    """Measure the handshake: the milliseconds between its packets at the capture point.

    `handshake_ms` goes from the ClientHello to `_end`. Keys to encrypted messages do not change these times.
    """
    server_hello, start = handshake.log.server_hello, handshake.start
    syn, synack, ack = _tcp_times(handshake)
    tcp_ms = elapsed(syn, ack)
    server_hello_ms = elapsed(start, None if server_hello is None else _time(server_hello.event))
    split = None
    if tcp_ms is not None and server_hello_ms is not None:
        split = server_hello_ms >= _SPLIT_FACTOR * tcp_ms and server_hello_ms >= tcp_ms + _SPLIT_MS
    if handshake.log.clocks_differ:
        # Only durations between packets of one direction are known. In TLS 1.3, the client's Finished is the last.
        return Timing(
            tcp_ms=tcp_ms,
            ack_client_hello_ms=elapsed(ack, start),
            handshake_ms=elapsed(start, _data_time(_end(handshake))) if handshake.tls13 else None,
            client_data_ms=elapsed(start, _data_time(_data(handshake, _CLIENT))),
        )
    return Timing(
        tcp_ms=tcp_ms,
        syn_synack_ms=elapsed(syn, synack),
        synack_ack_ms=elapsed(synack, ack),
        ack_client_hello_ms=elapsed(ack, start),
        server_hello_ms=server_hello_ms,
        handshake_ms=elapsed(start, _data_time(_end(handshake))),
        client_data_ms=elapsed(start, _data_time(_data(handshake, _CLIENT))),
        server_data_ms=elapsed(start, _data_time(_data(handshake, _SERVER))),
        server_record_ms=elapsed(start, _data_time(_reply(handshake))),
        split_path=split,
    )


@cython.cfunc
def _tcp_times(handshake: Handshake) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the times of the client's SYN, the SYN-ACK and its acknowledgement."""
    if handshake.log.opener != handshake.client:
        return None, None, None
    syn, synack, ack = handshake.log.tcp_times
    return _known(syn), _known(synack), _known(ack)


@cython.cfunc
def _known(time: cython.longlong) -> Any:
    return None if time in (_NO_TIME, _UNTIMED) else time


@cython.ccall
def elapsed(start: Any, end: Any) -> Any:
    """Return the milliseconds from one time to a later one; None if one is missing or the clock was set back."""
    return None if start is None or end is None else _from_to(start, end)


@cython.cfunc
def _from_to(start: cython.longlong, end: cython.longlong) -> Any:
    if 0 <= start <= end and end - start < _EXACT:
        return (end - start) / _NS_PER_MS
    return _any_from_to(start, end)


@cython.cfunc
def _any_from_to(start: Any, end: Any) -> Any:
    """Do the same for times whose difference may have more than 63 bits."""
    return None if end < start else (end - start) / 1_000_000


def since(begin: Packet | WireRecord | None, frame: Any, time: Any) -> Any:
    """Return the milliseconds from a packet or record to another frame; None if one of them has no time."""
    if begin is None or begin.time is None or time is None:
        return None
    return milliseconds(begin.frame, begin.time, frame, time)


@cython.ccall
def begin_of(handshake: Handshake) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the frame that completed the first ClientHello, and its time; UNTIMED if that is not visible."""
    client_hello = handshake.log.client_hello
    if client_hello is None or handshake.start is None:
        return 0, _UNTIMED
    return client_hello.event.frame, handshake.start


@cython.ccall
def milliseconds(begin: cython.longlong, start: cython.longlong, frame: cython.longlong, time: cython.longlong) -> Any:
    """Return the milliseconds from a frame and its time to another frame, negative if that comes before.

    None if one of them has no time, or the times decrease from one frame to the other.
    """
    if start == _UNTIMED or time == _UNTIMED:
        return None
    if frame >= begin:
        return _from_to(start, time)
    before = _from_to(time, start)
    return None if before is None else 0.0 - before


@cython.cfunc
def _time(event: HandshakeEvent | None) -> Any:
    """Return the time of an event; None if it has none."""
    return None if event is None or event.time == _UNTIMED else event.time


@cython.cfunc
def _data_time(data: Any) -> Any:
    """Return the time of an event or a packet; None if it has none."""
    return _time(data) if data is None or isinstance(data, HandshakeEvent) else data.time


@cython.cfunc
def _end(handshake: Handshake) -> Any:
    """Return what ends the handshake for the client: the last Finished, or its first 1-RTT packet."""
    if handshake.log.quic is not None:
        return handshake.log.quic.first_one_rtt[_CLIENT]
    if handshake.tls13:
        flight: EncryptedFlight | None = handshake.encrypted_flight
        # If the first record has the length of an alert, the client refused.
        if flight is None or flight.before is None or flight.refused or not _is_whole(handshake, flight):
            return None
        return flight.last()
    mine, theirs = handshake.finished(_CLIENT), handshake.finished(_SERVER)
    if mine is None or theirs is None or handshake.is_full is None:
        return None
    return theirs if handshake.is_full else mine


def first_data(handshake: Handshake) -> tuple[HandshakeEvent | PacketRef | None, HandshakeEvent | PacketRef | None]:
    """Return the first application data of each side; in TLS 1.3 the server's may be a ticket."""
    if handshake.log.quic is not None:
        return handshake.log.quic.first_one_rtt
    return _data(handshake, _CLIENT), _reply(handshake) if handshake.tls13 else _data(handshake, _SERVER)


@cython.cfunc
def _data(handshake: Handshake, side: cython.longlong) -> Any:
    """Return the first application data of a side.

    In TLS 1.3, this is a client's first protected record after its flight that does not have the length of an alert;
    None for a server, whose tickets look like data. If the version is not known, a record that looks like data may be
    part of the handshake.
    """
    data: PacketRef | None = handshake.log.first_data[handshake.client ^ side]
    if not handshake.tls13:
        return None if _may_be_handshake(handshake, side) or _lacks_data(handshake, side) else data
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if flight is None or side == _SERVER or not _is_whole(handshake, flight):
        return None
    event: HandshakeEvent
    for event in flight.after:
        if handshake.follows_hole(_CLIENT, event):
            return None
        if event.size != flight.alerts[event.sender]:
            return event
    last: HandshakeEvent | None = flight.after[len(flight.after) - 1] if flight.after else flight.last()
    if not handshake.log.decided or last is None or handshake.direction(_CLIENT).first_hole == last.end:
        return None
    return data


@cython.cfunc
def _lacks_data(handshake: Handshake, side: cython.longlong) -> cython.bint:
    """Return whether bytes directly behind a side's Finished before TLS 1.3 are missing."""
    finished: HandshakeEvent | None = handshake.finished(side)
    return finished is not None and handshake.direction(side).first_hole == finished.end


@cython.cfunc
def _may_be_handshake(handshake: Handshake, side: cython.longlong) -> cython.bint:
    """Return whether a side's first record of application data may contain TLS 1.3 handshake messages.

    In older versions an encrypted handshake record, the Finished, comes before data.
    """
    if handshake.log.version != UNKNOWN or handshake.finished(side) is not None:
        return False
    client_hello = handshake.log.client_hello
    return client_hello is None or not client_hello.event.whole or client_hello.offers_tls13


@cython.cfunc
def _reply(handshake: Handshake) -> Any:
    """Return the server's first record after the client's flight, unless it has the length of an alert.

    In QUIC it is the first 1-RTT packet after the client's.
    """
    if handshake.log.quic is not None:
        return handshake.log.quic.first_one_rtt[_SERVER]
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if flight is None or flight.reply is None or flight.reply.size == flight.alerts[flight.reply.sender]:
        return None
    if not _is_whole(handshake, flight) or handshake.follows_hole(_SERVER, flight.reply):
        return None
    return flight.reply


@cython.cfunc
def _is_whole(handshake: Handshake, flight: EncryptedFlight) -> cython.bint:
    """Return whether the end of the client's flight is known, since no record of the client is missing before it.

    Records in datagrams are not numbered without gaps, but tell by their epoch what they are.
    """
    last: HandshakeEvent | None = flight.last()
    if last is None or handshake.log.transport == "udp":
        return True
    client = handshake.direction(_CLIENT)
    if not flight.exact or client.is_whole(last.start):
        return flight.exact or client.is_whole(last.end + 1)
    event: HandshakeEvent
    # Behind missing bytes, what has the length of a Finished may be data.
    for event in flight.flight:  # noqa: SIM110  # a generator would be a closure
        if handshake.may_follow_finished(event):
            return False
    return True


@cython.ccall
def handshake_bytes(handshake: Handshake, complete: cython.bint) -> Any:
    """Return the bytes of each side's records up to the end of its handshake; None if not visible.

    In QUIC: of the messages in Initial packets and of Handshake packets, without acknowledgements after the flight.
    """
    if not complete:
        return HandshakeBytes(None, None)
    if handshake.log.quic is not None:
        return HandshakeBytes(_quic_bytes(handshake, _CLIENT), _quic_bytes(handshake, _SERVER))
    if not handshake.tls13:
        return HandshakeBytes(
            _bytes(handshake, _CLIENT, handshake.finished(_CLIENT)),
            _bytes(handshake, _SERVER, handshake.finished(_SERVER)),
        )
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if flight is None or flight.before is None or not _is_whole(handshake, flight):
        return HandshakeBytes(None, None)
    end: HandshakeEvent = flight.before
    last: HandshakeEvent | None = flight.last()
    # Behind records that do not end in a Finished, more of the flight may be missing, unless the client had no more.
    seen: cython.bint = flight.has_server_finished() or handshake.direction(_SERVER).is_whole(end.end + 1)
    if not seen and last is not None:
        seen = handshake.received(_CLIENT, last) == end.end
    server = _bytes(handshake, _SERVER, end) if seen else None
    return HandshakeBytes(_bytes(handshake, _CLIENT, last), server)


@cython.cfunc
def _bytes(handshake: Handshake, side: cython.longlong, last: HandshakeEvent | None) -> Any:
    if last is None or not handshake.direction(side).is_whole(last.end):
        return None
    if side == _CLIENT and handshake.log.client_hello is None:
        return None
    if handshake.log.transport == "udp":
        return _datagram_bytes(handshake, side, last)
    event: HandshakeEvent
    # Protected records before the flight are early data.
    first: cython.longlong = last.end if side == _CLIENT else 0
    flight: EncryptedFlight | None = handshake.encrypted_flight
    if side == _CLIENT and flight is not None and flight.flight:
        event = flight.flight[0]
        first = event.start
    # One record may contain several messages.
    total: cython.longlong = 0
    reached: cython.longlong = -1
    for event in handshake.events[side]:
        if reached < event.end <= last.end and (event.content_type != _APPLICATION_DATA or event.start >= first):
            total += event.end - max(event.start, reached)
            reached = event.end
    return total


@cython.cfunc
def _datagram_bytes(handshake: Handshake, side: cython.longlong, last: HandshakeEvent) -> Any:
    """Return the bytes of a side's records over DTLS, each once, in whichever order they came."""
    plain = handshake.log.plain_bytes[handshake.client ^ side]
    event: HandshakeEvent
    if plain is None or not handshake.tls13:
        return None if plain is None else plain + last.end - last.start
    total: cython.longlong = plain
    for event in handshake.events[side]:
        if event.encrypted and event.end <= last.end and event.content_type != _APPLICATION_DATA:
            total += event.end - event.start
    return total


@cython.cfunc
def _quic_bytes(handshake: Handshake, side: cython.longlong) -> Any:
    """Return the bytes up to the last Handshake packets of a side that may hold part of a message.

    Each side acknowledges the other's flight after its own, often in Handshake packets without a CRYPTO frame.
    """
    event: HandshakeEvent
    total: cython.longlong = handshake.direction(side).position
    hello = handshake.log.client_hello if side == _CLIENT else handshake.log.server_hello
    if hello is None or not handshake.direction(side).is_whole(total):
        return None
    for event in reversed(handshake.events[side]):
        if not event.encrypted or event.size > _ACKNOWLEDGEMENT:
            break
        total -= event.size
    return total


class CertificateTimes(Struct, frozen=True, gc=False):
    """When each side had the other's certificate, and so may look up its status, in nanoseconds; None if not visible.

    The durations that `Connection.timing` reports are measured by `timing`.
    """

    hello: int | None
    """The ClientHello."""
    shown: int | None
    """When the client received the server's certificate: at the Certificate, or in TLS 1.3 the ServerHello."""
    flight: int | None
    """When the server received the client's certificate: at the Certificate, or in TLS 1.3 the client's flight."""
    reply: int | None
    """The server's reply to that: ChangeCipherSpec or alert, or in TLS 1.3 its first record."""


def certificate_times(handshake: Handshake) -> CertificateTimes:
    """Return when each side received the other's certificate, and when it continued."""
    client_hello, server_hello = handshake.log.client_hello, handshake.log.server_hello
    hello = None if client_hello is None else _time(client_hello.event)
    if handshake.tls13:
        encrypted: EncryptedFlight | None = handshake.encrypted_flight
        return CertificateTimes(
            hello,
            None if server_hello is None else _time(server_hello.event),
            None if encrypted is None else _time(encrypted.last()),
            None if encrypted is None else _time(encrypted.reply),
        )
    exchange = handshake.message(_CLIENT, _CLIENT_KEY_EXCHANGE)
    flight = handshake.message(_CLIENT, _CERTIFICATE) or exchange
    shown = handshake.message(_SERVER, _CERTIFICATE)
    return CertificateTimes(hello, _time(shown), _time(flight), _time(_reply_to(handshake, flight)))


def _reply_to(handshake: Handshake, flight: HandshakeEvent | None) -> HandshakeEvent | None:
    if flight is None:
        return None
    change = handshake.change(_SERVER)
    if change is not None and change.frame >= flight.frame:
        return change
    for alert in handshake.alerts[_SERVER]:
        if alert.frame >= flight.frame:
            return alert
    return None
