"""Headers of records and handshake messages."""

from typing import Annotated

from tlsdissect.tls.codepoints import ContentTypeNumber, HandshakeTypeNumber, Version
from tlsdissect.tls.layout import Select, Size, Uint, Uint8, Uint16, Uint24, When, WireStruct


class RecordHeader(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 5.1; RFC 5246 section 6.2.1."""

    type: ContentTypeNumber
    legacy_record_version: Version
    length: Uint16


class Ssl2RecordHeader(WireStruct, frozen=True, gc=False):
    """The two-byte header, whose first bit means "no padding" (draft-hickman-netscape-ssl-00 section 1.1)."""

    length: Annotated[int, Uint(2, bits=15)]


class HandshakeHeader(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4; RFC 5246 section 7.4."""

    msg_type: HandshakeTypeNumber
    length: Uint24


class DtlsRecordHeader(WireStruct, frozen=True, gc=False):
    """RFC 6347 section 4.1."""

    type: ContentTypeNumber
    version: Version
    epoch: Uint16
    sequence_number: Annotated[int, Uint(6)]
    length: Uint16


class CidRecordHeader(WireStruct, frozen=True, gc=False):
    """RFC 9146 section 4; the length of the connection ID was agreed on before."""

    type: ContentTypeNumber
    version: Version
    epoch: Uint16
    sequence_number: Annotated[int, Uint(6)]
    connection_id: Annotated[bytes, Size("cid_length")]
    length: Uint16


class UnifiedHeader(WireStruct, frozen=True, gc=False):
    """RFC 9147 section 4; the sequence number is encrypted."""

    flags: Uint8
    connection_id: Annotated[bytes | None, Size("cid_length"), When(lambda flags: flags & 0x10)]
    sequence_number: Annotated[int, Select(lambda flags: Uint16 if flags & 0x08 else Uint8)]
    length: Annotated[int | None, Uint(2), When(lambda flags: flags & 0x04)]


class FragmentHeader(WireStruct, frozen=True, gc=False):
    """The header of a handshake message of DTLS, or of a part of it (RFC 6347 section 4.2.2)."""

    msg_type: HandshakeTypeNumber
    length: Uint24
    message_seq: Uint16
    fragment_offset: Uint24
    fragment_length: Uint24
