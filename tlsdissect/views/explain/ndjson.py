"""Explanations as JSON, one object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.json import Encoder
from msgspec.structs import replace

from tlsdissect.views.explain.whole import explain
from tlsdissect.views.printable import printable_json, without_surrogates

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection


class ExplanationLines:
    """The explanations of a run."""

    head = b""

    def __init__(self) -> None:
        self._encode = Encoder().encode

    def section(self, _: str) -> bytes:
        """Write nothing: each explanation names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Write a connection's explanation as one line."""
        whole = explain(connection)
        named = replace(whole, source=without_surrogates(whole.source))
        return printable_json(self._encode(named)) + b"\n"
