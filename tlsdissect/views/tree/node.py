"""A node of the tree, its text, and where its bytes are in the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from tlsdissect.model.transcript import Places, Span


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


class MappedBytes:
    """Bytes joined from the fragments of records, with the position of each in the frames."""

    def __init__(self, places: Places, frame: int) -> None:
        self._places = places
        self._frame = frame
        """The frame that completed the bytes."""
        self._runs: list[tuple[int, int]] = []
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    @property
    def data(self) -> bytes:
        """The bytes."""
        return bytes(self._data)

    def beginning(self, size: int) -> bytes:
        """Return the first `size` bytes, or fewer if there are not as many."""
        return bytes(self._data[:size])

    def add(self, data: bytes, start: int) -> None:
        """Append bytes; `start` is their offset in the stream of their sender."""
        self._runs.append((len(self._data), start))
        self._data += data

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Return where a range of the bytes lies in the frames."""
        found: list[Span] = []
        ends = [at for at, _ in self._runs[1:]] + [len(self._data)]
        for (at, stream), upto in zip(self._runs, ends, strict=True):
            low, high = max(start, at), min(end, upto)
            if low < high:
                for span in self._places.spans(stream + low - at, stream + high - at, self._frame):
                    _append(found, span)
        return tuple(found)


def _append(spans: list[Span], span: Span) -> None:
    """Append a span, merged with the last one if it continues it."""
    last = spans[-1] if spans else None
    if last is None or last.frame != span.frame or last.offset is None or last.offset + last.length != span.offset:
        spans.append(span)
    else:
        spans[-1] = replace(last, length=last.length + span.length)
