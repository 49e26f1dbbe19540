"""Keys with which a signature check would take long: it is skipped, and a finding reports that."""

from __future__ import annotations

import pytest
from authority import NOW, Party, authority, findings, issue, link, rewritten
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from derwriting import tlv

from tlsdissect.trust import web_pki
from tlsdissect.trust.chain import MAX_ISSUERS, signed
from tlsdissect.x509 import der, libraries
from tlsdissect.x509.certificates import certificate

ROOT = authority("root")
MIDDLE = authority("middle", ROOT)
LEAF = issue("leaf", MIDDLE)
STRANGER = authority("stranger")


def with_rsa_key(encoding: bytes, modulus: int, exponent: int) -> bytes:
    """The certificate with another key, encoded by hand since libraries reject some of these keys."""
    numbers = tlv(0x30, number(modulus), number(exponent))
    # rsaEncryption, with NULL parameters (RFC 3279 section 2.3.1).
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return rewritten(encoding, 6, tlv(0x30, algorithm, tlv(0x03, b"\0", numbers)))


def number(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


@pytest.mark.parametrize(
    ("modulus_bits", "exponent", "why"),
    [
        (2048, (1 << 64) + 13, "a public exponent of 65 bits"),
        (2048, (1 << 2000) + 1, "a public exponent of 2,001 bits"),
        (16_385, 65537, "a modulus of 16,385 bits"),
        (1 << 19, 65537, "a modulus of 524,288 bits"),
    ],
)
def test_signatures_by_costly_keys_are_not_checked(modulus_bits: int, exponent: int, why: str) -> None:
    costly = link(with_rsa_key(MIDDLE.der, (1 << modulus_bits) - 1, exponent))
    leaf = link(resigned(LEAF.der))
    assert leaf.encoding is not None
    assert costly.encoding is not None
    assert signed(leaf.encoding, costly.encoding) is None
    found = findings([leaf, costly])
    assert found["not_checked"] == f"signatures by its key: {why}"
    assert "bad_signature" not in found
    itself, problems = certificate(with_rsa_key(resigned(ROOT.der), (1 << modulus_bits) - 1, exponent))
    assert itself.self_signed is None
    assert any("self_signed" in problem and "not checked" in problem for problem in problems)


def resigned(encoding: bytes) -> bytes:
    """The certificate as if RSA had signed it."""
    signed_part, _, _ = der.first(encoding).items()
    parts = [part.encoding for part in signed_part.items()]
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d01010b0500"))
    return tlv(0x30, tlv(0x30, *parts[:2], algorithm, *parts[3:]), algorithm, tlv(0x03, bytes(257)))


def test_signatures_by_long_dsa_keys_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MAX_DSA_BITS", 2047)
    costly = authority("long", key_name="dsa")
    leaf = issue("leaf", costly)
    assert signed(leaf.der, costly.der) is None
    found = findings([leaf.link, costly.link])
    assert found["not_checked"] == "signatures by its key: a DSA prime of 2,048 bits"
    assert "bad_signature" not in found


def test_an_exponent_of_64_bits_is_checked() -> None:
    usual = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_numbers()
    other = with_rsa_key(MIDDLE.der, usual.n, (1 << 64) - 59)
    assert signed(resigned(LEAF.der), other) is False


def costly_authority(subject: str, issuer: Party) -> bytes:
    """The certificate of an authority with a costly key, with a valid signature of its issuer."""
    body, algorithm, _ = der.first(
        with_rsa_key(authority(subject, issuer).der, (1 << 2048) - 1, (1 << 2000) + 1)
    ).items()
    signature = issuer.key.sign(body.encoding, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, body.encoding, algorithm.encoding, tlv(0x03, b"\0", signature))


def test_the_web_pki_is_not_asked_about_costly_keys() -> None:
    costly = costly_authority("middle", ROOT)
    verifier = web_pki.WebPki([ROOT.anchor])
    assert verifier.verify([LEAF.der, MIDDLE.der, costly], "www.example.com", NOW).trusted is True
    verdict = verifier.verify([LEAF.der, costly], "www.example.com", NOW)
    assert verdict.trusted is None
    assert "a public exponent of 2,001 bits" in verdict.reason
    # It may be on a path in any place, and behind many others of its name.
    upper = authority("upper", ROOT)
    assert (
        verifier.verify(
            [LEAF.der, authority("middle", upper).der, costly_authority("upper", ROOT)], "www.example.com", NOW
        ).trusted
        is None
    )
    strangers = [authority("middle", key_name=f"p256 {index}").der for index in range(MAX_ISSUERS)]
    assert verifier.verify([LEAF.der, *strangers, costly], "www.example.com", NOW).trusted is None


@pytest.mark.parametrize(
    ("chain", "name"),
    [
        pytest.param([LEAF.der, costly_authority("middle", ROOT)], "other.example.com", id="the leaf has another name"),
        pytest.param([LEAF.der, costly_authority("another", ROOT)], "www.example.com", id="it issued nothing"),
        pytest.param([LEAF.der, costly_authority("middle", STRANGER)], "www.example.com", id="it leads to no anchor"),
        pytest.param([LEAF.der, with_rsa_key(MIDDLE.der, 1 << 2048, 1 << 99)], "www.example.com", id="it is forged"),
        pytest.param(
            [issue("leaf", STRANGER).der, STRANGER.der, costly_authority("middle", ROOT)],
            "www.example.com",
            id="the path leads elsewhere",
        ),
    ],
)
def test_costly_keys_beside_the_path_do_not_change_the_verdict_of_the_web_pki(chain: list[bytes], name: str) -> None:
    assert web_pki.WebPki([ROOT.anchor]).verify(chain, name, NOW).trusted is False


def test_an_abandoned_search_for_a_path_gives_no_verdict() -> None:
    loop = authority("loop")
    others = [authority("loop", loop, key_name="p256 loop", serial=index) for index in range(1, 9)]
    verdict = web_pki.WebPki([ROOT.anchor]).verify(
        [issue("leaf", loop).der, *[one.der for one in others]], "www.example.com", NOW
    )
    assert (verdict.trusted, verdict.reason) == (None, web_pki._TOO_MANY)
