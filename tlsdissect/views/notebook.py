"""Connections in a notebook: a card for each, and a table of live ones that is updated in place."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from markupsafe import Markup

from tlsdissect.model.connection import SEVERITIES
from tlsdissect.model.transcript import has_failed
from tlsdissect.views import table
from tlsdissect.views.certificates import shown_name
from tlsdissect.views.durations import in_ms
from tlsdissect.views.printable import printable
from tlsdissect.views.table import COLUMNS, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure

    from tlsdissect.model.connection import Connection

_HOME = "tlsdissect.model.connection"
_CARD_STYLE = Markup("""<style>
.tlsdissect-card.tlsdissect-card { box-sizing: border-box; max-width: 52em; margin: .2em 0; padding: .7em 1em;
  border: 1px solid color-mix(in srgb, currentColor 30%, transparent); border-radius: 6px; line-height: 1.5 }
.tlsdissect-card.tlsdissect-card :is(dl, dt, dd) { all: unset }
.tlsdissect-card.tlsdissect-card .head { display: flex; flex-wrap: wrap; gap: .2em .6em; font-weight: bold }
.tlsdissect-card.tlsdissect-card .head > * { min-width: 0; overflow-wrap: anywhere }
.tlsdissect-card.tlsdissect-card .badge { padding: 0 .6em; border: 1px solid; border-radius: 1em; font-weight: normal }
.tlsdissect-card.tlsdissect-card .good { color: color-mix(in srgb, currentColor 45%, #12a150) }
.tlsdissect-card.tlsdissect-card .bad { color: color-mix(in srgb, currentColor 30%, #e5383b); font-weight: bold }
.tlsdissect-card.tlsdissect-card dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1em 1.2em;
  margin-top: .5em }
.tlsdissect-card.tlsdissect-card dt { white-space: nowrap; opacity: .75 }
.tlsdissect-card.tlsdissect-card dd { overflow-wrap: anywhere }
</style>""")
"""The rules of JupyterLab, nbconvert and others for `dl` in outputs are as specific as one class and an element: ours,
with two classes, come before them, and start from nothing. Colours are mixed with that of the text, in light and dark.
"""
SHOWN = 40
"""Maximum connections in the table: the latest."""
_PERIOD = 0.2
"""Seconds between updates: a browser need not draw each of a thousand a second."""
_TITLES = ("start", "client", "server", "TLS", "suite", "group", "ALPN", "resumed", "RT", "ms", "outcome", "problems")
_SHOWN = [column for column in COLUMNS if column.title in _TITLES]
_WATCH_STYLE = Markup("""<style>
.tlsdissect-watch.tlsdissect-watch { overflow-x: auto }
.tlsdissect-watch.tlsdissect-watch :is(th, td) { max-width: none; white-space: nowrap; text-align: left }
</style>""")


def register() -> None:
    """If a notebook is running, make it show connections as cards and figures as pictures.

    IPython itself is not imported. Without this, figures are shown as pictures only once matplotlib.pyplot has been
    imported; its settings take precedence over ours.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None:
        formatters = shell.display_formatter.formatters
        formatters["text/html"].for_type_by_name(_HOME, "Connection", card)
        formatters["image/png"].for_type_by_name("matplotlib.figure", "Figure", _picture)


def _picture(figure: Figure) -> tuple[bytes, dict[str, int]]:
    from IPython.core.pylabtools import retina_figure  # noqa: PLC0415 (there is none outside of notebooks)

    data, size = retina_figure(figure)  # type: ignore[no-untyped-call]
    return data, size


def card(c: Connection) -> str:
    """Write the card of a connection as a part of a page; all text is escaped, and colours are the page's own."""
    (server, *_) = table.server(c)
    title = printable(server or "")
    tones = ("", " bad" if has_failed(c) else " good" if c.outcome == "established" else "")
    badges = [
        Markup('<span class="badge{}">{}</span>').format(tone, printable(text))
        for tone, text in zip(tones, (c.version, table.outcome(c)[0]), strict=True)
        if text
    ]
    rows = [Markup("<dt>{}</dt><dd>{}</dd>").format(label, printable(text)) for label, text in _rows(c) if text]
    # JupyterLab removes the style from outputs of notebooks that it does not trust: spaces keep words apart there.
    inside = Markup('<div class="head"><strong>{}</strong> {}</div><dl>{}</dl>').format(
        title, Markup(" ").join(badges), Markup("").join(rows)
    )
    label = f"TLS connection to {title}"
    return str(
        _CARD_STYLE + Markup('<section class="tlsdissect-card" aria-label="{}">{}</section>').format(label, inside)
    )


def _rows(c: Connection) -> Iterator[tuple[str, str | None]]:
    """What the card says, each with its label; what was not seen is left out."""
    yield "client", table.client(c)[0]
    yield "cipher suite", c.cipher_suite
    yield "key exchange", f"DH {c.dh_bits} bits" if c.dh_bits else c.group
    yield ("ALPN, with keys" if c.needs_keys("alpn") else "ALPN"), c.known("alpn")
    opened = None if c.hidden is None else c.hidden.early_data
    early = f"{opened} (with keys)" if opened not in (None, c.early_data) else c.early_data or "unknown"
    yield "resumption", None if c.resumption is None else f"{c.resumption}, early data: {early}"
    yield "handshake", ", ".join(_took(c)) or None
    yield ("certificate, with keys" if c.needs_keys("certificates") else "certificate"), _certificate(c)
    yield "alerts", ", ".join(f"{one.description or 'encrypted'} by {one.sender}" for one in c.alerts) or None
    keyed = () if c.hidden is None else c.hidden.alerts or ()
    yield "alerts, with keys", ", ".join(f"{one.description} by {one.sender}" for one in keyed) or None
    yield "findings", "; ".join(_findings(c)) or None
    yield "problems", "; ".join(dict.fromkeys(f"{one.code}: {one.detail}" for one in c.problems)) or None
    yield "begun", f"{'' if c.start is None else f'{c.start}, '}stream {c.stream_name} of {c.source}"


def _took(c: Connection) -> Iterator[str]:
    if c.round_trips is not None:
        yield f"{c.round_trips} round trip{'' if c.round_trips == 1 else 's'}"
    if c.timing.handshake_ms is not None:
        yield in_ms(c.timing.handshake_ms)
    if c.timing.tcp_ms is not None:
        yield f"TCP's handshake took {in_ms(c.timing.tcp_ms)}"


def _certificate(c: Connection) -> str | None:
    leaf = c.leaf("server")
    if leaf is None:
        return "encrypted" if c.is_tls13 and c.outcome == "established" else None
    issuer = "itself" if leaf.self_signed else shown_name(leaf.issuer)
    return f"{shown_name(leaf.subject, leaf.dns_names)}, issued by {issuer}, until {leaf.not_after}"


def _findings(c: Connection) -> Iterator[str]:
    """Yield the codes of each severity, the most severe first."""
    for severity in reversed(SEVERITIES):
        found = [one for one in c.findings or () if one.severity == severity]
        seen = {one.code for one in found if not one.with_keys}
        codes = [code if code in seen else f"{code} (with keys)" for code in dict.fromkeys(one.code for one in found)]
        if codes:
            yield f"{severity}: {', '.join(codes)}"


class Watch:
    """What a notebook shows for as long as the block lasts, and then leaves there."""

    def __init__(self, figures: Callable[[], str]) -> None:
        """`figures` returns the text below the table."""
        self.connections: list[Connection] = []
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
        return {"text/html": _live_table(self.connections[-SHOWN:], figures), "text/plain": figures}


def _live_table(connections: list[Connection], figures: str) -> str:
    """Write connections as a part of a page; all text is escaped."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(column.title) for column in _SHOWN)
    rows = [
        Markup("").join(Markup("<td>{}</td>").format(_text(column, one)) for column in _SHOWN) for one in connections
    ]
    body = Markup("").join(Markup("<tr>{}</tr>").format(row) for row in rows)
    rows_table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)
    return str(
        _WATCH_STYLE + Markup('<div class="tlsdissect-watch">{}<p>{}</p></div>').format(rows_table, printable(figures))
    )


def _text(column: Column, connection: Connection) -> str:
    return printable(next(iter(column.texts(connection)), None) or "-")
