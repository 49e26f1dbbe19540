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
DSA = dsa.DSAParameterNumbers(
    p=int(
        "ab13a1764e9e85f1b06047c1110d90630196804db119318a384d05247dfdabd515f674858c077c9be45b25529f2a075d8fed"
        "fc980fb321e3f0edc6fc7818de4a8ba87fd8ddc7c7b0bf4094a196b1f2ce9ff52fde5b44dbcad5355031bcd5aca7f635752a"
        "df4fb152a492f767cd59fe059db4cdc6185ef9be1aea8835dc7ba5e99e84cff27b71f9a7b183ceeedcb73f3604cbd5239e49"
        "44eca1e76315306008cb8314e8d5d33b15c7b8818c055c611cb7ceeb42d4330a13a1208892d3b0f81d50ff899bfd7fc485f3"
        "c0ea3450e2a0ae06f70ca3e349e8efaae6dd6da8c3be4a61c8d9d169fe740bf9e13a1f1dd000dea3b322356908dadb5728b9"
        "3b049c73629d",
        16,
    ),
    q=0xA65D477E8E3522724876E648B98CFA9BC6A46719F382DB200F8ECF593337F435,
    g=int(
        "21ec2718c3d4e7835535fd45fc01d2b428d95ed3a9c53e943e5fdae99e6369fe91ffa75014f4c0003ee0e2ce5fcf9f7c13be"
        "75190d8425612129c0bb02f32030682ffac5dc91c9c5b7265ad451635abeb11907692687b02c8551103cdaaca1dba36dcc5f"
        "413f062f0f288b7b5d5a8daad5384e3865e9493875094b2c44ffd8abe2e85526e125ef53465ee652054b3e398fb443ee1f08"
        "326174a508ea65c222616953b609a18faf92911a8653b1e0e39e5aa1843ca6ccb867ad6940e4afdc283b66042b1d442bc821"
        "0fb60321ca1638601d89ddec356bdbcfa148d67651ecd3a14f3926a4932cafdf7ddd64680d1bfc875395cea0c344cf89ee0f"
        "56355f838298",
        16,
    ),
).parameters()
"""Parameters of 2048 bits: new ones take a second to find, a key of these takes none."""
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
