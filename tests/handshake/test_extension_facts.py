from __future__ import annotations

import pytest

from tlsdissect.handshake.facts.extensions import text


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
