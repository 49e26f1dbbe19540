"""Trees as JSON, one object per line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.json import Encoder
from msgspec.structs import replace

from tlsdissect.views.printable import printable_json, without_surrogates
from tlsdissect.views.tree.build import tree

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection


class TreeLines:
    """Formats trees as JSON."""

    head = b""

    def __init__(self, message: str | None = None) -> None:
        self._message = message
        self._encode = Encoder().encode

    def section(self, _: str) -> bytes:
        """Return nothing: each tree names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection's tree as one line."""
        whole = tree(connection).only(self._message)
        if not whole.records:
            return b""
        named = replace(whole, source=without_surrogates(whole.source))
        return printable_json(self._encode(named)) + b"\n"
