"""What the figures of a report need, which are a few columns, and what they become.

The process that writes the page exchanges these with those that draw, and need not import what draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from tlsdissect.views.table import failure_reasons
from tlsdissect.views.tables import certificate_table, connection_table

if TYPE_CHECKING:
    from markupsafe import Markup

    from tlsdissect.model.connection import Connection

_CONNECTION = (
    "source", "transport", "stream", "start", "version", "cipher_suite", "group", "resumption", "round_trips",
    "hello_retry", "handshake_bytes_server", "timing_handshake_ms", "timing_tcp_ms",
    "timing_synack_ack_ms", "client_hello_cipher_suites", "client_hello_groups",
)  # fmt: skip
_CERTIFICATE = ("sha256", "bytes", "subject", "dns_names", "not_before", "not_after")
MAX_LISTED = 256
"""Cipher suites of a ClientHello, and names of a certificate, that figures count; the rest are ignored."""


CONNECTIONS, CERTIFICATES = connection_table(_CONNECTION), certificate_table(_CERTIFICATE)


class FigureRows(NamedTuple):
    """Rows of both tables, and what is not in a table."""

    connections: list[list[Any]]
    certificates: list[list[Any]]
    failure_reasons: list[str]
    """As `Tables.failure_reasons`."""


class Drawn(Struct, frozen=True):
    """A figure in the page."""

    title: str
    svg: Markup


class FigureData:
    """Collects the rows, a few hundred bytes per connection."""

    def __init__(self) -> None:
        self.rows = FigureRows([], [], [])
        self._same: dict[Any, Any] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection."""
        rows = self.rows
        for kept, table in ((rows.connections, CONNECTIONS), (rows.certificates, CERTIFICATES)):
            kept += [list(map(self._one, row)) for row in table.rows(connection)]
        rows.failure_reasons.extend(map(self._one, failure_reasons((connection,))))

    def _one(self, value: Any) -> Any:
        """Keep equal values once: few are distinct."""
        if isinstance(value, tuple | list) and len(value) > MAX_LISTED:
            value = value[:MAX_LISTED]
        if isinstance(value, str | tuple):
            return self._same.setdefault(value, value)
        return value
