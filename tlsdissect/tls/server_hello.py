"""ServerHello, HelloRetryRequest, HelloVerifyRequest, EncryptedExtensions and the SERVER-HELLO of SSL 2.0."""

from typing import Annotated, Final

from tlsdissect.tls.client_hello import Extensions
from tlsdissect.tls.codepoints import (
    CipherSuite,
    CompressionMethod,
    Ssl2CertificateType,
    Ssl2CipherKind,
    Ssl2Message,
    Version,
)
from tlsdissect.tls.layout import IF_BYTES_LEFT, Length, Opaque8, Size, Uint8, Uint16, When, WireStruct
from tlsdissect.tls.wire import Reader

RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The SHA-256 of "HelloRetryRequest": RFC 8446 section 4.1.3."""
LAST_SHORT_DRAFT: Final = 0x7F15
"""Draft 21 of TLS 1.3, the last one whose ServerHello has no session id and compression method."""


def _has_session_id(legacy_version: int, r: Reader) -> bool:
    """Return whether not only the suite and extensions follow (draft-ietf-tls-tls13-21 section 4.1.3).

    Before draft 22 legacy_version could be 0x0304, which later versions forbid. For that value the length of the
    extensions decides.
    """
    if legacy_version == 0x0304:
        return len(r) < 4 or int.from_bytes(r.peek(4)[2:], "big") != len(r) - 4
    return not 0x7F00 <= legacy_version <= LAST_SHORT_DRAFT


class ServerHello(WireStruct, frozen=True):
    """The ServerHello (RFC 8446 section 4.1.3; RFC 5246 section 7.4.1.3)."""

    legacy_version: Version
    random: Annotated[bytes, Size(32)]
    legacy_session_id_echo: Annotated[bytes | None, Length(1), When(_has_session_id)]
    cipher_suite: CipherSuite
    legacy_compression_method: Annotated[
        CompressionMethod | None, When(lambda legacy_session_id_echo: legacy_session_id_echo is not None)
    ]
    extensions: Annotated[Extensions | None, IF_BYTES_LEFT]
    """May be absent before TLS 1.3: RFC 5246 section 7.4.1.3."""

    @property
    def is_hello_retry_request(self) -> bool:
        """Whether this is a HelloRetryRequest (RFC 8446 section 4.1.3)."""
        return self.random == RETRY_RANDOM


class HelloRetryRequest(WireStruct, frozen=True):
    """HelloRetryRequest as a separate message, until draft 21 of TLS 1.3 (draft-ietf-tls-tls13-21 section 4.1.4)."""

    server_version: Version
    cipher_suite: Annotated[CipherSuite | None, When(lambda server_version: server_version >= 0x7F13)]
    """Since draft 19."""
    extensions: Extensions


class HelloVerifyRequest(WireStruct, frozen=True, gc=False):
    """A DTLS server's cookie, by which the client proves its address (RFC 6347 section 4.2.1)."""

    server_version: Version
    cookie: Opaque8


class EncryptedExtensions(WireStruct, frozen=True):
    """Server extensions that are sent encrypted (RFC 8446 section 4.3.1)."""

    extensions: Extensions


class Ssl2ServerHello(WireStruct, frozen=True):
    """The SERVER-HELLO of SSL 2.0 (draft-hickman-netscape-ssl-00 section 5.5), after the 2-byte record length."""

    msg_type: Ssl2Message
    session_id_hit: Uint8
    certificate_type: Ssl2CertificateType
    server_version: Version
    certificate_length: Uint16
    cipher_specs_length: Uint16
    connection_id_length: Uint16
    certificate: Annotated[bytes, Size("certificate_length")]
    cipher_specs: Annotated[tuple[Ssl2CipherKind, ...], Size("cipher_specs_length")]
    connection_id: Annotated[bytes, Size("connection_id_length")]
