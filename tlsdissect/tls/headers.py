"""Headers of records and handshake messages."""

from typing import Annotated

from tlsdissect.tls.codepoints import ContentTypeNumber, HandshakeTypeNumber, Version
from tlsdissect.tls.layout import Uint, Uint16, Uint24, WireStruct


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
