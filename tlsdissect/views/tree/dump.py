"""A hex dump of frames in which the bytes of one field are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.model.transcript import KeptConnection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tlsdissect.model.connection import Connection
    from tlsdissect.model.transcript import Packet, Span

_ROW = 16
"""Bytes per line."""


def dumpable(connection: Connection) -> dict[int, Packet]:
    """Return the packets whose bytes were kept, by frame."""
    if not isinstance(connection, KeptConnection):
        return {}
    return {packet.frame: packet for packet in connection.transcript.packets}


def dump(spans: tuple[Span, ...], packets: Mapping[int, Packet]) -> Iterator[str]:
    """Yield the lines of the hex dump that contain a field's bytes, with these bytes in brackets.

    A line has the frame, the offset of its first byte in hexadecimal, its bytes, and those of the field as ASCII. Bytes
    that lie nowhere as they are, and those outside of TCP's payload, are left out.
    """
    for span in spans:
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
