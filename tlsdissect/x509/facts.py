"""The facts of certificates and OCSP responses, with the names of the JSON output."""

from __future__ import annotations

from msgspec import Struct


class Certificate(Struct, frozen=True, gc=False):
    """An X.509 certificate (RFC 5280). Each field is decoded by itself; one that cannot be decoded is None."""

    sha256: str
    bytes: int
    subject: str | None = None
    issuer: str | None = None
    serial: str | None = None
    not_before: str | None = None
    not_after: str | None = None
    key_type: str | None = None
    key_bits: int | None = None
    curve: str | None = None
    signature_algorithm: str | None = None
    dns_names: tuple[str, ...] | None = None
    ip_addresses: tuple[str, ...] | None = None
    is_ca: bool | None = None
    self_signed: bool | None = None
    must_staple: bool | None = None
    ocsp_urls: tuple[str, ...] | None = None
    crl_urls: tuple[str, ...] | None = None
    ca_issuer_urls: tuple[str, ...] | None = None
    scts: int | None = None
    acme_identifier: str | None = None
    version: int | None = None
    exponent: int | None = None
    """The public exponent of an RSA key."""
    email_addresses: tuple[str, ...] | None = None
    """The addresses of subjectAltName, without those in the subject."""
    uris: tuple[str, ...] | None = None
    path_length: int | None = None
    """Maximum number of authorities below this one; None if basicConstraints sets no limit."""


class OcspStaple(Struct, frozen=True, gc=False):
    """The OCSP response of a CertificateStatus (RFC 6960 section 4.2; RFC 6066 section 8)."""

    response_status: str | None = None
    cert_status: str | None = None
    serial: str | None = None
    this_update: str | None = None
    next_update: str | None = None
    produced_at: str | None = None
    revocation_time: str | None = None
    sha256: str | None = None
    """The SHA-256 of the whole response."""
