"""A view for commands that print nothing until all connections were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.model.connection import Connection


class Collector:
    """Passes each connection to a function and prints nothing."""

    head = b""

    def __init__(self, add: Callable[[Connection], object]) -> None:
        self._add = add

    def section(self, _: str) -> bytes:
        """Print nothing."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Pass the connection to the function."""
        self._add(connection)
        return b""
