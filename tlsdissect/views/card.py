"""A connection on a card, as a notebook shows it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from markupsafe import Markup

from tlsdissect.views import phrases
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection

_HOME = "tlsdissect.model.connection"
_STYLE = Markup("""<style>
.tlsdissect-card { max-width: 46em; border: 1px solid; border-radius: 6px; padding: .6em 1em; overflow-wrap: anywhere }
.tlsdissect-card .head { font-weight: bold }
.tlsdissect-card .head span { font-weight: normal; border: 1px solid; border-radius: 1em; padding: 0 .6em;
  margin-left: .5em }
.tlsdissect-card dl { display: grid; grid-template-columns: max-content 1fr; gap: .1em 1em; margin: .5em 0 0 }
.tlsdissect-card dt { opacity: .7; font-weight: normal }
.tlsdissect-card dd { margin: 0; text-align: left }
</style>""")


def register() -> None:
    """Let the notebook that runs, if one does, show connections as cards; IPython itself is not imported."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type_by_name(_HOME, "Connection", html)


def html(c: Connection) -> str:
    """Write the card of a connection as a part of a page; all text is escaped, and colours are the page's own."""
    (server, *_) = phrases.server(c)
    title = printable(server or "")
    badges = [Markup("<span>{}</span>").format(printable(text)) for text in (c.version, phrases.outcome(c)[0]) if text]
    rows = [Markup("<dt>{}</dt><dd>{}</dd>").format(label, printable(text)) for label, text in _rows(c) if text]
    inside = Markup('<div class="head">{}{}</div><dl>{}</dl>').format(
        title, Markup("").join(badges), Markup("").join(rows)
    )
    label = f"TLS connection to {title}"
    return str(_STYLE + Markup('<section class="tlsdissect-card" aria-label="{}">{}</section>').format(label, inside))


def _rows(c: Connection) -> Iterator[tuple[str, str | None]]:
    """What the card says, each with its label; what was not seen is left out."""
    yield "client", phrases.client(c)[0]
    yield "cipher suite", c.cipher_suite
    yield "key exchange", f"DH {c.dh_bits} bits" if c.dh_bits else c.group
    yield "ALPN", c.alpn
    yield "resumption", None if c.resumption is None else f"{c.resumption}, early data: {c.early_data or 'unknown'}"
    yield "handshake", ", ".join(_took(c)) or None
    yield "certificate", _certificate(c)
    yield "alerts", ", ".join(f"{one.description or 'encrypted'} by {one.sender}" for one in c.alerts) or None
    yield "findings", ", ".join(dict.fromkeys(f"{one.severity}: {one.code}" for one in c.findings or ())) or None
    yield "problems", "; ".join(dict.fromkeys(f"{one.code}: {one.detail}" for one in c.problems)) or None
    yield "begun", f"{'' if c.start is None else f'{c.start}, '}stream {c.stream} of {c.source}"


def _took(c: Connection) -> Iterator[str]:
    if c.round_trips is not None:
        yield f"{c.round_trips} round trip{'' if c.round_trips == 1 else 's'}"
    if c.timing.handshake_ms is not None:
        yield f"{c.timing.handshake_ms:.2f} ms"
    if c.timing.tcp_ms is not None:
        yield f"TCP's took {c.timing.tcp_ms:.2f} ms"


def _certificate(c: Connection) -> str | None:
    if not c.certificates:
        return "encrypted" if c.is_tls13 and c.outcome == "established" else None
    leaf = c.certificates[0]
    return f"{leaf.subject}, issued by {leaf.issuer}, until {leaf.not_after}"
