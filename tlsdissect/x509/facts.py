"""The facts of certificates and OCSP responses, with the names of the JSON output."""

from __future__ import annotations

from msgspec import Struct


class Certificate(Struct, frozen=True, gc=False):
    """An X.509 certificate (RFC 5280). Each field is decoded by itself; one that cannot be decoded is None."""

    sha256: str
    """The SHA-256 of the certificate."""
    bytes: int
    """Its length."""
    subject: str | None = None
    """The subject (RFC 4514)."""
    issuer: str | None = None
    """The issuer (RFC 4514)."""
    serial: str | None = None
    """The serial number, in hexadecimal."""
    not_before: str | None = None
    """When its validity begins."""
    not_after: str | None = None
    """When its validity ends."""
    key_type: str | None = None
    """Such as RSA or EC."""
    key_bits: int | None = None
    """The size of the key."""
    curve: str | None = None
    """The curve of the key."""
    signature_algorithm: str | None = None
    """The algorithm of the issuer's signature."""
    dns_names: tuple[str, ...] | None = None
    """DNS names for which it is valid."""
    ip_addresses: tuple[str, ...] | None = None
    """Addresses for which it is valid."""
    is_ca: bool | None = None
    """Whether it may issue certificates."""
    self_signed: bool | None = None
    """Whether it is signed with its own key."""
    must_staple: bool | None = None
    """Whether it requires an OCSP staple."""
    ocsp_urls: tuple[str, ...] | None = None
    """Where OCSP answers about it."""
    crl_urls: tuple[str, ...] | None = None
    """Where its issuer's CRL is."""
    ca_issuer_urls: tuple[str, ...] | None = None
    """Where its issuer's certificate is."""
    scts: int | None = None
    """Number of its signed certificate timestamps (RFC 6962)."""
    acme_identifier: str | None = None
    """The acmeIdentifier of a tls-alpn-01 challenge, in hexadecimal (RFC 8737 section 3)."""
    version: int | None = None
    """The version of X.509, from 1."""
    exponent: int | None = None
    """The public exponent of an RSA key."""
    email_addresses: tuple[str, ...] | None = None
    """The addresses of subjectAltName, without those in the subject."""
    uris: tuple[str, ...] | None = None
    """URIs for which it is valid."""
    path_length: int | None = None
    """Maximum number of authorities below this one; None if basicConstraints sets no limit."""


class OcspStaple(Struct, frozen=True, gc=False):
    """The OCSP response of a CertificateStatus (RFC 6960 section 4.2; RFC 6066 section 8)."""

    response_status: str | None = None
    """Such as successful."""
    cert_status: str | None = None
    """good, revoked or unknown."""
    serial: str | None = None
    """The serial number of the certificate, in hexadecimal."""
    this_update: str | None = None
    """When the status was known to be right."""
    next_update: str | None = None
    """When newer information will be available."""
    produced_at: str | None = None
    """When the response was signed."""
    revocation_time: str | None = None
    """When the certificate was revoked."""
    sha256: str | None = None
    """The SHA-256 of the whole response."""
