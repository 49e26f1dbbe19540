# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Opens the protected records of a handshake with the secrets of a key log.

Only handshake messages and alerts are decrypted. For application data in TLS 1.3, only the content type is decrypted:
it is the last byte that is not zero (RFC 8446 section 5.2), and only there the key stream is applied.

Each side of TLS 1.3 passes through epochs: early data, handshake, application data and its updates. A record that does
not open in the present epoch is tried as the first record of each later epoch, so that missing secrets or records hide
only what they protect; the tag shows whether the guess is right.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.handshake import key_schedule as schedule
from tlsdissect.handshake.events import (
    HandshakeEvent,
    client_random,
    extension_data,
    new_event,
    premaster_key,
    selected_version,
)
from tlsdissect.handshake.key_logs import RSA
from tlsdissect.handshake.key_schedule import traffic_keys
from tlsdissect.handshake.protection import (
    CBC_MODE,
    POLY1305,
    STREAM,
    Aead,
    Rc4,
    Suite,
    nonce_of,
    open_cbc,
    suite,
    without_mac,
)
from tlsdissect.tls.codepoints import ExtensionType, HandshakeType, Registry
from tlsdissect.tls.dtls import CID_AT, TLS12_CID
from tlsdissect.tls.record import (
    ALERT,
    ALERT_SIZE,
    APPLICATION_DATA,
    HANDSHAKE,
    HEADER_SIZE,
    SSL2,
    Message,
    MessageJoiner,
)
from tlsdissect.tls.server_hello import ServerHello
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from tlsdissect.handshake.events import SealedRecord
    from tlsdissect.handshake.key_logs import CaptureKeys, Origin, Secret, Secrets
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.quic_keys import OpenedPacket
    from tlsdissect.model.connection import DataCopy

RC4_BYTES = 16 << 20
"""Maximum bytes of application data whose key stream is computed and discarded to open what follows it."""
_EXPLICIT_NONCE = 8
"""Bytes of the nonce in each record of AES-GCM and AES-CCM before TLS 1.3 (RFC 5288 section 3)."""
_MASTER_SECRET = "CLIENT_RANDOM"  # noqa: S105  # a label
_TLS10, _TLS12 = 0x0301, 0x0303
_TLS_OF_DTLS = {0xFEFF: 0x0302, 0xFEFD: _TLS12}
"""The version of TLS on which each of DTLS is based (RFC 4347, RFC 6347)."""
_KEY_UPDATE, _FINISHED = HandshakeType.KEY_UPDATE, HandshakeType.FINISHED
_END_OF_EARLY_DATA = HandshakeType.END_OF_EARLY_DATA
_NEGOTIATING = (HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO, HandshakeType.CLIENT_KEY_EXCHANGE)
"""The messages with what the keys of TLS 1.2 and older are derived from."""
_header13 = Struct(">BHH").pack
"""Makes the header of a record, which is the additional data of TLS 1.3 (RFC 8446 section 5.2)."""
_FIRST_FINAL_LABELS, _FIRST_AUTHENTICATED_HEADER = 0x7F14, 0x7F19
"""Drafts 20 and 25 of TLS 1.3: the first with the labels of RFC 8446, and with the header as additional data."""

# C integers, by the .pxd.
_ALERT, _APPLICATION_DATA, _HANDSHAKE, _HEADER_SIZE, _IV_SIZE = (
    ALERT,
    APPLICATION_DATA,
    HANDSHAKE,
    HEADER_SIZE,
    schedule.IV_SIZE,
)


class Wrong(NamedTuple):
    """What is wrong in something that was opened, or missing."""

    code: str
    detail: str
    sender: int
    frame: int
    start: int | None
    """Offset of the record or packet; None where none shows it."""
    copies: tuple[DataCopy, ...] | None = None

    @classmethod
    def of(cls, record: SealedRecord, code: str, detail: str, copies: tuple[DataCopy, ...] | None = None) -> Wrong:
        """Return what is wrong in a record or packet."""
        return cls(code, detail, record.sender, record.frame, record.start, copies)


@cython.cclass
class KeyedReader:
    """What readers of records and of packets have in common; see `opening.Reader`."""

    log: LoggedHandshake
    used: list[tuple[str, bytes, Origin]]
    wrong: list[Wrong]
    numbers: dict[HandshakeEvent, int]
    packets: dict[tuple[int, int], OpenedPacket]
    acks: list[tuple[int, int, bytes]]
    close: Any

    def __init__(self, log: LoggedHandshake) -> None:
        self.log = log
        self.packets = {}
        self.acks = []
        self.close = None
        self.used = []
        self.wrong = []
        self.numbers = {}

    def use(self, label: str, key: bytes, origin: Origin) -> None:
        """Note that a secret opened something."""
        if (label, key, origin) not in self.used:
            self.used.append((label, key, origin))

    def finish(self) -> None:
        """Report what is missing of the messages that were opened."""


def suite13(log: LoggedHandshake) -> Suite | None:
    """Return the suite that a server of TLS 1.3 selected; None if there is none, or it is one of older versions."""
    hello = log.server_hello
    chosen = None if hello is None else suite(Registry.CIPHER_SUITES.names[hello.cipher_suite or 0])
    return chosen if chosen is not None and chosen.is_aead else None


@cython.cclass
class RecordReader(KeyedReader):
    """Splits what is opened into messages and alerts."""

    _one: MessageJoiner
    _other: MessageJoiner
    _next: list[int]
    """Of each side, the number of the record after the latest one with messages."""

    def __init__(self, log: LoggedHandshake) -> None:
        KeyedReader.__init__(self, log)
        self._one = MessageJoiner()
        self._other = MessageJoiner()
        self._next = [0, 0]

    def read(self, record: SealedRecord) -> list[HandshakeEvent] | None:
        """Return the messages that a record completes, and its alerts; None if no secret opens it."""
        content = self.open(record)
        return None if content is None else self.events(record, *content)

    def open(self, record: SealedRecord) -> tuple[int, bytes] | None:
        """Return content type and content of a record."""
        raise NotImplementedError

    def events(self, record: SealedRecord, content_type: cython.longlong, content: bytes) -> list[HandshakeEvent]:
        """Return the messages that a record completes, or its alerts."""
        if content_type == _HANDSHAKE:
            messages = self.messages(record, content)
            for event in messages:
                self.follow(record, event)
            return messages
        if content_type != _ALERT:
            return []
        end = record.start + HEADER_SIZE + len(record.body)
        return [
            new_event(
                record.sender, ALERT, None, ALERT_SIZE, content[at : at + ALERT_SIZE], record.frame, record.time,
                record.start, end, False,
            )
            for at in range(0, len(content) - ALERT_SIZE + 1, ALERT_SIZE)
        ]  # fmt: skip

    def messages(self, record: SealedRecord, content: bytes) -> list[HandshakeEvent]:
        """Return the messages that the content of a record completes."""
        sender: cython.longlong = record.sender
        start: cython.longlong = record.start
        frame: cython.longlong = record.frame
        time: cython.longlong = record.time
        end: cython.longlong = start + _HEADER_SIZE + len(record.body)
        joiner: MessageJoiner = self._one if sender == 0 else self._other
        message: Message
        events: list[HandshakeEvent] = []
        if record.number != self._next[sender]:
            # Records between are missing, did not open, or have application data: no message continues after them.
            joiner.drop()
        self._next[sender] = record.number + 1
        for message in joiner.feed(content, start):
            body: bytes = message.body
            kind = message.handshake_type
            events.append(new_event(sender, _HANDSHAKE, kind, len(body), body, frame, time, message.start, end, False))
        return events

    def follow(self, record: SealedRecord, event: HandshakeEvent) -> None:
        """Change the keys as a message demands."""
        raise NotImplementedError


class _Form(NamedTuple):
    """How a version of TLS 1.3 derives keys and protects records."""

    prefix: bytes
    authenticates_header: bool

    @classmethod
    def of(cls, version: cython.longlong) -> _Form:
        """Return that of a version."""
        if version >> 8 != 0x7F:
            return _FINAL
        prefix = schedule.TLS13_DRAFT if version < _FIRST_FINAL_LABELS else schedule.TLS13
        return cls(prefix, version >= _FIRST_AUTHENTICATED_HEADER)


_FINAL = _Form(schedule.TLS13, True)
"""That of RFC 8446."""


@cython.cclass
class _Epoch:
    """The keys of one direction in one epoch of TLS 1.3."""

    label: str
    origin: Origin
    first: Any
    """The number of the first record of the epoch; None if that is not known."""
    is_handshake: cython.bint
    opens: cython.bint
    """Whether it opened a record."""
    noted: cython.bint
    """Whether that was noted."""
    _secret: Secret
    _suite: Suite
    _form: _Form
    _authenticates_header: cython.bint
    _aead: Aead | None
    """None until it is needed."""
    _iv: Any

    def __init__(self, label: str, secret: Secret, chosen: Suite, form: _Form, first: Any) -> None:
        self.label = label
        self.origin = secret.origin
        self.first = first
        self.is_handshake = "HANDSHAKE" in label
        self.opens = False
        self.noted = False
        self._secret = secret
        self._suite = chosen
        self._form = form
        self._authenticates_header = form.authenticates_header
        self._aead = None
        self._iv = 0

    @cython.cfunc
    def _key(self) -> Aead:
        """Return the AEAD, with the keys that follow from the secret."""
        if self._aead is None:
            chosen = self._suite
            keys = traffic_keys(self._secret.value, chosen.key_bytes, chosen.hash, self._form.prefix)
            self._aead = Aead(chosen, keys.key)
            self._iv = int.from_bytes(keys.iv, "big")
        return self._aead

    @cython.ccall
    def open(self, record: SealedRecord) -> Any:
        """Return content type and content of a record; of application data, the content is left out."""
        number: cython.longlong = record.number
        begin: cython.longlong = number if self.first is None else self.first
        kind: cython.longlong
        if number < begin:
            return None
        aead: Aead = self._key()
        body: bytes = record.body
        nonce: bytes = (self._iv ^ (number - begin)).to_bytes(_IV_SIZE, "big")
        if not self.is_handshake:
            kind = aead.last_nonzero(nonce, body)
            if kind == _APPLICATION_DATA:
                return None if self.first is None else (kind, b"")
            if kind != _ALERT and kind != _HANDSHAKE:
                return None
        header: bytes = b""
        if self._authenticates_header:
            header = _header13(record.content_type, record.version, len(body))
        content: bytes | None = aead.open(nonce, body, header)
        if content is None:
            return None
        size: cython.Py_ssize_t = len(content)
        while size > 0 and content[size - 1] == 0:
            size -= 1
        if size == 0:
            return None
        self.first = begin
        self.opens = True
        return content[size - 1], cut(content, 0, size - 1)

    def updated(self, first: cython.longlong) -> _Epoch:
        """Return the epoch after a KeyUpdate."""
        value = schedule.next_secret(self._secret.value, self._suite.hash, prefix=self._form.prefix)
        return _Epoch(self.label, self._secret._replace(value=value), self._suite, self._form, first)


@cython.cclass
class Reader13(RecordReader):
    """Opens the records of TLS 1.3."""

    _random: bytes
    _secrets: Secrets | None
    _client: list[_Epoch]
    _server: list[_Epoch]
    _at: list[int]
    """The present epoch of client and server."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys, random: bytes) -> None:
        """The secrets are found by the `random` of the ClientHello that the server answered."""
        RecordReader.__init__(self, log)
        self._random = random
        self._secrets = keys.find(random)
        self._client = []
        self._server = []
        self._at = [0, 0]
        chosen = suite13(log)
        if self._secrets is not None and chosen is not None:
            self._client = _begin(_OF_CLIENT, self._secrets, chosen, log)
            self._server = _begin(_OF_SERVER, self._secrets, chosen, log)

    def open(self, record: SealedRecord) -> tuple[int, bytes] | None:
        """Return content type and content of a record."""
        side: cython.longlong = record.sender ^ self.log.client
        epochs: list[_Epoch] = self._client if side == 0 else self._server
        at: cython.Py_ssize_t
        epoch: _Epoch
        for at in range(self._at[side], len(epochs)):
            epoch = epochs[at]
            found: tuple[int, bytes] | None = epoch.open(record)
            if found is not None:
                self._at[side] = at
                if epoch.opens and not epoch.noted:
                    epoch.noted = True
                    self.use(epoch.label, self._random, epoch.origin)
                return found
        return None

    def follow(self, record: SealedRecord, event: HandshakeEvent) -> None:
        """Begin the epoch that a message begins."""
        side: cython.longlong = record.sender ^ self.log.client
        epochs: list[_Epoch] = self._client if side == 0 else self._server
        at: cython.Py_ssize_t = self._at[side]
        kind = event.handshake_type
        epoch: _Epoch = epochs[at]
        if kind == _KEY_UPDATE:
            epochs.insert(at + 1, epoch.updated(record.number + 1))
            self._at[side] = at + 1
        elif kind == _END_OF_EARLY_DATA or (kind == _FINISHED and epoch.is_handshake):
            self._at[side] = at + 1
            if at + 1 < len(epochs):
                epoch = epochs[at + 1]
                epoch.first = record.number + 1


class _Labels(NamedTuple):
    """The labels of a side's secrets."""

    early: str
    handshake: str
    application: str
    """Without its number."""


_OF_CLIENT, _OF_SERVER = (
    _Labels(f"{side}_EARLY_TRAFFIC_SECRET", f"{side}_HANDSHAKE_TRAFFIC_SECRET", f"{side}_TRAFFIC_SECRET_")
    for side in ("CLIENT", "SERVER")
)


@cython.cfunc
def _begin(labels: _Labels, secrets: Secrets, chosen: Suite, log: LoggedHandshake) -> list[_Epoch]:
    """Return the epochs of a side for which there are secrets."""
    early: str = labels.early
    application: str = labels.application
    label: str
    begin: cython.Py_ssize_t = len(application)
    found = secrets.found
    size = chosen.hash_bytes
    form = _Form.of(log.version)
    # Without early data, the first protected record of a side is the first of the handshake.
    first: Any = 0
    numbers: list[int] = []
    for label, _ in found:
        if label == early:
            first = None
        elif label.startswith(application) and label[begin:].isdecimal():
            # OpenSSL gives all updates one label that ends with N; they follow from the first secret.
            numbers.append(int(label[begin:]))
    firsts: list[tuple[str, Any]] = [(early, 0), (labels.handshake, first)]
    firsts += [(f"{application}{number}", None) for number in sorted(set(numbers))]
    epochs: list[_Epoch] = []
    for label, first in firsts:
        secret = found.get((label, size))
        if secret is not None:
            epochs.append(_Epoch(label, secret, chosen, form, first))
    return epochs


class _Negotiated:
    """What the keys of TLS 1.2 and older are derived from; a renegotiation changes it."""

    def __init__(self) -> None:
        self.client_random = b""
        self.server_random = b""
        self.version = 0
        """That of TLS; for DTLS, that on which its version is based."""
        self.suite: Suite | None = None
        self.compresses = False
        self.encrypts_first = False
        """Whether the MAC is one of the ciphertext (RFC 7366)."""
        self.extended = False
        """Whether the master secret depends on all messages (RFC 7627)."""
        self.transcript = b""
        """The messages up to ClientKeyExchange."""
        self.rsa_key = b""
        """The beginning of the encrypted premaster secret."""

    def take(self, event: HandshakeEvent) -> None:
        """Take what a message says."""
        kind, body = event.handshake_type, event.body
        if kind is None or kind == HandshakeType.HELLO_REQUEST:
            return
        if kind == HandshakeType.CLIENT_HELLO:
            self.client_random, self.transcript, self.rsa_key = client_random(event), b"", b""
        if not self.rsa_key:
            header = b"" if event.content_type == SSL2 else bytes([kind]) + len(body).to_bytes(3, "big")
            self.transcript += header + body
        if kind == HandshakeType.CLIENT_KEY_EXCHANGE:
            self.rsa_key = premaster_key(event)
        elif kind == HandshakeType.SERVER_HELLO and event.content_type == HANDSHAKE:
            try:
                hello = ServerHello.read(Reader(body))
            except WireError:
                return
            version = selected_version(hello)
            self.server_random, self.version = hello.random, _TLS_OF_DTLS.get(version, version)
            self.suite = suite(Registry.CIPHER_SUITES.names[hello.cipher_suite])
            self.compresses = bool(hello.legacy_compression_method)
            self.encrypts_first = extension_data(hello.extensions, ExtensionType.ENCRYPT_THEN_MAC) is not None
            self.extended = extension_data(hello.extensions, ExtensionType.EXTENDED_MASTER_SECRET) is not None

    def expand(self, secret: bytes, label: bytes, seed: bytes, length: cython.longlong) -> bytes:
        """Return the output of the pseudorandom function."""
        hash_name = self.suite.hash if self.suite else "sha256"
        return schedule.prf(secret, label, seed, length, hash_name=hash_name, tls12=self.version >= _TLS12)

    def master_secret(self, premaster: bytes) -> bytes:
        """Return the master secret (RFC 5246 section 8.1, RFC 7627 section 4)."""
        label, seed = b"master secret", self.client_random + self.server_random
        if self.extended:
            label, seed = b"extended master secret", self._session_hash()
        return self.expand(premaster, label, seed, schedule.SECRET_SIZE)

    def _session_hash(self) -> bytes:
        if self.version >= _TLS12 and self.suite is not None:
            return hashlib.new(self.suite.hash, self.transcript).digest()
        return hashlib.md5(self.transcript).digest() + hashlib.sha1(self.transcript).digest()


class _Source(NamedTuple):
    """A master secret, and where it is from."""

    master: bytes
    label: str
    key: bytes
    origin: Origin


class _Keys12:
    """The keys of one direction in one epoch of TLS 1.2 and older."""

    def __init__(self, negotiated: _Negotiated, chosen: Suite, keys: schedule.DirectionKeys, source: _Source) -> None:
        self.source = source
        self._version = negotiated.version
        self._suite = chosen
        self._keys = keys
        self._encrypts_first = negotiated.encrypts_first and chosen.mode == CBC_MODE
        self._aead = Aead(chosen, keys.key) if chosen.is_aead else None
        self._stream = Rc4(keys.key) if chosen.mode == STREAM else None
        self._begin: Any = None
        """Stream offset of the first record of the epoch."""
        self._consumed = 0
        """Bytes for which key stream was taken."""

    def open(self, record: SealedRecord) -> bytes | None:
        """Return the content of a record."""
        if record.number == 0:
            self._begin = record.start
        header = _header12(record)
        if self._aead is not None:
            return self._open_aead(self._aead, header, record)
        if self._stream is not None:
            return self._open_stream(self._stream, header, record)
        return self._open_blocks(header, record)

    def last_nonzero(self, record: SealedRecord) -> int | None:
        """Return the last byte of a record that is not zero, without decrypting another one; None without an AEAD."""
        if self._aead is None:
            return None
        nonce, sealed = self._nonce(record)
        return self._aead.last_nonzero(nonce, sealed)

    def _nonce(self, record: SealedRecord) -> tuple[bytes, bytes]:
        """Return the nonce of a record, and what is encrypted with it."""
        if self._suite.mode == POLY1305:
            return nonce_of(self._keys.iv, record.number), record.body
        return self._keys.iv + record.body[:_EXPLICIT_NONCE].ljust(_EXPLICIT_NONCE, b"\0"), record.body[
            _EXPLICIT_NONCE:
        ]

    def _open_aead(self, aead: Aead, header: bytes, record: SealedRecord) -> bytes | None:
        nonce, sealed = self._nonce(record)
        size = len(sealed) - self._suite.tag
        return None if size < 0 else aead.open(nonce, sealed, header + size.to_bytes(2, "big"))

    def _open_stream(self, stream: Rc4, header: bytes, record: SealedRecord) -> bytes | None:
        if self._begin is None:
            return None
        before = record.start - self._begin - HEADER_SIZE * record.number
        skipped = before - self._consumed
        if not 0 <= skipped <= RC4_BYTES:
            return None
        self._consumed = before + len(record.body)
        stream.open(bytes(skipped))
        return without_mac(self._suite, self._keys.mac_key, header, stream.open(record.body))

    def _open_blocks(self, header: bytes, record: SealedRecord) -> bytes | None:
        body, block, size = record.body, self._suite.fixed_iv, self._suite.mac_bytes
        if self._encrypts_first:
            signed = without_mac(self._suite, self._keys.mac_key, header, body)
            if signed is None:
                return None
            body = signed
        if self._version > _TLS10:
            iv, body = body[:block], body[block:]
        else:
            end = len(record.previous) - (size if self._encrypts_first else 0)
            iv = record.previous[max(0, end - block) : max(0, end)] if record.number else self._keys.iv
        data = open_cbc(self._suite, self._keys.key, iv, body)
        if data is None or self._encrypts_first:
            return data
        return without_mac(self._suite, self._keys.mac_key, header, data) if len(data) >= size else None


def _header12(record: SealedRecord) -> bytes:
    """Return what precedes the length in the additional data of a record (RFC 5246 section 6.2.3, RFC 9146)."""
    number: bytes = record.number.to_bytes(8, "big")
    version = record.version.to_bytes(2, "big")
    if record.content_type != TLS12_CID:
        return number + bytes([record.content_type]) + version
    cid = record.header[CID_AT : len(record.header) - 2]
    return b"\xff" * 8 + bytes([TLS12_CID, len(cid), TLS12_CID]) + version + number + cid


class Reader12(RecordReader):
    """Opens the records of TLS 1.0 to 1.2."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys) -> None:
        super().__init__(log)
        self._all = keys
        self._negotiated = _Negotiated()
        for event in log.events:
            if event.content_type in (HANDSHAKE, SSL2):
                self._negotiated.take(event)
        self._epochs = [0, 0]
        self._keys: list[_Keys12 | None] = [None, None]
        """The present keys of both sides of the flow."""
        self._block: tuple[_Source, Suite, tuple[schedule.DirectionKeys, schedule.DirectionKeys]] | None = None
        """What follows from what was negotiated last, for client and server; None if that is not known, or yet."""

    def open(self, record: SealedRecord) -> tuple[int, bytes] | None:
        """Return content type and content of a record."""
        keys = self.keys_of(record)
        content = None if keys is None else keys.open(record)
        if keys is None or content is None:
            return None
        self.use(keys.source.label, keys.source.key, keys.source.origin)
        return record.content_type, content

    def keys_of(self, record: SealedRecord) -> _Keys12 | None:
        """Return the keys of a record; None if there are none."""
        if record.epoch != self._epochs[record.sender]:
            self._epochs[record.sender] = record.epoch
            self._keys[record.sender] = self._derived(record.sender ^ self.log.client)
        return self._keys[record.sender]

    def follow(self, _: SealedRecord, event: HandshakeEvent) -> None:
        """Take what a message of a renegotiation says."""
        self._negotiated.take(event)
        if event.handshake_type in _NEGOTIATING:
            self._block = None
        if event.handshake_type == HandshakeType.CLIENT_KEY_EXCHANGE:
            self._all.join(self._negotiated.client_random, self._negotiated.rsa_key)

    def _derived(self, side: cython.longlong) -> _Keys12 | None:
        """Return the keys of a side by what was negotiated last."""
        if self._block is None:
            self._block = self._derived_block()
        if self._block is None:
            return None
        source, chosen, both = self._block
        return _Keys12(self._negotiated, chosen, both[side], source)

    def _derived_block(self) -> tuple[_Source, Suite, tuple[schedule.DirectionKeys, schedule.DirectionKeys]] | None:
        """Return the secret, the suite and the keys of both sides; None if there are none."""
        agreed = self._negotiated
        chosen, source = agreed.suite, self._source()
        if chosen is None or source is None or agreed.compresses or agreed.version < _TLS10:
            return None
        # Since TLS 1.1, the initialization vector of CBC is in the record (RFC 4346 section 6.2.3.2).
        explicit = chosen.mode == CBC_MODE and agreed.version > _TLS10
        sizes = (chosen.mac_bytes, chosen.key_bytes, 0 if explicit else chosen.fixed_iv)
        both = schedule.key_block(
            lambda label, seed, length: agreed.expand(source.master, label, seed, length),
            (agreed.client_random, agreed.server_random),
            sizes,
        )
        return source, chosen, both

    def _source(self) -> _Source | None:
        """Return the master secret, as logged or by a logged premaster secret."""
        agreed = self._negotiated
        found = self._all.find(agreed.client_random)
        master = None if found is None else found.get(_MASTER_SECRET, schedule.SECRET_SIZE)
        if master is not None:
            return _Source(master.value, _MASTER_SECRET, agreed.client_random, master.origin)
        found = self._all.find(agreed.rsa_key)
        premaster = None if found is None else found.get(RSA, schedule.SECRET_SIZE)
        if premaster is None or (agreed.extended and self.log.transport == "udp"):
            # The transcript of DTLS has numbers of messages that are not kept (RFC 6347 section 4.2.6).
            return None
        return _Source(agreed.master_secret(premaster.value), RSA, agreed.rsa_key, premaster.origin)
