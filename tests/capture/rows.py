"""Packets as rows that can be compared, and sources that give their bytes piece by piece."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

from tlsdissect.capture import Packet, PacketReader

NAMES = ("frame", "time", "digits", "protocol", "sequence", "acknowledgement", "flags", "length", "captured", "quoted")
Rows = list[dict[str, Any]]
Read = Callable[..., Rows]


class Pieces(io.BytesIO):
    """A capture whose bytes come at most so many at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, limit: int | None = -1, /) -> bytes:
        return super().read(min(self._size, limit) if limit is not None and limit >= 0 else self._size)


def rows_of(reader: PacketReader) -> Rows:
    """Each packet as a dict; instead of where the payload is, its bytes."""
    rows, packet = [], Packet()
    while reader.next(packet):
        ends, size = packet.endpoints, (len(packet.endpoints) - 4) // 2
        addresses = [int.from_bytes(ends[at : at + size], "big") for at in (0, size)]
        rows.append({
            **{name: getattr(packet, name) for name in NAMES},
            "family": 4 if size == 4 else 6,
            "source_high": addresses[0] >> 64, "source_low": addresses[0] & (1 << 64) - 1,
            "destination_high": addresses[1] >> 64, "destination_low": addresses[1] & (1 << 64) - 1,
            "source_port": int.from_bytes(ends[2 * size : 2 * size + 2], "big"),
            "destination_port": int.from_bytes(ends[2 * size + 2 :], "big"),
            "payload": packet.captured_payload(),
        })  # fmt: skip
    return rows


def calls(run: Callable[[], object]) -> int:
    """Count the calls of Python and of C that something takes: those of compiled code to itself are not among them."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count
