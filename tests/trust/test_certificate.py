"""Findings about single certificates. Most of these cannot be encoded with a library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import prod

import pytest
from authority import NOW, authority, issue, key, rekeyed, rewritten
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from derwriting import oid, tlv

from tlsdissect.trust.certificate import certificate_findings, lifetime_findings
from tlsdissect.trust.details import details
from tlsdissect.x509 import der
from tlsdissect.x509.certificates import certificate

ROOT = authority("root")
LEAF = issue("leaf", ROOT)
SMALL_PRIMES = prod(n for n in range(2, 168) if all(n % divisor for divisor in range(2, n)))


def codes(encoding: bytes) -> set[str]:
    return {finding.code for finding in certificate_findings(certificate(encoding)[0], details(encoding))}


def test_a_valid_certificate_has_no_findings() -> None:
    assert codes(LEAF.der) == set()


@pytest.mark.parametrize(
    ("serial", "found"),
    [(b"\x00", {"bad_serial"}), (b"\xff", {"bad_serial"}), (b"\x80\x01", {"bad_serial"}), (b"\x00\x80", set())],
)
def test_serials(serial: bytes, found: set[str]) -> None:
    assert codes(rewritten(LEAF.der, 1, tlv(0x02, serial))) == found


@pytest.mark.parametrize(("number", "found"), [(1, {"old_certificate_version"}), (2, set())])
def test_versions(number: int, found: set[str]) -> None:
    assert codes(rewritten(LEAF.der, 0, tlv(0xA0, tlv(0x02, bytes([number]))))) == found


def test_a_certificate_that_states_no_version() -> None:
    signed, algorithm, signature = der.first(LEAF.der).items()
    parts = [part.encoding for part in signed.items()][1:7]
    assert codes(tlv(0x30, tlv(0x30, *parts), algorithm.encoding, signature.encoding)) == {"old_certificate_version"}


def test_a_key_of_the_vulnerable_library() -> None:
    first, second = (times * SMALL_PRIMES + pow(65537, times, SMALL_PRIMES) for times in (2**900 + 1, 2**901 + 3))
    public = rsa.RSAPublicNumbers(65537, first * second).public_key()
    assert "roca_key" in codes(rekeyed(LEAF.der, public))
    assert "roca_key" not in codes(rekeyed(LEAF.der, key("rsa2048").public_key()))


@pytest.mark.parametrize(("digest", "found"), [(hashes.SHA1(), {"weak_signature"}), (hashes.SHA256(), set())])  # noqa: S303
def test_pss(digest: hashes.HashAlgorithm, found: set[str]) -> None:
    assert codes(by_pss(digest)) == found


def by_pss(digest: hashes.HashAlgorithm) -> bytes:
    """A leaf signed with RSASSA-PSS; the default hash is SHA-1 (RFC 4055 section 3.1)."""
    sound = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")]),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")]),
        key("rsa2048").public_key(), 1000, NOW, NOW + timedelta(days=9),
    )  # fmt: skip
    filled = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    made = sound.sign(key("rsa2048"), hashes.SHA256(), rsa_padding=filled).public_bytes(Encoding.DER)
    if isinstance(digest, hashes.SHA256):
        return made
    signed, _, signature = der.first(made).items()
    parts = [part.encoding for part in signed.items()]
    parts[2] = tlv(0x30, oid("1.2.840.113549.1.1.10"), tlv(0x30))
    return tlv(0x30, tlv(0x30, *parts), parts[2], signature.encoding)


@pytest.mark.parametrize(
    ("issued", "days", "long"),
    [
        ("2012-06-30", 4000, False),
        ("2015-03-02", 1827, False),
        ("2015-03-02", 1828, True),
        ("2015-07-01", 1188, False),
        ("2015-07-01", 1189, True),
        ("2018-03-01", 825, False),
        ("2018-03-01", 826, True),
        ("2020-09-01", 398, False),
        ("2020-09-01", 399, True),
        ("2026-03-15", 200, False),
        ("2026-03-15", 201, True),
        ("2027-03-15", 100, False),
        ("2027-03-15", 101, True),
        ("2029-03-15", 47, False),
        ("2029-03-15", 48, True),
    ],
)
def test_lifetimes(issued: str, days: int, long: bool) -> None:
    """The second of the end is a second of the lifetime, too."""
    begin = datetime.fromisoformat(issued).replace(tzinfo=UTC)
    leaf = issue("leaf", ROOT, begin=begin, end=begin + timedelta(days=days, seconds=-1))
    assert [finding.code for finding in lifetime_findings(leaf.link.facts)] == ["long_lifetime"] * long
