"""Checks of a single certificate against RFC 5280 and the Baseline Requirements."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from tlsdissect.trust.details import SHA1, Details
from tlsdissect.trust.names import is_private
from tlsdissect.trust.rules import CertificateFinding
from tlsdissect.trust.times import format_time, lifetime, parse_time, to_second
from tlsdissect.trust.weak_keys import has_roca_shape
from tlsdissect.x509.libraries import dsa_cost_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Certificate

SOON = timedelta(days=30)
"""Remaining validity that counts as short; for short-lived certificates, a third of the lifetime."""
SAFE_BITS = {"RSA": 2048, "RSA-PSS": 2048, "EC": 256}
"""Minimum key sizes (BR section 6.1.5)."""
SAFE_EXPONENT = 1 << 16
"""A public exponent must be greater than this, and less than LARGEST_EXPONENT (BR section 6.1.6)."""
LARGEST_EXPONENT = 1 << 256

LIFETIMES = (
    ("2029-03-15", 47),
    ("2027-03-15", 100),
    ("2026-03-15", 200),
    ("2020-09-01", 398),
    ("2018-03-01", 825),
    ("2015-04-01", 1188),
    ("2012-07-01", 1827),
)
"""Maximum lifetime in days of a server certificate issued on or after a date (BR section 6.3.2).

The limits of 39 and 60 months are given as their largest number of days.
"""


def certificate_findings(certificate: Certificate, details: Details | None) -> Iterator[CertificateFinding]:
    """Report problems of a certificate that do not depend on its chain or on the time."""
    sha256 = certificate.sha256
    yield from _key(certificate)
    algorithm = certificate.signature_algorithm or ""
    by_sha1 = details is not None and details.pss_hash == SHA1
    if not certificate.self_signed and (by_sha1 or re.search(r"md2|md5|sha-?1(?![0-9])", algorithm, re.IGNORECASE)):
        yield CertificateFinding("weak_signature", f"signed with {algorithm}{' and SHA-1' if by_sha1 else ''}", sha256)
    if certificate.serial is not None and (certificate.serial.startswith("-") or not int(certificate.serial, 16)):
        yield CertificateFinding("bad_serial", f"the serial number is {certificate.serial}", sha256)
    if certificate.version not in (None, 3):
        yield CertificateFinding("old_certificate_version", f"version {certificate.version}", sha256)
    if details is not None:
        yield from _rsa_key(details, sha256)
    yield from _private(certificate)


def date_findings(certificate: Certificate, at: str | None) -> Iterator[CertificateFinding]:
    """Check the validity period against `at`, a time in the form of `to_second`; without a time, report nothing."""
    if at is None:
        return
    begin, end, sha256 = certificate.not_before, certificate.not_after, certificate.sha256
    if begin is not None and at < to_second(begin):
        yield CertificateFinding("not_yet_valid", f"valid from {begin}", sha256)
    if end is None:
        return
    if at > to_second(end):
        yield CertificateFinding("expired", f"valid until {end}", sha256)
    elif expires_soon_from(certificate) <= at:
        yield CertificateFinding("expires_soon", f"valid until {end}", sha256)


def expires_soon_from(certificate: Certificate) -> str:
    """Return the second from which a certificate counts as expiring soon; year 9999 if its dates are unknown."""
    end, total = parse_time(certificate.not_after), lifetime(certificate.not_before, certificate.not_after)
    if end is None or total is None or total < timedelta():
        return "9999-12-31T23:59:59"
    return format_time(end - min(SOON, total / 3))


def lifetime_findings(certificate: Certificate) -> Iterator[CertificateFinding]:
    """Report a server certificate whose lifetime exceeds the Web PKI's limit."""
    total = lifetime(certificate.not_before, certificate.not_after)
    if total is None:
        return
    allowed = next((days for since, days in LIFETIMES if (certificate.not_before or "") >= since), None)
    if allowed is not None and total > timedelta(days=allowed):
        detail = f"valid for {total.days:,} days; {allowed:,} are allowed to one issued then"
        yield CertificateFinding("long_lifetime", detail, certificate.sha256)


def _key(certificate: Certificate) -> Iterator[CertificateFinding]:
    key_type, bits = certificate.key_type, certificate.key_bits
    if key_type == "DSA" or (key_type in SAFE_BITS and bits is not None and bits < SAFE_BITS[key_type]):
        curve = f" ({certificate.curve})" if certificate.curve else ""
        size = f" of {bits:,} bits" if bits is not None else ""
        yield CertificateFinding("weak_key", f"a key of {key_type}{size}{curve}", certificate.sha256)
    reason = dsa_cost_reason(bits) if key_type == "DSA" else None
    if reason is not None:
        yield CertificateFinding("not_checked", f"signatures by its key: {reason}", certificate.sha256)


def _rsa_key(details: Details, sha256: str) -> Iterator[CertificateFinding]:
    if details.modulus is not None and details.modulus > 1 and has_roca_shape(details.modulus):
        yield CertificateFinding("roca_key", "the modulus is a power of 65537 modulo every small prime", sha256)
    if details.cost_reason is not None:
        yield CertificateFinding("not_checked", f"signatures by its key: {details.cost_reason}", sha256)
    exponent = details.exponent
    if exponent is not None and not (SAFE_EXPONENT < exponent < LARGEST_EXPONENT and exponent % 2):
        value = str(exponent) if exponent.bit_length() <= 64 else f"a number of {exponent.bit_length():,} bits"
        yield CertificateFinding("odd_exponent", f"the public exponent is {value}", sha256)


def emails(certificate: Certificate) -> tuple[str, ...]:
    """List the distinct e-mail addresses of the subject and of subjectAltName."""
    in_subject = re.findall(r"(?:^|[,+])emailAddress=((?:\\.|[^,+\\])+)", certificate.subject or "")
    return tuple(dict.fromkeys((*in_subject, *(certificate.email_addresses or ()))))


def _private(certificate: Certificate) -> Iterator[CertificateFinding]:
    """Report what a certificate reveals of people and internal networks."""
    addresses = emails(certificate)
    if addresses:
        yield CertificateFinding("email_address", f"names {', '.join(addresses)}", certificate.sha256)
    names = [*(certificate.dns_names or ()), *(certificate.ip_addresses or ())]
    private = [name for name in names if is_private(name)]
    if private:
        more = f" and {len(private) - 3} more" if len(private) > 3 else ""
        yield CertificateFinding("private_name", f"names {', '.join(private[:3])}{more}", certificate.sha256)
