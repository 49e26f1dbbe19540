"""Opens the encrypted records of DTLS with the secrets of a key log.

Epoch and sequence number stand where the record number of TLS does (RFC 6347 section 4.1.2), so that each record opens
by itself. What is opened are fragments of messages, which are joined as those in plaintext.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.handshake.decryption import Reader12
from tlsdissect.handshake.dtls_messages import MessageJoiner
from tlsdissect.handshake.events import HandshakeEvent
from tlsdissect.tls.dtls import DtlsRecord, read_fragments
from tlsdissect.tls.record import HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.handshake.events import SealedRecord
    from tlsdissect.handshake.keys import CaptureKeys
    from tlsdissect.handshake.logged import LoggedHandshake


class FragmentJoiner:
    """Joins the fragments that were opened, and remembers the numbers of the messages."""

    def __init__(self) -> None:
        self.numbers: dict[HandshakeEvent, int] = {}
        self._joiners = (MessageJoiner(), MessageJoiner())

    def feed(self, record: SealedRecord, content: bytes) -> Iterator[HandshakeEvent]:
        """Yield the messages that the content of a record completes."""
        size, end = len(content), record.start + len(record.body)
        fragments, _ = read_fragments(DtlsRecord(HANDSHAKE, record.version, record.epoch, 0, size, 0, 0, content))
        for fragment in fragments:
            joined = self._joiners[record.sender].add(fragment, record.start, record.frame)
            if joined is not None:
                event = HandshakeEvent(
                    record.sender, HANDSHAKE, joined.handshake_type, joined.length, joined.body, record.frame,
                    record.time, joined.start, end, False,
                )  # fmt: skip
                self.numbers[event] = joined.message_seq
                yield event


class DtlsReader12(Reader12):
    """Opens the records of DTLS 1.0 and 1.2."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys) -> None:
        super().__init__(log, keys)
        self._fragments = FragmentJoiner()
        self.numbers = self._fragments.numbers

    def messages(self, record: SealedRecord, content: bytes) -> Iterator[HandshakeEvent]:
        """Yield the messages that the content of a record completes."""
        return self._fragments.feed(record, content)
