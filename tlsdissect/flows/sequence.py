# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Arithmetic of TCP's sequence numbers, which count modulo 2**32 (RFC 9293 section 3.4)."""

from __future__ import annotations

import cython

# C integers, by the .pxd: Cython takes a literal of more than 31 bits for a Python object.
_HALF = 0x8000_0000
_MASK = 0xFFFF_FFFF


@cython.ccall
@cython.exceptval(-1)
def add(sequence: cython.longlong, octets: cython.longlong) -> cython.longlong:
    """Return the sequence number that is so many octets further on."""
    return (sequence + octets) & _MASK


@cython.ccall
@cython.exceptval(-1)
def difference(one: cython.longlong, other: cython.longlong) -> cython.longlong:
    """Return how many octets `one` is ahead of `other`, from -2**31 (behind it) to 2**31 - 1."""
    return ((one - other + _HALF) & _MASK) - _HALF
