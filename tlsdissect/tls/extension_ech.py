# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Extension bodies of Encrypted Client Hello and QUIC."""

from collections.abc import Callable
from typing import Final, Self, TypeAlias

from msgspec import Struct

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
)
from tlsdissect.tls.extension_keys import KeyShareEntry
from tlsdissect.tls.wire import Reader, WireError


class HpkeSymmetricCipherSuite(Struct, frozen=True, gc=False):
    """RFC 9849 section 4."""

    kdf_id: HpkeKdf
    aead_id: HpkeAead

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(kdf_id=r.u16(), aead_id=r.u16())


class EchClientHello(Struct, frozen=True):
    """encrypted_client_hello of an outer hello, or of an inner one, which has only the type (RFC 9849 section 5)."""

    type: EchClientHelloType
    cipher_suite: HpkeSymmetricCipherSuite | None
    config_id: int | None
    enc: bytes | None
    payload: bytes | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        start = r.offset
        ech_type = r.u8()
        if ech_type > 1:
            raise WireError(f"unknown encrypted_client_hello type {ech_type}", start)
        outer = ech_type == 0
        return cls(
            type=ech_type,
            cipher_suite=HpkeSymmetricCipherSuite.read(r) if outer else None,
            config_id=r.u8() if outer else None,
            enc=r.sized(2) if outer else None,
            payload=r.sized(2) if outer else None,
        )


class ClientEncryptedSni(Struct, frozen=True):
    """Encrypted SNI, the predecessor of Encrypted Client Hello (draft-ietf-tls-esni-01 section 5)."""

    suite: CipherSuite
    key_share: KeyShareEntry
    record_digest: bytes
    encrypted_sni: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(suite=r.u16(), key_share=KeyShareEntry.read(r), record_digest=r.sized(2), encrypted_sni=r.sized(2))


class EchConfigContents(Struct, frozen=True):
    """RFC 9849 section 4."""

    config_id: int
    kem_id: HpkeKem
    public_key: bytes
    cipher_suites: tuple[HpkeSymmetricCipherSuite, ...]
    maximum_name_length: int
    public_name: bytes
    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            config_id=r.u8(),
            kem_id=r.u16(),
            public_key=r.sized(2),
            cipher_suites=r.vector(2, HpkeSymmetricCipherSuite.read),
            maximum_name_length=r.u8(),
            public_name=r.sized(1),
            extensions=r.vector(2, Extension.read),
        )


class EchConfig(Struct, frozen=True):
    """RFC 9849 section 4; the contents of other versions stay bytes."""

    version: ExtensionNumber
    contents: EchConfigContents | bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            version=(version := r.u16()),
            contents=r.block(2).whole(EchConfigContents.read)
            if version == ExtensionType.ENCRYPTED_CLIENT_HELLO
            else r.sized(2),
        )


class EchRetryConfigs(Struct, frozen=True):
    """encrypted_client_hello in EncryptedExtensions (RFC 9849 section 5)."""

    retry_configs: tuple[EchConfig, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(retry_configs=r.vector(2, EchConfig.read))


class EchConfirmation(Struct, frozen=True, gc=False):
    """encrypted_client_hello in a HelloRetryRequest (RFC 9849 section 5)."""

    confirmation: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(confirmation=r.opaque(8))


class EchOuterExtensions(Struct, frozen=True):
    """Extensions that the inner hello copies from the outer one (RFC 9849 section 5.1)."""

    outer_extensions: tuple[ExtensionNumber, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(outer_extensions=r.u16s(1))


class PreferredAddress(Struct, frozen=True, gc=False):
    """The address to which a server asks the client to migrate (RFC 9000 section 18.2)."""

    ipv4_address: bytes
    ipv4_port: int
    ipv6_address: bytes
    ipv6_port: int
    connection_id: bytes
    stateless_reset_token: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            ipv4_address=r.opaque(4),
            ipv4_port=r.u16(),
            ipv6_address=r.opaque(16),
            ipv6_port=r.u16(),
            connection_id=r.sized(1),
            stateless_reset_token=r.opaque(16),
        )


class VersionInformation(Struct, frozen=True):
    """RFC 9368 section 3."""

    chosen_version: int
    available_versions: tuple[int, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(chosen_version=r.u32(), available_versions=r.items(lambda item: item.u32()))


Parameter: TypeAlias = int | bytes | PreferredAddress | VersionInformation
_NUMBERS: Final = (0x01, *range(0x03, 0x0C), 0x0E, 0x20, 0x3127)
"""RFC 9000 section 18.2, RFC 9221 section 3; initial_rtt is Google's."""
_VALUES: Final[dict[int, Callable[[Reader], Parameter]]] = {
    **dict.fromkeys(_NUMBERS, lambda r: r.varint()),
    0x0D: PreferredAddress.read,
    0x11: VersionInformation.read,
}


class TransportParameter(Struct, frozen=True, gc=False):
    """RFC 9000 section 18; values without known structure are bytes."""

    id: QuicTransportParameterId
    length: int
    value: Parameter

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            id=(number := r.varint()),
            length=(length := r.varint()),
            value=r.part(length).whole(_VALUES.get(number, Reader.rest)),
        )

    @classmethod
    def read_old(cls, r: Reader) -> Self:
        """Read the struct of draft-ietf-quic-transport-26 section 18."""
        return cls(id=r.u16(), length=(length := r.u16()), value=r.opaque(length))


class TransportParameters(Struct, frozen=True):
    """RFC 9000 section 18."""

    parameters: tuple[TransportParameter, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        # Until draft 26 the list began with its length, and numbers had 16 bits.
        if len(r) > 2 and int.from_bytes(r.peek(2), "big") == len(r) - 2:
            return cls(parameters=r.vector(2, TransportParameter.read_old))
        return cls(parameters=r.items(TransportParameter.read))
