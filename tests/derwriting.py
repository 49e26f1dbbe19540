"""DER as tests write it: values and certificates that no library would make."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 + len(length))) + length + body


def oid(dotted: str) -> bytes:
    first, second, *arcs = map(int, dotted.split("."))
    body = b""
    for arc in (first * 40 + second, *arcs):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return tlv(0x06, body)


def integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def attribute(kind: str, tag: int, content: bytes) -> bytes:
    return tlv(0x30, oid(kind), tlv(tag, content))


def name(*parts: bytes) -> bytes:
    return tlv(0x30, *(tlv(0x31, part) for part in parts))


def extension(kind: str, content: bytes, *, critical: bool = False) -> bytes:
    return tlv(0x30, oid(kind), b"\x01\x01\xff" * critical, tlv(0x04, content))


Signer = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SPKI = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SHA256_WITH_ECDSA = tlv(0x30, oid("1.2.840.10045.4.3.2"))
SHA256_WITH_DSA = tlv(0x30, oid("2.16.840.1.101.3.4.3.2"))
SHA256_WITH_RSA = tlv(0x30, oid("1.2.840.113549.1.1.11"), b"\x05\x00")
NAME = name(attribute("2.5.4.3", 0x0C, b"a.example"))
OTHER = name(attribute("2.5.4.3", 0x0C, b"b.example"))
FROM = tlv(0x17, b"200101000000Z")
UNTIL = tlv(0x17, b"400101000000Z")


def certificate(
    *,
    version: bytes = b"\xa0\x03\x02\x01\x02",
    serial: bytes = b"\x02\x01\x05",
    algorithm: bytes = SHA256_WITH_RSA,
    issuer: bytes = NAME,
    validity: bytes = FROM + UNTIL,
    subject: bytes = NAME,
    key: bytes = SPKI,
    extensions: tuple[bytes, ...] | None = None,
    signer: Signer = KEY,
) -> bytes:
    """Write a certificate of these parts, signed with SHA-256 whatever the parts say."""
    tail = b"" if extensions is None else tlv(0xA3, tlv(0x30, *extensions))
    signed = tlv(0x30, version, serial, algorithm, issuer, tlv(0x30, validity), subject, key, tail)
    return tlv(0x30, signed, algorithm, tlv(0x03, b"\x00", signature(signer, signed)))


def signature(signer: Signer, signed: bytes) -> bytes:
    if isinstance(signer, rsa.RSAPrivateKey):
        return signer.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        return signer.sign(signed, ec.ECDSA(hashes.SHA256()))
    return signer.sign(signed, hashes.SHA256()) if isinstance(signer, dsa.DSAPrivateKey) else signer.sign(signed)


def spki(signer: Signer) -> bytes:
    return signer.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
