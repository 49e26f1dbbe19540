"""A conversation's whole story as one Connection."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tlsdissect.caches import cached
from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.record import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC
from tlsdissect.transcript.connection import Connection, Endpoint, Heartbeat, Message, Problem
from tlsdissect.transcript.facts import endings, hellos, negotiation, prints, timing
from tlsdissect.transcript.facts.exposure import exposure
from tlsdissect.transcript.facts.moments import moments
from tlsdissect.transcript.facts.naming import text
from tlsdissect.transcript.facts.numbering import renumbered
from tlsdissect.transcript.facts.scene import Scene
from tlsdissect.transcript.tracking.prelude import PLAIN, TLS
from tlsdissect.transcript.tracking.proxies import proxy_header
from tlsdissect.transcript.tracking.script import HEARTBEAT_HEAD
from tlsdissect.transcript.tracking.sizes import is_guessed
from tlsdissect.transcript.tracking.upgrade import recognise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.capture.errors import Damage
    from tlsdissect.flows.flow import Flow
    from tlsdissect.transcript.connection import Timing
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.transcript.tracking.seen import HeartbeatRecord, Item
    from tlsdissect.transcript.tracking.tracker import Tracker

_NS = 1_000_000_000
ADDRESS_CACHE_BYTES = 1 << 20
"""Bytes of addresses that are kept as text."""
_ADDRESS_BYTES = 256
"""Bytes that an address takes, as text and as numbers."""
SHOWN = 80
"""Maximum number of bytes quoted of the first line of an answer in another protocol."""
SHOWN_TEXT = 120
"""Maximum number of bytes quoted of the text in a RST."""
_MESSAGE_TYPES = {CHANGE_CIPHER_SPEC: "change_cipher_spec", ALERT: "alert"}
"""What is no handshake message in the clear; all else is encrypted."""


def with_totals(known: Connection, flow: Flow) -> Connection:
    """Return the connection with the current totals of its flow."""
    if known.packets == flow.packets:
        return known
    end = _rfc3339(time_or_none(flow.end), flow.digits)
    return replace(known, end=end, packets=flow.packets, bytes=flow.payload_bytes)


def connection(
    source: str,
    tracker: Tracker,
    damage: Iterable[Damage] = (),
    *,
    until: int,
    raw: bool = False,
    evidence: Evidence | None = None,
) -> Connection | None:
    """Conclude all facts of a conversation; None where no hello was seen but in what is quoted: it is no TLS.

    `until` is how long the capture would have shown more, in nanoseconds since 1970-01-01T00:00:00Z, or UNTIMED.
    `damage` is what of the capture could not be read while the conversation lasted; with `raw` the raw forms of the
    fingerprints are told too; what verdicts need beside facts is kept as evidence.
    """
    tracker.finish()
    client = tracker.script.client
    if client is None or _is_quoted(tracker):
        return None
    scene = Scene.of(tracker, client)
    ending, resumption = endings.ending(scene, until), negotiation.resumption(scene)
    early_data, times = negotiation.early_data(scene), timing.timing(scene)
    told = Connection(
        **_conversation(source, tracker.flow, client),
        **_agreed(scene),
        **_hellos(scene),
        **_shown(scene, resumption, (source, tracker.flow.stream), evidence),
        **(_raw_fingerprints(scene) if raw else {}),
        complete=ending.complete,
        outcome=ending.outcome,
        failed_by=ending.failed_by,
        closure=endings.closure(scene),
        resumption=resumption,
        early_data=early_data,
        round_trips=timing.round_trips(scene, early_data, complete=ending.complete),
        timing=times,
        handshake_bytes=timing.handshake_bytes(scene, complete=ending.complete),
        alerts=endings.alerts(scene),
        messages=_messages(scene),
        problems=_problems(scene, (ending.inferred, *_guesses(scene, early_data, times))),
        **_NOT_TOLD,
    )
    told = renumbered(told, tracker.frames)
    hurts = [Problem("damaged_capture", hurt.detail, hurt.frame, hurt.offset) for hurt in damage]
    return replace(told, problems=(*told.problems, *hurts)) if hurts else told


def _is_quoted(tracker: Tracker) -> bool:
    """Whether one side alone has what looks like TLS, within something else that it said: in an upload, or a mail.

    Only a PROXY header has a hello follow on it in the same segment, answered or not.
    """
    speaking = [half for half in tracker.halves if half.mode == TLS]
    if len(speaking) != 1 or not speaking[0].prelude.embedded or speaking[0].carrier:
        return False
    return proxy_header(speaking[0].prelude.before) is None


_NOT_TOLD: dict[str, Any] = {
    **dict.fromkeys(("resumes", "same_ticket_as", "retry_of", "hidden", "findings")),
    "open": False,
}
"""What other stages tell, where they do."""


def _shown(scene: Scene, resumption: str | None, place: tuple[str, int], evidence: Evidence | None) -> dict[str, Any]:
    if evidence is not None:
        evidence.time(*place, moments(scene))
    return exposure(scene, resumption, evidence)._asdict()


def _conversation(source: str, flow: Flow, client: int) -> dict[str, Any]:
    ends = endpoints(flow.endpoints)
    return {
        "source": source,
        "stream": flow.stream,
        "transport": "tcp",
        "client": ends[client],
        "server": ends[1 - client],
        "start": _rfc3339(time_or_none(flow.start), flow.digits),
        "end": _rfc3339(time_or_none(flow.end), flow.digits),
        "first_frame": flow.first_frame,
        "packets": flow.packets,
        "bytes": flow.payload_bytes,
    }


def _agreed(scene: Scene) -> dict[str, Any]:
    script, suite, upgrade = scene.script, scene.cipher_suite, _upgrade(scene)
    renegotiations = 0 if script.tls13 else max(0, min(half.changed for half in scene.halves) - 1)
    return {
        "upgrade": upgrade[0],
        "upgrade_target": upgrade[1],
        "version": None if script.version is None else Registry.VERSIONS.names[script.version],
        "cipher_suite": None if suite is None else Registry.CIPHER_SUITES.names[suite],
        **negotiation.key_agreement(scene)._asdict(),
        "extended_master_secret": negotiation.negotiated(scene, Type.EXTENDED_MASTER_SECRET),
        "secure_renegotiation": negotiation.negotiated(scene, Type.RENEGOTIATION_INFO),
        "alpn": negotiation.alpn(scene),
        "renegotiations": renegotiations,
        "heartbeats": tuple([_heartbeat(scene, beat) for beat in script.heartbeats]),
    }


def _heartbeat(scene: Scene, beat: HeartbeatRecord) -> Heartbeat:
    whole = len(beat.head) == HEARTBEAT_HEAD
    return Heartbeat(
        sender=scene.side(beat.sender),
        type=Registry.HEARTBEAT_MESSAGE_TYPES.names[beat.head[0]] if whole else None,
        bytes=beat.size,
        payload_bytes=int.from_bytes(beat.head[1:], "big") if whole else None,
        frame=beat.frame,
    )


def _hellos(scene: Scene) -> dict[str, Any]:
    offer, answer, retry = scene.script.offer, scene.script.answer, scene.script.retry
    return {
        "sni": hellos.sni(scene.asked),
        "hello_retry": negotiation.hello_retry(scene),
        "hello_retry_request": hellos.hello_retry_request(retry, scene.halves[1]) if retry else None,
        "ech": negotiation.ech(scene),
        "client_hello": hellos.client_hello(offer, scene.asked) if offer else None,
        "server_hello": hellos.server_hello(answer, scene.answered) if answer else None,
        "ja3": prints.ja3(scene),
        "ja3s": prints.ja3s(scene),
        "ja4": prints.ja4(scene),
    }


def _raw_fingerprints(scene: Scene) -> dict[str, Any]:
    return {"ja3_string": prints.ja3_string(scene), "ja3n": prints.ja3n(scene), "ja4_r": prints.ja4_r(scene)}


def endpoints(packed: bytes) -> tuple[Endpoint, Endpoint]:
    """Source and destination of a packet, from their addresses and ports as they stand in `Flow.endpoints`."""
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
    """A time in UTC with the digits of the capture's clock (RFC 3339 section 5.6)."""
    if time is None:
        return None
    seconds, nanoseconds = divmod(time, _NS)
    fraction = f".{nanoseconds:09d}"[: digits + 1] if digits else ""
    return f"{_second(seconds)}{fraction}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _upgrade(scene: Scene) -> tuple[str | None, str | None]:
    """What was spoken before TLS, and who was asked for."""
    carrier = scene.halves[0].carrier or scene.halves[1].carrier
    if carrier is not None:
        return carrier, None
    offer, first = scene.script.offer, scene.halves[1].first_frame
    before = scene.tracker.before or tuple([half.prelude.before for half in scene.tracker.halves])
    # Bytes behind a hole are not how a side began.
    headless = [half.prelude.headless for half in scene.tracker.halves]
    client, server = (b"" if headless[side] else before[side] for side in (scene.client, 1 - scene.client))
    # What a server says in another protocol to a ClientHello came after it, not before.
    late = offer is not None and first is not None and first > offer.item.frame
    answered = late and not client and scene.tracker.before is None
    return recognise(client, server) if client or (server and not answered) else (None, None)


def _messages(scene: Scene) -> tuple[Message, ...]:
    """Every message in order; protected records of TLS 1.3 to the end of the client's flight."""
    items = scene.script.items
    shape, last = scene.shape, len(items)
    if shape is None:
        last = -1
    elif shape.flight:
        last = next(n for n, item in enumerate(items) if item is shape.flight[-1])
    offer = scene.script.offer
    begin = None if offer is None else timing.Begin(offer.item.frame, scene.start)
    sides = (scene.side(0), scene.side(1))
    shown = [item for n, item in enumerate(items) if item.content_type != APPLICATION_DATA or n <= last]
    return tuple([
        Message(
            sides[item.sender],
            _message_type(item),
            item.size,
            item.frame,
            ms,
        )
        for item, ms in zip(shown, timing.each_since(begin, shown), strict=True)
    ])  # fmt: skip


def _message_type(item: Item) -> str:
    if item.handshake_type is None:
        return _MESSAGE_TYPES.get(item.content_type, "encrypted")
    if item.is_retry_request:
        return "hello_retry_request"
    return Registry.HANDSHAKE_TYPES.names[item.handshake_type]


def _guesses(scene: Scene, early_data: str | None, times: Timing) -> Iterator[str]:
    """What of the facts is told by shape, not read."""
    if early_data is not None and negotiation.early_data_by_shape(scene):
        yield "whether early data was accepted is told by the lengths of records"
    if negotiation.external_psk(scene):
        yield "the pre-shared key may be external: obfuscated_ticket_age is 0"
    if scene.shape is not None and is_guessed(scene.cipher_suite or 0):
        yield "the cipher suite is not known: records are told apart as if it had SHA-256 and a tag of 16 bytes"
    if times.split_path:
        yield "TCP seems to end nearer than TLS, or the server was slow"


def _problems(scene: Scene, guesses: tuple[str | None, ...]) -> tuple[Problem, ...]:
    found = [
        Problem(t.code, t.detail, t.frame, t.offset, scene.side(sender))
        for sender, half in enumerate(scene.tracker.halves)
        for t in half.troubles
    ]
    found += _other_protocol(scene)
    if scene.tracker.unordered:
        how = "put in order by times and acknowledgements" if scene.tracker.frames else "too many to put in order"
        found.append(Problem("out_of_order", f"the capture is not in the order of time: the packets were {how}"))
    found += _dropped(scene)
    if scene.tracker.flow.handshake.opener == UNKNOWN and scene.script.offer is None:
        found.append(Problem("midstream", "the capture begins after the ClientHello"))
    if scene.tracker.limited:
        found.append(Problem("limit", "more conversations went on than there is room for: this one was given up"))
    if scene.script.limited:
        found.append(Problem("limit", "more messages were sent than are kept"))
    found += [Problem("inferred", guess) for guess in guesses if guess]
    return tuple(found)


def _dropped(scene: Scene) -> Iterator[Problem]:
    """Report what TCP does not deliver: text in a RST, and segments that it drops."""
    for sender, half in enumerate(scene.tracker.halves):
        if half.reset_text is not None:
            frame, words = half.reset_text
            yield Problem(
                "reset_text", f'a RST carries a text: "{_words(words[:SHOWN_TEXT])}"', frame, None, scene.side(sender)
            )
    flow = scene.tracker.flow
    if flow.dropped:
        what = "segments that TCP drops, of an earlier connection or outside the window"
        yield Problem("dropped_segment", f"{what}: {flow.dropped}, the first in this frame", flow.first_dropped)


def _words(data: bytes) -> str:
    """Format a text like `text`, but keep its spaces."""
    return " ".join(map(text, data.split(b" ")))


def _other_protocol(scene: Scene) -> Iterator[Problem]:
    """Report that a ClientHello was answered in another protocol than TLS, most often plain HTTP.

    The answer is what the server sent after the ClientHello: in some protocols it sends a greeting before.
    """
    offer, server = scene.script.offer, scene.halves[1]
    reply = server.reply
    if offer is None or server.mode != PLAIN or reply is None or reply.frame < offer.item.frame:
        return
    line = re.split(rb"[\r\n]", reply.words.lstrip(b"\r\n"), maxsplit=1)[0][:SHOWN]
    detail = f'the ClientHello was answered with something that is no TLS: "{_words(line)}"'
    yield Problem("malformed_record", detail, reply.frame, reply.offset, "server")
