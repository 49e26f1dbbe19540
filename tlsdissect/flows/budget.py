# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The memory that all connections of a reading share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

if TYPE_CHECKING:
    from tlsdissect.flows.limits import Limits


@cython.cclass
class Budget:
    """The bytes that all connections of a reading buffer and keep together."""

    limits: Limits
    used: cython.longlong
    held_bytes: cython.longlong
    """`Limits.held_bytes`."""
    message_bytes: cython.longlong
    """`Limits.message_bytes`."""
    total_bytes: cython.longlong
    """`Limits.total_bytes`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.used = 0
        self.held_bytes = limits.held_bytes
        self.message_bytes = limits.message_bytes
        self.total_bytes = limits.total_bytes

    @cython.ccall
    def is_spent(self) -> cython.bint:
        """Return whether nothing more may be buffered or kept."""
        return self.used > self.total_bytes
