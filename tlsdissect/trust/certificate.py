"""What one certificate says of itself, held against RFC 5280 and the Baseline Requirements."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from tlsdissect.transcript.x509.libraries import MAX_DSA_BITS
from tlsdissect.trust.keys import costly, has_roca_shape
from tlsdissect.trust.names import is_private
from tlsdissect.trust.notes import Note, lifetime, moment, second, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Certificate
    from tlsdissect.trust.details import Details

SOON = timedelta(days=30)
"""Time left that is short, where a third of the lifetime is not even shorter."""
SAFE_BITS = {"RSA": 2048, "RSA-PSS": 2048, "EC": 256}
"""BR section 6.1.5."""
SAFE_EXPONENT = 1 << 16
"""A public exponent is greater than this, and below the next (BR section 6.1.6)."""
LARGEST_EXPONENT = 1 << 256

_SHA1 = "1.3.14.3.2.26"

LIFETIMES = (
    ("2029-03-15", 47),
    ("2027-03-15", 100),
    ("2026-03-15", 200),
    ("2020-09-01", 398),
    ("2018-03-01", 825),
    ("2015-04-01", 1188),
    ("2012-07-01", 1827),
)
"""Days that a server's certificate may be valid if it was issued from this date on (BR section 6.3.2): 39 and 60 months
are counted as the days that they have at most."""


def certificate_notes(certificate: Certificate, details: Details | None) -> Iterator[Note]:
    """Note what is wrong with a certificate wherever and whenever it is shown."""
    sha256 = certificate.sha256
    yield from _key(certificate)
    algorithm = certificate.signature_algorithm or ""
    by_sha1 = details is not None and details.pss_hash == _SHA1
    if not certificate.self_signed and (by_sha1 or re.search(r"md2|md5|sha-?1(?![0-9])", algorithm, re.IGNORECASE)):
        yield Note("weak_signature", f"signed with {algorithm}{' and SHA-1' if by_sha1 else ''}", sha256)
    if certificate.serial is not None and (certificate.serial.startswith("-") or not int(certificate.serial, 16)):
        yield Note("bad_serial", f"the serial number is {certificate.serial}", sha256)
    if certificate.version not in (None, 3):
        yield Note("old_certificate_version", f"version {certificate.version}", sha256)
    if details is not None:
        yield from _inside(details, sha256)
    yield from _private(certificate)


def date_notes(certificate: Certificate, at: str | None) -> Iterator[Note]:
    """Note how a certificate's dates stand to a time (of `second`); nothing without one."""
    if at is None:
        return
    begin, end, sha256 = certificate.not_before, certificate.not_after, certificate.sha256
    if begin is not None and at < second(begin):
        yield Note("not_yet_valid", f"valid from {begin}", sha256)
    if end is None:
        return
    if at > second(end):
        yield Note("expired", f"valid until {end}", sha256)
    elif soon(certificate) <= at:
        yield Note("expires_soon", f"valid until {end}", sha256)


def soon(certificate: Certificate) -> str:
    """Tell the second from which on a certificate expires soon; the end of all times where its dates do not tell."""
    end, lives = moment(certificate.not_after or ""), lifetime(certificate.not_before, certificate.not_after)
    if end is None or lives is None or lives < timedelta():
        return "9999-12-31T23:59:59"
    return written(end - min(SOON, lives / 3))


def lifetime_notes(certificate: Certificate) -> Iterator[Note]:
    """Note that a server's certificate lives for longer than the Web PKI allows."""
    lives = lifetime(certificate.not_before, certificate.not_after)
    if lives is None:
        return
    allowed = next((days for since, days in LIFETIMES if (certificate.not_before or "") >= since), None)
    if allowed is not None and lives > timedelta(days=allowed):
        detail = f"valid for {lives.days:,} days; {allowed:,} are allowed to one issued then"
        yield Note("long_lifetime", detail, certificate.sha256)


def _key(certificate: Certificate) -> Iterator[Note]:
    kind, bits = certificate.key_type, certificate.key_bits
    if kind == "DSA" or (kind in SAFE_BITS and bits is not None and bits < SAFE_BITS[kind]):
        named = f" ({certificate.curve})" if certificate.curve else ""
        size = f" of {bits:,} bits" if bits is not None else ""
        yield Note("weak_key", f"a key of {kind}{size}{named}", certificate.sha256)
    if kind == "DSA" and bits is not None and bits > MAX_DSA_BITS:
        yield Note("not_checked", f"signatures by its key: a DSA prime of {bits:,} bits", certificate.sha256)


def _inside(details: Details, sha256: str) -> Iterator[Note]:
    if details.modulus is not None and details.modulus > 1 and has_roca_shape(details.modulus):
        yield Note("roca_key", "the modulus is a power of 65537 modulo every small prime", sha256)
    why = costly(details)
    if why is not None:
        yield Note("not_checked", f"signatures by its key: {why}", sha256)
    exponent = details.exponent
    if exponent is not None and not (SAFE_EXPONENT < exponent < LARGEST_EXPONENT and exponent % 2):
        told = str(exponent) if exponent.bit_length() <= 64 else f"a number of {exponent.bit_length():,} bits"
        yield Note("odd_exponent", f"the public exponent is {told}", sha256)


def emails(certificate: Certificate) -> tuple[str, ...]:
    """Tell the e-mail addresses in a certificate: of its subject, and of subjectAltName; each once."""
    inside = re.findall(r"(?:^|[,+])emailAddress=((?:\\.|[^,+\\])+)", certificate.subject or "")
    return tuple(dict.fromkeys((*inside, *(certificate.email_addresses or ()))))


def _private(certificate: Certificate) -> Iterator[Note]:
    """Note what a certificate gives away of people and of networks."""
    named = emails(certificate)
    if named:
        yield Note("email_address", f"names {', '.join(named)}", certificate.sha256)
    names = [*(certificate.dns_names or ()), *(certificate.ip_addresses or ())]
    private = [name for name in names if is_private(name)]
    if private:
        more = f" and {len(private) - 3} more" if len(private) > 3 else ""
        yield Note("private_name", f"names {', '.join(private[:3])}{more}", certificate.sha256)
