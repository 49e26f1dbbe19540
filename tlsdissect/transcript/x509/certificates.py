"""Certificates as facts (RFC 5280), read field by field: one that cannot be read costs no other.

What stands there in plain DER is read from the bytes; what needs more, or is written in an odd way, by `cryptography`,
and by OpenSSL what that refuses. Most certificates so need neither, and neither is loaded for them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.transcript.connection import Certificate
from tlsdissect.transcript.x509 import der, extensions
from tlsdissect.transcript.x509.algorithms import CURVES, KEY_BITS, KEY_TYPES, PRIME_CURVES, SIGNATURES, UNSIZED
from tlsdissect.transcript.x509.libraries import ByCryptography, ByOpenSSL, Library, bits_of, load_key, signed_by
from tlsdissect.transcript.x509.names import read_name
from tlsdissect.transcript.x509.staples import MAX_KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CACHE_BYTES = 8 << 20
"""Bytes of certificates and their facts that are kept for the next connection which shows the same."""

_VERSION = 0xA0
_EXTENSIONS = 0xA3
_PRIME_FIELD = "1.2.840.10045.1.1"
_WITH_EXPONENT = ("RSA", "RSA-PSS")


def certificate(encoding: bytes) -> tuple[Certificate, tuple[str, ...]]:
    """Tell the facts of a certificate, and what of it could not be read.

    Thousands of connections show the same few certificates: each is read once.
    """
    return _kept(encoding) if len(encoding) <= MAX_KEPT else _facts(encoding)


class Outline(Struct, frozen=True):
    """The parts of a TBSCertificate that are read from the bytes (RFC 5280 section 4.1)."""

    version: der.Value | None
    """In its tag; None: it is not stated, and so the first."""
    serial: der.Value
    signature: der.Value
    validity: der.Value
    issuer: der.Value
    subject: der.Value
    key: der.Value
    extensions: der.Value | None

    @classmethod
    def read(cls, encoding: bytes) -> Outline:
        """Find the parts; bytes after the certificate are left aside."""
        signed = der.first(encoding).expect(der.SEQUENCE).items(least=1)[0]
        parts = signed.expect(der.SEQUENCE).items(least=6)
        version = parts[0] if parts[0].tag == _VERSION else None
        if version is not None:
            parts = parts[1:]
        if len(parts) < 6:
            raise WireError("a certificate without a key", signed.start)
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


class _Once(Generic[T]):
    """Something made of the bytes when first asked for; where that failed, asking again fails alike."""

    def __init__(self, make: Callable[[bytes], T], encoding: bytes) -> None:
        self._make = make
        self._encoding = encoding
        self._made: T | WireError | None = None

    def __call__(self) -> T:
        if self._made is None:
            try:
                self._made = self._make(self._encoding)
            except WireError as error:
                # Without its frames, which hold the certificate: a cycle for each that cannot be read.
                self._made = WireError(error.problem, error.offset)
        if isinstance(self._made, WireError):
            raise WireError(self._made.problem, self._made.offset)
        return self._made


class _Reading:
    """One certificate being read, and the fields of it that could not be."""

    def __init__(self, encoding: bytes) -> None:
        self.encoding = encoding
        self.outline = _Once(Outline.read, encoding)
        self.cryptography = _Once(ByCryptography, encoding)
        self.openssl = _Once(ByOpenSSL, encoding)
        self._unread: dict[str, list[str]] = {}

    def problems(self) -> tuple[str, ...]:
        """Tell which fields could not be read; those with a reason in common share a sentence."""
        return tuple([f"{', '.join(fields)}: {reason}" for reason, fields in self._unread.items()])

    def unread(self, fields: str, reason: str) -> None:
        """Take down fields that could not be read."""
        self._unread.setdefault(reason, []).append(fields)

    def field(self, field: str, *ways: Callable[[], T]) -> T | None:
        """Read a field in the first of these ways that leads to it."""
        reason = ""
        for way in ways:
            try:
                return way()
            except WireError as error:
                reason = error.problem
        self.unread(field, reason)
        return None

    def ask(self, field: str, question: Callable[[Library], T], plainly: Callable[[Outline], T]) -> T | None:
        """Read a field from the bytes; else ask `cryptography`, then OpenSSL."""
        return self.field(
            field,
            lambda: plainly(self.outline()),
            lambda: question(self.cryptography()),
            lambda: question(self.openssl()),
        )

    def key(self) -> object:
        """Load the key without the certificate around it."""
        return load_key(self.outline().key.encoding)


def _facts(encoding: bytes) -> tuple[Certificate, tuple[str, ...]]:
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


_kept = cached(CACHE_BYTES)(_facts)


def _serial(reading: _Reading) -> str | None:
    """Tell the serial number; one that is not positive is against RFC 5280 section 4.1.2.2, and seen."""
    serial = reading.ask(
        "serial",
        lambda library: library.serial(),
        lambda outline: der.integer(outline.serial.expect(der.INTEGER)),
    )
    return None if serial is None else der.hexadecimal(serial)


def _date(outline: Outline, place: int) -> str:
    """Read a date of the Validity (RFC 5280 section 4.1.2.5)."""
    return der.time(outline.validity.expect(der.SEQUENCE).items(least=2)[place])


def _key_type(key: der.Value) -> str:
    """Name the algorithm of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
    algorithm = key.expect(der.SEQUENCE).items(least=2)[0]
    oid = der.oid(algorithm.expect(der.SEQUENCE).items(least=1)[0])
    return KEY_TYPES.get(oid, oid)


def _key_bits(reading: _Reading, key_type: str | None) -> int | None:
    if key_type in KEY_BITS:
        return KEY_BITS[key_type]
    if key_type and key_type.startswith(UNSIZED):
        return None
    plainly = {"RSA": _modulus_bits, "EC": _curve_bits}.get(key_type or "")
    ways = [
        lambda: reading.cryptography().key_bits(),
        lambda: reading.openssl().key_bits(),
        lambda: bits_of(reading.key()),
    ]
    if plainly is not None:
        ways.insert(0, lambda: plainly(reading.outline().key))
    if key_type == "EC":
        ways.append(lambda: _field_bits(reading.outline().key))
    return reading.field("key_bits", *ways)


def _certificate_version(outline: Outline) -> int:
    """Tell the version: 1 where none is stated (RFC 5280 section 4.1.2.1)."""
    return 1 if outline.version is None else der.small(outline.version.item().expect(der.INTEGER)) + 1


def _rsa(key: der.Value) -> tuple[der.Value, der.Value]:
    """Find modulus and exponent of an RSA key (RFC 8017 appendix A.1.1)."""
    # The first byte of a BIT STRING counts the bits to leave out: none.
    modulus, exponent, *_ = der.first(key.items(least=2)[1].body[1:]).expect(der.SEQUENCE).items(least=2)
    return modulus.expect(der.INTEGER), exponent.expect(der.INTEGER)


def _modulus_bits(key: der.Value) -> int:
    return der.integer(_rsa(key)[0]).bit_length()


def _exponent(key: der.Value) -> int:
    return der.small(_rsa(key)[1])


def _curve_bits(key: der.Value) -> int:
    """Tell the size of a key on a curve over a prime field, whose name says it."""
    bits = PRIME_CURVES.get(_curve(key))
    if bits is None:
        raise WireError("a curve whose name does not tell its size", key.start)
    return bits


def _curve(key: der.Value) -> str:
    """Name the curve of an EC key (RFC 5480 section 2.1.1)."""
    parameters = key.items(least=1)[0].items(least=2)[1]
    if parameters.tag != der.OBJECT_IDENTIFIER:
        raise WireError("the curve is spelled out, not named", parameters.start)
    oid = der.oid(parameters)
    return CURVES.get(oid, oid)


def _field_bits(key: der.Value) -> int:
    """Tell the size of the field of a curve that is spelled out (SEC 1 section C.2), as RFC 5480 forbids."""
    parameters = key.items(least=1)[0].items(least=2)[1].expect(der.SEQUENCE)
    kind, stated, *_ = parameters.items(least=2)[1].expect(der.SEQUENCE).items(least=2)
    if der.oid(kind) != _PRIME_FIELD:
        raise WireError("a field that is not of a prime", kind.start)
    return der.integer(stated.expect(der.INTEGER)).bit_length()


def _signature(signature: der.Value) -> str:
    """Name the algorithm that the certificate says it was signed by (RFC 5280 section 4.1.2.3)."""
    oid = der.oid(signature.expect(der.SEQUENCE).items(least=1)[0])
    return SIGNATURES.get(oid, oid)


def _self_signed(reading: _Reading, subject: str | None, issuer: str | None) -> bool | None:
    """Tell whether a certificate stands for itself: it names itself as issuer, and its key made the signature."""
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
