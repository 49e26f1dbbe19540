"""All facts of a connection, from the log of its handshake and the totals of its flow."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import UNSET, Struct
from msgspec.structs import replace

from tlsdissect.caches import cached
from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.encrypted_flight import is_guessed
from tlsdissect.handshake.events import HandshakeEvent, cookie
from tlsdissect.handshake.facts import endings, hello_fingerprints, hellos, negotiation, timing
from tlsdissect.handshake.facts.exposure import exposure
from tlsdissect.handshake.facts.extensions import quoted
from tlsdissect.handshake.facts.handshake import Handshake
from tlsdissect.handshake.facts.quic import quic
from tlsdissect.handshake.facts.timing import handshake_times
from tlsdissect.handshake.log import HEARTBEAT_HEAD
from tlsdissect.handshake.plaintext import PLAIN, TLS
from tlsdissect.handshake.problems import MAX_PROBLEMS
from tlsdissect.handshake.proxies import proxy_header
from tlsdissect.handshake.starttls import recognise
from tlsdissect.model.connection import Connection, Endpoint, Heartbeat, Message, Problem
from tlsdissect.model.transcript import KeptConnection, PacketRef, Transcript
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import HandshakeType, Registry
from tlsdissect.tls.record import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tlsdissect.flows.totals import Totals
    from tlsdissect.handshake.events import HeartbeatRecord
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.keys import CaptureKeys
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.model.connection import Timing
    from tlsdissect.model.transcript import OpenedMessage, Recording

_NS = 1_000_000_000
ADDRESS_CACHE_BYTES = 1 << 20
"""Bytes of cached addresses."""
_ADDRESS_BYTES = 256
"""Estimated bytes of a cached address."""
MAX_SHOWN = 80
"""Maximum number of bytes quoted of the first line of an answer in another protocol."""
MAX_SHOWN_TEXT = 120
"""Maximum number of bytes quoted of the text in a RST."""
_MESSAGE_TYPES = {CHANGE_CIPHER_SPEC: "change_cipher_spec", ALERT: "alert"}
"""Types of events without a plaintext handshake message; all others are encrypted."""


def connection(
    source: str,
    totals: Totals,
    log: LoggedHandshake,
    *,
    raw: bool = False,
    evidence: Evidence | None = None,
    keys: CaptureKeys | None = None,
) -> Connection:
    """Derive all facts of a connection from its packets in numbers and the log of its handshake.

    With `raw`, the unhashed fingerprints are included. Certificates and times that verdicts need are kept as evidence.
    With `keys`, `hidden` has what these open.
    """
    handshake = Handshake(log)
    ends = endpoints(totals.endpoints)
    upgrade, upgrade_target = _upgrade(handshake)
    ending, resumption = endings.ending(handshake, log.until), negotiation.resumption(handshake)
    early_data, times = negotiation.early_data(handshake), timing.timing(handshake)
    agreed, shown = negotiation.key_agreement(handshake), exposure(handshake, resumption, evidence)
    asked = handshake.hello_retry
    retry, in_retry = (None, ()) if asked is None else hellos.hello_retry_request(asked)
    malformed = (*_malformed(handshake, agreed.problem, in_retry), *shown.problems)
    guesses = (ending.inferred, *_guesses(handshake, early_data, times))
    suite = handshake.cipher_suite
    result = Connection(
        source=source,
        stream=totals.stream,
        transport=log.transport,
        client=ends[log.client],
        server=ends[1 - log.client],
        start=_rfc3339(time_or_none(totals.start), totals.digits),
        end=_rfc3339(time_or_none(totals.end), totals.digits),
        first_frame=totals.first_frame,
        packets=totals.packets,
        bytes=totals.payload_bytes,
        open=False,
        upgrade=upgrade,
        upgrade_target=upgrade_target,
        complete=ending.complete,
        outcome=ending.outcome,
        failed_by=ending.failed_by,
        closure=endings.closure(handshake),
        version=None if log.version == UNKNOWN else Registry.VERSIONS.names[log.version],
        cipher_suite=None if suite is None else Registry.CIPHER_SUITES.names[suite],
        group=agreed.group,
        dh_bits=agreed.dh_bits,
        signature_scheme=agreed.signature_scheme,
        extended_master_secret=negotiation.negotiated(handshake, Type.EXTENDED_MASTER_SECRET),
        secure_renegotiation=negotiation.negotiated(handshake, Type.RENEGOTIATION_INFO),
        sni=hellos.sni(handshake.client_extensions),
        alpn=negotiation.alpn(handshake),
        resumption=resumption,
        resumes=None,
        same_ticket_as=None,
        retry_of=None,
        early_data=early_data,
        hello_retry=negotiation.hello_retry(handshake),
        hello_retry_request=retry,
        ech=negotiation.ech(handshake),
        round_trips=timing.round_trips(handshake, early_data, complete=ending.complete),
        timing=times,
        handshake_bytes=timing.handshake_bytes(handshake, complete=ending.complete),
        client_hello=hellos.client_hello(handshake),
        server_hello=hellos.server_hello(handshake),
        certificates=shown.certificates,
        client_certificate_requested=shown.client_certificate_requested,
        certificate_request=shown.certificate_request,
        client_certificates=shown.client_certificates,
        ocsp_staple=shown.ocsp_staple,
        session_ticket=shown.session_ticket,
        alerts=endings.alerts(handshake),
        messages=_messages(handshake),
        renegotiations=0 if log.tls13 else max(0, min(direction.changed for direction in log.directions) - 1),
        heartbeats=tuple([_heartbeat(handshake, beat) for beat in log.heartbeats]),
        ja3=hello_fingerprints.ja3(handshake),
        ja3s=hello_fingerprints.ja3s(handshake),
        ja4=hello_fingerprints.ja4(handshake),
        ja3_string=hello_fingerprints.ja3_string(handshake) if raw else UNSET,
        ja3n=hello_fingerprints.ja3n(handshake) if raw else UNSET,
        ja4_r=hello_fingerprints.ja4_r(handshake) if raw else UNSET,
        hidden=None,
        keys=None,
        quic=quic(handshake),
        dtls=log.dtls,
        eap=log.eap,
        findings=None,
        problems=_problems(handshake, malformed, guesses),
    )
    opened: tuple[OpenedMessage, ...] = ()
    if keys is not None and log.sealed_records:
        # Imported with the first record: `cryptography` takes a tenth of a second.
        from tlsdissect.handshake.facts.hidden import with_hidden  # noqa: PLC0415

        result, opened = with_hidden(result, handshake, keys, evidence)
    if evidence is not None:
        evidence.set_times(result, handshake_times(handshake))
    if log.recording is not None:
        result = with_transcript(result, handshake, log.recording, opened)
    result = renumbered(result, log.frames)
    damages = [Problem("damaged_capture", hurt.detail, hurt.frame, hurt.offset) for hurt in log.damage]
    return replace(result, problems=(*result.problems, *damages)) if damages else result


def with_transcript(
    result: Connection, handshake: Handshake, recording: Recording, opened: tuple[OpenedMessage, ...] = ()
) -> KeptConnection:
    """Return the connection with its transcript; `opened` is what keys opened."""
    mine, other = timing.first_data(handshake)
    log = handshake.log
    return KeptConnection(
        **{name: getattr(result, name) for name in result.__struct_fields__},
        transcript=Transcript(
            packets=recording.packets,
            records=recording.records,
            first_data=(_packet_ref(mine), _packet_ref(other)),
            version=None if log.version == UNKNOWN else log.version,
            cipher_suite=handshake.cipher_suite,
            carrier=log.directions[0].carrier or log.directions[1].carrier,
            copies=recording.copies,
            copied=recording.copied,
            opened=opened,
            quic=recording.quic,
        ),
    )


def _packet_ref(event: HandshakeEvent | PacketRef | None) -> PacketRef | None:
    return PacketRef(event.frame, time_or_none(event.time), None) if isinstance(event, HandshakeEvent) else event


def is_quoted(log: LoggedHandshake) -> bool:
    """Return whether TLS is only quoted: on one side alone, inside an upload or an e-mail for example.

    A PROXY header is the exception: the client sends a hello after it in the same segment, answered or not.
    """
    with_records = [direction for direction in log.directions if direction.mode == TLS]
    if len(with_records) != 1 or not with_records[0].embedded or with_records[0].carrier:
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


def endpoints(packed: bytes) -> tuple[Endpoint, Endpoint]:
    """Decode `Flow.endpoints` to the source and destination of the flow's first packet."""
    size = (len(packed) - 4) // 2
    ports = 2 * size
    return (
        Endpoint(_address(packed[:size]), int.from_bytes(packed[ports : ports + 2], "big")),
        Endpoint(_address(packed[size:ports]), int.from_bytes(packed[ports + 2 :], "big")),
    )


@cached(ADDRESS_CACHE_BYTES, lambda *_: _ADDRESS_BYTES)
def _address(packed: bytes) -> str:
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))


def _rfc3339(time: int | None, digits: int) -> str | None:
    """Format a time in UTC with the digits of the capture's clock (RFC 3339 section 5.6)."""
    if time is None:
        return None
    seconds, nanoseconds = divmod(time, _NS)
    fraction = f".{nanoseconds:09d}"[: digits + 1] if digits else ""
    return f"{_second(seconds)}{fraction}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _upgrade(handshake: Handshake) -> tuple[str | None, str | None]:
    """Return the protocol before TLS, and the target of a proxy."""
    carrier = handshake.directions[0].carrier or handshake.directions[1].carrier
    if carrier is not None:
        return carrier, None
    client_hello, first = handshake.log.client_hello, handshake.directions[1].first_frame
    log = handshake.log
    before = log.before or (log.directions[0].before, log.directions[1].before)
    # Bytes after a hole are not the first ones of a side.
    client, server = (
        b"" if log.directions[side].headless else before[side] for side in (handshake.client, 1 - handshake.client)
    )
    # A server may answer a ClientHello in another protocol: those bytes do not precede TLS.
    late = client_hello is not None and first > client_hello.event.frame
    answered = late and not client and log.before is None
    return recognise(client, server) if client or (server and not answered) else (None, None)


def _messages(handshake: Handshake) -> tuple[Message, ...]:
    """Return all messages in order, with the protected TLS 1.3 records up to the end of the client's flight."""
    log, flight = handshake.log, handshake.encrypted_flight
    begin = None
    if log.client_hello is not None:
        begin = timing.Begin(log.client_hello.event.frame, handshake.start)
    last = None if flight is None else flight.last()
    protected = flight is not None
    sides = (handshake.side(0), handshake.side(1))
    messages = []
    for event in log.events:
        if _is_message(handshake, event, protected=protected):
            ms = timing.since(begin, event.frame, time_or_none(event.time))
            messages.append(Message(sides[event.sender], _message_type(event), event.size, event.frame, ms))
        protected = protected and event is not last
    return tuple(messages)


def _is_message(handshake: Handshake, event: HandshakeEvent, *, protected: bool) -> bool:
    """Return whether an event is listed; protected TLS 1.3 records are until the client's flight has ended."""
    flight = handshake.encrypted_flight
    if event.encrypted and flight is not None and handshake.log.transport == "udp":
        return protected and event.content_type == HANDSHAKE and not flight.sizes.is_acknowledgement(event.size)
    return protected or event.content_type != APPLICATION_DATA


def _message_type(event: HandshakeEvent) -> str:
    if event.handshake_type is None:
        return _MESSAGE_TYPES.get(event.content_type, "encrypted")
    if event.is_retry_request:
        return "hello_retry_request"
    return Registry.HANDSHAKE_TYPES.names[event.handshake_type]


def _guesses(handshake: Handshake, early_data: str | None, times: Timing) -> Iterator[str]:
    """Yield a sentence for each fact that is inferred and not decoded."""
    if early_data is not None and negotiation.infers_early_data(handshake):
        yield "whether early data was accepted is told by the lengths of records"
    if negotiation.external_psk(handshake):
        yield "the pre-shared key may be external: obfuscated_ticket_age is 0"
    if handshake.encrypted_flight is not None and is_guessed(handshake.cipher_suite or 0):
        yield "the cipher suite is not known: records are told apart as if it had SHA-256 and a tag of 16 bytes"
    if times.split_path:
        yield "TCP seems to end nearer than TLS, or the server was slow"


def _malformed(
    handshake: Handshake, in_key_exchange: str | None, in_retry: tuple[tuple[str, str], ...]
) -> Iterator[Problem]:
    """Report errors in messages whose beginning could be decoded."""
    log = handshake.log
    found: list[tuple[HandshakeEvent | None, tuple[tuple[str, str], ...]]] = [
        (None if log.client_hello is None else log.client_hello.event, handshake.client_extensions.problems),
        (None if log.server_hello is None else log.server_hello.event, handshake.server_extensions.problems),
        (
            handshake.message(1, HandshakeType.SERVER_KEY_EXCHANGE),
            (("malformed_message", in_key_exchange),) if in_key_exchange else (),
        ),
        (handshake.hello_retry, in_retry),
    ]
    for event, details in found:
        if event is not None:
            side = handshake.side(event.sender)
            yield from [Problem(code, detail, event.frame, event.start, side) for code, detail in details]


def _problems(
    handshake: Handshake, malformed: tuple[Problem, ...], guesses: tuple[str | None, ...]
) -> tuple[Problem, ...]:
    log = handshake.log
    found: list[Problem] = []
    for sender, direction in enumerate(log.directions):
        side = handshake.side(sender)
        reported = [replace(problem, sender=side) for problem in direction.problems]
        reported += [problem for problem in malformed if problem.sender == side]
        found += reported[:MAX_PROBLEMS]
    found += _other_protocol(handshake)
    if log.unordered:
        how = "put in order by times and acknowledgements" if log.frames else "too many to put in order"
        found.append(Problem("out_of_order", f"the capture is not in the order of time: the packets were {how}"))
    found += _dropped(handshake)
    if log.opener == UNKNOWN and log.client_hello is None:
        found.append(Problem("midstream", "the capture begins after the ClientHello"))
    if log.transport == "udp" and log.client_hello is not None and cookie(log.client_hello.event.body):
        found.append(Problem("midstream", "the capture begins after the first ClientHello, which had no cookie"))
    if log.given_up:
        found.append(Problem("limit", "more conversations went on than there is room for: this one was given up"))
    if log.limited:
        found.append(Problem("limit", "more messages were sent than are kept"))
    found += [Problem("inferred", guess) for guess in guesses if guess]
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
        what = "segments that TCP drops, of an earlier connection or outside the window"
        yield Problem("dropped_segment", f"{what}: {log.dropped}, the first in this frame", log.first_dropped)


def _other_protocol(handshake: Handshake) -> Iterator[Problem]:
    """Report that a ClientHello was answered in a protocol other than TLS, usually plain HTTP.

    The answer is what the server sent after the ClientHello: in some protocols it sends a greeting before.
    """
    client_hello, server = handshake.log.client_hello, handshake.directions[1]
    reply = server.reply
    if client_hello is None or server.mode != PLAIN or reply is None or reply.frame < client_hello.event.frame:
        return
    line = re.split(rb"[\r\n]", reply.data.lstrip(b"\r\n"), maxsplit=1)[0][:MAX_SHOWN]
    detail = f'the ClientHello was answered with something that is no TLS: "{quoted(line)}"'
    yield Problem("malformed_record", detail, reply.frame, reply.offset, "server")


T = TypeVar("T")


def renumbered(value: T, frames: Mapping[int, int]) -> T:
    """Return the same facts with each `frame`, at any depth, replaced by the frame of the capture in `frames`."""
    return cast("T", _renumbered(value, frames)) if frames else value


def _renumbered(value: object, frames: Mapping[int, int]) -> object:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple([_renumbered(one, frames) for one in value])
    if not isinstance(value, Struct):
        return value
    changed = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        new = frames.get(old, old) if name == "frame" else _renumbered(old, frames)
        if new is not old:
            changed[name] = new
    return replace(value, **changed) if changed else value
