"""Tables of extension body decoders by message and extension type.

To add one: give the type its name in `codepoints.ExtensionType`, declare its body as a WireStruct, one field a line, in
the `extension_*.py` module whose subject it is, and add it below to the table of each message that may have it. Facts
and `show` follow from that declaration (`facts/extensions.py`, `survey.py`).
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from tlsdissect.tls import certificate
from tlsdissect.tls import extension_ech as ech
from tlsdissect.tls import extension_keys as keys
from tlsdissect.tls import extension_names as names
from tlsdissect.tls import extension_proofs as proofs
from tlsdissect.tls.client_hello import Extension
from tlsdissect.tls.codepoints import ExtensionType as Type
from tlsdissect.tls.layout import WireStruct
from tlsdissect.tls.wire import Reader

Table: TypeAlias = Mapping[int, type[WireStruct]]

_EITHER_SIDE: Final[Table] = {
    Type.MAX_FRAGMENT_LENGTH: keys.MaxFragmentLength,
    Type.CLIENT_CERTIFICATE_URL: keys.Flag,
    Type.TRUNCATED_HMAC: keys.Flag,
    Type.USER_MAPPING: names.UserMappingTypeList,
    Type.CLIENT_AUTHZ: names.AuthorizationDataFormats,
    Type.SERVER_AUTHZ: names.AuthorizationDataFormats,
    Type.SUPPORTED_GROUPS: keys.NamedGroupList,
    Type.EC_POINT_FORMATS: keys.EcPointFormatList,
    Type.USE_SRTP: keys.UseSrtp,
    Type.HEARTBEAT: keys.Heartbeat,
    Type.APPLICATION_LAYER_PROTOCOL_NEGOTIATION: names.ProtocolNameList,
    Type.PADDING: keys.Opaque,
    Type.ENCRYPT_THEN_MAC: keys.Flag,
    Type.EXTENDED_MASTER_SECRET: keys.Flag,
    Type.TLS_LTS: keys.Flag,
    Type.TOKEN_BINDING: keys.TokenBindingParameters,
    Type.COMPRESS_CERTIFICATE: names.CertificateCompressionAlgorithms,
    Type.RECORD_SIZE_LIMIT: keys.RecordSizeLimit,
    Type.TLS_CERT_WITH_EXTERN_PSK: keys.Flag,
    Type.SESSION_TICKET: keys.Opaque,
    Type.EARLY_DATA: keys.Flag,
    Type.RRC: keys.Flag,
    Type.TLS_FLAGS: keys.FlagExtensions,
    Type.CONNECTION_ID: keys.ConnectionId,
    Type.CONNECTION_ID_OLD: keys.ConnectionId,
    Type.EXTERNAL_ID_HASH: keys.ExternalIdHash,
    Type.EXTERNAL_SESSION_ID: keys.ExternalSessionId,
    Type.QUIC_TRANSPORT_PARAMETERS: ech.TransportParameters,
    Type.QUIC_TRANSPORT_PARAMETERS_DRAFT: ech.TransportParameters,
    Type.CHANNEL_ID: keys.Flag,
    Type.CHANNEL_ID_OLD: keys.Flag,
    Type.RENEGOTIATION_INFO: keys.RenegotiationInfo,
}

FROM_CLIENT: Final[Table] = {
    **_EITHER_SIDE,
    Type.SERVER_NAME: names.ServerNameList,
    Type.TRUSTED_CA_KEYS: names.TrustedAuthorities,
    Type.STATUS_REQUEST: names.CertificateStatusRequest,
    Type.CERT_TYPE: names.CertificateTypes,
    Type.SRP: keys.Srp,
    Type.SIGNATURE_ALGORITHMS: keys.SignatureSchemeList,
    Type.STATUS_REQUEST_V2: names.CertificateStatusRequestListV2,
    Type.SIGNED_CERTIFICATE_TIMESTAMP: keys.Flag,
    Type.CLIENT_CERTIFICATE_TYPE: names.CertificateTypes,
    Type.SERVER_CERTIFICATE_TYPE: names.CertificateTypes,
    Type.CACHED_INFO: names.CachedInformation,
    Type.DELEGATED_CREDENTIAL: keys.SignatureSchemeList,
    Type.KEY_SHARE_OLD: keys.KeyShares,
    Type.PWD_PROTECT: keys.PwdName,
    Type.PWD_CLEAR: keys.PwdName,
    Type.PASSWORD_SALT: keys.PasswordSalt,
    Type.TICKET_PINNING: proofs.PinningTicket,
    Type.SUPPORTED_EKT_CIPHERS: keys.EktCiphers,
    Type.PRE_SHARED_KEY: keys.OfferedPsks,
    Type.SUPPORTED_VERSIONS: keys.SupportedVersions,
    Type.COOKIE: keys.Cookie,
    Type.PSK_KEY_EXCHANGE_MODES: keys.PskKeyExchangeModes,
    Type.CERTIFICATE_AUTHORITIES: names.CertificateAuthorities,
    Type.POST_HANDSHAKE_AUTH: keys.Flag,
    Type.SIGNATURE_ALGORITHMS_CERT: keys.SignatureSchemeList,
    Type.KEY_SHARE: keys.KeyShares,
    Type.TRANSPARENCY_INFO: keys.Flag,
    Type.TICKET_REQUEST: keys.TicketRequest,
    Type.DNSSEC_CHAIN: proofs.DnssecPort,
    Type.NEXT_PROTOCOL_NEGOTIATION: keys.Flag,
    Type.APPLICATION_SETTINGS: names.ProtocolNameList,
    Type.APPLICATION_SETTINGS_OLD: names.ProtocolNameList,
    Type.ECH_OUTER_EXTENSIONS: ech.EchOuterExtensions,
    Type.ENCRYPTED_CLIENT_HELLO: ech.EchClientHello,
    Type.ENCRYPTED_SERVER_NAME: ech.ClientEncryptedSni,
}
"""ClientHello."""

FROM_SERVER: Final[Table] = {
    **_EITHER_SIDE,
    Type.SERVER_NAME: keys.Flag,
    Type.TRUSTED_CA_KEYS: keys.Flag,
    Type.STATUS_REQUEST: keys.Flag,
    Type.CERT_TYPE: names.SelectedCertificateType,
    Type.STATUS_REQUEST_V2: keys.Flag,
    Type.SIGNED_CERTIFICATE_TIMESTAMP: proofs.SignedCertificateTimestampList,
    Type.CLIENT_CERTIFICATE_TYPE: names.SelectedCertificateType,
    Type.SERVER_CERTIFICATE_TYPE: names.SelectedCertificateType,
    Type.CACHED_INFO: names.CachedInformationTypes,
    Type.KEY_SHARE_OLD: keys.KeyShareEntry,
    Type.TICKET_PINNING: proofs.PinningProof,
    Type.SUPPORTED_EKT_CIPHERS: keys.SelectedEktCipher,
    Type.PRE_SHARED_KEY: keys.SelectedPsk,
    Type.SUPPORTED_VERSIONS: keys.SelectedVersion,
    Type.KEY_SHARE: keys.KeyShareEntry,
    Type.TRANSPARENCY_INFO: proofs.TransItemList,
    Type.TICKET_REQUEST: keys.TicketRequestHint,
    Type.DNSSEC_CHAIN: proofs.DnssecChain,
    Type.NEXT_PROTOCOL_NEGOTIATION: names.NextProtocols,
    Type.APPLICATION_SETTINGS: keys.Opaque,
    Type.APPLICATION_SETTINGS_OLD: keys.Opaque,
    Type.ENCRYPTED_CLIENT_HELLO: ech.EchRetryConfigs,
}
"""ServerHello and EncryptedExtensions."""

FROM_RETRY: Final[Table] = {
    Type.SUPPORTED_VERSIONS: keys.SelectedVersion,
    Type.COOKIE: keys.Cookie,
    Type.PASSWORD_SALT: keys.PasswordSalt,
    Type.KEY_SHARE: keys.SelectedGroup,
    Type.KEY_SHARE_OLD: keys.SelectedGroup,
    Type.ENCRYPTED_CLIENT_HELLO: ech.EchConfirmation,
    Type.TLS_FLAGS: keys.FlagExtensions,
}
"""HelloRetryRequest (RFC 8446 section 4.1.4)."""

FROM_CERTIFICATE_REQUEST: Final[Table] = {
    Type.STATUS_REQUEST: keys.Flag,
    Type.SIGNATURE_ALGORITHMS: keys.SignatureSchemeList,
    Type.SIGNED_CERTIFICATE_TIMESTAMP: keys.Flag,
    Type.COMPRESS_CERTIFICATE: names.CertificateCompressionAlgorithms,
    Type.DELEGATED_CREDENTIAL: keys.SignatureSchemeList,
    Type.CERTIFICATE_AUTHORITIES: names.CertificateAuthorities,
    Type.OID_FILTERS: names.OidFilters,
    Type.SIGNATURE_ALGORITHMS_CERT: keys.SignatureSchemeList,
    Type.TRANSPARENCY_INFO: keys.Flag,
    Type.TLS_FLAGS: keys.FlagExtensions,
}
"""CertificateRequest of TLS 1.3 (RFC 8446 section 4.3.2)."""

FROM_CERTIFICATE_ENTRY: Final[Table] = {
    Type.STATUS_REQUEST: certificate.CertificateStatus,
    Type.SIGNED_CERTIFICATE_TIMESTAMP: proofs.SignedCertificateTimestampList,
    Type.DELEGATED_CREDENTIAL: names.DelegatedCredential,
    Type.TRANSPARENCY_INFO: proofs.TransItemList,
    Type.TLS_FLAGS: keys.FlagExtensions,
}
"""CertificateEntry of TLS 1.3 (RFC 8446 section 4.4.2)."""

FROM_TICKET: Final[Table] = {
    Type.EARLY_DATA: keys.MaxEarlyDataSize,
    Type.TICKET_EARLY_DATA_INFO: keys.MaxEarlyDataSize,
    Type.TLS_FLAGS: keys.FlagExtensions,
}
"""NewSessionTicket of TLS 1.3 (RFC 8446 section 4.6.1)."""

DECODED: Final = frozenset().union(
    FROM_CLIENT, FROM_SERVER, FROM_RETRY, FROM_CERTIFICATE_REQUEST, FROM_CERTIFICATE_ENTRY, FROM_TICKET
)
"""Extension types that have a decoder in at least one message."""

MAX_ITEMS: Final = 1024
"""Structs in a list of an extension, such as names or key shares; an extension with more is not decoded."""
NEVER_REPEATED: Final = frozenset(
    {
        Type.COOKIE,
        Type.ENCRYPTED_CLIENT_HELLO,
        Type.ENCRYPTED_SERVER_NAME,
        Type.KEY_SHARE,
        Type.KEY_SHARE_OLD,
        Type.PRE_SHARED_KEY,
        Type.SESSION_TICKET,
        Type.QUIC_TRANSPORT_PARAMETERS,
        Type.SERVER_NAME,
    }
)
"""Extensions whose bodies vary from one hello of a client or server to the next."""


def decode(table: Table, extension_type: int, data: bytes) -> Struct | None:
    """Decode an extension body; None if the table has no decoder. Offsets in errors count from the body's start.

    TooManyItemsError if it has a list of more than MAX_ITEMS structs.
    """
    body = table.get(extension_type)
    if body is None:
        return None
    reader = Reader(data)
    reader.most_items = MAX_ITEMS
    return reader.whole(body.read)


def offsets(extensions: tuple[Extension, ...], end: int) -> tuple[int, ...]:
    """Return the offset of each body in a well-formed extension list that ends at `end`, the end of its message."""
    starts = []
    for extension in reversed(extensions):
        end -= len(extension.extension_data)
        starts.append(end)
        end -= 4
    return tuple(reversed(starts))
