"""Trees as text for a terminal: one line per field, indented by depth, with its byte range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.views.printable import columns, encoded, printable, shortened, styled, titled
from tlsdissect.views.tree.build import tree
from tlsdissect.views.tree.dump import dump, dumpable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection
    from tlsdissect.model.transcript import Packet, Span
    from tlsdissect.views.tree.build import Tree
    from tlsdissect.views.tree.node import Node

_BOLD, _FAINT, _RED, _YELLOW, _CYAN = "1", "2", "31", "33", "36"
_INDENT = "  "
_NAME = 30
"""Maximum width to which the names of sibling fields are padded."""
_LEAST = 12
"""Minimum width of a value; names and byte ranges are left out before it gets narrower."""


class Text:
    """Formats trees as text."""

    head = b""

    def __init__(
        self,
        width: int | None = None,
        *,
        coloured: bool = False,
        encoding: str = "utf-8",
        message: str | None = None,
        dumped: bool = False,
    ) -> None:
        """Without a width, lines are not cut. `message` limits the tree to one type; `dumped` adds a hex dump."""
        self._width = width
        self._coloured = coloured
        self._encoding = encoding
        self._message = message
        self._dumped = dumped
        self._first = True
        self._packets: dict[int, Packet] = {}

    def section(self, _: str) -> bytes:
        """Return nothing: each tree names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection's tree."""
        whole = tree(connection).only(self._message)
        if not whole.records:
            return b""
        self._packets = dumpable(connection) if self._dumped else {}
        text = "\n".join(self.lines(whole))
        gap, self._first = "" if self._first else "\n", False
        return encoded(f"{gap}{text}\n", self._encoding)

    def lines(self, whole: Tree) -> Iterator[str]:
        """Yield the lines of a tree."""
        who = f"stream {whole.stream}  {whole.client} > {whole.server}"
        source = printable(whole.source)
        title = f"{who}  {source}" if self._width is None else titled(who, source, self._width)
        yield self._cut([(title, _BOLD)])
        before = None
        for record in whole.records:
            place = (record.sender, record.frame)
            if place != before:
                when = "" if record.ms is None else f"  {record.ms:.3f} ms"
                yield self._cut([(f"frame {record.frame}  {record.sender}{when}", _BOLD)])
            before = place
            yield from self._node(record.node, 1, record.frame, None, 0)

    def _node(self, node: Node, depth: int, frame: int, cited: str | None, named: int) -> Iterator[str]:
        name = printable(node.name)
        parts = [(_INDENT * depth + name, "")]
        text = value_text(node)
        if text or node.remark or node.problem:
            parts.append((" " * max(named - columns(name), 0), ""))
        parts += [(f"  {text}", _CYAN)] if text else []
        parts += [(f"  {printable(node.remark)}", _YELLOW)] if node.remark else []
        parts += [(f"  {node.problem}", _RED)] if node.problem else []
        if node.children and node.reference and node.reference != cited:
            parts.append((f"  {node.reference}", _FAINT))
        yield self._cut(parts, place(node.bytes, frame))
        if self._dumped and not node.children:
            for line in dump(node.bytes, self._packets):
                yield self._cut([(_INDENT * (depth + 1) + line, _FAINT)])
        width = max((columns(child.name) for child in node.children if not child.children), default=0)
        for child in node.children:
            yield from self._node(child, depth + 1, frame, node.reference or cited, min(width, _NAME))

    def _cut(self, parts: list[tuple[str, str]], where: str = "") -> str:
        """Join the parts of a line, append the byte range, and cut what exceeds the width."""
        room = None if self._width is None else self._width - (columns(where) + 2 if where else 0)
        if room is not None and room < _LEAST:
            room, where = self._width, ""
        out, used = [], 0
        for text, style in parts:
            shown = text if room is None else shortened(text, max(room - used, 0))
            out.append(styled(shown, style) if self._coloured else shown)
            used += columns(shown)
        if where:
            gap = 2 if room is None else room - used + 2
            out.append(" " * gap + (styled(where, _FAINT) if self._coloured else where))
        return "".join(out).rstrip()


def value_text(node: Node) -> str:
    """Return a node's value and meaning as text."""
    value = node.value
    if value is None:
        return printable(node.meaning or "")
    if isinstance(value, int):
        return f"{value} ({printable(node.meaning)})" if node.meaning else str(value)
    if node.is_code and node.meaning != value:
        return f"{printable(node.meaning or '')} ({value})"
    return printable(value if node.meaning is None else node.meaning) or "(empty)"


def place(spans: tuple[Span, ...], frame: int) -> str:
    """Format byte ranges: first and last byte, and the frame if it differs from the one above."""
    if not spans:
        return ""
    first, last = spans[0], spans[-1]
    start = _byte(first.frame, first.offset, frame)
    if first.offset is None or last.offset is None:
        return start
    end = last.offset + last.length - 1
    if len(spans) == 1 and last.length == 1:
        return start
    return f"{start}-{_byte(last.frame, end, first.frame)}"


def _byte(frame: int, offset: int | None, above: int) -> str:
    text = "?" if offset is None else str(offset)
    return text if frame == above else f"{frame}:{text}"
