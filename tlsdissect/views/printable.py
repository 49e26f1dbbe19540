"""Text from captures and file names, made safe for a terminal."""

from __future__ import annotations

import re
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING, Any
from unicodedata import category, east_asian_width

from msgspec import json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlsdissect.model.connection import CapturePart, Connection

USUAL = 88
"""Columns of a text where no terminal says how many there are: as many as a page, a mail or a README shows whole."""
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0")
"""Hangul fillers: letters by their category, and blank."""
_ELLIPSIS = "…"
_TOGETHER = "\xa0"
_PLAIN = str.maketrans({_ELLIPSIS: "~", "✓": "+", "✗": "x"})
"""Replacements for a terminal that cannot show these characters."""
_BEYOND_ASCII = re.compile("[^\x00-\x7e]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_REMEMBERED = 4096
"""Characters of which is remembered how JSON writes them; any other is looked up anew."""


def printable(text: str) -> str:
    r"""Escape all that a terminal would obey or not show: controls, direction marks, zero width, combining marks.

    What is `\x80` or more is a byte of a file name that is not UTF-8 (PEP 383), never a character.

    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join([char if _shows(char) else _escaped(char) for char in text])


def printable_json(encoded: bytes) -> bytes:
    r"""Write what `printable` escapes as JSON does (RFC 8259 section 7): the values stay what they are.

    JSON itself demands this of the controls below U+0020 only, and a terminal obeys others too.

    >>> printable_json('"a\u009b2J"'.encode())
    b'"a\\u009b2J"'
    """
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return _BEYOND_ASCII.sub(lambda found: _in_json(found[0]), encoded.decode()).encode()


def json_text(value: Any) -> str:
    """Return a value as JSON."""
    return printable_json(json.encode(value)).decode()


def without_surrogates(text: str) -> str:
    r"""Escape what UTF-8 cannot encode, as `printable` does: a file name may contain any byte (PEP 383).

    Shells read the byte back from this text: `$'caf\xe9.pcap'`.

    >>> without_surrogates("caf\udce9.pcap")
    'caf\\xe9.pcap'
    """
    return text if text.isascii() else _SURROGATES.sub(lambda found: _escaped(found[0]), text)


def columns(text: str) -> int:
    """Count the columns of a terminal that printable text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def shortened(text: str, width: int, *, tail: int = 0) -> str:
    """Cut printable text to `width` columns, an ellipsis in place of what is left out; keep `tail` columns of its end.

    >>> shortened("www.example.com:8443", 12, tail=7)
    'www.…om:8443'
    """
    if columns(text) <= width:
        return text
    if width <= 1:
        return _ELLIPSIS[:width]
    end = _first(text[::-1], min(tail, width - 1))[::-1]
    return f"{_first(text, width - 1 - columns(end))}{_ELLIPSIS}{end}"


def wrapped_sentence(text: str, width: int, indent: str = "") -> list[str]:
    """Wrap printable text, its further lines with an indent; a number is not separated from the word after it.

    >>> wrapped_sentence("the slowest took 92.0 ms", 22, "  ")
    ['the slowest took', '  92.0 ms']
    """
    together = re.sub(r"(?<=\d) (?=\w)", _TOGETHER, text)
    lines = wrap(together, width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(_TOGETHER, " ") for line in lines]


def wrapped(parts: Sequence[tuple[str, str]], width: int, begin: int) -> list[list[tuple[str, str]]]:
    """Wrap the texts of a line, each with its style, to `width` columns; later lines begin at the column `begin`.

    A word that fits no line is broken where a line is full.

    >>> wrapped([("random", ""), ("  0011223344", "36"), ("  or more", "")], 14, 8)
    [[('random', ''), ('  001122', '36')], [('        ', ''), ('3344', '36')], [('        ', ''), ('or', '')], \
[('        ', ''), ('more', '')]]
    """
    lines: list[list[tuple[str, str]]] = [[]]
    used = 0
    for text, style in parts:
        for word in re.findall(r" *[^ ]+| +$", text):
            rest = word
            while columns(rest) > width - used:
                bare = rest.lstrip(" ")
                if used <= begin or columns(bare) > width - begin:
                    piece = _first(rest, max(width - used, 1)) or rest[:1]
                    lines[-1].append((piece, style))
                    rest = rest[len(piece) :]
                else:
                    rest = bare
                lines.append([(" " * begin, "")])
                used = begin
            lines[-1].append((rest, style))
            used += columns(rest)
    return lines


def titled(name: str, place: str, width: int) -> str:
    """Format a name followed by a place; of a place that is too long, its end is kept.

    >>> titled("stream 0", "captures/2026/web.pcap", 24)
    'stream 0  …2026/web.pcap'
    """
    room = max(width - columns(name) - 2, width // 4)
    end = shortened(place, room, tail=room - 1)
    return f"{shortened(name, width - columns(end) - 2)}  {end}"


def first_frames(captures: tuple[CapturePart, ...] | None) -> Iterator[str]:
    """Yield a line about each of the captures that were read as one, so that its own frame numbers can be computed."""
    for one in captures or ():
        yield f"frame {one.frames_before + 1:,} is the first of {printable(one.source)}"


def encoded(text: str, encoding: str) -> bytes:
    """Encode printable text for a terminal; with other characters for ours that it does not know, and `?` for the rest.

    >>> encoded("www.…om é", "ascii")
    b'www.~om ?'
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace")


def styled(text: str, style: str) -> str:
    """Wrap text in the sequence that sets a style (ECMA-48 section 8.3.117); without a style, return it unchanged."""
    return f"\x1b[{style}m{text}\x1b[0m" if style else text


class TextBlocks:
    """A view for a terminal: for each connection some lines, and an empty line between two connections."""

    head = b""

    def __init__(self, lines: Callable[[Connection], Iterable[str]], encoding: str = "utf-8") -> None:
        self._lines = lines
        self._encoding = encoding
        self._first = True

    def section(self, _: str) -> bytes:
        """Return nothing: each block names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection; nothing if it has no lines."""
        return self.block(self._lines(connection))

    def block(self, lines: Iterable[str]) -> bytes:
        """Format lines as the next block."""
        text = "\n".join(lines)
        if not text:
            return b""
        gap, self._first = "" if self._first else "\n", False
        return encoded(f"{gap}{text}\n", self._encoding)


def _shows(char: str) -> bool:
    # Combining marks take no column of their own.
    return char.isprintable() and category(char)[0] != "M" and char not in _INVISIBLE


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(_REMEMBERED)
def _in_json(char: str) -> str:
    if _shows(char):
        return char
    units = char.encode("utf-16-be")
    return "".join([f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)])


def _first(text: str, width: int) -> str:
    """Take as many characters as fit in `width` columns."""
    if text.isascii():
        return text[:width]
    taken = 0
    for index, char in enumerate(text):
        taken += columns(char)
        if taken > width:
            return text[:index]
    return text
