"""A table of connections, one per line.

Each row is first made as the texts that its cells may have. The first rows decide which columns there are and how wide
they are; columns without content are left out. A table that is printed as its rows come has fixed columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct, json, msgpack

from tlsdissect.model.connection import OLD_VERSIONS
from tlsdissect.model.dates import FIRST_DATE
from tlsdissect.model.transcript import final_alert, has_failed, keyed_end
from tlsdissect.views.printable import columns, encoded, printable, shortened, styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.model.transcript import KeyedEnd

    Texts = tuple[str | None, ...]

# Parameters of "select graphic rendition" (ECMA-48 section 8.3.117): the sixteen colours follow the terminal's theme.
HEADING, SECTION, FAINT = "1;4", "1", "2"
_RED, _YELLOW = "31", "33"
_WEAK = re.compile(r"_(NULL|anon|EXPORT|RC4|RC2|DES|DES40|3DES)(_|$)|^TLS_NULL_").search

_EXTENSION = re.compile(r"\.(pcap|pcapng|cap)(\.\w+)?$")
_GRAVE = ("high", "medium", "low", "info")
_HTTPS = 443
_ABSENT = "-"
KEYED = "*"
"""Behind a fact that only keys show."""
NO_VERSION = "of no visible version"
"""What sentences say of connections whose version was not negotiated, or not captured."""
_ROOMY = 100
"""Width from which on cells are separated by two spaces instead of one."""
_USUAL = {"outcome": 33}
"""Columns for cells of which no row is known yet: the longest reason of a failure should fit."""
GROWTH = (
    ("outcome", 60),
    ("server", 18),
    ("stream", 6),
    ("TLS", 4),
    ("findings", 10),
    ("findings", 15),
    ("findings", 22),
    ("source", 12),
    ("source", 18),
    ("client", 15),
    ("ms", 7),
    ("source", 24),
    ("source", 30),
    ("start", 16),
    ("suite", 10),
    ("ms", 7),
    ("RT", 2),
    ("group", 9),
    ("server", 22),
    ("client", 21),
    ("resumed", 10),
    ("problems", 8),
    ("group", 14),
    ("start", 19),
    ("suite", 20),
    ("certificate", 12),
    ("server", 30),
    ("ALPN", 8),
    ("findings", 40),
    ("JA4", 36),
    ("certificate", 24),
    ("start", 26),
    ("problems", 20),
    ("findings", 60),
    ("server", 46),
    ("client", 47),
    ("group", 18),
    ("source", 60),
    ("stream", 9),
)
"""Steps by which columns are added and widened until the width is used up.

None becomes wider than its longest cells, and by its first step not wider than the shortest texts of its cells.
"""
_CUT_CODES = (22, 18, 15, 12, 9, 6)
"""Columns to which a finding's code is cut where the number of further ones would be cut otherwise."""
_KEPT = frozenset({"outcome", "server", "stream", "TLS"})
"""Columns that are there even if they are empty."""


def stream(c: Connection) -> Texts:
    """Its number."""
    return (c.stream_name,)


def start(c: Connection) -> Texts:
    """When it began: date and time, as precise as there is room for; the third text is for rows of several days.

    A clock that was never set has no date, so none is shown.
    """
    if c.start is None:
        return ()
    day, _, time = c.start.rstrip("Z").partition("T")
    if day < FIRST_DATE:
        return time[:15], time[:8], time[:8]
    return f"{day} {time[:15]}", f"{day} {time[:8]}", f"{day} {time[:5]}", time[:8]


def client(c: Connection) -> Texts:
    """Its address, with the port where there is room."""
    return str(c.client), c.client.host


def server(c: Connection) -> Texts:
    """The name that was asked for, or the address; the port unless it is the one of HTTPS."""
    if c.sni is None:
        return (str(c.server),)
    name = c.sni if c.server.port in (_HTTPS, None) else f"{c.sni}:{c.server.port}"
    return f"{name} ({c.server.host})", name


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
    opened = None if c.hidden is None else c.hidden.early_data
    early = "0-RTT" if c.early_data == "accepted" else None
    if opened is not None:
        early = f"0-RTT{KEYED}" if opened == "accepted" else None
    return (" ".join(part for part in (how, early) if part) or None,)


def round_trips(c: Connection) -> Texts:
    """How often the client had to wait."""
    trips = c.known("round_trips")
    return (None if trips is None else _marked(c, "round_trips", str(trips)),)


def milliseconds(c: Connection) -> Texts:
    """The time of the handshake."""
    took = c.timing.handshake_ms
    return () if took is None else (f"{took:.2f}", f"{took:.0f}")


def outcome(c: Connection) -> Texts:
    """How the handshake went; an alert with its name, a failure with who caused it."""
    keyed = keyed_end(c)
    if keyed is not None:
        return (keyed_reason(keyed),)
    if c.failed_by is None:
        refused = c.outcome == "established" and c.eap is not None and c.eap.result == "failure"
        return (f"{c.outcome}, EAP-Failure" if refused else c.outcome,)
    alert = final_alert(c)
    return (reason(c.outcome, c.failed_by, None if alert is None else alert.description),)


def reason(outcome: str, by: str | None, alert: str | None) -> str:
    """Why a handshake failed: how it ended, with the alert, and who ended it."""
    if outcome == "no_answer":
        # The client gave up, but it is the server that did not answer.
        return outcome
    # The description of an alert is missing only if it is encrypted.
    unnamed = f"encrypted {outcome}" if outcome == "alert" else outcome
    what = unnamed if alert is None else f"{outcome} {alert}"
    return what if by is None else f"{what} by {by}"


def failure_reasons(connections: Iterable[Connection]) -> list[str]:
    """Return the reason for each failed connection, as the outcome column has it."""
    return [outcome(c)[0] or c.outcome for c in connections if has_failed(c)]


def keyed_reason(keyed: KeyedEnd) -> str:
    """Why a handshake failed, marked, if only keys show it; of QUIC's closes, the code is not named."""
    if keyed.outcome == "closed":
        return reason(f"{keyed.outcome}{KEYED}", keyed.sender, None)
    return reason(keyed.outcome, keyed.sender, f"{keyed.description}{KEYED}")


def problems(c: Connection) -> Texts:
    """Why something could not be read or reported."""
    kinds = dict.fromkeys(problem.code for problem in c.problems)
    return (", ".join(kinds), str(len(c.problems))) if kinds else ()


def findings(c: Connection) -> Texts:
    """What was found, the gravest first; as many as fit, and how many more."""
    found = sorted(c.findings or (), key=lambda one: _GRAVE.index(one.severity))
    seen = {one.code for one in found if not one.with_keys}
    codes = [code if code in seen else f"{code}{KEYED}" for code in dict.fromkeys(one.code for one in found)]
    some = [f"{', '.join(codes[:n])} +{len(codes) - n}" for n in range(len(codes) - 1, 0, -1)]
    if not some:
        return (", ".join(codes),) if codes else ()
    more = f"+{len(codes) - 1}"
    cut = [f"{shortened(codes[0], width)}{more}" for width in _CUT_CODES]
    return (", ".join(codes), *some, f"{codes[0]}{more}", *cut, f"{codes[0]}{more}")


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


def source(c: Connection) -> Texts:
    """The capture: its path, or where there is no room its file name, with or without its extension."""
    name = c.source.rpartition("/")[2] or c.source
    return c.source, name, _EXTENSION.sub("", name) or name


def plain(_: Connection) -> str:
    """The terminal's own colour."""
    return ""


def faint(_: Connection) -> str:
    """Less than plain."""
    return FAINT


def by_findings(c: Connection) -> str:
    """Red where something is grave, yellow where it is of some weight."""
    severities = {one.severity for one in c.findings or ()}
    return _RED if "high" in severities else _YELLOW if "medium" in severities else ""


def by_version(c: Connection) -> str:
    """Red for what RFC 8996 and its predecessors forbid."""
    return _RED if c.version in OLD_VERSIONS else ""


def by_suite(c: Connection) -> str:
    """Red for a suite without encryption or authentication, or with a broken cipher."""
    return _RED if _WEAK(c.cipher_suite or "") else ""


def by_outcome(c: Connection) -> str:
    """Red where the handshake failed."""
    return _RED if has_failed(c) else ""


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


def of_key(key: str, value: Callable[[Connection], object]) -> Column:
    """Make the column of a key of the JSON output."""

    def texts(c: Connection) -> Texts:
        found = value(c)
        return () if found is None else (written(found),)

    return Column(key, texts, _STYLES.get(key, plain))


def written(value: object) -> str:
    """Write a value as one text: a list with commas, anything deeper as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, [_ABSENT if one is None else written(one) for one in value]))
    return str(value) if isinstance(value, int | float) else json.encode(value).decode()


_STYLES = {"version": by_version, "cipher_suite": by_suite, "outcome": by_outcome}
COLUMNS = (
    Column("stream", stream, faint, right=True),
    Column("start", start, faint),
    Column("client", client, tail=60),
    Column("server", server, tail=60),
    Column("TLS", version, by_version),
    Column("suite", suite, by_suite),
    Column("group", group, tail=90),
    Column("ALPN", alpn),
    Column("resumed", resumed),
    Column("RT", round_trips, right=True),
    Column("ms", milliseconds, right=True),
    Column("outcome", outcome, by_outcome),
    Column("findings", findings, by_findings),
    Column("problems", problems),
    Column("JA4", ja4, faint),
    Column("certificate", certificate),
    Column("source", source, faint, tail=100),
)
"""All columns, from left to right."""


class Table:
    """The table of a run: `row` makes the cells of a connection, `lay_out` chooses the columns, `line` prints a row."""

    head = b""

    def __init__(
        self,
        width: int,
        *,
        coloured: bool = False,
        encoding: str = "utf-8",
        judged: bool = False,
        sections: bool = False,
        asked: tuple[Column, ...] = (),
    ) -> None:
        """`judged` adds the column of findings. `asked` are the columns to show instead of those that fit.

        With `sections`, the name of a capture stands before its rows rather than in a column.
        """
        self._width = width
        self._gap = "  " if width >= _ROOMY else " "
        self._coloured = coloured
        self._encoding = encoding
        self._asked = asked
        self._columns = asked or tuple(column for column in COLUMNS if judged or column.title != "findings")
        self._shown: list[tuple[int, int]] = []
        """Indexes of the columns that are shown, each with its width."""
        self._start = next((at for at, one in enumerate(self._columns) if one.texts is start), None)
        self._paths = next((at for at, one in enumerate(self._columns) if one.texts is source), None)
        self._named: int | None = None
        """Which of its texts names each capture; None if that is not decided yet."""
        self._dated = False
        """Whether the first rows are of several days, so that times need a date."""
        self._sections = sections
        self._source: str | None = None

    def section(self, _: str) -> bytes:
        """Return nothing: `line` prints the names of captures."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Make the cells of a connection: the style of each, and the texts that it may have."""
        return msgpack.encode([_cell(connection, column) for column in self._columns])

    def lay_out(self, rows: Sequence[tuple[str, bytes]] = (), *, several: bool = False) -> bytes:
        """Choose the columns by the first rows, each given with its capture; return the heading.

        `several`: there may be more than one capture. If each has one row only, a column has its name.
        """
        single = len(rows) > 1 and len({source for source, _ in rows}) == len(rows)
        self._sections = self._sections and several and not single
        cells = [_DECODER.decode(texts) for _, texts in rows]
        if self._start is not None:
            first = [texts[0].partition(" ") for _, texts in (row[self._start] for row in cells) if texts]
            days = {day for day, blank, _ in first if blank}
            self._dated = len(days) > 1
        needs = self._widths(cells, 0)
        if not self._asked and (self._sections or not several):
            needs.pop("source", None)
        room = self._width + len(self._gap)
        if self._asked:
            chosen = _cut(needs, room - len(self._gap) * len(needs))
        else:
            chosen = layout(needs, self._widths(cells, -1), room, len(self._gap))
        self._shown = [(at, chosen[one.title]) for at, one in enumerate(self._columns) if one.title in chosen]
        if self._paths is not None and "source" in chosen:
            self._named = _naming([row[self._paths][1] for row in cells], chosen["source"])
        titles = [(self._columns[at], width) for at, width in self._shown]
        return self._line(
            [(_padded(shortened(one.title, width), one, width), HEADING) for one, width in titles], between=HEADING
        )

    def line(self, source: str, texts: bytes) -> bytes:
        """Print a row, after the name of its capture if that is another one than that of the row before."""
        heading = b""
        if self._sections and source != self._source:
            name = printable(source)
            heading = self._line([(shortened(name, self._width, tail=columns(name)), SECTION)])
        self._source = source
        row = _DECODER.decode(texts)
        return heading + self._line([self._fitted(row[at], at, width) for at, width in self._shown])

    def _texts(self, at: int, texts: list[str]) -> list[str]:
        """Return the texts of a cell that may be used."""
        if at == self._paths and self._named is not None:
            return texts[self._named : self._named + 1]
        if at != self._start or not texts:
            return texts
        return texts[:-1] if self._dated else [*texts[:-2], texts[-1]]

    def _widths(self, rows: list[list[tuple[str, list[str]]]], which: int) -> dict[str, int]:
        """Return how wide each column has to be for the best or the last text of its cells; empty ones are left out."""
        if not rows:
            return {column.title: _USUAL.get(column.title, self._width) for column in self._columns}
        widest = [0] * len(self._columns)
        for row in rows:
            for at, (_, texts) in enumerate(row):
                if texts:
                    widest[at] = max(widest[at], columns(self._texts(at, texts)[which]))
        return {
            one.title: max(wide, len(one.title))
            for one, wide in zip(self._columns, widest, strict=True)
            if wide or self._asked or one.title in _KEPT
        }

    def _fitted(self, cell: tuple[str, list[str]], at: int, width: int) -> tuple[str, str]:
        """Return the first text of a cell that fits, or the last one, shortened; padded, and its style."""
        column, style, texts = self._columns[at], cell[0], self._texts(at, cell[1])
        text = next((one for one in texts if columns(one) <= width), texts[-1] if texts else _ABSENT)
        shown = shortened(text, width, tail=width * column.tail // 100)
        return _padded(shown, column, width), style if texts else FAINT

    def _line(self, cells: list[tuple[str, str]], between: str = "") -> bytes:
        if self._coloured:
            text = styled(self._gap, between).join([styled(cell, style) for cell, style in cells])
        else:
            text = self._gap.join([cell for cell, _ in cells]).rstrip()
        # A terminal without the ellipsis gets a question mark, which has the same width.
        return encoded(f"{text}\n", self._encoding)


_DECODER: msgpack.Decoder[list[tuple[str, list[str]]]] = msgpack.Decoder(list[tuple[str, list[str]]])


def layout(needs: dict[str, int], least: dict[str, int], room: int, gap: int) -> dict[str, int]:
    """Choose columns for a width: by GROWTH, then what is left for those that are cut, the first ones first.

    A column that has no room for its shortest texts comes before those that could have longer ones.
    """
    widths: dict[str, int] = {}
    most = room - gap
    for title, step in GROWTH:
        if title not in needs:
            continue
        wanted = min(step, needs[title] if title in widths else least[title], most)
        more = wanted - widths[title] if title in widths else wanted + gap
        if more > room:
            break
        widths[title] = wanted
        room -= more
    for enough in (least, needs):
        for title, width in widths.items():
            more = max(min(room, enough[title] - width), 0)
            widths[title] = width + more
            room -= more
    return widths


def _naming(names: Sequence[list[str]], width: int) -> int:
    """Return which of their texts names captures: the longest that fits all of them and does not confuse two.

    So all rows have paths, or none has. If nothing fits, it is the shortest that confuses no two, to be cut.
    """
    clear = 0
    for which, texts in enumerate(zip(*names, strict=True)):
        if len(set(texts)) == len({one[0] for one in names}):
            clear = which
            if max(map(columns, texts)) <= width:
                break
    return clear


def _cut(needs: dict[str, int], room: int) -> dict[str, int]:
    """Shorten the widest columns until all fit, but none to less than its title."""
    widths = dict(needs)
    while sum(widths.values()) > room:
        title = max(widths, key=lambda one: widths[one] - len(one))
        if widths[title] <= len(title):
            break
        widths[title] -= 1
    return widths


def _cell(connection: Connection, column: Column) -> tuple[str, list[str]]:
    texts = [printable(one) for one in column.texts(connection) if one is not None]
    return column.style(connection), texts


def _padded(text: str, column: Column, width: int) -> str:
    blank = " " * (width - columns(text))
    return blank + text if column.right else text + blank
