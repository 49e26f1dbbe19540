# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Opens protected records with the keys of their direction.

A record, a QUIC packet and a DTLS record differ in how their nonce and their additional data are made; what is done
with these is the same, so nothing here knows where they came from. Nothing raises: what does not open gives None.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cython
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers import algorithms as decrepit
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers import CipherAlgorithm

GCM, CCM, POLY1305, CBC_MODE, STREAM = "GCM", "CCM", "POLY1305", "CBC", "STREAM"
_TAG = 16
_AES_BLOCK = 16
_FEW = 4
"""Records for whose key stream no context of AES is made, which takes as long."""
_BLOCKS = ECB()  # noqa: S305  # for single blocks, as RFC 9001 section 5.4.3 has it
_MASK = 5
"""Bytes of the mask of a header (RFC 9001 section 5.4.1)."""


class Suite(NamedTuple):
    """What a cipher suite needs to protect records."""

    cipher: str
    mode: str
    key_bytes: int
    fixed_iv: int
    """Bytes of the initialization vector in the block of keys; before TLS 1.3 only."""
    tag: int
    """Bytes of the tag of an AEAD, 0 for others."""
    mac: str
    """The hash of the MAC; empty for an AEAD."""
    mac_bytes: int
    hash: str
    """The hash of the key schedule in TLS 1.2 and 1.3."""

    @property
    def is_aead(self) -> bool:
        """Whether encryption and authentication are one operation."""
        return bool(self.tag)

    @property
    def hash_bytes(self) -> int:
        """Bytes of that hash, and of the secrets that it expands."""
        return 48 if self.hash == "sha384" else 32


_CIPHERS = {
    "AES_128_GCM": Suite("AES", GCM, 16, 4, _TAG, "", 0, ""),
    "AES_256_GCM": Suite("AES", GCM, 32, 4, _TAG, "", 0, ""),
    "AES_128_CCM_8": Suite("AES", CCM, 16, 4, 8, "", 0, ""),
    "AES_256_CCM_8": Suite("AES", CCM, 32, 4, 8, "", 0, ""),
    "AES_128_CCM": Suite("AES", CCM, 16, 4, _TAG, "", 0, ""),
    "AES_256_CCM": Suite("AES", CCM, 32, 4, _TAG, "", 0, ""),
    "CHACHA20_POLY1305": Suite("ChaCha20", POLY1305, 32, 12, _TAG, "", 0, ""),
    "AES_128_CBC": Suite("AES", CBC_MODE, 16, 16, 0, "", 0, ""),
    "AES_256_CBC": Suite("AES", CBC_MODE, 32, 16, 0, "", 0, ""),
    "CAMELLIA_128_CBC": Suite("Camellia", CBC_MODE, 16, 16, 0, "", 0, ""),
    "CAMELLIA_256_CBC": Suite("Camellia", CBC_MODE, 32, 16, 0, "", 0, ""),
    "SEED_CBC": Suite("SEED", CBC_MODE, 16, 16, 0, "", 0, ""),
    "IDEA_CBC": Suite("IDEA", CBC_MODE, 16, 8, 0, "", 0, ""),
    "3DES_EDE_CBC": Suite("TripleDES", CBC_MODE, 24, 8, 0, "", 0, ""),
    "RC4_128": Suite("RC4", STREAM, 16, 0, 0, "", 0, ""),
}
"""By the part of a suite's name between the key exchange and the hash; a name that begins another comes after it."""

_MACS = {"MD5": ("md5", 16), "SHA": ("sha1", 20), "SHA256": ("sha256", 32), "SHA384": ("sha384", 48)}


def _algorithm(name: str) -> Callable[[bytes], CipherAlgorithm] | None:
    """Return an algorithm if `cryptography` still offers it."""
    return getattr(decrepit, name, None) or getattr(algorithms, name, None)


@lru_cache(maxsize=512)
def suite(name: str) -> Suite | None:
    """Return what a suite with this registered name needs; None if its records cannot be opened, or need no key."""
    kind, with_, words = name.removeprefix("TLS_").partition("_WITH_")
    words = words if with_ else kind
    if "EXPORT" in kind:
        # The keys of these suites are derived in another way (RFC 2246 section 6.3.1).
        return None
    for known, found in _CIPHERS.items():
        if words == known or words.startswith(f"{known}_"):
            named = words[len(known) + 1 :]
            hash_name = "sha384" if named == "SHA384" else "sha256"
            if found.is_aead:
                return found._replace(hash=hash_name) if named in ("", "SHA256", "SHA384") else None
            if named not in _MACS:
                return None
            mac, mac_bytes = _MACS[named]
            return found._replace(mac=mac, mac_bytes=mac_bytes, hash=hash_name)
    return None


AES_128_GCM = _CIPHERS["AES_128_GCM"]._replace(hash="sha256")


@cython.cclass
class Aead:
    """An AEAD with its key."""

    _mode: str
    _tag: cython.Py_ssize_t
    _key: bytes
    _looked_at: cython.longlong
    """Records whose content type was found."""
    _counters: Any
    """The context that makes single blocks of the key stream of AES; None until it is needed."""
    _aead: Any

    def __init__(self, suite: Suite, key: bytes) -> None:
        self._mode = suite.mode
        self._tag = suite.tag
        self._key = key
        self._looked_at = 0
        self._counters = None
        if suite.mode == GCM:
            self._aead = AESGCM(key)
        elif suite.mode == CCM:
            self._aead = AESCCM(key, tag_length=suite.tag)
        else:
            self._aead = ChaCha20Poly1305(key)

    @cython.ccall
    def open(self, nonce: bytes, sealed: bytes, additional: bytes) -> bytes | None:
        """Return the plaintext; None if the tag is wrong."""
        if len(sealed) < self._tag:
            return None
        try:
            plain: bytes = self._aead.decrypt(nonce, sealed, additional)
        except (InvalidTag, ValueError):
            return None
        return plain

    @cython.ccall
    def last_nonzero(self, nonce: bytes, sealed: bytes) -> cython.longlong:
        """Return the last byte of the plaintext that is not zero, or 0: the content type of a record of TLS 1.3.

        The key stream is computed, and no byte before that one is decrypted. The tag is not checked.
        """
        end: cython.Py_ssize_t = len(sealed) - self._tag
        begin: cython.Py_ssize_t
        found: cython.longlong
        self._looked_at += 1
        if end > 0 and (self._mode == POLY1305 or self._looked_at <= _FEW):
            # What it makes of zeros is the key stream.
            return _last_nonzero(sealed, self._aead.encrypt(nonce, bytes(end), None), 0, end)
        while end > 0:
            begin = (end - 1) // _AES_BLOCK * _AES_BLOCK
            found = _last_nonzero(sealed, self._block(nonce, begin // _AES_BLOCK), begin, end)
            if found:
                return found
            end = begin
        return 0

    @cython.cfunc
    def _block(self, nonce: bytes, number: cython.Py_ssize_t) -> bytes:
        """Return a block of the key stream of AES."""
        # NIST SP 800-38D section 7.1: the first counter for data is 2; RFC 3610 section 2.3: it is 1, after the flags.
        counter: bytes = nonce + (number + 2).to_bytes(4, "big")
        if self._mode == CCM:
            counter = b"\x02" + nonce + (number + 1).to_bytes(3, "big")
        if self._counters is None:
            # One block of counter mode is one block of ECB, whose context serves for all records.
            self._counters = Cipher(AES(self._key), _BLOCKS).encryptor()
        block: bytes = self._counters.update(counter)
        return block


@cython.cfunc
def _last_nonzero(sealed: bytes, stream: bytes, begin: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """Return the last byte that is not zero between two places, or 0; `stream` is the key stream from the first on."""
    found: cython.longlong
    while end > begin:
        end -= 1
        found = sealed[end] ^ stream[end - begin]
        if found:
            return found
    return 0


@cython.cclass
class HeaderMask:
    """Makes the masks that hide packet and sequence numbers (RFC 9001 section 5.4, RFC 9147 section 4.2.3)."""

    _key: bytes
    _blocks: Any
    """The context of AES; None for ChaCha20."""

    def __init__(self, suite: Suite, key: bytes) -> None:
        self._key = key
        self._blocks = None
        if suite.mode != POLY1305:
            self._blocks = Cipher(AES(key), _BLOCKS).encryptor()

    @cython.ccall
    def of(self, sample: bytes) -> bytes:
        """Return the mask for a sample of 16 bytes of ciphertext."""
        mask: bytes
        if self._blocks is not None:
            mask = self._blocks.update(sample)
        else:
            mask = Cipher(ChaCha20(self._key, sample), None).encryptor().update(bytes(_MASK))
        return mask


def nonce_of(iv: bytes, number: Any) -> bytes:
    """Return the nonce of a record or packet: its number XOR the initialization vector (RFC 8446 section 5.3).

    The number may have 64 bits, in DTLS with the epoch in front.
    """
    nonce: bytes = (int.from_bytes(iv, "big") ^ number).to_bytes(len(iv), "big")
    return nonce


def open_cbc(suite: Suite, key: bytes, iv: bytes, sealed: bytes) -> bytes | None:
    """Return the plaintext of whole blocks without its padding (RFC 5246 section 6.2.3.2)."""
    algorithm = _algorithm(suite.cipher)
    if algorithm is None or not sealed or len(sealed) % suite.fixed_iv or len(iv) != suite.fixed_iv:
        return None
    try:
        decryptor = Cipher(algorithm(key), CBC(iv)).decryptor()
    except (UnsupportedAlgorithm, ValueError):
        return None
    data = decryptor.update(sealed) + decryptor.finalize()
    size = len(data)
    padding = data[size - 1] + 1
    if padding > size or data[size - padding :] != bytes([padding - 1]) * padding:
        return None
    return data[: size - padding]


def mac_of(suite: Suite, key: bytes, header: bytes, data: bytes) -> bytes:
    """Return the MAC of a record; `header` is its number, content type and version (RFC 5246 section 6.2.3.1)."""
    return hmac.digest(key, header + len(data).to_bytes(2, "big") + data, suite.mac)


def without_mac(suite: Suite, key: bytes, header: bytes, data: bytes) -> bytes | None:
    """Return what precedes the MAC at the end; None if that is wrong."""
    if len(data) < suite.mac_bytes:
        return None
    data, mac = data[: len(data) - suite.mac_bytes], data[len(data) - suite.mac_bytes :]
    return data if hmac.compare_digest(mac, mac_of(suite, key, header, data)) else None


class Rc4:
    """The key stream of RC4, which continues from record to record."""

    def __init__(self, key: bytes) -> None:
        self._stream = Cipher(decrepit.ARC4(key), mode=None).decryptor()

    def open(self, sealed: bytes) -> bytes:
        """Return the plaintext of the next bytes."""
        return self._stream.update(sealed)
