"""The report's page: put together from what is read, one connection after the other."""

from __future__ import annotations

import re
import zlib
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct
from msgspec.json import encode

from tlsdissect.views.explain.text import evidence
from tlsdissect.views.explain.whole import explain
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.ladder.text import Text
from tlsdissect.views.printable import printable
from tlsdissect.views.report.packing import TOGETHER, Block
from tlsdissect.views.table import COLUMNS
from tlsdissect.views.tree.build import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Connection

DETAILED = 20_000
"""Connections whose details are in the page; of more, the table has the facts."""
_LAST = ("ALPN", "client", "start", "certificate", "JA4", "source")
"""Columns of the terminal's table that a page has behind the others, where one scrolls to."""
_COLUMNS = sorted(COLUMNS, key=lambda column: _LAST.index(column.title) if column.title in _LAST else -1)
_WIDEST = 48
"""Characters of the widest column."""
_LOADER = PackageLoader("tlsdissect.views.report", ".")


class Column(Struct, frozen=True):
    """A column of the page's table."""

    title: str
    right: bool
    width: int


class Part(Struct, frozen=True):
    """A section of the page before its connections."""

    name: str
    title: str
    html: Markup


class Report:
    """A page about connections, in bounded memory but for what is in the page."""

    def __init__(self, captures: tuple[str, ...], detailed: int = DETAILED) -> None:
        self._captures = captures
        self._detailed = detailed
        self._rows: list[list[str]] = []
        self._blocks: list[str] = []
        self._block = Block()
        self._ladder = Text()
        self._versions: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()

    def add(self, connection: Connection) -> None:
        """Add a connection that was read with its transcript."""
        row = [printable(next((text for text in column.texts(connection) if text), "")) for column in _COLUMNS]
        self._versions[row[_at("TLS")]] += 1
        self._outcomes[row[_at("outcome")]] += 1
        self._rows.append(row)
        if len(self._rows) > self._detailed:
            return
        said = [f"{printable(one.text)} {evidence(one)}".rstrip() for one in explain(connection).sentences]
        self._block.add(tree(connection), "\n".join(self._ladder.ladder(drawn(connection))), said)
        if len(self._block) == TOGETHER:
            self._finish_block()

    def pieces(self, parts: tuple[Part, ...] = ()) -> Iterator[bytes]:
        """The page, piece by piece."""
        for piece in self._texts(parts):
            yield piece.encode("utf-8", "backslashreplace")

    def _texts(self, parts: tuple[Part, ...]) -> Iterator[str]:
        self._finish_block()
        style, script = _source("report.css"), _source("report.js")
        environment = Environment(loader=_LOADER, autoescape=True, undefined=StrictUndefined)
        columns = self._columns()
        yield environment.get_template("report.html").render(
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704  # the program's own
            captures=self._title(),
            summary=self._summary(),
            parts=parts,
            versions=sorted(filter(None, self._versions)),
            outcomes=sorted(filter(None, self._outcomes)),
            columns=columns,
            columns_json=_harmless(columns),
            together=TOGETHER,
            table=_packed(self._rows),
        )
        for number, block in enumerate(self._blocks):
            yield f'\n<script type="text/plain" id="block-{number}">{block}</script>'
        yield f"\n<script>{script}</script>\n"

    def _finish_block(self) -> None:
        if len(self._block):
            self._blocks.append(self._block.packed())
            self._block = Block()

    def _columns(self) -> list[Column]:
        widths = [max([len(column.title), *(len(row[at]) for row in self._rows)]) for at, column in enumerate(_COLUMNS)]
        return [
            Column(column.title, column.right, min(width, _WIDEST) + 3)
            for column, width in zip(_COLUMNS, widths, strict=True)
        ]

    def _title(self) -> str:
        if len(self._captures) == 1:
            return printable(self._captures[0])
        return f"{len(self._captures)} captures"

    def _summary(self) -> list[str]:
        """What was read, in sentences."""
        told = [f"{len(self._rows):,} connections."]
        versions = ", ".join(f"{count:,} {_version(name)}" for name, count in self._versions.most_common())
        outcomes = ", ".join(f"{count:,} {name or 'unknown'}" for name, count in self._outcomes.most_common())
        told += [f"Versions: {versions}.", f"Outcomes: {outcomes}."] if self._rows else []
        if len(self._rows) > self._detailed:
            told.append(f"The details of the first {self._detailed:,} are in this page.")
        return told


def _at(title: str) -> int:
    return next(number for number, column in enumerate(_COLUMNS) if column.title == title)


def _version(name: str) -> str:
    return f"TLS {name}" if re.match(r"1\.", name) else name or "without a version"


def _source(name: str) -> str:
    return _LOADER.get_source(Environment(autoescape=True), name)[0]


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere, and only this script runs, whatever a capture might smuggle in."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _harmless(value: object) -> Markup:
    """JSON that ends no script element."""
    return Markup(encode(value).decode().replace("<", "\\u003c"))  # noqa: S704  # no markup is left in it


def _packed(value: object) -> str:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b64encode(squeezer.compress(encode(value)) + squeezer.flush()).decode()
