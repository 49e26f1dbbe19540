"""A comparison as text for a terminal, as JSON, and as CSV."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import to_builtins

from tlsdissect.views.comparison.client_times import LOCAL, NOT_SEEN
from tlsdissect.views.comparison.model import PAIRED, QUIC, UNKNOWN
from tlsdissect.views.comparison.pairs import LEAST
from tlsdissect.views.csv import cell, line
from tlsdissect.views.ndjson import json_line
from tlsdissect.views.printable import USUAL, columns, encoded, printable, shortened, styled, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlsdissect.views.comparison.model import Difference, Group, Side, Spread

    Cell = Callable[[Side], str | None]
    """Formats the cell of a version; None if it is empty."""

LISTED = 6
"""Values listed of each kind, most frequent first."""
_LAYERS = ("tcp", "tcp_to_tls", "tls", "tls_to_data", "data_to_first_byte")
_MEASURES = {
    "tcp": "TCP handshake", "server_hello": "ServerHello", "handshake": "handshake",
    "client_data": "client's application data", "first_byte": "server's first data",
    "first_record": "first server record after the handshake",
    "to_first_data": "first packet to first data", "tcp_to_tls": "TCP handshake to ClientHello",
    "tls": "TLS handshake", "tls_to_data": "handshake to client's data",
    "data_to_first_byte": "client's data to first byte",
}  # fmt: skip
WIDEST = 110
"""Maximum width in columns."""
_SHORTEST, _LABEL, _LONGEST = 12, 26, 48
"""Width of labels in columns: at least, where versions need the room, and at most."""
_BETWEEN = " / "
_NOTHING = "-"
_BOLD, _FAINT = "1", "2"
_UNITS = {"round_trips": "round trips", "milliseconds": "ms", "in_round_trips": "TCP round trips"}
_LESS = {"round_trips": "fewer"}
_STATISTIC = {"round_trips": "mean", "milliseconds": "median", "in_round_trips": "median"}
"""What is compared of each measure."""
_LEAST_WRITTEN = 0.01
"""The smallest number that is written."""
HEAD = ("key", "version", "measure", "value")


class FilledSection(NamedTuple):
    """Rows under a heading: each a label, and a cell for each version."""

    heading: str
    rows: list[tuple[str, list[str]]]


class Section(NamedTuple):
    """Rows under a heading: each a label, and the format of its cells."""

    heading: str
    rows: Sequence[tuple[str, Cell]]


def filled_sections(sides: Sequence[Side]) -> Iterator[FilledSection]:
    """Yield the sections in order, without rows whose cells are all empty."""
    yield from _filled(sections(sides), sides)


def _filled(wanted: Iterable[Section], sides: Sequence[Side]) -> Iterator[FilledSection]:
    for section in wanted:
        rows = [(label, [cell(side) for side in sides]) for label, cell in section.rows]
        filled = [(label, [cell or _NOTHING for cell in cells]) for label, cells in rows if any(cells)]
        if filled:
            yield FilledSection(section.heading, filled)


def sections(sides: Sequence[Side]) -> Iterator[Section]:
    """Yield the sections in order."""
    yield from _ends(sides)
    yield from _times(sides)
    yield from _choices(sides)
    if any(side.post_quantum.offered for side in sides):
        yield _POST_QUANTUM
    yield from _EXPOSURE
    yield from _sizes(sides)


def _ends(sides: Sequence[Side]) -> Iterator[Section]:
    yield Section("connections", [
        ("seen", lambda s: f"{s.connections:,}"),
        ("established", _share("established")),
        ("failed", _share("failed")),
        ("incomplete", _share("incomplete")),
        *_RETRIES,
    ])  # fmt: skip
    yield _listed("failed with alert", "alerts", sides)
    yield _listed("resumption", "resumption", sides)
    yield _listed("early data", "early_data", sides)
    captured = _listed("captured", "capture_points", sides)
    yield Section(captured.heading, [*captured.rows, ("TCP may end at a proxy", _share("split_paths"))])


def _times(sides: Sequence[Side]) -> Iterator[Section]:
    yield Section("round trips of TLS", [
        *((f"{n}", _count("round_trips", n)) for n in sorted(_keys("round_trips", sides))),
        ("mean", _number("mean_round_trips")),
        ("mean expected", _number("expected_round_trips")),
        ("mean including TCP's", _number("mean_with_tcp")),
    ])  # fmt: skip
    yield _listed("against what is expected", "against_expected", sides)
    yield _timed("ms of all connections: median / 90 % / 99 %", "milliseconds", sides)
    yield _timed("in TCP round trips", "in_round_trips", sides)
    yield Section("ms of each layer, median", [
        (_MEASURES[name], _spread("layers", name, "median")) for name in _LAYERS
    ])  # fmt: skip


def _choices(sides: Sequence[Side]) -> Iterator[Section]:
    yield _listed("cipher suite chosen", "cipher_suites", sides)
    yield Section("of these", [("AEAD", _share("aead")), ("forward secret", _share("forward_secret"))])
    yield _listed("cipher suite offered", "offered_suites", sides)
    yield _listed("key exchange", "groups", sides)
    yield _listed("signature", "signature_schemes", sides)


def _sizes(sides: Sequence[Side]) -> Iterator[Section]:
    yield Section("handshake bytes, median", [
        ("client", lambda s: _median(s.client_bytes)),
        ("server", lambda s: _median(s.server_bytes)),
    ])  # fmt: skip
    for side in ("client", "server"):
        name = f"{side}_message_bytes"
        yield Section(f"mean bytes of the {side}'s", [(kind, _mean(name, kind)) for kind in _keys(name, sides)])


def _asked_again(side: Side, *, retry: bool) -> str | None:
    """Format how often the server asked for another ClientHello; None if that has another name in this version."""
    return _part(side.hello_retries, side) if (side.version in WITH_RETRY) == retry else None


WITH_RETRY = frozenset(("TLS 1.3", QUIC))
"""Versions with a HelloRetryRequest; DTLS before 1.3 has a HelloVerifyRequest."""
_RETRIES: tuple[tuple[str, Cell], ...] = (
    # Of DTLS 1.0 and 1.2 (RFC 6347). A HelloRetryRequest negotiates the version, so that it is never of an unknown one.
    ("HelloVerifyRequest", lambda s: _asked_again(s, retry=False)),
    ("HelloRetryRequest", lambda s: _asked_again(s, retry=True)),
)


def _listed(heading: str, name: str, sides: Sequence[Side]) -> Section:
    return Section(heading, [(key, _count(name, key)) for key in _keys(name, sides)[:LISTED]])


def _timed(heading: str, name: str, sides: Sequence[Side]) -> Section:
    keys = [key for key in _MEASURES if key in _keys(name, sides) and (key != "to_first_data" or _has_quic(sides))]
    return Section(heading, [(_MEASURES[key], _spread(name, key, "median", "p90", "p99")) for key in keys])


def _has_quic(sides: Sequence[Side]) -> bool:
    """Whether times from the client's first packet matter: QUIC does without the round trip of TCP."""
    return any(side.version == QUIC for side in sides)


def _keys(name: str, sides: Sequence[Side]) -> list[str]:
    """Return the keys that any version has there, by number of connections, largest first."""
    total: dict[str, float] = {}
    for side in sides:
        for key, many in getattr(side, name).items():
            total[key] = total.get(key, 0) + (many if isinstance(many, int | float) else 0)
    return sorted(total, key=lambda key: -total[key])


def _share(name: str) -> Cell:
    return lambda side: _part(getattr(side, name), side)


def _count(name: str, key: str) -> Cell:
    return lambda side: _part(getattr(side, name).get(key, 0), side)


def _spread(name: str, key: str, *percentiles: str) -> Cell:
    def cell(side: Side) -> str | None:
        spread: Spread | None = getattr(side, name).get(key)
        return None if spread is None else _BETWEEN.join(_short(getattr(spread, one)) for one in percentiles)

    return cell


def _short(value: float) -> str:
    """Format a number with three significant digits."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _part(many: int, side: Side) -> str | None:
    return f"{many:,} ({100 * many / side.connections:.0f} %)" if many else None


def _each(counts: dict[str, int]) -> str | None:
    return ", ".join(f"{name}: {many:,}" for name, many in counts.items()) or None


def _number_of(many: int) -> str | None:
    return f"{many:,}" if many else None


def _median(spread: Spread | None) -> str | None:
    return None if spread is None else f"{spread.median:,.0f}"


def _mean(name: str, kind: str) -> Cell:
    return lambda side: f"{getattr(side, name)[kind]:,.0f}" if kind in getattr(side, name) else None


def _number(name: str) -> Cell:
    return lambda side: None if getattr(side, name) is None else f"{getattr(side, name):.2f}"


def _exposed(name: str) -> Cell:
    """Format a count of distinct values; "or more" if not all were counted."""
    return lambda s: f"{getattr(s.exposure, name):,}{' or more' if s.exposure.cut else ''}"


_POST_QUANTUM = Section("post-quantum key exchange", [
    ("offered", lambda s: _part(s.post_quantum.offered, s)),
    ("key share sent", lambda s: _part(s.post_quantum.shared, s)),
    ("negotiated", lambda s: _part(s.post_quantum.negotiated, s)),
    ("retries because of it", lambda s: _part(s.post_quantum.retries, s)),
    ("ClientHello bytes with", lambda s: _median(s.post_quantum.hello_bytes)),
    ("ClientHello bytes without", lambda s: _median(s.post_quantum.hello_bytes_without)),
    ("  of these, key shares", lambda s: _median(s.post_quantum.share_bytes)),
    ("  of these, key shares", lambda s: _median(s.post_quantum.share_bytes_without)),
    ("ClientHello segments with", lambda s: _median(s.post_quantum.hello_segments)),
    ("ClientHello segments without", lambda s: _median(s.post_quantum.hello_segments_without)),
    ("ServerHello bytes with", lambda s: _median(s.post_quantum.server_hello_bytes)),
    ("ServerHello bytes without", lambda s: _median(s.post_quantum.server_hello_bytes_without)),
])  # fmt: skip

_EXPOSURE = (
    Section("seen by anyone on the path", [
        ("server name", lambda s: _part(s.exposure.sni, s)),
        ("distinct names", _exposed("sni_names")),
        ("ALPN, offered", lambda s: _part(s.exposure.alpn_offered, s)),
        ("ALPN, agreed", lambda s: _part(s.exposure.alpn_agreed, s)),
        ("certificates", lambda s: _part(s.exposure.connections, s)),
        ("client certificates", lambda s: _part(s.exposure.client_certificates, s)),
        ("distinct certificates", _exposed("distinct")),
        ("names in them", _exposed("names")),
        ("e-mail addresses in them", _exposed("emails")),
        ("certificate bytes", lambda s: f"{s.exposure.bytes:,}"),
        ("handshake bytes, client", lambda s: _median(s.exposure.readable.get("client"))),
        ("handshake bytes, server", lambda s: _median(s.exposure.readable.get("server"))),
    ]),
    Section("encrypted", [
        ("certificates", lambda s: _part(s.exposure.hidden_certificates, s)),
        ("ALPN, agreed", lambda s: _part(s.exposure.hidden_alpn, s)),
        ("handshake bytes, client", lambda s: _median(s.exposure.encrypted.get("client"))),
        ("handshake bytes, server", lambda s: _median(s.exposure.encrypted.get("server"))),
    ]),
    Section("seen with keys besides", [
        ("in connections", lambda s: _part(s.keyed.connections, s)),
        ("failed", lambda s: _part(s.keyed.failed, s)),
        ("ALPN, agreed", lambda s: _part(s.keyed.alpn_agreed, s)),
        ("certificates", lambda s: _part(s.keyed.certificates, s)),
        ("client certificate asked for", lambda s: _part(s.keyed.requested, s)),
        ("client certificates", lambda s: _part(s.keyed.client_certificates, s)),
        ("distinct certificates", lambda s: _number_of(s.keyed.distinct)),
        ("names in them", lambda s: _number_of(s.keyed.names)),
        ("certificate bytes", lambda s: _number_of(s.keyed.bytes)),
        ("tickets", lambda s: _part(s.keyed.tickets, s)),
        ("early data", lambda s: _each(s.keyed.early_data)),
        ("round trips", lambda s: _each(s.keyed.round_trips)),
    ]),
)  # fmt: skip


class Text:
    """Formats comparisons as text, at least 60 columns wide: what matters, or with `whole` all of it."""

    def __init__(
        self, width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8", whole: bool = False
    ) -> None:
        self._width = max(min(width or USUAL, WIDEST), 60)
        self._whole = whole
        self._coloured = coloured
        self._encoding = encoding

    def written(self, groups: Sequence[Group]) -> Iterator[bytes]:
        """Format a table with a row for each group, then all connections; with `whole`, each group in full instead."""
        listed = groups if self._whole else groups[:1]
        if len(groups) > len(listed):
            yield encoded("".join(f"{line}\n" for line in [*self._by_group(groups[1:]), ""]), self._encoding)
        for number, group in enumerate(listed):
            gap = "\n" if number else ""
            yield encoded(gap + "".join(f"{line}\n" for line in self.lines(group)), self._encoding)

    def lines(self, group: Group) -> Iterator[str]:
        """Format a group, line by line."""
        if group.key is not None:
            yield self._styled(shortened(printable(group.key), self._width, tail=self._width // 2), _BOLD)
        if not group.sides:
            yield "nothing to compare"
            return
        for sentence in verdict(group):
            first, *more = wrap(sentence, self._width, subsequent_indent="  ")
            subject, colon, rest = first.partition(":")
            yield f"{self._styled(subject + colon, _BOLD)}{rest}"
            yield from more
        yield ""
        # Before the numbers of all connections: these are what the verdict quotes.
        if not self._whole and group.differences:
            heads, changes = ["", *PAIRED, "difference (95 %)"], _changes(group.differences)
            if _width(heads, changes) > self._width:
                heads, changes = ["", *PAIRED, "difference"], _changes(group.differences, narrow=True)
            yield from self._table(heads, [changes])
            yield ""
        sides = group.sides if self._whole else _known(group.sides)
        versions = [side.version for side in sides]
        yield from self._tables(versions, list(filled_sections(sides) if self._whole else _brief(sides)))
        notes = [*(conclusions(group.differences) if self._whole else ()), *caveats(group)]
        if notes:
            yield self._styled(
                "TLS 1.2 and TLS 1.3 between the same client and server" if self._whole else "notes", _FAINT
            )
        for sentence in notes:
            yield from wrap(sentence, self._width, initial_indent="  ", subsequent_indent="    ")

    def _by_group(self, groups: Sequence[Group]) -> Iterator[str]:
        """Format groups as a table with a row for each."""
        rows = [_row(group) for group in groups]
        widths = [max(len(row[at]) for row in (_HEADS, *rows)) for at in range(1, len(_HEADS))]
        room = self._width - sum(width + 2 for width in widths)
        first = max(8, min(room, max(columns(printable(group.key or "")) for group in groups)))
        for row in (_HEADS, *rows):
            name = shortened(printable(row[0]), first, tail=first // 2)
            cells = "".join(f"  {cell.rjust(width)}" for cell, width in zip(row[1:], widths, strict=True))
            line = f"{name}{' ' * (first - columns(name))}{cells}".rstrip()
            yield self._styled(line, _BOLD) if row is _HEADS else line

    def _tables(self, versions: Sequence[str], filled: Sequence[FilledSection]) -> Iterator[str]:
        """Format sections as a table; versions that do not fit beside TLS 1.2 and 1.3 get tables of their own below."""
        rows: list[tuple[str, Sequence[str]]] = [
            ("", versions),
            *((f"  {label}", cells) for _, several in filled for label, cells in several),
        ]
        labels = min(max(columns(label) for label, _ in rows) + 2, _LABEL)
        ranked = sorted(range(len(versions)), key=lambda at: versions[at] not in PAIRED)
        blocks = [[ranked[0]]]
        widths = [max(columns(cells[at]) for _, cells in rows) + 2 for at in range(len(versions))]
        room = self._width - labels - widths[ranked[0]]
        for at in ranked[1:]:
            if widths[at] > room:
                blocks.append([])
                room = self._width - labels
            blocks[-1].append(at)
            room -= widths[at]
        for number, block in enumerate(blocks):
            if number:
                yield ""
            chosen = sorted(block)
            part = [
                FilledSection(heading, [(label, [cells[at] for at in chosen]) for label, cells in several])
                for heading, several in filled
            ]
            if len(blocks) > 1:
                part = list(_with_values(part))
            yield from self._table(["", *(versions[at] for at in chosen)], part)

    def _table(self, heads: Sequence[str], filled: Sequence[FilledSection]) -> Iterator[str]:
        """Format sections as a table with one header; if it is too wide, labels are cut, but no numbers."""
        table = [heads, *([f"  {label}", *cells] for _, rows in filled for label, cells in rows)]
        labels, *widths = [max(map(columns, texts)) + 2 for texts in zip(*table, strict=True)]
        labels = min(labels, _LONGEST, max(self._width - sum(widths), _SHORTEST))
        yield self._styled(_line(heads, labels, widths), _BOLD)
        for heading, rows in filled:
            yield self._styled(heading, _FAINT)
            yield from (_line([f"  {label}", *cells], labels, widths) for label, cells in rows)

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style) if self._coloured else text


def _line(texts: Sequence[str], labels: int, widths: Sequence[int]) -> str:
    label, *cells = texts
    shown = shortened(printable(label), labels - 1, tail=labels * 2 // 5)
    padded = "".join(f"{' ' * (width - columns(cell))}{cell}" for cell, width in zip(cells, widths, strict=True))
    return f"{shown}{' ' * (labels - columns(shown))}{padded}".rstrip()


def _with_values(filled: Iterable[FilledSection]) -> Iterator[FilledSection]:
    """Leave out rows, and sections, in which no version has a value."""
    for heading, rows in filled:
        kept = [(label, cells) for label, cells in rows if set(cells) != {_NOTHING}]
        if kept:
            yield FilledSection(heading, kept)


_HEADS = ("", "1.2", "1.3", "failed", "RT 1.2", "RT 1.3", "ms 1.2", "ms 1.3", "full, ms (95 %)")
"""Columns of the table of groups: connections and mean round trips of each version, and median times."""
_OLD, _NEW = PAIRED


def _row(group: Group) -> tuple[str, ...]:
    sides = {side.version: side for side in group.sides}
    old, new = sides.get(_OLD), sides.get(_NEW)
    failed = sum(side.failed for side in group.sides)
    trips = [_number("mean_round_trips")(side) if side else None for side in (old, new)]
    times = [_spread("handshakes", "full", "median")(side) if side else None for side in (old, new)]
    counts = [f"{side.connections:,}" if side else None for side in (old, new)]
    compared = [one for one in group.differences or () if (one.kind, one.measure) == ("full", "milliseconds")]
    change = _apart(compared[0]) if compared else None
    cells = (*counts, f"{failed:,}" if failed else None, *trips, *times, change)
    return (group.key or "", *(cell or "-" for cell in cells))


def _known(sides: Sequence[Side]) -> Sequence[Side]:
    """Leave out connections without a visible version, if there are others: they have no times."""
    return [side for side in sides if side.version != UNKNOWN] or sides


def _brief(sides: Sequence[Side]) -> Iterator[FilledSection]:
    """Yield the sections that most readers need."""
    wanted: list[tuple[str, Sequence[tuple[str, Cell]]]] = [
        ("connections", [
            ("seen", lambda s: f"{s.connections:,}"),
            ("failed", _share("failed")),
            *_RETRIES,
            ("resumed", _resumed),
        ]),
        ("round trips of all connections", [("mean", _number("mean_round_trips"))]),
        ("ms of all connections: p50 / p90 / p99", [
            ("full handshake", _spread("handshakes", "full", *_PERCENTILES)),
            ("resumed handshake", _spread("handshakes", "resumed", *_PERCENTILES)),
            ("retried handshake", _spread("handshakes", "retried", *_PERCENTILES)),
            ("server's first data", _spread("milliseconds", "first_byte", *_PERCENTILES)),
            ("TCP handshake", _spread("milliseconds", "tcp", *_PERCENTILES)),
            *([("first packet to first data", _spread("milliseconds", "to_first_data", *_PERCENTILES))]
              if _has_quic(sides) else []),
        ]),
        ("in the clear", [
            ("certificates", lambda s: _part(s.exposure.connections, s)),
            ("certificate bytes", lambda s: _number_of(s.exposure.bytes)),
            ("server name", lambda s: _part(s.exposure.sni, s)),
        ]),
        ("seen with keys besides", [
            ("in connections", lambda s: _part(s.keyed.connections, s)),
            ("failed", lambda s: _part(s.keyed.failed, s)),
            ("certificates", lambda s: _part(s.keyed.certificates, s)),
            ("certificate bytes", lambda s: _number_of(s.keyed.bytes)),
            ("client certificates", lambda s: _part(s.keyed.client_certificates, s)),
            ("ALPN, agreed", lambda s: _part(s.keyed.alpn_agreed, s)),
            ("early data", lambda s: _each(s.keyed.early_data)),
            ("round trips", lambda s: _each(s.keyed.round_trips)),
        ]),
    ]  # fmt: skip
    yield from _filled((Section(heading, rows) for heading, rows in wanted), sides)


def _changes(differences: Iterable[Difference], *, narrow: bool = False) -> FilledSection:
    """Return a row for each difference of round trips and milliseconds: both numbers, and how far they are apart.

    On a `narrow` terminal, labels are shorter and each interval has a line of its own.
    """
    rows: list[tuple[str, list[str]]] = []
    for one in differences:
        if one.measure == "in_round_trips":
            continue
        unit = "trips" if narrow and one.measure == "round_trips" else _UNITS[one.measure]
        label, numbers = f"{one.kind}, {unit} ({_STATISTIC[one.measure]})", [_short(one.old), _short(one.new)]
        if narrow:
            rows += [(label, [*numbers, _signed(-one.difference)]), ("  95 %", ["", "", _interval(one)])]
        else:
            rows.append((label, [*numbers, _apart(one)]))
    return FilledSection("the same clients and servers in both versions", rows)


def _width(heads: Sequence[str], section: FilledSection) -> int:
    """Return how many columns a table takes if nothing is cut."""
    table = [heads, *([f"  {label}", *cells] for label, cells in section.rows)]
    return sum(max(map(columns, texts)) + 2 for texts in zip(*table, strict=True))


_PERCENTILES = ("median", "p90", "p99")


def _resumed(side: Side) -> str | None:
    return _part(sum(many for kind, many in side.resumption.items() if kind not in ("none", "others")), side)


def _apart(one: Difference) -> str:
    """Format TLS 1.3 minus TLS 1.2 with its interval."""
    return f"{_signed(-one.difference)} ({_interval(one)})"


def _interval(one: Difference) -> str:
    return f"{_signed(-one.high)} to {_signed(-one.low)}"


def _signed(value: float) -> str:
    """Format a difference; what rounds to zero has no sign."""
    text = _short(abs(value))
    if not float(text.replace(",", "")):
        return text
    return f"{'-' if value < 0 else '+'}{text}"


def verdict(group: Group) -> Iterator[str]:
    """Yield the conclusions of the comparison, at most five sentences."""
    sides = {side.version: side for side in group.sides}
    old, new = sides.get(_OLD), sides.get(_NEW)
    if old is None or new is None:
        names = " and ".join(f"{side.connections:,} {_with(side.version)}" for side in group.sides)
        yield f"nothing to compare: there are not both TLS 1.2 and TLS 1.3 ({names})"
    for measure, subject in _SUBJECTS.items():
        told = [one for one in group.differences or () if one.measure == measure]
        if told:
            yield f"{subject}: {'; '.join(map(_told, told))}"
    if old is not None and new is not None and not group.differences:
        yield next(iter(conclusions(None)))
    failed = [f"{side.failed:,} of {side.connections:,} {_with(side.version)}" for side in group.sides if side.failed]
    hidden = [f"{side.keyed.failed:,} {_with(side.version)}" for side in group.sides if side.keyed.failed]
    besides = f"; seen with keys besides: {', '.join(hidden)}" if hidden else ""
    yield f"failed: {', '.join(failed) or 'none'}{besides}"
    if old is not None and new is not None:
        shown = [f"{side.exposure.connections:,} of {side.connections:,} with {side.version}" for side in (old, new)]
        keyed = [f"{side.keyed.certificates:,} with {side.version}" for side in (old, new) if side.keyed.certificates]
        besides = f"; seen with keys besides: {', '.join(keyed)}" if keyed else ""
        yield f"certificates in the clear: {', '.join(shown)}{besides}"
    offered = sum(side.post_quantum.offered for side in group.sides)
    if offered:
        used = sum(side.post_quantum.negotiated for side in group.sides)
        yield f"post-quantum key exchange: negotiated by {used:,} of the {offered:,} that offered it"


def _with(version: str) -> str:
    return "without a visible version" if version == UNKNOWN else f"with {version}"


_SUBJECTS = {"round_trips": "round trips", "milliseconds": "time"}


def _told(one: Difference) -> str:
    """Say in words how TLS 1.3 differs from TLS 1.2."""
    if not one.differs:
        return f"{one.kind} handshakes: no significant difference"
    less = one.difference > 0
    low, high = sorted((abs(one.low), abs(one.high)))
    word = ("fewer" if one.measure == "round_trips" else "less") if less else "more"
    numbers = f"{_STATISTIC[one.measure]} {_amount(one, one.new)}, not {_amount(one, one.old)}"
    interval = f"95 %: {_short(low)} to {_amount(one, high)}"
    unit = " round trips" if one.measure == "round_trips" else ""
    return f"{one.kind} handshakes take {_by_how_much(one)}{unit} {word} with TLS 1.3 ({numbers}; {interval})"


def conclusions(
    differences: Sequence[Difference] | None, what: str = "TLS 1.3", each: str = "of each version"
) -> Iterator[str]:
    """Yield a sentence for each measure of `what`, the second side; if the interval includes zero, none is significant.

    `each` names both sides where there are too few connections.
    """
    if differences is None:
        yield f"too few connections to compare: {LEAST} {each} between the same clients and servers are needed"
    for one in differences or ():
        measure = f"{one.kind}, {'time' if one.measure == 'milliseconds' else _UNITS[one.measure]}:"
        pairs = f"{one.pairs:,} pair{'' if one.pairs == 1 else 's'}"
        # The interval is that of the difference in the direction in which it is stated.
        low, high = (one.low, one.high) if one.difference > 0 or not one.differs else (-one.high, -one.low)
        interval = f"95 %: {_short(low)} to {_amount(one, high)}; {one.connections:,} connections, {pairs}"
        old, new = _amount(one, one.old), _amount(one, one.new)
        if one.differs:
            more = _LESS.get(one.measure, "less") if one.difference > 0 else "more"
            numbers = f"{_STATISTIC[one.measure]} {new}, not {old}"
            yield f"{measure} {what} takes {_by_how_much(one)} {more} ({numbers}; {interval})"
        else:
            numbers = f"{_STATISTIC[one.measure]}s {old} and {new}"
            yield f"{measure} no significant difference ({numbers}; {interval})"


def _amount(one: Difference, value: float) -> str:
    return f"{_short(value)}{' ms' if one.measure == 'milliseconds' else ''}"


def _by_how_much(one: Difference) -> str:
    """Format the size of a difference; one that would be written as 0.00 is "less than 0.01"."""
    size = abs(one.difference)
    return _amount(one, size) if size >= _LEAST_WRITTEN / 2 else f"less than {_amount(one, _LEAST_WRITTEN)}"


def caveats(group: Group) -> Iterator[str]:
    """Yield what a reader of these numbers must keep in mind."""
    if group.differences:
        yield (
            "quote the differences: they are between the same clients and servers (times: median over these pairs of "
            "their medians; round trips: mean of their means); what is said of all connections may differ between "
            "versions because their clients and servers do"
        )
    newer = next((side for side in group.sides if side.version == "TLS 1.3"), None)
    if newer is not None and newer.hello_retries:
        retried = f"{newer.hello_retries:,} of {newer.connections:,}"
        yield (
            f"{retried} with TLS 1.3 had a HelloRetryRequest, and so a round trip more: they count in the mean, but "
            "neither as full nor as resumed handshakes"
        )
    if newer is not None and "first_record" in newer.milliseconds:
        yield "in TLS 1.3 the first server record may be a ticket: tickets and data are encrypted alike"
    if any(side.version == QUIC and "to_first_data" in side.milliseconds for side in group.sides):
        yield (
            "the client's first packet is the SYN, or in QUIC the one that completes the ClientHello; the server's "
            "first data is its first record or 1-RTT packet after the handshake"
        )
    if any(side.capture_points.get(LOCAL) for side in group.sides):
        yield "with a TCP round trip below 1 ms, the programs take more time than the path: compare the milliseconds"
    if any(side.capture_points.get(NOT_SEEN) for side in group.sides):
        yield "without a captured TCP handshake, times are those of the capture point, not of the client"
    if group.other_views:
        views = "1 connection was" if group.other_views == 1 else f"{group.other_views:,} connections were"
        yield f"{views} seen in several captures; the first view of each counts"
    if group.unrecognized:
        yield f"{group.unrecognized:,} connections may count once per capture that shows them: there were too many"
    if group.unpaired:
        yield f"{group.unpaired:,} connections were left out of the pairs, because there were too many"


def json_lines(groups: Iterable[Group]) -> Iterator[bytes]:
    """Format groups as JSON, one object per line."""
    yield from map(json_line, groups)


def csv_rows(groups: Iterable[Group], *, seen: bool = False) -> Iterator[bytes]:
    """Format groups as CSV: a row for each number, its path joined by dots; `seen` if the output is a terminal."""
    yield line(list(HEAD))
    for group in groups:
        key = None if group.key is None else without_surrogates(group.key)
        yield from (line(list(map(cell, (key, *row))), seen=seen) for row in numbers(group))


def numbers(group: Group) -> Iterator[tuple[str | None, str, Any]]:
    """Yield rows of version, measure and value; the version is empty for a difference between versions."""
    for side in group.sides:
        fields = to_builtins(side)
        yield from ((fields["version"], *pair) for pair in _flat(fields) if pair[0] != "version")
    for difference in group.differences or ():
        fields = to_builtins(difference)
        before = f"{fields.pop('kind')}.{fields.pop('measure')}"
        yield from ((None, f"{before}.{name}", value) for name, value in fields.items())


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{key}.")
        else:
            yield f"{before}{key}", inner
