"""Fields of a certificate that verdicts need besides its facts (RFC 5280)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.trust.constraints import Constraints, read_constraints
from tlsdissect.x509 import der
from tlsdissect.x509.certificates import Outline, rsa_numbers
from tlsdissect.x509.libraries import rsa_cost_reason

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DETAILS_CACHE_BYTES = 3 << 20
"""Bytes of cached certificates and their details."""

SHA1 = "1.3.14.3.2.26"
"""The object identifier of SHA-1 (RFC 4055 section 2.1)."""

_RSA = "1.2.840.113549.1.1.1"
_RSA_PSS = "1.2.840.113549.1.1.10"
_KEY_USAGE = "2.5.29.15"
_EXTENDED_KEY_USAGE = "2.5.29.37"
_BASIC_CONSTRAINTS = "2.5.29.19"
_NAME_CONSTRAINTS = "2.5.29.30"
_HASH = 0xA0

_USAGES = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign",
    "cRLSign", "encipherOnly", "decipherOnly",
)  # fmt: skip


class Details(Struct, frozen=True):
    """Fields of a certificate; None also for those that could not be read."""

    subject: bytes | None
    """In DER."""
    issuer: bytes | None
    modulus: int | None
    """Of an RSA key."""
    exponent: int | None
    has_basic_constraints: bool | None
    key_usage: frozenset[str] | None
    """None: unrestricted."""
    purposes: tuple[str, ...] | None
    """Object identifiers of extKeyUsage; None: unrestricted."""
    pss_hash: str | None
    """Object identifier of the hash of an RSASSA-PSS signature; None for other algorithms."""

    @property
    def cost_reason(self) -> str | None:
        """Why signatures by this RSA key cost too much to check; None if they do not, and for other keys."""
        return rsa_cost_reason(self.modulus, self.exponent)


@cached(DETAILS_CACHE_BYTES)
def details(encoding: bytes) -> Details:
    """Read the details of a DER certificate."""
    outline = _attempt(lambda: Outline.read(encoding))
    if outline is None:
        return Details(None, None, None, None, None, None, None, None)
    extensions = _attempt(lambda: _extensions(outline)) or {}
    rsa = _attempt(lambda: _rsa(outline.key))
    return Details(
        subject=outline.subject.encoding,
        issuer=outline.issuer.encoding,
        modulus=rsa and rsa[0],
        exponent=rsa and rsa[1],
        has_basic_constraints=_BASIC_CONSTRAINTS in extensions,
        key_usage=_attempt(lambda: _key_usage(extensions.get(_KEY_USAGE))),
        purposes=_attempt(lambda: _purposes(extensions.get(_EXTENDED_KEY_USAGE))),
        pss_hash=_attempt(lambda: _pss_hash(outline.signature)),
    )


def name_constraints(encoding: bytes) -> Constraints | None:
    """Read the NameConstraints of a DER certificate; None: unrestricted, or unreadable.

    They are not part of the details, since they may take 20 times the memory of their encoding.
    """
    extensions = _attempt(lambda: _extensions(Outline.read(encoding))) or {}
    content = extensions.get(_NAME_CONSTRAINTS)
    return None if content is None else _attempt(lambda: read_constraints(content))


def _attempt(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except WireError:
        return None


def _extensions(outline: Outline) -> dict[str, der.Value]:
    """Return the content of each extension by OID; of a repeated one, the first."""
    found: dict[str, der.Value] = {}
    if outline.extensions is None:
        return found
    for extension in outline.extensions.expect(der.SEQUENCE).items():
        identifier, *_, content = extension.expect(der.SEQUENCE).items(least=2)
        found.setdefault(der.oid(identifier), content.expect(der.OCTET_STRING))
    return found


def _rsa(key: der.Value) -> tuple[int, int] | None:
    """Read modulus and exponent of an RSA key; None for other key types."""
    algorithm = key.expect(der.SEQUENCE).items(least=2)[0]
    if der.oid(algorithm.items(least=1)[0]) not in (_RSA, _RSA_PSS):
        return None
    modulus, exponent = rsa_numbers(key)
    return der.integer(modulus), der.integer(exponent)


def _key_usage(content: der.Value | None) -> frozenset[str] | None:
    """Read keyUsage (RFC 5280 section 4.2.1.3); bit 0 is the most significant."""
    if content is None:
        return None
    body = content.item().expect(der.BIT_STRING).body[1:]
    bits = "".join([f"{byte:08b}" for byte in body])
    return frozenset(name for name, bit in zip(_USAGES, bits, strict=False) if bit == "1")


def _purposes(content: der.Value | None) -> tuple[str, ...] | None:
    """Read extKeyUsage (RFC 5280 section 4.2.1.12)."""
    return None if content is None else tuple([der.oid(one) for one in content.item().expect(der.SEQUENCE).items()])


def _pss_hash(signature: der.Value) -> str | None:
    """Read the hash of RSASSA-PSS-params (RFC 4055 section 3.1); the default is SHA-1."""
    algorithm, *parameters = signature.expect(der.SEQUENCE).items(least=1)
    if der.oid(algorithm) != _RSA_PSS:
        return None
    stated = [part for one in parameters for part in one.expect(der.SEQUENCE).items() if part.tag == _HASH]
    return der.oid(stated[0].item().expect(der.SEQUENCE).items(least=1)[0]) if stated else SHA1
