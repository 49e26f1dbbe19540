# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Bytes from the wire as text."""

from __future__ import annotations

import cython

_SHOWN = [chr(byte) if 0x20 < byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in range(256)]
"""The text for each byte."""


@cython.ccall
def text(data: bytes) -> str:
    r"""Format bytes as printable ASCII; every other byte, and the backslash, as `\xNN`."""
    n: cython.Py_ssize_t
    byte: cython.longlong
    for n in range(len(data)):
        byte = data[n]
        if not 0x20 < byte < 0x7F or byte == 0x5C:
            return "".join([_SHOWN[one] for one in data])
    return data.decode("ascii")


def quoted(data: bytes) -> str:
    """Format a text like `text`, but keep its spaces."""
    return " ".join(map(text, data.split(b" ")))
