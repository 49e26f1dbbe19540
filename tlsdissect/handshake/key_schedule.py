# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The key schedules: from the secrets that key logs hold to the keys of each direction.

TLS 1.3, QUIC and DTLS 1.3 expand traffic secrets by HKDF (RFC 8446 section 7). Before, a pseudorandom function expands
a master secret and both randoms to a block of keys (RFC 5246 sections 5 and 6.3). HPKE has a schedule of its own.
"""

from __future__ import annotations

import hmac
from functools import cache
from hashlib import md5, sha1, sha256, sha384
from typing import TYPE_CHECKING, Any, NamedTuple

import cython

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET_SIZE = 48
"""Bytes of a master secret, and of the premaster secret of RSA (RFC 5246 sections 8.1 and 7.4.7.1)."""
IV_SIZE = 12
"""Bytes of the initialization vector of each AEAD of TLS 1.3 (RFC 8446 section 5.3)."""
TLS13, TLS13_DRAFT, DTLS13 = b"tls13 ", b"TLS 1.3, ", b"dtls13"
"""What labels begin with: RFC 8446 section 7.1, draft-ietf-tls-tls13-19 section 7.1, RFC 9147 section 5.9."""

_HASHES = {"md5": (md5, 64), "sha1": (sha1, 64), "sha256": (sha256, 64), "sha384": (sha384, 128)}
"""The hashes of TLS and QUIC, each with the bytes of its block."""
_INNER, _OUTER = (bytes([byte ^ pad for byte in range(256)]) for pad in (0x36, 0x5C))
"""What the bytes of a key of HMAC become before the inner and the outer hash (RFC 2104 section 2)."""
HPKE_HASHES = {1: "sha256", 2: "sha384", 3: "sha512"}
"""The hashes of HPKE's key derivation functions (RFC 9180 section 7.2)."""


@cython.cclass
class Hmac:
    """HMAC with a key of at most the bytes of a block (RFC 2104).

    Two hashes of `hashlib` take a third of the time of `hmac.digest`, or of an HMAC of `cryptography`: most of that
    goes into choosing an implementation.
    """

    _hashed: Any
    _inner: bytes
    _outer: bytes

    def __init__(self, key: bytes, hash_name: str) -> None:
        hashed, block = _HASHES[hash_name]
        padded = key.ljust(block, b"\0")
        self._hashed = hashed
        self._inner = padded.translate(_INNER)
        self._outer = padded.translate(_OUTER)

    @cython.ccall
    def of(self, message: bytes) -> bytes:
        """Return the HMAC of a message."""
        mac: bytes = self._hashed(self._outer + self._hashed(self._inner + message).digest()).digest()
        return mac


def hkdf_extract(salt: bytes, material: bytes, hash_name: str) -> bytes:
    """Extract a pseudorandom key (RFC 5869 section 2.2)."""
    keyed: Hmac = Hmac(salt, hash_name)
    return keyed.of(material)


def hkdf_expand_label(
    secret: bytes, label: bytes, length: cython.longlong, hash_name: str, *, context: bytes = b"", prefix: bytes = TLS13
) -> bytes:
    """Expand a secret to at most the bytes of its hash (RFC 8446 section 7.1)."""
    return hkdf_expand(secret, (label_info(label, length, prefix, context),), hash_name)[0][:length]


def label_info(label: bytes, length: cython.longlong, prefix: bytes = TLS13, context: bytes = b"") -> bytes:
    """Return the HkdfLabel with which a secret is expanded to `length` bytes (RFC 8446 section 7.1)."""
    named = prefix + label
    return length.to_bytes(2, "big") + bytes([len(named)]) + named + bytes([len(context)]) + context


@cython.ccall
def hkdf_expand(secret: bytes, infos: tuple, hash_name: str) -> list[bytes]:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Expand a secret with each info, to one block of output each (RFC 5869 section 2.3).

    One block is one HMAC and suffices for a key. The secret must not be longer than a block.
    """
    keyed: Hmac = Hmac(secret, hash_name)
    return [keyed.of(info + b"\1") for info in infos]


class TrafficKeys(NamedTuple):
    """The write key and IV of one side (RFC 8446 section 7.3)."""

    key: bytes
    iv: bytes


@cython.ccall
def traffic_keys(secret: bytes, key_bytes: cython.longlong, hash_name: str, prefix: bytes = TLS13) -> TrafficKeys:
    """Expand a traffic secret to the keys of records."""
    key, iv = hkdf_expand(secret, _traffic_infos(key_bytes, prefix), hash_name)
    return TrafficKeys(key[:key_bytes], iv[:IV_SIZE])


@cache
def _traffic_infos(key_bytes: cython.longlong, prefix: bytes) -> tuple[bytes, ...]:
    return label_info(b"key", key_bytes, prefix), label_info(b"iv", IV_SIZE, prefix)


def next_secret(secret: bytes, hash_name: str, *, prefix: bytes = TLS13) -> bytes:
    """Return the traffic secret after a KeyUpdate (RFC 8446 section 7.2)."""
    label = b"application traffic secret" if prefix == TLS13_DRAFT else b"traffic upd"
    return hkdf_expand_label(secret, label, len(secret), hash_name, prefix=prefix)


class HpkeLabels:
    """The derivations with labels of a suite of HPKE (RFC 9180 section 4)."""

    def __init__(self, kem: cython.longlong, kdf: cython.longlong, aead: cython.longlong) -> None:
        self._hash = HPKE_HASHES[kdf]
        self._before = b"HPKE-v1HPKE" + b"".join(number.to_bytes(2, "big") for number in (kem, kdf, aead))

    def extract(self, salt: bytes, label: bytes, material: bytes) -> bytes:
        """Extract a pseudorandom key; to HMAC, no salt is one of zeros."""
        return hmac.digest(salt, self._before + label + material, self._hash)

    def expand(self, secret: bytes, label: bytes, context: bytes, size: cython.longlong) -> bytes:
        """Expand a pseudorandom key to at most the bytes of its hash, which take one HMAC (RFC 5869 section 2.3)."""
        info = size.to_bytes(2, "big") + self._before + label + context
        return hmac.digest(secret, info + b"\1", self._hash)[:size]


def prf(
    secret: bytes, label: bytes, seed: bytes, length: cython.longlong, *, hash_name: str, tls12: cython.bint
) -> bytes:
    """Expand a secret: P_hash of TLS 1.2 (RFC 5246 section 5), or P_MD5 XOR P_SHA-1 before (RFC 2246 section 5)."""
    if tls12:
        return _p_hash(secret, label + seed, length, hash_name)
    half = (len(secret) + 1) // 2
    md5 = _p_hash(secret[:half], label + seed, length, "md5")
    sha1 = _p_hash(secret[len(secret) - half :], label + seed, length, "sha1")
    return bytes([one ^ other for one, other in zip(md5, sha1, strict=True)])


def _p_hash(secret: bytes, seed: bytes, length: cython.longlong, hash_name: str) -> bytes:
    keyed: Hmac = Hmac(secret, hash_name)
    block: bytes = seed
    data: bytes = b""
    while len(data) < length:
        block = keyed.of(block)
        data += keyed.of(block + seed)
    return data[:length]


class DirectionKeys(NamedTuple):
    """The keys of one direction before TLS 1.3."""

    mac_key: bytes
    key: bytes
    iv: bytes


def key_block(
    expand: Callable[[bytes, bytes, int], bytes],
    randoms: tuple[bytes, bytes],
    sizes: tuple[int, int, int],
) -> tuple[DirectionKeys, DirectionKeys]:
    """Return the keys of client and server (RFC 5246 section 6.3).

    `expand` is the pseudorandom function with the master secret, `randoms` are those of client and server, `sizes` the
    bytes of MAC key, key and initialization vector.
    """
    client, server = randoms
    block = expand(b"key expansion", server + client, 2 * sum(sizes))
    parts = []
    for size in sizes:
        parts.append((block[:size], block[size : 2 * size]))
        block = block[2 * size :]
    (mac, others), (key, other_key), (iv, other_iv) = parts
    return DirectionKeys(mac, key, iv), DirectionKeys(others, other_key, other_iv)
