# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""One packet at a time: what the flow table needs of a TCP segment or UDP datagram."""

from __future__ import annotations

import cython


@cython.cclass
class Packet:
    """One TCP segment or UDP datagram."""

    data: bytes
    frame: cython.longlong
    time: cython.longlong
    digits: cython.longlong
    protocol: cython.longlong
    endpoints: bytes
    sequence: cython.longlong
    acknowledgement: cython.longlong
    flags: cython.longlong
    payload: cython.Py_ssize_t
    length: cython.longlong
    captured: cython.longlong
    place: cython.longlong
    quoted: cython.bint

    def __init__(self) -> None:
        self.data = self.endpoints = b""
        self.frame = self.time = self.digits = self.protocol = 0
        self.sequence = self.acknowledgement = self.flags = 0
        self.payload = self.length = self.captured = self.place = 0
        self.quoted = False
