"""Makes certificates for tests: authorities and leaves, valid and invalid in many ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from derwriting import DSA, oid, tlv
from msgspec import Struct

from tlsdissect.trust.anchors import Anchor
from tlsdissect.trust.chain import Chain, Link
from tlsdissect.trust.verdicts import Settings, Verdicts
from tlsdissect.x509 import der
from tlsdissect.x509.certificates import certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AT = "2026-06-01T12:00:00"
DAY = timedelta(days=1)

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class Party(Struct):
    """A certificate and its key."""

    loaded: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.loaded.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.loaded.public_bytes(Encoding.PEM)

    @property
    def link(self) -> Link:
        return link(self.der)

    @property
    def anchor(self) -> Anchor:
        return Anchor(certificate(self.der)[0], self.der)

    @property
    def sha256(self) -> str:
        return self.link.facts.sha256


@cache
def key(name: str) -> Any:
    """The key of a party: P-256, unless the name begins with another type: "rsa1024", "p192", "dsa"."""
    kind = name.partition(" ")[0]
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=3 if kind.endswith("e3") else 65537, key_size=int(kind[3:7]))
    if kind == "dsa":
        return DSA.generate_private_key()
    return ec.generate_private_key(ec.SECP192R1() if kind == "p192" else ec.SECP256R1())


def named(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


def common_name(name: str) -> x509.Name:
    return named((NameOID.COMMON_NAME, name))


def usage(*names: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def issue(
    subject: str,
    issuer: Party | None = None,
    *,
    ca: bool | None = False,
    path_length: int | None = None,
    begin: datetime = NOW - 30 * DAY,
    end: datetime = NOW + 60 * DAY,
    names: Sequence[str] = ("www.example.com",),
    purposes: Sequence[x509.ObjectIdentifier] | None = (SERVER,),
    key_usage: x509.KeyUsage | None = None,
    key_name: str | None = None,
    serial: int | None = None,
    signer: Any = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    identifiers: bool = True,
) -> Party:
    """A certificate, self-signed without an issuer."""
    own = key(key_name or f"p256 {subject}")
    above = common_name(subject) if issuer is None else issuer.loaded.subject
    builder = x509.CertificateBuilder(above, common_name(subject), own.public_key(), serial or 1000, begin, end)
    extensions: list[tuple[x509.ExtensionType, bool]] = list(extra)
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca=ca, path_length=path_length), True))
    if not ca and names:
        extensions.append((x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False))
    if not ca and purposes is not None:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    if key_usage is not None or ca:
        extensions.append((key_usage or usage("key_cert_sign", "crl_sign"), True))
    if identifiers:
        signing_key = own if issuer is None else issuer.key
        extensions.append((x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False))
        extensions.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    with_key = signer or (own if issuer is None else issuer.key)
    return Party(builder.sign(with_key, hashes.SHA256()), own)


def with_sha1(party: Party, issuer: Party) -> Party:
    """The same certificate signed with SHA-1, which libraries no longer do."""
    signed, _, _ = der.first(party.der).items()
    parts = [part.encoding for part in signed.items()]
    algorithm = tlv(0x30, oid("1.2.840.10045.4.1"))
    body = tlv(0x30, *parts[:2], algorithm, *parts[3:])
    signature = issuer.key.sign(body, ec.ECDSA(hashes.SHA1()))  # noqa: S303 (this is the point)
    encoding = tlv(0x30, body, algorithm, tlv(0x03, b"\0", signature))
    return Party(x509.load_der_x509_certificate(encoding), party.key)


def rewritten(encoding: bytes, place: int, *parts: bytes) -> bytes:
    """A certificate with these parts from an index of its TBSCertificate on; the signature stays as it was."""
    signed, algorithm, signature = der.first(encoding).items()
    every = [part.encoding for part in signed.items()]
    every[place : place + len(parts)] = parts
    return tlv(0x30, tlv(0x30, *every), algorithm.encoding, signature.encoding)


def rekeyed(encoding: bytes, key: rsa.RSAPublicKey) -> bytes:
    """A certificate with another key."""
    return rewritten(encoding, 6, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def link(encoding: bytes) -> Link:
    return Link(certificate(encoding)[0], encoding)


def findings(links: Sequence[Link]) -> dict[str, str]:
    """The findings about a server's chain, as codes with their details."""
    verdict = Verdicts(Settings()).chain_verdict(Chain("server", tuple(links)), AT)
    return {finding.code: finding.detail for finding in verdict.findings}


def authority(subject: str, issuer: Party | None = None, **options: Any) -> Party:
    return issue(subject, issuer, **{"ca": True, "begin": NOW - 400 * DAY, "end": NOW + 4000 * DAY, **options})
