"""Connections as JSON, one object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.json import Encoder
from msgspec.structs import replace

from tlsdissect.views.printable import printable_json, without_surrogates

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection


class Ndjson:
    """The encoder of a run."""

    head = b""

    def __init__(self) -> None:
        self._encode = Encoder().encode

    def section(self, _: str) -> bytes:
        """Write nothing: each connection names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Write a connection as one line."""
        try:
            return printable_json(self._encode(connection)) + b"\n"
        except UnicodeEncodeError:
            return printable_json(self._encode(_with_text(connection))) + b"\n"


def _with_text(connection: Connection) -> Connection:
    """Escape what is no text in the names of captures: any byte may stand in a file name (PEP 383)."""
    others = {name: getattr(connection, name) for name in ("resumes", "same_ticket_as", "retry_of")}
    named = {name: replace(one, source=without_surrogates(one.source)) for name, one in others.items() if one}
    return replace(connection, source=without_surrogates(connection.source), **named)
