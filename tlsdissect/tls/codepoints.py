"""Code points and their names: enums for those that code branches on, and the IANA registries in `iana/` for the rest.

A field that holds a code point is annotated with its registry (`Group = Annotated[int, Registry.GROUPS]`), so one
declaration serves naming and display. Numbers stay numbers until they are displayed, since an observer meets
unregistered values.
"""

import csv
from collections.abc import Sequence
from enum import Enum, IntEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Final

from tlsdissect.tls.code_point_lists import LONG_LIST, LongList, named, octets_of

GREASE: Final = frozenset(0x0A0A + 0x1010 * n for n in range(16))
"""RFC 8701 section 2: cipher suites, extensions, groups, signature schemes, versions."""
GREASE_PSK_MODES: Final = frozenset(0x0B + 0x1F * n for n in range(8))
"""RFC 8701 section 2: psk_key_exchange_modes, which are one byte wide."""

_FOLDER: Final = Path(__file__).parent / "iana"


def _is_quic_grease(file: str, number: int) -> bool:
    """Return whether QUIC reserves a version or a transport parameter as GREASE (RFC 9000 sections 15 and 18.1)."""
    if file == "quic_versions":
        return number & 0x0F0F0F0F == 0x0A0A0A0A
    return file == "quic_transport_parameters" and number % 31 == 27


@cache
def _hexadecimals() -> tuple[str, ...]:
    """Return the hexadecimal form of every two-byte number: 4 MB, once per process."""
    return tuple([f"0x{number:04x}" for number in range(1 << 16)])


class _Names(dict[int, str]):
    """The names of one registry, read from its file at the first lookup."""

    def __init__(self, file: str, digits: int) -> None:
        super().__init__()
        self._name = file
        self._is_read = False
        self._digits = digits
        self._table: list[str] | None = None
        """The names of all two-byte numbers, built on first use."""

    def __missing__(self, number: int) -> str:
        if not self._is_read:
            self._read(_FOLDER / f"{self._name}.csv")
            self._is_read = True
            return self[number]
        if _is_quic_grease(self._name, number):
            return "GREASE"
        return f"0x{number:0{self._digits}x}"

    def of(self, numbers: Sequence[int] | LongList) -> tuple[str, ...]:
        """Name each number of a list.

        Attacks send lists of 30,000 unregistered numbers. Long lists are looked up in a table of all names, which takes
        a tenth of the time and keeps each name in memory only once.
        """
        if len(numbers) < LONG_LIST or self._digits != 4:
            return tuple([self[number] for number in numbers])
        if self._table is None:
            # The first lookup reads the registry.
            _ = self[numbers[0]]
            self._table = [dict.get(self, number, hexadecimal) for number, hexadecimal in enumerate(_hexadecimals())]
        names: tuple[str, ...] = named(self._table, octets_of(numbers))
        return names

    def _read(self, path: Path) -> None:
        # Registries do not name the GREASE values; one-byte registries other than PSK modes have none (RFC 8701).
        grease = GREASE if self._digits == 4 else GREASE_PSK_MODES if path.stem == "psk_modes" else ()
        self.update(dict.fromkeys(grease, "GREASE"))
        with path.open(newline="", encoding="ascii") as file:
            self.update((int(row["value"], 16), row["name"]) for row in csv.DictReader(file))


class Registry(Enum):
    """An IANA registry: the name of its file, and the number of hexadecimal digits of its code points."""

    CONTENT_TYPES = ("content_types", 2)
    VERSIONS = ("versions", 4)
    HANDSHAKE_TYPES = ("handshake_types", 2)
    ALERT_LEVELS = ("alert_levels", 2)
    ALERTS = ("alerts", 2)
    CIPHER_SUITES = ("cipher_suites", 4)
    COMPRESSION_METHODS = ("compression_methods", 2)
    EXTENSIONS = ("extensions", 4)
    GROUPS = ("groups", 4)
    SIGNATURE_SCHEMES = ("signature_schemes", 4)
    HASH_ALGORITHMS = ("hash_algorithms", 2)
    SIGNATURE_ALGORITHMS = ("signature_algorithms", 2)
    EC_POINT_FORMATS = ("ec_point_formats", 2)
    EC_CURVE_TYPES = ("ec_curve_types", 2)
    EC_BASIS_TYPES = ("ec_basis_types", 2)
    PSK_MODES = ("psk_modes", 2)
    SERVER_NAME_TYPES = ("server_name_types", 2)
    MAX_FRAGMENT_LENGTHS = ("max_fragment_lengths", 2)
    CA_IDENTIFIER_TYPES = ("ca_identifier_types", 2)
    USER_MAPPING_TYPES = ("user_mapping_types", 2)
    AUTHORIZATION_DATA_FORMATS = ("authorization_data_formats", 2)
    SUPPLEMENTAL_DATA_FORMATS = ("supplemental_data_formats", 4)
    SRTP_PROTECTION_PROFILES = ("srtp_protection_profiles", 4)
    EKT_CIPHERS = ("ekt_ciphers", 2)
    HEARTBEAT_MODES = ("heartbeat_modes", 2)
    HEARTBEAT_MESSAGE_TYPES = ("heartbeat_message_types", 2)
    TOKEN_BINDING_KEY_PARAMETERS = ("token_binding_key_parameters", 2)
    CACHED_INFORMATION_TYPES = ("cached_information_types", 2)
    CERTIFICATE_TYPES = ("certificate_types", 2)
    CERTIFICATE_STATUS_TYPES = ("certificate_status_types", 2)
    CERTIFICATE_CHAIN_TYPES = ("certificate_chain_types", 2)
    CERTIFICATE_COMPRESSION_ALGORITHMS = ("certificate_compression_algorithms", 4)
    CLIENT_CERTIFICATE_TYPES = ("client_certificate_types", 2)
    KEY_UPDATE_REQUESTS = ("key_update_requests", 2)
    ECH_CLIENT_HELLO_TYPES = ("ech_client_hello_types", 2)
    HPKE_KEMS = ("hpke_kems", 4)
    HPKE_KDFS = ("hpke_kdfs", 4)
    HPKE_AEADS = ("hpke_aeads", 4)
    TRANSPARENCY_ITEM_TYPES = ("transparency_item_types", 4)
    DNS_TYPES = ("dns_types", 4)
    QUIC_TRANSPORT_PARAMETERS = ("quic_transport_parameters", 2)
    QUIC_VERSIONS = ("quic_versions", 8)
    QUIC_FRAME_TYPES = ("quic_frame_types", 2)
    QUIC_TRANSPORT_ERRORS = ("quic_transport_errors", 4)
    EAPOL_TYPES = ("eapol_types", 2)
    EAP_CODES = ("eap_codes", 2)
    EAP_TYPES = ("eap_types", 2)
    RADIUS_CODES = ("radius_codes", 2)
    RADIUS_TYPES = ("radius_types", 2)
    SSL2_MESSAGES = ("ssl2_messages", 2)
    SSL2_ERRORS = ("ssl2_errors", 4)
    SSL2_CERTIFICATE_TYPES = ("ssl2_certificate_types", 2)
    SSL2_CIPHER_KINDS = ("ssl2_cipher_kinds", 6)

    def __init__(self, file: str, digits: int) -> None:
        self.names = _Names(file, digits)
        self.size = digits // 2
        """Bytes of a code point."""

    def number(self, name: str | None) -> int | None:
        """Return the code point of a name; None without a name, and for GREASE (RFC 8701), which has several."""
        if name is None or name == "GREASE":
            return None
        return int(name, 16) if name.startswith("0x") else self._numbers.get(name)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        # The first lookup reads the registry.
        _ = self.names[0]
        return {name: number for number, name in self.names.items()}


def name(registry: Registry, number: int) -> str:
    """Return the registered name of a number, or its hexadecimal form if it is not registered."""
    return registry.names[number]


def cipher_spec_name(cipher_spec: int) -> str:
    """Return the name of a 3-byte V2CipherSpec; TLS suites use its last two bytes (RFC 5246 appendix E.2)."""
    registry = Registry.CIPHER_SUITES if cipher_spec < 0x10000 else Registry.SSL2_CIPHER_KINDS
    return registry.names[cipher_spec]


ContentTypeNumber = Annotated[int, Registry.CONTENT_TYPES]
Version = Annotated[int, Registry.VERSIONS]
HandshakeTypeNumber = Annotated[int, Registry.HANDSHAKE_TYPES]
AlertLevel = Annotated[int, Registry.ALERT_LEVELS]
AlertDescription = Annotated[int, Registry.ALERTS]
CipherSuite = Annotated[int, Registry.CIPHER_SUITES]
CompressionMethod = Annotated[int, Registry.COMPRESSION_METHODS]
ExtensionNumber = Annotated[int, Registry.EXTENSIONS]
Group = Annotated[int, Registry.GROUPS]
SignatureScheme = Annotated[int, Registry.SIGNATURE_SCHEMES]
PointFormat = Annotated[int, Registry.EC_POINT_FORMATS]
CurveTypeNumber = Annotated[int, Registry.EC_CURVE_TYPES]
BasisTypeNumber = Annotated[int, Registry.EC_BASIS_TYPES]
PskMode = Annotated[int, Registry.PSK_MODES]
NameType = Annotated[int, Registry.SERVER_NAME_TYPES]
MaxFragmentLengthCode = Annotated[int, Registry.MAX_FRAGMENT_LENGTHS]
CaIdentifierType = Annotated[int, Registry.CA_IDENTIFIER_TYPES]
UserMappingType = Annotated[int, Registry.USER_MAPPING_TYPES]
AuthorizationDataFormat = Annotated[int, Registry.AUTHORIZATION_DATA_FORMATS]
SupplementalDataFormat = Annotated[int, Registry.SUPPLEMENTAL_DATA_FORMATS]
SrtpProtectionProfile = Annotated[int, Registry.SRTP_PROTECTION_PROFILES]
EktCipher = Annotated[int, Registry.EKT_CIPHERS]
HeartbeatMode = Annotated[int, Registry.HEARTBEAT_MODES]
HeartbeatMessageType = Annotated[int, Registry.HEARTBEAT_MESSAGE_TYPES]
TokenBindingKeyParameter = Annotated[int, Registry.TOKEN_BINDING_KEY_PARAMETERS]
CachedInformationType = Annotated[int, Registry.CACHED_INFORMATION_TYPES]
CertificateType = Annotated[int, Registry.CERTIFICATE_TYPES]
StatusTypeNumber = Annotated[int, Registry.CERTIFICATE_STATUS_TYPES]
CertificateChainType = Annotated[int, Registry.CERTIFICATE_CHAIN_TYPES]
CertificateCompressionAlgorithm = Annotated[int, Registry.CERTIFICATE_COMPRESSION_ALGORITHMS]
ClientCertificateType = Annotated[int, Registry.CLIENT_CERTIFICATE_TYPES]
KeyUpdateRequest = Annotated[int, Registry.KEY_UPDATE_REQUESTS]
EchClientHelloType = Annotated[int, Registry.ECH_CLIENT_HELLO_TYPES]
HpkeKem = Annotated[int, Registry.HPKE_KEMS]
HpkeKdf = Annotated[int, Registry.HPKE_KDFS]
HpkeAead = Annotated[int, Registry.HPKE_AEADS]
TransType = Annotated[int, Registry.TRANSPARENCY_ITEM_TYPES]
DnsType = Annotated[int, Registry.DNS_TYPES]
QuicTransportParameterId = Annotated[int, Registry.QUIC_TRANSPORT_PARAMETERS]
QuicVersion = Annotated[int, Registry.QUIC_VERSIONS]
QuicFrameType = Annotated[int, Registry.QUIC_FRAME_TYPES]
QuicTransportError = Annotated[int, Registry.QUIC_TRANSPORT_ERRORS]
EapolType = Annotated[int, Registry.EAPOL_TYPES]
EapCode = Annotated[int, Registry.EAP_CODES]
EapType = Annotated[int, Registry.EAP_TYPES]
RadiusCode = Annotated[int, Registry.RADIUS_CODES]
RadiusType = Annotated[int, Registry.RADIUS_TYPES]
Ssl2Message = Annotated[int, Registry.SSL2_MESSAGES]
Ssl2Error = Annotated[int, Registry.SSL2_ERRORS]
Ssl2CertificateType = Annotated[int, Registry.SSL2_CERTIFICATE_TYPES]
Ssl2CipherKind = Annotated[int, Registry.SSL2_CIPHER_KINDS]

RAW_PUBLIC_KEY: CertificateType = 2
"""RFC 7250 section 3."""


class HandshakeType(IntEnum):
    """RFC 8446 section 4 and appendix B.3."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    END_OF_EARLY_DATA = 5
    HELLO_RETRY_REQUEST = 6
    ENCRYPTED_EXTENSIONS = 8
    REQUEST_CONNECTION_ID = 9
    NEW_CONNECTION_ID = 10
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_URL = 21
    CERTIFICATE_STATUS = 22
    SUPPLEMENTAL_DATA = 23
    KEY_UPDATE = 24
    COMPRESSED_CERTIFICATE = 25
    NEXT_PROTOCOL = 67
    """draft-agl-tls-nextprotoneg-04 section 3; registered nowhere."""
    CHANNEL_ID = 203
    """draft-balfanz-tls-channelid-01 section 4; registered nowhere."""
    MESSAGE_HASH = 254


class StatusType(IntEnum):
    """RFC 6066 section 8, RFC 6961 section 2.2."""

    OCSP = 1
    OCSP_MULTI = 2


class CurveType(IntEnum):
    """RFC 8422 section 5.4; RFC 4492 for the explicit types."""

    EXPLICIT_PRIME = 1
    EXPLICIT_CHAR2 = 2
    NAMED_CURVE = 3


class ExtensionType(IntEnum):
    """Extensions that have a decoder or whose presence alone is significant."""

    SERVER_NAME = 0
    MAX_FRAGMENT_LENGTH = 1
    CLIENT_CERTIFICATE_URL = 2
    TRUSTED_CA_KEYS = 3
    TRUNCATED_HMAC = 4
    STATUS_REQUEST = 5
    USER_MAPPING = 6
    CLIENT_AUTHZ = 7
    SERVER_AUTHZ = 8
    CERT_TYPE = 9
    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SRP = 12
    SIGNATURE_ALGORITHMS = 13
    USE_SRTP = 14
    HEARTBEAT = 15
    APPLICATION_LAYER_PROTOCOL_NEGOTIATION = 16
    STATUS_REQUEST_V2 = 17
    SIGNED_CERTIFICATE_TIMESTAMP = 18
    CLIENT_CERTIFICATE_TYPE = 19
    SERVER_CERTIFICATE_TYPE = 20
    PADDING = 21
    ENCRYPT_THEN_MAC = 22
    EXTENDED_MASTER_SECRET = 23
    TOKEN_BINDING = 24
    CACHED_INFO = 25
    TLS_LTS = 26
    COMPRESS_CERTIFICATE = 27
    RECORD_SIZE_LIMIT = 28
    PWD_PROTECT = 29
    PWD_CLEAR = 30
    PASSWORD_SALT = 31
    TICKET_PINNING = 32
    TLS_CERT_WITH_EXTERN_PSK = 33
    DELEGATED_CREDENTIAL = 34
    SESSION_TICKET = 35
    SUPPORTED_EKT_CIPHERS = 39
    KEY_SHARE_OLD = 40
    """key_share until draft 22 of TLS 1.3."""
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    COOKIE = 44
    PSK_KEY_EXCHANGE_MODES = 45
    TICKET_EARLY_DATA_INFO = 46
    """Maximum early data size of a ticket, until draft 19 of TLS 1.3."""
    CERTIFICATE_AUTHORITIES = 47
    OID_FILTERS = 48
    POST_HANDSHAKE_AUTH = 49
    SIGNATURE_ALGORITHMS_CERT = 50
    KEY_SHARE = 51
    TRANSPARENCY_INFO = 52
    CONNECTION_ID_OLD = 53
    """connection_id until draft 8 of RFC 9146."""
    CONNECTION_ID = 54
    EXTERNAL_ID_HASH = 55
    EXTERNAL_SESSION_ID = 56
    QUIC_TRANSPORT_PARAMETERS = 57
    TICKET_REQUEST = 58
    DNSSEC_CHAIN = 59
    RRC = 61
    TLS_FLAGS = 62
    NEXT_PROTOCOL_NEGOTIATION = 13172
    APPLICATION_SETTINGS_OLD = 17513
    APPLICATION_SETTINGS = 17613
    CHANNEL_ID_OLD = 30031
    CHANNEL_ID = 30032
    ECH_OUTER_EXTENSIONS = 0xFD00
    ENCRYPTED_CLIENT_HELLO = 0xFE0D
    RENEGOTIATION_INFO = 0xFF01
    ENCRYPTED_SERVER_NAME = 0xFFCE
    """draft-ietf-tls-esni-01 section 5; registered nowhere."""
    QUIC_TRANSPORT_PARAMETERS_DRAFT = 0xFFA5


def has_signature_schemes(version: int) -> bool:
    """Return whether signatures name their algorithm, as they do since TLS 1.2 and DTLS 1.2 (RFC 5246 section 4.7)."""
    # DTLS versions count down, and DTLS 1.0 corresponds to TLS 1.1: RFC 6347 section 4.1.
    return version <= 0xFEFD if version >= 0xFE00 else version >= 0x0303


EXPERIMENTS: Final = frozenset((0x7E01, 0x7E02, 0xFB1A, 0xFB17, 0xFB1E))
"""Version numbers under which browsers and a large site tested drafts of TLS 1.3."""


def is_tls13(version: int) -> bool:
    """Return whether a version is TLS 1.3 (RFC 8446 section 4.2.1), DTLS 1.3, or a draft or experiment of TLS 1.3."""
    return version in (0x0304, 0xFEFC) or version >> 8 == 0x7F or version in EXPERIMENTS
