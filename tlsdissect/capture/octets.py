# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Integers of two and four octets at any offset in bytes."""

from __future__ import annotations

import cython


@cython.ccall
def u16(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read two octets in network order."""
    high: cython.longlong = data[at]
    return high << 8 | data[at + 1]


@cython.ccall
def u32(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read four octets in network order."""
    first: cython.longlong = data[at]
    return first << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]


@cython.ccall
def u16_little(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read two octets, the least significant one first."""
    high: cython.longlong = data[at + 1]
    return high << 8 | data[at]


@cython.ccall
def u32_little(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Read four octets, the least significant one first."""
    last: cython.longlong = data[at + 3]
    return last << 24 | data[at + 2] << 16 | data[at + 1] << 8 | data[at]
