"""A view for commands that print nothing until all connections were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Connection


class Consumer(Protocol):
    """Receives connections."""

    def add(self, connection: Connection, /) -> None:
        """Add a connection."""
        ...


class Collector:
    """Passes each connection to a consumer and prints nothing."""

    head = b""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def section(self, _: str) -> bytes:
        """Print nothing."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Pass the connection to the consumer."""
        self._consumer.add(connection)
        return b""
