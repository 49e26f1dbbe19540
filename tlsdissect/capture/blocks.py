"""Blocks of pcapng files (draft-ietf-opsawg-pcapng): their types, and how they are written."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, STATISTICS, ENHANCED_PACKET, SECRETS = 0x0A0D0D0A, 1, 2, 3, 5, 6, 10
"""Block types (section 10.1)."""
TLS_KEY_LOG = 0x544C534B
"""Type of the secrets that are kept (section 4.7); others are keys of WireGuard, SSH or ZigBee."""
COMMENT, APPLICATION, END_TIME = 1, 4, 3
"""Option codes: a comment, the program that wrote a section (section 4.1), when a capture ended (section 4.6)."""
EXTRACT = b"tlsdissect extract"
"""The program that wrote an extract. It has all packets of its flows until the time at which the capture ended, which a
statistics block tells. Of files of other programs, no such block is read: packets may have been removed after it was
written."""
_PACKET_HEADER = 28
"""Bytes of an Enhanced Packet Block before the packet."""


class SecretsBlock(NamedTuple):
    """The key log in a decryption secrets block."""

    lines: bytes
    is_late: bool
    """Whether packets of its capture came before it, so that it was written while these were captured."""


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a block, padded to 32 bits."""
    padding = -len(body) % 4
    length = struct.pack(order + "I", len(body) + padding + 12)
    return b"".join((struct.pack(order + "I", kind), length, body, bytes(padding), length))


def section(options: Iterable[tuple[int, bytes]], order: str = "<") -> bytes:
    """Return the header of a section of unknown length."""
    return block(SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + encoded(options, order), order)


def packet(frame: bytes, carried: int, time: int) -> bytes:
    """Return an Enhanced Packet Block of the first interface, with a time in its ticks, in little-endian order."""
    high, low = divmod(time, 1 << 32)
    padding = -len(frame) % 4
    length = _PACKET_HEADER + len(frame) + padding + 4
    head = struct.pack("<7I", ENHANCED_PACKET, length, 0, high, low, len(frame), carried)
    return b"".join((head, frame, bytes(padding), length.to_bytes(4, "little")))


def encoded(options: Iterable[tuple[int, bytes]], order: str = "<") -> bytes:
    """Return options, each padded to 32 bits, and the end-of-options option; nothing if there are none."""
    written = [struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options]
    return b"".join(written) + bytes(4) if written else b""
