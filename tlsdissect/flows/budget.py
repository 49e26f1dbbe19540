# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The memory that all connections of a reading share.

Goal: bound the memory of a process by one number, whatever the connections in it are and however many are left open.
The flow tables take at most TABLE_BYTES. Handshakes, in progress or waiting for the end of their connection, take what
the tables leave of `Limits.total_bytes`, and at least 3/8 of it: else flows that are nothing but an address would keep
every handshake from being read. Evicting flows because handshakes lack room was rejected: each process of a reading
follows all flows and only some of the handshakes, and all must evict the same flows to number the next ones alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

if TYPE_CHECKING:
    from tlsdissect.flows.limits import Limits


TABLE_BYTES = 240 << 20
"""Estimated bytes of the flow tables of TCP, UDP and EAP together. Beyond it, a table that has a third of them evicts
flows as if it had reached its own limit."""
_SPARE = 8


@cython.cclass
class Budget:
    """The bytes that all connections of a reading buffer and keep together."""

    limits: Limits
    used: cython.longlong
    """Estimated bytes of all handshakes."""
    flow_bytes: cython.longlong
    """Estimated bytes of the flow tables."""
    held_bytes: cython.longlong
    """`Limits.held_bytes`."""
    message_bytes: cython.longlong
    """`Limits.message_bytes`."""
    total_bytes: cython.longlong
    """`Limits.total_bytes`."""
    table_bytes: cython.longlong
    """The most that all flow tables take."""

    def __init__(self, limits: Limits, table_bytes: cython.longlong = TABLE_BYTES) -> None:
        self.limits = limits
        self.used = self.flow_bytes = 0
        self.held_bytes = limits.held_bytes
        self.message_bytes = limits.message_bytes
        self.total_bytes = limits.total_bytes
        self.table_bytes = table_bytes

    @cython.ccall
    @cython.exceptval(-1)
    def is_spent(self) -> cython.bint:
        """Return whether nothing more may be buffered or kept."""
        return self.used > self.room()

    def has_spare(self) -> bool:
        """Return whether an eighth is free, so that the next handshakes are kept from their start."""
        return self.used <= self.room() - self.room() // _SPARE

    @cython.ccall
    @cython.exceptval(-1)
    def room(self) -> cython.longlong:
        """Return the bytes that handshakes may take."""
        return max(self.total_bytes // 8 * 3, self.total_bytes - self.flow_bytes)

    @cython.ccall
    @cython.exceptval(-1)
    def is_too_large(self, table: cython.longlong) -> cython.bint:
        """Return whether a flow table with so many bytes has to evict flows, so that all of them have room."""
        return self.flow_bytes > self.table_bytes and 3 * table >= self.flow_bytes
