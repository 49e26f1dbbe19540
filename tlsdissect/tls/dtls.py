"""Splits datagrams into DTLS records (RFC 6347 section 4.1, RFC 9146 section 4, RFC 9147 section 4).

A record never spans datagrams. Its header has an epoch, which counts the changes of keys: records of epoch 0 are in
plaintext, all others are encrypted.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from tlsdissect.tls.record import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEARTBEAT, MAX_FRAGMENT

TLS12_CID: Final = 25
"""The content type of records with a connection ID, whose own content type is encrypted (RFC 9146 section 4)."""
ACK: Final = 26
"""The content type of acknowledgements, which may be in plaintext (RFC 9147 section 7)."""
MEDIA: Final = 129
"""Pseudo content type of media, which are on the flow outside of records (RFC 5764 section 5.1.1)."""
CID_AT: Final = 11
"""Bytes of a record header before a connection ID (RFC 9146 section 4)."""
HEADER_SIZE: Final = 13
"""Bytes of a record header without a connection ID."""
MESSAGE_HEADER: Final = 12
"""Bytes of a handshake fragment before its body (RFC 6347 section 4.2.2)."""

EARLY_EPOCH, HANDSHAKE_EPOCH, APPLICATION_EPOCH = 1, 2, 3
"""The epochs of DTLS 1.3 (RFC 9147 section 6.1)."""

CISCO: Final = 0x0100
"""The version of Cisco AnyConnect, and of OpenSSL before DTLS was standardised."""
_VERSIONS: Final = frozenset((CISCO, 0xFEFC, 0xFEFD, 0xFEFE, 0xFEFF))
"""Record versions: DTLS 1.3 uses that of DTLS 1.2 (RFC 9147 section 4); 0xFEFE was never assigned."""
_CONTENT_TYPES: Final = frozenset((CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT, TLS12_CID, ACK))

_UNIFIED, _UNIFIED_MASK = 0x20, 0xE0
_HAS_CID, _HAS_TWO_BYTES, _HAS_LENGTH, EPOCH_BITS = 0x10, 0x08, 0x04, 0x03
"""The bits of a unified header (RFC 9147 section 4)."""
_LEAST_CIPHERTEXT = 16
"""Bytes of the shortest encrypted record body that a receiver accepts (RFC 9147 section 4.2.3)."""


class DtlsRecord(Struct, frozen=True, gc=False):
    """A record of DTLS; `fragment` is None if it is encrypted."""

    content_type: int
    """That of a record with a unified header is encrypted: here HANDSHAKE in HANDSHAKE_EPOCH, else APPLICATION_DATA."""
    version: int
    """0 with a unified header, which has none."""
    epoch: int
    """With a unified header, its two low-order bits."""
    sequence: int | None
    """The sequence number; None with a unified header, where it is encrypted."""
    length: int
    """Bytes of the body."""
    start: int
    """Offset of the header in the datagram."""
    body: int
    """Offset of the body in the datagram."""
    fragment: bytes | None
    whole: bool = True
    """False if the snap length cut the record."""
    connection_id: bytes = b""

    @property
    def end(self) -> int:
        """Offset in the datagram after the record."""
        return self.body + self.length

    @property
    def is_unified(self) -> bool:
        """Whether the record has a unified header."""
        return self.sequence is None


class Fragment(NamedTuple):
    """A handshake message or a part of it (RFC 6347 section 4.2.2)."""

    handshake_type: int
    length: int
    """Bytes of the whole message."""
    message_seq: int
    offset: int
    """Place of the fragment in the message."""
    data: bytes


def number_place(header: bytes) -> tuple[int, int]:
    """Return where the encrypted record number lies in a unified header, and its bytes."""
    size = 2 if header[0] & _HAS_TWO_BYTES else 1
    return len(header) - size - (2 if header[0] & _HAS_LENGTH else 0), size


def has_header(data: bytes, start: int) -> bool:
    """Return whether a record header, other than a unified one, may begin at an offset."""
    version = int.from_bytes(data[start + 1 : start + 3], "big")
    return start < len(data) and data[start] in _CONTENT_TYPES and version in _VERSIONS


def read_records(data: bytes, start: int, end: int, cid_length: int | None = 0) -> list[DtlsRecord]:
    """Split the part of a captured datagram between two offsets into records, up to the first that is malformed.

    `end` is that on the wire, which may lie after the end of `data`: the record that the snap length cuts is the last
    one. `cid_length` is that of the connection IDs that the sender uses; None if it is unknown: a record with a
    connection ID then extends to the end, since its length field cannot be found.
    """
    records: list[DtlsRecord] = []
    while start < min(end, len(data)):
        record = _read_record(data, start, end, cid_length)
        if record is None:
            break
        records.append(record)
        start = record.end
    return records


def read_fragments(record: DtlsRecord) -> tuple[list[Fragment], bool]:
    """Split a plaintext handshake record into fragments; return them, and whether all of the record is well-formed.

    The last fragment is truncated if the snap length cut the record.
    """
    data, at = record.fragment or b"", 0
    found: list[Fragment] = []
    while at + MESSAGE_HEADER <= len(data):
        length = int.from_bytes(data[at + 1 : at + 4], "big")
        offset = int.from_bytes(data[at + 6 : at + 9], "big")
        size = int.from_bytes(data[at + 9 : at + 12], "big")
        body, after = at + MESSAGE_HEADER, at + MESSAGE_HEADER + size
        if offset + size > length or after > record.length:
            return found, False
        message_seq = int.from_bytes(data[at + 4 : at + 6], "big")
        found.append(Fragment(data[at], length, message_seq, offset, data[body:after]))
        at = after
    return found, at >= len(data) > 0 or not record.whole


def _read_record(data: bytes, start: int, end: int, cid_length: int | None) -> DtlsRecord | None:
    """Read the record at an offset; None if it is malformed, or its header is cut."""
    first = data[start]
    if first & _UNIFIED_MASK == _UNIFIED:
        return _read_unified(data, start, end, cid_length)
    body = start + HEADER_SIZE
    if body > len(data) or not has_header(data, start):
        return None
    version = data[start + 1] << 8 | data[start + 2]
    epoch = data[start + 3] << 8 | data[start + 4]
    sequence = int.from_bytes(data[start + 5 : start + 11], "big")
    cid = b""
    if first == TLS12_CID:
        if cid_length is None:
            return DtlsRecord(first, version, epoch, sequence, end - start - CID_AT, start, start + CID_AT, None)
        body += cid_length
        if body > len(data):
            return None
        cid = data[start + CID_AT : body - 2]
    length = data[body - 2] << 8 | data[body - 1]
    after = body + length
    if length > MAX_FRAGMENT or after > end:
        return None
    fragment = data[body:after] if epoch == 0 else None
    return DtlsRecord(first, version, epoch, sequence, length, start, body, fragment, after <= len(data), cid)


def is_early(header: bytes) -> bool:
    """Return whether a record's header is that of early data of DTLS 1.3: a unified one with its epoch."""
    return header[0] & _UNIFIED_MASK == _UNIFIED and header[0] & EPOCH_BITS == EARLY_EPOCH


def _read_unified(data: bytes, start: int, end: int, cid_length: int | None) -> DtlsRecord | None:
    """Read a record with a unified header (RFC 9147 section 4)."""
    flags = data[start]
    body = start + 1
    if flags & _HAS_CID:
        # Without the length of the connection ID, neither it nor the length field can be found.
        body += cid_length or 0
    cid = data[start + 1 : body]
    length_at = body + (2 if flags & _HAS_TWO_BYTES else 1)
    if cid_length is None and flags & _HAS_CID:
        body, after = start + 1, end
    elif flags & _HAS_LENGTH:
        body = length_at + 2
        if body > len(data):
            return None
        after = body + (data[length_at] << 8 | data[length_at + 1])
    else:
        body, after = length_at, end
    if after > end or not _LEAST_CIPHERTEXT <= after - body <= MAX_FRAGMENT:
        return None
    epoch = flags & EPOCH_BITS
    content_type = HANDSHAKE if epoch == HANDSHAKE_EPOCH else APPLICATION_DATA
    return DtlsRecord(content_type, 0, epoch, None, after - body, start, body, None, after <= len(data), cid)
