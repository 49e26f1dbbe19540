# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Extension bodies for server names, application protocols and certificate types."""

from typing import Self

from msgspec import Struct

from tlsdissect.tls.certificate import opaque16
from tlsdissect.tls.codepoints import (
    AuthorizationDataFormat,
    CachedInformationType,
    CaIdentifierType,
    CertificateCompressionAlgorithm,
    CertificateType,
    NameType,
    SignatureScheme,
    StatusType,
    StatusTypeNumber,
    UserMappingType,
)
from tlsdissect.tls.wire import Reader, WireError


def opaque8(r: Reader) -> bytes:
    """Read `opaque item<0..2^8-1>`, for example a ProtocolName."""
    return r.sized(1)


class ServerName(Struct, frozen=True, gc=False):
    """RFC 6066 section 3."""

    name_type: NameType
    host_name: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(name_type=r.u8(), host_name=r.sized(2))


class ServerNameList(Struct, frozen=True):
    """RFC 6066 section 3."""

    server_name_list: tuple[ServerName, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(server_name_list=r.vector(2, ServerName.read))


class ProtocolNameList(Struct, frozen=True):
    """RFC 7301 section 3.1; draft-vvv-tls-alps-01 section 4 uses it too."""

    protocol_name_list: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(protocol_name_list=r.vector(2, opaque8))


class NextProtocols(Struct, frozen=True):
    """The server's protocols, a list without a length prefix (draft-agl-tls-nextprotoneg-04 section 3)."""

    protocols: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(protocols=r.items(opaque8))


class TrustedAuthority(Struct, frozen=True, gc=False):
    """RFC 6066 section 6."""

    identifier_type: CaIdentifierType
    sha1_hash: bytes | None
    distinguished_name: bytes | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        start = r.offset
        identifier_type = r.u8()
        if identifier_type > 3:
            raise WireError(f"unknown authority identifier type {identifier_type}", start)
        return cls(
            identifier_type=identifier_type,
            sha1_hash=r.opaque(20) if identifier_type in (1, 3) else None,
            distinguished_name=r.sized(2) if identifier_type == 2 else None,
        )


class TrustedAuthorities(Struct, frozen=True):
    """RFC 6066 section 6."""

    trusted_authorities_list: tuple[TrustedAuthority, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(trusted_authorities_list=r.vector(2, TrustedAuthority.read))


class OcspStatusRequest(Struct, frozen=True):
    """RFC 6066 section 8."""

    responder_id_list: tuple[bytes, ...]
    request_extensions: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(responder_id_list=r.vector(2, opaque16), request_extensions=r.sized(2))


class CertificateStatusRequest(Struct, frozen=True):
    """RFC 6066 section 8; requests of other types stay bytes."""

    status_type: StatusTypeNumber
    request: OcspStatusRequest | bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            status_type=(status_type := r.u8()),
            request=OcspStatusRequest.read(r) if status_type == StatusType.OCSP else r.rest(),
        )


class CertificateStatusRequestItemV2(Struct, frozen=True):
    """RFC 6961 section 2.2; requests of other types stay bytes."""

    status_type: StatusTypeNumber
    request: OcspStatusRequest | bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            status_type=(status_type := r.u8()),
            request=r.block(2).whole(OcspStatusRequest.read)
            if status_type in (StatusType.OCSP, StatusType.OCSP_MULTI)
            else r.sized(2),
        )


class CertificateStatusRequestListV2(Struct, frozen=True):
    """RFC 6961 section 2.2."""

    certificate_status_req_list: tuple[CertificateStatusRequestItemV2, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(certificate_status_req_list=r.vector(2, CertificateStatusRequestItemV2.read))


class CertificateTypes(Struct, frozen=True):
    """The client's certificate types (RFC 7250 section 3, RFC 6091 section 3.1)."""

    certificate_types: tuple[CertificateType, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(certificate_types=r.u8s(1))


class SelectedCertificateType(Struct, frozen=True, gc=False):
    """The certificate type that the server chose (RFC 7250 section 3, RFC 6091 section 3.2)."""

    certificate_type: CertificateType

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(certificate_type=r.u8())


class UserMappingTypeList(Struct, frozen=True):
    """RFC 4681 section 3."""

    user_mapping_types: tuple[UserMappingType, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(user_mapping_types=r.u8s(1))


class AuthorizationDataFormats(Struct, frozen=True):
    """RFC 5878 section 2.3."""

    authz_format_list: tuple[AuthorizationDataFormat, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(authz_format_list=r.u8s(1))


class CachedObject(Struct, frozen=True, gc=False):
    """RFC 7924 section 3."""

    type: CachedInformationType
    hash_value: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(type=r.u8(), hash_value=r.sized(1))


class CachedInformation(Struct, frozen=True):
    """Hashes of the objects in the client's cache (RFC 7924 section 3)."""

    cached_info: tuple[CachedObject, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(cached_info=r.vector(2, CachedObject.read))


class CachedInformationTypes(Struct, frozen=True):
    """The objects that the server omits (RFC 7924 section 3)."""

    cached_info: tuple[CachedInformationType, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(cached_info=r.u8s(2))


class CertificateCompressionAlgorithms(Struct, frozen=True):
    """RFC 8879 section 3."""

    algorithms: tuple[CertificateCompressionAlgorithm, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(algorithms=r.u16s(1))


class DelegatedCredential(Struct, frozen=True, gc=False):
    """A key signed by the certificate's key (RFC 9345 section 4)."""

    valid_time: int
    dc_cert_verify_algorithm: SignatureScheme
    subject_public_key_info: bytes
    algorithm: SignatureScheme
    signature: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            valid_time=r.u32(),
            dc_cert_verify_algorithm=r.u16(),
            subject_public_key_info=r.sized(3),
            algorithm=r.u16(),
            signature=r.sized(2),
        )


class CertificateAuthorities(Struct, frozen=True):
    """DER names (RFC 8446 section 4.2.4)."""

    authorities: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(authorities=r.vector(2, opaque16))


class OidFilter(Struct, frozen=True, gc=False):
    """RFC 8446 section 4.2.5."""

    certificate_extension_oid: bytes
    certificate_extension_values: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(certificate_extension_oid=r.sized(1), certificate_extension_values=r.sized(2))


class OidFilters(Struct, frozen=True):
    """RFC 8446 section 4.2.5."""

    filters: tuple[OidFilter, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(filters=r.vector(2, OidFilter.read))
