"""Builds a diff from the connections of two captures, one at a time and in bounded memory.

What is negotiated depends on the client: a server that accepts TLS 1.3 still negotiates TLS 1.2 with an old client. So
outcomes and negotiated values are compared only for the same client and the same server, and a new client is not a
change. For a server that has no client in both captures, clients with the same JA4, which make the same offer, are
compared instead. Certificates belong to the server, and are compared over all of its connections.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from sys import getsizeof
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from msgspec.structs import replace

from tlsdissect.model.transcript import has_failed, keyed_end
from tlsdissect.views import table
from tlsdissect.views.certificates import key_of
from tlsdissect.views.comparison.pairs import Pairs
from tlsdissect.views.comparison.sampling import Budget
from tlsdissect.views.diff.model import (
    By,
    CaptureDiff,
    CertificateChange,
    Fact,
    FactChange,
    Failure,
    Fingerprint,
    Fingerprints,
    Leaf,
    Outcomes,
    Pair,
    PairChange,
    Read,
    ServerChange,
    Times,
    Unchanged,
    Unpaired,
)
from tlsdissect.views.explain.ending import ending
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import without_surrogates
from tlsdissect.views.summary import Peer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Certificate, Connection

DIFF_BYTES = 128 << 20
"""Estimated memory of what each side of a diff keeps of clients, servers, values, certificates and fingerprints."""
MAX_VALUES = 64
"""Distinct values, and reasons of failure, of one client with one server; of certificates and fingerprints likewise."""
_PAIR_BYTES = 512
_ENTRY_BYTES = 96
"""Estimated memory of a pair, and of an entry of its dictionaries, without strings."""
_FACTS: tuple[Fact, ...] = get_args(Fact)
_ORDER = ("works", "mixed", "fails")
Kind = Literal["broke", "recovered", "fails_differently"]
_NONE = "none"


class _Room:
    """What is left of DIFF_BYTES."""

    def __init__(self) -> None:
        self._left = DIFF_BYTES

    def takes(self, *texts: str | None, more: int = _ENTRY_BYTES) -> bool:
        """Whether there is room for an entry with these strings; then it is taken."""
        size = more + sum(map(getsizeof, texts))
        if size > self._left:
            return False
        self._left -= size
        return True


class _Handshakes:
    """The handshakes of one client with one server."""

    __slots__ = ("cut", "established", "failed", "failures", "seen", "undecided", "values")

    def __init__(self) -> None:
        self.established = self.failed = self.undecided = 0
        self.values: Counter[tuple[Fact, str]] = Counter()
        self.seen: set[tuple[Fact, str]] = set()
        """The values that anyone sees; only keys show the others."""
        self.failures: dict[str, Failure] = {}
        self.cut = False
        """Whether there were more values than are kept."""

    def outcomes(self) -> Outcomes:
        """Return what became of them."""
        failures = sorted(self.failures.values(), key=lambda one: (-one.connections, one.what))
        return Outcomes(
            self.established, self.failed, self.undecided, self.of("version"), self.of("cipher_suite"), tuple(failures)
        )

    def of(self, fact: Fact) -> tuple[str, ...]:
        """Return the values of a fact, most frequent first."""
        counts = [(-many, value) for (name, value), many in self.values.items() if name == fact]
        return tuple(value for _, value in sorted(counts))

    def needs_keys(self, fact: Fact) -> bool:
        """Return whether only keys show one of the values of a fact."""
        return any(entry[0] == fact and entry not in self.seen for entry in self.values)


class _Side:
    """What is kept of the connections of one side."""

    def __init__(self, by: By, room: _Room) -> None:
        self._by, self._room = by, room
        self._start: str | None = None
        self._end: str | None = None
        self.connections = self.failed = self.left_out = 0
        self.pairs: dict[tuple[str, str], _Handshakes] = {}
        """By client and server."""
        self.programs: dict[tuple[str, str], _Handshakes] = {}
        """By JA4 and server."""
        self.leaves: dict[str, dict[str, Leaf]] = {}
        """By server and SHA-256."""
        self.ja4: dict[str, Counter[str]] = {}
        """By fingerprint and client."""
        self.fingerprints_cut = False
        self.certificates_cut: set[str] = set()
        """Servers with more certificates than are kept."""

    def add(self, c: Connection) -> tuple[str, str] | None:
        """Add a connection; return its client and server, None if there is no room for them."""
        self.connections += 1
        self.failed += has_failed(c)
        if c.start is not None:
            self._start = min(self._start or c.start, c.start)
        if c.end is not None:
            self._end = max(self._end or c.end, c.end)
        ends = c.client.host, _server(c, self._by)
        kept = self._handshakes(self.pairs, ends)
        if kept is None:
            self.left_out += 1
            return None
        self._count(c, kept)
        if c.ja4 is not None:
            program = self._handshakes(self.programs, (c.ja4, ends[1]))
            if program is None:
                self.fingerprints_cut = True
            else:
                self._count(c, program)
        leaf = c.leaf("server")
        if leaf is not None:
            self._add_leaf(ends[1], leaf, with_keys=c.needs_keys("certificates"))
        if c.ja4 is not None:
            self._add_fingerprint(c.ja4, ends[0])
        return ends

    def _handshakes(self, kept: dict[tuple[str, str], _Handshakes], ends: tuple[str, str]) -> _Handshakes | None:
        """Return the handshakes of a pair, which is added if it is new; None if there is no room for a new pair."""
        if ends not in kept:
            if not self._room.takes(*ends, more=_PAIR_BYTES):
                return None
            kept[ends] = _Handshakes()
        return kept[ends]

    def _count(self, c: Connection, kept: _Handshakes) -> None:
        if has_failed(c):
            kept.failed += 1
            self._add_failure(c, kept)
        elif c.outcome == "established":
            kept.established += 1
            for entry in _values(c):
                # ALPN is the only one that keys show.
                if entry[0] != "alpn" or not _needs_keys_for_alpn(c):
                    kept.seen.add(entry)
                if entry not in kept.values and (len(kept.values) >= MAX_VALUES or not self._room.takes(entry[1])):
                    kept.cut = True
                else:
                    kept.values[entry] += 1
        else:
            kept.undecided += 1

    def _add_failure(self, c: Connection, kept: _Handshakes) -> None:
        what = table.outcome(c)[0] or c.outcome
        known = kept.failures.get(what)
        if known is not None:
            kept.failures[what] = replace(known, connections=known.connections + 1)
            return
        # With its mark, the reason may say what only keys show; the sentences say what anyone sees.
        why = tuple(ending(replace(c, hidden=None), c))
        if len(kept.failures) >= MAX_VALUES or not self._room.takes(what, c.source, *(one.text for one in why)):
            kept.cut = True
            return
        keyed = keyed_end(c)
        by = c.failed_by if keyed is None else keyed.sender
        kept.failures[what] = Failure(what, by, 1, without_surrogates(c.source), c.stream_name, why)

    def _add_leaf(self, server: str, leaf: Certificate, *, with_keys: bool) -> None:
        leaves = self.leaves.setdefault(server, {})
        known = leaves.get(leaf.sha256)
        if known is not None:
            leaves[leaf.sha256] = replace(known, with_keys=known.with_keys and with_keys)
            return
        names = (*(leaf.dns_names or ()), *(leaf.ip_addresses or ()))
        if len(leaves) >= MAX_VALUES or not self._room.takes(leaf.sha256, leaf.subject, leaf.issuer, *names):
            self.certificates_cut.add(server)
            return
        leaves[leaf.sha256] = Leaf(
            leaf.sha256, leaf.subject, leaf.issuer, leaf.not_before, leaf.not_after, key_of(leaf), names, with_keys
        )

    def _add_fingerprint(self, ja4: str, client: str) -> None:
        clients = self.ja4.get(ja4)
        if (clients is None or client not in clients) and not self._room.takes(ja4):
            self.fingerprints_cut = True
            return
        self.ja4.setdefault(ja4, Counter())[client] += 1

    def read(self, given: Given, unused: int) -> Read:
        """Return what was read; secrets of so many connections opened nothing on either side."""
        more = [f"secrets of {counted(unused, 'connection')} opened nothing"] if unused else []
        return Read(
            captures=tuple(map(without_surrogates, given.captures)),
            connections=self.connections,
            connections_read=given.connections,
            failed=self.failed,
            start=self._start,
            end=self._end,
            clients=len({client for client, _ in self.pairs}),
            servers=len({server for _, server in self.pairs}),
            left_out=self.left_out,
            notes=tuple(map(without_surrogates, [*given.notes, *more])),
        )


class Given(NamedTuple):
    """What the reading of one side knows: its inputs, the connections that were read, and what was left out."""

    captures: Sequence[str]
    connections: int
    notes: Sequence[str]
    """Sentences about what was left out, except for secrets that opened nothing."""
    unused_keys: frozenset[bytes] = frozenset()
    """The client randoms of connections whose secrets opened nothing on this side."""


class DiffBuilder:
    """Collects the connections of both sides."""

    def __init__(self, by: By = "name") -> None:
        if by not in get_args(By):
            raise ValueError(f"by must be one of {', '.join(get_args(By))}, not {by!r}")
        self._by = by
        # Each side has room of its own: a first that took all would leave nothing to compare it with.
        self._sides = _Side(by, _Room()), _Side(by, _Room())
        self._times = Pairs(Budget())

    def add_before(self, c: Connection) -> None:
        """Add a connection of the first side."""
        self._add(c, 0)

    def add_after(self, c: Connection) -> None:
        """Add a connection of the second side."""
        self._add(c, 1)

    def _add(self, c: Connection, side: int) -> None:
        ends = self._sides[side].add(c)
        if ends is not None:
            self._times.add(c, "\0".join(ends), side)

    def result(self, before: Given, after: Given) -> CaptureDiff:
        """Return what changed."""
        old, new = self._sides
        pairs = list(_paired(old, new))
        moved = [PairChange(one.client, one.ja4, one.server, one.old.outcomes(), one.new.outcomes()) for one in pairs]
        kinds = [_kind(change) for change in moved]
        facts = [list(_facts(one)) for one in pairs]
        # A pair of which a capture does not show the end has no state there.
        stayed = Counter(
            change.after.state
            for change, kind, found in zip(moved, kinds, facts, strict=True)
            if not (kind or found) and change.before.state is not None
        )
        unused = len(before.unused_keys & after.unused_keys)
        undecided = sum(change.before.state is None or change.after.state is None for change in moved)
        return CaptureDiff(
            by=self._by,
            before=old.read(before, unused),
            after=new.read(after, unused),
            broke=_of_kind("broke", moved, kinds),
            recovered=_of_kind("recovered", moved, kinds),
            fails_differently=_of_kind("fails_differently", moved, kinds),
            servers=tuple(_servers(old, new, [one for found in facts for one in found])),
            ja4=_fingerprints(old, new),
            times=self._compared_times(),
            only_before=None if new.left_out else _only(old, new),
            only_after=None if old.left_out else _only(new, old),
            paired=len(pairs),
            undecided=undecided,
            not_compared=sum(one.old.cut or one.new.cut for one in pairs),
            unchanged=Unchanged(stayed["works"], stayed["fails"], stayed["mixed"]),
        )

    def _compared_times(self) -> Times:
        before, after = (self._times.milliseconds(side) for side in range(2))
        return Times(before, after, self._times.differences(), self._times.left_out)


class _Paired(NamedTuple):
    """The handshakes of a client, or of clients with a JA4, with a server on both sides."""

    client: str | None
    ja4: str | None
    server: str
    old: _Handshakes
    new: _Handshakes


class _PairFact(NamedTuple):
    """A fact that changed for a pair."""

    pair: _Paired
    fact: Fact
    before: tuple[str, ...]
    after: tuple[str, ...]


def _server(c: Connection, by: By) -> str:
    """Return the name of a server: names of hosts are compared without case (RFC 4343)."""
    return str(c.server) if by == "address" else (table.server(c)[-1] or "").lower()


def _values(c: Connection) -> Iterator[tuple[Fact, str]]:
    """Yield what was negotiated, as far as it is visible."""
    yield "transport", c.transport
    if c.version is not None:
        yield "version", c.version
    if c.cipher_suite is not None:
        yield "cipher_suite", c.cipher_suite
    if c.group is not None or c.dh_bits is not None:
        yield "group", c.group or f"DH {c.dh_bits}"
    elif c.resumption == "none" and (c.cipher_suite or "").startswith("TLS_RSA_WITH_"):
        yield "group", _NONE
    alpn = c.known("alpn")
    if alpn is not None or _shows_alpn(c):
        yield "alpn", alpn or _NONE


def _needs_keys_for_alpn(c: Connection) -> bool:
    """Whether only keys show what was chosen by ALPN, or that nothing was."""
    return c.alpn is None and c.is_tls13


def _shows_alpn(c: Connection) -> bool:
    """Whether the place of the server's choice is visible, so that its absence is."""
    if c.is_tls13:
        return c.hidden is not None and c.hidden.encrypted_extensions is not None
    return c.server_hello is not None and c.server_hello.extensions is not None


def _paired(old: _Side, new: _Side) -> Iterator[_Paired]:
    """Yield what is compared: clients with servers on both sides; JA4 where a server has no client on both."""
    for client, server in sorted(old.pairs.keys() & new.pairs.keys()):
        yield _Paired(client, None, server, old.pairs[client, server], new.pairs[client, server])
    served = {server for _, server in old.pairs.keys() & new.pairs.keys()}
    for ja4, server in sorted(old.programs.keys() & new.programs.keys()):
        if server not in served:
            yield _Paired(None, ja4, server, old.programs[ja4, server], new.programs[ja4, server])


def _kind(change: PairChange) -> Kind | None:
    """Return what became of a pair; None if nothing changed, or if this is not known."""
    before, after = change.before.state, change.after.state
    if before is None or after is None:
        return None
    if before != after:
        return "broke" if _ORDER.index(after) > _ORDER.index(before) else "recovered"
    before_reasons, reasons = ([one.what for one in outcomes.failures] for outcomes in (change.before, change.after))
    new = [one for one in reasons if not any(_may_be_same(one, other) for other in before_reasons)]
    return "fails_differently" if new else None


def _may_be_same(one: str, other: str) -> bool:
    """Return whether two failures may have the same reason; one may be an alert that only keys of the other name."""
    return one == other or _unnamed(one) == other or one == _unnamed(other)


def _unnamed(reason: str) -> str:
    """Return a reason without the name of an alert that only keys show."""
    return re.sub(rf"^alert \w+{re.escape(table.KEYED)}", "encrypted alert", reason)


def _of_kind(kind: Kind, changes: Iterable[PairChange], kinds: Iterable[Kind | None]) -> tuple[PairChange, ...]:
    found = [change for change, its in zip(changes, kinds, strict=True) if its == kind]
    return tuple(sorted(found, key=lambda one: (one.server, -one.before.established, one.client or "", one.ja4 or "")))


def _facts(pair: _Paired) -> Iterator[_PairFact]:
    if pair.old.cut or pair.new.cut:
        return
    for fact in _FACTS:
        before, after = pair.old.of(fact), pair.new.of(fact)
        if before and after and set(before) != set(after):
            yield _PairFact(pair, fact, before, after)


def _servers(old: _Side, new: _Side, changed: Iterable[_PairFact]) -> Iterator[ServerChange]:
    """Yield what changed at each server, the same change for several clients once."""
    of_server: defaultdict[str, defaultdict[tuple[Fact, tuple[str, ...], tuple[str, ...]], list[_Paired]]]
    of_server = defaultdict(lambda: defaultdict(list))
    for one in changed:
        of_server[one.pair.server][one.fact, one.before, one.after].append(one.pair)
    certificates = {server: _certificates(server, old, new) for server in old.leaves.keys() & new.leaves.keys()}
    shown = {server: change for server, change in certificates.items() if change is not None}
    for server in sorted(of_server.keys() | shown.keys()):
        facts = [
            FactChange(
                fact,
                before,
                after,
                tuple([pair.client for pair in pairs if pair.client is not None]),
                tuple([pair.ja4 for pair in pairs if pair.ja4 is not None]),
                any(side.needs_keys(fact) for pair in pairs for side in (pair.old, pair.new)),
            )
            for (fact, before, after), pairs in of_server[server].items()
        ]
        facts.sort(key=lambda one: (_FACTS.index(one.fact), -len(one.clients) - len(one.ja4), one.before, one.after))
        yield ServerChange(server, tuple(facts), shown.get(server))


def _certificates(server: str, old: _Side, new: _Side) -> CertificateChange | None:
    """Return the certificates of a server that one side lacks; a side with more than are kept lacks none for sure."""
    before, after = old.leaves[server], new.leaves[server]
    gone = [] if server in new.certificates_cut else [before[key] for key in before.keys() - after.keys()]
    come = [] if server in old.certificates_cut else [after[key] for key in after.keys() - before.keys()]
    if not (gone or come):
        return None
    differs = None
    if len(gone) == len(come) == 1:
        names = [name for name in Leaf.__struct_fields__ if name not in ("sha256", "with_keys")]
        differs = tuple(name for name in names if getattr(gone[0], name) != getattr(come[0], name))
    return CertificateChange(_ordered(gone), _ordered(come), differs)


def _ordered(leaves: list[Leaf]) -> tuple[Leaf, ...]:
    return tuple(sorted(leaves, key=lambda leaf: (leaf.not_after or "", leaf.sha256)))


def _fingerprints(old: _Side, new: _Side) -> Fingerprints | None:
    if old.fingerprints_cut or new.fingerprints_cut or old.left_out or new.left_out:
        return None
    return Fingerprints(_missing(new.ja4, old.ja4), _missing(old.ja4, new.ja4))


def _missing(there: dict[str, Counter[str]], here: dict[str, Counter[str]]) -> tuple[Fingerprint, ...]:
    """Return the fingerprints that only the first has, those with most connections first."""
    found = [
        Fingerprint(ja4, clients.total(), tuple(Peer(*one) for one in sorted(clients.items(), key=_most_first)))
        for ja4, clients in there.items()
        if ja4 not in here
    ]
    return tuple(sorted(found, key=lambda one: (-one.connections, one.ja4)))


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _only(there: _Side, here: _Side) -> Unpaired:
    """Return what only the first has."""
    clients, servers = ({ends[at] for ends in here.pairs} for at in range(2))
    missing = sorted(there.pairs.keys() - here.pairs.keys())
    return Unpaired(
        clients=tuple(dict.fromkeys(client for client, _ in missing if client not in clients)),
        servers=tuple(sorted({server for _, server in missing if server not in servers})),
        pairs=tuple(Pair(*ends) for ends in missing if ends[0] in clients and ends[1] in servers),
    )
