"""Opens the Handshake packets of a QUIC connection with the secrets of a key log.

0-RTT and 1-RTT packets are never opened: whether they hold handshake messages or application data is known only once
all of it is decrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.handshake.crypto_stream import CryptoStream
from tlsdissect.handshake.decryption import KeyedReader, Wrong, suite13
from tlsdissect.handshake.events import HandshakeEvent, new_event
from tlsdissect.handshake.quic_handshake import CONFLICT, FATAL
from tlsdissect.handshake.quic_keys import PacketKey, version_keys
from tlsdissect.tls.quic import ConnectionClose, Crypto, read_frames
from tlsdissect.tls.quic_packets import read_long_packet
from tlsdissect.tls.record import ALERT, HANDSHAKE, MessageJoiner

if TYPE_CHECKING:
    from tlsdissect.handshake.events import SealedRecord
    from tlsdissect.handshake.keys import CaptureKeys, Origin
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.tls.quic import Frame

_LABELS = ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET")


class _Side:
    """What one side sent in Handshake packets."""

    def __init__(self) -> None:
        self.crypto = CryptoStream()
        self.joiner = MessageJoiner()
        self.expected = 0
        """One more than the highest packet number."""
        self.closed = False
        """Whether it sent a CONNECTION_CLOSE, which may be sent again."""


class QuicReader(KeyedReader):
    """Opens the Handshake packets of both sides."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys, random: bytes) -> None:
        """The secrets are found by the `random` of the ClientHello that the server answered."""
        super().__init__(log)
        self._suite = suite13(log)
        self._random = random
        self._secrets = keys.find(random)
        self._sides = (_Side(), _Side())
        self._keys: dict[tuple[int, int], tuple[PacketKey, Origin] | None] = {}
        """By side and version, which may change during the handshake (RFC 9368)."""

    def read(self, record: SealedRecord) -> list[HandshakeEvent] | None:
        """Return the messages that a packet completes, and its alert; None if no secret opens it."""
        packet, side = read_long_packet(record.body, 0), record.sender ^ self.log.client
        if packet is None:
            return None
        which = side, packet.version
        if which not in self._keys:
            self._keys[which] = self._key(*which)
        found, sent = self._keys[which], self._sides[side]
        if found is None:
            return None
        key, origin = found
        opened = key.open(record.body, 0, packet.protected, packet.end, sent.expected)
        if opened is None:
            return None
        self.use(_LABELS[side], self._random, origin)
        sent.expected = max(sent.expected, opened.number + 1)
        frames, error = read_frames(opened.payload)
        if error is not None:
            self.wrong.append(Wrong("malformed_message", f"a Handshake packet: {error}", record))
        return [event for frame in frames for event in self._events(frame, record, sent)]

    def _key(self, side: int, version: int) -> tuple[PacketKey, Origin] | None:
        chosen, found = self._suite, version_keys(version)
        if chosen is None or self._secrets is None or not found:
            return None
        secret = self._secrets.get(_LABELS[side], chosen.hash_bytes)
        return None if secret is None else (PacketKey(secret.value, found[0].label, chosen), secret.origin)

    def _events(self, frame: Frame, record: SealedRecord, sent: _Side) -> list[HandshakeEvent]:
        """Return the messages that a frame completes, or the alert that it stands for."""
        end, events = record.start + len(record.body), list[HandshakeEvent]()
        if isinstance(frame, Crypto):
            conflicted = sent.crypto.conflict is not None
            data = sent.crypto.add(frame.offset, frame.crypto_data)
            if data is None:
                self.wrong.append(Wrong("limit", "more bytes of CRYPTO frames were sent than are kept", record))
            if sent.crypto.conflict is not None and not conflicted:
                copies = sent.crypto.conflict.copies(sent.crypto.position, record.frame)
                self.wrong.append(Wrong("conflicting_data", CONFLICT, record, copies))
            for message in sent.joiner.feed(data, record.start) if data else ():
                events.append(
                    new_event(
                        record.sender, HANDSHAKE, message.handshake_type, len(message.body), message.body,
                        record.frame, record.time, message.start, end, False,
                    )
                )  # fmt: skip
        elif isinstance(frame, ConnectionClose) and not sent.closed:
            sent.closed = True
            if frame.alert is not None:
                body = bytes([FATAL, frame.alert])
                events.append(
                    new_event(
                        record.sender, ALERT, None, len(body), body,
                        record.frame, record.time, record.start, end, False,
                    )
                )  # fmt: skip
        return events
