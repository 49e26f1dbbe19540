"""Commands that say something of all connections together: nothing is written before the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Connection


class Gatherer(Protocol):
    """What takes connections in."""

    def add(self, connection: Connection, /) -> None:
        """Take a connection in."""
        ...


class Gathering:
    """A view that writes nothing of a connection, and hands it on."""

    head = b""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    def section(self, _: str) -> bytes:
        """Write nothing."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Hand a connection on."""
        self._gatherer.add(connection)
        return b""
