"""The ClientHello of TLS, DTLS and SSL 3.0, and the CLIENT-HELLO of SSL 2.0."""

from typing import Annotated, Self

from tlsdissect.tls.codepoints import (
    CipherSuite,
    CompressionMethod,
    ExtensionNumber,
    Ssl2CipherKind,
    Ssl2Message,
    Version,
)
from tlsdissect.tls.layout import (
    IF_BYTES_LEFT,
    Length,
    Opaque8,
    Opaque16,
    Size,
    Uint16,
    UntilError,
    WireStruct,
    read_beginning,
)
from tlsdissect.tls.wire import Reader


class Extension(WireStruct, frozen=True, gc=False):
    """One extension with its undecoded body (RFC 8446 section 4.2)."""

    extension_type: ExtensionNumber
    extension_data: Opaque16


Extensions = Annotated[tuple[Extension, ...], Length(2), UntilError()]


class ClientHello(WireStruct, frozen=True):
    """The ClientHello (RFC 8446 section 4.1.2; RFC 5246 section 7.4.1.2).

    In a malformed hello, fields after the error are None.
    """

    legacy_version: Version
    random: Annotated[bytes, Size(32)]
    legacy_session_id: Opaque8 | None
    cipher_suites: Annotated[tuple[CipherSuite, ...] | None, Length(2)]
    legacy_compression_methods: Annotated[tuple[CompressionMethod, ...] | None, Length(1)]
    extensions: Annotated[Extensions | None, IF_BYTES_LEFT]
    """May be absent before TLS 1.3: RFC 5246 section 7.4.1.2."""

    @classmethod
    def read_beginning(cls, r: Reader) -> Self:
        """Read a malformed hello up to the first field whose length is wrong."""
        return read_beginning(cls, r)


class DtlsClientHello(WireStruct, frozen=True):
    """The ClientHello of DTLS (RFC 6347 section 4.2.1; RFC 9147 section 5.3)."""

    legacy_version: Version
    random: Annotated[bytes, Size(32)]
    legacy_session_id: Opaque8
    legacy_cookie: Opaque8
    cipher_suites: Annotated[tuple[CipherSuite, ...], Length(2)]
    legacy_compression_methods: Annotated[tuple[CompressionMethod, ...], Length(1)]
    extensions: Annotated[Extensions | None, IF_BYTES_LEFT]
    """May be absent before TLS 1.3: RFC 5246 section 7.4.1.2."""


class Ssl2ClientHello(WireStruct, frozen=True):
    """The CLIENT-HELLO of SSL 2.0, which can also offer later versions (RFC 5246 appendix E.2).

    The 2-byte record length is not part of it.
    """

    msg_type: Ssl2Message
    version: Version
    cipher_spec_length: Uint16
    session_id_length: Uint16
    challenge_length: Uint16
    cipher_specs: Annotated[tuple[Ssl2CipherKind, ...], Size("cipher_spec_length")]
    session_id: Annotated[bytes, Size("session_id_length")]
    challenge: Annotated[bytes, Size("challenge_length")]
