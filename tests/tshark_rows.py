"""What tshark prints of each packet of a capture, by column."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING

from recorded import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, str]

HANDSHAKE_TYPES = {
    "1": "client_hello",
    "2": "server_hello",
    "3": "hello_verify_request",
    "4": "new_session_ticket",
    "11": "certificate",
    "12": "server_key_exchange",
    "13": "certificate_request",
    "14": "server_hello_done",
    "15": "certificate_verify",
    "16": "client_key_exchange",
    "20": "finished",
}


def packet_rows(path: Path, fields: Sequence[str], *options: str) -> list[Row]:
    columns = [part for key in fields for part in ("-e", key)]
    command = [need("tshark"), "-n", "-r", str(path), *options, "-T", "fields", *columns]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [dict(zip(fields, line.split("\t"), strict=True)) for line in printed.splitlines()]


def by_stream(path: Path, fields: Sequence[str], *options: str) -> dict[int, list[Row]]:
    """The rows of every stream, whose number is the first field."""
    streams = defaultdict(list)
    for row in packet_rows(path, fields, *options):
        streams[int(row[fields[0]])].append(row)
    return streams


def values(found: list[Row], key: str) -> list[tuple[int, str]]:
    """Pairs of frame and value."""
    return [(int(row["frame.number"]), value) for row in found for value in row[key].split(",") if value]
