# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The log of a handshake: the messages, alerts and ChangeCipherSpecs of both sides, in the order of the capture.

Goal: keep what the facts of a connection need, in bounded memory. Only hellos are decoded here, since later records
depend on them: which side is the client, which version was selected, how long an encrypted alert is. All other messages
are kept as bytes. Decoding them here was rejected: the tracker may read a handshake again in another order, and a
message of a connection that is never returned would be decoded for nothing.

Messages are taken in any order, and the first of a type counts. A table of which message may follow which (RFC 5246
section 7.3, RFC 8446 section 4) was rejected: a capture may lack any message, so that each row would need an exception,
and nothing here depends on the order but what a ChangeCipherSpec protects and when a HelloRetryRequest is allowed.

Each record is processed once. Limits on bytes, events and protected records bound the log; a side that exceeds one is
in `limited`.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

import cython

from tlsdissect.caches import cached
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.direction import KeptBody
from tlsdissect.handshake.encrypted_flight import EncryptedFlight, flight_after, sizes
from tlsdissect.handshake.events import (
    BegunAlert,
    DecodedHello,
    HandshakeEvent,
    HeartbeatRecord,
    SealedRecord,
    SeenClientHello,
    SeenServerHello,
    client_random,
    decode_client_hello,
    decode_retry_request,
    decode_server_hello,
    lacks_version,
    new_event,
    new_sealed,
    offers_early_data,
    offers_tls13,
    pre_shared_keys,
    selected_version,
)
from tlsdissect.model.transcript import PacketRef
from tlsdissect.tls.codepoints import HandshakeType, Registry, is_tls13
from tlsdissect.tls.hello_cache import derive_once
from tlsdissect.tls.record import (
    ALERT,
    ALERT_SIZE,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_SIZE,
    HEARTBEAT,
    MAX_FRAGMENT,
    SSL2,
    is_hello,
    new_record,
)
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.tls.wire import WireError

if TYPE_CHECKING:
    from tlsdissect.capture.blocks import SecretsBlock
    from tlsdissect.flows.budget import Budget
    from tlsdissect.handshake.direction import Direction, PacketRecords
    from tlsdissect.handshake.problems import ProblemList
    from tlsdissect.handshake.recording import Recorder
    from tlsdissect.tls.record import Message, MessageJoiner, Record
    from tlsdissect.tls.server_hello import HelloRetryRequest

# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_CLIENT_HELLO = HandshakeType.CLIENT_HELLO
_SERVER_HELLO = HandshakeType.SERVER_HELLO
_HELLO_RETRY_REQUEST = HandshakeType.HELLO_RETRY_REQUEST

MAX_PROTECTED = 256
"""Maximum protected TLS 1.3 records kept of each side, besides those with the length of an alert."""
MAX_HEARTBEATS = 256
"""Maximum heartbeats kept of one connection."""
HEARTBEAT_HEAD = 3
"""Bytes of a heartbeat before its payload: its type and payload_length (RFC 6520 section 4)."""
MAX_ALERTS = 8
"""Bytes of the longest plaintext alert record, which may contain several alerts; a longer one is encrypted."""
MAX_EVENTS = 4096
"""Maximum events kept of one connection."""
PART_BYTES = 192
"""Estimated bytes that an event takes besides its body."""

SEALED_BYTES = 1 << 18
"""Maximum bytes of protected records kept of one connection to be opened with keys, PART_BYTES of each included. The
last quarter of them is for records as short as alerts and KeyUpdates."""
MAX_SHORT = 64
"""Bytes of the longest body of such a short record."""
MAX_LATE = 8192
"""Bytes of the longest protected record kept after the handshake: a ticket, or messages of a later authentication."""

_PREVIOUS = 64
"""Bytes of the largest block of a cipher, and of the longest MAC after it."""
FIRST_WITH_IV = 0x0302
"""TLS 1.1, where CBC has an initialization vector in each record (RFC 4346 section 6.2.3.2)."""

CHAINS_BYTES = 4 << 20
"""Bytes of the Certificate messages of which no handshake keeps a copy of its own."""
MESSAGE_HEADER = 4
"""Bytes of a handshake message before its body: its type and its length."""
_NO_BLOCKS: list[SecretsBlock] = []
"""Of all logs that no keys open."""
_NONE_BEGUN: tuple[dict[int, tuple[int, int, int]], dict[int, tuple[int, int, int]]] = ({}, {})
"""Of all logs without keys, which add nothing to it."""
_MAC_SIZES = {"NULL": 0, "MD5": 16, "SHA": 20, "SHA256": 32, "SHA384": 48}
_BEGINNINGS = (bytes([_CLIENT_HELLO]), bytes([_SERVER_HELLO]))
_frame = attrgetter("frame")
_HELLOS = frozenset((_CLIENT_HELLO, _SERVER_HELLO, _HELLO_RETRY_REQUEST))


# C integers, by the .pxd.
_HANDSHAKE, _APPLICATION_DATA, _ALERT, _CHANGE_CIPHER_SPEC = HANDSHAKE, APPLICATION_DATA, ALERT, CHANGE_CIPHER_SPEC
_RECORD_HEADER, _PART_BYTES, _MAX_EVENTS, _MAX_PROTECTED = HEADER_SIZE, PART_BYTES, MAX_EVENTS, MAX_PROTECTED
_UNKNOWN, _UNTIMED = UNKNOWN, UNTIMED
_CLIENT, _SERVER, _RETRY = int(_CLIENT_HELLO), int(_SERVER_HELLO), int(_HELLO_RETRY_REQUEST)
_CERTIFICATE = int(HandshakeType.CERTIFICATE)


class MayOpen(Protocol):
    """Tells whether there may be keys for a connection."""

    @property
    def blocks(self) -> list[SecretsBlock]:
        """The secrets blocks of the capture so far, always the same list."""
        ...

    @property
    def exist(self) -> bool:
        """Whether there are any keys."""
        ...

    def may_open(self, client_random: bytes) -> bool:
        """Return whether there are secrets for the connection with this client random, or may be some later."""
        ...


@cython.no_gc
@cython.cclass
class HandshakeLog:
    """The events of both sides in order, and the hellos among them."""

    events: list[HandshakeEvent]
    client_hello: SeenClientHello | None
    """The first ClientHello."""
    server_hello: SeenServerHello | None
    """The first ServerHello that is not a HelloRetryRequest."""
    retry_request: HandshakeEvent | None
    """The first HelloRetryRequest."""
    hello_retries: cython.longlong
    """Number of HelloRetryRequests before the ServerHello."""
    client: cython.longlong
    """The side that sends the ClientHello; UNKNOWN while there is no hello, so that the flow is not TLS so far."""
    version: cython.longlong
    """The version that the server selected; UNKNOWN before that."""
    tls13: cython.bint
    """Whether the server selected TLS 1.3, one of its drafts or experiments."""
    decided: cython.bint
    """Whether the handshake has succeeded or failed."""
    alert_sizes: list[int]
    """Of each side, the length of a protected record of TLS 1.3 that may be an alert; UNKNOWN without a ServerHello."""
    mac_size: cython.longlong
    """Bytes of the MAC at the end of protected records of a suite without encryption; UNKNOWN for others."""
    replied: cython.bint
    """Whether a protected TLS 1.3 record of the server followed one of the client."""
    first_data: list[PacketRef | None]
    """The packets in which each side's first record of application data begins."""
    protected: list[int]
    """Records of application data that each side began while TLS 1.3 was possible."""
    has_finished: list[bool]
    """Whether each side sent an encrypted handshake record, which is its Finished."""
    heartbeats: list[HeartbeatRecord]
    """Heartbeats of both sides, in order."""
    limited: set[int]
    """The sides that sent more than is kept."""
    keeps: cython.longlong
    """The length of the longest body of application data that is kept to be opened with keys; -1 if none is."""
    opens: cython.bint
    """Whether protected records are kept, because there may be keys."""
    sealed_records: list[SealedRecord]
    """Those records."""
    unkept: cython.bint
    """Whether more of them were sent than are kept."""
    numbers: list[int]
    """The number of the next protected record of each side, as in `SealedRecord`; empty if none is kept."""
    previous: list[bytes]
    """The end of each side's latest protected record, before TLS 1.1; empty if none is kept."""
    kept_bytes: cython.longlong
    """Bytes of the kept messages."""
    held_bytes: cython.longlong
    """Estimated bytes of the whole log."""
    budget: Budget
    _keys: MayOpen | None
    _blocks: list[SecretsBlock]
    """`MayOpen.blocks`, a list so that nothing is called to see whether it has grown."""
    _known_blocks: cython.Py_ssize_t
    """How many of them were there when it was last decided whether protected records are kept."""
    _begun: tuple[dict[int, tuple[int, int, int]], dict[int, tuple[int, int, int]]]
    """Of each side, by start of the records whose bodies are still to come: epoch, number and version."""
    _sealed_bytes: cython.longlong
    """Bytes of `sealed_records`."""
    _recorder: Recorder | None
    """Keeps the records, if they are to be kept."""
    _datagrams: cython.bint
    """Whether this is DTLS."""
    _acknowledgement: cython.longlong
    """That of the packet with the latest records; UNKNOWN if the other side sent that packet."""

    def __init__(
        self,
        budget: Budget,
        recorder: Recorder | None = None,
        keys: MayOpen | None = None,
        datagrams: cython.bint = False,
    ) -> None:
        self.events = []
        self.client_hello = None
        self.server_hello = None
        self.retry_request = None
        self.hello_retries = 0
        self.client = UNKNOWN
        self.version = UNKNOWN
        self.tls13 = False
        self.decided = False
        self.alert_sizes = [UNKNOWN, UNKNOWN]
        self.mac_size = UNKNOWN
        self.replied = False
        self.first_data = [None, None]
        self.protected = [0, 0]
        self.has_finished = [False, False]
        self.heartbeats = []
        self.limited = set()
        self.opens = keys is not None and keys.exist
        self.keeps = MAX_FRAGMENT if self.opens else -1
        self.sealed_records = []
        self.unkept = False
        self.numbers = [0, 0] if self.opens else []
        self.previous = [b"", b""] if self.opens else []
        self._keys = keys
        self._blocks = _NO_BLOCKS if keys is None else keys.blocks
        self._known_blocks = len(self._blocks)
        self._begun = ({}, {}) if self.opens else _NONE_BEGUN
        self._sealed_bytes = 0
        self.kept_bytes = 0
        self.held_bytes = 0
        self.budget = budget
        self._recorder = recorder
        self._datagrams = datagrams
        self._acknowledgement = UNKNOWN

    @cython.ccall
    def sort(self) -> cython.bint:
        """Sort the messages by the frames that completed them; nearly always, they are in this order."""
        event: HandshakeEvent
        latest: cython.longlong = 0
        for event in self.events:
            if event.frame < latest:
                self.events.sort(key=_frame)
                return True
            latest = event.frame
        return False

    @cython.ccall
    def is_over(self) -> cython.bint:
        """Return whether the handshake has succeeded or failed, so that its packets need no longer be decoded."""
        if not self.tls13:
            return self.has_finished[0] and self.has_finished[1]
        if not self.replied:
            return False
        seen: EncryptedFlight | None = self._flight()
        return seen is not None and seen.exact and seen.reply is not None

    @cython.cfunc
    def _flight(self) -> EncryptedFlight | None:
        """Return the client's encrypted flight so far; None if there is no ServerHello."""
        if self.server_hello is None:
            return None
        return flight_after(self.server_hello, self.client_hello, self.retry_request, self.events)

    @cython.ccall
    def is_long(self) -> cython.bint:
        """Return whether a side sent more protected records than a handshake takes."""
        mine: cython.longlong = self.protected[0]
        other: cython.longlong = self.protected[1]
        return mine > _MAX_PROTECTED or other > _MAX_PROTECTED

    @cython.ccall
    def decide(self) -> cython.bint:
        """Mark the handshake as decided: from now on, protected records of TLS 1.3 are application data."""
        self.decided = True
        if self.tls13:
            seen: EncryptedFlight | None = self._flight()
            self.alert_sizes = self.alert_sizes if seen is None else seen.alerts
            self.keeps = min(self.keeps, MAX_LATE)
            self.first_data = [None, None]
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def add_records(
        self,
        sender: cython.longlong,
        direction: Direction,
        completed: PacketRecords,
        acknowledgement: cython.longlong,
    ) -> cython.bint:
        """Add records; `acknowledgement` is that of their packet, UNKNOWN if the other side sent that packet."""
        frame: cython.longlong = completed.frame
        time: cython.longlong = completed.time
        record: Record
        content_type: cython.longlong
        is_empty: cython.bint
        self._acknowledgement = acknowledgement
        if self._recorder is not None:
            self._recorder.add_records(self, sender, completed)
        for record in completed.records:
            content_type = record.content_type
            is_empty = record.length == 0 and content_type != _APPLICATION_DATA
            if is_empty:
                direction.problems.report("malformed_record", "an empty record", frame, record.start)
            elif content_type == _HANDSHAKE:
                self._handshake(sender, direction, record, frame, time)
            elif content_type == _APPLICATION_DATA:
                self._application_data(sender, record, frame, time)
            elif content_type == _CHANGE_CIPHER_SPEC:
                direction.changed += 1
                self._add_record(sender, record, frame, time, False)
            elif content_type == _ALERT:
                self._alerts(sender, direction, record, frame, time)
            elif content_type == SSL2:
                self._ssl2(sender, direction, record, frame, time)
            elif content_type == HEARTBEAT and len(self.heartbeats) < MAX_HEARTBEATS:
                head = b"" if direction.changed else (record.fragment or b"")[:HEARTBEAT_HEAD]
                self.heartbeats.append(HeartbeatRecord(sender, record.length, head, frame))
            direction.last = record
            if self.opens and not is_empty:
                self._count_sealed(sender, direction, record, frame, time)
        self.take_bodies(sender, direction)
        if completed.broken:
            self.break_off(sender, direction)
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def look_for_keys(self) -> cython.bint:
        """Keep protected records from now on if the capture brought secrets for them; return whether that begins now.

        A program that writes secrets while it captures has none before the ServerHello.
        """
        blocks: list[SecretsBlock] = self._blocks
        keys: MayOpen | None = self._keys
        if self.opens or keys is None or len(blocks) == self._known_blocks:
            return False
        self._known_blocks = len(blocks)
        if self.mac_size != _UNKNOWN or not self._numbers_are_known():
            return False
        if self.client_hello is not None and not keys.may_open(client_random(self.client_hello.event)):
            return False
        self.opens = True
        self.keeps = self._longest()
        self.numbers = list(self.protected)
        self.previous = [b"", b""]
        self._begun = ({}, {})
        return True

    @cython.cfunc
    def _numbers_are_known(self) -> cython.bint:
        """Return whether the number of the next protected record of each side is known, or is in the record."""
        return (
            self._datagrams or (self.tls13 and not self.decided) or not (self.has_finished[0] or self.has_finished[1])
        )

    @cython.cfunc
    def _longest(self) -> cython.longlong:
        """Return the length of the longest body of application data to keep, by what is known of the version.

        Before TLS 1.3 its content type is in the clear, so it is kept only for the initialization vector in it.
        """
        return MAX_FRAGMENT if self.tls13 or self.version == _UNKNOWN or self._chains() else -1

    def add_message(self, event: HandshakeEvent, problems: ProblemList, segments: cython.longlong) -> None:
        """Add a plaintext handshake message that arrived in so many segments or datagrams.

        Errors in a hello are reported to `problems`.
        """
        self.add_event(event)
        if event.handshake_type in _HELLOS:
            self._hello(event, problems, segments)

    def add_beginning(self, event: HandshakeEvent, problems: ProblemList, segments: cython.longlong) -> None:
        """Decode the beginning of a message, which is a hello or of no use, whose other segments are missing."""
        if event.handshake_type in _HELLOS:
            self._hello(event, problems, segments)

    @cython.cfunc
    def _count_sealed(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        """Number a protected record, and keep it to be opened with keys."""
        numbers: list[int] = self.numbers
        kind: cython.longlong = record.content_type
        if kind == _CHANGE_CIPHER_SPEC:
            if not self.tls13:
                numbers[sender] = 0
            return True
        if kind != _APPLICATION_DATA and (direction.changed == 0 or self.tls13):
            return True
        number = numbers[sender]
        numbers[sender] = number + 1
        if kind != _APPLICATION_DATA:
            # The bodies before it give its initialization vector.
            self.take_bodies(sender, direction)
            if record.whole:
                body: KeptBody = KeptBody(record.start, record.fragment or b"", frame, time)
                self._keep_sealed(sender, direction.changed, number, kind, record.version, body)
        elif record.length <= self.keeps:
            self._begun[sender][record.start] = (direction.changed, number, record.version)
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def take_bodies(self, sender: cython.longlong, direction: Direction) -> cython.bint:
        """Keep the bodies of application data that are complete."""
        body: KeptBody
        if not self.opens and not direction.bodies:
            return False
        waiting: dict[int, tuple[int, int, int]] = self._begun[sender]
        if direction.bodies:
            for body in direction.bodies:
                begun = waiting.pop(body.start, None)
                if begun is not None:
                    epoch, number, version = begun
                    self._keep_sealed(sender, epoch, number, _APPLICATION_DATA, version, body)
            direction.bodies = []
        # Of the records that began before the latest one, bytes are missing.
        while len(waiting) > 1:
            del waiting[next(iter(waiting))]
        return True

    @cython.cfunc
    def _keep_sealed(
        self,
        sender: cython.longlong,
        epoch: cython.longlong,
        number: cython.longlong,
        kind: cython.longlong,
        version: cython.longlong,
        body: KeptBody,
    ) -> cython.bint:
        """Keep a protected record; of application data before TLS 1.1, only the end."""
        previous: bytes = self.previous[sender]
        if self._chains():
            self.previous[sender] = body.body[-_PREVIOUS:]
            if kind == _APPLICATION_DATA:
                return False
        return self.add_sealed(
            new_sealed(sender, epoch, number, kind, version, body.body, body.frame, body.time, body.start, previous)
        )

    @cython.ccall
    def add_sealed(self, record: SealedRecord) -> cython.bint:
        """Keep a protected record or packet to be opened with keys, and return True, if the limits allow."""
        size: cython.longlong = len(record.body)
        limit: cython.longlong = SEALED_BYTES if size <= MAX_SHORT else SEALED_BYTES // 4 * 3
        budget: Budget = self.budget
        if self._sealed_bytes + size + _PART_BYTES > limit or budget.is_spent():
            self.unkept = True
            self.keeps = min(self.keeps, MAX_SHORT if limit < SEALED_BYTES else -1)
            return False
        self._sealed_bytes += size + _PART_BYTES
        self.account(size + _PART_BYTES)
        self.sealed_records.append(record)
        return True

    @cython.cfunc
    def _chains(self) -> cython.bint:
        """Return whether a record's initialization vector is in the record before it (RFC 2246 section 6.2.3.2)."""
        return not self.tls13 and UNKNOWN < self.version < FIRST_WITH_IV

    @cython.cfunc
    @cython.exceptval(-1)
    def _add_record(
        self,
        sender: cython.longlong,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
        encrypted: cython.bint,
    ) -> cython.bint:
        """Add a record that is not a handshake message in the clear."""
        size: cython.longlong = record.length
        start: cython.longlong = record.start
        end: cython.longlong = start + _RECORD_HEADER + size
        kind = record.content_type
        return self.add_event(new_event(sender, kind, None, size, b"", frame, time, start, end, encrypted))

    @cython.ccall
    @cython.exceptval(-1)
    def add_event(self, event: HandshakeEvent) -> cython.bint:
        """Add an event if the limits allow; return whether they do."""
        budget: Budget = self.budget
        size: cython.longlong = len(event.body)
        events: list[HandshakeEvent] = self.events
        if self.kept_bytes + size > budget.message_bytes or budget.is_spent() or len(events) >= _MAX_EVENTS:
            self.limited.add(event.sender)
            return False
        events.append(event)
        event.acknowledgement = self._acknowledgement
        self.kept_bytes += size
        self.held_bytes += size + _PART_BYTES
        budget.used += size + _PART_BYTES
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def count_passed(self, sender: cython.longlong, records: cython.longlong) -> cython.bint:
        """Count records of application data that were skipped without being read."""
        if self.opens:
            self.numbers[sender] += records
        return True

    @cython.ccall
    def account(self, size: cython.longlong) -> cython.bint:
        """Count bytes that are held besides the messages; a negative size releases them."""
        self.held_bytes += size
        self.budget.used += size
        return True

    @cython.cfunc
    def _application_data(
        self, sender: cython.longlong, record: Record, frame: cython.longlong, time: cython.longlong
    ) -> cython.bint:
        length: cython.longlong = record.length
        if self.first_data[sender] is None and not (self.decided and length == self.alert_sizes[sender]):
            known = None if self._acknowledgement == _UNKNOWN else self._acknowledgement
            self.first_data[sender] = PacketRef(frame, None if time == _UNTIMED else time, known)
        if self.decided or (self.version != _UNKNOWN and not self.tls13):
            return False
        number: cython.longlong = self.protected[sender] + 1
        self.protected[sender] = number
        self.replied = self.replied or (sender != self.client and self.protected[1 - sender] > 0)
        # A record with the length of an alert may decide the handshake.
        if number <= _MAX_PROTECTED or length == self.alert_sizes[sender]:
            self._add_record(sender, record, frame, time, True)
        return True

    @cython.cfunc
    def _alerts(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        """Add the alerts that a record contains or completes: it may contain several, or a part of one.

        RFC 5246 section 6.2.1 lets an alert be split like any other message.
        """
        body: bytes = record.fragment or b""
        start: cython.longlong = record.start
        end: cython.longlong = start + _RECORD_HEADER + record.length
        whole: cython.bint = record.whole
        begun = direction.alert
        if direction.changed > 0 and self.mac_size != _UNKNOWN and whole:
            body = self._without_mac(record).fragment or b""
        protected: cython.bint = direction.changed > 0 and not self.tls13 and (self.mac_size == _UNKNOWN or not whole)
        encrypted: cython.bint = protected or len(body) > MAX_ALERTS
        at: cython.Py_ssize_t = 0
        direction.alert = None
        # If the records are not adjacent, bytes between them may be missing.
        if begun is not None and not encrypted and body and (begun.end == start or direction.is_whole(start)):
            body = begun.level + body
            start = begun.start
            begun = None
        if begun is not None:
            _report_incomplete_alert(begun, direction)
        if encrypted or (len(body) < ALERT_SIZE and not whole):
            return self._add_record(sender, record, frame, time, True)
        while at + ALERT_SIZE <= len(body):
            alert = body[at : at + ALERT_SIZE]
            self.add_event(new_event(sender, ALERT, None, ALERT_SIZE, alert, frame, time, start, end, False))
            start = record.start
            at += ALERT_SIZE
        if at < len(body) and whole:
            direction.alert = BegunAlert(body[at:], frame, start, end)
        return True

    @cython.cfunc
    def _handshake(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        """Add the messages of a handshake record, or the record if it is encrypted."""
        if not record.whole:
            return self._truncated_handshake(sender, direction, record, frame, time)
        if direction.changed > 0 and self.mac_size != _UNKNOWN:
            # The suite encrypts nothing: the MAC at the end is all that keys would check.
            self.has_finished[sender] = True
            return self._messages(sender, direction, self._without_mac(record), frame, time)
        if direction.changed > 0 and not self._is_clear(direction, record.fragment or b""):
            self.has_finished[sender] = True
            return self._add_record(sender, record, frame, time, True)
        return self._messages(sender, direction, record, frame, time)

    def _without_mac(self, record: Record) -> Record:
        """Return a record without the MAC at its end."""
        body = record.fragment or b""
        body = body[: max(0, len(body) - self.mac_size)]
        return new_record(record.content_type, record.version, record.length, record.start, body, record.whole)

    @cython.cfunc
    def _messages(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        """Add the messages that a record's fragment completes."""
        joiner: MessageJoiner = direction.joiner
        start: cython.longlong = record.start
        end: cython.longlong = start + _RECORD_HEADER + record.length
        message: Message
        for message in joiner.feed(record.fragment or b"", start):
            kind: cython.longlong = message.handshake_type
            body: bytes = message.body
            if kind == _CERTIFICATE:
                body = _shared(body)
            event = new_event(sender, HANDSHAKE, kind, len(body), body, frame, time, message.start, end, False)
            self.add_event(event)
            if kind in (_CLIENT, _SERVER, _RETRY):
                self._hello(event, direction.problems, direction.segments(event.start, event.end))
        if direction.accounted > 0 or joiner.waiting > 0:
            self._account_incomplete_message(sender, direction, record, frame, time)
        if joiner.malformed is not None:
            direction.mark_missing(start)
            direction.problems.report(
                "malformed_message", "a handshake message states too great a length", frame, start
            )
            joiner.malformed = None
        return True

    @cython.cfunc
    def _account_incomplete_message(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        """Count the bytes of an incomplete message.

        If the budget is exceeded, the message is given up; of a hello, the received part is decoded.
        """
        joiner: MessageJoiner = direction.joiner
        if joiner.waiting >= MESSAGE_HEADER and self.budget.is_spent():
            direction.problems.report(
                "limit", "no more bytes are held of a message that is not whole", frame, record.start
            )
            direction.mark_missing(record.start)
            self._partial_hello(sender, direction, joiner.give_up(), (frame, time, _end(record)))
        self.account(joiner.waiting - direction.accounted)
        direction.accounted = joiner.waiting
        return True

    @cython.cfunc
    def _truncated_handshake(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        """Add the complete messages of a record with missing bytes, and decode the beginning of a hello."""
        joiner: MessageJoiner = direction.joiner
        if direction.changed > 0 and joiner.waiting == 0:
            if self.version != _UNKNOWN and not self.tls13:
                # The header alone shows that the record is encrypted: it is the Finished.
                self.has_finished[sender] = True
                self._add_record(sender, record, frame, time, True)
            return False
        direction.problems.report("gap", "a handshake message has bytes missing", frame, record.start)
        self._messages(sender, direction, record, frame, time)
        begun = joiner.drop(record.length - len(record.fragment or b""))
        if direction.changed == 0:
            self._partial_hello(sender, direction, begun, (frame, time, _end(record)))
        return True

    def break_off(self, sender: cython.longlong, direction: Direction) -> None:
        """Decode the beginning of a hello whose further records are missing."""
        begun, start = direction.joiner.drop()
        if not direction.changed and is_hello(begun):
            direction.problems.report("gap", "a handshake message has bytes missing", direction.latest, start)
            # It ends after everything that was received.
            end = direction.assembler.position + 1
            self._partial_hello(sender, direction, (begun, start), (direction.latest, UNTIMED, end))

    def break_off_alert(self, direction: Direction) -> None:
        """Report an alert whose second byte is missing."""
        if direction.alert is not None:
            _report_incomplete_alert(direction.alert, direction)

    def _partial_hello(
        self,
        sender: cython.longlong,
        direction: Direction,
        beginning: tuple[bytes, int],
        latest: tuple[int, int, int],
    ) -> None:
        """Decode the beginning of a hello whose rest is missing.

        `beginning` is its bytes and the stream offset of the record in which it begins; `latest` is the frame, the time
        and the end of these bytes.
        """
        (begun, start), (frame, time, end) = beginning, latest
        if begun[:1] not in _BEGINNINGS or len(begun) < MESSAGE_HEADER:
            return
        size, kind = int.from_bytes(begun[1:MESSAGE_HEADER], "big"), begun[0]
        least = start + HEADER_SIZE + MESSAGE_HEADER + size
        if least > end:
            # The rest is in other records, which were complete at a later time.
            end, time = least, UNTIMED
        event = new_event(sender, HANDSHAKE, kind, size, begun[MESSAGE_HEADER:], frame, time, start, end, False)
        if self.client == UNKNOWN:
            self.client = sender if kind == _CLIENT_HELLO else 1 - sender
        self._hello(event, direction.problems, direction.segments(event.start, event.end))

    @cython.cfunc
    def _is_clear(self, direction: Direction, fragment: bytes) -> cython.bint:
        """Return whether a handshake record after a ChangeCipherSpec is in the clear.

        In TLS 1.3 it is, since ChangeCipherSpec has no effect (RFC 8446 appendix D.4): a second ClientHello, or the
        ServerHello after a HelloRetryRequest. If the server's first hello is missing, only these count as in the clear,
        and only if the client offers TLS 1.3.
        """
        if self.tls13 or direction.joiner.waiting > 0:
            return True
        if self.version != UNKNOWN or self.client_hello is None or not self.client_hello.offers_tls13:
            return False
        return fragment[:2] in (b"\x01\x00", b"\x02\x00") and fragment[4:6] == b"\x03\x03"

    @cython.cfunc
    def _hello(self, event: HandshakeEvent, problems: ProblemList, segments: cython.longlong) -> cython.bint:
        """Decode a hello, which arrived in so many segments or datagrams, if it is the first of its kind."""
        kind: cython.longlong = event.handshake_type
        retry_request: cython.bint = kind != _CLIENT and event.is_retry_request
        if retry_request:
            self._count_retry(event, problems)
        try:
            if kind == _CLIENT:
                if self.client_hello is None:
                    self._client_hello(event, problems, segments)
            elif kind == _HELLO_RETRY_REQUEST:
                if self.retry_request is None:
                    self._retry_request(event, problems)
            elif self.server_hello is None:
                if retry_request:
                    self._retry_request(event, problems)
                else:
                    self._server_hello(event, problems)
        except WireError as error:
            _report_malformed(error, problems, event)
        if self.client_hello is not None:
            self.client = self.client_hello.event.sender
        elif self.server_hello is not None:
            self.client = 1 - self.server_hello.event.sender
        elif self.retry_request is not None:
            self.client = 1 - self.retry_request.sender
        return True

    def _count_retry(self, event: HandshakeEvent, problems: ProblemList) -> None:
        """Count a HelloRetryRequest; one is allowed, before the ServerHello (RFC 8446 section 4.1.4)."""
        if self.server_hello is not None:
            detail = "a HelloRetryRequest after the ServerHello"
            problems.report("malformed_message", detail, event.frame, event.start)
            return
        self.hello_retries += 1
        if self.hello_retries > 1:
            detail = "another HelloRetryRequest, of which a handshake may have one"
            problems.report("malformed_message", detail, event.frame, event.start)

    @cython.cfunc
    def _client_hello(self, event: HandshakeEvent, problems: ProblemList, segments: cython.longlong) -> cython.bint:
        decoded: DecodedHello = decode_client_hello(event, self._datagrams)
        if decoded.error is not None:
            _report_malformed(decoded.error, problems, event)
        # The hello keeps its own body, even if the log does not, and a copy of the extensions.
        self.account(2 * len(event.body))
        if self.opens and self._keys is not None and not self._keys.may_open(client_random(event)):
            self.keeps = -1
            self.opens = False
        self.client_hello = SeenClientHello(
            event,
            segments,
            derive_once(decoded.template, offers_tls13, decoded.shared),
            derive_once(decoded.template, offers_early_data, decoded.shared),
            pre_shared_keys(decoded),
            decoded.number,
        )
        return True

    @cython.cfunc
    def _server_hello(self, event: HandshakeEvent, problems: ProblemList) -> cython.bint:
        decoded: DecodedHello = decode_server_hello(event)
        if decoded.error is not None:
            _report_malformed(decoded.error, problems, event)
        hello = decoded.shared
        self.account(len(event.body))
        if isinstance(hello, ServerHello):
            self.server_hello = SeenServerHello(event, hello.cipher_suite, decoded.session_id, decoded.number)
            self.version = self._selected(event, hello)
            self.tls13 = self.version != UNKNOWN and is_tls13(self.version)
            self.alert_sizes = [sizes(hello.cipher_suite).alert if self.tls13 else UNKNOWN] * 2
            if self.version != UNKNOWN and not self.tls13:
                self.mac_size = _mac_size(hello.cipher_suite)
            if self.mac_size != UNKNOWN:
                # Anyone can read it.
                self.opens, self.keeps = False, -1
            elif self.opens:
                self.keeps = min(self.keeps, self._longest())
        else:
            self.server_hello = SeenServerHello(event, None, b"")
            self.version = hello.server_version
        return True

    def _retry_request(self, event: HandshakeEvent, problems: ProblemList) -> None:
        decoded: DecodedHello = decode_retry_request(event)
        _report_malformed(decoded.error, problems, event)
        if self.retry_request is None:
            self.retry_request = event
            self.tls13 = True
            self.version = self._selected(event, decoded.shared)

    @cython.cfunc
    def _selected(self, event: HandshakeEvent, hello: ServerHello | HelloRetryRequest) -> cython.longlong:
        """Return the version that a server selected; UNKNOWN if bytes are missing that may select TLS 1.3."""
        if event.whole or not isinstance(hello, ServerHello) or not lacks_version(hello):
            return selected_version(hello)
        client_hello = self.client_hello
        older = client_hello is not None and client_hello.event.whole and not client_hello.offers_tls13
        return selected_version(hello) if older else UNKNOWN

    def _ssl2(
        self,
        sender: cython.longlong,
        direction: Direction,
        record: Record,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> None:
        """Decode an SSL 2.0 hello."""
        body = record.fragment or b""
        kind = _CLIENT_HELLO if body[0] == 1 else _SERVER_HELLO
        end = record.start + 2 + record.length
        event = new_event(sender, SSL2, kind, record.length, body, frame, time, record.start, end, False)
        self.add_event(event)
        self._hello(event, direction.problems, direction.segments(event.start, event.end))


@cached(CHAINS_BYTES, lambda body, _: len(body))
def _shared(body: bytes) -> bytes:
    """Return one copy of the body of a Certificate message, which servers repeat: handshakes wait with all of it."""
    return body


@lru_cache(maxsize=64)
def _mac_size(cipher_suite: cython.longlong) -> cython.longlong:
    """Return the bytes of the MAC of a suite without encryption (RFC 5246 appendix C); UNKNOWN for another suite."""
    _, null, mac = Registry.CIPHER_SUITES.names[cipher_suite].partition("_WITH_NULL_")
    return _MAC_SIZES.get(mac, UNKNOWN) if null else UNKNOWN


def _end(record: Record) -> int:
    """Return the stream offset after a record."""
    return record.start + HEADER_SIZE + record.length


def _report_incomplete_alert(begun: BegunAlert, direction: Direction) -> None:
    """Report an alert of which only the first byte, its level, was captured."""
    if (
        direction.is_whole(begun.end)
        and direction.fin is not None
        and direction.assembler.offset(direction.fin.end) == begun.end
    ):
        direction.problems.report("malformed_message", "an alert ends after its first byte", begun.frame, begun.start)
    else:
        direction.problems.report("gap", "an alert has bytes missing", begun.frame, begun.start)


def _report_malformed(error: WireError | None, problems: ProblemList, event: HandshakeEvent) -> None:
    """Report an error, unless bytes of the message are missing: then the sender is not at fault."""
    if error is not None and event.whole:
        problems.report("malformed_message", str(error), event.frame, event.start)
