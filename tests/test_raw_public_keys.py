"""Raw public keys in place of certificates (RFC 7250), in the clear in TLS 1.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Talk, said, write
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from recorded import facts

if TYPE_CHECKING:
    from pathlib import Path

KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)
RAW = len(KEY).to_bytes(3, "big") + KEY
CLIENT_TYPE, SERVER_TYPE = 19, 20
CERTIFICATE, CERTIFICATE_REQUEST, SERVER_HELLO, SERVER_HELLO_DONE = 11, 13, 2, 14
REQUEST = bytes.fromhex("01 40 0002 0403 0000")


def record(*messages: tuple[int, bytes]) -> bytes:
    """A record of these handshake messages."""
    body = b"".join(bytes([kind]) + len(message).to_bytes(3, "big") + message for kind, message in messages)
    return b"\x16\x03\x03" + len(body).to_bytes(2, "big") + body


def server_hello(*types: int) -> bytes:
    """A ServerHello that chooses raw public keys by these extensions."""
    extensions = b"".join(kind.to_bytes(2, "big") + b"\x00\x01\x02" for kind in types)
    return b"\x03\x03" + bytes(range(32)) + b"\x00\xc0\x2b\x00" + len(extensions).to_bytes(2, "big") + extensions


def conversation(path: Path, *types: int, client: bytes) -> Path:
    flight = record(
        (SERVER_HELLO, server_hello(*types)),
        (CERTIFICATE, RAW),
        (CERTIFICATE_REQUEST, REQUEST),
        (SERVER_HELLO_DONE, b""),
    )
    steps = [said("tls12-full")[0], (SERVER, flight), (CLIENT, record((CERTIFICATE, client)))]
    return write(path, Talk(steps, 0, 5, 50_000))


@pytest.mark.parametrize("client", [RAW, bytes(3)], ids=["a key", "none"])
def test_a_raw_public_key_is_no_certificate(tmp_path: Path, client: bytes) -> None:
    (one,) = facts(conversation(tmp_path / "raw.pcap", CLIENT_TYPE, SERVER_TYPE, client=client))
    assert (one["certificates"], one["client_certificates"]) == ([], [])
    assert one["problems"] == []


def test_each_side_has_a_type_of_its_own(tmp_path: Path) -> None:
    (one,) = facts(conversation(tmp_path / "raw.pcap", SERVER_TYPE, client=bytes(3)))
    assert (one["certificates"], one["client_certificates"]) == ([], [])
    assert one["problems"] == []
    (one,) = facts(conversation(tmp_path / "raw.pcap", CLIENT_TYPE, client=RAW))
    assert (one["certificates"], one["client_certificates"]) == (None, [])
    assert [problem["code"] for problem in one["problems"]] == ["malformed_message"]
