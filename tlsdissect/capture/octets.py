# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Parts of bytes, and integers of two and four octets at any offset in them."""

from __future__ import annotations

import cython


@cython.ccall
@cython.exceptval(-1)
def u16(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read two octets in network order."""
    high: cython.longlong = data[at]
    return high << 8 | data[at + 1]


@cython.ccall
@cython.exceptval(-1)
def u32(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read four octets in network order."""
    first: cython.longlong = data[at]
    return first << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]


@cython.ccall
@cython.exceptval(-1)
def u16_little(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read two octets, the least significant one first."""
    high: cython.longlong = data[at + 1]
    return high << 8 | data[at]


@cython.ccall
@cython.exceptval(-1)
def u32_little(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read four octets, the least significant one first."""
    last: cython.longlong = data[at + 3]
    return last << 24 | data[at + 2] << 16 | data[at + 1] << 8 | data[at]


@cython.ccall
def cut(data: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """Return `data[start:end]`, or the part of it that exists.

    Compiled, a slice of bytes makes three other objects first; a slice of a pointer makes none, and checks nothing.
    """
    size: cython.Py_ssize_t = len(data)
    octets: cython.p_char = data  # type: ignore[assignment]  # uncompiled, it is the same object
    end = min(end, size)
    if start < 0 or start >= end:
        return b""
    return octets[start:end]  # type: ignore[return-value, index]
