"""DTLS handshakes of a UDP flow: DTLS 1.0 and 1.2 (RFC 6347), 1.3 (RFC 9147), and Cisco's version before the standard.

A datagram may be lost, reordered or repeated, and a sender repeats a whole flight when its timer expires. Messages are
distinguished by their numbers: each message, ChangeCipherSpec and Finished is logged once, by the datagram that
completed it, however often it came.

The epoch in a record's header counts the changes of keys. Records of epoch 0 are in plaintext. What an encrypted record
contains is known by its content type in DTLS 1.2, and by its epoch alone in DTLS 1.3 or with a connection ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tlsdissect.capture.packet import UNTIMED, time_or_none
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.flows.totals import Totals
from tlsdissect.flows.udp_protocols import DTLS
from tlsdissect.handshake.copies import NumberedCopies
from tlsdissect.handshake.dtls_encapsulation import find_records, is_media
from tlsdissect.handshake.dtls_messages import BYTES_MISSING, GIVEN_UP, MessageJoiner, not_in_capture
from tlsdissect.handshake.dtls_recording import DtlsRecorder
from tlsdissect.handshake.encrypted_flight import datagram_flight
from tlsdissect.handshake.events import (
    HeartbeatRecord,
    cookie,
    decode_client_hello,
    decode_retry_request,
    decode_server_hello,
    extension_data,
    new_event,
    new_sealed,
)
from tlsdissect.handshake.log import HEARTBEAT_HEAD, MAX_HEARTBEATS, MAX_PROTECTED, MAX_SHORT, HandshakeLog
from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
from tlsdissect.handshake.problems import ProblemList
from tlsdissect.model.connection import ConnectionIds, Counts, Dtls
from tlsdissect.model.transcript import PacketRef
from tlsdissect.tls.client_hello import ClientHello
from tlsdissect.tls.codepoints import ExtensionType, HandshakeType
from tlsdissect.tls.dtls import ACK, EARLY_EPOCH, MEDIA, TLS12_CID, has_header, read_fragments, read_records
from tlsdissect.tls.record import (
    ALERT,
    ALERT_SIZE,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEARTBEAT,
    new_record,
)
from tlsdissect.tls.server_hello import HelloVerifyRequest, ServerHello
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from msgspec import Struct

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.udp import UdpFlow
    from tlsdissect.handshake.dtls_messages import JoinedMessage
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.options import Options
    from tlsdissect.tls.dtls import DtlsRecord, Fragment
    from tlsdissect.tls.record import Record

MAX_HANDSHAKES = 256
"""Maximum handshakes of one UDP flow; further ones are not decoded."""
MAX_SEALED = 64
"""Encrypted handshake records of a side among which those that were sent again are recognised."""
_EARLY_NUMBERS = 64
"""First sequence numbers of the first epoch with encryption that are remembered, to find missing records."""
MAX_NUMBERS = 4096
"""Maximum messages of a side among which missing ones are looked for."""
HANDSHAKE_BYTES = 4096
"""Estimated bytes of a handshake besides its log."""

_RANDOM = slice(2, 34)
_PLAIN = (HANDSHAKE, CHANGE_CIPHER_SPEC)
"""Content types of the records of a handshake in plaintext."""
_NO_EPOCH = _NO_SEQUENCE = -1
_SEQUENCE_BITS = 48
_RECORD_NUMBER = 16
"""Bytes of a record number in an ACK."""
_FULL = (HandshakeType.CERTIFICATE, HandshakeType.SERVER_KEY_EXCHANGE)
_CLIENT_KEYS = HandshakeType.CLIENT_KEY_EXCHANGE
_FIRST_EPOCH = 1
"""The first epoch with encryption."""
_RECORDS_MISSING = "encrypted records are not in the capture, by their sequence numbers"
"""The detail of a problem."""


class _KeyedFrames(NamedTuple):
    """Frames with encrypted records of DTLS 1.3 of one side, early data left out; 0 if there are none."""

    first: int = 0
    data: int = 0
    """The first with application data."""


_NO_FRAMES = _KeyedFrames()


class _Direction:
    """The records of one side of a handshake."""

    def __init__(self) -> None:
        self.joiner = MessageJoiner()
        self.problems = ProblemList()
        self.position = 0
        """Bytes of its records, repeated ones included: the offset of the next record."""
        self.reached = 0
        """The same without what was captured twice at the end."""
        self.first_frame = 0
        self.cid_length: int | None = None
        """Bytes of the connection IDs in its records; None if that is not known."""
        self.changed = 0
        """Number of ChangeCipherSpecs, repeated ones not included."""
        self.fragments = 0
        """Number of fragments of messages that have several, repeated ones not included."""
        self.resealed = 0
        """Number of times that a Finished was sent again."""
        self.plain = 0
        """Bytes of its records of the handshake in plaintext, repeated ones not included."""
        self.first_data: PacketRef | None = None
        self._first_data_at: tuple[int, int] | None = None
        """The epoch and the sequence number of its first application data, before DTLS 1.3."""
        self._early = 0
        """The first sequence numbers of the first epoch with encryption, a bit for each that was captured."""
        self.records = 0
        """Number of records, repeated ones included."""
        self.protected = 0
        """Records of DTLS 1.3 that were logged."""
        self.numbers: list[tuple[int, int, int]] = []
        """The number, start and frame of each message."""
        self.encrypted: tuple[int, int] | None = None
        """The start and frame of the first encrypted record."""
        self.last: Record | None = None
        """The latest record of DTLS 1.3 that is encrypted."""
        self.keyed = _NO_FRAMES
        self.encrypted_messages: list[tuple[int, HandshakeEvent]] = []
        """The epoch and the event of each encrypted handshake record."""
        self.has_finished = False
        """Whether it sent its Finished."""
        self._epoch = 0
        """The latest epoch."""
        self._received = 0
        """Number of records in it."""
        self._highest = _NO_SEQUENCE
        """The highest sequence number in it."""
        self._changed_epoch = _NO_EPOCH
        """The epoch that the latest ChangeCipherSpec ended."""
        self._changed_again = 0
        """Number of ChangeCipherSpecs that were sent again."""
        self.copies = NumberedCopies()
        """Its records that were captured twice."""

    def count(self, epoch: int, sequence: int) -> None:
        """Count an encrypted record by its sequence number."""
        if epoch > self._epoch:
            self._epoch, self._received, self._highest = epoch, 0, _NO_SEQUENCE
        if epoch == self._epoch:
            self._received += 1
            self._highest = max(self._highest, sequence)
        if epoch == _FIRST_EPOCH and sequence < _EARLY_NUMBERS:
            self._early |= 1 << sequence

    def add_data(self, packet: Packet, record: DtlsRecord) -> None:
        """Note its first application data before DTLS 1.3."""
        if self.first_data is None:
            self.first_data = PacketRef(packet.frame, time_or_none(packet.time), None)
            self._first_data_at = record.epoch, record.sequence or 0

    def check_first_data(self) -> None:
        """Report records that are missing after the Finished; they may have had the first data, which are unknown then.

        A sender numbers the records of an epoch from 0, without gaps (RFC 6347 section 4.1).
        """
        epoch, number = self._first_data_at or (_FIRST_EPOCH, self._early.bit_length())
        before = (1 << min(number, _EARLY_NUMBERS)) - 1
        if self.encrypted is None or not self.has_finished or epoch != _FIRST_EPOCH or before & ~self._early == 0:
            return
        start, frame = self.encrypted
        self.problems.report("gap", _RECORDS_MISSING, self.first_data.frame if self.first_data else frame, start)
        self.first_data = None

    @property
    def goes_on(self) -> bool:
        """Whether it sent application data, or encrypted records that are missing, which may have been such."""
        return self.first_data is not None or self._received <= self._highest

    @property
    def next_message(self) -> int:
        """The number of the message after those in plaintext."""
        return max([number for number, _, _ in self.numbers], default=-1) + 1

    def is_repeated_change(self, epoch: int) -> bool:
        """Return whether a ChangeCipherSpec at the end of an epoch was sent before, and remember it."""
        repeated = epoch <= self._changed_epoch
        self._changed_again += repeated
        self._changed_epoch = max(self._changed_epoch, epoch)
        return repeated

    def repeated_seals(self) -> list[HandshakeEvent]:
        """Return the encrypted handshake records that were sent before.

        They are not readable. But a Finished that is sent again has the same length, and its flight, which begins in
        plaintext, is sent again as a whole (RFC 6347 section 4.2.4).
        """
        seen: set[tuple[int, int]] = set()
        again = []
        for epoch, event in self.encrypted_messages:
            if (epoch, event.size) in seen:
                again.append(event)
            seen.add((epoch, event.size))
        return again[: self._changed_again + self.joiner.retransmitted]

    def add_fragment(self, fragment: Fragment, start: int, frame: int) -> JoinedMessage | None:
        """Add a fragment of a record at this offset, and return the message that it completes."""
        joined = self.joiner.add(fragment, start, frame)
        if len(fragment.data) < fragment.length and self.joiner.added:
            self.fragments += 1
        conflict = self.joiner.conflict
        if conflict is not None:
            self.problems.report("conflicting_data", conflict.detail, frame, start, conflict.copies(frame))
        return joined

    def first_hole(self, first: int) -> int:
        """Return the offset after which something is missing, UNKNOWN if nothing is, and report what is missing.

        `first` is the number of the first message that matters.
        """
        begun = self.joiner.incomplete()
        for one in begun:
            self.problems.report("gap", BYTES_MISSING, one.frame, one.start)
        seen = {number: (start, frame) for number, start, frame in self.numbers}
        places = {one.message_seq: (one.start, one.frame) for one in begun} | seen
        lacking = [number for number in range(first, max(places, default=-1) + 1) if number not in seen]
        missing = next((number for number in lacking if number not in places), None)
        if missing is not None:
            start, frame = min(place for number, place in places.items() if number > missing)
            self.problems.report("gap", not_in_capture(missing), frame, start)
        # A message may come after one with a higher number.
        holes = [start for number, (start, _) in places.items() if lacking and number >= lacking[0]]
        return min([*holes, *self._missing_end()], default=UNKNOWN)

    def lacks_message(self, first: int) -> bool:
        """Return whether a message is missing or incomplete; `first` is the number of the first one that matters."""
        seen = {number for number, _, _ in self.numbers if number >= first}
        return bool(self.joiner.incomplete()) or len(seen) < self.next_message - first

    def _missing_end(self) -> Iterator[int]:
        """Report that a ChangeCipherSpec or Finished is missing before encrypted records; yield the offset of these."""
        if self.encrypted is not None and not (self.changed and self.has_finished):
            start, frame = self.encrypted
            missing = "Finished" if self.changed else "ChangeCipherSpec"
            self.problems.report("gap", f"the {missing} is not in the capture", frame, start)
            yield start


class DtlsTracker:
    """Follows one handshake."""

    def __init__(self, totals: Totals, budget: Budget, keys: CaptureKeys | None, *, keeps: bool) -> None:
        """`keeps` is whether datagrams and records are kept; with `keys`, encrypted records that these may open are."""
        self.totals = totals
        self.log = HandshakeLog(budget, keys=keys, datagrams=True)
        self._recorder = DtlsRecorder(self.log) if keeps else None
        self.directions = (_Direction(), _Direction())
        self.limited = False
        """Whether a limit kept handshakes or messages from being read."""
        self.returned = False
        """Whether the handshake was returned, so that nothing more is read."""
        self.client_random: bytes | None = None
        """That of the first ClientHello; None before that."""
        self._cookie_bytes: int | None = None
        self._asked_for_cookie: bool | None = None
        """Whether the server sent a HelloVerifyRequest; None while that is not known."""
        self._cookie_frame = 0
        """The frame of the first ClientHello with the cookie of a HelloVerifyRequest; 0 if there was none."""
        self._verified = False
        """Whether the capture has a HelloVerifyRequest."""
        self._lacks_message: list[bool | None] = [None, None]
        """Of each side, whether a message of the handshake was missing at its end; None before that."""
        self._promised_ticket = False
        """Whether the ServerHello says that a NewSessionTicket follows."""
        self._ids: list[bytes | None] = [None, None]
        self._first = [0, 0]
        """The number of the first hello of each side: what comes before it is not missing."""
        self._latest_protected = UNKNOWN
        """The side whose record of DTLS 1.3 was logged last."""
        self._agrees_on_media = False
        """Whether the client offers SRTP; in DTLS 1.3, the server's answer is encrypted."""
        self._awaits_media = [False, False]
        """Whether the first datagram of media of a side since the last record of the handshake is still to come."""
        self.log.account(HANDSHAKE_BYTES)

    def begins_anew(self, fragment: Fragment, sender: int) -> bool:
        """Return whether a ClientHello begins another handshake.

        A client numbers the messages of a handshake from 0 (RFC 6347 section 4.2.2). It may repeat its first one, and
        some change the random when they send the server's cookie.
        """
        random = fragment.data[_RANDOM]
        if fragment.handshake_type != HandshakeType.CLIENT_HELLO or fragment.offset or len(random) < 32:
            return False
        if self.client_random is None:
            return any(direction.changed for direction in self.directions)
        changed = random != self.client_random and fragment.message_seq == 0 and not cookie(fragment.data)
        return changed or sender != self.log.client

    def has_keys(self, record: DtlsRecord, sender: int) -> bool:
        """Return whether a record may be of this handshake by its epoch: it is in plaintext, or keys were agreed on."""
        return record.epoch == 0 or (self.log.tls13 if record.is_unified else self.directions[sender].changed > 0)

    def feed(self, packet: Packet, sender: int, records: Sequence[DtlsRecord], place: tuple[bytes, int, int]) -> None:
        """Log the records of a datagram; `place` is its captured bytes, and the offsets between which records lie."""
        direction, (data, start, end) = self.directions[sender], place
        direction.first_frame = direction.first_frame or packet.frame
        is_new = not records
        if self._recorder is not None and any(self._matters(record) for record in records):
            self._recorder.add_packet(packet, sender, direction.position, data[start:end], start)
        for record in records:
            at = direction.position + record.start - start
            if not record.whole:
                cut = record.end - len(data)
                detail = f"the capture cut {cut} bytes off a datagram"
                direction.problems.report("truncated_packet", detail, packet.frame, at)
            # A short record of DTLS 1.3 may be an alert.
            is_data = record.content_type == APPLICATION_DATA and (not record.is_unified or record.length > MAX_SHORT)
            if is_data or not direction.copies.has(data[record.start : record.end], 0):
                is_new = True
                matters = self._matters(record)
                content = self._in_plaintext(record, data)
                is_late = self._is_late(sender, record)
                repeated = self._add(packet, sender, content, at)
                if record.epoch == 0 and not repeated and record.content_type in _PLAIN and not is_late:
                    direction.plain += record.end - record.start
                self._keep_sealed(packet, sender, record, data, at)
                if self._recorder is not None and matters:
                    # Its tree has the MAC, too.
                    kept = record if content is record else replace(record, fragment=data[record.body : record.end])
                    self._recorder.add_record(packet, sender, kept, data, at, repeated=repeated)
        read = records[-1].end if records else start
        if read < end and (records or has_header(data, start)):
            detail = "no record header here"
            direction.problems.report("malformed_record", detail, packet.frame, direction.position + read - start)
        direction.position += (end if records else read) - start
        direction.reached = direction.position if is_new else direction.reached

    def add_media(self, packet: Packet, sender: int) -> None:
        """Log that a side of DTLS 1.3 sends media: it has the keys of the handshake, which give those of SRTP."""
        if not self._awaits_media[sender]:
            return
        self._awaits_media[sender] = False
        at = self.directions[sender].position
        event = new_event(sender, MEDIA, None, packet.length, b"", packet.frame, packet.time, at, at, True)
        self.log.add_event(event)

    def _in_plaintext(self, record: DtlsRecord, data: bytes) -> DtlsRecord:
        """Return a record of a suite without encryption without its MAC, if it has messages or an alert."""
        size = self.log.mac_size
        kinds = (HANDSHAKE, ALERT)
        if size == UNKNOWN or record.epoch == 0 or record.content_type not in kinds or not record.whole:
            return record
        return replace(record, fragment=data[record.body : max(record.body, record.end - size)])

    def _is_late(self, sender: int, record: DtlsRecord) -> bool:
        """Return whether a record is later than the handshake, and has none of the messages that were missing then."""
        if self.log.tls13 or not all(self.log.has_finished):
            return False
        lacks = self._lacks_message[sender]
        if lacks is None:
            lacks = self._lacks_message[sender] = self.directions[sender].lacks_message(self._first[sender])
        return not (lacks and record.content_type == HANDSHAKE)

    def _matters(self, record: DtlsRecord) -> bool:
        """Return whether a record is of the handshake, or shows how the connection ended."""
        if record.content_type not in (APPLICATION_DATA, TLS12_CID):
            return True
        if self.log.tls13:
            return any(direction.first_data is None for direction in self.directions)
        return not all(self.log.has_finished)

    def _add(self, packet: Packet, sender: int, record: DtlsRecord, start: int) -> bool:
        """Log a record, and return whether all that it contains was sent before.

        `start` is its offset in the bytes of the side's records.
        """
        direction = self.directions[sender]
        direction.records += 1
        if record.epoch and record.sequence is not None:
            direction.encrypted = direction.encrypted or (start, packet.frame)
            direction.count(record.epoch, record.sequence)
        if record.is_unified:
            self._protected(packet, sender, record, start)
        elif record.content_type == CHANGE_CIPHER_SPEC:
            if direction.is_repeated_change(record.epoch):
                return True
            direction.changed += 1
            self._add_event(packet, sender, record, start, encrypted=False)
        elif record.fragment is not None and record.content_type == HANDSHAKE:
            if record.epoch:
                self.log.has_finished[sender] = direction.has_finished = True
            return self._handshake(packet, sender, record, start)
        elif record.fragment is not None and record.content_type == ALERT:
            self._alert(packet, sender, record, start)
        elif record.content_type == HANDSHAKE or (record.content_type == TLS12_CID and record.sequence == 0):
            # The Finished is the first record of its epoch (RFC 5246 section 7.4.9).
            self._add_encrypted_message(packet, sender, record, start)
        elif record.content_type == ALERT:
            self._add_event(packet, sender, record, start, encrypted=True)
        elif record.content_type == APPLICATION_DATA and record.epoch:
            direction.add_data(packet, record)
        elif record.content_type == HEARTBEAT:
            self._heartbeat(packet, sender, record)
        return False

    def is_decided(self) -> bool:
        """Return whether the handshake has succeeded. After an alert, a flight in progress may still go on."""
        log = self.log
        if not log.tls13:
            return all(log.has_finished)
        flight = datagram_flight(log)
        return flight is not None and flight.reply is not None

    def logged(self, until: int, damage: Sequence[Damage], *, two_sided: bool) -> LoggedHandshake | None:
        """Return the handshake as logged, and release its bytes; None if it has no hello."""
        log = self.log
        for sender, direction in enumerate(self.directions):
            for one in direction.joiner.incomplete():
                self._beginning_of_hello(sender, direction, one)
            if direction.joiner.given_up:
                direction.problems.report("limit", GIVEN_UP, direction.first_frame, None)
            log.account(-direction.joiner.held_bytes)
        if log.client == UNKNOWN:
            return None
        log.sort()
        again = {(event.sender, event.start) for direction in self.directions for event in direction.repeated_seals()}
        log.events = [event for event in log.events if (event.sender, event.start) not in again or not event.encrypted]
        for sender, _ in again:
            self.directions[sender].resealed += 1
        holes = [direction.first_hole(self._first[sender]) for sender, direction in enumerate(self.directions)]
        for side, place in (*self._inferred_holes(), *self._lacking_hellos(), *self._lacking_flights()):
            holes[side] = place if holes[side] == UNKNOWN else min(place, holes[side])
        if not log.tls13:
            for direction in self.directions:
                direction.check_first_data()
        logged = LoggedHandshake.without_tcp(
            "udp",
            log,
            (self._summary(0, holes[0]), self._summary(1, holes[1])),
            two_sided=two_sided,
            given_up=self.limited,
            until=until,
            damage=tuple(damage),
            recording=None if self._recorder is None else self._recorder.recording(log.client, again),
        )
        # Encrypted records of DTLS 1.3 without a ServerHello may have messages or data.
        known = log.server_hello is not None or not any(direction.last for direction in self.directions)
        logged.first_data = tuple([direction.first_data if known else None for direction in self.directions])
        logged.plain_bytes = self._plain_bytes(holes)
        logged.hello_verify = self._asked_for_cookie
        logged.dtls = self._dtls()
        logged.next_messages = (self.directions[0].next_message, self.directions[1].next_message)
        return logged

    def _inferred_holes(self) -> Iterator[tuple[int, int]]:
        """Report messages that are missing because later ones presuppose them; yield the side and the offset of each.

        In a full handshake, the server's flight ends with a ServerHelloDone, and the client's ChangeCipherSpec comes
        before the server's; in a resumed one, it comes after it (RFC 5246 section 7.3). A server whose hello has a
        session_ticket extension sends a ticket (RFC 5077 section 3.2).
        """
        client, server = self.log.client, 1 - self.log.client
        sent = {(event.sender, event.handshake_type) for event in self.log.events}
        changes = {
            event.sender: event for event in reversed(self.log.events) if event.content_type == CHANGE_CIPHER_SPEC
        }
        if self.log.tls13 or not changes:
            return
        done = (server, HandshakeType.SERVER_HELLO_DONE) in sent
        full = done or not sent.isdisjoint({(server, kind) for kind in _FULL} | {(client, _CLIENT_KEYS)})
        if (server, HandshakeType.SERVER_HELLO) not in sent:
            place = changes[server].start if server in changes else self.directions[server].position
            detail = "the ServerHello is not in the capture"
            self.directions[server].problems.report("gap", detail, next(iter(changes.values())).frame, place)
            yield server, place
        if full and not done and server in changes:
            change = changes[server]
            detail = "the ServerHelloDone is not in the capture"
            self.directions[server].problems.report("gap", detail, change.frame, change.start)
            yield server, change.start
        if self._promised_ticket and server in changes and (server, HandshakeType.NEW_SESSION_TICKET) not in sent:
            change = changes[server]
            detail = "the NewSessionTicket is not in the capture"
            self.directions[server].problems.report("gap", detail, change.frame, change.start)
            yield server, change.start
        first, second = (client, server) if full else (server, client)
        if first not in changes:
            detail = "the ChangeCipherSpec is not in the capture, but the other side's that answers it"
            place = self.directions[first].position
            self.directions[first].problems.report("gap", detail, changes[second].frame, place)
            yield first, place
        for side, other in ((client, server), (server, client)):
            encrypted = self.directions[side].encrypted
            if encrypted is not None and not self.log.has_finished[other] and self.directions[side].goes_on:
                detail = "the Finished is not in the capture, but what the other side sent once it had it"
                place = self.directions[other].position
                self.directions[other].problems.report("gap", detail, encrypted[1], place)
                yield other, place

    def _lacking_hellos(self) -> Iterator[tuple[int, int]]:
        """Report hellos that are missing because others presuppose them; yield the side and the offset of each.

        A client sends a cookie that a server demanded in a HelloVerifyRequest, and no server goes on from there without
        it (RFC 6347 section 4.2.1). All records with a unified header, except early data, are encrypted with keys that
        follow from a ServerHello.
        """
        client, server = self.directions[self.log.client], self.directions[1 - self.log.client]
        hello, answer = self.log.client_hello, self.log.server_hello
        first_only = client.next_message <= 1 + self._first[self.log.client] and not client.joiner.incomplete()
        if hello is not None and not cookie(hello.event.body) and self._lacks_verify_request():
            detail = "the HelloVerifyRequest is not in the capture"
            server.problems.report("gap", detail, self._cookie_frame, 0)
        if self._verified and answer is not None and not self._cookie_frame and first_only:
            detail = "the ClientHello with the server's cookie is not in the capture"
            client.problems.report("gap", detail, answer.event.frame, client.position)
            yield self.log.client, client.position
        if answer is not None and self._asked_for_cookie is None:
            detail = "what the server sent before its ServerHello is not in the capture"
            server.problems.report("gap", detail, answer.event.frame, answer.event.start)
        encrypted = [one.keyed.first for one in (client, server) if one.keyed.first]
        if answer is None and encrypted:
            detail, frame = "the ServerHello is not in the capture", min(encrypted)
            server.problems.report("gap", detail, frame, server.position)
            yield 1 - self.log.client, server.position

    def _lacks_verify_request(self) -> bool:
        return bool(self._cookie_frame) and not self._verified

    def _lacking_flights(self) -> Iterator[tuple[int, int]]:
        """Report flights of DTLS 1.3 that are missing before others; yield the side and the offset of each.

        A client sends data after its flight, and its flight after the server's (RFC 9147 section 5.6).
        """
        if not self.log.tls13:
            return
        client, server = self.log.client, 1 - self.log.client
        flights: list[HandshakeEvent | None] = [None, None]
        for event in self.log.events:
            is_message = event.encrypted and event.content_type == HANDSHAKE
            if flights[event.sender] is None and is_message and event.size != self.log.alert_sizes[event.sender]:
                flights[event.sender] = event
        flight, data = flights[client], self.directions[client].keyed.data
        missing = "the flight of the {} is not in the capture"
        if flight is not None and flights[server] is None:
            place = self.directions[server].position
            self.directions[server].problems.report("gap", missing.format("server"), flight.frame, place)
            yield server, place
        if flight is None and data:
            place = self.directions[client].position
            self.directions[client].problems.report("gap", missing.format("client"), data, place)
            yield client, place

    def _plain_bytes(self, holes: Sequence[int]) -> tuple[int | None, int | None]:
        """Return the bytes of each side's handshake records in plaintext; None where some are missing."""
        hello, retry = self.log.client_hello, self.log.retry_request
        lacks_first = (
            hello is None or bool(cookie(hello.event.body)) or (retry is not None and retry.frame < hello.event.frame)
        )
        # Before its ServerHello, a server demands another ClientHello.
        lacking = [hole != UNKNOWN or self._asked_for_cookie is None for hole in holes]
        lacking[self.log.client] |= lacks_first
        lacking[1 - self.log.client] |= self._lacks_verify_request()
        one, other = [None if lacks else side.plain for lacks, side in zip(lacking, self.directions, strict=True)]
        return one, other

    def _alert(self, packet: Packet, sender: int, record: DtlsRecord, start: int) -> None:
        """Log an alert in plaintext."""
        body, end = (record.fragment or b"")[:ALERT_SIZE], start + record.end - record.start
        if len(body) == ALERT_SIZE:
            self.log.add_event(
                new_event(sender, ALERT, None, ALERT_SIZE, body, packet.frame, packet.time, start, end, False)
            )
        elif record.whole:
            problems = self.directions[sender].problems
            problems.report("malformed_message", "an alert is too short", packet.frame, start)

    def _handshake(self, packet: Packet, sender: int, record: DtlsRecord, start: int) -> bool:
        """Log the messages that a record in plaintext completes; return whether all of it was sent before."""
        direction, joiner = self.directions[sender], self.directions[sender].joiner
        fragments, sound = read_fragments(record)
        repeated = bool(fragments)
        if not sound:
            detail = "a handshake record that is not made of whole fragments"
            direction.problems.report("malformed_record", detail, packet.frame, start)
        for fragment in fragments:
            held = joiner.held_bytes + joiner.compared_bytes
            joined = direction.add_fragment(fragment, start, packet.frame)
            repeated = repeated and not joiner.added
            budget = self.log.budget
            if joiner.held_bytes > budget.held_bytes or budget.is_spent():
                joiner.give_up()
            self.log.account(joiner.held_bytes + joiner.compared_bytes - held)
            if joined is not None:
                self._message(packet, sender, joined, start + record.end - record.start)
        return repeated

    def _message(self, packet: Packet, sender: int, joined: JoinedMessage, end: int) -> None:
        """Log a message that is complete."""
        direction, kind = self.directions[sender], joined.handshake_type
        event = new_event(
            sender, HANDSHAKE, kind, joined.length, joined.body, packet.frame, packet.time, joined.start, end, False
        )
        self.log.add_message(event, direction.problems, joined.fragments)
        if len(direction.numbers) < MAX_NUMBERS:
            direction.numbers.append((joined.message_seq, joined.start, packet.frame))
        if kind == HandshakeType.CLIENT_HELLO:
            self._client_hello(event, joined.message_seq)
        elif kind == HandshakeType.HELLO_VERIFY_REQUEST:
            self._verify_request(event, direction)
        elif kind == HandshakeType.SERVER_HELLO:
            self._server_hello(event, joined.message_seq)

    def _client_hello(self, event: HandshakeEvent, message_seq: int) -> None:
        sent = cookie(event.body)
        if sent:
            self._asked_for_cookie, self._cookie_bytes = True, len(sent)
            self._cookie_frame = self._cookie_frame or event.frame
        if self.client_random is None and len(event.body) >= _RANDOM.stop:
            self.client_random = event.body[_RANDOM]
            self._first[event.sender] = message_seq

    def _verify_request(self, event: HandshakeEvent, direction: _Direction) -> None:
        self._asked_for_cookie = self._verified = True
        try:
            self._cookie_bytes = len(Reader(event.body).whole(HelloVerifyRequest.read).cookie)
        except WireError as error:
            direction.problems.report("malformed_message", str(error), event.frame, event.start)

    def _server_hello(self, event: HandshakeEvent, message_seq: int) -> None:
        """Learn what a ServerHello or HelloRetryRequest decides for later records."""
        log = self.log
        if event.is_retry_request:
            if log.retry_request is event:
                asked = extension_data(decode_retry_request(event).hello.extensions, ExtensionType.COOKIE)
                self._cookie_bytes = self._cookie_bytes if asked is None else max(0, len(asked) - 2)
            return
        if log.server_hello is None or log.server_hello.event is not event:
            return
        if self._asked_for_cookie is None and (message_seq == 0 or log.retry_request is not None):
            # A server numbers its messages from 0, whichever it sends first.
            self._asked_for_cookie = False
        self._first[event.sender] = message_seq
        server, client = event.sender, 1 - event.sender
        if log.client_hello is not None:
            offer = decode_client_hello(log.client_hello.event, datagram=True).hello
            self._ids[client] = _connection_id(offer)
            if isinstance(offer, ClientHello):
                self._agrees_on_media = extension_data(offer.extensions, ExtensionType.USE_SRTP) is not None
        hello = decode_server_hello(event).hello
        self._ids[server] = _connection_id(hello)
        self._promised_ticket = (
            isinstance(hello, ServerHello)
            and extension_data(hello.extensions, ExtensionType.SESSION_TICKET) is not None
        )
        # A record has the connection ID that its receiver chose (RFC 9146 section 3).
        for side in (client, server):
            chosen = self._ids[1 - side]
            agreed = self._ids[server] is not None
            self.directions[side].cid_length = 0 if not agreed else None if chosen is None else len(chosen)

    def _add_encrypted_message(self, packet: Packet, sender: int, record: DtlsRecord, start: int) -> None:
        """Log an encrypted handshake record."""
        self.log.has_finished[sender] = self.directions[sender].has_finished = True
        event = self._add_event(packet, sender, record, start, kind=HANDSHAKE, encrypted=True)
        if len(self.directions[sender].encrypted_messages) < MAX_SEALED:
            self.directions[sender].encrypted_messages.append((record.epoch, event))

    def _keep_sealed(self, packet: Packet, sender: int, record: DtlsRecord, data: bytes, start: int) -> None:
        """Keep an encrypted record if keys may open it; application data only where its content type is encrypted."""
        self.log.look_for_keys()
        if not self.log.opens or not record.whole or record.epoch == 0:
            return
        body = data[record.body : record.end]
        number = 0 if record.sequence is None else record.epoch << _SEQUENCE_BITS | record.sequence
        if record.is_unified:
            kept = record.length <= self.log.keeps and record.epoch != EARLY_EPOCH
        elif record.content_type == TLS12_CID:
            # After the handshake, long records are application data.
            kept = record.length <= MAX_SHORT or not all(self.log.has_finished)
        else:
            kept = record.content_type in (HANDSHAKE, ALERT)
        if not kept:
            return
        sealed = new_sealed(
            sender, record.epoch, number, record.content_type, record.version, body, packet.frame, packet.time, start,
            header=data[record.start : record.body],
        )  # fmt: skip
        self.log.add_sealed(sealed)

    def _protected(self, packet: Packet, sender: int, record: DtlsRecord, start: int) -> None:
        """Log an encrypted record of DTLS 1.3; of application data, the first in a row and what may be an alert."""
        direction = self.directions[sender]
        direction.last = new_record(record.content_type, record.version, record.length, start, None, True)
        is_data = record.content_type == APPLICATION_DATA
        if record.epoch != EARLY_EPOCH:
            first, data = direction.keyed
            direction.keyed = _KeyedFrames(first or packet.frame, data or (packet.frame if is_data else 0))
        if is_data and direction.first_data is None:
            direction.first_data = PacketRef(packet.frame, time_or_none(packet.time), None)
        adds_nothing = is_data and self._latest_protected == sender and record.length != self.log.alert_sizes[sender]
        if direction.protected < MAX_PROTECTED and not adds_nothing:
            direction.protected += 1
            if not is_data:
                self._awaits_media = [self._agrees_on_media] * 2
            kind = ACK if self._may_acknowledge(record, sender) else record.content_type
            self._add_event(packet, sender, record, start, encrypted=True, kind=kind)
        self._latest_protected = sender if is_data else UNKNOWN

    def _may_acknowledge(self, record: DtlsRecord, sender: int) -> bool:
        """Return whether a record has the length of an ACK of records that the other side had sent before.

        An ACK lists their numbers (RFC 9147 section 7). A message whose length is that of an ACK is longer than an ACK
        of so few records in most cases: of a certificate's length, it would list dozens.
        """
        listed, rest = divmod(record.length - self.log.alert_sizes[sender], _RECORD_NUMBER)
        return self.log.tls13 and rest == 0 and 0 < listed <= self.directions[1 - sender].records

    def _add_event(
        self, packet: Packet, sender: int, record: DtlsRecord, start: int, *, encrypted: bool, kind: int | None = None
    ) -> HandshakeEvent:
        """Log a record that is not a message in plaintext."""
        content_type = record.content_type if kind is None else kind
        end = start + record.end - record.start
        event = new_event(
            sender, content_type, None, record.length, b"", packet.frame, packet.time, start, end, encrypted
        )
        self.log.add_event(event)
        return event

    def _heartbeat(self, packet: Packet, sender: int, record: DtlsRecord) -> None:
        if len(self.log.heartbeats) < MAX_HEARTBEATS:
            head = (record.fragment or b"")[:HEARTBEAT_HEAD]
            self.log.heartbeats.append(HeartbeatRecord(sender, record.length, head, packet.frame))

    def _beginning_of_hello(self, sender: int, direction: _Direction, begun: JoinedMessage) -> None:
        """Decode the beginning of a hello whose other fragments are missing."""
        if len(begun.body) < _RANDOM.stop:
            return
        event = new_event(
            sender, HANDSHAKE, begun.handshake_type, begun.length, begun.body, begun.frame, UNTIMED,
            begun.start, direction.position, False,
        )  # fmt: skip
        self.log.add_beginning(event, direction.problems, begun.fragments)

    def _summary(self, side: int, first_hole: int) -> DirectionSummary:
        direction = self.directions[side]
        return DirectionSummary.of_datagrams(
            position=direction.reached,
            payload=direction.position,
            first_frame=direction.first_frame,
            first_hole=first_hole,
            last_data=None if direction.last is None else (direction.last.start, direction.last.length),
            changed=direction.changed,
            problems=direction.problems,
        )

    def _dtls(self) -> Dtls:
        client, server = self.directions[self.log.client], self.directions[1 - self.log.client]
        ids = [None if not one else one.hex() for one in (self._ids[self.log.client], self._ids[1 - self.log.client])]
        return Dtls(
            cookie_bytes=self._cookie_bytes,
            connection_ids=ConnectionIds(*ids),
            fragments=Counts(client.fragments, server.fragments),
            retransmitted_messages=Counts(
                client.joiner.retransmitted + client.resealed, server.joiner.retransmitted + server.resealed
            ),
        )


class DtlsFollower:
    """Follows the handshakes of a UDP flow, one after the other."""

    protocol = DTLS

    def __init__(self, flow: UdpFlow, budget: Budget, options: Options, keys: CaptureKeys | None = None) -> None:
        self.limited = False
        self._budget = budget
        self.changed: list[tuple[int, HandshakeLog]] = []
        self.ready = False
        self._early = options.idle is not None
        self._flow = flow
        self._keeps = options.keep
        self._keys = keys
        self._trackers = [DtlsTracker(flow.copy(), budget, keys, keeps=options.keep)]

    def feed(self, packet: Packet, sender: int) -> None:
        """Read the records of a datagram, if it has any."""
        current = self._trackers[-1]
        data = packet.captured_payload()
        place = find_records(data, packet.length)
        if place is None:
            current.totals.add(packet)
            if is_media(data) and not (current.limited or current.returned):
                current.add_media(packet, sender)
            return
        start, end = place
        records = read_records(data, start, end, current.directions[sender].cid_length)
        if _begins_anew(current, records, sender):
            if len(self._trackers) == MAX_HANDSHAKES:
                current.limited = True
            else:
                current = self._begin(packet)
        current.totals.add(packet)
        if not (current.limited or current.returned):
            tracker = current
            if len(self._trackers) > 1 and records and not current.has_keys(records[0], sender):
                # The latest handshake has no keys yet: this is of the one before it (RFC 6347 section 4.2.8).
                tracker = self._trackers[-2]
            before = tracker.log.client_hello, all(tracker.log.has_finished)
            tracker.feed(packet, sender, records, (data, start, end))
            if before != (tracker.log.client_hello, all(tracker.log.has_finished)):
                self.changed.append((packet.frame, tracker.log))
            self.ready = self._early and tracker.is_decided()

    def add_fragments(self, sender: int, frame: int, conflict: FragmentConflict) -> None:
        """Report that the IP fragments of the latest datagram differ."""
        self._trackers[-1].directions[sender].problems.report_fragments(frame, conflict)

    def decided(self, until: int, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the handshakes that are decided; `finish` does not yield them again."""
        self.ready = False
        yield from self._logged([tracker for tracker in self._trackers if tracker.is_decided()], until, damage)

    def finish(self, until: int, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the handshakes in order, and return their bytes to the budget."""
        yield from self._logged(self._trackers, until, damage)

    def _logged(
        self, trackers: Sequence[DtlsTracker], until: int, damage: Sequence[Damage]
    ) -> Iterator[tuple[Totals, LoggedHandshake]]:
        for tracker in trackers:
            if tracker.returned:
                continue
            tracker.returned = True
            tracker.limited = tracker.limited or self.limited
            log = tracker.logged(until, damage, two_sided=self._flow.two_sided)
            if log is not None:
                yield tracker.totals, log
            self._budget.used -= tracker.log.held_bytes

    def _begin(self, packet: Packet) -> DtlsTracker:
        """Begin another handshake with this datagram."""
        totals = Totals(self._flow.endpoints, self._flow.stream)
        totals.begin(packet)
        self._trackers.append(DtlsTracker(totals, self._budget, self._keys, keeps=self._keeps))
        return self._trackers[-1]


def _begins_anew(tracker: DtlsTracker, records: Sequence[DtlsRecord], sender: int) -> bool:
    """Return whether a datagram begins another handshake."""
    hellos = [record for record in records if record.content_type == HANDSHAKE and record.fragment]
    return any(tracker.begins_anew(fragment, sender) for record in hellos for fragment in read_fragments(record)[0])


def _connection_id(hello: Struct) -> bytes | None:
    """Return the connection ID in a hello (RFC 9146 section 3); None if it has no such extension."""
    extensions = hello.extensions if isinstance(hello, (ClientHello, ServerHello)) else ()
    for number in (ExtensionType.CONNECTION_ID, ExtensionType.CONNECTION_ID_OLD):
        data = extension_data(extensions, number)
        if data:
            return data[1 : 1 + data[0]]
    return None
