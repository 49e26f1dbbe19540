"""Compressed certificates: each algorithm, and no more bytes than are announced."""

from __future__ import annotations

import zlib
from importlib.util import find_spec

import pytest
import zstandard
from recorded import absent

from tlsdissect.handshake.decompression import DecompressionError, decompressed
from tlsdissect.tls.record import MAX_MESSAGE

MESSAGE = bytes(range(256)) * 20
ZLIB, BROTLI, ZSTD = 1, 2, 3
COMPRESSED = {ZLIB: zlib.compress(MESSAGE), ZSTD: zstandard.compress(MESSAGE)}


@pytest.mark.parametrize("algorithm", [ZLIB, BROTLI, ZSTD])
def test_each_algorithm(algorithm: int) -> None:
    if algorithm == BROTLI:
        if find_spec("brotli") is None:
            absent("brotli is not installed")
        import brotli

        COMPRESSED[BROTLI] = brotli.compress(MESSAGE)
    data = COMPRESSED[algorithm]
    assert decompressed(algorithm, data, len(MESSAGE)) == MESSAGE
    for size in (len(MESSAGE) - 1, len(MESSAGE) + 1):
        with pytest.raises(DecompressionError, match="were announced"):
            decompressed(algorithm, data, size)
    for damaged in (b"", b"nothing", data[:-20]):
        with pytest.raises(DecompressionError):
            decompressed(algorithm, damaged, len(MESSAGE))


@pytest.mark.parametrize("compress", [zlib.compress, zstandard.compress])
def test_a_bomb_is_not_unpacked(compress: object) -> None:
    """Only the announced bytes are made, and one more that shows that there are others."""
    bomb = compress(bytes(64 << 20))  # type: ignore[operator]
    algorithm = ZLIB if compress is zlib.compress else ZSTD
    with pytest.raises(DecompressionError, match="100 bytes were announced, but 101 are there"):
        decompressed(algorithm, bomb, 100)
    with pytest.raises(DecompressionError, match="more than a message can have"):
        decompressed(algorithm, bomb, MAX_MESSAGE + 1)


def test_an_unknown_algorithm() -> None:
    with pytest.raises(DecompressionError, match="the algorithm 9 is not known"):
        decompressed(9, b"", 0)
