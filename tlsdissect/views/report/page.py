"""The page of a report, built from one connection after the other.

Text from captures is escaped, and the page's policy would not run it anyway.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from posixpath import commonprefix
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from msgspec import Struct
from msgspec.json import encode

from tlsdissect.trust.inventory import CertificateInventory
from tlsdissect.trust.rules import RULES
from tlsdissect.views.certificates import SHOWN_FIRST, TITLES, table_row, verdicts
from tlsdissect.views.comparison.builder import ComparisonBuilder
from tlsdissect.views.comparison.formats import conclusions, filled_sections
from tlsdissect.views.durations import period
from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import printable, without_surrogates
from tlsdissect.views.report.delays import Delays
from tlsdissect.views.report.details import TOGETHER, Blocks, certificate_details, packed
from tlsdissect.views.report.failures import Failures, printable_group
from tlsdissect.views.report.figure_rows import FigureData
from tlsdissect.views.report.summary import Findings, Overview, foremost, verdict_sentences
from tlsdissect.views.summary import SummaryBuilder
from tlsdissect.views.table import COLUMNS
from tlsdissect.views.table import Column as TableColumn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.model.connection import Connection, Side
    from tlsdissect.trust.inventory import CertificateSummary
    from tlsdissect.trust.judge import Judge
    from tlsdissect.views.report.details import DetailMaker
    from tlsdissect.views.report.figures import Artist
    from tlsdissect.views.report.summary import Found

_WIDEST = 44
"""Maximum width of a column's text, in characters."""
_WIDEST_VERDICT = 72
"""The same of verdicts, whose reason comes last."""
_NARROW = 17
"""Width up to which a column is never cut, with its padding."""
_MOST = 0.9
"""Share of a column's rows for which its usual width suffices."""
_AROUND = 3
"""Padding of a column, in characters."""
_SCRIPTS = ("data.js", "grid.js", "ladder.js", "tree.js", "connection.js", "page.js")
"""In the order in which they are joined into one script."""
_LOADER = PackageLoader("tlsdissect.views.report", ".")
_PACKED = re.compile(r"[A-Za-z0-9+/=]*")
DETAILED = 20_000
"""Connections and certificates whose details are in the page; the rest have table rows only."""
MAX_LISTED = 100
"""Captures that are listed by name; the rest are counted."""
MAX_UNFOLDED = 6
"""Reasons of failures that are shown at first; the rest are folded."""
_SHOWN = ("source", "stream", "client", "server", "TLS", "suite", "RT", "ms", "outcome", "findings")
"""Columns of the terminal's table that the page shows first, side by side in a window of 1280 pixels.

The first of them is the same in all rows if there is one capture only.
"""
_BRIEF = ("client", "server")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)")
_NARROW_SCREEN = ("outcome", "source", "stream", "server", "TLS", "certificate", "until", "findings")
"""Columns that a phone shows at first, in this order, as many as fit."""
_FILTERS = {
    **dict.fromkeys(
        ("source", "client", "server", "TLS", "suite", "group", "ALPN", "resumed", "outcome", "JA4"), "one"
    ),
    **dict.fromkeys(("issuer", "key", "role"), "one"),
    **dict.fromkeys(("findings", "problems", "verdict"), "list"),
}
"""Columns whose values are filters on a click: a value each, or several with commas between them."""
_COLUMNS = sorted(COLUMNS, key=lambda column: _SHOWN.index(column.title) if column.title in _SHOWN else len(_SHOWN))


class Column(Struct, frozen=True):
    """A column of a table."""

    title: str
    right: bool
    width: int
    """In characters."""
    usual: int
    """The width that suffices for most rows."""
    whole: bool
    """Whether it is never cut."""
    shown: bool
    """Whether it is shown, and printed on paper, until the reader chooses columns."""
    narrow: int
    """Its place among those that a screen as narrow as a phone's shows; 0 if such a screen does not show it."""
    filters: str
    """Whether its cells are values to filter by: "no", "one" value, or a "list" of them."""


class Grid(Struct, frozen=True):
    """A table whose rows are drawn by the page's script."""

    name: str
    columns: list[Column]
    rows: int


def _widths(titles: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], first: Collection[str]) -> list[Column]:
    """Make columns from titles and whether each is right-aligned, as wide as the rows need.

    Columns in `first` are shown until others are chosen.
    """
    columns = []
    for at, (title, right) in enumerate(titles):
        lengths = sorted(len(row[at]) for row in rows) or [0]
        widest = _WIDEST_VERDICT if title == "verdict" else _WIDEST
        width, usual = (
            min(max(len(title) + 1, length), widest) + _AROUND
            for length in (lengths[-1], lengths[int(_MOST * (len(lengths) - 1))])
        )
        narrow = _NARROW_SCREEN.index(title) + 1 if title in _NARROW_SCREEN else 0
        filters = _FILTERS.get(title, "no")
        columns.append(Column(title, right, width, usual, width <= _NARROW, title in first, narrow, filters))
    return columns


def _without_folders(rows: Sequence[list[str]], at: int) -> None:
    """Remove folders from the names of captures: all, if the rest are distinct, else those that all have in common."""
    names = {row[at] for row in rows}
    last = {name: name.rpartition("/")[2] for name in names}
    if len(set(last.values())) < len(names):
        common = len(commonprefix([name.rpartition("/")[0].split("/") for name in names]))
        last = {name: "/".join(name.split("/")[common:]) for name in names}
    for row in rows:
        row[at] = last[row[at]]


def _head(*, settings: dict[str, Any], **values: Any) -> str:
    """Render the part of the page before its data; `values` are the variables of the template."""
    environment = Environment(
        loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"breakable": _breakable, "dated": _dated}
    style = _source("report.css")
    grids = {name: values[name].columns for name in ("connections", "certificates")}
    return environment.get_template("report.html").render(
        policy=_policy(style, _script()),
        style=Markup(style),  # noqa: S704  # the program's own
        settings=_harmless({**settings, "columns": grids}),
        **values,
    )


def _title(names: Sequence[str], captures: int) -> str:
    """Return what the page is about: the capture or folder that was named, and the number of captures if several."""
    if len(names) > 1:
        return counted(captures, "capture")
    name = names[0]
    if name and not name.strip("./"):
        name = Path(name).resolve().name or name  # a folder such as "." has a name only in its parent
    return printable(name) + (f" ({captures:,} captures)" if captures > 1 else "")


def _data(name: str, text: str) -> str:
    """Return packed data as a script element that is not executed."""
    if not _PACKED.fullmatch(text):
        raise ValueError(f"{name}: this is not base64")
    return f'<script type="text/plain" id="{escape(name)}">{text}</script>\n'


@cache
def _script() -> str:
    parts = "\n".join(_source(name) for name in _SCRIPTS)
    return f'"use strict";\n{{\n{parts}}}\n'


def _source(name: str) -> str:
    return _LOADER.get_source(Environment(autoescape=True), name)[0]


def _policy(style: str, script: str) -> str:
    """Return a policy that loads nothing and runs only this script, whatever text the captures contain.

    Content Security Policy Level 3. Trusted Types keep the script itself from turning text into markup. Figures contain
    images as data URLs.
    """
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _breakable(text: str) -> Markup:
    """Make a name printable, and allow a line break after each underscore and each folder of a path."""
    return Markup("").join([Markup("{}<wbr>").format(one) if one in "_/" else one for one in printable(text)])


def _dated(text: str) -> Markup:
    """Keep each date of a sentence on one line: browsers break it after its hyphens."""
    parts = _DATE.split(text)
    return Markup("").join(
        [Markup('<span class="date">{}</span>').format(one) if at % 2 else one for at, one in enumerate(parts)]
    )


def _harmless(value: object) -> Markup:
    """Return JSON that cannot end a script element."""
    return Markup(encode(value).decode().replace("<", "\\u003c"))  # noqa: S704  # contains no markup


def _text(column: TableColumn, connection: Connection) -> str:
    """Return the text of a cell: the short form of addresses, whose long forms are in the details."""
    texts = [text for text in column.texts(connection) if text] or [""]
    return texts[-1] if column.title in _BRIEF else texts[0]


def _artist() -> Artist:
    from tlsdissect.views.report.figures import Figures  # noqa: PLC0415  # another process may draw them

    return Figures()


class Report:
    """Collects connections and writes the page. Memory is bounded, except for the content of the page itself."""

    def __init__(
        self,
        captures: Sequence[str],
        judge: Judge,
        evidence: Evidence,
        detailed: int = DETAILED,
        artist: Artist | None = None,
        blocks: DetailMaker | None = None,
    ) -> None:
        """`judge` and `evidence` belong to the reading that yields the connections.

        `artist` draws the figures, and `blocks` makes the details; without them, that is done here.
        """
        self._captures = captures
        self._judge = judge
        self._detailed = detailed
        self._waiting: list[Connection] = []
        self._rows: list[list[str]] = []
        self._blocks = blocks or Blocks()
        self._artist = artist or _artist()
        self._overview, self._comparison, self._figures = Overview(), ComparisonBuilder(), FigureData()
        self._findings, self._failures, self._summarized = Findings(), Failures(), SummaryBuilder()
        self._delays = Delays()
        self._shown: dict[str, tuple[int, int]] = {}
        """The number of each certificate, by first appearance, and the number of its first connection."""
        self._inventory = CertificateInventory(judge, evidence)
        self.found: list[Found] = []
        """The findings, after the page was written."""

    def add(self, connection: Connection) -> None:
        """Add a connection; one without a transcript gets no ladder and no tree."""
        # One step after the other is done for many connections: changing between them takes as long as they do.
        self._waiting.append(connection)
        if len(self._waiting) == TOGETHER:
            self._collect()

    def _collect(self) -> None:
        """Collect what the page says about the connections that wait."""
        many, self._waiting = self._waiting, []
        collectors = (
            self._overview, self._comparison, self._figures, self._findings, self._failures, self._summarized,
            self._inventory, self._delays,
        )  # fmt: skip
        for add in [one.add for one in collectors]:
            for connection in many:
                add(connection)
        before = len(self._rows)
        self._rows += [[printable(_text(column, one)) for column in _COLUMNS] for one in many]
        shown = [self._certificates(one, number) for number, one in enumerate(many, before)]
        self._blocks.add(list(zip(many, shown, strict=True))[: max(self._detailed - before, 0)])

    def written(self) -> float:
        """Return the fraction of the page that is written: nearly all of the time is spent on its figures."""
        return self._artist.written()

    def pieces(self, notes: Sequence[str] = ()) -> Iterator[bytes]:
        """Yield the page in pieces; `notes` are added to its summary."""
        for piece in self._texts(notes):
            yield without_surrogates(piece).encode()

    def _texts(self, notes: Sequence[str]) -> Iterator[str]:
        self._collect()
        self._artist.begin(self._figures.rows)
        # Before anything waits for the figures, which other processes may draw.
        blocks, values = self._blocks.finish()
        _without_folders(self._rows, [column.title for column in _COLUMNS].index("source"))
        summaries = list(self._inventory)
        shown = [table_row(one) for one in summaries[: self._detailed]]
        yield self._summary(notes, summaries, shown)
        # The tables can be used while the details, which are most of the page, are still read by the browser.
        yield _data("connections-rows", packed(self._rows))
        yield _data("certificates-rows", packed(shown))
        yield f"<script>{_script()}</script>\n"
        for number, block in enumerate(values):
            yield _data(f"values-{number}", block)
        for number, block in enumerate(blocks):
            yield _data(f"connections-details-{number}", block)
        for at in range(0, len(shown), TOGETHER):
            those = summaries[at : min(at + TOGETHER, len(shown))]
            entries = [certificate_details(one, self._shown[one.sha256][1]) for one in those]
            yield _data(f"certificates-details-{at // TOGETHER}", packed({"entries": entries}))

    def _summary(self, notes: Sequence[str], summaries: list[CertificateSummary], shown: list[list[str]]) -> str:
        """Return the part of the page that needs no script."""
        (whole,) = self._comparison.groups()
        self.found = found = self._findings.by_rule(summaries)
        first = foremost(found)
        captures = self._overview.captures
        titles = [(column.title, column.right) for column in _COLUMNS]
        names, seen = self._captures, self._summarized.summary(len(self._rows), Counter(), ())
        judged = any(any(verdicts(one)) for one in summaries)
        paper = [title for title in SHOWN_FIRST if judged or title != "verdict"]
        return _head(
            title=_title(names, seen.captures),
            period=period(seen.start, seen.end),
            tiles=self._failures.tiles(seen) if self._rows else [],
            failures=self._failures.by_reason(seen),
            eap_refused=[printable_group(one) for one in seen.eap_refused],
            delay=self._delays.result(),
            unfolded=MAX_UNFOLDED,
            unseen=sum(seen.outcomes.get(one, 0) for one in ("incomplete", "one_sided")),
            captures=[(printable(name), many) for name, many in list(captures.items())[:MAX_LISTED]],
            more_captures=max(len(captures) - MAX_LISTED, 0),
            summary=[*self._overview.sentences(whole), *map(printable, notes), *self._left_out(len(summaries))],
            foremost=first,
            more_findings=len(found) - len(first),
            grave=[one for one in found if one.rule.severity in ("high", "medium")],
            slight=[one for one in found if one.rule.severity in ("low", "info")],
            verdicts=list(verdict_sentences(found, self._judge)) if self._rows else [],
            versions=[side.version for side in whole.sides],
            compared=list(filled_sections(whole.sides)),
            conclusions=list(conclusions(whole.differences)) if whole.sides else [],
            figures=self._artist.finish(),
            connections=Grid("connections", _widths(titles, self._rows, _SHOWN[seen.captures < 2 :]), len(self._rows)),
            certificates=Grid("certificates", _widths(TITLES, shown, paper), len(shown)),
            judged=judged,
            settings={
                "together": TOGETHER,
                "topics": list(TOPICS.values()),
                "severities": {rule.code: rule.severity for rule in RULES},
            },
        )

    def _certificates(self, connection: Connection, number: int) -> list[int]:
        """Return the numbers of the certificates of a connection, which has this number itself."""
        numbers: dict[int, None] = {}
        sides: tuple[Side, Side] = ("server", "client")
        for side in sides:
            for one in connection.chain(side) or ():
                if one.sha256 in self._inventory:
                    self._shown.setdefault(one.sha256, (len(self._shown), number))
                if one.sha256 in self._shown:
                    numbers[self._shown[one.sha256][0]] = None
        return list(numbers)

    def _left_out(self, certificates_seen: int) -> Iterator[str]:
        if len(self._rows) > self._detailed:
            yield f"This page has ladders and trees for the first {counted(self._detailed, 'connection')} only."
        if certificates_seen > self._detailed:
            yield f"This page has the first {counted(self._detailed, 'certificate')} of {certificates_seen:,} only."
        if self._inventory.left_out:
            yield f"{self._inventory.left_out:,} occurrences of certificates were not kept: memory limit reached."
