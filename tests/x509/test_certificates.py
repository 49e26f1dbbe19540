from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

import derwriting as der
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tlsdissect.model.connection import Certificate
from tlsdissect.tls.wire import WireError
from tlsdissect.x509.certificates import certificate
from tlsdissect.x509.libraries import bits_of

CN = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")])
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made(
    key: Any,
    *extensions: x509.ExtensionType,
    signer: Any = None,
    subject: x509.Name = CN,
    issuer: x509.Name = CN,
    digest: Any = hashes.SHA256(),  # noqa: B008
    **signing: Any,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=90))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer or key, digest, **signing).public_bytes(serialization.Encoding.DER)


def facts(encoding: bytes) -> Certificate:
    """Read a certificate that has nothing unreadable."""
    told, problems = certificate(encoding)
    assert problems == ()
    return told


def test_a_certificate_of_the_web() -> None:
    uri = x509.UniformResourceIdentifier
    access = x509.AccessDescription
    encoding = made(
        ec.generate_private_key(ec.SECP256R1()),
        x509.SubjectAlternativeName(
            [
                x509.DNSName("a.example"),
                x509.RFC822Name("joe@a.example"),
                uri("spiffe://a.example/joe"),
                x509.DNSName("*.a.example"),
                x509.IPAddress(ip_address("192.0.2.1")),
                x509.IPAddress(ip_address("2001:db8::1")),
            ]
        ),
        x509.BasicConstraints(ca=False, path_length=None),
        x509.AuthorityInformationAccess(
            [
                access(AuthorityInformationAccessOID.OCSP, uri("http://ocsp.example")),
                access(AuthorityInformationAccessOID.CA_ISSUERS, uri("http://ca.example/ca.crt")),
            ]
        ),
        x509.CRLDistributionPoints([x509.DistributionPoint([uri("http://ca.example/1.crl")], None, None, None)]),
        x509.TLSFeature([x509.TLSFeatureType.status_request]),
        signer=der.KEY,
        issuer=x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example, Inc.")]),
    )
    assert facts(encoding) == Certificate(
        sha256=sha256(encoding).hexdigest(),
        bytes=len(encoding),
        subject="CN=a.example",
        issuer=r"O=Example\, Inc.",
        serial="0abc",
        not_before="2026-01-02T03:04:05Z",
        not_after="2026-04-02T03:04:05Z",
        key_type="EC",
        key_bits=256,
        curve="secp256r1",
        signature_algorithm="sha256WithRSAEncryption",
        dns_names=("a.example", "*.a.example"),
        ip_addresses=("192.0.2.1", "2001:db8::1"),
        is_ca=False,
        self_signed=False,
        must_staple=True,
        ocsp_urls=("http://ocsp.example",),
        crl_urls=("http://ca.example/1.crl",),
        ca_issuer_urls=("http://ca.example/ca.crt",),
        scts=0,
        acme_identifier=None,
        version=3,
        exponent=None,
        email_addresses=("joe@a.example",),
        uris=("spiffe://a.example/joe",),
        path_length=None,
    )


def test_version_exponent_and_path_length() -> None:
    limited = der.extension("2.5.29.19", der.tlv(0x30, b"\x01\x01\xff", b"\x02\x01\x03"))
    told = facts(der.certificate(extensions=(limited,)))
    assert (told.version, told.exponent, told.is_ca, told.path_length) == (3, 65537, True, 3)


def test_an_exponent_that_no_column_holds() -> None:
    numbers = der.KEY.public_key().public_numbers()
    key = der.tlv(0x30, der.integer(numbers.n), der.integer((1 << 67) + 1))
    rsa_encryption = der.tlv(0x30, der.oid("1.2.840.113549.1.1.1"), b"\x05\x00")
    told, problems = certificate(der.certificate(key=der.tlv(0x30, rsa_encryption, der.tlv(0x03, b"\x00", key))))
    assert (told.key_bits, told.exponent) == (2048, None)
    assert "exponent: a number of 9 bytes" in problems


def test_a_certificate_without_extensions_has_empty_lists() -> None:
    told = facts(der.certificate(version=b""))
    assert (told.version, told.email_addresses, told.uris, told.path_length) == (1, (), (), None)
    assert (told.dns_names, told.ip_addresses, told.is_ca, told.scts) == ((), (), False, 0)
    assert (told.must_staple, told.ocsp_urls, told.crl_urls, told.ca_issuer_urls) == (False, (), (), ())
    assert told.acme_identifier is None
    assert told.self_signed is True


def test_one_certificate_is_read_once() -> None:
    encoding = der.certificate()
    assert certificate(encoding)[0] is certificate(bytes(bytearray(encoding)))[0]


def test_a_huge_certificate_is_read_but_not_kept() -> None:
    encoding = der.certificate(extensions=(der.extension("1.2.3.4", bytes(20_000)),))
    assert facts(encoding) == facts(encoding)
    assert certificate(encoding)[0] is not certificate(encoding)[0]


@pytest.mark.parametrize(
    ("key", "digest", "expected"),
    [
        (rsa.generate_private_key(65537, 2048), hashes.SHA384(), ("RSA", 2048, None, "sha384WithRSAEncryption")),
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512(), ("EC", 521, "secp521r1", "ecdsa-with-SHA512")),
        (ec.generate_private_key(ec.SECP256K1()), hashes.SHA256(), ("EC", 256, "secp256k1", "ecdsa-with-SHA256")),
        (der.DSA.generate_private_key(), hashes.SHA256(), ("DSA", 2048, None, "dsa_with_SHA256")),
        (ed25519.Ed25519PrivateKey.generate(), None, ("Ed25519", 256, None, "ed25519")),
        (ed448.Ed448PrivateKey.generate(), None, ("Ed448", 456, None, "ed448")),
    ],
)
def test_keys_and_signatures(key: Any, digest: hashes.HashAlgorithm | None, expected: tuple[object, ...]) -> None:
    told = facts(made(key, digest=digest))
    assert (told.key_type, told.key_bits, told.curve, told.signature_algorithm) == expected
    assert told.self_signed is True


def test_a_key_that_signs_nothing() -> None:
    told = facts(made(x25519.X25519PrivateKey.generate(), signer=der.KEY, issuer=x509.Name([])))
    assert (told.key_type, told.key_bits, told.issuer) == ("X25519", 256, "")


def test_a_signature_by_pss() -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    told = facts(made(der.KEY, rsa_padding=pss))
    assert (told.signature_algorithm, told.self_signed) == ("RSASSA-PSS", True)


@pytest.mark.parametrize("digest", ["-sha1", "-md5"])
def test_weak_hashes_still_tell_who_signed(digest: str) -> None:
    arguments = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=a"]
    encoding = subprocess.run([*arguments, digest, "-outform", "DER"], capture_output=True, check=True).stdout
    told = facts(encoding)
    assert told.self_signed is True
    assert told.signature_algorithm == f"{digest[1:]}WithRSAEncryption"


def test_a_name_of_its_own_but_the_signature_of_another() -> None:
    other = rsa.generate_private_key(65537, 2048)
    assert facts(der.certificate(signer=other)).self_signed is False
    assert facts(der.certificate(serial=der.integer(-5), signer=other)).self_signed is False
    assert facts(der.certificate(issuer=der.OTHER)).self_signed is False


@pytest.mark.parametrize(
    ("signer", "algorithm", "expected"),
    [
        (der.KEY, der.SHA256_WITH_RSA, True),
        (ec.generate_private_key(ec.SECP256R1()), der.SHA256_WITH_ECDSA, True),
        (der.DSA.generate_private_key(), der.SHA256_WITH_DSA, True),
        (ec.generate_private_key(ec.SECP256R1()), der.tlv(0x30, der.oid("1.2.840.10045.4.3.3")), False),
        (ed25519.Ed25519PrivateKey.generate(), der.SHA256_WITH_RSA, None),
        (ed25519.Ed25519PrivateKey.generate(), der.tlv(0x30, der.oid("1.3.101.112")), None),
    ],
)
def test_who_signed_what_no_library_loads(signer: der.Signer, algorithm: bytes, expected: bool | None) -> None:
    encoding = der.certificate(
        validity=der.tlv(0x17, b"today") + der.UNTIL, key=der.spki(signer), algorithm=algorithm, signer=signer
    )
    told, problems = certificate(encoding)
    assert told.self_signed is expected
    unread = {"not_before"} if expected is not None else {"not_before", "self_signed"}
    assert {field for problem in problems for field in problem.partition(":")[0].split(", ")} == unread


@pytest.mark.parametrize(
    ("serial", "expected"),
    [
        (der.integer(-5), "-05"),
        (der.integer(-0xABCDEF), "-abcdef"),
        (der.integer(0), "00"),
        (der.integer(2**255), "80" + "00" * 31),
        (b"\x02\x03\x00\x00\x7f", "7f"),
    ],
)
def test_odd_serials(serial: bytes, expected: str) -> None:
    told = facts(der.certificate(serial=serial))
    assert told.serial == expected
    assert told.not_before == "2020-01-01T00:00:00Z"
    assert told.self_signed is True


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (der.tlv(0x17, b"491231235959Z"), "2049-12-31T23:59:59Z"),
        (der.tlv(0x17, b"500101000000Z"), "1950-01-01T00:00:00Z"),
        (der.tlv(0x18, b"20500101000000Z"), "2050-01-01T00:00:00Z"),
        (der.tlv(0x18, b"99991231235959Z"), "9999-12-31T23:59:59Z"),
        (der.tlv(0x18, b"00010101000000Z"), "0001-01-01T00:00:00Z"),
        (der.tlv(0x18, b"18500102030405Z"), "1850-01-02T03:04:05Z"),
        (der.tlv(0x17, b"2001020304Z"), "2020-01-02T03:04:00Z"),
        (der.tlv(0x17, b"200102030405+0130"), "2020-01-02T01:34:05Z"),
        (der.tlv(0x18, b"20200102030405.5Z"), "2020-01-02T03:04:05.5Z"),
        (der.tlv(0x18, b"20200102030405-0400"), "2020-01-02T07:04:05Z"),
    ],
)
def test_odd_dates(moment: bytes, expected: str) -> None:
    told = facts(der.certificate(validity=moment + der.UNTIL))
    assert told.not_before == expected
    assert told.not_after == "2040-01-01T00:00:00Z"


@pytest.mark.parametrize("moment", [b"201301000000Z", b"today", b"", b"200230000000Z", b"2001010\x1b[31mZ"])
def test_what_is_no_date_costs_only_the_date(moment: bytes) -> None:
    told, problems = certificate(der.certificate(validity=der.FROM + der.tlv(0x17, moment)))
    assert told.not_after is None
    assert told.not_before == "2020-01-01T00:00:00Z"
    assert (told.subject, told.key_bits, told.serial) == ("CN=a.example", 2048, "05")
    assert [problem.partition(":")[0] for problem in problems] == ["not_after"]
    assert all(problem.isprintable() for problem in problems)


def test_an_explicit_version_that_is_the_default() -> None:
    told = facts(der.certificate(version=b"\xa0\x03\x02\x01\x00"))
    assert (told.serial, told.self_signed, told.key_bits) == ("05", True, 2048)


def test_a_version_that_no_column_holds() -> None:
    told, problems = certificate(der.certificate(version=der.tlv(0xA0, der.integer((1 << 63) - 1))))
    assert (told.version, told.serial) == (None, "05")
    assert "version: version 9223372036854775808, for which a table column is too narrow" in problems


def test_bytes_after_the_certificate() -> None:
    told = facts(der.certificate() + b"more")
    assert (told.subject, told.serial, told.self_signed) == ("CN=a.example", "05", True)


def test_a_key_of_an_unknown_algorithm() -> None:
    key = der.tlv(0x30, der.tlv(0x30, der.oid("1.2.3.4.5")), der.tlv(0x03, b"\x00key"))
    told, problems = certificate(der.certificate(key=key, issuer=der.OTHER))
    assert (told.key_type, told.key_bits) == ("1.2.3.4.5", None)
    assert told.signature_algorithm == "sha256WithRSAEncryption"
    assert len(problems) == 1
    assert problems[0].startswith("key_bits: ")


def test_a_key_that_has_no_size() -> None:
    key = der.spki(ed25519.Ed25519PrivateKey.generate()).replace(der.oid("1.3.101.112"), der.oid("1.3.101.115"))
    told, problems = certificate(der.certificate(key=key, issuer=der.OTHER))
    assert (told.key_type, told.key_bits) == ("1.3.101.115", None)
    assert [problem.partition(":")[0] for problem in problems] == ["key_bits"]
    with pytest.raises(WireError, match="the public key has no size in bits"):
        bits_of(ed25519.Ed25519PrivateKey.generate().public_key())


def test_a_certificate_that_stops_before_its_key() -> None:
    parts = (b"\x02\x01\x05", der.SHA256_WITH_RSA, der.NAME, der.tlv(0x30, der.FROM, der.UNTIL), der.NAME)
    told, problems = certificate(der.tlv(0x30, der.tlv(0x30, b"\xa0\x03\x02\x01\x02", *parts)))
    assert told.key_type is None
    assert any("the certificate has no subjectPublicKeyInfo" in problem for problem in problems)


def test_a_key_whose_strength_is_its_name() -> None:
    key = der.tlv(0x30, der.tlv(0x30, der.oid("2.16.840.1.101.3.4.3.17")), der.tlv(0x03, bytes(1313)))
    algorithm = der.tlv(0x30, der.oid("2.16.840.1.101.3.4.3.18"))
    told = facts(der.certificate(key=key, algorithm=algorithm, issuer=der.OTHER))
    assert (told.key_type, told.key_bits, told.signature_algorithm) == ("ML-DSA-44", None, "ML-DSA-65")


def test_a_curve_that_is_spelled_out() -> None:
    prime = 2**255 - 19
    field = der.tlv(0x30, der.oid("1.2.840.10045.1.1"), der.integer(prime))
    parameters = der.tlv(0x30, der.integer(1), field, der.tlv(0x30), der.tlv(0x04, b"\x04"), der.integer(7))
    algorithm = der.tlv(0x30, der.oid("1.2.840.10045.2.1"), parameters)
    told, problems = certificate(
        der.certificate(key=der.tlv(0x30, algorithm, der.tlv(0x03, b"\x00\x04")), issuer=der.OTHER)
    )
    assert (told.key_type, told.key_bits, told.curve) == ("EC", 255, None)
    assert problems == ("curve: explicit curve parameters instead of a named curve",)


def test_a_field_of_another_kind_and_an_unknown_signature() -> None:
    field = der.tlv(0x30, der.oid("1.2.840.10045.1.2"), der.tlv(0x30, der.integer(163)))
    parameters = der.tlv(0x30, der.integer(1), field)
    key = der.tlv(0x30, der.tlv(0x30, der.oid("1.2.840.10045.2.1"), parameters), der.tlv(0x03, b"\x00\x04"))
    algorithm = der.tlv(0x30, der.oid("1.2.3.4"))
    told, problems = certificate(der.certificate(key=key, algorithm=algorithm))
    assert (told.key_bits, told.signature_algorithm, told.self_signed) == (None, "1.2.3.4", None)
    assert {problem.partition(":")[0] for problem in problems} >= {"curve"}


def test_a_name_that_only_openssl_reads() -> None:
    indefinite = b"\x30\x80" + der.certificate()[4:] + b"\x00\x00"
    told, problems = certificate(indefinite)
    assert (told.subject, told.issuer, told.serial) == ("CN=a.example", "CN=a.example", "05")
    assert told.signature_algorithm == "sha256WithRSAEncryption"
    assert told.dns_names is None
    assert any("an indefinite length" in problem for problem in problems)


@pytest.mark.parametrize("encoding", [b"", b"\x00", b"\x30\x00", b"\x30\x03\x02\x01\x05", b"\x30\x80", b"\xff" * 9])
def test_what_is_no_certificate_has_a_hash_and_a_size(encoding: bytes) -> None:
    told, problems = certificate(encoding)
    assert told == Certificate(sha256(encoding).hexdigest(), len(encoding))
    assert problems
    assert all(problem.isprintable() and problem.isascii() for problem in problems)


def test_every_truncation_is_told() -> None:
    encoding = der.certificate(extensions=(der.extension("2.5.29.19", b"\x30\x00"),))
    for cut in range(0, len(encoding), 7):
        told, problems = certificate(encoding[:cut])
        assert told.bytes == cut
        assert problems


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_told(encoding: bytes) -> None:
    told, problems = certificate(encoding)
    assert told.sha256 == sha256(encoding).hexdigest()
    assert problems


@settings(deadline=None)
@given(st.integers(0), st.binary(min_size=1, max_size=6))
def test_damage_anywhere_is_told_in_printable_words(place: int, noise: bytes) -> None:
    encoding = der.certificate(extensions=(der.extension("2.5.29.17", der.tlv(0x30, der.tlv(0x82, b"a.example"))),))
    place %= len(encoding)
    told, problems = certificate(encoding[:place] + noise + encoding[place + len(noise) :])
    shown = [told.subject, told.issuer, told.signature_algorithm, *(told.dns_names or ()), *problems]
    assert all(text.isprintable() for text in shown if text)


def test_the_libraries_wait_for_the_first_certificate() -> None:
    program = "import sys, tlsdissect.x509.certificates\nprint('cryptography' in sys.modules, 'OpenSSL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
