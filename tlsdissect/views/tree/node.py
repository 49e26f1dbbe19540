"""One thing in the tree, and where its bytes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from tlsdissect.transcript.transcript import Places, Span


class Node(Struct, frozen=True, omit_defaults=True):
    """A record, a message, or a field of one. The leaves of a record cover every byte of it once."""

    name: str
    """The RFC's, or the registry's."""
    value: int | str | None = None
    """A number; a code point as `0x1301`; bytes as hexadecimal; an identifier or the text of DER."""
    meaning: str | None = None
    """What the value stands for."""
    remark: str | None = None
    """The value is obsolete, for private use, of a draft, or not registered."""
    reference: str | None = None
    """What defines it: an RFC and its section."""
    bytes: tuple[Span, ...] = ()
    problem: str | None = None
    """Why it, or what follows in it, could not be read."""
    children: tuple[Node, ...] = ()

    @property
    def is_code(self) -> bool:
        """Whether the value is a code point, whose name is the meaning."""
        return isinstance(self.value, str) and self.value.startswith("0x")


class Ground:
    """Bytes that were put together from records, and where each lies."""

    def __init__(self, places: Places, frame: int) -> None:
        self._places = places
        self._frame = frame
        """The frame that completed them."""
        self._runs: list[tuple[int, int]] = []
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    @property
    def data(self) -> bytes:
        """The bytes."""
        return bytes(self._data)

    def beginning(self, size: int) -> bytes:
        """The first bytes, as many as there are."""
        return bytes(self._data[:size])

    def add(self, data: bytes, start: int) -> None:
        """Put bytes behind those that are there; `start` is where they stand in what their side sent."""
        self._runs.append((len(self._data), start))
        self._data += data

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Tell where a stretch of the bytes lies in the frames."""
        found: list[Span] = []
        ends = [at for at, _ in self._runs[1:]] + [len(self._data)]
        for (at, stream), upto in zip(self._runs, ends, strict=True):
            low, high = max(start, at), min(end, upto)
            if low < high:
                for span in self._places.spans(stream + low - at, stream + high - at, self._frame):
                    _append(found, span)
        return tuple(found)


def _append(spans: list[Span], span: Span) -> None:
    """Add a span, as part of the one before where it continues that."""
    last = spans[-1] if spans else None
    if last is None or last.frame != span.frame or last.offset is None or last.offset + last.length != span.offset:
        spans.append(span)
    else:
        spans[-1] = replace(last, length=last.length + span.length)
