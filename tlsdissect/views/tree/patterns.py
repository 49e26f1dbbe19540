"""The patterns of whole connections, for a page with the trees of many.

Nearly all connections of a capture have records of the same types and lengths, in the same order, as one before them.
So the records of a tree are built once, and for each further connection of the pattern only frames, times, and texts
are made. A connection has a known pattern if its records have the same headers, and the same bytes but those that vary
in their messages: see `layouts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.handshake.facts.timing import since
from tlsdissect.model.transcript import Places, kept
from tlsdissect.views.tree import laid_records, random_meaning
from tlsdissect.views.tree.layouts import ENTRY_BYTES, LaidNode, Layouts, Shape, parted, shape_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from tlsdissect.model.connection import Connection, Side
    from tlsdissect.model.transcript import KeptConnection, Span, Transcript
    from tlsdissect.views.tree.fields import Varying
    from tlsdissect.views.tree.layouts import DerValue
    from tlsdissect.views.tree.model import Node, TreeRecord


class Part(NamedTuple):
    """A part of a record: its header, a message, or what is encrypted."""

    layout: bytes
    """As in `LaidNode`."""
    texts: int | tuple[str, ...]
    """Its texts, or the number of the first of them among those of the connection."""
    spans: tuple[Span, ...] | None = None
    """Where it lies; None if it follows the part before it."""
    inner: tuple[Part, ...] = ()


class PatternRecord(NamedTuple):
    """A record of a pattern."""

    sender: Side
    meaning: str | None
    parts: tuple[Part, ...]


class Pattern(Struct, frozen=True):
    """The records of a tree, without what differs between the connections that have this pattern."""

    records: tuple[PatternRecord, ...]


class RecordPlace(NamedTuple):
    """When and where a record came."""

    frame: int
    ms: float | None
    ranges: list[tuple[int, int | None, int]]
    """Frame, offset and length, as in `Span`; empty if its parts have their own."""


class PatternedTree(NamedTuple):
    """The tree of a connection: a pattern, and what it lacks."""

    pattern: Pattern
    places: list[RecordPlace]
    """One for each record."""
    texts: tuple[str | DerValue, ...]


class Patterns(Layouts):
    """Finds the patterns of connections, and makes those that are new."""

    def __init__(self) -> None:
        super().__init__()
        self._patterns: dict[Hashable, list[Shape[Pattern]]] = {}

    def tree(self, connection: Connection) -> PatternedTree:
        """Return the tree of a connection that was read with `keep=True`."""
        c = kept(connection)
        if c.quic is not None or c.eap is not None or c.dtls is not None or c.transcript.opened:
            return _own(laid_records(c, self))
        key, data = _key(c.transcript), _plaintext(c.transcript)
        dated = random_meaning(c)
        shapes = self._patterns.setdefault(key, [])
        for shape in shapes:
            pattern = shape.known.get(shape.fixed(data))
            texts = None if pattern is None else shape.texts(data, dated, self.values)
            if pattern is not None and texts is not None:
                return PatternedTree(pattern, _places(c), texts)
        records = laid_records(c, self)
        made = _pattern(records, c.transcript)
        if made is None:
            return _own(records)
        pattern, varying = made
        shape = shape_of(shapes, varying, len(data))
        shape.known[shape.fixed(data)] = pattern
        self.account(len(data) + ENTRY_BYTES * len(records))
        return PatternedTree(pattern, _places(c), shape.texts(data, dated, self.values) or ())

    def clear(self) -> None:
        """Forget what is known."""
        super().clear()
        self._patterns.clear()


def _key(transcript: Transcript) -> Hashable:
    """Return all that the records of a tree depend on, but plaintext, frames and times."""
    records = [
        (one.sender, one.content_type, one.version, one.length, one.start, one.encrypted, len(one.fragment or b""))
        for one in transcript.records
    ]
    return transcript.version, transcript.cipher_suite, tuple(records)


def _plaintext(transcript: Transcript) -> bytes:
    return b"".join([one.fragment for one in transcript.records if one.fragment and not one.encrypted])


def _places(c: KeptConnection) -> list[RecordPlace]:
    """Return when and where each record came."""
    records, hello = c.transcript.records, c.client_hello
    mapped = {side: Places(c.transcript, side) for side in ("client", "server")}
    frame = None if hello is None else hello.frame
    zero = next((one for one in records if one.frame == frame), records[0] if records else None)
    return [
        RecordPlace(
            one.frame, since(zero, one.frame, one.time), mapped[one.sender].ranges(one.start, one.end, one.frame)
        )
        for one in records
    ]


def _pattern(records: Iterable[TreeRecord], transcript: Transcript) -> tuple[Pattern, tuple[Varying, ...]] | None:
    """Return the pattern of records, and what varies in their plaintext; None if a message is in several records."""
    found: list[PatternRecord] = []
    varying: list[Varying] = []
    texts = begin = 0
    for record, sent in zip(records, transcript.records, strict=True):
        parts: list[Part] = []
        at = sent.start
        for node in record.node.children:
            size = sum(span.length for span in node.bytes)
            layout, own, inner = parted(node)
            is_laid, is_head = isinstance(node, LaidNode), at < sent.body
            if (
                inner
                or not size
                or is_laid != (is_head or not sent.encrypted)
                or (not is_laid and node.name != "encrypted")
            ):
                return None
            if is_head or not isinstance(node, LaidNode):
                parts.append(Part(layout, tuple([one for one in own if isinstance(one, str)])))
            else:
                parts.append(Part(layout, texts))
                texts += len(own)
                varying += [_moved(one, begin + at - sent.body) for one in node.varying]
            at += size
        if at != sent.end:
            return None
        found.append(PatternRecord(record.sender, record.node.meaning, tuple(parts)))
        begin += 0 if sent.encrypted else len(sent.fragment or b"")
    return Pattern(tuple(found)), tuple(varying)


def _moved(one: Varying, by: int) -> Varying:
    return replace(one, node=one.node + by, start=one.start + by, end=one.end + by)


def _own(records: list[TreeRecord]) -> PatternedTree:
    """Return a tree whose pattern no other connection has."""
    texts: list[str | DerValue] = []

    def part(node: Node) -> Part:
        layout, own, inner = parted(node)
        first = len(texts)
        texts.extend(own)
        return Part(layout, first, node.bytes, tuple([part(one) for one in inner]))

    found = [PatternRecord(one.sender, one.node.meaning, tuple(map(part, one.node.children))) for one in records]
    return PatternedTree(Pattern(tuple(found)), [RecordPlace(one.frame, one.ms, []) for one in records], tuple(texts))
