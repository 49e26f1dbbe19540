from __future__ import annotations

from typing import TYPE_CHECKING

import derwriting as der
import pytest

from tlsdissect.x509.certificates import certificate

if TYPE_CHECKING:
    from tlsdissect.model.connection import Certificate

BASIC_FIELDS = {"is_ca", "path_length"}
SAN_FIELDS = {"dns_names", "ip_addresses", "email_addresses", "uris"}
SAN, BASIC, CRL, AIA, FEATURE = "2.5.29.17", "2.5.29.19", "2.5.29.31", "1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.1.24"
ACME, SCTS = "1.3.6.1.5.5.7.1.31", "1.3.6.1.4.1.11129.2.4.2"


def facts(encoding: bytes) -> Certificate:
    """Read a certificate that has nothing unreadable."""
    told, problems = certificate(encoding)
    assert problems == ()
    return told


def general(*names: bytes) -> bytes:
    return der.tlv(0x30, *names)


@pytest.mark.parametrize(
    ("extension", "fields"),
    [
        (der.extension(SAN, b"\x30\x05\x82"), SAN_FIELDS),
        (der.extension(SAN, general(der.tlv(0x87, b"abc"))), SAN_FIELDS),
        (der.extension(SAN, b"\x02\x01\x05"), SAN_FIELDS),
        (der.extension(BASIC, b""), BASIC_FIELDS),
        (der.extension(BASIC, general(b"\x01\x01\xff", der.tlv(0x02, b"\x01" * 9))), BASIC_FIELDS),
        (der.extension(CRL, b"\x30\x80"), {"crl_urls"}),
        (der.extension(AIA, b"\x30\x03\x30\x01\x05"), {"ocsp_urls", "ca_issuer_urls"}),
        (der.extension(FEATURE, b"\x05\x00"), {"must_staple"}),
        (der.extension(ACME, b"\x04\x09"), {"acme_identifier"}),
        (der.extension(SCTS, der.tlv(0x04, b"\x00\x05\x00")), {"scts"}),
        (der.extension(SCTS, der.tlv(0x04, b"\x00\x00\x00")), {"scts"}),
        (der.tlv(0x30, der.oid(BASIC), b"\x05\x00"), BASIC_FIELDS),
    ],
)
def test_a_damaged_extension_costs_only_its_own_facts(extension: bytes, fields: set[str]) -> None:
    sound = der.extension(ACME, der.tlv(0x04, bytes(32))) if "acme_identifier" not in fields else b""
    told, problems = certificate(der.certificate(extensions=(extension, sound)))
    assert {field for field in fields if getattr(told, field) is None} == fields
    assert len(problems) == 1
    assert set(problems[0].partition(":")[0].split(", ")) == fields
    if sound:
        assert told.acme_identifier == "00" * 32
    assert (told.subject, told.serial, told.key_bits, told.self_signed) == ("CN=a.example", "05", 2048, True)


def test_of_a_repeated_extension_the_first_is_told() -> None:
    first = der.extension(SAN, general(der.tlv(0x82, b"one.example")))
    second = der.extension(SAN, general(der.tlv(0x82, b"two.example")))
    told, problems = certificate(der.certificate(extensions=(first, second)))
    assert told.dns_names == ("one.example",)
    assert problems == ("dns_names, ip_addresses, email_addresses, uris: the extension is repeated",)


def test_names_of_odd_bytes_are_escaped() -> None:
    names = [der.tlv(0x82, name) for name in (b"a\x00b.example", b"\xc3\xa4.example", b"\x1b[31m", b"a\\b", b"")]
    told = facts(der.certificate(extensions=(der.extension(SAN, general(*names)),)))
    assert told.dns_names == (r"a\x00b.example", r"\xc3\xa4.example", r"\x1b[31m", r"a\x5cb", "")


def test_authorities_timestamps_and_challenges() -> None:
    url = der.tlv(0x86, b"http://a.example/1.crl")
    relative = der.tlv(0xA0, der.tlv(0xA1, der.attribute("2.5.4.3", 0x0C, b"x")))
    points = der.tlv(0x30, der.tlv(0x30, der.tlv(0xA0, der.tlv(0xA0, url, url))), der.tlv(0x30, relative))
    extensions = (
        der.extension(BASIC, b"\x30\x06\x01\x01\xff\x02\x01\x00", critical=True),
        der.extension(SCTS, der.tlv(0x04, b"\x00\x0a\x00\x03one\x00\x03two")),
        der.extension(ACME, der.tlv(0x04, bytes(range(32))), critical=True),
        der.extension(CRL, points),
        der.extension(
            AIA, der.tlv(0x30, der.tlv(0x30, der.oid("1.2.3"), url), der.tlv(0x30, der.oid("1.2"), der.NAME))
        ),
        der.extension(FEATURE, der.tlv(0x30, der.integer(17))),
    )
    told = facts(der.certificate(extensions=extensions))
    assert (told.is_ca, told.scts, told.must_staple) == (True, 2, False)
    assert told.acme_identifier == bytes(range(32)).hex()
    assert told.crl_urls == ("http://a.example/1.crl",) * 2
    assert (told.ocsp_urls, told.ca_issuer_urls) == ((), ())


def test_a_list_without_end_is_refused() -> None:
    names = der.extension(SAN, general(der.tlv(0x82, b"a") * 17_000))
    told, problems = certificate(der.certificate(extensions=(names,)))
    assert told.dns_names is None
    assert problems == ("dns_names, ip_addresses, email_addresses, uris: more than 16384 values in one",)
