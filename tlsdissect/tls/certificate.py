# ruff: noqa: D102  # each `read` is the struct that its class cites, a line a field
"""Certificate, CertificateStatus, CertificateRequest, CertificateVerify and CertificateURL messages."""

from typing import Self

from msgspec import Struct

from tlsdissect.tls.client_hello import Extension, extension_list
from tlsdissect.tls.codepoints import (
    CertificateChainType,
    CertificateCompressionAlgorithm,
    ClientCertificateType,
    SignatureScheme,
    StatusType,
    StatusTypeNumber,
    has_signature_schemes,
)
from tlsdissect.tls.wire import Reader, WireError


def opaque16(r: Reader) -> bytes:
    """Read `opaque item<0..2^16-1>`, for example a DistinguishedName."""
    return r.sized(2)


def opaque24(r: Reader) -> bytes:
    """Read `opaque item<0..2^24-1>`, for example an ASN.1Cert or an OCSPResponse."""
    return r.sized(3)


class Certificate(Struct, frozen=True):
    """The Certificate message before TLS 1.3: X.509 certificates in DER (RFC 5246 section 7.4.2).

    If the list is truncated or its lengths are wrong, the certificates before the error are kept.
    """

    certificate_list: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(certificate_list=r.vector_until_error(3, opaque24))


class RawPublicKey(Struct, frozen=True, gc=False):
    """The Certificate message of type Raw Public Key: a SubjectPublicKeyInfo in DER (RFC 7250 section 3)."""

    subject_public_key_info: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(subject_public_key_info=r.sized(3))


class CertificateEntry(Struct, frozen=True):
    """One certificate with its extensions (RFC 8446 section 4.4.2)."""

    cert_data: bytes
    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(cert_data=r.sized(3), extensions=r.vector(2, Extension.read))


class Certificate13(Struct, frozen=True):
    """The Certificate message of TLS 1.3 (RFC 8446 section 4.4.2); errors are handled as in Certificate."""

    certificate_request_context: bytes
    certificate_list: tuple[CertificateEntry, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(
            certificate_request_context=r.sized(1),
            certificate_list=r.vector_until_error(3, CertificateEntry.read),
        )


class CompressedCertificate(Struct, frozen=True, gc=False):
    """A compressed Certificate13 (RFC 8879 section 4)."""

    algorithm: CertificateCompressionAlgorithm
    uncompressed_length: int
    compressed_certificate_message: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(algorithm=r.u16(), uncompressed_length=r.u24(), compressed_certificate_message=r.sized(3))


class CertificateStatus(Struct, frozen=True):
    """A stapled OCSP response (RFC 6066 section 8), or one per certificate (RFC 6961 section 2.2).

    An empty item in the list means that there is no response for that certificate.
    """

    status_type: StatusTypeNumber
    ocsp_response: bytes | None
    ocsp_response_list: tuple[bytes, ...] | None

    @classmethod
    def read(cls, r: Reader) -> Self:
        start = r.offset
        status_type = r.u8()
        if status_type not in (StatusType.OCSP, StatusType.OCSP_MULTI):
            raise WireError(f"unknown certificate status type {status_type}", start)
        return cls(
            status_type=status_type,
            ocsp_response=r.sized(3) if status_type == StatusType.OCSP else None,
            ocsp_response_list=r.vector(3, opaque24) if status_type == StatusType.OCSP_MULTI else None,
        )


class CertificateRequest(Struct, frozen=True):
    """A request for a client certificate (RFC 5246 section 7.4.4).

    It has no signature algorithms before TLS 1.2 (RFC 4346 section 7.4.4). Authorities are DER names.
    """

    certificate_types: tuple[ClientCertificateType, ...]
    supported_signature_algorithms: tuple[SignatureScheme, ...] | None
    certificate_authorities: tuple[bytes, ...]

    @classmethod
    def read(cls, r: Reader, version: int) -> Self:
        return cls(
            certificate_types=r.u8s(1),
            supported_signature_algorithms=r.u16s(2) if has_signature_schemes(version) else None,
            certificate_authorities=r.vector_until_error(2, opaque16),
        )


class CertificateRequest13(Struct, frozen=True):
    """The CertificateRequest of TLS 1.3 (RFC 8446 section 4.3.2)."""

    certificate_request_context: bytes
    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(certificate_request_context=r.sized(1), extensions=extension_list(r))


class CertificateVerify(Struct, frozen=True, gc=False):
    """Proof of possession of the private key (RFC 8446 section 4.4.3; RFC 5246 section 7.4.8)."""

    algorithm: SignatureScheme | None
    signature: bytes

    @classmethod
    def read(cls, r: Reader, version: int) -> Self:
        return cls(
            algorithm=r.u16() if has_signature_schemes(version) else None,
            signature=r.sized(2),
        )


class UrlAndHash(Struct, frozen=True, gc=False):
    """The URL of a certificate or a chain (RFC 6066 section 5)."""

    url: bytes
    padding: int
    sha1_hash: bytes

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(url=r.sized(2), padding=r.u8(), sha1_hash=r.opaque(20))


class CertificateUrl(Struct, frozen=True):
    """CertificateURL, which a client sends instead of its Certificate (RFC 6066 section 5)."""

    type: CertificateChainType
    url_and_hash_list: tuple[UrlAndHash, ...]

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(type=r.u8(), url_and_hash_list=r.vector(2, UrlAndHash.read))
