"""Decompresses certificates (RFC 8879 section 4), never to more bytes than the message says and a limit allows."""

from __future__ import annotations

import zlib

from tlsdissect.tls.record import MAX_MESSAGE

_ZLIB, _BROTLI, _ZSTD = 1, 2, 3
_WINDOW = 8 << 20
"""Bytes of the largest window of a Zstandard frame: what RFC 8878 section 3.1.1.1.2 recommends to support."""


class DecompressionError(Exception):
    """The bytes cannot be decompressed; the text says why."""


def decompressed(algorithm: int, data: bytes, size: int) -> bytes:
    """Return the decompressed bytes; `size` is the number of bytes that the message announces."""
    if size > MAX_MESSAGE:
        raise DecompressionError(f"{size} bytes are more than a message can have")
    try:
        found = _decompress(algorithm, data, size)
    except zlib.error as error:
        raise DecompressionError(str(error)) from None
    if len(found) != size:
        raise DecompressionError(f"{size} bytes were announced, but {len(found)} are there")
    return found


def _decompress(algorithm: int, data: bytes, size: int) -> bytes:
    if algorithm == _ZLIB:
        return zlib.decompressobj().decompress(data, size + 1)
    if algorithm == _BROTLI:
        try:
            import brotli  # noqa: PLC0415  # few servers compress certificates
        except ImportError:
            raise DecompressionError("brotli is not installed") from None
        try:
            return bytes(brotli.Decompressor().process(data, output_buffer_limit=size + 1))
        except brotli.error as error:
            raise DecompressionError(str(error)) from None
    if algorithm == _ZSTD:
        import zstandard  # noqa: PLC0415  # few servers compress certificates

        try:
            return zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(data).read(size + 1)
        except zstandard.ZstdError as error:
            raise DecompressionError(str(error)) from None
    raise DecompressionError(f"the algorithm {algorithm} is not known")
