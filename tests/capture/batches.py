"""Batches as rows that can be compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tlsdissect.capture import Packets

COLUMNS = [name for name in Packets.__struct_fields__ if name not in {"data", "payload", "place"}]
Rows = list[dict[str, Any]]
Read = Callable[..., Rows]


def rows_of(batches: Any) -> Rows:
    """Each row as a dict; instead of where the payload is, its bytes."""
    rows = []
    for packets in batches:
        columns = {name: getattr(packets, name).tolist() for name in COLUMNS}
        for number in range(len(packets)):
            row = {name: column[number] for name, column in columns.items()}
            start = int(packets.payload[number])
            row["payload"] = bytes(packets.data[start : start + row["captured"]])
            rows.append(row)
    return rows


def calls(run: Callable[[], object]) -> int:
    """Count the calls, of Python and of C, that something takes."""
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
