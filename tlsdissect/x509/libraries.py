"""Certificates decoded by `cryptography` or OpenSSL, for fields that this package cannot decode itself.

Both libraries are imported on first use, since they would take most of a command's start-up time.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.x509 import Certificate as CryptographyCertificate
    from OpenSSL.crypto import X509

MAX_RSA_BITS = 16_384
"""Bits of the largest RSA modulus that signatures are checked with, the same limit as in OpenSSL."""
MAX_EXPONENT_BITS = 64
"""Bits of the largest RSA public exponent that signatures are checked with.

The cost of a check is proportional to them. OpenSSL has the same limit, but only for moduli of more than 3072 bits.
"""
MAX_DSA_BITS = 4096
"""Bits of the largest DSA prime that signatures are checked with."""

_MAX_REASON = 160

# Hash algorithms of RSA, ECDSA and DSA signatures, by object identifier.
_HASHES = {
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA1",
    "1.2.840.113549.1.1.11": "SHA256",
    "1.2.840.113549.1.1.12": "SHA384",
    "1.2.840.113549.1.1.13": "SHA512",
    "1.2.840.113549.1.1.14": "SHA224",
    "1.2.840.10040.4.3": "SHA1",
    "1.2.840.10045.4.1": "SHA1",
    "1.2.840.10045.4.3.1": "SHA224",
    "1.2.840.10045.4.3.2": "SHA256",
    "1.2.840.10045.4.3.3": "SHA384",
    "1.2.840.10045.4.3.4": "SHA512",
    "1.3.14.3.2.3": "MD5",
    "1.3.14.3.2.29": "SHA1",
    "2.16.840.1.101.3.4.3.1": "SHA224",
    "2.16.840.1.101.3.4.3.2": "SHA256",
}


class Library(Protocol):
    """Fields of a certificate by a library; each method raises `WireError` if the library fails."""

    def serial(self) -> int:
        """Return the serial number (RFC 5280 section 4.1.2.2)."""

    def not_before(self) -> str:
        """Return notBefore in RFC 3339."""

    def not_after(self) -> str:
        """Return notAfter in RFC 3339."""

    def key(self) -> object:
        """Return the public key as an object of `cryptography`."""

    def key_bits(self) -> int:
        """Return the key size in bits."""


class ByCryptography:
    """A certificate that `cryptography` has loaded."""

    def __init__(self, encoding: bytes) -> None:
        with _wire_errors():
            from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415  # start-up time

            self._loaded: CryptographyCertificate = load_der_x509_certificate(encoding)

    def serial(self) -> int:
        """Return the serial number (RFC 5280 section 4.1.2.2)."""
        with _wire_errors():
            return self._loaded.serial_number

    def not_before(self) -> str:
        """Return notBefore in RFC 3339."""
        with _wire_errors():
            return self._loaded.not_valid_before_utc.isoformat().replace("+00:00", "Z")

    def not_after(self) -> str:
        """Return notAfter in RFC 3339."""
        with _wire_errors():
            return self._loaded.not_valid_after_utc.isoformat().replace("+00:00", "Z")

    def key(self) -> object:
        """Return the public key as an object of `cryptography`."""
        with _wire_errors():
            return self._loaded.public_key()

    def key_bits(self) -> int:
        """Return the key size in bits."""
        return bits_of(self.key())

    def is_issued_by(self, other: ByCryptography) -> bool:
        """Return whether another certificate is the issuer by name and its key made the signature."""
        refuse_costly(other.key())
        return _is_valid(lambda: self._loaded.verify_directly_issued_by(other._loaded))

    def signs_itself(self) -> bool:
        """Return whether the certificate is self-signed with an algorithm that `cryptography` still accepts."""
        return self.is_issued_by(self)


class ByOpenSSL:
    """A certificate that OpenSSL has loaded; it accepts negative serials, unusual dates and more."""

    def __init__(self, encoding: bytes) -> None:
        with _wire_errors():
            from OpenSSL.crypto import FILETYPE_ASN1, load_certificate  # noqa: PLC0415  # start-up time

            self._loaded: X509 = load_certificate(FILETYPE_ASN1, encoding)

    def serial(self) -> int:
        """Return the serial number (RFC 5280 section 4.1.2.2)."""
        with _wire_errors():
            return self._loaded.get_serial_number()

    def not_before(self) -> str:
        """Return notBefore in RFC 3339."""
        with _wire_errors():
            return der.utc(self._loaded.get_notBefore() or b"", generalized=True)

    def not_after(self) -> str:
        """Return notAfter in RFC 3339."""
        with _wire_errors():
            return der.utc(self._loaded.get_notAfter() or b"", generalized=True)

    def algorithm(self) -> str:
        """Return OpenSSL's name of the signature algorithm."""
        with _wire_errors():
            return der.printable(self._loaded.get_signature_algorithm())

    def key(self) -> object:
        """Return the public key as an object of `cryptography`."""
        with _wire_errors():
            return self._loaded.get_pubkey().to_cryptography_key()

    def key_bits(self) -> int:
        """Return the key size in bits."""
        with _wire_errors():
            return self._loaded.get_pubkey().bits()

    def subject(self) -> bytes:
        """Return the subject in DER, as re-encoded by OpenSSL."""
        with _wire_errors():
            return self._loaded.get_subject().der()

    def issuer(self) -> bytes:
        """Return the issuer in DER, as re-encoded by OpenSSL."""
        with _wire_errors():
            return self._loaded.get_issuer().der()


def load_key(encoding: bytes) -> object:
    """Load a SubjectPublicKeyInfo."""
    with _wire_errors():
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415  # start-up time

        return load_der_public_key(encoding)


def bits_of(key: object) -> int:
    """Return the size in bits of a key object of `cryptography`."""
    bits = getattr(key, "key_size", None)
    if not isinstance(bits, int):
        raise WireError("the public key has no size in bits", 0)
    return bits


def refuse_costly(key: object) -> None:
    """Raise `WireError` for a key whose signature checks cost too much."""
    from cryptography.hazmat.primitives.asymmetric import dsa, rsa  # noqa: PLC0415  # start-up time

    reason = None
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        reason = rsa_cost_reason(numbers.n, numbers.e)
    elif isinstance(key, dsa.DSAPublicKey):
        reason = dsa_cost_reason(key.key_size)
    if reason is not None:
        raise WireError(f"signatures with {reason} are not checked", 0)


def rsa_cost_reason(modulus: int | None, exponent: int | None) -> str | None:
    """Return why signatures by an RSA key cost too much to check; None if they do not."""
    if modulus is not None and modulus.bit_length() > MAX_RSA_BITS:
        return f"a modulus of {modulus.bit_length():,} bits"
    if exponent is not None and exponent.bit_length() > MAX_EXPONENT_BITS:
        return f"a public exponent of {exponent.bit_length():,} bits"
    return None


def dsa_cost_reason(bits: int | None) -> str | None:
    """Return why signatures by a DSA key with a prime of this size cost too much to check; None if they do not."""
    return f"a DSA prime of {bits:,} bits" if bits is not None and bits > MAX_DSA_BITS else None


def signed_by(key: object, encoding: bytes) -> bool:
    """Return whether this key made a certificate's signature, even by a weak algorithm.

    `cryptography` rejects SHA-1 and MD5 because they prove nothing in a path. They still show which certificate was
    meant to be the issuer.
    """
    signed, algorithm, signature, *_ = der.first(encoding).items(least=3)
    digest = _HASHES.get(der.oid(algorithm.items(least=1)[0]))
    if digest is None:
        raise WireError("unsupported signature algorithm", algorithm.start)
    # The first byte of a BIT STRING counts unused bits, here none.
    return _is_valid(lambda: _verify(key, signature.body[1:], signed.encoding, digest))


def _verify(key: Any, signature: bytes, signed: bytes, digest: str) -> None:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  # start-up time
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa  # noqa: PLC0415

    refuse_costly(key)
    algorithm = getattr(hashes, digest)()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(algorithm))
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(signature, signed, algorithm)
    else:
        raise WireError("unsupported key type for signatures", 0)


def _is_valid(check: Callable[[], None]) -> bool:
    """Return whether a signature is valid; raise `WireError` if it cannot be checked."""
    with _wire_errors():
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # start-up time

        try:
            check()
        except InvalidSignature:
            return False
    return True


@contextmanager
def _wire_errors() -> Iterator[None]:
    """Convert a library's exceptions to `WireError`, and suppress its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (WireError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  # two libraries, whose exceptions have no base in common
            raise WireError(_reason(error), 0) from None


def _reason(error: Exception) -> str:
    """Return a library's error message as one printable line."""
    reason = str(error) or type(error).__name__
    if error.args and isinstance(error.args[0], list):  # OpenSSL's: (library, function, reason) each
        reason = "; ".join(str(entry[-1]) for entry in error.args[0]) or type(error).__name__
    return der.printable(" ".join(reason.split()).encode()[:_MAX_REASON])
