"""A table of connections, one per line.

The columns depend on the width alone and never on the connections, so that rows are printed as they come.
"""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.model.transcript import final_alert
from tlsdissect.views.printable import columns, encoded, printable, shortened, styled

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection

    Texts = tuple[str | None, ...]

# Parameters of "select graphic rendition" (ECMA-48 section 8.3.117): the sixteen colours follow the terminal's theme.
HEADING, SECTION, FAINT = "1;4", "1", "2"
_RED, _GREEN, _YELLOW = "31", "32", "33"

_GRAVE = ("high", "medium", "low", "info")
_HTTPS = 443
_NAMED = 18
"""Columns in which the name of an alert can be recognised."""
_ABSENT = "-"
KEYED = "*"
"""Behind a fact that only keys show."""
_ROOMY = 100
"""Width from which on cells are separated by two spaces instead of one."""
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


def stream(c: Connection) -> Texts:
    """Its number."""
    return (c.stream_name,)


def start(c: Connection) -> Texts:
    """The time of day; the date where there is room."""
    if c.start is None:
        return ()
    day, _, time = c.start.rstrip("Z").partition("T")
    return f"{day} {time}", time, time[:15]


def client(c: Connection) -> Texts:
    """Its address, with the port where there is room."""
    return str(c.client), c.client.ip


def server(c: Connection) -> Texts:
    """The name that was asked for, or the address; the port unless it is the one of HTTPS."""
    if c.sni is None:
        return (str(c.server),)
    name = c.sni if c.server.port == _HTTPS else f"{c.sni}:{c.server.port}"
    return f"{name} ({c.server.ip})", name


def version(c: Connection) -> Texts:
    """The number of a TLS version; what else there is by its name."""
    return (None if c.version is None else _version(c.version),)


def suite(c: Connection) -> Texts:
    """The cipher, after the key exchange where there is room."""
    return () if c.cipher_suite is None else _suite(c.cipher_suite)


def group(c: Connection) -> Texts:
    """The group of the key exchange, or the size of a finite field's prime."""
    if c.dh_bits is not None:
        return (f"DH {c.dh_bits}",)
    return (c.group,)


def alpn(c: Connection) -> Texts:
    """The protocol that the server picked."""
    return (_marked(c, "alpn", c.known("alpn")),)


def resumed(c: Connection) -> Texts:
    """By what the session was resumed, and whether data came early."""
    how = None if c.resumption in (None, "none") else c.resumption
    told = None if c.hidden is None else c.hidden.early_data
    early = "0-RTT" if c.early_data == "accepted" else None
    if told is not None:
        early = f"0-RTT{KEYED}" if told == "accepted" else None
    return (" ".join(part for part in (how, early) if part) or None,)


def round_trips(c: Connection) -> Texts:
    """How often the client had to wait."""
    return (None if c.round_trips is None else str(c.round_trips),)


def milliseconds(c: Connection) -> Texts:
    """The time of the handshake."""
    took = c.timing.handshake_ms
    return () if took is None else (f"{took:.2f}", f"{took:.0f}")


def outcome(c: Connection) -> Texts:
    """How the handshake went; an alert by its name, and by whom."""
    if c.failed_by is None:
        return (c.outcome,)
    alert = final_alert(c)
    what = f"{c.outcome}: {alert.description}" if alert and alert.description else c.outcome
    if what == "alert" and (said := _opened_alert(c)) is not None:
        what = f"{what}: {said}{KEYED}"
    return f"{what} by {c.failed_by}", what, shortened(what, _NAMED), c.outcome


def problems(c: Connection) -> Texts:
    """Why something could not be read or reported."""
    kinds = dict.fromkeys(problem.code for problem in c.problems)
    return (", ".join(kinds), str(len(c.problems))) if kinds else ()


def findings(c: Connection) -> Texts:
    """What was found, the gravest first; as many as fit, and how many more."""
    codes = [one.code for grave in _GRAVE for one in c.findings or () if one.severity == grave]
    codes = list(dict.fromkeys(codes))
    some = [f"{', '.join(codes[:n])} +{len(codes) - n}" for n in range(len(codes) - 1, 0, -1)]
    return (", ".join(codes), *some) if codes else ()


def ja4(c: Connection) -> Texts:
    """The client's fingerprint."""
    return (c.ja4,)


def certificate(c: Connection) -> Texts:
    """Whom the server's certificate is for."""
    leaf = c.leaf("server")
    return () if leaf is None else (_marked(c, "certificates", common_name(leaf.subject, leaf.dns_names)),)


def _marked(c: Connection, name: str, text: str | None) -> str | None:
    """Mark the text of a fact that only keys show."""
    return f"{text}{KEYED}" if text is not None and c.needs_keys(name) else text


def _opened_alert(c: Connection) -> str | None:
    """The alert by which a handshake failed, as keys show it."""
    alerts = () if c.hidden is None else c.hidden.alerts or ()
    return next((one.description for one in alerts if one.sender == c.failed_by), None)


def source(c: Connection) -> Texts:
    """The capture."""
    return (c.source,)


def plain(_: Connection) -> str:
    """The terminal's own colour."""
    return ""


def faint(_: Connection) -> str:
    """Less than plain."""
    return FAINT


def by_problems(c: Connection) -> str:
    """Yellow where something is missing; what was told by shape is not."""
    return _YELLOW if any(problem.code != "inferred" for problem in c.problems) else ""


def by_findings(c: Connection) -> str:
    """Red where something is grave, yellow where it is of some weight."""
    severities = {one.severity for one in c.findings or ()}
    return _RED if "high" in severities else _YELLOW if "medium" in severities else ""


def by_version(c: Connection) -> str:
    """Green for 1.3, plain for 1.2, red for what RFC 8996 and its elders forbid."""
    if c.version is None or c.version.endswith("1.2"):
        return ""
    return _GREEN if c.is_tls13 else _RED


def by_outcome(c: Connection) -> str:
    """Green where it worked, red where somebody ended it, yellow where the capture does not tell."""
    if c.outcome == "established":
        return _GREEN
    return _RED if c.failed_by else _YELLOW


@lru_cache(maxsize=256)
def _version(name: str) -> str:
    draft = re.search(r"\(draft (\d+)\)", name)
    if draft:
        return f"1.3d{draft[1]}"
    kind, _, number = name.partition(" ")
    return number if kind == "TLS" else f"{kind[0]}{number}" if kind == "DTLS" else f"{kind}{number[:1]}"


@lru_cache(maxsize=512)
def _suite(name: str) -> Texts:
    """Shorten the registry's name: the prefix says nothing, hashes of AEAD suites and of HMAC are left out."""
    bare = name.removeprefix("TLS_")
    exchange, _, cipher = bare.rpartition("WITH_")
    short = re.sub(r"_(SHA\d*|MD5)$", "", cipher)
    short = re.sub(r"(AES|CAMELLIA|ARIA)_(\d+)", r"\1\2", short).replace("_POLY1305", "").replace("_EDE", "")
    short = short.replace("_", "-")
    full = f"{exchange.rstrip('_').replace('_', '-')} {short}".strip()
    return full, short


def common_name(name: str | None, others: tuple[str, ...] | None = None) -> str | None:
    """Take the common name out of a subject (RFC 4514); without one, return the first of `others`, or the subject."""
    found = re.search(r"(?:^|,)CN=((?:\\.|[^,+\\])+)", name or "")
    return found[1] if found else others[0] if others else name


class Column(Struct, frozen=True):
    """One column of the table."""

    title: str
    texts: Callable[[Connection], tuple[str | None, ...]]
    """The possible texts, best first: the first that fits is used, otherwise the last one, shortened."""
    style: Callable[[Connection], str] = plain
    right: bool = False
    tail: int = 0
    """How much of the end of a shortened text is kept, in percent of the width."""


COLUMNS = (
    Column("stream", stream, faint, right=True),
    Column("start", start, faint),
    Column("client", client, tail=60),
    Column("server", server, tail=60),
    Column("TLS", version, by_version),
    Column("suite", suite),
    Column("group", group, tail=90),
    Column("ALPN", alpn),
    Column("resumed", resumed),
    Column("RT", round_trips, right=True),
    Column("ms", milliseconds, right=True),
    Column("outcome", outcome, by_outcome),
    Column("findings", findings, by_findings),
    Column("problems", problems, by_problems),
    Column("JA4", ja4, faint),
    Column("certificate", certificate),
    Column("source", source, faint, tail=70),
)
"""All columns, from left to right."""


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
        heading = self._line([(title, HEADING) for title in titles], between=HEADING)
        self.head, self._waiting = (b"", heading) if waits else (heading, b"")

    def section(self, source: str) -> bytes:
        """Return the capture's name if it differs from the previous row's, after a heading that is still due."""
        heading, self._waiting = self._waiting, b""
        if not self._sections or source == self._source:
            return heading
        self._source = source
        name = printable(source)
        shown = shortened(name, self._width or columns(name), tail=columns(name))
        return heading + self._line([(shown, SECTION)])

    def row(self, connection: Connection) -> bytes:
        """Format a connection as one line."""
        cells = []
        for column, width in self._columns:
            text = _text(connection, column, width)
            style = FAINT if text == _ABSENT else column.style(connection)
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
