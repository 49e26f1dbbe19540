"""Certificate facts (RFC 5280), read field by field: an unreadable field does not affect the others.

Each field is decoded from the DER bytes first. If that fails, `cryptography` is asked, then OpenSSL, which accepts
more. Most certificates need neither library, so neither is imported until one is needed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der, extensions
from tlsdissect.x509.algorithms import CURVES, KEY_BITS, KEY_TYPES, PRIME_CURVES, SIGNATURES, UNSIZED
from tlsdissect.x509.facts import Certificate
from tlsdissect.x509.libraries import ByCryptography, ByOpenSSL, Library, bits_of, load_key, signed_by
from tlsdissect.x509.names import read_name

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CERTIFICATE_CACHE_BYTES = 8 << 20
"""Bytes of cached certificates and their facts."""
MAX_CACHED = 16_384
"""Bytes of the longest certificate that is cached."""

_VERSION = 0xA0
_EXTENSIONS = 0xA3
_PRIME_FIELD = "1.2.840.10045.1.1"
_WITH_EXPONENT = ("RSA", "RSA-PSS")


class Outline(Struct, frozen=True):
    """The parts of a TBSCertificate (RFC 5280 section 4.1)."""

    version: der.Value | None
    """With its explicit tag; None means version 1."""
    serial: der.Value
    signature: der.Value
    validity: der.Value
    issuer: der.Value
    subject: der.Value
    key: der.Value
    extensions: der.Value | None

    @classmethod
    def read(cls, encoding: bytes) -> Outline:
        """Decode the top-level fields of a certificate; ignore bytes after it."""
        signed = der.first(encoding).expect(der.SEQUENCE).items(least=1)[0]
        parts = signed.expect(der.SEQUENCE).items(least=6)
        version = parts[0] if parts[0].tag == _VERSION else None
        if version is not None:
            parts = parts[1:]
        if len(parts) < 6:
            raise WireError("the certificate has no subjectPublicKeyInfo", signed.start)
        wrapped = [part.item() for part in parts[6:] if part.tag == _EXTENSIONS]
        return cls(
            version=version,
            serial=parts[0],
            signature=parts[1],
            issuer=parts[2],
            validity=parts[3],
            subject=parts[4],
            key=parts[5],
            extensions=wrapped[0] if wrapped else None,
        )


class _Lazy(Generic[T]):
    """A value computed from the encoding on first use; a failure is raised again on each use."""

    def __init__(self, make: Callable[[bytes], T], encoding: bytes) -> None:
        self._make = make
        self._encoding = encoding
        self._made: T | WireError | None = None

    def __call__(self) -> T:
        if self._made is None:
            try:
                self._made = self._make(self._encoding)
            except WireError as error:
                # Drop the traceback: its frames refer to this object, which would be a reference cycle.
                self._made = WireError(error.problem, error.offset)
        if isinstance(self._made, WireError):
            raise WireError(self._made.problem, self._made.offset)
        return self._made


class _Reading:
    """One certificate being decoded, with the errors of its fields."""

    def __init__(self, encoding: bytes) -> None:
        self.encoding = encoding
        self.outline = _Lazy(Outline.read, encoding)
        self.cryptography = _Lazy(ByCryptography, encoding)
        self.openssl = _Lazy(ByOpenSSL, encoding)
        self._unread: dict[str, list[str]] = {}

    def problems(self) -> tuple[str, ...]:
        """Return the unreadable fields, grouped by reason."""
        return tuple([f"{', '.join(fields)}: {reason}" for reason, fields in self._unread.items()])

    def unread(self, fields: str, reason: str) -> None:
        """Record unreadable fields."""
        self._unread.setdefault(reason, []).append(fields)

    def field(self, field: str, *readers: Callable[[], T]) -> T | None:
        """Read a field by the first of these functions that succeeds."""
        reason = ""
        for read in readers:
            try:
                return read()
            except WireError as error:
                reason = error.problem
        self.unread(field, reason)
        return None

    def ask(self, field: str, by_library: Callable[[Library], T], by_outline: Callable[[Outline], T]) -> T | None:
        """Read a field from the DER, else by `cryptography`, else by OpenSSL."""
        return self.field(
            field,
            lambda: by_outline(self.outline()),
            lambda: by_library(self.cryptography()),
            lambda: by_library(self.openssl()),
        )

    def key(self) -> object:
        """Load the public key from its SubjectPublicKeyInfo."""
        return load_key(self.outline().key.encoding)


@cached(CERTIFICATE_CACHE_BYTES, longest=MAX_CACHED)
def certificate(encoding: bytes) -> tuple[Certificate, tuple[str, ...]]:
    """Return a certificate's facts, and the fields that could not be read with the reasons.

    Results are cached: thousands of connections present the same few certificates.
    """
    reading = _Reading(encoding)
    outline, openssl = reading.outline, reading.openssl
    subject = reading.field(
        "subject",
        lambda: read_name(outline().subject),
        lambda: read_name(der.first(openssl().subject())),
    )
    issuer = reading.field(
        "issuer",
        lambda: read_name(outline().issuer),
        lambda: read_name(der.first(openssl().issuer())),
    )
    key_type = reading.field("key_type", lambda: _key_type(outline().key))
    facts = Certificate(
        sha256=sha256(encoding).hexdigest(),
        bytes=len(encoding),
        subject=subject,
        issuer=issuer,
        serial=_serial(reading),
        not_before=reading.ask("not_before", lambda library: library.not_before(), lambda parts: _date(parts, 0)),
        not_after=reading.ask("not_after", lambda library: library.not_after(), lambda parts: _date(parts, 1)),
        key_type=key_type,
        key_bits=_key_bits(reading, key_type),
        curve=reading.field("curve", lambda: _curve(outline().key)) if key_type == "EC" else None,
        signature_algorithm=reading.field(
            "signature_algorithm",
            lambda: _signature(outline().signature),
            lambda: openssl().algorithm(),
        ),
        self_signed=_self_signed(reading, subject, issuer),
        version=reading.field("version", lambda: _certificate_version(outline())),
        exponent=reading.field("exponent", lambda: _exponent(outline().key)) if key_type in _WITH_EXPONENT else None,
        **_extension_facts(reading),
    )
    return facts, reading.problems()


def _serial(reading: _Reading) -> str | None:
    """Read the serial number; some are not positive, against RFC 5280 section 4.1.2.2."""
    serial = reading.ask(
        "serial",
        lambda library: library.serial(),
        lambda outline: der.integer(outline.serial.expect(der.INTEGER)),
    )
    return None if serial is None else der.hexadecimal(serial)


def _date(outline: Outline, place: int) -> str:
    """Read a date of Validity (RFC 5280 section 4.1.2.5)."""
    return der.time(outline.validity.expect(der.SEQUENCE).items(least=2)[place])


def _key_type(key: der.Value) -> str:
    """Return the algorithm of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
    algorithm = key.expect(der.SEQUENCE).items(least=2)[0]
    oid = der.oid(algorithm.expect(der.SEQUENCE).items(least=1)[0])
    return KEY_TYPES.get(oid, oid)


def _key_bits(reading: _Reading, key_type: str | None) -> int | None:
    if key_type in KEY_BITS:
        return KEY_BITS[key_type]
    if key_type and key_type.startswith(UNSIZED):
        return None
    by_key = {"RSA": _modulus_bits, "EC": _curve_bits}.get(key_type or "")
    readers = [
        lambda: reading.cryptography().key_bits(),
        lambda: reading.openssl().key_bits(),
        lambda: bits_of(reading.key()),
    ]
    if by_key is not None:
        readers.insert(0, lambda: by_key(reading.outline().key))
    if key_type == "EC":
        readers.append(lambda: _field_bits(reading.outline().key))
    return reading.field("key_bits", *readers)


def _certificate_version(outline: Outline) -> int:
    """Read the version; the default is 1 (RFC 5280 section 4.1.2.1)."""
    if outline.version is None:
        return 1
    number = outline.version.item().expect(der.INTEGER)
    version = der.small(number) + 1
    if version == 1 << 63:
        raise WireError(f"version {version}, for which a table column is too narrow", number.start)
    return version


def rsa_numbers(key: der.Value) -> tuple[der.Value, der.Value]:
    """Return the modulus and the exponent in the SubjectPublicKeyInfo of an RSA key (RFC 8017 appendix A.1.1)."""
    # The first byte of a BIT STRING counts unused bits, here none.
    modulus, exponent, *_ = der.first(key.items(least=2)[1].body[1:]).expect(der.SEQUENCE).items(least=2)
    return modulus.expect(der.INTEGER), exponent.expect(der.INTEGER)


def _modulus_bits(key: der.Value) -> int:
    return der.integer(rsa_numbers(key)[0]).bit_length()


def _exponent(key: der.Value) -> int:
    return der.small(rsa_numbers(key)[1])


def _curve_bits(key: der.Value) -> int:
    """Return the key size of a named curve over a prime field."""
    bits = PRIME_CURVES.get(_curve(key))
    if bits is None:
        raise WireError("a curve of unknown size", key.start)
    return bits


def _curve(key: der.Value) -> str:
    """Return the name of an EC key's curve (RFC 5480 section 2.1.1)."""
    parameters = key.items(least=1)[0].items(least=2)[1]
    if parameters.tag != der.OBJECT_IDENTIFIER:
        raise WireError("explicit curve parameters instead of a named curve", parameters.start)
    oid = der.oid(parameters)
    return CURVES.get(oid, oid)


def _field_bits(key: der.Value) -> int:
    """Return the field size of explicit curve parameters (SEC 1 section C.2), which RFC 5480 forbids."""
    parameters = key.items(least=1)[0].items(least=2)[1].expect(der.SEQUENCE)
    kind, stated, *_ = parameters.items(least=2)[1].expect(der.SEQUENCE).items(least=2)
    if der.oid(kind) != _PRIME_FIELD:
        raise WireError("not a prime field", kind.start)
    return der.integer(stated.expect(der.INTEGER)).bit_length()


def _signature(signature: der.Value) -> str:
    """Return the signature algorithm in the TBSCertificate (RFC 5280 section 4.1.2.3)."""
    oid = der.oid(signature.expect(der.SEQUENCE).items(least=1)[0])
    return SIGNATURES.get(oid, oid)


def _self_signed(reading: _Reading, subject: str | None, issuer: str | None) -> bool | None:
    """Return whether issuer and subject are equal and the certificate's own key made the signature."""
    if subject is None or issuer is None:
        reading.unread("self_signed", "a name could not be read")
        return None
    if subject != issuer:
        return False
    cryptography, openssl, encoding = reading.cryptography, reading.openssl, reading.encoding
    return reading.field(
        "self_signed",
        lambda: signed_by(reading.key(), encoding),
        lambda: cryptography().signs_itself(),
        lambda: signed_by(openssl().key(), encoding),
    )


def _extension_facts(reading: _Reading) -> extensions.Facts:
    try:
        wrapped = reading.outline().extensions
        facts, unread = extensions.read(wrapped) if wrapped else (extensions.ABSENT, ())
    except WireError as error:
        reading.unread(", ".join(extensions.ABSENT), error.problem)
        return dict.fromkeys(extensions.ABSENT)
    for fields, reason in unread:
        reading.unread(fields, reason)
    return facts
