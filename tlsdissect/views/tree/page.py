"""Trees as an HTML page that loads nothing and runs no script."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tlsdissect.views.printable import printable
from tlsdissect.views.tree.build import tree
from tlsdissect.views.tree.dump import dump, dumpable
from tlsdissect.views.tree.text import place, value_text

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection
    from tlsdissect.model.transcript import Packet
    from tlsdissect.views.tree.build import Tree
    from tlsdissect.views.tree.node import Node

_LOADER = PackageLoader("tlsdissect.views.tree", ".")


def _environment() -> Environment:
    made = Environment(loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters.update(printable=printable, place=place, value_text=value_text, dump=lambda _: ())
    return made


def style() -> str:
    """Return the style sheet of trees."""
    return _LOADER.get_source(Environment(autoescape=True), "page.css")[0]


class Page:
    """Formats trees as one page."""

    def __init__(self, *, message: str | None = None, dumped: bool = False) -> None:
        self._message = message
        self._dumped = dumped
        sheet = style()
        allowed = b64encode(sha256(sheet.encode()).digest()).decode()
        # The policy makes a browser run and load nothing, whatever text the captures contain.
        policy = f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
        self.head = (
            '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width">\n<title>TLS handshakes</title>\n'
            f"<style>{sheet}</style>\n<main>\n<h1>TLS handshakes</h1>\n"
        ).encode()

    def section(self, _: str) -> bytes:
        """Return nothing: each tree names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection's tree."""
        whole = tree(connection).only(self._message)
        packets = dumpable(connection) if self._dumped else {}
        return html(whole, packets).encode("utf-8", "backslashreplace") if whole.records else b""


def html(whole: Tree, packets: dict[int, Packet] | None = None) -> str:
    """Render a tree as a fragment of a page, with a hex dump if packets are given."""
    environment = _environment()
    if packets:
        environment.filters["dump"] = lambda node: _dumped(node, packets)
    return environment.get_template("page.html").render(tree=whole)


def card(whole: Tree) -> str:
    """Render a tree for a notebook, with its style."""
    return Markup("<style>{}</style>{}").format(Markup(style()), Markup(html(whole)))  # noqa: S704  # escaped by the template


def _dumped(node: Node, packets: dict[int, Packet]) -> list[str]:
    return list(dump(node.bytes, packets))
