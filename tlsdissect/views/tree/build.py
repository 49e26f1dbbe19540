"""Builds the tree of a connection: its records and messages as nodes, with a state for each side."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tlsdissect.handshake.dtls_messages import MessageBuffer
from tlsdissect.handshake.facts.timing import since
from tlsdissect.model.transcript import Places
from tlsdissect.tls import certificate, server_hello
from tlsdissect.tls.alert import Alert, Alert12, Ssl2ErrorMessage
from tlsdissect.tls.client_hello import Ssl2ClientHello
from tlsdissect.tls.codepoints import RAW_PUBLIC_KEY, ExtensionType, HandshakeType, Registry, is_tls13
from tlsdissect.tls.dtls import ACK, TLS12_CID
from tlsdissect.tls.dtls import HEADER_SIZE as DTLS_HEADER
from tlsdissect.tls.dtls import MESSAGE_HEADER as FRAGMENT_HEADER
from tlsdissect.tls.handshake import Decoder, decoder
from tlsdissect.tls.headers import (
    CidRecordHeader,
    DtlsRecordHeader,
    FragmentHeader,
    HandshakeHeader,
    RecordHeader,
    Ssl2RecordHeader,
    UnifiedHeader,
)
from tlsdissect.tls.key_exchange import key_exchange
from tlsdissect.tls.messages import Ack, ChangeCipherSpec, Heartbeat
from tlsdissect.tls.record import (
    ALERT,
    ALERT_SIZE,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_SIZE,
    HEARTBEAT,
    SSL2,
)
from tlsdissect.tls.remarks import reference
from tlsdissect.tls.survey import survey
from tlsdissect.tls.wire import Reader, WireError
from tlsdissect.views.tree.fields import Fields
from tlsdissect.views.tree.layouts import built
from tlsdissect.views.tree.model import OPENED, MappedBytes, Node, OpenedBytes, TreeRecord, opened_by_start

if TYPE_CHECKING:
    from tlsdissect.model.connection import Side
    from tlsdissect.model.transcript import OpenedMessage, Transcript, WireRecord
    from tlsdissect.tls.layout import WireStruct
    from tlsdissect.views.tree.layouts import Lay

MESSAGE_HEADER = 4
_UNENCRYPTED = re.compile("_WITH_NULL_([A-Z0-9]+)$")
_MAC_SIZES = {"MD5": 16, "SHA": 20, "SHA256": 32, "SHA384": 48, "NULL": None}
_MAC = "RFC 5246 section 6.2.3.1"
_TLS12 = 0x0303
_RAW_PUBLIC_KEY = bytes([RAW_PUBLIC_KEY])
"""The certificate type extension, in the form that a server sends."""
_PLAIN: dict[int, tuple[str, type[WireStruct], int | None]] = {
    CHANGE_CIPHER_SPEC: ("change_cipher_spec", ChangeCipherSpec, 1),
    HEARTBEAT: ("heartbeat", Heartbeat, None),
    ACK: ("ack", Ack, None),
}
"""Decoders of records without handshake messages: name, decoder, and the size of one item if a record may contain
several."""
_SSL2: dict[int, tuple[str, type[WireStruct]]] = {
    0: ("error", Ssl2ErrorMessage),
    1: ("client_hello", Ssl2ClientHello),
    4: ("server_hello", server_hello.Ssl2ServerHello),
}
MESSAGE_TYPES: frozenset[str] = frozenset([
    *[Registry.HANDSHAKE_TYPES.names[number] for number in range(256)],
    *["alert", *[plain[0] for plain in _PLAIN.values()]],
    *[old[0] for old in _SSL2.values()],
    *["hello_retry_request", "encrypted"],
])  # fmt: skip
"""The names of messages in trees."""


class _PartialMessage(NamedTuple):
    """A handshake message or an alert that is not complete yet."""

    record: int
    """The number of the record in which it began."""
    mapped: MappedBytes


class _FragmentedMessage:
    """A handshake message of DTLS, whose fragments may come in any order."""

    def __init__(self, record: int, header: bytes, start: int) -> None:
        self.record = record
        """The number of the record in which it began."""
        self.header = (start, header)
        """The header of its first fragment, and the stream offset of that."""
        self.buffer = MessageBuffer(start)
        self.runs: list[tuple[int, int, bytes]] = []
        """Parts of the body: their place in it, their stream offset, and their bytes."""
        self.built = False

    @property
    def length(self) -> int:
        """The bytes of the whole body."""
        return int.from_bytes(self.header[1][1:4], "big")


class _Sender:
    """The state of one side while its records are decoded."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.begun: _PartialMessage | None = None
        self.alert: _PartialMessage | None = None
        """An alert whose second byte is in the next record."""
        self.messages: dict[tuple[int, int, int], _FragmentedMessage] = {}
        """The messages of DTLS by their number, type and length."""
        self.changed = False
        """Whether it has sent a ChangeCipherSpec."""
        self.mac: int | None = None
        """Size of the MAC at the end of its records, if they are authenticated but not encrypted; otherwise None."""
        self.sealed = 0
        """Number of encrypted handshake records so far."""

    def protects(self, record: WireRecord) -> bool:
        """Whether the content of a record is protected by the negotiated keys."""
        kind = record.content_type
        # A flight of DTLS that is sent again is not protected: its epoch is 0.
        is_protected = self.mac is not None and kind in (ALERT, HANDSHAKE) and record.header[3:5] != b"\0\0"
        if record.encrypted or kind == APPLICATION_DATA or is_protected:
            return True
        # After a side's first, a ChangeCipherSpec is protected and longer than one byte: RFC 5246 section 7.1.
        return self.changed and (kind == HEARTBEAT or (kind == CHANGE_CIPHER_SPEC and record.length != 1))


class Builder:
    """Builds the nodes of the records, one after the other."""

    def __init__(self, transcript: Transcript, lay: Lay = built) -> None:
        self._transcript = transcript
        self._lay = lay
        self._senders = {side: _Sender(Places(transcript, side)) for side in ("client", "server")}
        self._raw_keys: set[Side] = set()
        """The sides that send a raw public key instead of certificates."""
        self._agree(transcript.cipher_suite)
        self._opened = opened_by_start(transcript)
        self._inside: list[list[Node]] = []
        """The child nodes of each record, without its header."""

    def records(self, hello: int | None) -> list[TreeRecord]:
        """Build all records; `hello` is the frame of the ClientHello, at which time starts."""
        records = self._transcript.records
        heads = []
        for number, record in enumerate(records):
            self._inside.append([])
            heads.append(self._head(record))
            self._fill(number, record)
        for speaker in self._senders.values():
            for unfinished in speaker.messages.values():
                if not unfinished.built:
                    self._joined(unfinished, "the rest of the message is not in the capture")
            if speaker.begun is not None:
                self._message(speaker, speaker.begun, "the rest of the message is not in the capture")
            self._alert(speaker)
        zero = next((record for record in records if record.frame == hello), records[0] if records else None)
        return [
            TreeRecord(
                record.sender, record.frame, since(zero, record.frame, record.time), self._record(record, head, inside)
            )
            for record, head, inside in zip(records, heads, self._inside, strict=True)
        ]

    def _record(self, record: WireRecord, head: tuple[Node, ...], inside: list[Node]) -> Node:
        spans = self._senders[record.sender].places.spans(record.start, record.end, record.frame)
        name = "SSL 2.0 record" if record.content_type == SSL2 else "record"
        sealed = any(node.name == "encrypted" for node in inside)
        what = "encrypted" if sealed else Registry.CONTENT_TYPES.names[record.content_type]
        meaning = None if record.content_type == SSL2 else what
        problem = None if record.whole else "the capture lacks bytes of it"
        return Node(name, None, meaning, None, _cited(record), spans, problem, (*head, *inside))

    def _head(self, record: WireRecord) -> tuple[Node, ...]:
        """Build the nodes of a record's header."""
        mapped = MappedBytes(self._senders[record.sender].places, record.frame)
        if record.content_type == SSL2:
            mapped.add(struct.pack(">H", record.length | 0x8000), record.start)
            return self._lay(mapped, Ssl2RecordHeader, lambda fields: fields.message(Ssl2RecordHeader, 0, len(mapped)))
        if record.header:
            mapped.add(record.header, record.start)
            kind, size = _datagram_header(record)
            if size < 0:
                return (Fields(mapped).leaf("unread", 0, len(mapped)),)
            return self._lay(mapped, (kind, size), lambda fields: fields.message(kind, 0, len(mapped), cid_length=size))
        mapped.add(struct.pack(">BHH", record.content_type, record.version, record.length), record.start)
        return self._lay(mapped, RecordHeader, lambda fields: fields.message(RecordHeader, 0, HEADER_SIZE))

    def _fill(self, number: int, record: WireRecord) -> None:
        """Build the nodes of a record's content."""
        speaker, kind = self._senders[record.sender], record.content_type
        protected = speaker.protects(record)
        mac = self._mac(record, speaker) if protected else None
        if kind == SSL2:
            self._inside[number].append(self._ssl2(record, speaker))
        elif protected and mac is None:
            self._inside[number].append(self._sealed(record, speaker))
        elif kind == ALERT:
            self._alerts(number, _without(mac, record), speaker)
        elif kind == HANDSHAKE and record.header:
            self._fragments(number, _without(mac, record), speaker)
        elif kind == HANDSHAKE:
            self._handshake(number, _without(mac, record), speaker)
        else:
            self._inside[number] += self._plain(_without(mac, record), speaker)
        if mac is not None:
            self._inside[number].append(mac)
        if kind == CHANGE_CIPHER_SPEC:
            speaker.changed, speaker.mac = True, self._mac_size

    def _mac(self, record: WireRecord, speaker: _Sender) -> Node | None:
        """Build the node of the MAC that follows the content in a suite without encryption; None if it is encrypted."""
        fragment, size = record.fragment or b"", speaker.mac
        if size is None or len(fragment) < max(size, record.length):
            return None
        mapped = MappedBytes(speaker.places, record.frame)
        mapped.add(fragment[-size:], record.end - size)
        return replace(Fields(mapped).leaf("MAC", 0, size), reference=_MAC)

    def _sealed(self, record: WireRecord, speaker: _Sender) -> Node:
        """Build the node of encrypted content."""
        meaning = f"{record.length} bytes"
        if record.content_type == HANDSHAKE:
            # The first handshake record after a ChangeCipherSpec: RFC 5246 section 7.4.9.
            meaning += ", the Finished by its place" if speaker.changed and not speaker.sealed else ""
            speaker.sealed += 1
        spans = speaker.places.spans(record.body, record.end, record.frame)
        opened = self._opened.get((record.sender, record.start), ())
        children = tuple([self._opened_message(record, speaker, message) for message in opened])
        return Node("encrypted", meaning=meaning, reference=_cited(record), bytes=spans, children=children)

    def _opened_message(self, record: WireRecord, speaker: _Sender, message: OpenedMessage) -> Node:
        """Build the node of a message that keys opened in a record; its bytes are in no frame."""
        mapped = OpenedBytes(speaker.places, message.data)
        if message.content_type == ALERT:
            return self._struct(mapped, "alert", self._alert_struct, OPENED)
        if message.content_type == ACK:
            return self._struct(mapped, "ack", Ack, OPENED)
        header = FRAGMENT_HEADER if record.header else MESSAGE_HEADER
        return self._message_node(record.sender, mapped, header, len(mapped), None, OPENED)

    def _plain(self, record: WireRecord, speaker: _Sender) -> list[Node]:
        """Build the nodes of a ChangeCipherSpec or a heartbeat."""
        data = record.fragment or b""
        name, content, size = _PLAIN.get(record.content_type, ("unread", None, None))
        if content is None:
            return [Fields(self._mapped(record, speaker)).leaf(name, 0, len(data))]
        step = size or len(data)
        return [
            self._struct(self._mapped(record, speaker, at, at + step), name, content)
            for at in range(0, len(data), step)
        ]

    def _alerts(self, number: int, record: WireRecord, speaker: _Sender) -> None:
        """Build the nodes of alerts: a record may contain several, or a part of one (RFC 5246 section 6.2.1)."""
        data, begun = record.fragment or b"", speaker.alert
        if begun is not None:
            before = self._transcript.records[begun.record]
            if record.start == before.end:
                self._inside[number].append(_continued(before, "an alert"))
                begun.mapped.add(data[:1], record.body)
                data = data[1:]
            self._alert(speaker)
        start = record.body + len(record.fragment or b"") - len(data)
        for at in range(0, len(data), ALERT_SIZE):
            speaker.alert = _PartialMessage(number, MappedBytes(speaker.places, record.frame))
            speaker.alert.mapped.add(data[at : at + ALERT_SIZE], start + at)
            if at + ALERT_SIZE <= len(data):
                self._alert(speaker)

    @property
    def _alert_struct(self) -> type[WireStruct]:
        version = self._transcript.version
        return Alert if version is None or is_tls13(version) else Alert12

    def _alert(self, speaker: _Sender) -> None:
        """Build the node of an alert, complete or as far as it was captured, as a child of the record it began in."""
        begun, speaker.alert = speaker.alert, None
        if begun is not None:
            node = self._struct(begun.mapped, "alert", self._alert_struct)
            self._inside[begun.record].append(node)

    def _ssl2(self, record: WireRecord, speaker: _Sender) -> Node:
        mapped = self._mapped(record, speaker)
        name, content = _SSL2.get(mapped.data[0] if len(mapped) else -1, ("message", None))
        return self._struct(mapped, name, content) if content else Fields(mapped).leaf(name, 0, len(mapped))

    def _mapped(self, record: WireRecord, speaker: _Sender, start: int = 0, end: int | None = None) -> MappedBytes:
        """Return the content of a record, or a part of it."""
        mapped = MappedBytes(speaker.places, record.frame)
        mapped.add((record.fragment or b"")[start:end], record.body + start)
        return mapped

    def _struct(self, mapped: MappedBytes, name: str, content: type[WireStruct], meaning: str | None = None) -> Node:
        def build(fields: Fields) -> tuple[Node]:
            size = len(mapped)
            children = fields.message(content, 0, size)
            cited = children[0].reference if children else None
            return (Node(name, None, meaning, None, cited, fields.spans(0, size), None, children),)

        (node,) = self._lay(mapped, (name, content, meaning), build)
        return node

    def _handshake(self, number: int, record: WireRecord, speaker: _Sender) -> None:
        """Build the messages that a record completes, as children of the record in which they began."""
        fragment = record.fragment or b""
        at = 0
        while at < len(fragment):
            begun = speaker.begun
            if begun is None:
                begun = speaker.begun = _PartialMessage(number, MappedBytes(speaker.places, record.frame))
            part = fragment[at : at + _wanted(begun.mapped) - len(begun.mapped)]
            if begun.record != number and not any(node.name == "continued" for node in self._inside[number]):
                self._inside[number].append(_continued(self._transcript.records[begun.record]))
            begun.mapped.add(part, record.body + at)
            at += len(part)
            if len(begun.mapped) == _wanted(begun.mapped):
                self._message(speaker, begun, None)
        if not record.whole and speaker.begun is not None:
            self._message(speaker, speaker.begun, "the capture lacks bytes of the message")

    def _fragments(self, number: int, record: WireRecord, speaker: _Sender) -> None:
        """Build the nodes of a handshake record of DTLS: the messages that it begins, and fragments of others."""
        mapped = self._mapped(record, speaker)
        fields, data, at = Fields(mapped), mapped.data, 0
        while at + FRAGMENT_HEADER <= len(data):
            body = at + FRAGMENT_HEADER
            offset, size = int.from_bytes(data[at + 6 : at + 9], "big"), int.from_bytes(data[at + 9 : body], "big")
            key = int.from_bytes(data[at + 4 : at + 6], "big"), data[at], int.from_bytes(data[at + 1 : at + 4], "big")
            if offset + size > key[2] or body + size > record.length:
                break
            part = data[body : body + size]
            known = speaker.messages.get(key)
            message = known or _FragmentedMessage(number, data[at:body], record.body + at)
            speaker.messages[key] = message
            new = message.buffer.add(offset, part)
            message.runs += [
                (low, record.body + body + low - offset, part[low - offset : high - offset]) for low, high in new
            ]
            if known is not None:
                self._inside[number].append(self._fragment(fields, known, (at, body, body + len(part)), offset, new))
            if not message.built and message.buffer.received == message.length:
                self._joined(message, None)
            at = body + len(part)
        if at < len(data):
            self._inside[number].append(fields.leaf("unread", at, len(data)))

    def _fragment(
        self,
        fields: Fields,
        message: _FragmentedMessage,
        place: tuple[int, int, int],
        offset: int,
        new: list[tuple[int, int]],
    ) -> Node:
        """Build the node of a fragment that does not begin its message.

        `place` is where its header, its body and its end lie in the record. The bytes that are `new` are in the node of
        the message; all others are a child here.
        """
        start, body, end = place
        children = [*fields.message(FragmentHeader, start, body)]
        at = offset
        for low, high in [*new, (offset + end - body,) * 2]:
            if at < low:
                children.append(fields.leaf("repeated", body + at - offset, body + low - offset))
            at = high
        spans = tuple([span for child in children for span in child.bytes])
        kind = Registry.HANDSHAKE_TYPES.names[message.header[1][0]]
        frame = self._transcript.records[message.record].frame
        meaning = f"{kind}, which began in frame {frame}"
        return Node("fragment", meaning=meaning, reference=_FRAGMENT, bytes=spans, children=tuple(children))

    def _joined(self, message: _FragmentedMessage, problem: str | None) -> None:
        """Build the node of a message of DTLS, complete or as far as it was captured."""
        message.built = True
        record = self._transcript.records[message.record]
        mapped = MappedBytes(self._senders[record.sender].places, record.frame)
        mapped.add(message.header[1], message.header[0])
        beginning, behind = FRAGMENT_HEADER, False
        for place, start, data in sorted(message.runs):
            behind = behind or place > len(mapped) - FRAGMENT_HEADER
            mapped.add(data, start)
            beginning += 0 if behind else len(data)
        self._add_message(message.record, mapped, FRAGMENT_HEADER, beginning, problem)

    def _message(self, speaker: _Sender, begun: _PartialMessage, problem: str | None) -> None:
        """Build the node of a handshake message, complete or as far as it was captured."""
        speaker.begun = None
        self._add_message(begun.record, begun.mapped, MESSAGE_HEADER, len(begun.mapped), problem)

    def _add_message(self, record: int, mapped: MappedBytes, start: int, end: int, problem: str | None) -> None:
        """Add the node of a message to the record in which it began."""
        side: Side = self._transcript.records[record].sender
        self._inside[record].append(self._message_node(side, mapped, start, end, problem))

    def _message_node(
        self, side: Side, mapped: MappedBytes, start: int, end: int, problem: str | None, meaning: str | None = None
    ) -> Node:
        """Build the node of a message whose body begins at `start`; what comes after `end` follows missing bytes."""
        data = mapped.data
        datagram, kind = start == FRAGMENT_HEADER, data[0]

        def build(fields: Fields) -> tuple[Node]:
            header = fields.message(FragmentHeader if datagram else HandshakeHeader, 0, min(start, len(data)))
            decoded = self._decoder(side, kind, datagram=datagram)
            body: tuple[Node, ...] = ()
            if decoded is not None:
                body = fields.message(decoded.struct, start, end, **decoded.given) if end >= start else ()
            elif end > start:
                body = (fields.leaf("body", start, end),)
            if end < len(data):
                body = (*body, fields.leaf("unread", end, len(data)))
            retry = kind == HandshakeType.SERVER_HELLO and data[start + 2 : start + 34] == server_hello.RETRY_RANDOM
            name = "hello_retry_request" if retry else Registry.HANDSHAKE_TYPES.names[kind]
            # A message may have no fields, such as the ServerHelloDone.
            cited = _FRAGMENT if datagram else _MESSAGE
            cited = body[0].reference if body else cited if decoded is None else reference(decoded.struct)
            spans = fields.spans(0, len(data))
            return (Node(name, None, meaning, None, cited, spans, problem, (*header, *body)),)

        agreed = self._transcript.version, self._exchange, side in self._raw_keys
        (node,) = self._lay(mapped, (agreed, start, end, problem, meaning), build)
        if kind == HandshakeType.SERVER_HELLO:
            self._note_choice(data[start:end])
        return node

    def _decoder(self, side: Side, kind: int, *, datagram: bool) -> Decoder | None:
        version = self._transcript.version
        if kind == HandshakeType.CERTIFICATE and side in self._raw_keys:
            return Decoder(certificate.RawPublicKey)
        return decoder(kind, _TLS12 if version is None else version, self._exchange, datagram=datagram)

    def _agree(self, suite: int | None) -> None:
        """Remember the key exchange of a suite, and whether it authenticates without encryption."""
        name = "" if suite is None else Registry.CIPHER_SUITES.names[suite]
        self._exchange = key_exchange(name)
        unencrypted = _UNENCRYPTED.search(name)
        self._mac_size = _MAC_SIZES[unencrypted[1]] if unencrypted else None

    def _note_choice(self, body: bytes) -> None:
        """Remember the server's cipher suite, which a renegotiation may change."""
        try:
            hello: server_hello.ServerHello | None = Reader(body).whole(server_hello.ServerHello.read)
        except WireError:
            hello = survey(server_hello.ServerHello, body).value
        if hello is not None and not hello.is_hello_retry_request:
            self._agree(hello.cipher_suite)
            self._note_raw_keys(hello)

    def _note_raw_keys(self, hello: server_hello.ServerHello) -> None:
        """Remember whether raw public keys were negotiated (RFC 7250 section 4.2)."""
        for extension in hello.extensions or ():
            if extension.extension_data == _RAW_PUBLIC_KEY:
                if extension.extension_type == ExtensionType.SERVER_CERTIFICATE_TYPE:
                    self._raw_keys.add("server")
                elif extension.extension_type == ExtensionType.CLIENT_CERTIFICATE_TYPE:
                    self._raw_keys.add("client")


def _wanted(mapped: MappedBytes) -> int:
    """Return the length of a handshake message; the length of its header until that is complete."""
    header = mapped.beginning(MESSAGE_HEADER)
    if len(header) < MESSAGE_HEADER:
        return MESSAGE_HEADER
    return MESSAGE_HEADER + int.from_bytes(header[1:], "big")


def _continued(record: WireRecord, what: str = "a message") -> Node:
    return Node("continued", meaning=f"{what} that began in frame {record.frame}")


def _without(mac: Node | None, record: WireRecord) -> WireRecord:
    """Return a record without the MAC at its end."""
    if mac is None or record.fragment is None:
        return record
    return replace(record, fragment=record.fragment[: -sum(span.length for span in mac.bytes)])


def _datagram_header(record: WireRecord) -> tuple[type[WireStruct], int]:
    """Return the struct of a record header of DTLS, and the length of the connection ID in it.

    The length is negative if it is unknown, so that the header was not read to its end.
    """
    header = record.header
    if record.version == 0:
        flags = header[0]
        return UnifiedHeader, len(header) - 2 - (flags >> 3 & 1) - 2 * (flags >> 2 & 1)
    kind = CidRecordHeader if record.content_type == TLS12_CID else DtlsRecordHeader
    return kind, len(header) - DTLS_HEADER


def _cited(record: WireRecord) -> str | None:
    """Return the reference of a record."""
    return reference(_datagram_header(record)[0]) if record.header else _RECORD


_RECORD = reference(RecordHeader)
_FRAGMENT = reference(FragmentHeader)
_MESSAGE = reference(HandshakeHeader)
