# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Headers of records and handshake messages."""

from typing import Self

from msgspec import Struct

from tlsdissect.tls.codepoints import ContentTypeNumber, HandshakeTypeNumber, Version
from tlsdissect.tls.wire import Reader


class RecordHeader(Struct, frozen=True, gc=False):
    """RFC 8446 section 5.1; RFC 5246 section 6.2.1."""

    type: ContentTypeNumber
    legacy_record_version: Version
    length: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(type=r.u8(), legacy_record_version=r.u16(), length=r.u16())


class Ssl2RecordHeader(Struct, frozen=True, gc=False):
    """The two-byte header, whose first bit means "no padding" (draft-hickman-netscape-ssl-00 section 1.1)."""

    length: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(length=r.u16() & 0x7FFF)


class HandshakeHeader(Struct, frozen=True, gc=False):
    """RFC 8446 section 4; RFC 5246 section 7.4."""

    msg_type: HandshakeTypeNumber
    length: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(msg_type=r.u8(), length=r.u24())
