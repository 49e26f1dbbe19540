"""EAP packets, and the EAPOL frames and RADIUS packets that carry them, as structs for the tree of a handshake."""

from typing import Annotated, Final

from tlsdissect.tls.codepoints import EapCode, EapolType, EapType, RadiusCode, RadiusType
from tlsdissect.tls.layout import Size, Uint, Uint8, Uint16, Uint24, Uint32, When, WireStruct

LENGTH, MORE, START, OUTER_TLVS = 0x80, 0x40, 0x20, 0x10
"""Flags of the methods that carry TLS (RFC 5216 section 3.1); the last one is TEAP's (RFC 7170 section 4.1)."""
VERSION: Final = 0x07
"""The bits of the flags that are the version of a method other than EAP-TLS."""


class EapolHeader(WireStruct, frozen=True, gc=False):
    """The header of a frame of EAP over a LAN (IEEE 802.1X-2020 section 11.3, the MPDU of EAPOL)."""

    protocol_version: Uint8
    packet_type: EapolType
    packet_body_length: Uint16


class RadiusHeader(WireStruct, frozen=True, gc=False):
    """RFC 2865 section 3."""

    code: RadiusCode
    identifier: Uint8
    length: Uint16
    authenticator: Annotated[bytes, Size(16)]


class RadiusAttribute(WireStruct, frozen=True, gc=False):
    """RFC 2865 section 5."""

    type: RadiusType
    length: Uint8
    value: Annotated[bytes, Size(lambda length: max(0, length - 2))]


class EapHeader(WireStruct, frozen=True, gc=False):
    """RFC 3748 section 4."""

    code: EapCode
    identifier: Uint8
    length: Uint16


class MethodType(WireStruct, frozen=True, gc=False):
    """The type of a Request or Response (RFC 3748 section 5)."""

    type: EapType


class ExpandedType(WireStruct, frozen=True, gc=False):
    """RFC 3748 section 5.7."""

    type: EapType
    vendor_id: Uint24
    vendor_type: Uint32


class Identity(WireStruct, frozen=True, gc=False):
    """RFC 3748 section 5.1."""

    identity: bytes


class Notification(WireStruct, frozen=True, gc=False):
    """RFC 3748 section 5.2."""

    message: bytes


class Nak(WireStruct, frozen=True, gc=False):
    """RFC 3748 section 5.3.1."""

    desired_types: tuple[EapType, ...]


class TlsFlags(WireStruct, frozen=True, gc=False):
    """The fields before the TLS data of EAP-TLS, EAP-TTLS, PEAP and EAP-FAST (RFC 5216 section 3.1)."""

    flags: Uint8
    tls_message_length: Annotated[int | None, Uint(4), When(lambda flags: flags & LENGTH)]


class TeapFlags(WireStruct, frozen=True, gc=False):
    """The fields before the TLS data of TEAP (RFC 7170 section 4.1)."""

    flags: Uint8
    message_length: Annotated[int | None, Uint(4), When(lambda flags: flags & LENGTH)]
    outer_tlv_length: Annotated[int | None, Uint(4), When(lambda flags: flags & OUTER_TLVS)]
