"""The layouts of messages, for a page with the trees of many connections.

Nearly all messages of a capture have the fields of one before them, and differ in a random, a session id, a name, a
key or a signature. So the nodes of a message are built once, as JSON in which these values are numbers of texts, and
for each further message only the texts are made. A message has a known layout if it equals the first of that layout in
every byte but those of the fields in `fields.VARYING`, on which nothing else depends: a length, a code point or a
certificate that differs makes another layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw
from msgspec.json import encode

from tlsdissect.views.printable import printable
from tlsdissect.views.tree.fields import Fields, Varying
from tlsdissect.views.tree.model import Node, RelativeBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tlsdissect.views.tree.model import MappedBytes

    Build = Callable[[Fields], tuple[Node, ...]]
    """A function that builds the nodes of a message from its fields."""
    Lay = Callable[[MappedBytes, Hashable, Build], tuple[Node, ...]]
    """A function that returns the nodes of some bytes; the key has everything else that the nodes depend on."""

LAYOUT_BYTES: Final = 32 << 20
"""Bytes of layouts that are kept for later messages of the report: beyond it, all are computed again."""
MAX_SHAPES: Final = 8
"""Choices of varying fields that are tried for messages of one kind and length; the oldest are forgotten."""
ENTRY_BYTES: Final = 512
"""Estimated bytes of a layout besides its JSON and the bytes by which it is found."""


def built(ground: MappedBytes, _: Hashable, build: Build) -> tuple[Node, ...]:
    """Build nodes with their places in the frames."""
    return build(Fields(ground))


class LaidNode(Node, frozen=True, kw_only=True):
    """The nodes of a layout in a place."""

    layout: bytes
    """A list of nodes in JSON: `[name, bytes, text, remark, reference, problem, children]` without missing values at
    the end, where a number as text is that of one of the texts."""
    texts: tuple[str, ...] = ()


class _EncodedNode(Node, frozen=True, kw_only=True):
    """A node and those in it, as a page has them."""

    encoded: Raw


class _LaidFields(Fields):
    """Builds the nodes of a message, and DER values that other messages had before as they were built for these."""

    def __init__(self, data: bytes, known: dict[Hashable, tuple[Node, ...]]) -> None:
        super().__init__(RelativeBytes(data))
        self._known = known

    def der(self, name: str, start: int, end: int, cited: str | None) -> tuple[Node, ...]:
        """Return the nodes of a DER value."""
        key = name, cited, self._data[start:end]
        if key not in self._known:
            nodes = super().der(name, start, end, cited)
            self._known[key] = tuple([_EncodedNode("", encoded=Raw(encode(row(node)))) for node in nodes])
        return self._known[key]


class _Shape:
    """A choice of varying fields, and the layouts with them, by all other bytes."""

    def __init__(self, varying: tuple[Varying, ...], size: int) -> None:
        self.varying = varying
        ends = [0, *[one.end for one in varying]]
        starts = [*[one.start for one in varying], size]
        self._described = [(one.describer(), one.has_meaning, one.name == "random") for one in varying]
        self._fixed = [slice(*pair) for pair in zip(ends, starts, strict=True) if pair[0] < pair[1]]
        self.layouts: dict[bytes, bytes] = {}

    def fixed(self, data: bytes) -> bytes:
        """Return the bytes that do not vary."""
        return b"".join([data[one] for one in self._fixed]) if self.varying else data

    def texts(self, data: bytes, dated: Callable[[str], str | None]) -> tuple[str, ...] | None:
        """Return the texts of the varying fields; None if one has a meaning and had none before, or the reverse."""
        if not self._described:
            return ()
        texts = []
        for describe, has_meaning, is_random in self._described:
            value, meaning = describe(data)
            if (meaning is not None) != has_meaning:
                return None
            if is_random and meaning is None:
                meaning = dated(str(value))
            texts.append(str(value) if meaning is None else Node("", value, meaning).text)
        return tuple(texts)


class Layouts:
    """Finds the layouts of messages, and computes those that are new."""

    def __init__(self) -> None:
        self._shapes: dict[Hashable, list[_Shape]] = {}
        self._der: dict[Hashable, tuple[Node, ...]] = {}
        """The nodes of certificates, names and OCSP responses: few are distinct, and most of them are large."""
        self._used = 0

    def lay(
        self, ground: MappedBytes, key: Hashable, build: Build, dated: Callable[[str], str | None]
    ) -> tuple[LaidNode]:
        """Return the layout of bytes, in their place; `dated` returns the meaning of a random without a mark."""
        data = ground.data
        spans = ground.spans(0, len(data))
        shapes = self._shapes.setdefault((key, len(data)), [])
        for shape in shapes:
            layout = shape.layouts.get(shape.fixed(data))
            texts = None if layout is None else shape.texts(data, dated)
            if layout is not None and texts is not None:
                return (LaidNode("", bytes=spans, layout=layout, texts=texts),)
        shape, layout = self._new(shapes, data, build)
        return (LaidNode("", bytes=spans, layout=layout, texts=shape.texts(data, dated) or ()),)

    def _new(self, shapes: list[_Shape], data: bytes, build: Build) -> tuple[_Shape, bytes]:
        fields = _LaidFields(data, self._der)
        nodes = build(fields)
        places = {one.node: one for one in fields.varying}
        found: list[Varying] = []
        layout = encode([_row(node, places, found) for node in nodes])
        varying = tuple(sorted(found, key=lambda one: one.start))
        shape = next((one for one in shapes if one.varying == varying), None)
        if shape is None:
            shape = _Shape(varying, len(data))
            shapes.append(shape)
            del shapes[:-MAX_SHAPES]
        shape.layouts[shape.fixed(data)] = layout
        # What is kept of DER is in the layout, too.
        self._used += 2 * (len(data) + len(layout) + ENTRY_BYTES)
        if self._used > LAYOUT_BYTES:
            self._shapes.clear()
            self._der.clear()
            self._used = 0
        return shape, layout


def row(node: Node) -> list[Any] | Raw:
    """Return a node as a page has it, without its places."""
    return _row(node, {}, [], None)


def parted(node: Node) -> tuple[bytes, tuple[str, ...], tuple[Node, ...]]:
    """Return the layout of a node, its texts, and the nodes at its end that have layouts of their own in them."""
    if isinstance(node, LaidNode):
        return node.layout, node.texts, ()
    own = next((at for at, one in enumerate(node.children) if _is_laid(one)), len(node.children))
    return encode([_row(node, {}, [], own)]), (), node.children[own:]


def _is_laid(node: Node) -> bool:
    """Return whether a node is of a layout, or has such nodes in it."""
    return isinstance(node, LaidNode) or any(map(_is_laid, node.children))


def _row(node: Node, places: dict[int, Varying], found: list[Varying], many: int | None = None) -> list[Any] | Raw:
    """Return a node as a page has it, and add the varying fields in it to `found`."""
    if isinstance(node, _EncodedNode):
        return node.encoded
    size = sum(span.length for span in node.bytes)
    place = node.bytes[0].offset if node.bytes and not node.children else None
    text: str | int = node.text
    if place is not None and place in places and node.problem is None:
        text = len(found)
        found.append(places[place])
    children = [_row(child, places, found) for child in node.children[:many]]
    reference = node.reference if node.children else None
    remark, problem = [None if one is None else printable(one) for one in (node.remark, node.problem)]
    cells = [printable(node.name), size, text, remark, reference, problem, children]
    while cells[-1] in (None, "", []):
        cells.pop()
    return cells
