# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""The ClientHello of TLS, DTLS and SSL 3.0, and the CLIENT-HELLO of SSL 2.0."""

from typing import Annotated, Self

from msgspec import Struct

from tlsdissect.tls.codepoints import CipherSuite, CompressionMethod, ExtensionNumber, Registry, Ssl2Message, Version
from tlsdissect.tls.wire import Reader


class Extension(Struct, frozen=True, gc=False):
    """One extension with its undecoded body (RFC 8446 section 4.2)."""

    extension_type: ExtensionNumber
    extension_data: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u16(), r.sized(2))


def extension_list(r: Reader) -> tuple[Extension, ...]:
    """Read a vector of extensions, stopping at the first malformed one."""
    extensions = r.tagged(Extension)
    return r.vector_until_error(2, Extension.read) if extensions is None else extensions


class ClientHello(Struct, frozen=True):
    """The ClientHello (RFC 8446 section 4.1.2; RFC 5246 section 7.4.1.2).

    In a malformed hello, fields after the error are None.
    """

    legacy_version: Version
    random: bytes
    legacy_session_id: bytes | None
    cipher_suites: tuple[CipherSuite, ...] | None
    legacy_compression_methods: tuple[CompressionMethod, ...] | None
    extensions: tuple[Extension, ...] | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            legacy_version=r.u16(),
            random=r.opaque(32),
            legacy_session_id=r.sized(1),
            cipher_suites=r.u16s(2),
            legacy_compression_methods=r.u8s(1),
            # May be absent before 1.3: RFC 5246 section 7.4.1.2.
            extensions=extension_list(r) if r else None,
        )

    @classmethod
    def read_beginning(cls, r: Reader) -> Self:
        """Read a malformed hello up to the first field whose length is wrong."""
        version, random = r.u16(), r.opaque(32)
        session_id = r.attempt(lambda: r.sized(1))
        cipher_suites = None if r.error else r.attempt(lambda: r.u16s(2))
        methods = None if r.error else r.attempt(lambda: r.u8s(1))
        extensions = extension_list(r) if r and not r.error else None
        return cls(version, random, session_id, cipher_suites, methods, extensions)


class DtlsClientHello(Struct, frozen=True):
    """The ClientHello of DTLS (RFC 6347 section 4.2.1; RFC 9147 section 5.3)."""

    legacy_version: Version
    random: bytes
    legacy_session_id: bytes
    legacy_cookie: bytes
    cipher_suites: tuple[CipherSuite, ...]
    legacy_compression_methods: tuple[CompressionMethod, ...]
    extensions: tuple[Extension, ...] | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            legacy_version=r.u16(),
            random=r.opaque(32),
            legacy_session_id=r.sized(1),
            legacy_cookie=r.sized(1),
            cipher_suites=r.u16s(2),
            legacy_compression_methods=r.u8s(1),
            # May be absent before 1.3: RFC 5246 section 7.4.1.2.
            extensions=extension_list(r) if r else None,
        )


class Ssl2ClientHello(Struct, frozen=True):
    """The CLIENT-HELLO of SSL 2.0, which can also offer later versions (RFC 5246 appendix E.2).

    The 2-byte record length is not part of it.
    """

    msg_type: Ssl2Message
    version: Version
    cipher_spec_length: int
    session_id_length: int
    challenge_length: int
    cipher_specs: tuple[Annotated[int, Registry.SSL2_CIPHER_KINDS], ...]
    session_id: bytes
    challenge: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            msg_type=r.u8(),
            version=r.u16(),
            cipher_spec_length=(cipher_spec_length := r.u16()),
            session_id_length=(session_id_length := r.u16()),
            challenge_length=(challenge_length := r.u16()),
            cipher_specs=r.part(cipher_spec_length).items(Reader.u24),
            session_id=r.opaque(session_id_length),
            challenge=r.opaque(challenge_length),
        )
