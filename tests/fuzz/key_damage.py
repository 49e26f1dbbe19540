"""Key logs with damaged lines, and captures with damaged records, for what keys open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorded import HEADER

if TYPE_CHECKING:
    import random

MOST_BYTES = 200_000
"""Of a line that is made long: more than a key log is looked at for the end of a line."""
HEADERS = 54
"""Bytes of a frame that are left alone, so that it stays a segment of its flow."""


def damaged_log(data: bytes, dice: random.Random) -> bytes:
    """Damage the lines of a key log, or what ends all of them."""
    lines = data.splitlines(keepends=True) or [b"\n"]
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(lines))
        line = bytearray(lines[at])
        how = dice.randrange(10)
        if how == 0 and line:
            line[dice.randrange(len(line))] = dice.choice(b"0123456789abcdefg_ \n\0")
        elif how == 1:
            line = line[: dice.randrange(len(line) + 1)]
        elif how == 2:
            line = bytearray(lines[dice.randrange(len(lines))].partition(b" ")[0] + line[line.find(b" ") :])
        elif how == 3:
            line = line + line
        elif how == 4:
            line = line.replace(b"CLIENT", b"SERVER")
        elif how == 5:
            line = bytearray(dice.randbytes(dice.randrange(200)) + b"\n")
        elif how == 6:
            label, _, rest = bytes(line).partition(b" ")
            line = bytearray(label + str(dice.randrange(1 << 40)).encode() + b" " + rest)
        elif how == 7:
            # Of a connection that is not there, as another program would log it.
            line = line.partition(b" ")[0] + f" {dice.randbytes(32).hex()} {dice.randbytes(48).hex()}\n".encode()
        elif how == 8:
            at_end = dice.choice((b"\r", b"\0", b"", b" ", b"#", b"\xef\xbb\xbf"))
            lines = [one.rstrip(b"\n") + at_end + b"\n" for one in lines]
            continue
        else:
            words = bytes(line).split()
            line = bytearray(b" ".join(words[:2] + [word[: 2 * dice.randrange(1, 60)] for word in words[2:]]) + b"\n")
        lines[at] = bytes(line) if dice.randrange(200) else bytes(line[:-1]) * (MOST_BYTES // max(1, len(line))) + b"\n"
    return b"".join(lines)


def damaged_capture(head: bytes, frames: list[tuple[bytes, bytes]], dice: random.Random) -> bytes:
    """Damage bytes behind the headers of packets, and leave out, repeat or cut packets."""
    out = [head]
    for record, packet in frames:
        how, data = dice.randrange(40), bytearray(packet)
        if how == 0:
            continue
        if how in (1, 2) and len(data) > HEADERS + 40:
            for _ in range(dice.randrange(1, 4)):
                data[dice.randrange(HEADERS + 32, len(data))] = dice.randrange(256)
        second, fraction, _, whole = HEADER.unpack(record)
        if how == 3:
            del data[dice.randrange(min(HEADERS, len(data)), len(data) + 1) :]
        out.append(HEADER.pack(second, fraction, len(data), whole) + data)
        if how == 4:
            out.append(out[-1])
    return b"".join(out)
