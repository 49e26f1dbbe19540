"""What both sides said: records become messages, hellos are read, in the order in which they were seen."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from tlsdissect.tls.client_hello import ClientHello, Ssl2ClientHello
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.record import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, SSL2
from tlsdissect.tls.server_hello import HelloRetryRequest, ServerHello, Ssl2ServerHello
from tlsdissect.tls.wire import Reader, WireError, salvage
from tlsdissect.transcript.transcript import Answer, Item, Moment, Offer, Retry
from tlsdissect.transcript.versions import is_tls13, offers_tls13, selected_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.transcript.half import Half, Piece

T = TypeVar("T")

MAX_PROTECTED = 256
"""Protected records of TLS 1.3 that are noted of each side."""
MAX_ITEMS = 4096
"""Messages of one conversation that are noted."""


class Script:
    """Messages in order, and the hellos among them."""

    __slots__ = ("answer", "first_data", "items", "limited", "offer", "protected", "retry", "sealed", "version")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.offer: Offer | None = None
        """The first ClientHello."""
        self.answer: Answer | None = None
        """The first ServerHello that is no HelloRetryRequest."""
        self.retry: Retry | None = None
        self.version: int | None = None
        """What the server chose."""
        self.first_data: list[Moment | None] = [None, None]
        """The packets in which each side's first record of application data begins."""
        self.protected = [0, 0]
        """Records of application data that each side began while TLS 1.3 was possible."""
        self.sealed = [False, False]
        """Whether each side sent a handshake record under encryption: its Finished."""
        self.limited = False
        """More was said than is noted."""

    @property
    def client(self) -> int | None:
        """Who sends the ClientHello; None: no hello was seen, this is no TLS connection."""
        if self.offer is not None:
            return self.offer.item.sender
        answer = self.answer or self.retry
        return None if answer is None else 1 - answer.item.sender

    @property
    def tls13(self) -> bool:
        """Whether the server chose TLS 1.3, one of its drafts or experiments."""
        return self.retry is not None if self.version is None else is_tls13(self.version)

    def sort(self) -> None:
        """Put the messages in the order of the frames that completed them."""
        self.items.sort(key=attrgetter("frame"))

    def take(self, sender: int, half: Half, piece: Piece, acknowledgement: int | None) -> None:
        """Note what a record says; `acknowledgement` is that of the packet which brought it."""
        record = piece.record
        half.last = record
        if record.content_type == APPLICATION_DATA:
            self._application_data(sender, piece, acknowledgement)
        elif record.content_type == HANDSHAKE:
            self._handshake(sender, half, piece)
        elif record.content_type == ALERT:
            self._alerts(sender, half, piece)
        elif record.content_type == CHANGE_CIPHER_SPEC:
            half.changed += 1
            self._note(sender, piece, record.length)
        elif record.content_type == SSL2:
            self._ssl2(sender, half, piece)

    def _note(self, sender: int, piece: Piece, size: int, body: bytes = b"", *, encrypted: bool = False) -> None:
        record = piece.record
        end = record.start + 5 + record.length
        self._keep(
            Item(sender, record.content_type, None, size, body, piece.frame, piece.time, record.start, end, encrypted)
        )

    def _keep(self, item: Item) -> None:
        if len(self.items) < MAX_ITEMS:
            self.items.append(item)
        else:
            self.limited = True

    def _application_data(self, sender: int, piece: Piece, acknowledgement: int | None) -> None:
        if self.first_data[sender] is None:
            self.first_data[sender] = Moment(piece.frame, piece.time, acknowledgement)
        if self.version is not None and not self.tls13:
            return
        self.protected[sender] += 1
        if self.protected[sender] <= MAX_PROTECTED:
            self._note(sender, piece, piece.record.length, encrypted=True)

    def _alerts(self, sender: int, half: Half, piece: Piece) -> None:
        record = piece.record
        body = record.fragment or b""
        if (half.changed and not self.tls13) or len(body) % 2 or len(body) > 8 or not body:
            self._note(sender, piece, record.length, encrypted=True)
            return
        for at in range(0, len(body), 2):
            self._note(sender, piece, record.length, body[at : at + 2])

    def _handshake(self, sender: int, half: Half, piece: Piece) -> None:
        record = piece.record
        if record.fragment is None:
            if half.joiner.drop() or not half.changed:
                half.trouble("gap", "a handshake message has bytes missing", piece.frame, record.start)
            return
        if half.changed and not self._is_clear(half, record.fragment):
            self.sealed[sender] = True
            self._note(sender, piece, record.length, encrypted=True)
            return
        end = record.start + 5 + record.length
        for message in half.joiner.feed(record.fragment, record.start):
            kind, body, start = message
            item = Item(sender, HANDSHAKE, kind, len(body), body, piece.frame, piece.time, start, end, False)
            self._keep(item)
            self._hello(half, item)
        if half.joiner.malformed is not None:
            half.trouble(
                "malformed_message", "a handshake message states too great a length", piece.frame, record.start
            )
            half.joiner.malformed = None

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
        try:
            if item.handshake_type == HandshakeType.CLIENT_HELLO and self.offer is None:
                self.offer = Offer(item, self._client_hello(half, item))
            elif item.handshake_type == HandshakeType.SERVER_HELLO and self.answer is None:
                self._server_hello(item, self._read(half, item, ServerHello.read))
            elif item.handshake_type == HandshakeType.HELLO_RETRY_REQUEST and self.retry is None:
                self.retry = Retry(item, self._read(half, item, HelloRetryRequest.read))
        except WireError as error:
            half.trouble("malformed_message", str(error), item.frame, item.start)

    def _client_hello(self, half: Half, item: Item) -> ClientHello:
        try:
            return self._read(half, item, ClientHello.read)
        except WireError:
            return self._read(half, item, ClientHello.read_beginning)

    def _server_hello(self, item: Item, hello: ServerHello) -> None:
        if not hello.is_hello_retry_request:
            self.answer = Answer(item, hello)
            self.version = selected_version(hello)
        elif self.retry is None:
            self.retry = Retry(item, hello)

    def _read(self, half: Half, item: Item, read: Callable[[Reader], T]) -> T:
        """Read a message; what can be read of one that is malformed counts, and the rest is a trouble."""
        value, flaw = salvage(read, item.body)
        if flaw is not None:
            half.trouble("malformed_message", str(flaw), item.frame, item.start)
        return value

    def _ssl2(self, sender: int, half: Half, piece: Piece) -> None:
        """Read a hello of SSL 2.0; what follows a SERVER-HELLO is of SSL 2.0 too, and nobody reads it."""
        record = piece.record
        body = record.fragment or b""
        kind = HandshakeType.CLIENT_HELLO if body[0] == 1 else HandshakeType.SERVER_HELLO
        end = record.start + 2 + record.length
        item = Item(
            sender, SSL2, kind, record.length, body, piece.frame, piece.time, record.start, end, encrypted=False
        )
        self._keep(item)
        try:
            if kind == HandshakeType.CLIENT_HELLO and self.offer is None:
                self.offer = Offer(item, self._read(half, item, Ssl2ClientHello.read))
            elif kind == HandshakeType.SERVER_HELLO and self.answer is None:
                answer = self._read(half, item, Ssl2ServerHello.read)
                self.answer, self.version = Answer(item, answer), answer.server_version
        except WireError as error:
            half.trouble("malformed_message", str(error), item.frame, item.start)
