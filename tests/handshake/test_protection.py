"""Opening records: each kind of cipher, against records that are sealed here by the RFCs."""

from __future__ import annotations

import hmac
import os
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.modes import CBC

from tlsdissect.handshake import key_schedule, protection
from tlsdissect.handshake.protection import Aead, Suite, open_cbc, suite, without_mac
from tlsdissect.tls.codepoints import Registry

AEADS = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
]


def cipher(chosen: Suite, key: bytes) -> AESGCM | AESCCM | ChaCha20Poly1305:
    """The AEAD of the library."""
    if chosen.mode == protection.CCM:
        return AESCCM(key, tag_length=chosen.tag)
    return AESGCM(key) if chosen.mode == protection.GCM else ChaCha20Poly1305(key)


@pytest.mark.parametrize("name", AEADS)
def test_the_content_type_is_found_without_decrypting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = suite(name)
    assert chosen is not None
    key, nonce = os.urandom(chosen.key_bytes), os.urandom(12)
    aead, library = Aead(chosen, key), cipher(chosen, key)
    with monkeypatch.context() as patch:
        for library_name in ("AESGCM", "AESCCM", "ChaCha20Poly1305"):
            # Of the library's AEAD, only what encrypts.
            patch.setattr(protection, library_name, lambda *_, **__: SimpleNamespace(encrypt=library.encrypt))
        cannot_decrypt = Aead(chosen, key)
    for size in (0, 1, 14, 15, 16, 17, 62, 63, 64, 65, 1000):
        for padding in (0, 1, 15, 16, 200):
            plain = os.urandom(size) + b"\x17" + bytes(padding)
            sealed = library.encrypt(nonce, plain, b"header")
            assert aead.open(nonce, sealed, b"header") == plain
            assert aead.open(nonce, sealed, b"HEADER") is None
            assert cannot_decrypt.last_nonzero(nonce, sealed) == 0x17
    assert aead.last_nonzero(nonce, library.encrypt(nonce, bytes(100), b"")) == 0
    assert aead.open(nonce, b"", b"") is aead.open(nonce, b"short", b"") is None


@pytest.mark.parametrize("words", ["AES_128_CBC_SHA", "AES_256_CBC_SHA384", "3DES_EDE_CBC_SHA", "CAMELLIA_128_CBC_SHA"])
def test_blocks(words: str) -> None:
    chosen = suite(f"TLS_RSA_WITH_{words}")
    assert chosen is not None
    algorithm = protection._algorithm(chosen.cipher)
    assert algorithm is not None
    key, iv, mac_key, header = os.urandom(chosen.key_bytes), os.urandom(chosen.fixed_iv), os.urandom(20), bytes(11)
    for size in range(40):
        data = os.urandom(size)
        mac = hmac.digest(mac_key, header + size.to_bytes(2, "big") + data, chosen.mac)
        padding = -(size + len(mac) + 1) % chosen.fixed_iv
        plain = data + mac + bytes([padding]) * (padding + 1)
        encryptor = Cipher(algorithm(key), CBC(iv)).encryptor()
        sealed = encryptor.update(plain) + encryptor.finalize()
        opened = open_cbc(chosen, key, iv, sealed)
        assert opened == data + mac
        assert without_mac(chosen, mac_key, header, opened) == data
        assert without_mac(chosen, mac_key, b"x" * 11, opened) is None
    for wrong in ((key, iv, b""), (key, iv, sealed[:-1]), (key, b"", sealed), (b"", iv, sealed)):
        assert open_cbc(chosen, *wrong) is None


def test_every_registered_suite_is_understood_or_refused() -> None:
    _ = Registry.CIPHER_SUITES.names[0]
    known = {name: chosen for name in Registry.CIPHER_SUITES.names.values() if (chosen := suite(name)) is not None}
    for name, chosen in known.items():
        assert chosen.is_aead != bool(chosen.mac)
        assert chosen.hash in {"sha256", "sha384"}
        assert protection._algorithm(chosen.cipher) is not None or chosen.mode in {"STREAM", "POLY1305"}, name
    assert len(known) > 200
    for name in (
        "TLS_NULL_WITH_NULL_NULL",
        "TLS_RSA_WITH_NULL_SHA256",
        "TLS_RSA_EXPORT_WITH_RC4_40_MD5",
        "TLS_RSA_WITH_ARIA_128_GCM_SHA256",
    ):
        assert name not in known
    assert known["TLS_RSA_WITH_AES_256_CCM_8"].tag == 8


def test_the_pseudorandom_function() -> None:
    """Vectors that were published for P_SHA256 and, for TLS 1.0, by tests of several libraries."""
    secret = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
    seed = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    begin = key_schedule.prf(secret, b"test label", seed, 100, hash_name="sha256", tls12=True)
    assert begin.hex().startswith("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a")


def test_expanding_a_secret() -> None:
    """RFC 8448 section 3: the server's handshake traffic keys."""
    secret = bytes.fromhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
    keys = key_schedule.traffic_keys(secret, 16, "sha256")
    assert keys.key.hex() == "3fce516009c21727d0f2e4e86ee403bc"
    assert keys.iv.hex() == "5d313eb2671276ee13000b30"


@pytest.mark.parametrize("hash_name", ["md5", "sha1", "sha256", "sha384"])
def test_hmac(hash_name: str) -> None:
    for size in (0, 20, 48, 64):
        key, message = os.urandom(size), os.urandom(2 * size)
        assert key_schedule.Hmac(key, hash_name).of(message) == hmac.digest(key, message, hash_name)
