# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Opens the Handshake packets of a QUIC connection with the secrets of a key log.

0-RTT and 1-RTT packets are never opened: whether they hold handshake messages or application data is known only once
all of it is decrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.handshake.crypto_stream import CryptoStream
from tlsdissect.handshake.decryption import KeyedReader, Wrong, suite13
from tlsdissect.handshake.events import HandshakeEvent, new_event
from tlsdissect.handshake.quic_handshake import BYTES_MISSING, CONFLICT, FATAL
from tlsdissect.handshake.quic_keys import OpenedPacket, PacketKey, version_keys
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.quic import ConnectionClose, Crypto, read_frames
from tlsdissect.tls.quic_packets import CryptoFrame, LongPacket, crypto_frames, read_long_packet
from tlsdissect.tls.record import ALERT, HANDSHAKE, Message, MessageJoiner

if TYPE_CHECKING:
    from tlsdissect.handshake.events import SealedRecord
    from tlsdissect.handshake.key_logs import CaptureKeys, Origin, Secrets
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.protection import Suite

_LABELS = ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET")


_NO_FINISHED = "the Finished is not in the capture before the first 1-RTT packet"

# C integers, by the .pxd.
_HANDSHAKE, _FINISHED = HANDSHAKE, HandshakeType.FINISHED


@cython.cclass
class _Side:
    """What one side sent in Handshake packets."""

    crypto: CryptoStream
    joiner: MessageJoiner
    expected: cython.longlong
    """One more than the highest packet number."""
    closed: cython.bint
    """Whether it sent a CONNECTION_CLOSE, which may be sent again."""
    latest: SealedRecord | None
    """The latest packet with bytes of messages that are not whole yet."""
    finished: cython.bint
    """Whether it sent its Finished."""

    def __init__(self) -> None:
        self.crypto = CryptoStream()
        self.joiner = MessageJoiner()
        self.expected = 0
        self.closed = False
        self.latest = None
        self.finished = False


@cython.cclass
class QuicReader(KeyedReader):
    """Opens the Handshake packets of both sides."""

    _suite: Suite | None
    _random: bytes
    _secrets: Secrets | None
    _client: _Side
    _server: _Side
    _keys: dict[tuple[int, int], tuple[PacketKey, Origin] | None]
    """By side and version, which may change during the handshake (RFC 9368)."""
    _failed: set[int]
    """Sides that sent a packet which could not be decrypted."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys, random: bytes) -> None:
        """The secrets are found by the `random` of the ClientHello that the server answered."""
        KeyedReader.__init__(self, log)
        self._suite = suite13(log)
        self._random = random
        self._secrets = keys.find(random)
        self._client = _Side()
        self._server = _Side()
        self._keys = {}
        self._failed = set()

    def read(self, record: SealedRecord) -> list[HandshakeEvent] | None:
        """Return the messages that a packet completes, and its alert; None if no secret opens it."""
        packet: LongPacket | None = read_long_packet(record.body, 0)
        side: cython.longlong = record.sender ^ self.log.client
        sent: _Side = self._client if side == 0 else self._server
        frame: CryptoFrame
        if packet is None:
            return None
        which = (side, packet.version)
        if which not in self._keys:
            self._keys[which] = self._key(side, packet.version)
        found = self._keys[which]
        if found is None:
            self._failed.add(side)
            return None
        key: PacketKey = found[0]
        opened: OpenedPacket | None = key.open(record.body, 0, packet.protected, packet.end, sent.expected)
        if opened is None:
            self._failed.add(side)
            return None
        self.use(_LABELS[side], self._random, found[1])
        sent.expected = max(sent.expected, opened.number + 1)
        if self.log.recording is not None:
            self.packets[record.sender, record.start] = opened
        events: list[HandshakeEvent] = []
        frames = crypto_frames(opened.payload, packet.version)
        if frames is None:
            self._read_frames(opened.payload, record, sent, events)
        else:
            for frame in frames:
                self._add_crypto(frame.offset, frame.data, record, sent, events)
        return events

    def finish(self) -> None:
        """Report bytes that are missing of CRYPTO frames (RFC 9000 section 19.6), or in front of 1-RTT packets."""
        sent: _Side
        quic = self.log.quic
        failed: set[int] = self._failed
        for side, sent in enumerate((self._client, self._server)):
            later = None if quic is None else quic.first_one_rtt[side]
            if sent.latest is not None and (sent.crypto.has_gap() or sent.joiner.waiting > 0):
                self.wrong.append(Wrong.of(sent.latest, "gap", BYTES_MISSING))
            elif later is not None and not (sent.finished or side in failed or self.log.unkept):
                self.wrong.append(Wrong("gap", _NO_FINISHED, side ^ self.log.client, later.frame, None))

    @cython.cfunc
    def _key(self, side: cython.longlong, version: cython.longlong) -> Any:
        """Return the keys of a side, and where their secret is from; None if there are none."""
        chosen, found = self._suite, version_keys(version)
        if chosen is None or self._secrets is None or not found:
            return None
        secret = self._secrets.get(_LABELS[side], chosen.hash_bytes)
        return None if secret is None else (PacketKey(secret.value, found[0].label, chosen), secret.origin)

    @cython.cfunc
    def _read_frames(
        self, payload: bytes, record: SealedRecord, sent: _Side, events: list[HandshakeEvent]
    ) -> cython.bint:
        """Add the messages that all frames complete, and the alert that one of them stands for."""
        frames, error = read_frames(payload)
        if error is not None:
            self.wrong.append(Wrong.of(record, "malformed_message", f"a Handshake packet: {error}"))
        for frame in frames:
            if isinstance(frame, Crypto):
                self._add_crypto(frame.offset, frame.crypto_data, record, sent, events)
            elif isinstance(frame, ConnectionClose) and not sent.closed:
                sent.closed = True
                self.close = self.close or (record.sender, frame, record.frame)
                if frame.alert is not None:
                    body = bytes([FATAL, frame.alert])
                    events.append(
                        new_event(
                            record.sender, ALERT, None, len(body), body,
                            record.frame, record.time, record.start, record.start + len(record.body), False,
                        )
                    )  # fmt: skip
        return True

    @cython.cfunc
    def _add_crypto(
        self, offset: cython.longlong, data: bytes, record: SealedRecord, sent: _Side, events: list[HandshakeEvent]
    ) -> cython.bint:
        """Add the messages that a CRYPTO frame completes."""
        crypto: CryptoStream = sent.crypto
        message: Message
        conflicted: cython.bint = crypto.conflict is not None
        if offset + len(data) > crypto.position:
            sent.latest = record
        joined: bytes | None = crypto.add(offset, data)
        if joined is None:
            self.wrong.append(Wrong.of(record, "limit", "more bytes of CRYPTO frames were sent than are kept"))
        if crypto.conflict is not None and not conflicted:
            copies = crypto.conflict.copies(crypto.position, record.frame)
            self.wrong.append(Wrong.of(record, "conflicting_data", CONFLICT, copies))
        if joined is None or len(joined) == 0:
            return False
        sender: cython.longlong = record.sender
        start: cython.longlong = record.start
        end: cython.longlong = start + len(record.body)
        for message in sent.joiner.feed(joined, start):
            body: bytes = message.body
            kind = message.handshake_type
            sent.finished = sent.finished or kind == _FINISHED
            events.append(
                new_event(
                    sender, _HANDSHAKE, kind, len(body), body, record.frame, record.time, message.start, end, False
                )
            )
        return True
