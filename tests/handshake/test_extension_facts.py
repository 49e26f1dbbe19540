from __future__ import annotations

import pytest

from tlsdissect.handshake.facts.extensions import MAX_CACHED, ExtensionDecoder
from tlsdissect.handshake.facts.text import text
from tlsdissect.tls.extensions import FROM_CLIENT


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"www.example.com", "www.example.com"),
        (b"a b", "a\\x20b"),
        (b"a\\b", "a\\x5cb"),
        (b"\x1b[2J", "\\x1b[2J"),
        (b"caf\xc3\xa9", "caf\\xc3\\xa9"),
        (b"", ""),
    ],
)
def test_bytes_that_are_no_host_name_are_escaped(data: bytes, told: str) -> None:
    assert text(data) == told


def test_bodies_that_never_repeat_are_not_cached() -> None:
    decoder = ExtensionDecoder(FROM_CLIENT)
    cache = decoder._decode_cached.cache
    decoder.decode(51, bytes.fromhex("0008 001d 0004 01020304"))
    decoder.decode(0, bytes.fromhex("0006 00 0003 61 62 63"))
    decoder.decode(21, bytes(MAX_CACHED + 1))
    assert len(cache) == 0
    decoder.decode(21, bytes(MAX_CACHED))
    assert len(cache) == 1
