"""Certificate, CertificateStatus, CertificateRequest, CertificateVerify and CertificateURL messages."""

from typing import Annotated

from tlsdissect.tls.client_hello import Extension, Extensions
from tlsdissect.tls.codepoints import (
    CertificateChainType,
    CertificateCompressionAlgorithm,
    ClientCertificateType,
    SignatureScheme,
    StatusType,
    StatusTypeNumber,
    has_signature_schemes,
)
from tlsdissect.tls.layout import (
    Known,
    Length,
    Opaque8,
    Opaque16,
    Opaque24,
    Size,
    Uint8,
    Uint24,
    UntilError,
    When,
    WireStruct,
)


class Certificate(WireStruct, frozen=True):
    """The Certificate message before TLS 1.3: X.509 certificates in DER (RFC 5246 section 7.4.2).

    If the list is truncated or its lengths are wrong, the certificates before the error are kept.
    """

    certificate_list: Annotated[tuple[Opaque24, ...], Length(3), UntilError()]


class RawPublicKey(WireStruct, frozen=True, gc=False):
    """The Certificate message of type Raw Public Key: a SubjectPublicKeyInfo in DER (RFC 7250 section 3)."""

    subject_public_key_info: Opaque24


class CertificateEntry(WireStruct, frozen=True):
    """One certificate with its extensions (RFC 8446 section 4.4.2)."""

    cert_data: Opaque24
    extensions: Annotated[tuple[Extension, ...], Length(2)]


class Certificate13(WireStruct, frozen=True):
    """The Certificate message of TLS 1.3 (RFC 8446 section 4.4.2); errors are handled as in Certificate."""

    certificate_request_context: Opaque8
    certificate_list: Annotated[tuple[CertificateEntry, ...], Length(3), UntilError()]


class CompressedCertificate(WireStruct, frozen=True, gc=False):
    """A compressed Certificate13 (RFC 8879 section 4)."""

    algorithm: CertificateCompressionAlgorithm
    uncompressed_length: Uint24
    compressed_certificate_message: Opaque24


class CertificateStatus(WireStruct, frozen=True):
    """A stapled OCSP response (RFC 6066 section 8), or one per certificate (RFC 6961 section 2.2).

    An empty item in the list means that there is no response for that certificate.
    """

    status_type: Annotated[StatusTypeNumber, Known("certificate status type", tuple(StatusType))]
    ocsp_response: Annotated[bytes | None, Length(3), When("status_type", (StatusType.OCSP,))]
    ocsp_response_list: Annotated[tuple[Opaque24, ...] | None, Length(3), When("status_type", (StatusType.OCSP_MULTI,))]


class CertificateRequest(WireStruct, frozen=True):
    """A request for a client certificate (RFC 5246 section 7.4.4).

    It has no signature algorithms before TLS 1.2 (RFC 4346 section 7.4.4). Authorities are DER names.
    """

    certificate_types: Annotated[tuple[ClientCertificateType, ...], Length(1)]
    supported_signature_algorithms: Annotated[
        tuple[SignatureScheme, ...] | None, Length(2), When(has_signature_schemes)
    ]
    certificate_authorities: Annotated[tuple[Opaque16, ...], Length(2), UntilError()]


class CertificateRequest13(WireStruct, frozen=True):
    """The CertificateRequest of TLS 1.3 (RFC 8446 section 4.3.2)."""

    certificate_request_context: Opaque8
    extensions: Extensions


class CertificateVerify(WireStruct, frozen=True, gc=False):
    """Proof of possession of the private key (RFC 8446 section 4.4.3; RFC 5246 section 7.4.8)."""

    algorithm: Annotated[SignatureScheme | None, When(has_signature_schemes)]
    signature: Opaque16


class UrlAndHash(WireStruct, frozen=True, gc=False):
    """The URL of a certificate or a chain (RFC 6066 section 5)."""

    url: Opaque16
    padding: Uint8
    sha1_hash: Annotated[bytes, Size(20)]


class CertificateUrl(WireStruct, frozen=True):
    """CertificateURL, which a client sends instead of its Certificate (RFC 6066 section 5)."""

    type: CertificateChainType
    url_and_hash_list: Annotated[tuple[UrlAndHash, ...], Length(2)]
