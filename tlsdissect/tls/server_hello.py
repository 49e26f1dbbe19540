# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""ServerHello, HelloRetryRequest, HelloVerifyRequest, EncryptedExtensions and the SERVER-HELLO of SSL 2.0."""

from typing import Final, Self

from msgspec import Struct

from tlsdissect.tls.client_hello import Extension, extension_list
from tlsdissect.tls.codepoints import (
    CipherSuite,
    CompressionMethod,
    Ssl2CertificateType,
    Ssl2CipherKind,
    Ssl2Message,
    Version,
)
from tlsdissect.tls.wire import Reader

RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The SHA-256 of "HelloRetryRequest": RFC 8446 section 4.1.3."""
LAST_SHORT_DRAFT: Final = 0x7F15
"""Draft 21 of TLS 1.3, the last one whose ServerHello has no session id and compression method."""


class ServerHello(Struct, frozen=True):
    """The ServerHello (RFC 8446 section 4.1.3; RFC 5246 section 7.4.1.3)."""

    legacy_version: Version
    random: bytes
    legacy_session_id_echo: bytes | None
    cipher_suite: CipherSuite
    legacy_compression_method: CompressionMethod | None
    extensions: tuple[Extension, ...] | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            legacy_version=(legacy_version := r.u16()),
            random=r.opaque(32),
            legacy_session_id_echo=None if (short := _is_short(legacy_version, r)) else r.sized(1),
            cipher_suite=r.u16(),
            legacy_compression_method=None if short else r.u8(),
            # May be absent before 1.3: RFC 5246 section 7.4.1.3.
            extensions=extension_list(r) if r else None,
        )

    @property
    def is_hello_retry_request(self) -> bool:
        """Whether this is a HelloRetryRequest (RFC 8446 section 4.1.3)."""
        return self.random == RETRY_RANDOM


def _is_short(version: int, r: Reader) -> bool:
    """Return whether only the suite and extensions follow (draft-ietf-tls-tls13-21 section 4.1.3).

    Before draft 22 legacy_version could be 0x0304, which later versions forbid. For that value the length of the
    extensions decides.
    """
    if version == 0x0304:
        return len(r) >= 4 and int.from_bytes(r.peek(4)[2:], "big") == len(r) - 4
    return 0x7F00 <= version <= LAST_SHORT_DRAFT


class HelloRetryRequest(Struct, frozen=True):
    """HelloRetryRequest as a separate message, until draft 21 of TLS 1.3 (draft-ietf-tls-tls13-21 section 4.1.4)."""

    server_version: Version
    cipher_suite: CipherSuite | None
    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            server_version=(server_version := r.u16()),
            # Since draft 19.
            cipher_suite=r.u16() if server_version >= 0x7F13 else None,
            extensions=extension_list(r),
        )


class HelloVerifyRequest(Struct, frozen=True, gc=False):
    """A DTLS server's cookie, by which the client proves its address (RFC 6347 section 4.2.1)."""

    server_version: Version
    cookie: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(server_version=r.u16(), cookie=r.sized(1))


class EncryptedExtensions(Struct, frozen=True):
    """Server extensions that are sent encrypted (RFC 8446 section 4.3.1)."""

    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(extensions=extension_list(r))


class Ssl2ServerHello(Struct, frozen=True):
    """The SERVER-HELLO of SSL 2.0 (draft-hickman-netscape-ssl-00 section 5.5), after the 2-byte record length."""

    msg_type: Ssl2Message
    session_id_hit: int
    certificate_type: Ssl2CertificateType
    server_version: Version
    certificate_length: int
    cipher_specs_length: int
    connection_id_length: int
    certificate: bytes
    cipher_specs: tuple[Ssl2CipherKind, ...]
    connection_id: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            msg_type=r.u8(),
            session_id_hit=r.u8(),
            certificate_type=r.u8(),
            server_version=r.u16(),
            certificate_length=(certificate_length := r.u16()),
            cipher_specs_length=(cipher_specs_length := r.u16()),
            connection_id_length=(connection_id_length := r.u16()),
            certificate=r.opaque(certificate_length),
            cipher_specs=r.part(cipher_specs_length).items(Reader.u24),
            connection_id=r.opaque(connection_id_length),
        )
