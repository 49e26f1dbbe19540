"""The tree of a connection: its nodes, the frames of their bytes, and the tree as text, as a hex dump and as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup
from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.model.connection import stream_name
from tlsdissect.model.transcript import Span
from tlsdissect.views.printable import columns, first_frames, printable, shortened, styled, titled, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tlsdissect.model.connection import CapturePart, Endpoint, Side, Transport
    from tlsdissect.model.transcript import OpenedMessage, Packet, Places, Transcript

    Packets = Mapping[int, Packet]
    """The packets whose bytes were kept, by frame."""

OPENED = "opened with keys"
"""The meaning of the nodes of messages that keys opened."""
CONTAINERS = frozenset(("CRYPTO", "EAP", "record", "SSL 2.0 record"))
"""Names of the nodes below those of packets that contain messages: frames of QUIC, and what is in packets of EAP."""
_BOLD, _FAINT, _RED, _YELLOW, _CYAN = "1", "2", "31", "33", "36"
_BLUE, _GREEN, _MAGENTA = "1;34", "1;32", "35"
_MESSAGES = 2
"""The level of messages, or of QUIC's frames."""
_INDENT = "  "
_NAME = 30
"""Maximum width to which the names of sibling fields are padded."""
_LEAST = 12
"""Minimum width of a value; names and byte ranges are left out before it gets narrower."""
_VALUE_LINES, _LINES = 2, 4
"""Lines of a value and of a field on a terminal; what exceeds them is cut."""
_WRAPPED = 24
"""Columns without which text is cut instead of wrapped."""
_ROW = 16
"""Bytes per line of a hex dump."""
_DUMP = 5 + 3 * _ROW + 1 + 2 + _ROW
"""Width of a line of a hex dump, in columns."""
_OPEN = 2
"""Levels of a tree that are open in a notebook: the records and their messages."""


class Node(Struct, frozen=True, omit_defaults=True):
    """A record, a message or a field. The leaves of a record cover each of its bytes exactly once."""

    name: str
    """The name in the RFC or registry."""
    value: int | str | None = None
    """A number, a code point as `0x1301`, hexadecimal bytes, or an identifier or text of DER."""
    meaning: str | None = None
    """The meaning of the value."""
    remark: str | None = None
    """Whether the value is obsolete, for private use, from a draft, or unregistered."""
    reference: str | None = None
    """The RFC and section that define it."""
    bytes: tuple[Span, ...] = ()
    problem: str | None = None
    """Why it, or the rest of it, could not be decoded."""
    children: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        """Value and meaning, printable."""
        value = self.value
        if value is None:
            return printable(self.meaning or "")
        if isinstance(value, int):
            return f"{value} ({printable(self.meaning)})" if self.meaning else str(value)
        if value.startswith("0x") and self.meaning != value:
            return f"{printable(self.meaning or '')} ({value})"
        return printable(value if self.meaning is None else self.meaning) or "(empty)"

    def place(self, frame: int) -> str:
        """Its byte ranges as text: first and last byte, and the frame if it differs from `frame`."""
        if not self.bytes:
            return ""
        first, last = self.bytes[0], self.bytes[-1]
        start = _byte(first.frame, first.offset, frame)
        if first.offset is None or last.offset is None:
            return start
        end = last.offset + last.length - 1
        if len(self.bytes) == 1 and last.length == 1:
            return start
        return f"{start}-{_byte(last.frame, end, first.frame)}"


def _byte(frame: int, offset: int | None, above: int) -> str:
    text = "?" if offset is None else str(offset)
    return text if frame == above else f"{frame}:{text}"


def opened_by_start(transcript: Transcript) -> dict[tuple[Side, int], list[OpenedMessage]]:
    """Return what keys opened, by sender and start of its record or packet."""
    found: dict[tuple[Side, int], list[OpenedMessage]] = {}
    for message in transcript.opened:
        found.setdefault((message.sender, message.start), []).append(message)
    return found


class MappedBytes:
    """Bytes joined from the fragments of records, with the position of each in the frames."""

    def __init__(self, places: Places, frame: int) -> None:
        self._places = places
        self._frame = frame
        """The frame that completed the bytes."""
        self._runs: list[tuple[int, int]] = []
        self._data: bytes | bytearray = b""
        """What was added: as it is while it is one piece, which most are."""

    def __len__(self) -> int:
        return len(self._data)

    @property
    def data(self) -> bytes:
        """The bytes."""
        return self._data if isinstance(self._data, bytes) else bytes(self._data)

    def beginning(self, size: int) -> bytes:
        """Return the first `size` bytes, or all of them if there are fewer."""
        return bytes(self._data[:size])

    def add(self, data: bytes, start: int) -> None:
        """Append bytes; `start` is their offset in the stream of their sender."""
        self._runs.append((len(self._data), start))
        if not self._data:
            self._data = data
        elif isinstance(self._data, bytes):
            self._data = bytearray(self._data + data)
        else:
            self._data += data

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Return where a range of the bytes lies in the frames."""
        if len(self._runs) == 1 and start < end <= len(self._data):
            stream = self._runs[0][1]
            spans = self._places.spans(stream + start, stream + end, self._frame)
            if len(spans) == 1:
                return spans
        found: list[Span] = []
        ends = [at for at, _ in self._runs[1:]] + [len(self._data)]
        for (at, stream), upto in zip(self._runs, ends, strict=True):
            low, high = max(start, at), min(end, upto)
            if low < high:
                for span in self._places.spans(stream + low - at, stream + high - at, self._frame):
                    _append(found, span)
        return tuple(found)


class OpenedBytes(MappedBytes):
    """Bytes that keys opened, which are in no frame."""

    def __init__(self, places: Places, data: bytes) -> None:
        super().__init__(places, 0)
        self.add(data, 0)

    def spans(self, start: int, end: int) -> tuple[Span, ...]:  # noqa: ARG002
        """Return none."""
        return ()


class RelativeBytes(MappedBytes):
    """Bytes whose positions are those in the bytes themselves."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Return the range itself."""
        return (Span(0, start, end - start),) if start < end else ()


def _append(spans: list[Span], span: Span) -> None:
    """Append a span, merged with the last one if it continues it."""
    last = spans[-1] if spans else None
    if last is None or last.frame != span.frame or last.offset is None or last.offset + last.length != span.offset:
        spans.append(span)
    else:
        spans[-1] = replace(last, length=last.length + span.length)


class Fold(NamedTuple):
    """How a tree is folded: to how many levels, if it has more than so many lines."""

    depth: int
    longer_than: int = 0


def _size(node: Node) -> int:
    """Count a node and those in it."""
    return 1 + sum(map(_size, node.children))


def _has_problem(node: Node) -> bool:
    return node.problem is not None or any(map(_has_problem, node.children))


class Tree(Struct, frozen=True):
    """The records of a connection's handshake."""

    source: str
    transport: Transport
    stream: int
    client: Endpoint
    server: Endpoint
    records: tuple[TreeRecord, ...]
    captures: tuple[CapturePart, ...] | None = None
    """Those that have the frames, if several captures were read as one."""

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return Markup("<style>{}</style>{}").format(Markup(style()), Markup(self.html(levels=_OPEN)))  # noqa: S704  # escaped by the template

    def lines(
        self,
        width: int | None = None,
        *,
        coloured: bool = False,
        packets: Packets | None = None,
        fold: Fold | None = None,
    ) -> Iterator[str]:
        """Yield the tree as lines of text, cut to the width if there is one. With packets, a hex dump follows.

        `fold` leaves out the levels below its depth, except around problems.
        """
        folds = fold is not None and sum(_size(record.node) + 1 for record in self.records) > fold.longer_than
        return _TextLines(width, packets, coloured=coloured, depth=fold.depth if fold and folds else None).tree(self)

    def html(self, packets: Packets | None = None, levels: int | None = None) -> str:
        """Return a fragment of a page, with a hex dump if packets are given; `levels` are open, by default all."""
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # not needed for text

        environment = Environment(
            loader=PackageLoader("tlsdissect.views.tree", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        environment.filters.update(
            printable=printable, hex_dump=lambda node: list(hex_dump(node, packets)) if packets else ()
        )
        return environment.get_template("page.html").render(tree=self, levels=levels)

    def only(self, message: str | None) -> Tree:
        """Return the tree with messages of this type only; the whole tree for None."""
        if message is None:
            return self
        kept = [record.only(message) for record in self.records]
        return replace(self, records=tuple(record for record in kept if record.node.children))


class TreeRecord(Struct, frozen=True):
    """A record, its sender, and the frame that completed it."""

    sender: Side
    frame: int
    ms: float | None
    """Milliseconds since the ClientHello was complete, or since the first record if it was not captured; None if the
    capture contains no times."""
    node: Node

    def only(self, message: str) -> TreeRecord:
        """Return the record with messages of this type only."""
        children = tuple(part for part in _contents(self.node) if part.name == message)
        return replace(self, node=replace(self.node, children=children))


def _contents(node: Node) -> Iterator[Node]:
    """Yield the nodes in a record or packet, and those in what it contains that may contain messages."""
    for child in node.children:
        yield child
        if child.name in CONTAINERS:
            yield from _contents(child)


class _TextLines:
    """Formats a tree as text: one line per field, indented by depth, with its byte range."""

    def __init__(self, width: int | None, packets: Packets | None, *, coloured: bool, depth: int | None = None) -> None:
        self._width = width
        self._packets = packets
        self._coloured = coloured
        self._depth = depth

    def tree(self, whole: Tree) -> Iterator[str]:
        """Yield the lines of a tree."""
        who = f"stream {stream_name(whole.transport, whole.stream)}  {whole.client} > {whole.server}"
        source = printable(whole.source)
        title = f"{who}  {source}" if self._width is None else titled(who, source, self._width)
        yield self._cut([(title, _BOLD)])
        for line in first_frames(whole.captures):
            yield self._cut([(line, "")])
        before = None
        for record in whole.records:
            place = (record.sender, record.frame)
            if place != before:
                when = "" if record.ms is None else f"  {record.ms:.3f} ms"
                yield self._cut([(f"frame {record.frame}  {record.sender}{when}", _BOLD)])
            before = place
            yield from self._node(record.node, 1, record.frame, None, 0)
        if self._depth is not None:
            yield self._cut([(f"folded to {self._depth} levels: --depth 0 shows all", _FAINT)])

    def _node(self, node: Node, depth: int, frame: int, cited: str | None, named: int) -> Iterator[str]:
        name = printable(node.name)
        parts = [(_INDENT * depth + name, _colour(node, depth))]
        text = node.text
        if text or node.remark or node.problem:
            parts.append((" " * max(named - columns(name), 0), ""))
        begin = sum(columns(part) for part, _ in parts) + len(_INDENT)
        if self._width is not None:
            text = shortened(text, _VALUE_LINES * max(self._room(node.place(frame)) - begin, _LEAST))
        parts += [(f"  {text}", _CYAN)] if text else []
        parts += [(f"  {printable(node.remark)}", _YELLOW)] if node.remark else []
        parts += [(f"  {node.problem}", _RED)] if node.problem else []
        if node.children and node.reference and node.reference != cited:
            parts.append((f"  {node.reference}", _FAINT))
        folded = self._depth is not None and depth >= self._depth and node.children and not _has_problem(node)
        if folded:
            inside = _size(node) - 1
            parts.append((f"  +{inside:,} field{'s' * (inside != 1)}", _FAINT))
        yield from self._wrapped(parts, node.place(frame), begin)
        if self._packets and not node.children:
            indent = len(_INDENT) * (depth + 1)
            indent = indent if self._width is None else max(min(indent, self._width - _DUMP), 0)
            for line in hex_dump(node, self._packets):
                yield self._cut([(" " * indent + line, _FAINT)])
        if folded:
            return
        width = max((columns(child.name) for child in node.children if not child.children), default=0)
        for child in node.children:
            yield from self._node(child, depth + 1, frame, node.reference or cited, min(width, _NAME))

    def _wrapped(self, parts: list[tuple[str, str]], where: str, begin: int) -> Iterator[str]:
        """Yield the line of a field, and on a terminal those in which its value and words continue below the value."""
        room = 0 if self._width is None else self._room(where)
        if room - begin < _WRAPPED or sum(columns(text) for text, _ in parts) <= room:
            yield self._cut(parts, where)
            return
        first, *others = wrapped(parts, room, begin)
        yield self._cut(first, where)
        for line in others[: _LINES - 2]:
            yield self._cut(line)
        if len(others) >= _LINES - 1:
            indent, *last = others[_LINES - 2]
            left_out = [part for _, *line in others[_LINES - 1 :] for part in line]
            yield self._cut([indent, *last, *[(" ", "")] * bool(left_out), *left_out])

    def _room(self, where: str) -> int:
        """Return the columns beside a byte range."""
        return (self._width or 0) - (columns(where) + 2 if where else 0)

    def _cut(self, parts: list[tuple[str, str]], where: str = "") -> str:
        """Join the parts of a line, append the byte range, and cut what exceeds the width."""
        room = None if self._width is None else self._room(where)
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


def _colour(node: Node, depth: int) -> str:
    """The style of a node's name by its kind: a record or packet, a message or frame, an extension, a field."""
    if not node.children:
        return ""
    if depth == 1:
        return _BLUE
    first = node.children[0].name
    if first == "extension_type":
        return _MAGENTA
    return _GREEN if depth == _MESSAGES or first == "msg_type" else ""


def hex_dump(node: Node, packets: Packets) -> Iterator[str]:
    """Yield the lines of the hex dump that contain a node's bytes, with these bytes in brackets.

    A line has the frame, the offset of its first byte in hexadecimal, its bytes, and those of the node as ASCII. Bytes
    that lie nowhere as they are, and those outside of TCP's payload, are left out.
    """
    for span in node.bytes:
        packet = packets.get(span.frame)
        if packet is None or packet.place is None or span.offset is None:
            continue
        for row in range(span.offset - span.offset % _ROW, span.offset + span.length, _ROW):
            yield _line(row, span, packet.place, packet.payload)


def _line(row: int, span: Span, place: int, payload: bytes) -> str:
    start = span.offset or 0
    first, last = max(start, row), min(start + span.length, row + _ROW) - 1
    cells, printed = [], ""
    for at in range(row, row + _ROW):
        inside = 0 <= at - place < len(payload)
        byte = f"{payload[at - place]:02x}" if inside else "  "
        cells.append(("[" if at == first else "") + byte + ("]" if at == last else ""))
        if inside and first <= at <= last:
            char = payload[at - place]
            printed += chr(char) if 0x20 < char < 0x7F else "."
    text = ""
    for at, cell in enumerate(cells):
        # A bracket replaces the adjacent space.
        blank = "" if cell.startswith("[") or (at and cells[at - 1].endswith("]")) else " "
        text += blank + cell
    return f"{row:04x} {text}".ljust(5 + 3 * _ROW + 1) + f"  {printed}"


def style() -> str:
    """Return the style sheet of trees, for any page: it changes nothing outside of them."""
    return (Path(__file__).parent / "tree.css").read_text(encoding="utf-8")
