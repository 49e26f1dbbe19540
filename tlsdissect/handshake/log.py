"""What both sides said: records become messages, hellos are read, in the order in which they were seen."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from tlsdissect.capture.packet import UNTIMED, time_or_none
from tlsdissect.handshake.events import (
    BegunAlert,
    HandshakeEvent,
    HeartbeatRecord,
    SeenClientHello,
    SeenRetryRequest,
    SeenServerHello,
)
from tlsdissect.handshake.record_lengths import sizes
from tlsdissect.handshake.versions import lacks_version, offers_tls13, selected_version
from tlsdissect.model.transcript import PacketRef
from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import HandshakeType, is_tls13
from tlsdissect.tls.hello_cache import CLIENT_HELLOS, SERVER_HELLOS, Hello, HelloCache, HelloTemplate
from tlsdissect.tls.record import (
    ALERT,
    ALERT_BYTES,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_SIZE,
    HEARTBEAT,
    SSL2,
    is_hello,
)
from tlsdissect.tls.server_hello import HelloRetryRequest, ServerHello, Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError, decode_partially

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.flows.limits import Budget
    from tlsdissect.handshake.direction import Direction, Piece
    from tlsdissect.tls.record import Record

T = TypeVar("T")

MAX_PROTECTED = 256
"""Protected records of TLS 1.3 that are noted of each side."""
MAX_HEARTBEATS = 256
"""Heartbeats of one conversation that are noted."""
HEARTBEAT_HEAD = 3
"""Bytes of a heartbeat before its payload: its type, and how long it says that the payload is (RFC 6520 section 4)."""
MAX_ALERTS = 8
"""Bytes of an alert record in the clear, which may hold several alerts; a longer one is encrypted."""
MAX_EVENTS = 4096
"""Messages of one conversation that are noted."""
PART_BYTES = 192
"""Bytes that a message, or an extension of a hello, takes by estimate besides its own."""
NUMBER_BYTES = 36
"""Bytes that a cipher suite of a hello takes once it was read, where no other hello has the same list."""

MESSAGE_HEADER = 4
"""Bytes of a handshake message before its body: its type and its length."""
_BEGINNINGS = (bytes([HandshakeType.CLIENT_HELLO]), bytes([HandshakeType.SERVER_HELLO]))
_frame = attrgetter("frame")
_HELLOS = frozenset((HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO, HandshakeType.HELLO_RETRY_REQUEST))


class HandshakeLog:
    """Messages in order, and the hellos among them."""

    __slots__ = (
        "_acknowledgement",
        "_budget",
        "acknowledged",
        "alert_size",
        "client",
        "client_hello",
        "decided",
        "events",
        "first_data",
        "heartbeats",
        "held_bytes",
        "hello_retries",
        "hello_retry",
        "kept_bytes",
        "limited",
        "protected",
        "replied",
        "sealed",
        "server_hello",
        "tls13",
        "version",
    )  # fmt: skip

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.kept_bytes = 0
        """Bytes of the messages that are kept."""
        self.held_bytes = 0
        """Bytes that all of this takes, by estimate."""
        self.events: list[HandshakeEvent] = []
        self.client_hello: SeenClientHello | None = None
        """The first ClientHello."""
        self.server_hello: SeenServerHello | None = None
        """The first ServerHello that is no HelloRetryRequest."""
        self.hello_retry: SeenRetryRequest | None = None
        self.hello_retries = 0
        """HelloRetryRequests before the ServerHello."""
        self.client: int | None = None
        """Who sends the ClientHello; None: no hello was seen, this is no TLS connection."""
        self.version: int | None = None
        """What the server chose."""
        self.tls13 = False
        """Whether it chose TLS 1.3, one of its drafts or experiments."""
        self.decided = False
        """Whether the handshake is over, one way or the other."""
        self.alert_size: int | None = None
        """Length of a protected record of TLS 1.3 that may be an alert."""
        self.replied = False
        """Whether in TLS 1.3 a protected record of the server came after one of the client."""
        self.first_data: list[PacketRef | None] = [None, None]
        """The packets in which each side's first record of application data begins."""
        self.protected = [0, 0]
        """Records of application data that each side began while TLS 1.3 was possible."""
        self.sealed = [False, False]
        """Whether each side sent a handshake record under encryption: its Finished."""
        self.heartbeats: list[HeartbeatRecord] = []
        """Heartbeats of both sides, in order."""
        self._acknowledgement: int | None = None
        """That of the packet which brought the latest records."""
        self.acknowledged: dict[tuple[int, int], int | None] = {}
        """By the sender and the start of each alert, and of what may be one, the acknowledgement that came with it."""
        self.limited: set[int] = set()
        """Who said more than is noted."""

    def sort(self) -> None:
        """Put the messages in the order of the frames that completed them."""
        self.events.sort(key=_frame)

    def settle(self) -> None:
        """Take the handshake as over: protected records of TLS 1.3 are application data from now on."""
        self.decided = True
        if self.tls13:
            self.first_data = [None, None]

    def take(self, sender: int, direction: Direction, piece: Piece, acknowledgement: int | None) -> None:
        """Note what records say; `acknowledgement` is that of the packet which brought them."""
        frame, time = piece.frame, piece.time
        self._acknowledgement = acknowledgement
        for record in piece.records:
            content_type = record.content_type
            if content_type == HANDSHAKE:
                self._handshake(sender, direction, record, frame, time)
            elif content_type == APPLICATION_DATA:
                self._application_data(sender, record, frame, time, acknowledgement)
            elif content_type == CHANGE_CIPHER_SPEC:
                direction.changed += 1
                self._note(sender, record, frame, time)
            elif content_type == ALERT:
                self._alerts(sender, direction, record, frame, time)
            elif content_type == SSL2:
                self._ssl2(sender, direction, record, frame, time)
            elif content_type == HEARTBEAT and len(self.heartbeats) < MAX_HEARTBEATS:
                head = b"" if direction.changed else (record.fragment or b"")[:HEARTBEAT_HEAD]
                self.heartbeats.append(HeartbeatRecord(sender, record.length, head, frame))
        if piece.records:
            direction.last = piece.records[-1]
        if piece.broken:
            self.break_off(sender, direction)

    def _note(
        self, sender: int, record: Record, frame: int, time: int, body: bytes = b"", *, encrypted: bool = False
    ) -> None:
        """Note a record that is no handshake message in the clear."""
        kind, size, start = record.content_type, record.length, record.start
        self._keep(
            HandshakeEvent(sender, kind, None, size, body, frame, time, start, start + HEADER_SIZE + size, encrypted)
        )

    def _keep(self, event: HandshakeEvent) -> None:
        budget, size = self._budget, len(event.body)
        full = self.kept_bytes + size > budget.limits.message_bytes or budget.spent
        if full or len(self.events) >= MAX_EVENTS:
            self.limited.add(event.sender)
            return
        self.events.append(event)
        if event.content_type == ALERT or (event.content_type == APPLICATION_DATA and event.size == self.alert_size):
            self.acknowledged[event.sender, event.start] = self._acknowledgement
        self.kept_bytes += size
        self.held_bytes += size + PART_BYTES
        budget.used += size + PART_BYTES

    def _hold(self, size: int) -> None:
        """Count what is held besides; less than nothing is given back."""
        self.held_bytes += size
        self._budget.used += size

    def _application_data(
        self, sender: int, record: Record, frame: int, time: int, acknowledgement: int | None
    ) -> None:
        if self.first_data[sender] is None and not (self.decided and record.length == self.alert_size):
            self.first_data[sender] = PacketRef(frame, time_or_none(time), acknowledgement)
        if self.decided or (self.version is not None and not self.tls13):
            return
        self.protected[sender] += 1
        self.replied = self.replied or (sender != self.client and self.protected[1 - sender] > 0)
        # A record of an alert's length may be what decides.
        if self.protected[sender] <= MAX_PROTECTED or record.length == self.alert_size:
            self._note(sender, record, frame, time, encrypted=True)

    def _alerts(self, sender: int, direction: Direction, record: Record, frame: int, time: int) -> None:
        """Note the alerts that a record brings or completes: it may hold several, or a part of one.

        RFC 5246 section 6.2.1 lets an alert be cut like any other message.
        """
        body, start, end = record.fragment or b"", record.start, _end(record)
        begun, direction.alert = direction.alert, None
        sealed = (direction.changed and not self.tls13) or len(body) > MAX_ALERTS
        # Between records that do not adjoin, bytes may be missing.
        if begun is not None and not sealed and body and (begun.end == start or direction.is_whole(start)):
            body, start, begun = begun.level + body, begun.start, None
        if begun is not None:
            _complain_of_alert(begun, direction)
        if sealed or (len(body) < ALERT_BYTES and not record.whole):
            self._note(sender, record, frame, time, encrypted=True)
            return
        for at in range(0, len(body) - 1, ALERT_BYTES):
            alert = body[at : at + ALERT_BYTES]
            self._keep(HandshakeEvent(sender, ALERT, None, ALERT_BYTES, alert, frame, time, start, end, False))
            start = record.start
        if len(body) % ALERT_BYTES and record.whole:
            direction.alert = BegunAlert(body[-1:], frame, start, end)

    def _handshake(self, sender: int, direction: Direction, record: Record, frame: int, time: int) -> None:
        fragment = record.fragment or b""
        if not record.whole:
            self._cut_short(sender, direction, record, frame, time)
            return
        if direction.changed and not self._is_clear(direction, fragment):
            self.sealed[sender] = True
            self._note(sender, record, frame, time, encrypted=True)
            return
        self._messages(sender, direction, record, frame, time)

    def _messages(self, sender: int, direction: Direction, record: Record, frame: int, time: int) -> None:
        """Note the messages that a record's fragment completes."""
        end = _end(record)
        for message in direction.joiner.feed(record.fragment or b"", record.start):
            kind, body = message.handshake_type, message.body
            event = HandshakeEvent(sender, HANDSHAKE, kind, len(body), body, frame, time, message.start, end, False)
            self._keep(event)
            if kind in _HELLOS:
                self._hello(direction, event)
        if direction.accounted or direction.joiner.waiting:
            self._wait(sender, direction, record, frame, time)
        if direction.joiner.malformed is not None:
            direction.spoil(record.start)
            direction.report("malformed_message", "a handshake message states too great a length", frame, record.start)
            direction.joiner.malformed = None

    def _wait(self, sender: int, direction: Direction, record: Record, frame: int, time: int) -> None:
        """Count what waits for the rest of its message.

        Where all conversations together hold too much, of a hello counts what came so far, and of others nothing.
        """
        if direction.joiner.waiting >= MESSAGE_HEADER and self._budget.spent:
            direction.report("limit", "no more bytes are held of a message that is not whole", frame, record.start)
            direction.spoil(record.start)
            self._begun(sender, direction, direction.joiner.give_up(), (frame, time, _end(record)))
        self._hold(direction.joiner.waiting - direction.accounted)
        direction.accounted = direction.joiner.waiting

    def _cut_short(self, sender: int, direction: Direction, record: Record, frame: int, time: int) -> None:
        """Read whole messages of a record that has bytes missing, and the beginning of a hello; the rest is lost."""
        if direction.changed and not direction.joiner.waiting:
            if self.version is not None and not self.tls13:
                # Its header is there, and that it is encrypted is known without its body: it is the Finished.
                self.sealed[sender] = True
                self._note(sender, record, frame, time, encrypted=True)
            return
        direction.report("gap", "a handshake message has bytes missing", frame, record.start)
        self._messages(sender, direction, record, frame, time)
        begun = direction.joiner.drop(record.length - len(record.fragment or b""))
        if not direction.changed:
            self._begun(sender, direction, begun, (frame, time, _end(record)))

    def break_off(self, sender: int, direction: Direction) -> None:
        """Read the beginning of a hello whose other records are missing."""
        begun, start = direction.joiner.drop()
        if not direction.changed and is_hello(begun):
            direction.report("gap", "a handshake message has bytes missing", direction.latest, start)
            # It ends behind all that came.
            self._begun(
                sender, direction, (begun, start), (direction.latest, UNTIMED, direction.assembler.position + 1)
            )

    def break_off_alert(self, direction: Direction) -> None:
        """Report an alert whose second byte will not come."""
        if direction.alert is not None:
            _complain_of_alert(direction.alert, direction)

    def _begun(self, sender: int, direction: Direction, what: tuple[bytes, int], latest: tuple[int, int, int]) -> None:
        """Read the beginning of a hello whose rest is lost.

        `what` are its bytes, and where the record begins that it began in; `latest` frame, time and end of those bytes.
        """
        (begun, start), (frame, time, end) = what, latest
        if begun[:1] not in _BEGINNINGS or len(begun) < MESSAGE_HEADER:
            return
        size, kind = int.from_bytes(begun[1:MESSAGE_HEADER], "big"), begun[0]
        least = start + HEADER_SIZE + MESSAGE_HEADER + size
        if least > end:
            # The rest is in other records, which were complete at a later time.
            end, time = least, UNTIMED
        event = HandshakeEvent(sender, HANDSHAKE, kind, size, begun[MESSAGE_HEADER:], frame, time, start, end, False)
        if self.client is None:
            self.client = sender if kind == HandshakeType.CLIENT_HELLO else 1 - sender
        self._hello(direction, event)

    def _is_clear(self, direction: Direction, fragment: bytes) -> bool:
        """Whether a handshake record after a ChangeCipherSpec is in the clear.

        It is in TLS 1.3, whose ChangeCipherSpec changes nothing (RFC 8446 appendix D.4): a second ClientHello, or the
        ServerHello after a HelloRetryRequest. Of a client whose server is not seen, only its hello tells.
        """
        if self.tls13 or direction.joiner.waiting:
            return True
        if self.version is not None or self.client_hello is None or not offers_tls13(self.client_hello.hello):
            return False
        return fragment[:2] == b"\x01\x00" and fragment[4:6] == b"\x03\x03"

    def _hello(self, direction: Direction, event: HandshakeEvent) -> None:
        """Read a message if it is a hello that counts."""
        if event.is_retry_request:
            self._count_retry(direction, event)
        try:
            if event.handshake_type == HandshakeType.CLIENT_HELLO and self.client_hello is None:
                hello, template = self._client_hello(direction, event)
                self._hold_hello(event, hello)
                if template is None:
                    self._hold(NUMBER_BYTES * len(hello.cipher_suites or ()))
                self.client_hello = SeenClientHello(event, hello, direction.segments(event.start, event.end), template)
            elif event.handshake_type == HandshakeType.SERVER_HELLO and self.server_hello is None:
                self._server_hello(event, *self._formed(direction, event, SERVER_HELLOS, ServerHello.read))
            elif event.handshake_type == HandshakeType.HELLO_RETRY_REQUEST and self.hello_retry is None:
                self._retry(event, self._read(direction, event, HelloRetryRequest.read))
        except WireError as error:
            _complain(error, direction, event)
        self._name_client()

    def _count_retry(self, direction: Direction, event: HandshakeEvent) -> None:
        """Count a HelloRetryRequest; there may be one, before the ServerHello (RFC 8446 section 4.1.4)."""
        if self.server_hello is not None:
            direction.report(
                "malformed_message", "a HelloRetryRequest behind the ServerHello", event.frame, event.start
            )
            return
        self.hello_retries += 1
        if self.hello_retries > 1:
            detail = "another HelloRetryRequest, of which a handshake may have one"
            direction.report("malformed_message", detail, event.frame, event.start)

    def _hold_hello(self, event: HandshakeEvent, hello: ClientHello | ServerHello) -> None:
        """Count a hello that was read, and its bytes, which stay even if its message was not kept."""
        self._hold(len(event.body) + PART_BYTES * len(hello.extensions or ()))

    def _name_client(self) -> None:
        server_hello = self.server_hello or self.hello_retry
        if self.client_hello is not None:
            self.client = self.client_hello.event.sender
        elif server_hello is not None:
            self.client = 1 - server_hello.event.sender

    def _client_hello(
        self, direction: Direction, event: HandshakeEvent
    ) -> tuple[ClientHello, HelloTemplate[ClientHello] | None]:
        try:
            return self._formed(direction, event, CLIENT_HELLOS, ClientHello.read)
        except WireError:
            return self._read(direction, event, ClientHello.read_beginning), None

    def _server_hello(
        self, event: HandshakeEvent, hello: ServerHello, template: HelloTemplate[ServerHello] | None
    ) -> None:
        if not hello.is_hello_retry_request:
            self._hold_hello(event, hello)
            self.server_hello = SeenServerHello(event, hello, template)
            self.version = self._selected(event, hello)
            self.tls13 = self.version is not None and is_tls13(self.version)
            self.alert_size = sizes(hello.cipher_suite).alert if self.tls13 else None
        elif self.hello_retry is None:
            self._retry(event, hello)

    def _retry(self, event: HandshakeEvent, hello: ServerHello | HelloRetryRequest) -> None:
        self.hello_retry, self.tls13 = SeenRetryRequest(event, hello), True
        self.version = self._selected(event, hello)

    def _selected(self, event: HandshakeEvent, hello: ServerHello | HelloRetryRequest) -> int | None:
        """Tell the version that a server chose; None where bytes are missing that may say TLS 1.3."""
        if event.whole or not isinstance(hello, ServerHello) or not lacks_version(hello):
            return selected_version(hello)
        older = (
            self.client_hello is not None
            and self.client_hello.event.whole
            and not offers_tls13(self.client_hello.hello)
        )
        return selected_version(hello) if older else None

    def _formed(
        self, direction: Direction, event: HandshakeEvent, cache: HelloCache[Hello], read: Callable[[Reader], Hello]
    ) -> tuple[Hello, HelloTemplate[Hello] | None]:
        """Read a hello through the cache, and add the template of one without error."""
        template = cache.find(event.body)
        if template is not None:
            return template.fill(event.body), template
        hello, flaw = decode_partially(read, event.body)
        if flaw is None:
            return hello, cache.learn(event.body, hello)
        _complain(flaw, direction, event)
        return hello, None

    def _read(self, direction: Direction, event: HandshakeEvent, read: Callable[[Reader], T]) -> T:
        """Read a message; what can be read of one that is malformed counts, and the rest is a trouble."""
        value, flaw = decode_partially(read, event.body)
        if flaw is not None:
            _complain(flaw, direction, event)
        return value

    def _ssl2(self, sender: int, direction: Direction, record: Record, frame: int, time: int) -> None:
        """Read a hello of SSL 2.0; what follows a SERVER-HELLO is of SSL 2.0 too."""
        body = record.fragment or b""
        kind = HandshakeType.CLIENT_HELLO if body[0] == 1 else HandshakeType.SERVER_HELLO
        end = record.start + 2 + record.length
        event = HandshakeEvent(sender, SSL2, kind, record.length, body, frame, time, record.start, end, False)
        self._keep(event)
        try:
            if kind == HandshakeType.CLIENT_HELLO and self.client_hello is None:
                self.client_hello = SeenClientHello(
                    event,
                    self._read(direction, event, Ssl2ClientHello.read),
                    direction.segments(event.start, event.end),
                )
            elif kind == HandshakeType.SERVER_HELLO and self.server_hello is None:
                server_hello = self._read(direction, event, Ssl2ServerHello.read)
                self.server_hello, self.version = SeenServerHello(event, server_hello), server_hello.server_version
        except WireError as error:
            _complain(error, direction, event)
        self._name_client()


def _end(record: Record) -> int:
    """The stream offset behind a record."""
    return record.start + HEADER_SIZE + record.length


def _complain_of_alert(begun: BegunAlert, direction: Direction) -> None:
    """Note an alert of which there is only the level."""
    if (
        direction.is_whole(begun.end)
        and direction.fin is not None
        and direction.assembler.offset(direction.fin.end) == begun.end
    ):
        direction.report("malformed_message", "an alert ends after its first byte", begun.frame, begun.start)
    else:
        direction.report("gap", "an alert has bytes missing", begun.frame, begun.start)


def _complain(flaw: WireError, direction: Direction, event: HandshakeEvent) -> None:
    """Note what is malformed; of a message that was cut the gap is told, and its sender did nothing wrong."""
    if event.whole:
        direction.report("malformed_message", str(flaw), event.frame, event.start)
