"""Opens the encrypted records of DTLS with the secrets of a key log.

In DTLS 1.2 and older, epoch and sequence number take the place of the record number of TLS (RFC 6347 section 4.1.2), so
each record can be opened on its own. In DTLS 1.3, the header has two bits of the epoch, and low-order bits of the
sequence number, encrypted (RFC 9147 section 4.2). What is opened are fragments of messages, which are joined as in
plaintext.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.handshake import key_schedule as schedule
from tlsdissect.handshake.decryption import Reader12, RecordReader, Wrong, suite13
from tlsdissect.handshake.dtls_messages import BYTES_MISSING, GIVEN_UP, MessageJoiner, not_in_capture
from tlsdissect.handshake.events import client_random, new_event
from tlsdissect.handshake.protection import Aead, HeaderMask, nonce_of
from tlsdissect.handshake.quic_keys import SAMPLE, packet_number
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.dtls import (
    ACK,
    APPLICATION_EPOCH,
    EPOCH_BITS,
    HANDSHAKE_EPOCH,
    TLS12_CID,
    DtlsRecord,
    number_place,
    read_fragments,
)
from tlsdissect.tls.record import ALERT, APPLICATION_DATA, HANDSHAKE

if TYPE_CHECKING:
    from tlsdissect.handshake.events import HandshakeEvent, SealedRecord
    from tlsdissect.handshake.key_logs import CaptureKeys, Secret
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.protection import Suite

_EPOCHS = {HANDSHAKE_EPOCH: "{}_HANDSHAKE_TRAFFIC_SECRET", APPLICATION_EPOCH: "{}_TRAFFIC_SECRET_0"}
"""The labels of the secrets of each epoch (RFC 9147 section 6.1)."""


class FragmentJoiner:
    """Joins the fragments that were opened, and remembers the numbers of the messages."""

    def __init__(self) -> None:
        self.numbers: dict[HandshakeEvent, int] = {}
        self.wrong: list[Wrong] = []
        """Messages that were sent again with other bytes, or are not whole."""
        self._joiners = (MessageJoiner(), MessageJoiner())
        self._records: tuple[dict[int, SealedRecord], dict[int, SealedRecord]] = ({}, {})
        """Of each side, the latest record with a fragment of a message that is not whole yet, by number."""

    def feed(self, record: SealedRecord, content: bytes) -> list[HandshakeEvent]:
        """Return the messages that the content of a record completes."""
        events = []
        size, end = len(content), record.start + len(record.body)
        fragments, _ = read_fragments(DtlsRecord(HANDSHAKE, record.version, record.epoch, 0, size, 0, 0, content))
        for fragment in fragments:
            joiner = self._joiners[record.sender]
            joined = joiner.add(fragment, record.start, record.frame)
            if not joiner.is_complete(fragment) or joined is not None:
                self._records[record.sender][fragment.message_seq] = record
            if joiner.conflict is not None:
                copies = joiner.conflict.copies(record.frame)
                self.wrong.append(Wrong.of(record, "conflicting_data", joiner.conflict.detail, copies))
            if joined is not None:
                event = new_event(
                    record.sender, HANDSHAKE, joined.handshake_type, joined.length, joined.body, record.frame,
                    record.time, joined.start, end, False,
                )  # fmt: skip
                self.numbers[event] = joined.message_seq
                events.append(event)
        return events

    def report_incomplete(self) -> None:
        """Report messages that lack fragments."""
        for joiner, records in zip(self._joiners, self._records, strict=True):
            for one in joiner.incomplete():
                self.wrong.append(Wrong.of(records[one.message_seq], "gap", BYTES_MISSING))
            if joiner.given_up:
                self.wrong.append(Wrong.of(next(iter(records.values())), "limit", GIVEN_UP))

    def report_missing(self, sender: int, first: int, end: int | None) -> bool:
        """Report the first message of a side that is missing from this number on, up to another one or the latest.

        Return whether there is one.
        """
        records = self._records[sender]
        last = max(records, default=first) if end is None else end
        missing = next((number for number in range(first, last) if number not in records), None)
        if missing is not None:
            after = records[min(number for number in records if number > missing)]
            self.wrong.append(Wrong.of(after, "gap", not_in_capture(missing)))
        return missing is not None


class DtlsReader12(Reader12):
    """Opens the records of DTLS 1.0 and 1.2."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys) -> None:
        super().__init__(log, keys)
        self._fragments = FragmentJoiner()
        self.numbers, self.wrong = self._fragments.numbers, self._fragments.wrong

    def open(self, record: SealedRecord) -> tuple[int, bytes] | None:
        """Return content type and content of a record; with a connection ID, content only of a message or an alert.

        The content type of such a record is encrypted, too, at the end (RFC 9146 section 4). Only with an AEAD can it
        be read without decrypting the content, which may be application data.
        """
        keys = self.keys_of(record) if record.content_type == TLS12_CID else None
        kind = None if keys is None else keys.last_nonzero(record)
        if kind == APPLICATION_DATA:
            return kind, b""
        if record.content_type == TLS12_CID and kind not in (ALERT, HANDSHAKE):
            return None
        opened = super().open(record)
        if opened is None or record.content_type != TLS12_CID:
            return opened
        content = opened[1].rstrip(b"\0")
        return content[-1], content[:-1]

    def messages(self, record: SealedRecord, content: bytes) -> list[HandshakeEvent]:
        """Return the messages that the content of a record completes."""
        return self._fragments.feed(record, content)

    def finish(self) -> None:
        """Report messages that lack fragments; their numbers begin anew in each handshake."""
        self._fragments.report_incomplete()


class _DtlsEpoch:
    """The keys of one side in one epoch of DTLS 1.3."""

    def __init__(self, number: int, label: str, secret: Secret, chosen: Suite) -> None:
        keys = schedule.traffic_keys(secret.value, chosen.key_bytes, chosen.hash, prefix=schedule.DTLS13)
        hidden = schedule.hkdf_expand_label(secret.value, b"sn", chosen.key_bytes, chosen.hash, prefix=schedule.DTLS13)
        self.number = number
        self.label = label
        self.origin = secret.origin
        self._secret = secret
        self._suite = chosen
        self._aead = Aead(chosen, keys.key)
        self._iv = keys.iv
        self._mask = HeaderMask(chosen, hidden)
        self._proven = self._seen = 0
        """One more than the highest sequence number of records that were authenticated, and of all."""

    def open(self, record: SealedRecord) -> tuple[int, bytes] | None:
        """Decrypt a record: its content type, and its content, which is empty for application data."""
        if len(record.body) < SAMPLE:
            return None
        # The record number is behind the flags and the connection ID.
        header = record.header
        at, size = number_place(header)
        mask = self._mask.of(record.body[:SAMPLE])
        low = int.from_bytes(header[at : at + size], "big") ^ int.from_bytes(mask[:size], "big")
        # What is authenticated is the header before its number was encrypted (RFC 9147 section 4).
        additional = header[:at] + low.to_bytes(size, "big") + header[at + size :]
        data: tuple[int, bytes] | None = None
        # Application data is not authenticated, so that anyone may have sent it with any number.
        for number in {packet_number(low, 8 * size, expected): None for expected in (self._proven, self._seen)}:
            nonce = nonce_of(self._iv, number)
            kind = HANDSHAKE if self.number == HANDSHAKE_EPOCH else self._aead.last_nonzero(nonce, record.body)
            if kind in (APPLICATION_DATA, ACK):
                self._seen = max(self._seen, number + 1)
                data = kind, b""
            content = self._aead.open(nonce, record.body, additional) if kind in (ALERT, HANDSHAKE, ACK) else None
            content = None if content is None else content.rstrip(b"\0")
            if content:
                self._proven = max(self._proven, number + 1)
                self._seen = max(self._seen, number + 1)
                return content[-1], content[:-1]
        return data

    def updated(self) -> _DtlsEpoch:
        """Return the epoch after a KeyUpdate (RFC 9147 section 8)."""
        value = schedule.next_secret(self._secret.value, self._suite.hash, prefix=schedule.DTLS13)
        return _DtlsEpoch(self.number + 1, self.label, self._secret._replace(value=value), self._suite)


class DtlsReader13(RecordReader):
    """Opens the records of DTLS 1.3."""

    def __init__(self, log: LoggedHandshake, keys: CaptureKeys) -> None:
        super().__init__(log)
        self._fragments = FragmentJoiner()
        self.numbers, self.wrong = self._fragments.numbers, self._fragments.wrong
        self._key = b"" if log.client_hello is None else client_random(log.client_hello.event)
        self._secrets = keys.find(self._key)
        self._epochs = (self._begin("CLIENT"), self._begin("SERVER"))
        """Those of client and server."""
        self._latest: _DtlsEpoch | None = None
        """That of the latest record that was opened."""
        self._failed: set[int] = set()
        """Sides that sent a record which could not be decrypted."""
        self._later: dict[int, SealedRecord] = {}
        """The first record of each side with keys that follow its Finished."""

    def _begin(self, side: str) -> list[_DtlsEpoch]:
        """Return the epochs of a side for which there are secrets."""
        secrets, chosen = self._secrets, suite13(self.log)
        if secrets is None or chosen is None:
            return []
        return [
            _DtlsEpoch(number, label.format(side), secret, chosen)
            for number, label in _EPOCHS.items()
            if (secret := secrets.get(label.format(side), chosen.hash_bytes)) is not None
        ]

    def open(self, record: SealedRecord) -> tuple[int, bytes] | None:
        """Return content type and content of a record."""
        if record.epoch != HANDSHAKE_EPOCH:
            self._later.setdefault(record.sender, record)
        for epoch in reversed(self._epochs[record.sender ^ self.log.client]):
            found = epoch.open(record) if epoch.number & EPOCH_BITS == record.epoch else None
            if found is not None:
                self._latest = epoch
                if found[1]:
                    self.use(epoch.label, self._key, epoch.origin)
                return found
        self._failed.add(record.sender)
        return None

    def messages(self, record: SealedRecord, content: bytes) -> list[HandshakeEvent]:
        """Return the messages that the content of a record completes."""
        return self._fragments.feed(record, content)

    def events(self, record: SealedRecord, content_type: int, content: bytes) -> list[HandshakeEvent]:
        """Return the messages that a record completes, or its alerts; keep an ACK."""
        if content_type == ACK and self.log.recording is not None:
            self.acks.append((record.sender, record.start, content))
        return super().events(record, content_type, content)

    def follow(self, record: SealedRecord, event: HandshakeEvent) -> None:
        """Begin the epoch that a message begins."""
        if event.handshake_type == HandshakeType.KEY_UPDATE and self._latest is not None:
            self._epochs[record.sender ^ self.log.client].append(self._latest.updated())

    def finish(self) -> None:
        """Report messages that lack fragments, are missing between others, or in front of application data.

        Messages after the handshake are numbered on (RFC 9147 section 5.2), but a record that did not open, or was not
        kept, may have them.
        """
        self._fragments.report_incomplete()
        finished = {
            event.sender: number
            for event, number in self.numbers.items()
            if event.handshake_type == HandshakeType.FINISHED
        }
        for sender, first in enumerate(self.log.next_messages):
            opens = sender not in self._failed and not self.log.unkept
            reported = self._fragments.report_missing(sender, first, None if opens else finished.get(sender))
            later = self._later.get(sender)
            if later is not None and opens and not (reported or sender in finished):
                self.wrong.append(Wrong.of(later, "gap", "the Finished is not in the capture"))
