"""Connections as a table, one line each.

The columns depend on the width alone and never on the connections, so that rows are printed as they come.
"""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.views import phrases
from tlsdissect.views.printable import columns, encoded, printable, shortened, styled

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection

_ABSENT = "-"
_ROOMY = 100
"""Width from which on cells are separated by two spaces instead of one."""


class Column(Struct, frozen=True):
    """One column of the table."""

    title: str
    texts: Callable[[Connection], tuple[str | None, ...]]
    """The possible texts, best first: the first that fits is used, otherwise the last one, shortened."""
    style: Callable[[Connection], str] = phrases.plain
    right: bool = False
    tail: int = 0
    """How much of the end of a shortened text is kept, in percent of the width."""


COLUMNS = (
    Column("stream", phrases.stream, phrases.faint, right=True),
    Column("start", phrases.start, phrases.faint),
    Column("client", phrases.client, tail=60),
    Column("server", phrases.server, tail=60),
    Column("TLS", phrases.version, phrases.by_version),
    Column("suite", phrases.suite),
    Column("group", phrases.group, tail=90),
    Column("ALPN", phrases.alpn),
    Column("resumed", phrases.resumed),
    Column("RT", phrases.round_trips, right=True),
    Column("ms", phrases.milliseconds, right=True),
    Column("outcome", phrases.outcome, phrases.by_outcome),
    Column("findings", phrases.findings, phrases.by_findings),
    Column("problems", phrases.problems, phrases.by_problems),
    Column("JA4", phrases.ja4, phrases.faint),
    Column("certificate", phrases.certificate),
    Column("source", phrases.source, phrases.faint, tail=70),
)
"""All columns, from left to right."""

GROWTH = (
    ("stream", 6),
    ("server", 18),
    ("TLS", 4),
    ("outcome", 11),
    ("findings", 22),
    ("suite", 10),
    ("RT", 2),
    ("ms", 7),
    ("group", 9),
    ("client", 15),
    ("client", 21),
    ("group", 14),
    ("outcome", 18),
    ("server", 22),
    ("problems", 8),
    ("resumed", 10),
    ("suite", 20),
    ("certificate", 12),
    ("server", 30),
    ("ALPN", 8),
    ("outcome", 27),
    ("start", 15),
    ("JA4", 36),
    ("certificate", 24),
    ("source", 24),
    ("start", 29),
    ("problems", 20),
    ("findings", 60),
    ("server", 46),
    ("client", 47),
    ("group", 18),
    ("source", 40),
    ("stream", 9),
)
"""Steps by which columns are added and widened until the width is used up; the rest goes to the server column."""


class Table:
    """The table of a run."""

    def __init__(
        self,
        width: int | None = None,
        *,
        coloured: bool = False,
        sections: bool = False,
        encoding: str = "utf-8",
        judged: bool = False,
        waits: bool = False,
    ) -> None:
        """Without a width, all columns are shown in full. `sections` prints the name of each capture before its rows.

        `judged` adds the column of findings. With `waits`, the heading is printed together with the first row.
        """
        self._gap = "  " if width is None or width >= _ROOMY else " "
        self._columns = layout(width, len(self._gap), judged=judged)
        self._width = width
        self._coloured = coloured
        self._encoding = encoding
        self._sections = sections and all(column.title != "source" for column, _ in self._columns)
        self._source: str | None = None
        titles = [_padded(column.title[:width], column, width) for column, width in self._columns]
        heading = self._line([(title, phrases.HEADING) for title in titles], between=phrases.HEADING)
        self.head, self._waiting = (b"", heading) if waits else (heading, b"")

    def section(self, source: str) -> bytes:
        """Return the capture's name if it differs from the previous row's, after a heading that is still due."""
        heading, self._waiting = self._waiting, b""
        if not self._sections or source == self._source:
            return heading
        self._source = source
        name = printable(source)
        shown = shortened(name, self._width or columns(name), tail=columns(name))
        return heading + self._line([(shown, phrases.SECTION)])

    def row(self, connection: Connection) -> bytes:
        """Format a connection as one line."""
        cells = []
        for column, width in self._columns:
            text = _text(connection, column, width)
            style = phrases.FAINT if text == _ABSENT else column.style(connection)
            cells.append((_padded(text, column, width), style))
        return self._line(cells)

    def _line(self, cells: list[tuple[str, str]], between: str = "") -> bytes:
        if self._coloured:
            text = styled(self._gap, between).join([styled(cell, style) for cell, style in cells])
        else:
            text = self._gap.join([cell for cell, _ in cells]).rstrip()
        # A terminal without the ellipsis gets a question mark, which has the same width.
        return encoded(f"{text}\n", self._encoding)


def layout(width: int | None, gap: int, *, judged: bool = False) -> list[tuple[Column, int]]:
    """Choose the columns for this width, and the width of each."""
    growth = [step for step in GROWTH if judged or step[0] != "findings"]
    if width is None:
        last = dict(growth)
        width = sum(last.values()) + gap * (len(last) - 1)
    widths: dict[str, int] = {}
    room = width + gap
    for title, wanted in growth:
        more = wanted - widths[title] if title in widths else wanted + gap
        if more > room:
            break
        widths[title] = wanted
        room -= more
    if "server" in widths:
        widths["server"] += room
    return [(column, widths[column.title]) for column in COLUMNS if column.title in widths] or [(COLUMNS[0], width)]


def _text(connection: Connection, column: Column, width: int) -> str:
    """Return the first text that fits, or the last one, shortened."""
    text = _ABSENT
    for one in column.texts(connection):
        if one is not None:
            text = printable(one)
            if columns(text) <= width:
                break
    return shortened(text, width, tail=width * column.tail // 100)


def _padded(text: str, column: Column, width: int) -> str:
    blank = " " * (width - columns(text))
    return blank + text if column.right else text + blank
