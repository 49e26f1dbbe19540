"""Details that a page unpacks on demand: blocks of trees in which each distinct node is stored once, deflated."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from msgspec.json import encode

from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from tlsdissect.views.tree.model import Tree
    from tlsdissect.views.tree.node import Node

TOGETHER = 128
"""Connections per block; a click unpacks one block."""


class Block:
    """Details of some connections, in which each distinct node is stored once.

    Unpacked it is `{"nodes": [...], "entries": [...]}`. A node is `[name, size, value, meaning, remark, reference,
    problem, children]`, where children are the numbers of earlier nodes, and missing values at the end are left out.
    Offsets are not stored, so that equal nodes are shared: leaves cover the bytes of their message without gaps.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._nodes: list[list[Any]] = []
        self._entries: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, whole: Tree, details: dict[str, Any]) -> None:
        """Add a connection: its tree and its details."""
        records = [
            [record.sender, record.frame, milliseconds(record.ms), record.node.meaning, self._parts(record.node)]
            for record in whole.records
        ]
        self._entries.append({"records": records, **details})

    def packed(self) -> str:
        """Return the block as text for a page."""
        return packed({"nodes": self._nodes, "entries": self._entries})

    def _parts(self, record: Node) -> list[list[Any]]:
        """Return the children of a record, each with its byte ranges in the frames."""
        return [
            [self._number(part), [[span.frame, span.offset, span.length] for span in part.bytes]]
            for part in record.children
        ]

    def _number(self, node: Node) -> int:
        """Return the number of a node, which is new only if no equal node is in the block."""
        children = tuple([self._number(child) for child in node.children])
        size = sum(span.length for span in node.bytes)
        key = (node.name, size, node.value, node.meaning, node.remark, node.reference, node.problem, children)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._nodes)
            self._nodes.append(_without_end([printable(one) if isinstance(one, str) else one for one in key]))
        return number


def milliseconds(value: float | None) -> float | None:
    """Round to the digits that the page shows."""
    return None if value is None else round(value, 3)


def packed(value: object) -> str:
    """Return text for a page: JSON, deflated, in base64."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b64encode(compressor.compress(encode(value)) + compressor.flush()).decode()


def _without_end(values: list[Any]) -> list[Any]:
    """Remove missing values at the end."""
    while values and values[-1] in (None, ()):
        values.pop()
    return values
