"""Extension bodies of Encrypted Client Hello and QUIC."""

from typing import Annotated, Final, TypeAlias

from tlsdissect.tls.client_hello import Extension
from tlsdissect.tls.codepoints import (
    CipherSuite,
    EchClientHelloType,
    ExtensionNumber,
    ExtensionType,
    HpkeAead,
    HpkeKdf,
    HpkeKem,
    QuicTransportParameterId,
    QuicVersion,
)
from tlsdissect.tls.extension_keys import KeyShareEntry
from tlsdissect.tls.layout import (
    Known,
    Length,
    Opaque8,
    Opaque16,
    Select,
    Size,
    Uint,
    Uint8,
    Uint16,
    Varint,
    When,
    WireStruct,
)
from tlsdissect.tls.wire import Reader


class HpkeSymmetricCipherSuite(WireStruct, frozen=True, gc=False):
    """RFC 9849 section 4."""

    kdf_id: HpkeKdf
    aead_id: HpkeAead


_OUTER: Final = When("type", (0,))


class EchClientHello(WireStruct, frozen=True):
    """encrypted_client_hello of an outer hello, or of an inner one, which has only the type (RFC 9849 section 5)."""

    type: Annotated[EchClientHelloType, Known("encrypted_client_hello type", (0, 1))]
    cipher_suite: Annotated[HpkeSymmetricCipherSuite | None, _OUTER]
    config_id: Annotated[Uint8 | None, _OUTER]
    enc: Annotated[bytes | None, Length(2), _OUTER]
    payload: Annotated[bytes | None, Length(2), _OUTER]


class ClientEncryptedSni(WireStruct, frozen=True):
    """Encrypted SNI, the predecessor of Encrypted Client Hello (draft-ietf-tls-esni-01 section 5)."""

    suite: CipherSuite
    key_share: KeyShareEntry
    record_digest: Opaque16
    encrypted_sni: Opaque16


class EchConfigContents(WireStruct, frozen=True):
    """RFC 9849 section 4."""

    config_id: Uint8
    kem_id: HpkeKem
    public_key: Opaque16
    cipher_suites: Annotated[tuple[HpkeSymmetricCipherSuite, ...], Length(2)]
    maximum_name_length: Uint8
    public_name: Opaque8
    extensions: Annotated[tuple[Extension, ...], Length(2)]


class EchConfig(WireStruct, frozen=True):
    """RFC 9849 section 4; the contents of other versions stay bytes."""

    version: ExtensionNumber
    contents: Annotated[
        EchConfigContents | bytes,
        Length(2),
        Select("version", {ExtensionType.ENCRYPTED_CLIENT_HELLO: EchConfigContents}),
    ]


class EchRetryConfigs(WireStruct, frozen=True):
    """encrypted_client_hello in EncryptedExtensions (RFC 9849 section 5)."""

    retry_configs: Annotated[tuple[EchConfig, ...], Length(2)]


class EchConfirmation(WireStruct, frozen=True, gc=False):
    """encrypted_client_hello in a HelloRetryRequest (RFC 9849 section 5)."""

    confirmation: Annotated[bytes, Size(8)]


class EchOuterExtensions(WireStruct, frozen=True):
    """Extensions that the inner hello copies from the outer one (RFC 9849 section 5.1)."""

    outer_extensions: Annotated[tuple[ExtensionNumber, ...], Length(1)]


class PreferredAddress(WireStruct, frozen=True, gc=False):
    """The address to which a server asks the client to migrate (RFC 9000 section 18.2)."""

    ipv4_address: Annotated[bytes, Size(4)]
    ipv4_port: Uint16
    ipv6_address: Annotated[bytes, Size(16)]
    ipv6_port: Uint16
    connection_id: Opaque8
    stateless_reset_token: Annotated[bytes, Size(16)]


class VersionInformation(WireStruct, frozen=True):
    """RFC 9368 section 3."""

    chosen_version: QuicVersion
    available_versions: tuple[QuicVersion, ...]


Parameter: TypeAlias = int | bytes | PreferredAddress | VersionInformation
_NUMBERS: Final = (0x01, *range(0x03, 0x0C), 0x0E, 0x20, 0x3127)
"""RFC 9000 section 18.2, RFC 9221 section 3; initial_rtt is Google's."""
_NUMERIC: Final = dict.fromkeys(_NUMBERS, Annotated[int, Varint()])
_VALUES: Final = {
    **_NUMERIC,
    0x0D: PreferredAddress,
    0x11: VersionInformation,
}


class TransportParameter(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 18; values without known structure are bytes."""

    id: Annotated[QuicTransportParameterId, Varint()]
    length: Annotated[int, Varint()]
    value: Annotated[Parameter, Size("length"), Select("id", _VALUES)]


class OldTransportParameter(WireStruct, frozen=True, gc=False):
    """RFC 9000 section 18, with the numbers of 16 bits that drafts had until 26."""

    id: Annotated[QuicTransportParameterId, Uint(2)]
    length: Uint16
    value: Annotated[int | bytes, Size("length"), Select("id", _NUMERIC)]


_PARAMETERS: Final = tuple[TransportParameter, ...]
_OLD_PARAMETERS: Final = Annotated[tuple[OldTransportParameter, ...], Length(2)]


def _parameters(r: Reader) -> object:
    # Until draft 26 the list began with its length.
    old = len(r) > 2 and int.from_bytes(r.peek(2), "big") == len(r) - 2
    return _OLD_PARAMETERS if old else _PARAMETERS


class TransportParameters(WireStruct, frozen=True):
    """RFC 9000 section 18."""

    parameters: Annotated[tuple[TransportParameter | OldTransportParameter, ...], Select(_parameters)]
