"""Extension bodies for server names, application protocols and certificate types."""

from typing import Annotated, Final

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
from tlsdissect.tls.layout import Known, Length, Opaque8, Opaque16, Opaque24, Select, Size, Uint32, When, WireStruct


class ServerName(WireStruct, frozen=True, gc=False):
    """RFC 6066 section 3."""

    name_type: NameType
    host_name: Opaque16


class ServerNameList(WireStruct, frozen=True):
    """RFC 6066 section 3."""

    server_name_list: Annotated[tuple[ServerName, ...], Length(2)]


class ProtocolNameList(WireStruct, frozen=True):
    """RFC 7301 section 3.1; draft-vvv-tls-alps-01 section 4 uses it too."""

    protocol_name_list: Annotated[tuple[Opaque8, ...], Length(2)]


class NextProtocols(WireStruct, frozen=True):
    """The server's protocols, a list without a length prefix (draft-agl-tls-nextprotoneg-04 section 3)."""

    protocols: tuple[Opaque8, ...]


class TrustedAuthority(WireStruct, frozen=True, gc=False):
    """RFC 6066 section 6."""

    identifier_type: Annotated[CaIdentifierType, Known("authority identifier type", (0, 1, 2, 3))]
    sha1_hash: Annotated[bytes | None, Size(20), When("identifier_type", (1, 3))]
    distinguished_name: Annotated[bytes | None, Length(2), When("identifier_type", (2,))]


class TrustedAuthorities(WireStruct, frozen=True):
    """RFC 6066 section 6."""

    trusted_authorities_list: Annotated[tuple[TrustedAuthority, ...], Length(2)]


class OcspStatusRequest(WireStruct, frozen=True):
    """RFC 6066 section 8."""

    responder_id_list: Annotated[tuple[Opaque16, ...], Length(2)]
    request_extensions: Opaque16


class CertificateStatusRequest(WireStruct, frozen=True):
    """RFC 6066 section 8; requests of other types stay bytes."""

    status_type: StatusTypeNumber
    request: Annotated[
        OcspStatusRequest | bytes,
        Select("status_type", {StatusType.OCSP: OcspStatusRequest}),
    ]


_OCSP: Final = (StatusType.OCSP, StatusType.OCSP_MULTI)


class CertificateStatusRequestItemV2(WireStruct, frozen=True):
    """RFC 6961 section 2.2; requests of other types stay bytes."""

    status_type: StatusTypeNumber
    request: Annotated[
        OcspStatusRequest | bytes,
        Length(2),
        Select("status_type", dict.fromkeys(StatusType, OcspStatusRequest)),
    ]


class CertificateStatusRequestListV2(WireStruct, frozen=True):
    """RFC 6961 section 2.2."""

    certificate_status_req_list: Annotated[tuple[CertificateStatusRequestItemV2, ...], Length(2)]


class CertificateTypes(WireStruct, frozen=True):
    """The client's certificate types (RFC 7250 section 3, RFC 6091 section 3.1)."""

    certificate_types: Annotated[tuple[CertificateType, ...], Length(1)]


class SelectedCertificateType(WireStruct, frozen=True, gc=False):
    """The certificate type that the server chose (RFC 7250 section 3, RFC 6091 section 3.2)."""

    certificate_type: CertificateType


class UserMappingTypeList(WireStruct, frozen=True):
    """RFC 4681 section 3."""

    user_mapping_types: Annotated[tuple[UserMappingType, ...], Length(1)]


class AuthorizationDataFormats(WireStruct, frozen=True):
    """RFC 5878 section 2.3."""

    authz_format_list: Annotated[tuple[AuthorizationDataFormat, ...], Length(1)]


class CachedObject(WireStruct, frozen=True, gc=False):
    """RFC 7924 section 3."""

    type: CachedInformationType
    hash_value: Opaque8


class CachedInformation(WireStruct, frozen=True):
    """Hashes of the objects in the client's cache (RFC 7924 section 3)."""

    cached_info: Annotated[tuple[CachedObject, ...], Length(2)]


class CachedInformationTypes(WireStruct, frozen=True):
    """The objects that the server omits (RFC 7924 section 3)."""

    cached_info: Annotated[tuple[CachedInformationType, ...], Length(2)]


class CertificateCompressionAlgorithms(WireStruct, frozen=True):
    """RFC 8879 section 3."""

    algorithms: Annotated[tuple[CertificateCompressionAlgorithm, ...], Length(1)]


class DelegatedCredential(WireStruct, frozen=True, gc=False):
    """A key signed by the certificate's key (RFC 9345 section 4)."""

    valid_time: Uint32
    dc_cert_verify_algorithm: SignatureScheme
    subject_public_key_info: Opaque24
    algorithm: SignatureScheme
    signature: Opaque16


class CertificateAuthorities(WireStruct, frozen=True):
    """DER names (RFC 8446 section 4.2.4)."""

    authorities: Annotated[tuple[Opaque16, ...], Length(2)]


class OidFilter(WireStruct, frozen=True, gc=False):
    """RFC 8446 section 4.2.5."""

    certificate_extension_oid: Opaque8
    certificate_extension_values: Opaque16


class OidFilters(WireStruct, frozen=True):
    """RFC 8446 section 4.2.5."""

    filters: Annotated[tuple[OidFilter, ...], Length(2)]
