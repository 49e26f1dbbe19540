# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""All facts of a connection, from the log of its handshake and the totals of its flow."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import cython
from msgspec import UNSET
from msgspec.structs import replace

from tlsdissect.caches import cached
from tlsdissect.capture.octets import cut, u16
from tlsdissect.capture.packet import UNTIMED, time_or_none
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.encrypted_flight import is_guessed
from tlsdissect.handshake.events import HandshakeEvent, client_random, cookie, premaster_key
from tlsdissect.handshake.facts.endings import alerts, closure, ending
from tlsdissect.handshake.facts.exposure import exposure
from tlsdissect.handshake.facts.handshake import CLIENT, SERVER, Handshake
from tlsdissect.handshake.facts.hello_fingerprints import ja3, ja3_string, ja3n, ja3s, ja4, ja4_r
from tlsdissect.handshake.facts.hellos import client_hello, hello_retry_request, server_hello, sni
from tlsdissect.handshake.facts.negotiation import (
    alpn,
    early_data,
    ech,
    external_psk,
    hello_retry,
    infers_early_data,
    key_agreement,
    negotiated,
    psk_identity,
    resumption,
)
from tlsdissect.handshake.facts.quic import quic
from tlsdissect.handshake.facts.text import quoted
from tlsdissect.handshake.facts.timing import (
    begin_of,
    certificate_times,
    first_data,
    handshake_bytes,
    milliseconds,
    round_trips,
    timing,
)
from tlsdissect.handshake.log import HEARTBEAT_HEAD
from tlsdissect.handshake.plaintext import PLAIN, TLS
from tlsdissect.handshake.problems import MAX_PROBLEMS
from tlsdissect.handshake.proxies import proxy_header
from tlsdissect.handshake.record_cursor import PADDING
from tlsdissect.handshake.starttls import recognise
from tlsdissect.model.connection import Connection, Endpoint, Heartbeat, Message, Problem, Station
from tlsdissect.model.renumbering import renumbered
from tlsdissect.model.transcript import KeptConnection, PacketRef, Transcript
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import HandshakeType, Registry
from tlsdissect.tls.record import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_SIZE,
    HEARTBEAT,
    MAX_FRAGMENT,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.errors import Damage
    from tlsdissect.flows.totals import Totals
    from tlsdissect.handshake.events import HeartbeatRecord
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
    from tlsdissect.handshake.quic_keys import OpenedPacket
    from tlsdissect.model.connection import Eap, Side
    from tlsdissect.model.transcript import OpenedMessage, QuicPacket, Recording

_END = ("complete", "outcome", "failed_by")
"""The facts that rest on how the handshake ended."""
_AFTER_END = ("handshake_bytes", "timing.handshake_ms", "timing.client_data_ms", "timing.server_record_ms")
"""What is inferred besides if records of TLS 1.3 show that end: they are measured from it."""
# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_EXTENDED_MASTER_SECRET = Type.EXTENDED_MASTER_SECRET
_RENEGOTIATION_INFO = Type.RENEGOTIATION_INFO
_CLIENT_KEY_EXCHANGE = HandshakeType.CLIENT_KEY_EXCHANGE
_SERVER_KEY_EXCHANGE = HandshakeType.SERVER_KEY_EXCHANGE

_NS = 1_000_000_000
_HELLO_NOT_FOUND = "the ClientHello was not found: after another protocol, only beginnings of segments are searched"
ADDRESS_CACHE_BYTES = 1 << 20
"""Bytes of cached IPv6 addresses."""
_ADDRESS_BYTES = 256
"""Estimated bytes of a cached address."""
MAX_SHOWN = 80
"""Maximum number of bytes quoted of the first line of an answer in another protocol."""
MAX_SHOWN_TEXT = 120
"""Maximum number of bytes quoted of the text in a RST."""
_VERSION_NAMES, _SUITE_NAMES = Registry.VERSIONS.names, Registry.CIPHER_SUITES.names
_HANDSHAKE_NAMES = Registry.HANDSHAKE_TYPES.names

# C integers, by the .pxd.
_ALERT, _APPLICATION_DATA, _CHANGE_CIPHER_SPEC, _UNTIMED = ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, UNTIMED
_CLIENT, _SERVER = CLIENT, SERVER


def connection(
    source: str,
    totals: Totals,
    log: LoggedHandshake,
    *,
    raw: cython.bint = False,
    evidence: Evidence | None = None,
    keys: CaptureKeys | None = None,
) -> Connection:
    """Derive all facts of a connection from the totals of its packets and the log of its handshake.

    With `raw`, the unhashed fingerprints are included. Certificates and times that verdicts need are kept as evidence.
    With `keys`, `hidden` has what they decrypt.
    """
    handshake: Handshake = Handshake(log)
    ends = _stations(log.eap) if log.eap is not None and log.eap.carrier == "eapol" else endpoints(totals.endpoints)
    upgrade, upgrade_target = _upgrade(handshake)
    end, resumed = ending(handshake, log.until), resumption(handshake)
    early, times = early_data(handshake), timing(handshake)
    agreed, shown = key_agreement(handshake), exposure(handshake, resumed, evidence)
    asked = handshake.retry_or_verify_request
    retry, in_retry = (None, ()) if asked is None else hello_retry_request(asked)
    malformed = (*_malformed(handshake, agreed.problem, in_retry), *shown.problems)
    inferred = _inferred(handshake, end.inferred, early, times)
    suite = handshake.cipher_suite
    # All fields in their order: msgspec takes twenty times as long to assign them by name.
    result = Connection(
        source,
        totals.stream,
        log.transport,
        ends[log.client],
        ends[1 - log.client],
        _rfc3339(totals.start, totals.digits),
        _rfc3339(totals.end, totals.digits),
        totals.first_frame,
        totals.packets,
        totals.payload_bytes,
        False,  # open
        upgrade,
        upgrade_target,
        end.complete,
        end.outcome,
        end.failed_by,
        closure(handshake),
        None if log.version == UNKNOWN else _VERSION_NAMES[log.version],
        None if suite is None else _SUITE_NAMES[suite],
        agreed.group,
        agreed.dh_bits,
        agreed.signature_scheme,
        negotiated(handshake, _EXTENDED_MASTER_SECRET),
        negotiated(handshake, _RENEGOTIATION_INFO),
        sni(handshake.client_extensions),
        alpn(handshake),
        resumed,
        None,  # resumes
        None,  # same_ticket_as
        None,  # retry_of
        early,
        hello_retry(handshake),
        retry,
        ech(handshake),
        round_trips(handshake, early, end.complete),
        times,
        handshake_bytes(handshake, end.complete),
        client_hello(handshake),
        server_hello(handshake),
        shown.certificates,
        shown.client_certificate_requested,
        shown.certificate_request,
        shown.client_certificates,
        shown.ocsp_staple,
        shown.session_ticket,
        alerts(handshake),
        _messages(handshake),
        0
        if handshake.tls13
        else max(0, min(handshake.direction(_CLIENT).changed, handshake.direction(_SERVER).changed) - 1),
        tuple([_heartbeat(handshake, beat) for beat in log.heartbeats]),
        ja3(handshake),
        ja3s(handshake),
        ja4(handshake),
        ja3_string(handshake) if raw else UNSET,
        ja3n(handshake) if raw else UNSET,
        ja4_r(handshake) if raw else UNSET,
        None,  # hidden
        None,  # keys
        None if log.quic is None else quic(handshake),
        log.dtls,
        log.eap,
        psk_identity(handshake),
        agreed.psk_identity_hint,
        None,  # findings
        _problems(handshake, malformed, inferred),
    )
    opened: tuple[OpenedMessage, ...] = ()
    packets: dict[tuple[Side, int], OpenedPacket] = {}
    if keys is not None:
        _join_secrets(handshake, keys)
    if keys is not None and log.sealed_records:
        # Imported with the first record: `cryptography` takes a tenth of a second.
        from tlsdissect.handshake.facts.hidden import with_hidden  # noqa: PLC0415

        result, opened, packets = with_hidden(result, handshake, keys, evidence)
    if evidence is not None:
        evidence.set_certificate_times(result, certificate_times(handshake))
    if log.recording is not None:
        result = with_transcript(result, handshake, log.recording, opened, packets)
    if log.frames:
        result = renumbered(result, log.frames)
    if log.damage:
        damages = [Problem("damaged_capture", _detail(hurt), hurt.frame, hurt.offset) for hurt in log.damage]
        result = replace(result, problems=(*result.problems, *damages))
    return result


def _detail(damage: Damage) -> str:
    """Describe damage; of one of several captures that are read as one, name this one."""
    return f"{damage.capture}: {damage.detail}" if damage.capture else damage.detail


@cython.cfunc
def _join_secrets(handshake: Handshake, keys: CaptureKeys) -> None:
    """Note which two secrets of a key log are this connection's, whether or not they open something."""
    exchange = handshake.message(_CLIENT, _CLIENT_KEY_EXCHANGE)
    hello = handshake.log.client_hello
    if exchange is not None and hello is not None:
        keys.join(client_random(hello.event), premaster_key(exchange))


def with_transcript(
    result: Connection,
    handshake: Handshake,
    recording: Recording,
    opened: tuple[OpenedMessage, ...],
    packets: dict[tuple[Side, int], OpenedPacket],
) -> KeptConnection:
    """Return the connection with its transcript; `opened` and the `packets` of QUIC are what keys opened."""
    mine, other = first_data(handshake)
    log = handshake.log
    return KeptConnection(
        **{name: getattr(result, name) for name in result.__struct_fields__},
        transcript=Transcript(
            packets=recording.packets,
            records=recording.records,
            first_data=(_packet_ref(mine), _packet_ref(other)),
            version=None if log.version == UNKNOWN else log.version,
            cipher_suite=handshake.cipher_suite,
            framing=log.directions[0].framing or log.directions[1].framing,
            copies=recording.copies,
            copied=recording.copied,
            opened=opened,
            quic=_with_opened(recording, packets) if packets else recording.quic,
            eap_packets=recording.eap_packets,
        ),
    )


def _with_opened(recording: Recording, packets: dict[tuple[Side, int], OpenedPacket]) -> tuple[QuicPacket, ...]:
    """Return the packets of QUIC, with the payload of those that keys opened."""
    found = []
    for one in recording.quic:
        datagram = recording.packets[one.datagram]
        opened = packets.get((datagram.sender, (datagram.offset or 0) + one.start))
        if opened is not None:
            one = replace(one, header=opened.header, payload=opened.payload, with_keys=True)  # noqa: PLW2901
        found.append(one)
    return tuple(found)


def _packet_ref(event: HandshakeEvent | PacketRef | None) -> PacketRef | None:
    return PacketRef(event.frame, time_or_none(event.time), None) if isinstance(event, HandshakeEvent) else event


def is_quoted(log: LoggedHandshake) -> bool:
    """Return whether TLS is only quoted: on one side alone, inside an upload or an e-mail for example.

    A PROXY header is the exception: the client sends a hello after it in the same segment, answered or not.
    """
    with_records = [direction for direction in log.directions if direction.mode == TLS]
    if len(with_records) != 1 or not with_records[0].embedded or with_records[0].framing:
        return False
    return proxy_header(with_records[0].before) is None


def _heartbeat(handshake: Handshake, beat: HeartbeatRecord) -> Heartbeat:
    whole = len(beat.head) == HEARTBEAT_HEAD
    return Heartbeat(
        sender=handshake.side(beat.sender),
        type=Registry.HEARTBEAT_MESSAGE_TYPES.names[beat.head[0]] if whole else None,
        bytes=beat.size,
        payload_bytes=int.from_bytes(beat.head[1:], "big") if whole else None,
        frame=beat.frame,
    )


@cython.ccall
def endpoints(packed: bytes) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Decode `Totals.endpoints` to the source and destination of the first packet."""
    size: cython.Py_ssize_t = (len(packed) - 4) // 2
    ports: cython.Py_ssize_t = 2 * size
    return (
        Endpoint(_address(cut(packed, 0, size)), u16(packed, ports)),
        Endpoint(_address(cut(packed, size, ports)), u16(packed, ports + 2)),
    )


def _stations(eap: Eap) -> tuple[Endpoint, Endpoint]:
    """Return the supplicant and the authenticator of EAP over a LAN."""
    return (
        Endpoint(None, None) if eap.supplicant is None else Station(None, None, eap.supplicant),
        Endpoint(None, None) if eap.authenticator is None else Station(None, None, eap.authenticator),
    )


@cython.cfunc
def _address(packed: bytes) -> str:
    if len(packed) != 4:
        return _ipv6(packed)
    return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"


@cached(ADDRESS_CACHE_BYTES, lambda *_: _ADDRESS_BYTES)
def _ipv6(packed: bytes) -> str:
    return str(IPv6Address(packed))


@cython.cfunc
def _rfc3339(time: cython.longlong, digits: cython.longlong) -> Any:
    """Format a time in UTC with the digits of the capture's clock (RFC 3339 section 5.6)."""
    if time == _UNTIMED:
        return None
    seconds: cython.longlong = time // _NS
    if digits == 0:
        return f"{_second(seconds)}Z"
    # The first digit of this number is no part of it, and keeps the zeros.
    rest: cython.longlong = _NS + time - seconds * _NS
    return f"{_second(seconds)}.{f'{rest}'[1 : digits + 1]}Z"


@lru_cache(maxsize=4096)
def _second(seconds: cython.longlong) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _upgrade(handshake: Handshake) -> tuple[str | None, str | None]:
    """Return the protocol before TLS, and the target of a proxy."""
    mine, theirs, log = handshake.direction(_CLIENT), handshake.direction(_SERVER), handshake.log
    framing = mine.framing or theirs.framing
    if framing is not None:
        return framing, None
    hello, first = log.client_hello, theirs.first_frame
    client, server = mine.before, theirs.before
    if log.before is not None:
        client, server = log.before[handshake.client], log.before[1 - handshake.client]
    # Bytes after a hole are not the first ones of a side.
    client, server = b"" if mine.headless else client, b"" if theirs.headless else server
    # A server may answer a ClientHello in another protocol: those bytes do not precede TLS.
    late = hello is not None and first > hello.event.frame
    answered = late and not client and log.before is None
    return recognise(client, server) if client or (server and not answered) else (None, None)


@cython.cfunc
def _messages(handshake: Handshake) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return all messages in order, with the protected TLS 1.3 records up to the end of the client's flight."""
    event: HandshakeEvent
    log, flight = handshake.log, handshake.encrypted_flight
    last: HandshakeEvent | None = None if flight is None else flight.last()
    protected: cython.bint = flight is not None
    begin: cython.longlong
    start: cython.longlong
    begin, start = begin_of(handshake)
    sides = (handshake.side(0), handshake.side(1))
    messages: list[Message] = []
    for event in log.events:
        if _is_message(handshake, event, protected):
            ms = milliseconds(begin, start, event.frame, event.time)
            messages.append(Message(sides[event.sender], _message_type(event), event.size, event.frame, ms))
        protected = protected and event is not last
    return tuple(messages)


@cython.cfunc
@cython.exceptval(-1)
def _is_message(handshake: Handshake, event: HandshakeEvent, protected: cython.bint) -> cython.bint:
    """Return whether an event is listed; protected TLS 1.3 records are until the client's flight has ended."""
    if event.encrypted and handshake.encrypted_flight is not None and handshake.log.transport == "udp":
        return event.content_type == _ALERT or (protected and event.content_type == HANDSHAKE)
    return protected or event.content_type != _APPLICATION_DATA


@cython.cfunc
def _message_type(event: HandshakeEvent) -> str:
    if event.handshake_type is None:
        if event.content_type == _CHANGE_CIPHER_SPEC:
            return "change_cipher_spec"
        return "alert" if event.content_type == _ALERT else "encrypted"
    name: str = _HANDSHAKE_NAMES[event.handshake_type]
    return "hello_retry_request" if name == "server_hello" and event.is_retry_request else name


@cython.cfunc
def _inferred(handshake: Handshake, of_end: Any, early: Any, times: Any) -> list[Problem]:
    """Report what is inferred and not decoded."""
    found: list[Problem] = []
    if of_end is not None:
        after = handshake.tls13 or handshake.log.quic is not None
        found.append(_guess(of_end, _END + _AFTER_END if after else _END))
    elif _tells_of_end(handshake, times):
        by = "first 1-RTT packets" if handshake.log.quic is not None else "the epochs of records"
        found.append(_guess(f"where the handshake ends and data begin is inferred from {by}", _AFTER_END))
    if early is not None and infers_early_data(handshake):
        early_data_told = "whether early data was accepted is inferred from the lengths of records"
        found.append(_guess(early_data_told, ("early_data", "round_trips")))
    if external_psk(handshake):
        found.append(_guess("the pre-shared key may be external: obfuscated_ticket_age is 0", ("resumption",)))
    if handshake.encrypted_flight is not None and is_guessed(handshake.cipher_suite or 0):
        lengths_told = "the cipher suite is not known: record lengths are interpreted for SHA-256 and a tag of 16 bytes"
        found.append(_guess(lengths_told, (*_END, *_AFTER_END, "early_data", "closure")))
    if times.split_path:
        found.append(_guess("TCP seems to end nearer than TLS, or the server was slow", ("timing.split_path",)))
    return found


@cython.cfunc
@cython.exceptval(-1)
def _tells_of_end(handshake: Handshake, times: Any) -> cython.bint:
    """Return whether datagrams show where the handshake ended, although its outcome is not inferred from that."""
    if handshake.log.quic is None and (handshake.log.transport != "udp" or not handshake.tls13):
        return False
    return not (times.handshake_ms is None and times.client_data_ms is None and times.server_record_ms is None)


@cython.cfunc
def _guess(detail: str, facts: tuple) -> Problem:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    return Problem("inferred", detail, None, None, None, None, facts)


@cython.cfunc
def _malformed(handshake: Handshake, in_key_exchange: Any, in_retry: tuple) -> list[Problem]:  # type: ignore[type-arg]
    """Return the errors in messages whose beginning could be decoded."""
    log = handshake.log
    problems: list[Problem] = []
    if log.client_hello is not None:
        problems += _in_message(handshake, log.client_hello.event, handshake.client_extensions.problems)
    if log.server_hello is not None:
        problems += _in_message(handshake, log.server_hello.event, handshake.server_extensions.problems)
    if in_key_exchange is not None:
        event = handshake.message(_SERVER, _SERVER_KEY_EXCHANGE)
        problems += _in_message(handshake, event, (("malformed_message", in_key_exchange),))
    return problems + _in_message(handshake, handshake.retry_or_verify_request, in_retry)


@cython.cfunc
def _in_message(handshake: Handshake, event: HandshakeEvent | None, problems: tuple) -> list[Problem]:  # type: ignore[type-arg]
    """Return problems, each a code and a detail, as those of a message."""
    if event is None or not problems:
        return []
    side = handshake.side(event.sender)
    return [Problem(code, detail, event.frame, event.start, side) for code, detail in problems]


@cython.cfunc
def _problems(handshake: Handshake, malformed: tuple, inferred: list[Problem]) -> tuple:  # type: ignore[type-arg]
    log = handshake.log
    found: list[Problem] = []
    sender: cython.Py_ssize_t
    direction: DirectionSummary
    reset_text: cython.bint = False
    for sender in range(2):
        direction = log.directions[sender]
        reset_text = reset_text or direction.reset_text is not None
        if not malformed and not direction.problems:
            continue
        side = handshake.side(sender)
        reported = [replace(problem, sender=side) for problem in direction.problems]
        reported += [problem for problem in malformed if problem.sender == side]
        found += reported[:MAX_PROBLEMS]
    if handshake.direction(_SERVER).reply is not None:
        found += _before_tls(handshake)
    if log.unordered:
        why, by = "the capture is not in the order of time", "times and acknowledgements"
        if log.clocks_differ:
            why = "packets are not in the order in which they were sent, since the clocks of the two directions differ"
            by = "acknowledgements"
        how = f"put in order by {by}" if log.frames else "too many to put in order"
        found.append(Problem("out_of_order", f"{why}: the packets were {how}"))
    if log.dropped or reset_text:
        found += _dropped(handshake)
    # A QUIC connection begins with a client's packet; a `gap` says if that has no whole ClientHello.
    if log.opener == UNKNOWN and log.client_hello is None and log.quic is None:
        found.append(Problem("midstream", "the capture begins after the ClientHello"))
    elif log.client_hello is None and log.before is not None and log.two_sided:
        found.append(Problem("limit", _HELLO_NOT_FOUND))
    if log.transport == "udp" and log.client_hello is not None and cookie(log.client_hello.event.body):
        found.append(Problem("midstream", "the capture begins after the first ClientHello, which had no cookie"))
    if log.given_up:
        found.append(Problem("limit", "too many connections at the same time: this one was given up"))
    if log.limited:
        found.append(Problem("limit", "more messages were sent than are kept"))
    found += inferred
    return tuple(found)


def _dropped(handshake: Handshake) -> Iterator[Problem]:
    """Report payload that TCP does not deliver: text in a RST, and dropped segments."""
    log = handshake.log
    for sender, direction in enumerate(log.directions):
        if direction.reset_text is not None:
            frame, data = direction.reset_text
            detail = f'a RST carries a text: "{quoted(data[:MAX_SHOWN_TEXT])}"'
            yield Problem("reset_text", detail, frame, None, handshake.side(sender))
    if log.dropped:
        detail = f"segments that the receiver did not take: {log.dropped}, the first in this frame"
        yield Problem("dropped_segment", detail, log.first_dropped)


def _before_tls(handshake: Handshake) -> Iterator[Problem]:
    """Report what a server sent after the ClientHello and before any TLS message, such as plain HTTP.

    In some protocols, the server sends a greeting before the ClientHello.
    """
    log, server, client = handshake.log, handshake.direction(_SERVER), handshake.direction(_CLIENT)
    hello = log.client_hello
    reply = server.reply
    if hello is None or reply is None or reply.frame < hello.event.frame or _says_nothing(reply.data):
        return
    code, what = _answer(reply.data)
    if server.mode == PLAIN:
        yield Problem(code, f"the ClientHello was answered with {what}", reply.frame, reply.offset, "server")
        return
    acknowledged = hello.event.acknowledgement
    captured_late = acknowledged != UNKNOWN and server.offset(acknowledged) > reply.offset
    # It may also be the answer to STARTTLS, or the beginning of a record whose rest is missing.
    if not (captured_late or client.before or log.unordered or server.first_hole != UNKNOWN):
        detail = f"before its first TLS message, the server sent {what}"
        yield Problem(code, detail, reply.frame, reply.offset, "server")


def _says_nothing(data: bytes) -> bool:
    """Return whether bytes may be the first few of a TLS record, or the padding of a frame."""
    if len(data) <= PADDING and not data.strip(b"\0"):
        return True
    is_header = CHANGE_CIPHER_SPEC <= data[0] <= HEARTBEAT and data[1:2] in (b"", b"\x03")
    return is_header and len(data) <= HEADER_SIZE


def _answer(data: bytes) -> tuple[str, str]:
    """Return the code of a problem, and what bytes are: an overlong record, a message that comes later, or no TLS."""
    if CHANGE_CIPHER_SPEC <= data[0] <= HEARTBEAT and data[1:2] == b"\x03" and len(data) >= HEADER_SIZE:
        size = u16(data, 3)
        if size > MAX_FRAGMENT:
            return "malformed_record", f"a TLS record of {size} bytes, which is too long"
        if data[0] == HANDSHAKE and len(data) > HEADER_SIZE:
            return "malformed_message", f"a handshake message of type {data[HEADER_SIZE]}, which does not come here"
    line = re.split(rb"[\r\n]", data.lstrip(b"\r\n"), maxsplit=1)[0][:MAX_SHOWN]
    return "malformed_record", f'something that is no TLS: "{quoted(line)}"'
