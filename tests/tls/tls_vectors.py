"""Recorded messages with their decoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tlsdissect.tls.codepoints import HandshakeType, is_tls13
from tlsdissect.tls.handshake import Decoder, decoder
from tlsdissect.tls.key_exchange import key_exchange
from tlsdissect.tls.wire import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

# The suite is what `-cipher` asked for.
CONNECTIONS = {
    "tls13_retry": (0x0304, "TLS_AES_256_GCM_SHA384"),
    "tls12_ecdhe": (0x0303, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    "tls12_dhe": (0x0303, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    "tls10_rsa": (0x0301, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    "tls12_psk": (0x0303, "TLS_PSK_WITH_AES_128_CBC_SHA"),
    "tls12_ecdhe_psk": (0x0303, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA"),
    "tls12_dhe_psk": (0x0303, "TLS_DHE_PSK_WITH_AES_128_CBC_SHA"),
    "tls12_rsa_psk": (0x0303, "TLS_RSA_PSK_WITH_AES_128_CBC_SHA"),
    "tls12_anon": (0x0303, "TLS_DH_anon_WITH_AES_128_CBC_SHA"),
    "tls11_ecdhe": (0x0302, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    "dtls12": (0xFEFD, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
}


class Vector(NamedTuple):
    connection: str
    sender: str
    type: str
    body: bytes

    @property
    def decoder(self) -> Decoder:
        return decoder_of(self.type, *CONNECTIONS[self.connection])

    @property
    def read(self) -> Callable[[Reader], Any]:
        return self.decoder.read


def decoder_of(message_type: str, version: int, suite: str) -> Decoder:
    number = HandshakeType[message_type.upper()]
    # TLS 1.3 has no such messages; arbitrary bytes are read as one of them all the same.
    if is_tls13(version) and number in (HandshakeType.SERVER_KEY_EXCHANGE, HandshakeType.CLIENT_KEY_EXCHANGE):
        version, suite = 0x0303, "TLS_KRB5_WITH_DES_CBC_SHA"
    found = decoder(number, version, key_exchange(suite), datagram=version >= 0xFE00)
    assert found is not None
    return found


def _load() -> list[Vector]:
    lines = (Path(__file__).parent / "vectors.txt").read_text("ascii").splitlines()
    vectors = []
    for line in lines:
        if not line.startswith("#"):
            connection, sender, message_type, body = line.split(" ")
            vectors.append(Vector(connection, sender, message_type, bytes.fromhex(body)))
    return vectors


VECTORS = _load()


def each(vectors: list[Vector]) -> pytest.MarkDecorator:
    """Run a test with each of these vectors."""
    return pytest.mark.parametrize("vector", vectors, ids=lambda v: f"{v.connection}-{v.sender}-{v.type}")


def named(*names: str) -> list[Vector]:
    return [vector for vector in VECTORS if vector.type in names]


def one(connection: str, message_type: str, which: int = 0) -> Any:
    found = [v for v in VECTORS if v.connection == connection and v.type == message_type]
    return Reader(found[which].body).whole(found[which].read)
