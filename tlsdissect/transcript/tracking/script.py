"""What both sides said: records become messages, hellos are read, in the order in which they were seen."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from tlsdissect.capture.packet import UNTIMED, time_or_none
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
from tlsdissect.transcript.tracking.seen import Answer, BegunAlert, HeartbeatRecord, Item, Moment, Offer, RetryRequest
from tlsdissect.transcript.tracking.sizes import sizes
from tlsdissect.transcript.tracking.versions import lacks_version, offers_tls13, selected_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.flows.limits import Budget
    from tlsdissect.tls.record import Record
    from tlsdissect.transcript.tracking.half import Half, Piece

T = TypeVar("T")

MAX_PROTECTED = 256
"""Protected records of TLS 1.3 that are noted of each side."""
MAX_HEARTBEATS = 256
"""Heartbeats of one conversation that are noted."""
HEARTBEAT_HEAD = 3
"""Bytes of a heartbeat before its payload: its type, and how long it says that the payload is (RFC 6520 section 4)."""
MAX_ALERTS = 8
"""Bytes of an alert record in the clear, which may hold several alerts; a longer one is encrypted."""
MAX_ITEMS = 4096
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


class Script:
    """Messages in order, and the hellos among them."""

    __slots__ = (
        "_acknowledgement", "_budget", "acknowledged", "alert_size", "answer", "client", "decided", "first_data",
        "heartbeats", "held_bytes", "items", "kept_bytes", "limited", "offer", "protected", "replied", "retries",
        "retry", "sealed", "tls13", "version",
    )  # fmt: skip

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.kept_bytes = 0
        """Bytes of the messages that are kept."""
        self.held_bytes = 0
        """Bytes that all of this takes, by estimate."""
        self.items: list[Item] = []
        self.offer: Offer | None = None
        """The first ClientHello."""
        self.answer: Answer | None = None
        """The first ServerHello that is no HelloRetryRequest."""
        self.retry: RetryRequest | None = None
        self.retries = 0
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
        self.first_data: list[Moment | None] = [None, None]
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
        self.items.sort(key=_frame)

    def settle(self) -> None:
        """Take the handshake as over: protected records of TLS 1.3 are application data from now on."""
        self.decided = True
        if self.tls13:
            self.first_data = [None, None]

    def take(self, sender: int, half: Half, piece: Piece, acknowledgement: int | None) -> None:
        """Note what records say; `acknowledgement` is that of the packet which brought them."""
        frame, time = piece.frame, piece.time
        self._acknowledgement = acknowledgement
        for record in piece.records:
            content_type = record.content_type
            if content_type == HANDSHAKE:
                self._handshake(sender, half, record, frame, time)
            elif content_type == APPLICATION_DATA:
                self._application_data(sender, record, frame, time, acknowledgement)
            elif content_type == CHANGE_CIPHER_SPEC:
                half.changed += 1
                self._note(sender, record, frame, time)
            elif content_type == ALERT:
                self._alerts(sender, half, record, frame, time)
            elif content_type == SSL2:
                self._ssl2(sender, half, record, frame, time)
            elif content_type == HEARTBEAT and len(self.heartbeats) < MAX_HEARTBEATS:
                head = b"" if half.changed else (record.fragment or b"")[:HEARTBEAT_HEAD]
                self.heartbeats.append(HeartbeatRecord(sender, record.length, head, frame))
        if piece.records:
            half.last = piece.records[-1]
        if piece.broken:
            self.break_off(sender, half)

    def _note(
        self, sender: int, record: Record, frame: int, time: int, body: bytes = b"", *, encrypted: bool = False
    ) -> None:
        """Note a record that is no handshake message in the clear."""
        kind, size, start = record.content_type, record.length, record.start
        self._keep(Item(sender, kind, None, size, body, frame, time, start, start + HEADER_SIZE + size, encrypted))

    def _keep(self, item: Item) -> None:
        budget, size = self._budget, len(item.body)
        full = self.kept_bytes + size > budget.limits.message_bytes or budget.spent
        if full or len(self.items) >= MAX_ITEMS:
            self.limited.add(item.sender)
            return
        self.items.append(item)
        if item.content_type == ALERT or (item.content_type == APPLICATION_DATA and item.size == self.alert_size):
            self.acknowledged[item.sender, item.start] = self._acknowledgement
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
            self.first_data[sender] = Moment(frame, time_or_none(time), acknowledgement)
        if self.decided or (self.version is not None and not self.tls13):
            return
        self.protected[sender] += 1
        self.replied = self.replied or (sender != self.client and self.protected[1 - sender] > 0)
        # A record of an alert's length may be what decides.
        if self.protected[sender] <= MAX_PROTECTED or record.length == self.alert_size:
            self._note(sender, record, frame, time, encrypted=True)

    def _alerts(self, sender: int, half: Half, record: Record, frame: int, time: int) -> None:
        """Note the alerts that a record brings or completes: it may hold several, or a part of one.

        RFC 5246 section 6.2.1 lets an alert be cut like any other message.
        """
        body, start, end = record.fragment or b"", record.start, _end(record)
        begun, half.alert = half.alert, None
        sealed = (half.changed and not self.tls13) or len(body) > MAX_ALERTS
        # Between records that do not adjoin, bytes may be missing.
        if begun is not None and not sealed and body and (begun.end == start or half.is_whole(start)):
            body, start, begun = begun.level + body, begun.start, None
        if begun is not None:
            _complain_of_alert(begun, half)
        if sealed or (len(body) < ALERT_BYTES and not record.whole):
            self._note(sender, record, frame, time, encrypted=True)
            return
        for at in range(0, len(body) - 1, ALERT_BYTES):
            alert = body[at : at + ALERT_BYTES]
            self._keep(Item(sender, ALERT, None, ALERT_BYTES, alert, frame, time, start, end, False))
            start = record.start
        if len(body) % ALERT_BYTES and record.whole:
            half.alert = BegunAlert(body[-1:], frame, start, end)

    def _handshake(self, sender: int, half: Half, record: Record, frame: int, time: int) -> None:
        fragment = record.fragment or b""
        if not record.whole:
            self._cut_short(sender, half, record, frame, time)
            return
        if half.changed and not self._is_clear(half, fragment):
            self.sealed[sender] = True
            self._note(sender, record, frame, time, encrypted=True)
            return
        self._messages(sender, half, record, frame, time)

    def _messages(self, sender: int, half: Half, record: Record, frame: int, time: int) -> None:
        """Note the messages that a record's fragment completes."""
        end = _end(record)
        for message in half.joiner.feed(record.fragment or b"", record.start):
            kind, body = message.handshake_type, message.body
            item = Item(sender, HANDSHAKE, kind, len(body), body, frame, time, message.start, end, False)
            self._keep(item)
            if kind in _HELLOS:
                self._hello(half, item)
        if half.accounted or half.joiner.waiting:
            self._wait(sender, half, record, frame, time)
        if half.joiner.malformed is not None:
            half.spoil(record.start)
            half.trouble("malformed_message", "a handshake message states too great a length", frame, record.start)
            half.joiner.malformed = None

    def _wait(self, sender: int, half: Half, record: Record, frame: int, time: int) -> None:
        """Count what waits for the rest of its message.

        Where all conversations together hold too much, of a hello counts what came so far, and of others nothing.
        """
        if half.joiner.waiting >= MESSAGE_HEADER and self._budget.spent:
            half.trouble("limit", "no more bytes are held of a message that is not whole", frame, record.start)
            half.spoil(record.start)
            self._begun(sender, half, half.joiner.give_up(), (frame, time, _end(record)))
        self._hold(half.joiner.waiting - half.accounted)
        half.accounted = half.joiner.waiting

    def _cut_short(self, sender: int, half: Half, record: Record, frame: int, time: int) -> None:
        """Read whole messages of a record that has bytes missing, and the beginning of a hello; the rest is lost."""
        if half.changed and not half.joiner.waiting:
            if self.version is not None and not self.tls13:
                # Its header is there, and that it is encrypted is known without its body: it is the Finished.
                self.sealed[sender] = True
                self._note(sender, record, frame, time, encrypted=True)
            return
        half.trouble("gap", "a handshake message has bytes missing", frame, record.start)
        self._messages(sender, half, record, frame, time)
        begun = half.joiner.drop(record.length - len(record.fragment or b""))
        if not half.changed:
            self._begun(sender, half, begun, (frame, time, _end(record)))

    def break_off(self, sender: int, half: Half) -> None:
        """Read the beginning of a hello whose other records are missing."""
        begun, start = half.joiner.drop()
        if not half.changed and is_hello(begun):
            half.trouble("gap", "a handshake message has bytes missing", half.latest, start)
            # It ends behind all that came.
            self._begun(sender, half, (begun, start), (half.latest, UNTIMED, half.assembler.position + 1))

    def break_off_alert(self, half: Half) -> None:
        """Report an alert whose second byte will not come."""
        if half.alert is not None:
            _complain_of_alert(half.alert, half)

    def _begun(self, sender: int, half: Half, what: tuple[bytes, int], latest: tuple[int, int, int]) -> None:
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
        item = Item(sender, HANDSHAKE, kind, size, begun[MESSAGE_HEADER:], frame, time, start, end, False)
        if self.client is None:
            self.client = sender if kind == HandshakeType.CLIENT_HELLO else 1 - sender
        self._hello(half, item)

    def _is_clear(self, half: Half, fragment: bytes) -> bool:
        """Whether a handshake record after a ChangeCipherSpec is in the clear.

        It is in TLS 1.3, whose ChangeCipherSpec changes nothing (RFC 8446 appendix D.4): a second ClientHello, or the
        ServerHello after a HelloRetryRequest. Of a client whose server is not seen, only its hello tells.
        """
        if self.tls13 or half.joiner.waiting:
            return True
        if self.version is not None or self.offer is None or not offers_tls13(self.offer.hello):
            return False
        return fragment[:2] == b"\x01\x00" and fragment[4:6] == b"\x03\x03"

    def _hello(self, half: Half, item: Item) -> None:
        """Read a message if it is a hello that counts."""
        if item.is_retry_request:
            self._count_retry(half, item)
        try:
            if item.handshake_type == HandshakeType.CLIENT_HELLO and self.offer is None:
                hello, template = self._client_hello(half, item)
                self._hold_hello(item, hello)
                if template is None:
                    self._hold(NUMBER_BYTES * len(hello.cipher_suites or ()))
                self.offer = Offer(item, hello, half.segments(item.start, item.end), template)
            elif item.handshake_type == HandshakeType.SERVER_HELLO and self.answer is None:
                self._server_hello(item, *self._formed(half, item, SERVER_HELLOS, ServerHello.read))
            elif item.handshake_type == HandshakeType.HELLO_RETRY_REQUEST and self.retry is None:
                self._retry(item, self._read(half, item, HelloRetryRequest.read))
        except WireError as error:
            _complain(error, half, item)
        self._name_client()

    def _count_retry(self, half: Half, item: Item) -> None:
        """Count a HelloRetryRequest; there may be one, before the ServerHello (RFC 8446 section 4.1.4)."""
        if self.answer is not None:
            half.trouble("malformed_message", "a HelloRetryRequest behind the ServerHello", item.frame, item.start)
            return
        self.retries += 1
        if self.retries > 1:
            detail = "another HelloRetryRequest, of which a handshake may have one"
            half.trouble("malformed_message", detail, item.frame, item.start)

    def _hold_hello(self, item: Item, hello: ClientHello | ServerHello) -> None:
        """Count a hello that was read, and its bytes, which stay even if its message was not kept."""
        self._hold(len(item.body) + PART_BYTES * len(hello.extensions or ()))

    def _name_client(self) -> None:
        answer = self.answer or self.retry
        if self.offer is not None:
            self.client = self.offer.item.sender
        elif answer is not None:
            self.client = 1 - answer.item.sender

    def _client_hello(self, half: Half, item: Item) -> tuple[ClientHello, HelloTemplate[ClientHello] | None]:
        try:
            return self._formed(half, item, CLIENT_HELLOS, ClientHello.read)
        except WireError:
            return self._read(half, item, ClientHello.read_beginning), None

    def _server_hello(self, item: Item, hello: ServerHello, template: HelloTemplate[ServerHello] | None) -> None:
        if not hello.is_hello_retry_request:
            self._hold_hello(item, hello)
            self.answer = Answer(item, hello, template)
            self.version = self._selected(item, hello)
            self.tls13 = self.version is not None and is_tls13(self.version)
            self.alert_size = sizes(hello.cipher_suite).alert if self.tls13 else None
        elif self.retry is None:
            self._retry(item, hello)

    def _retry(self, item: Item, hello: ServerHello | HelloRetryRequest) -> None:
        self.retry, self.tls13 = RetryRequest(item, hello), True
        self.version = self._selected(item, hello)

    def _selected(self, item: Item, hello: ServerHello | HelloRetryRequest) -> int | None:
        """Tell the version that a server chose; None where bytes are missing that may say TLS 1.3."""
        if item.whole or not isinstance(hello, ServerHello) or not lacks_version(hello):
            return selected_version(hello)
        older = self.offer is not None and self.offer.item.whole and not offers_tls13(self.offer.hello)
        return selected_version(hello) if older else None

    def _formed(
        self, half: Half, item: Item, cache: HelloCache[Hello], read: Callable[[Reader], Hello]
    ) -> tuple[Hello, HelloTemplate[Hello] | None]:
        """Read a hello through the cache, and add the template of one without error."""
        template = cache.find(item.body)
        if template is not None:
            return template.fill(item.body), template
        hello, flaw = decode_partially(read, item.body)
        if flaw is None:
            return hello, cache.learn(item.body, hello)
        _complain(flaw, half, item)
        return hello, None

    def _read(self, half: Half, item: Item, read: Callable[[Reader], T]) -> T:
        """Read a message; what can be read of one that is malformed counts, and the rest is a trouble."""
        value, flaw = decode_partially(read, item.body)
        if flaw is not None:
            _complain(flaw, half, item)
        return value

    def _ssl2(self, sender: int, half: Half, record: Record, frame: int, time: int) -> None:
        """Read a hello of SSL 2.0; what follows a SERVER-HELLO is of SSL 2.0 too."""
        body = record.fragment or b""
        kind = HandshakeType.CLIENT_HELLO if body[0] == 1 else HandshakeType.SERVER_HELLO
        end = record.start + 2 + record.length
        item = Item(sender, SSL2, kind, record.length, body, frame, time, record.start, end, False)
        self._keep(item)
        try:
            if kind == HandshakeType.CLIENT_HELLO and self.offer is None:
                self.offer = Offer(
                    item, self._read(half, item, Ssl2ClientHello.read), half.segments(item.start, item.end)
                )
            elif kind == HandshakeType.SERVER_HELLO and self.answer is None:
                answer = self._read(half, item, Ssl2ServerHello.read)
                self.answer, self.version = Answer(item, answer), answer.server_version
        except WireError as error:
            _complain(error, half, item)
        self._name_client()


def _end(record: Record) -> int:
    """The stream offset behind a record."""
    return record.start + HEADER_SIZE + record.length


def _complain_of_alert(begun: BegunAlert, half: Half) -> None:
    """Note an alert of which there is only the level."""
    if half.is_whole(begun.end) and half.fin is not None and half.assembler.offset(half.fin.end) == begun.end:
        half.trouble("malformed_message", "an alert ends after its first byte", begun.frame, begun.start)
    else:
        half.trouble("gap", "an alert has bytes missing", begun.frame, begun.start)


def _complain(flaw: WireError, half: Half, item: Item) -> None:
    """Note what is malformed; of a message that was cut the gap is told, and its sender did nothing wrong."""
    if item.whole:
        half.trouble("malformed_message", str(flaw), item.frame, item.start)
