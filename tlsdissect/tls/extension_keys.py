"""Extension bodies for versions, key exchange, sessions and record sizes."""

from typing import Annotated

from tlsdissect.tls.codepoints import (
    EktCipher,
    Group,
    HeartbeatMode,
    MaxFragmentLengthCode,
    PointFormat,
    PskMode,
    SignatureScheme,
    SrtpProtectionProfile,
    TokenBindingKeyParameter,
    Version,
)
from tlsdissect.tls.layout import Length, Opaque8, Opaque16, Uint8, Uint16, Uint32, WireStruct


class Flag(WireStruct, frozen=True, gc=False):
    """An empty extension body (RFC 7627 section 5.1, RFC 7366 section 2, and others)."""


class Opaque(WireStruct, frozen=True, gc=False):
    """Bytes without inner structure: a ticket (RFC 5077 section 3.2), padding (RFC 7685 section 3)."""

    data: bytes


class MaxFragmentLength(WireStruct, frozen=True, gc=False):
    """RFC 6066 section 4."""

    max_fragment_length: MaxFragmentLengthCode


class NamedGroupList(WireStruct, frozen=True):
    """RFC 8446 section 4.2.7; RFC 8422 section 5.1.1."""

    named_group_list: Annotated[tuple[Group, ...], Length(2)]


class EcPointFormatList(WireStruct, frozen=True):
    """RFC 8422 section 5.1.2."""

    ec_point_format_list: Annotated[tuple[PointFormat, ...], Length(1)]


class Srp(WireStruct, frozen=True, gc=False):
    """The user's name (RFC 5054 section 2.8.1)."""

    srp_i: Opaque8


class PwdName(WireStruct, frozen=True, gc=False):
    """The user's name, encrypted in pwd_protect (RFC 8492 section 4.4)."""

    pwd_name: Opaque8


class PasswordSalt(WireStruct, frozen=True, gc=False):
    """The server's salt for the password (RFC 8492 section 4.4)."""

    salt: Opaque16


class SignatureSchemeList(WireStruct, frozen=True):
    """RFC 8446 section 4.2.3; RFC 9345 section 4.1.1 for delegated credentials."""

    supported_signature_algorithms: Annotated[tuple[SignatureScheme, ...], Length(2)]


class UseSrtp(WireStruct, frozen=True):
    """RFC 5764 section 4.1.1."""

    srtp_protection_profiles: Annotated[tuple[SrtpProtectionProfile, ...], Length(2)]
    srtp_mki: Opaque8


class EktCiphers(WireStruct, frozen=True):
    """The client's supported EKT ciphers for SRTP (RFC 8870 section 5.2.2)."""

    supported_ciphers: Annotated[tuple[EktCipher, ...], Length(1)]


class SelectedEktCipher(WireStruct, frozen=True, gc=False):
    """RFC 8870 section 5.2.2."""

    selected_cipher: EktCipher


class FlagExtensions(WireStruct, frozen=True, gc=False):
    """A bit string of flags, least significant bit of the first byte first (draft-ietf-tls-tlsflags section 2)."""

    flags: Opaque8


class Heartbeat(WireStruct, frozen=True, gc=False):
    """RFC 6520 section 2."""

    mode: HeartbeatMode


class TokenBindingParameters(WireStruct, frozen=True):
    """RFC 8472 section 2."""

    major: Uint8
    minor: Uint8
    key_parameters_list: Annotated[tuple[TokenBindingKeyParameter, ...], Length(1)]


class RecordSizeLimit(WireStruct, frozen=True, gc=False):
    """RFC 8449 section 4."""

    record_size_limit: Uint16


class PskIdentity(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.2.11."""

    identity: Opaque16
    obfuscated_ticket_age: Uint32


class OfferedPsks(WireStruct, frozen=True):
    """RFC 8446 section 4.2.11."""

    identities: Annotated[tuple[PskIdentity, ...], Length(2)]
    binders: Annotated[tuple[Opaque8, ...], Length(2)]


class SelectedPsk(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.2.11."""

    selected_identity: Uint16


class MaxEarlyDataSize(WireStruct, frozen=True, gc=False):
    """early_data in a NewSessionTicket (RFC 8446 section 4.2.10)."""

    max_early_data_size: Uint32


class SupportedVersions(WireStruct, frozen=True):
    """RFC 8446 section 4.2.1."""

    versions: Annotated[tuple[Version, ...], Length(1)]


class SelectedVersion(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.2.1."""

    selected_version: Version


class Cookie(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.2.2."""

    cookie: Opaque16


class PskKeyExchangeModes(WireStruct, frozen=True):
    """RFC 8446 section 4.2.9."""

    ke_modes: Annotated[tuple[PskMode, ...], Length(1)]


class KeyShareEntry(WireStruct, frozen=True, gc=False):
    """A key share. A ServerHello contains exactly one (RFC 8446 section 4.2.8)."""

    group: Group
    key_exchange: Opaque16


class KeyShares(WireStruct, frozen=True):
    """The client's shares (RFC 8446 section 4.2.8)."""

    client_shares: Annotated[tuple[KeyShareEntry, ...], Length(2)]


class SelectedGroup(WireStruct, frozen=True, gc=False):
    """key_share of a HelloRetryRequest (RFC 8446 section 4.2.8)."""

    selected_group: Group


class ConnectionId(WireStruct, frozen=True, gc=False):
    """RFC 9146 section 3."""

    cid: Opaque8


class ExternalIdHash(WireStruct, frozen=True, gc=False):
    """RFC 8844 section 3.2."""

    binding_hash: Opaque8


class ExternalSessionId(WireStruct, frozen=True, gc=False):
    """RFC 8844 section 4.2."""

    session_id: Opaque8


class TicketRequest(WireStruct, frozen=True, gc=False):
    """RFC 9149 section 3."""

    new_session_count: Uint8
    resumption_count: Uint8


class TicketRequestHint(WireStruct, frozen=True, gc=False):
    """RFC 9149 section 3."""

    expected_count: Uint8


class RenegotiationInfo(WireStruct, frozen=True, gc=False):
    """Empty in a first handshake (RFC 5746 section 3.2)."""

    renegotiated_connection: Opaque8
