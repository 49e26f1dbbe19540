"""What a page unpacks only where it is wanted: many trees together, what repeats once, deflated."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from msgspec.json import encode

from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from tlsdissect.views.tree.build import Tree
    from tlsdissect.views.tree.node import Node

TOGETHER = 128
"""Connections whose details are packed together: a click unpacks as many."""


class Block:
    """Details of some connections; what they share is there once.

    Unpacked it is `{"nodes": [...], "entries": [...]}`. A node is `[name, size, value, meaning, remark, reference,
    problem, children]`, its children numbers of nodes before it, and what is missing at the end left out. Where a node
    stands is not told: nodes without children lie one behind the other in the bytes of their message.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._nodes: list[list[Any]] = []
        self._entries: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, whole: Tree, details: dict[str, Any]) -> None:
        """Add a connection: its tree, and what else is to be told of it."""
        records = [
            [record.sender, record.frame, milliseconds(record.ms), record.node.meaning, self._parts(record.node)]
            for record in whole.records
        ]
        self._entries.append({"records": records, **details})

    def packed(self) -> str:
        """The block as text for a page."""
        return packed({"nodes": self._nodes, "entries": self._entries})

    def _parts(self, record: Node) -> list[list[Any]]:
        """What a record holds, each with the stretches of frames that it lies in."""
        return [
            [self._number(part), [[span.frame, span.offset, span.length] for span in part.bytes]]
            for part in record.children
        ]

    def _number(self, node: Node) -> int:
        """The number of a node; one that was there before has one already."""
        children = tuple([self._number(child) for child in node.children])
        size = sum(span.length for span in node.bytes)
        key = (node.name, size, node.value, node.meaning, node.remark, node.reference, node.problem, children)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._nodes)
            self._nodes.append(_without_end([printable(one) if isinstance(one, str) else one for one in key]))
        return number


def milliseconds(value: float | None) -> float | None:
    """As many digits as the page shows."""
    return None if value is None else round(value, 3)


def packed(value: object) -> str:
    """Text for a page: JSON, deflated, in base64."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b64encode(squeezer.compress(encode(value)) + squeezer.flush()).decode()


def _without_end(values: list[Any]) -> list[Any]:
    """Leave out what is missing at the end."""
    while values and values[-1] in (None, ()):
        values.pop()
    return values
