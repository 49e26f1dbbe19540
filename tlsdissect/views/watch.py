"""Connections in a notebook, as they come: a table that is updated in place."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from markupsafe import Markup

from tlsdissect.views.printable import printable
from tlsdissect.views.table import COLUMNS, Column

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.model.connection import Connection

SHOWN = 40
"""Connections that stand in the table: the latest."""
_PERIOD = 0.2
"""Seconds between updates: a browser need not draw each of a thousand a second."""
_TITLES = ("start", "client", "server", "TLS", "suite", "group", "ALPN", "resumed", "RT", "ms", "outcome", "problems")
_SHOWN = [column for column in COLUMNS if column.title in _TITLES]
_STYLE = Markup("<style>.tlsdissect-watch td { white-space: nowrap; text-align: left }</style>")


class Watch:
    """What a notebook shows for as long as the block lasts, and then leaves there."""

    def __init__(self, figures: Callable[[], str]) -> None:
        """`figures` tells what stands below the table."""
        self.told: list[Connection] = []
        self._figures = figures
        self._drawn = ""
        self._display: Any = None
        self._over = threading.Event()
        self._updates = threading.Thread(target=self._update, daemon=True)

    def __enter__(self) -> Self:
        from IPython.display import display  # noqa: PLC0415 (there is none outside of notebooks)

        self._display = display(self._page(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._updates.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._updates.join()

    def _update(self) -> None:
        while not self._over.wait(_PERIOD):
            self._draw()
        self._draw()

    def _draw(self) -> None:
        page = self._page()
        if page["text/html"] != self._drawn:
            self._drawn = page["text/html"]
            self._display.update(page, raw=True)

    def _page(self) -> dict[str, str]:
        figures = self._figures()
        return {"text/html": html(self.told[-SHOWN:], figures), "text/plain": figures}


def html(connections: list[Connection], figures: str) -> str:
    """Write connections as a part of a page; all text is escaped."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(column.title) for column in _SHOWN)
    rows = [
        Markup("").join(Markup("<td>{}</td>").format(_text(column, one)) for column in _SHOWN) for one in connections
    ]
    body = Markup("").join(Markup("<tr>{}</tr>").format(row) for row in rows)
    table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)
    return str(_STYLE + Markup('<div class="tlsdissect-watch">{}<p>{}</p></div>').format(table, printable(figures)))


def _text(column: Column, connection: Connection) -> str:
    return printable(next(iter(column.texts(connection)), None) or "-")
