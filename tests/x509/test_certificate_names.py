from __future__ import annotations

import subprocess

import derwriting as der
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.x509.names import name

CN = "2.5.4.3"


def common(content: bytes, tag: int = 0x0C) -> bytes:
    return der.name(der.attribute(CN, tag, content))


def test_the_most_specific_part_comes_first() -> None:
    encoding = der.name(
        der.attribute("2.5.4.6", 0x13, b"US"),
        der.attribute("2.5.4.8", 0x0C, b"California"),
        der.attribute("2.5.4.10", 0x0C, b"Example, Inc."),
        der.attribute(CN, 0x0C, b"a.example") + der.attribute("2.5.4.11", 0x0C, b"IT"),
        der.attribute("1.2.840.113549.1.9.1", 0x16, b"joe@a.example"),
    )
    assert name(encoding) == r"emailAddress=joe@a.example,CN=a.example+OU=IT,O=Example\, Inc.,ST=California,C=US"


def test_a_name_without_parts_is_empty() -> None:
    assert name(der.name()) == ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b' a"b+c,d;e<f>g\\h=i# ', r"CN=\ a\"b\+c\,d\;e\<f\>g\\h=i#\ "),
        (b"#1", r"CN=\#1"),
        (b" ", r"CN=\ "),
        (b"", "CN="),
        (b"a\x00b\x1b[31m\r\n", r"CN=a\00b\1B[31m\0D\0A"),
        ("Müller 漢字".encode(), "CN=Müller 漢字"),
        ("a\u202eb\u00a0c\u2028".encode(), r"CN=a\E2\80\AEb\C2\A0c\E2\80\A8"),
        (b"a\xffb", r"CN=a\FFb"),
        (b"\x7f\xc2\x9b", r"CN=\7F\C2\9B"),
    ],
)
def test_characters_are_escaped(content: bytes, expected: str) -> None:
    assert name(common(content)) == expected


@pytest.mark.parametrize(
    ("tag", "content", "expected"),
    [
        (0x13, b"plain", "CN=plain"),
        (0x14, b"M\xfcller", "CN=Müller"),
        (0x16, b"\xe4", "CN=ä"),
        (0x1C, "ü".encode("utf-32-be"), "CN=ü"),
        (0x1E, "Müller".encode("utf-16-be"), "CN=Müller"),
        (0x1E, b"\x00a\x00", "CN=#1e03006100"),
        (0x1E, b"\xd8\x00", "CN=#1e02d800"),
        (0x02, b"\x05", "CN=#020105"),
    ],
)
def test_each_type_of_string_is_read(tag: int, content: bytes, expected: str) -> None:
    assert name(common(content, tag)) == expected


def test_an_unknown_attribute_stands_by_its_number_and_encoding() -> None:
    assert name(der.name(der.attribute("1.2.3.4.99999", 0x0C, b"x"))) == "1.2.3.4.99999=#0c0178"
    assert name(der.name(der.tlv(0x30, der.tlv(0x06, b"\x88\x37\x01"), b"\x0c\x01x"))) == "2.999.1=#0c0178"
    assert name(der.name(der.tlv(0x30, der.tlv(0x06, b"\x88"), b"\x0c\x01x"))).startswith("#")


def test_openssl_writes_the_same() -> None:
    subject = "/C=US/ST=Here/L=There/O=Some, Inc./OU=A+B/CN=x <y>/emailAddress=a@b.example/serialNumber=12/DC=z"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", subject],
        capture_output=True,
        check=True,
    )
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253"],
        input=made.stdout,
        capture_output=True,
        check=True,
    )
    encoding = subprocess.run(
        ["openssl", "x509", "-outform", "DER"], input=made.stdout, capture_output=True, check=True
    )
    from tlsdissect.x509.certificates import certificate

    assert f"subject={certificate(encoding.stdout)[0].subject}" == shown.stdout.decode().strip()


@pytest.mark.parametrize(
    "encoding",
    [
        b"",
        b"\x30",
        b"\x31\x00",
        b"\x30\x02\x05\x00",
        b"\x30\x04\x31\x02\x30\x00",
        common(b"x")[:-1],
        b"\x1f\x80\x01",
        b"\x30\x85" + bytes(9),
    ],
)
def test_what_is_no_name_is_shown_as_its_bytes(encoding: bytes) -> None:
    assert name(encoding) == f"#{encoding.hex()}"


@given(st.binary(max_size=100))
def test_any_bytes_are_printable(encoding: bytes) -> None:
    assert all(character.isprintable() for character in name(encoding))


@given(st.binary(max_size=60), st.sampled_from([0x0C, 0x13, 0x14, 0x1C, 0x1E]))
def test_any_content_is_printable(content: bytes, tag: int) -> None:
    assert name(common(content, tag)).isprintable()


@given(st.text(max_size=30))
def test_what_is_escaped_can_be_read_back(content: str) -> None:
    text = name(common(content.encode("utf-8", "replace")))[3:].encode()
    back = bytearray()
    while text:
        if text[:1] != b"\\":
            back, text = back + text[:1], text[1:]
        elif text[1:2] in b' "#+,;<>\\' and not text[1:2].isalnum():
            back, text = back + text[1:2], text[2:]
        else:
            back, text = back + bytes.fromhex(text[1:3].decode()), text[3:]
    assert bytes(back) == content.encode("utf-8", "replace")
