"""The layouts of messages, for a page with the trees of many connections.

Nearly all messages of a capture have the fields of one before them, and differ in a random, a session id, a name, a
key or a signature. So the nodes of a message are built once, as JSON in which these values are numbers of texts, and
for each further message only the texts are made. A message has a known layout if it equals the first of that layout in
every byte but those of DER values and of the fields in `fields.VARYING`, on which nothing else depends: a length or a
code point that differs makes another layout.

A page has the nodes of each DER value once, however many connections show a certificate: they are most of its bytes.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from msgspec import Raw, Struct
from msgspec.json import encode

from tlsdissect.views.printable import printable
from tlsdissect.views.tree.asn1 import DrawnNode, DrawnValues
from tlsdissect.views.tree.fields import Fields, Varying
from tlsdissect.views.tree.model import Node, RelativeBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tlsdissect.views.tree.model import MappedBytes

    Build = Callable[[Fields], tuple[Node, ...]]
    """A function that builds the nodes of a message from its fields."""
    Lay = Callable[[MappedBytes, Hashable, Build], tuple[Node, ...]]
    """A function that returns the nodes of some bytes; the key has everything else that the nodes depend on."""
    Dated = Callable[[str], str | None]
    """A function that returns the meaning of a random without a mark."""

T = TypeVar("T")

LAYOUT_BYTES: Final = 32 << 20
"""Bytes of layouts that are kept for later messages of the report: beyond it, all are computed again."""
MAX_SHAPES: Final = 8
"""Choices of varying fields that are tried for messages of one kind and length; the oldest are forgotten."""
ENTRY_BYTES: Final = 512
"""Estimated bytes of a layout besides its JSON and the bytes by which it is found."""


def built(mapped: MappedBytes, _: Hashable, build: Build) -> tuple[Node, ...]:
    """Build nodes with their places in the frames."""
    return build(Fields(mapped))


class DerValue(Struct, frozen=True, gc=False):
    """A DER value in a message."""

    digest: str
    """By which the page has its nodes."""


class LaidNode(Node, frozen=True, kw_only=True):
    """The nodes of a layout in a place."""

    layout: bytes
    """A list of nodes in JSON: `[name, bytes, text, remark, reference, problem, children]` without missing values at
    the end, where a number as text is that of one of the texts. A node without a name stands for those of a DER value.
    """
    texts: tuple[str | DerValue, ...] = ()
    varying: tuple[Varying, ...] = ()
    """Where the texts are from."""


class _LaidFields(Fields):
    """Builds the nodes of a message, in which a node without a name stands for those of a DER value."""

    def __init__(self, data: bytes) -> None:
        super().__init__(RelativeBytes(data))

    def der(self, name: str, start: int, end: int, cited: str | None) -> tuple[Node, ...]:
        """Return the node that stands for a DER value."""
        node = Node("", name, bytes=self.spans(start, end))
        self.varying.append(
            Varying(start, start, end, None, name, is_number=False, has_meaning=False, der_in=cited or "")
        )
        return (node,)


class Shape(Generic[T]):
    """A choice of varying fields, and what is known about bytes with them, by all other bytes."""

    def __init__(self, varying: tuple[Varying, ...], size: int) -> None:
        self.varying = varying
        ends = [0, *[one.end for one in varying]]
        starts = [*[one.start for one in varying], size]
        self._described = [
            None if one.der_in is not None else (one.describer(), one.has_meaning, one.name == "random")
            for one in varying
        ]
        self._fixed = [slice(*pair) for pair in zip(ends, starts, strict=True) if pair[0] < pair[1]]
        self.known: dict[bytes, T] = {}

    def fixed(self, data: bytes) -> bytes:
        """Return the bytes that do not vary."""
        return b"".join([data[one] for one in self._fixed]) if self.varying else data

    def texts(self, data: bytes, dated: Dated, values: DerValues) -> tuple[str | DerValue, ...] | None:
        """Return the texts of the varying fields; None if one has a meaning and had none before, or the reverse."""
        texts: list[str | DerValue] = []
        for one, described in zip(self.varying, self._described, strict=True):
            if described is None:
                texts.append(values.value(one, data))
                continue
            describe, has_meaning, is_random = described
            value, meaning = describe(data)
            if (meaning is not None) != has_meaning:
                return None
            if is_random and meaning is None:
                meaning = dated(str(value))
            texts.append(str(value) if meaning is None else Node("", value, meaning).text)
        return tuple(texts)


class DerBytes(NamedTuple):
    """What the nodes of a DER value depend on."""

    name: str
    cited: str
    """The reference of the message that has it."""
    data: bytes

    def rows(self, drawn: DrawnValues) -> bytes:
        """Return its nodes as a page has them: a list in JSON, as in `LaidNode.layout`, without numbers as texts."""
        nodes = Fields(RelativeBytes(self.data), drawn).der(self.name, 0, len(self.data), self.cited or None)
        return encode([row(node) for node in nodes])


class DerValues:
    """Certificates, names and OCSP responses: few are distinct, and their nodes are most of what a page has."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._new: dict[str, DerBytes] = {}

    def take(self) -> dict[str, DerBytes]:
        """Return the values that were not taken yet, by digest."""
        taken, self._new = self._new, {}
        return taken

    def value(self, place: Varying, data: bytes) -> DerValue:
        """Return the value in this place of a message."""
        found = DerBytes(place.name, place.der_in or "", data[place.start : place.end])
        # The same bytes may be under another name, or in a message of another RFC.
        digest = blake2b(f"{found.name}\0{found.cited}\0".encode() + found.data, digest_size=16).hexdigest()
        if digest not in self._known:
            self._known.add(digest)
            self._new[digest] = found
        return DerValue(digest)


class Layouts:
    """Finds the layouts of messages, and computes those that are new."""

    def __init__(self) -> None:
        self._shapes: dict[Hashable, list[Shape[bytes]]] = {}
        self.values = DerValues()
        self._used = 0

    def lay(self, mapped: MappedBytes, key: Hashable, build: Build, dated: Dated) -> tuple[LaidNode]:
        """Return the layout of bytes, in their place."""
        data = mapped.data
        spans = mapped.spans(0, len(data))
        shapes = self._shapes.setdefault((key, len(data)), [])
        for shape in shapes:
            layout = shape.known.get(shape.fixed(data))
            texts = None if layout is None else shape.texts(data, dated, self.values)
            if layout is not None and texts is not None:
                return (LaidNode("", bytes=spans, layout=layout, texts=texts, varying=shape.varying),)
        shape, layout = self._new(shapes, data, build)
        texts = shape.texts(data, dated, self.values) or ()
        return (LaidNode("", bytes=spans, layout=layout, texts=texts, varying=shape.varying),)

    def _new(self, shapes: list[Shape[bytes]], data: bytes, build: Build) -> tuple[Shape[bytes], bytes]:
        fields = _LaidFields(data)
        nodes = build(fields)
        places = {one.node: one for one in fields.varying}
        found: list[Varying] = []
        layout = encode([_row(node, places, found) for node in nodes])
        shape = shape_of(shapes, tuple(sorted(found, key=lambda one: one.start)), len(data))
        shape.known[shape.fixed(data)] = layout
        self.account(len(data) + len(layout))
        return shape, layout

    def account(self, size: int) -> None:
        """Count bytes that are kept; beyond the limit, forget what is known."""
        self._used += size + ENTRY_BYTES
        if self._used > LAYOUT_BYTES:
            self._used = 0
            self.clear()

    def clear(self) -> None:
        """Forget what is known."""
        self._shapes.clear()


def shape_of(shapes: list[Shape[T]], varying: tuple[Varying, ...], size: int) -> Shape[T]:
    """Return the one of these shapes that has such fields, or a new one; the oldest of many is forgotten."""
    shape = next((one for one in shapes if one.varying == varying), None)
    if shape is None:
        shape = Shape(varying, size)
        shapes.append(shape)
        del shapes[:-MAX_SHAPES]
    return shape


def row(node: Node) -> list[Any] | Raw:
    """Return a node as a page has it, without its places."""
    return _row(node, {}, [], None)


def drawn_values() -> DrawnValues:
    """Return what draws the DER values of a page: what several of them have in common once."""
    return DrawnValues(lambda node: encode(row(node)))


def parted(node: Node) -> tuple[bytes, tuple[str | DerValue, ...], tuple[Node, ...]]:
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
    if isinstance(node, DrawnNode):
        return node.row
    spans, inside = node.bytes, node.children
    size = spans[0].length if len(spans) == 1 else sum([span.length for span in spans])
    place = spans[0].offset if spans and not inside else None
    text: str | int = node.text
    if place is not None and place in places and node.problem is None:
        text = len(found)
        found.append(places[place])
    if not inside and node.remark is None and node.problem is None:
        return [printable(node.name), size] if text == "" else [printable(node.name), size, text]
    cells = [
        printable(node.name),
        size,
        text,
        node.remark and printable(node.remark),
        node.reference if inside else None,
        node.problem and printable(node.problem),
        [_row(child, places, found) for child in inside[:many]],
    ]
    while not cells[-1] and not isinstance(cells[-1], int):
        cells.pop()
    return cells
