"""Records of DTLS 1.3 in every form of the unified header, as NSS does not write them all."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from datagrams import CLIENT, SERVER, facts, sent, write
from dtlswriting import HANDSHAKE, fragment, record, unified
from recorded import ROOT
from tlswriting import extension, sized

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = b"r" * 32
SECRETS = {label: bytes([number]) * 32 for number, label in enumerate(("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0"))}
CCM_8 = 0x1305


def expanded(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with SHA-256, for at most one block of output (RFC 8446 section 7.1, RFC 9147 section 5.9)."""
    info = size.to_bytes(2, "big") + sized(b"dtls13" + label, 1) + b"\0\1"
    return hmac.digest(secret, info, "sha256")[:size]


def sealed(epoch: int, number: int, content: bytes, form: int, cid: bytes) -> bytes:
    """A record of the server with AES-128-CCM-8 (RFC 9147 section 4.2); `form` has the bits of its header."""
    secret = SECRETS["HANDSHAKE_TRAFFIC_SECRET" if epoch == 2 else "TRAFFIC_SECRET_0"]
    size = 2 if form & 0x08 else 1
    low = number.to_bytes(8, "big")[-size:]
    length = (len(content) + 8).to_bytes(2, "big") if form & 0x04 else b""
    first = bytes([0x20 | form | (0x10 if cid else 0) | epoch & 3]) + cid
    nonce = (int.from_bytes(expanded(secret, b"iv", 12), "big") ^ number).to_bytes(12, "big")
    body = AESCCM(expanded(secret, b"key", 16), tag_length=8).encrypt(nonce, content, first + low + length)
    mask = Cipher(AES(expanded(secret, b"sn", 16)), ECB()).encryptor().update(body[:16])  # noqa: S305
    return first + bytes([one ^ other for one, other in zip(low, mask, strict=False)]) + length + body


def message(kind: int, number: int, body: bytes) -> bytes:
    return fragment(kind, number, body) + bytes([HANDSHAKE])


@pytest.mark.parametrize("cid", [b"", b"c-1"])
@pytest.mark.parametrize("form", [0x0C, 0x04, 0x08, 0x00])
def test_every_form_of_the_unified_header_opens(tmp_path: Path, form: int, cid: bytes) -> None:
    def hello(kind: int, versions: bytes, chosen: bytes) -> bytes:
        suite = CCM_8.to_bytes(2, "big")
        suites = b"\0" + sized(suite) + b"\1\0" if kind == 1 else suite + b"\0"
        extensions = extension(43, versions) + (extension(54, sized(chosen, 1)) if cid else b"")
        return record(HANDSHAKE, fragment(kind, 0, b"\xfe\xfd" + RANDOM + b"\0" + suites + sized(extensions)))

    # Numbers that wrap in one byte, and a message in two fragments.
    finished = message(20, 2, b"f" * 32)
    parts = [fragment(11, 4, b"\0\0\0\0"[:2], length=4), fragment(11, 4, b"\0\0", length=4, offset=2)]
    contents = [(2, 0, message(8, 1, b"\0\0")), (2, 1, finished), (3, 0, b"secret data \x17\0\0")]
    contents += [(3, number, b"secret data \x17") for number in range(100, 300, 100)]
    contents += [(3, 300 + number, part + bytes([HANDSHAKE])) for number, part in enumerate(parts)]
    contents.append((3, 302, b"\1\0\x15" + bytes(9)))
    datagrams = [(CLIENT, hello(1, b"\x02\xfe\xfc", cid)), (SERVER, hello(2, b"\xfe\xfc", b"server"))]
    datagrams += [(SERVER, sealed(epoch, number, content, form, cid)) for epoch, number, content in contents]
    keylog = tmp_path / "dtls.keys"
    keylog.write_text("".join(f"SERVER_{label} {RANDOM.hex()} {secret.hex()}\n" for label, secret in SECRETS.items()))
    path = write(tmp_path / "dtls.pcap", datagrams)
    [opened], [seen] = facts(path, keylog=keylog), facts(path)
    hidden = opened["hidden"]
    assert [(one["type"], one["frame"]) for one in hidden["messages"]] == [
        ("encrypted_extensions", 3),
        ("finished", 4),
        ("certificate", 9),
        ("alert", 10),
    ]
    assert hidden["alerts"][0]["description"] == "close_notify"
    assert hidden["problems"] == []
    assert opened | {"hidden": None, "keys": None} == seen


def test_forged_records_do_not_hide_those_that_follow(tmp_path: Path) -> None:
    """Nobody checks their tag: each with any number, some with the content type of application data by chance."""
    flow, keys = sent("dtls13-full"), ROOT / "samples" / "dtls" / "dtls13-full.keys"
    forged = [
        (SERVER, unified(3, body, number=body[:2])) for body in (sha256(bytes([n, 0])).digest() for n in range(256))
    ]
    for datagrams in (flow, [*flow[:7], *forged, *flow[7:]]):
        [one] = facts(write(tmp_path / "forged.pcap", datagrams), keylog=keys)
        assert [(alert["from"], alert["description"]) for alert in one["hidden"]["alerts"]] == [
            ("client", "close_notify"),
            ("server", "close_notify"),
        ]
