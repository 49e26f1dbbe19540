# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Extension bodies for versions, key exchange, sessions and record sizes."""

from typing import Self

from msgspec import Struct

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
from tlsdissect.tls.extension_names import opaque8
from tlsdissect.tls.wire import Reader


class Flag(Struct, frozen=True, gc=False):
    """An empty extension body (RFC 7627 section 5.1, RFC 7366 section 2, and others)."""

    @classmethod
    def read(cls, r: Reader) -> Self:  # noqa: ARG003  # `whole` rejects trailing bytes
        return cls()


class Opaque(Struct, frozen=True, gc=False):
    """Bytes without inner structure: a ticket (RFC 5077 section 3.2), padding (RFC 7685 section 3)."""

    data: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(data=r.rest())


class MaxFragmentLength(Struct, frozen=True, gc=False):
    """RFC 6066 section 4."""

    max_fragment_length: MaxFragmentLengthCode

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(max_fragment_length=r.u8())


class NamedGroupList(Struct, frozen=True):
    """RFC 8446 section 4.2.7; RFC 8422 section 5.1.1."""

    named_group_list: tuple[Group, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(named_group_list=r.u16s(2))


class EcPointFormatList(Struct, frozen=True):
    """RFC 8422 section 5.1.2."""

    ec_point_format_list: tuple[PointFormat, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ec_point_format_list=r.u8s(1))


class Srp(Struct, frozen=True, gc=False):
    """The user's name (RFC 5054 section 2.8.1)."""

    srp_i: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(srp_i=r.sized(1))


class PwdName(Struct, frozen=True, gc=False):
    """The user's name, encrypted in pwd_protect (RFC 8492 section 4.4)."""

    pwd_name: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(pwd_name=r.sized(1))


class PasswordSalt(Struct, frozen=True, gc=False):
    """The server's salt for the password (RFC 8492 section 4.4)."""

    salt: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(salt=r.sized(2))


class SignatureSchemeList(Struct, frozen=True):
    """RFC 8446 section 4.2.3; RFC 9345 section 4.1.1 for delegated credentials."""

    supported_signature_algorithms: tuple[SignatureScheme, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(supported_signature_algorithms=r.u16s(2))


class UseSrtp(Struct, frozen=True):
    """RFC 5764 section 4.1.1."""

    srtp_protection_profiles: tuple[SrtpProtectionProfile, ...]
    srtp_mki: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(srtp_protection_profiles=r.u16s(2), srtp_mki=r.sized(1))


class EktCiphers(Struct, frozen=True):
    """The client's supported EKT ciphers for SRTP (RFC 8870 section 5.2.2)."""

    supported_ciphers: tuple[EktCipher, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(supported_ciphers=r.u8s(1))


class SelectedEktCipher(Struct, frozen=True, gc=False):
    """RFC 8870 section 5.2.2."""

    selected_cipher: EktCipher

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(selected_cipher=r.u8())


class FlagExtensions(Struct, frozen=True, gc=False):
    """A bit string of flags, least significant bit of the first byte first (draft-ietf-tls-tlsflags section 2)."""

    flags: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(flags=r.sized(1))


class Heartbeat(Struct, frozen=True, gc=False):
    """RFC 6520 section 2."""

    mode: HeartbeatMode

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(mode=r.u8())


class TokenBindingParameters(Struct, frozen=True):
    """RFC 8472 section 2."""

    major: int
    minor: int
    key_parameters_list: tuple[TokenBindingKeyParameter, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(major=r.u8(), minor=r.u8(), key_parameters_list=r.u8s(1))


class RecordSizeLimit(Struct, frozen=True, gc=False):
    """RFC 8449 section 4."""

    record_size_limit: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(record_size_limit=r.u16())


class PskIdentity(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.2.11."""

    identity: bytes
    obfuscated_ticket_age: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(identity=r.sized(2), obfuscated_ticket_age=r.u32())


class OfferedPsks(Struct, frozen=True):
    """RFC 8446 section 4.2.11."""

    identities: tuple[PskIdentity, ...]
    binders: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(identities=r.vector(2, PskIdentity.read), binders=r.vector(2, opaque8))


class SelectedPsk(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.2.11."""

    selected_identity: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(selected_identity=r.u16())


class MaxEarlyDataSize(Struct, frozen=True, gc=False):
    """early_data in a NewSessionTicket (RFC 8446 section 4.2.10)."""

    max_early_data_size: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(max_early_data_size=r.u32())


class SupportedVersions(Struct, frozen=True):
    """RFC 8446 section 4.2.1."""

    versions: tuple[Version, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(versions=r.u16s(1))


class SelectedVersion(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.2.1."""

    selected_version: Version

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(selected_version=r.u16())


class Cookie(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.2.2."""

    cookie: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(cookie=r.sized(2))


class PskKeyExchangeModes(Struct, frozen=True):
    """RFC 8446 section 4.2.9."""

    ke_modes: tuple[PskMode, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(ke_modes=r.u8s(1))


class KeyShareEntry(Struct, frozen=True, gc=False):
    """One key share; a ServerHello has exactly one (RFC 8446 section 4.2.8)."""

    group: Group
    key_exchange: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(group=r.u16(), key_exchange=r.sized(2))


class KeyShares(Struct, frozen=True):
    """The client's shares (RFC 8446 section 4.2.8)."""

    client_shares: tuple[KeyShareEntry, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(client_shares=r.vector(2, KeyShareEntry.read))


class SelectedGroup(Struct, frozen=True, gc=False):
    """key_share of a HelloRetryRequest (RFC 8446 section 4.2.8)."""

    selected_group: Group

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(selected_group=r.u16())


class ConnectionId(Struct, frozen=True, gc=False):
    """RFC 9146 section 3."""

    cid: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(cid=r.sized(1))


class ExternalIdHash(Struct, frozen=True, gc=False):
    """RFC 8844 section 3.2."""

    binding_hash: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(binding_hash=r.sized(1))


class ExternalSessionId(Struct, frozen=True, gc=False):
    """RFC 8844 section 4.2."""

    session_id: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(session_id=r.sized(1))


class TicketRequest(Struct, frozen=True, gc=False):
    """RFC 9149 section 3."""

    new_session_count: int
    resumption_count: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(new_session_count=r.u8(), resumption_count=r.u8())


class TicketRequestHint(Struct, frozen=True, gc=False):
    """RFC 9149 section 3."""

    expected_count: int

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(expected_count=r.u8())


class RenegotiationInfo(Struct, frozen=True, gc=False):
    """Empty in a first handshake (RFC 5746 section 3.2)."""

    renegotiated_connection: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(renegotiated_connection=r.sized(1))
