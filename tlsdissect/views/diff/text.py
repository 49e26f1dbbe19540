"""A diff as text: what broke first, then what else changed, then what stayed."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tlsdissect.views.comparison.formats import conclusions
from tlsdissect.views.durations import in_ms, period
from tlsdissect.views.labelled import Section, as_html, labelled
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import encoded
from tlsdissect.views.table import common_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.views.comparison.model import Spread
    from tlsdissect.views.diff.model import (
        CaptureDiff,
        CertificateChange,
        FactChange,
        Failure,
        Fingerprint,
        Leaf,
        Outcomes,
        PairChange,
        Read,
        Unpaired,
    )

_LISTED = 8
"""Paragraphs of a section; the rest are counted."""
_NAMED = 3
"""Clients, servers, certificates or reasons named in one paragraph; the rest are counted."""
_RED, _YELLOW = "31", "33"
_FACTS = {
    "version": "version",
    "cipher_suite": "cipher suite",
    "group": "key exchange",
    "alpn": "ALPN",
    "transport": "transport",
}
_BY = {
    "name": "by client address, server name and port (address where no name was asked for)",
    "address": "by client address, server address and port",
}
_Paragraphs = list[tuple[int, str]]


def lines(found: CaptureDiff, *, width: int | None = 80, coloured: bool = False) -> Iterator[str]:
    """Return the lines of the text."""
    return labelled(_sections(found), width, coloured=coloured)


def as_page(found: CaptureDiff) -> str:
    """Return the text for a notebook."""
    return as_html(_sections(found))


def text(found: CaptureDiff, *, width: int | None, coloured: bool, encoding: str) -> Iterator[bytes]:
    """Yield the text, encoded."""
    for line in lines(found, width=width, coloured=coloured):
        yield encoded(f"{line}\n", encoding)


def _sections(found: CaptureDiff) -> Iterator[Section]:
    yield Section("Before", "", _read(found.before))
    yield Section("After", "", _read(found.after))
    yield Section("Paired", "", [(2, f"{_BY[found.by]}: {counted(found.paired, 'pair')}")])
    if not found.paired:
        yield Section("Changed", "", [(0, "not known: no client or server is in both")])
    elif not found.changed:
        yield Section("Changed", "", [(0, "nothing")])
    if found.broke:
        yield Section("Broke", _RED, _moved(found.broke))
    if found.fails_differently:
        yield Section("Fails anew", _RED, _moved(found.fails_differently))
    if found.recovered:
        yield Section("Works again", "", _moved(found.recovered))
    if found.servers:
        paragraphs = [
            one for server in found.servers for one in _server(server.server, server.facts, server.certificates)
        ]
        yield Section("Changed", _YELLOW, _first(paragraphs, 3 * _LISTED, "change"))
    if found.ja4 is not None and (found.ja4.new or found.ja4.gone):
        yield Section("JA4", "", [*_fingerprints("new", found.ja4.new), *_fingerprints("gone", found.ja4.gone)])
    if found.paired:
        yield Section("Times", "", _times(found))
    only = [*_only("before", found.only_before), *_only("after", found.only_after)]
    if only:
        yield Section("Not paired", "", only)
    notes = [*_limits(found)]
    if notes:
        yield Section("Not compared", "", notes)
    if found.paired:
        yield Section("Stayed", "", [(2, _stayed(found))])


def _read(side: Read) -> _Paragraphs:
    names = _some(side.captures)
    read = "" if side.connections == side.connections_read else f" of {side.connections_read:,}"
    if not side.connections:
        return [(2, f"{names}: none{read} selected" if read else f"{names}: no TLS connections"), *_notes(side)]
    least = "at least " if side.left_out else ""
    ends = f"{least}{counted(side.clients, 'client')}, {least}{counted(side.servers, 'server')}"
    total = f"{side.connections:,}{read} connection{'s' * (side.connections_read != 1)}"
    when = period(side.start, side.end)
    return [(2, f"{names}: {total}, {side.failed:,} failed; {ends}{f', {when}' if when else ''}"), *_notes(side)]


def _notes(side: Read) -> _Paragraphs:
    return [(4, f"  not all read: {note.removeprefix('not read: ')}") for note in side.notes]


def _moved(changes: Sequence[PairChange]) -> _Paragraphs:
    """Return what became of clients; those of a server that share states and reasons are reported together."""
    together: defaultdict[tuple[object, ...], list[PairChange]] = defaultdict(list)
    for change in changes:
        reasons = tuple(failure.what for failure in change.after.failures)
        together[change.server, change.before.state, change.after.state, reasons].append(change)
    paragraphs: _Paragraphs = []
    for group in list(together.values())[:_LISTED]:
        clients = _clients([one.client for one in group if one.client], [one.ja4 for one in group if one.ja4])
        before, after = _ratio([one.before for one in group]), _ratio([one.after for one in group])
        paragraphs.append((2, f"{clients} to {group[0].server}: {before} worked before, {after} now"))
        if group[0].before.established:
            negotiated = _some([*group[0].before.versions, *group[0].before.cipher_suites])
            paragraphs.append((4, f"  before: {negotiated}"))
        for place, failure in enumerate(group[0].after.failures[:_NAMED]):
            many = sum(one.after.failures[place].connections for one in group)
            paragraphs.append((4, f"  {_failure(failure, many)}"))
        if not group[0].after.failures:
            paragraphs += [(4, f"  before: {_failure(one, one.connections)}") for one in group[0].before.failures[:1]]
    return paragraphs + [(0, f"and {counted(len(together) - _LISTED, 'more group')}")] * (len(together) > _LISTED)


def _ratio(outcomes: Sequence[Outcomes]) -> str:
    worked = sum(one.established for one in outcomes)
    return f"{worked:,} of {worked + sum(one.failed for one in outcomes):,}"


def _failure(failure: Failure, many: int) -> str:
    capture = failure.source.rpartition("/")[2] or failure.source
    # The sentence that names an alert says no more than `what` unless it stands alone.
    said = [one for one in failure.why if one.code != "alert"] or failure.why
    why = " ".join(one.without_frames for one in said)
    return f"{many:,} {failure.what} (first: {capture}:{failure.stream}). {why}".rstrip()


def _server(
    server: str, facts: Sequence[FactChange], certificates: CertificateChange | None
) -> Iterator[tuple[int, str]]:
    yield 2, server
    if certificates is not None:
        yield from _certificates(certificates)
    for one in facts:
        clients = _clients(one.clients, one.ja4)
        name = f"{_FACTS[one.fact]}, with keys" if one.with_keys else _FACTS[one.fact]
        yield 4, f"  {name}: {' and '.join(one.before)}, now {' and '.join(one.after)} ({clients})"


def _certificates(change: CertificateChange) -> Iterator[tuple[int, str]]:
    for kind, leaves in (("new", change.new), ("gone", change.gone)):
        # Those that differ in nothing named here, such as the certificates of servers that share a name, are one line.
        alike = Counter(map(_leaf, leaves)).most_common()
        for leaf, many in alike[:_NAMED]:
            yield 4, f"  {kind} certificate: {leaf}" if many == 1 else f"  {many:,} {kind} certificates, alike: {leaf}"
        if rest := sum(many for _, many in alike[_NAMED:]):
            yield 4, f"  and {counted(rest, f'more {kind} certificate')}"


def _leaf(leaf: Leaf) -> str:
    name = common_name(leaf.subject, leaf.names) or "no subject"
    issuer = common_name(leaf.issuer) or "an empty name"
    ends = "?" if leaf.not_after is None else leaf.not_after[:10]
    return f"{name}, {leaf.key}, issued by {issuer}, until {ends}{', with keys' if leaf.with_keys else ''}"


def _fingerprints(kind: str, several: Sequence[Fingerprint]) -> _Paragraphs:
    found = [
        (2, f"{kind}: {one.ja4} from {_some([f'{peer.name} ({peer.connections:,})' for peer in one.clients])}")
        for one in several[:_LISTED]
    ]
    rest = len(several) - _LISTED
    return found + [(0, f"and {rest:,} more {kind}")] * (rest > 0)


def _times(found: CaptureDiff) -> _Paragraphs:
    times = found.times
    # Where a difference was computed, its sentence has the medians of the pairs that it is based on. Those of all pairs
    # beside it would be other numbers, of which it is not the difference.
    compared = {one.kind for one in times.differences or () if one.measure == "milliseconds"}
    medians = [
        (2, f"{kind}: median {_median(times.before[kind])} before, {_median(times.after[kind])} now")
        for kind in (times.before.keys() & times.after.keys()) - compared
    ]
    return [*sorted(medians), *((2, one) for one in conclusions(times.differences, "it now", "on each side"))]


def _median(spread: Spread) -> str:
    return f"{in_ms(spread.median)} (of {spread.n:,})"


def _only(when: str, only: Unpaired | None) -> _Paragraphs:
    if only is None:
        return [(2, f"only {when}: not known, because there were too many clients and servers to keep")]
    parts = []
    if only.servers:
        parts.append(f"server{'s' * (len(only.servers) > 1)} {_some(only.servers)}")
    if only.clients:
        parts.append(f"client{'s' * (len(only.clients) > 1)} {_some(only.clients)}")
    if only.pairs:
        parts.append(_some([f"{pair.client} with {pair.server}" for pair in only.pairs]))
    return [(2, f"only {when}: {'; '.join(parts)}")] if parts else []


def _limits(found: CaptureDiff) -> Iterator[tuple[int, str]]:
    for when, side in (("before", found.before), ("after", found.after)):
        if side.left_out:
            many = counted(side.left_out, "connection")
            yield 2, f"{many} {when}: there were too many clients and servers to keep"
    if found.times.left_out:
        yield 2, f"times of {counted(found.times.left_out, 'handshake')}: there were too many to keep"
    if found.not_compared:
        yield 2, f"{counted(found.not_compared, 'pair')}: too many distinct values to keep"
    if found.ja4 is None:
        yield 2, "JA4: there were too many to keep"


def _stayed(found: CaptureDiff) -> str:
    same = found.unchanged
    total = same.works + same.fails + same.mixed
    kinds = [f"{many:,} {what}" for what, many in (
        ("working", same.works), ("failing", same.fails), ("failing at times", same.mixed)) if many]  # fmt: skip
    unclear = f"; of {found.undecided:,} the end is not seen" if found.undecided else ""
    return f"{total:,} of {counted(found.paired, 'pair')}{': ' * bool(kinds)}{', '.join(kinds)}{unclear}"


def _clients(clients: Sequence[str], ja4: Sequence[str]) -> str:
    return _some(clients) if clients else f"clients with JA4 {_some(ja4)}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:_NAMED])} and {rest:,} more"


def _first(paragraphs: _Paragraphs, most: int, what: str) -> _Paragraphs:
    rest = len(paragraphs) - most
    return paragraphs[:most] + [(0, f"and {counted(rest, f'more line of {what}s', f'more lines of {what}s')}")] * (
        rest > 0
    )
