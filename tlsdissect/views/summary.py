"""The summary of captures on one screen: what failed and for whom, what is old or weak, what was slow."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.model.connection import OLD_VERSIONS, as_json
from tlsdissect.model.transcript import has_failed, keyed_end
from tlsdissect.trust.protocol import protocol_findings
from tlsdissect.trust.times import parse_time
from tlsdissect.views import table
from tlsdissect.views.durations import in_ms, period
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.advice import advice
from tlsdissect.views.labelled import Section, as_html, labelled
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import encoded
from tlsdissect.views.problems import counted_problems
from tlsdissect.views.table import NO_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from tlsdissect.model.connection import Certificate, Connection

MAX_PEERS = 100_000
"""Clients and servers that are counted, over all reasons of failure and weaknesses."""
MAX_ENDING = 10_000
"""Certificates that end soon or have ended."""
SOON = timedelta(days=30)
"""A certificate ends soon if no more than this is left."""
_WORST = 3
"""Clients and servers that are named of each kind, and connections that are named as the slowest."""
_FAILING = 10
"""Clients that are named with their failures of all kinds."""
_GRAVE = frozenset({"medium", "high"})
EXPLAINED = 100
"""Failures of each reason that are explained, to say what to do: explaining one takes half as long as reading it."""


class Peer(Struct, frozen=True):
    """A client or a server, and in how many of the connections it was."""

    name: str
    connections: int


class Group(Struct, frozen=True):
    """Connections that have something in common, and the clients and servers that had most of them."""

    what: str
    connections: int
    clients: tuple[Peer, ...]
    servers: tuple[Peer, ...]


class FailureGroup(Group, frozen=True):
    """Connections that failed for one reason."""

    advice: str | None
    """What to do about it, where the connections show the cause; None if they do not, or differ in what to do."""


class Ending(Struct, frozen=True):
    """A server's certificate that ends within 30 days of the capture, or had ended."""

    subject: str | None
    not_after: str
    days_left: int
    """When it was last seen; negative if it had ended."""
    sha256: str
    server: str
    with_keys: bool
    """Whether only keys show it."""


class Slow(Struct, frozen=True):
    """One of the slowest handshakes."""

    source: str
    stream: str
    server: str
    handshake_ms: float


class Times(Struct, frozen=True):
    """Durations of handshakes in milliseconds, to three digits."""

    median: float
    p90: float
    slowest: tuple[Slow, ...]


class CaptureSummary(Struct, frozen=True, kw_only=True):
    """The summary of captures."""

    connections: int
    connections_read: int
    """With those that were not selected."""
    frames: int | None
    """Frames read; null if they were not counted."""
    selected: bool
    """Whether connections were selected; `not_tls` and `notes` are about all that was read."""
    captures: int
    """Captures with selected connections."""
    start: str | None
    """When the first connection began."""
    end: str | None
    """When the last one ended."""
    clients: int
    """Distinct addresses of clients."""
    servers: int
    """Distinct addresses and ports of servers."""
    outcomes: dict[str, int]
    failures: tuple[FailureGroup, ...]
    failing_clients: tuple[Peer, ...]
    """The ten clients with most failures."""
    eap_refused: tuple[Group, ...]
    """Established handshakes after which EAP refused the supplicant, by method: what happened is encrypted."""
    versions: dict[str, int]
    """By version; "unknown" if none is visible."""
    weak: tuple[Group, ...]
    """Old versions, negotiated or offered at most, and codes of findings of medium or high severity."""
    ending: tuple[Ending, ...]
    """Certificates that end soon, the first to end first."""
    resumption: dict[str, int]
    early_data: dict[str, int]
    hello_retries: int
    """Connections with a HelloRetryRequest or HelloVerifyRequest."""
    hello_verifications: int
    """Of these, those with a HelloVerifyRequest, which DTLS 1.0 and 1.2 have (RFC 6347)."""
    times: Times | None
    problems: dict[str, int]
    """Connections with each kind of problem."""
    counts_cut: bool
    """Whether there were too many clients, servers or certificates to count all."""
    not_tls: dict[str, int]
    """TCP flows without TLS, by kind."""
    notes: tuple[str, ...]
    """What was seen and not decoded, and what could not be read."""

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as `--format json` prints it."""
        found: dict[str, Any] = as_json(self)
        return found

    def __repr__(self) -> str:
        failed = sum(group.connections for group in self.failures)
        return f"<CaptureSummary: {counted(self.connections, 'connection')}, {failed:,} failed>"

    def __str__(self) -> str:
        return "\n".join(lines(self))

    def _repr_html_(self) -> str:
        return as_html(_sections(self, _DETAILS[0]))


class _Tally:
    """Counts connections by what they have in common, and their clients and servers."""

    def __init__(self, builder: SummaryBuilder) -> None:
        self._builder = builder
        self._groups: dict[str, tuple[Counter[str], Counter[str], Counter[str]]] = {}

    def add(self, what: str, c: Connection) -> None:
        every, clients, servers = self._groups.setdefault(what, (Counter(), Counter(), Counter()))
        every[what] += 1
        self._builder.count(clients, c.client.host)
        self._builder.count(servers, table.server(c)[-1])

    def groups(self) -> tuple[Group, ...]:
        found = [
            Group(what, every[what], _most(clients, _WORST), _most(servers, _WORST))
            for what, (every, clients, servers) in self._groups.items()
        ]
        return tuple(sorted(found, key=lambda group: (-group.connections, group.what)))


def _most(counts: Counter[str], number: int) -> tuple[Peer, ...]:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]
    return tuple(Peer(name, many) for name, many in most)


class SummaryBuilder:
    """Collects a summary from connections, in bounded memory."""

    def __init__(self) -> None:
        self._connections = self._captures = self._hello_retries = self._hello_verifications = 0
        self._source: str | None = None
        self._start: str | None = None
        self._end: str | None = None
        self._cut = False
        self._peers = MAX_PEERS
        self._clients: Counter[str] = Counter()
        self._servers: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._resumption: Counter[str] = Counter()
        self._early_data: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._failures, self._eap_refused, self._weak = _Tally(self), _Tally(self), _Tally(self)
        self._advice: dict[str, list[str]] = defaultdict(list)
        """What to do about the first failures of each reason."""
        self._failing: Counter[str] = Counter()
        self._ending: dict[str, Ending] = {}
        self._times: Counter[float] = Counter()
        self._slowest: list[Slow] = []

    def count(self, counts: Counter[str], name: str | None) -> None:
        """Count a name, unless too many are counted already."""
        if name is None:
            return
        if name not in counts:
            if not self._peers:
                self._cut = True
                return
            self._peers -= 1
        counts[name] += 1

    def add(self, c: Connection) -> None:
        """Add a connection."""
        self._connections += 1
        # Captures are read one after the other.
        self._captures += c.source != self._source
        self._source = c.source
        if c.start is not None:
            self._start = min(self._start or c.start, c.start)
        if c.end is not None:
            self._end = max(self._end or c.end, c.end)
        self.count(self._clients, c.client.host)
        self.count(self._servers, str(c.server))
        keyed = keyed_end(c)
        self._outcomes[c.outcome if keyed is None else f"{keyed.outcome}{table.KEYED}"] += 1
        self._versions[c.version or "unknown"] += 1
        self._resumption[c.resumption or "unknown"] += 1
        if c.hello_retry:
            self._hello_retries += 1
            self._hello_verifications += c.first_message("hello_verify_request") is not None
        if c.early_data not in (None, "none"):
            self._early_data[c.early_data or ""] += 1
        self._problems.update({one.code for one in c.problems})
        if has_failed(c):
            reason = table.outcome(c)[0] or c.outcome
            self._failures.add(reason, c)
            if len(self._advice[reason]) < EXPLAINED:
                self._advice[reason].append(advice(c, explain(c)))
            self.count(self._failing, c.client.host)
        elif c.outcome == "established" and c.eap is not None and c.eap.result == "failure":
            self._eap_refused.add(c.eap.method, c)
        for what in dict.fromkeys(weaknesses(c)):
            self._weak.add(what, c)
        leaf = c.leaf("server")
        if leaf is not None:
            self._add_certificate(c, leaf)
        if c.timing.handshake_ms is not None:
            self._add_time(c, c.timing.handshake_ms)

    def _add_certificate(self, c: Connection, leaf: Certificate) -> None:
        at, end = parse_time(c.start), parse_time(leaf.not_after)
        if at is None or end is None or end - at > SOON:
            return
        if leaf.sha256 not in self._ending and len(self._ending) >= MAX_ENDING:
            self._cut = True
            return
        name = table.common_name(leaf.subject, leaf.dns_names)
        server = table.server(c)[-1] or str(c.server)
        known = self._ending.get(leaf.sha256)
        with_keys = c.needs_keys("certificates") and (known is None or known.with_keys)
        self._ending[leaf.sha256] = Ending(name, leaf.not_after or "", (end - at).days, leaf.sha256, server, with_keys)

    def _add_time(self, c: Connection, took: float) -> None:
        # To three digits there are few distinct durations, so that their percentiles need no sample.
        self._times[float(f"{took:.3g}")] += 1
        slow = Slow(c.source, c.stream_name, table.server(c)[-1] or str(c.server), took)
        self._slowest = sorted([*self._slowest, slow], key=_slowest_first)[:_WORST]

    def summary(
        self,
        read: int,
        not_tls: Counter[str],
        notes: Sequence[str],
        *,
        selected: bool = False,
        frames: int | None = None,
    ) -> CaptureSummary:
        """Return the summary; the numbers of connections and frames read, flows and notes come from the reading."""
        return CaptureSummary(
            connections=self._connections,
            connections_read=read,
            frames=frames,
            selected=selected,
            captures=self._captures,
            start=self._start,
            end=self._end,
            clients=len(self._clients),
            servers=len(self._servers),
            outcomes=_ranked(self._outcomes),
            failures=tuple(
                [
                    FailureGroup(one.what, one.connections, one.clients, one.servers, self._advised(one.what))
                    for one in self._failures.groups()
                ]
            ),
            failing_clients=_most(self._failing, _FAILING),
            versions=_ranked(self._versions),
            eap_refused=self._eap_refused.groups(),
            weak=self._weak.groups(),
            ending=tuple(sorted(self._ending.values(), key=lambda one: (one.not_after, one.sha256))),
            resumption=_ranked(self._resumption),
            early_data=_ranked(self._early_data),
            hello_retries=self._hello_retries,
            hello_verifications=self._hello_verifications,
            times=self._spread(),
            problems=_ranked(self._problems),
            counts_cut=self._cut,
            not_tls=_ranked(not_tls),
            notes=tuple(notes),
        )

    def _advised(self, reason: str) -> str | None:
        (found, *others) = set(self._advice[reason])
        return None if others else found or None

    def _spread(self) -> Times | None:
        if not self._times:
            return None
        return Times(_percentile(self._times, 0.5), _percentile(self._times, 0.9), tuple(self._slowest))


def _slowest_first(slow: Slow) -> tuple[float, str, str, str]:
    return -slow.handshake_ms, slow.source, slow.stream, slow.server


def _percentile(counts: Counter[float], part: float) -> float:
    """Return the smallest value that at least this many values do not exceed."""
    left = part * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return max(counts)


def _ranked(counts: Counter[str]) -> dict[str, int]:
    """Return counts, the highest first: the order must not depend on that of the connections."""
    return {name: many for name, many in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if many}


def weaknesses(c: Connection) -> Iterator[str]:
    """Yield what is old or weak in a connection: versions, and codes of findings of medium or high severity."""
    if c.version in OLD_VERSIONS:
        yield f"{c.version} negotiated"
    for found in protocol_findings(c):
        if found.severity in _GRAVE and found.code not in ("old_tls_version", "ssl_version"):
            yield found.code
    offered = max(c.offered_versions, default=None)
    if offered in OLD_VERSIONS:
        yield f"{offered} offered at most"


def weakness_in_words(what: str) -> str:
    """Say what is old or weak as it follows a number of connections."""
    return WEAK_IN_WORDS.get(what) or _OLD_IN_WORDS.get(what, what)


# ---------------------------------------------------------------- text


class _Detail(Struct, frozen=True):
    """How much the text names of what the summary has; the rest is counted."""

    groups: int
    """Groups of failures and of weaknesses, and certificates."""
    notes: int
    peers: int
    """Clients and servers of each group."""
    kinds: int
    """Kinds of each count."""
    failing: int
    """Clients with most failures."""
    slowest: int


RESUMED = {"ticket": "by session ticket", "session_id": "by session ID", "psk": "by PSK"}
"""How sessions were resumed."""
_UNCLEAR = {"incomplete": "without the end of the handshake", "one_sided": "with packets of one direction only"}
"""Outcomes that the capture does not show."""
WEAK_IN_WORDS = {
    "null_cipher": "with a NULL cipher",
    "anonymous_cipher": "with an anonymous cipher suite",
    "export_cipher": "with an export cipher suite",
    "rc4_cipher": "with RC4",
    "des_cipher": "with DES or RC2",
    "triple_des_cipher": "with 3DES",
    "static_rsa": "with RSA key transport",
    "small_dh": "with a Diffie-Hellman prime under 2048 bits",
    "no_secure_renegotiation": "without secure renegotiation",
    "compression": "with TLS compression",
    "heartbleed": "with Heartbleed",
    "conflicting_data": "with conflicting data",
}
"""Findings of medium or high severity about a connection."""
_OLD_IN_WORDS = {
    **{f"{version} negotiated": f"with {version}" for version in OLD_VERSIONS},
    **{f"{version} offered at most": f"offering at most {version}" for version in OLD_VERSIONS},
}
"""Weaknesses of versions."""
_SCREEN = 40
"""Lines of the text, if less detail makes it shorter."""
_DETAILS = (
    _Detail(groups=4, notes=8, peers=2, kinds=8, failing=_FAILING, slowest=_WORST),
    _Detail(groups=3, notes=4, peers=1, kinds=5, failing=3, slowest=1),
)
"""From the most."""
_RED = "31"


def lines(found: CaptureSummary, *, width: int | None = 80, coloured: bool = False) -> Iterator[str]:
    """Return the lines of the text, which fits a screen if less detail can make it fit."""
    shown: list[str] = []
    for detail in _DETAILS:
        shown = list(labelled(_sections(found, detail), width, coloured=coloured))
        if len(shown) <= _SCREEN:
            break
    return iter(shown)


def text(found: CaptureSummary, *, width: int | None, coloured: bool, encoding: str) -> Iterator[bytes]:
    """Yield the text, encoded."""
    for line in lines(found, width=width, coloured=coloured):
        yield encoded(f"{line}\n", encoding)


_Texts = list[tuple[int, str]]


def _sections(found: CaptureSummary, detail: _Detail) -> Iterator[Section]:
    if found.connections:
        yield Section("Connections", "", [(0, _seen(found))])
        failed = sum(group.connections for group in found.failures)
        if failed:
            clients = _named(found.failing_clients[: detail.failing], failed)
            worst = f"{failed:,} of {found.connections:,}, by client: {clients}"
            yield Section("Failed", _RED, [(2, worst), *_failures(found.failures, detail)])
        else:
            yield Section("Failed", "", [(0, "none")])
        if found.eap_refused:
            yield Section("EAP-Failure", _RED, [(0, "after the handshake"), *_groups(found.eap_refused, detail)])
        unclear = [f"{found.outcomes[name]:,} {words}" for name, words in _UNCLEAR.items() if name in found.outcomes]
        if unclear:
            yield Section("Not all seen", "", [(0, ", ".join(unclear))])
        versions = {NO_VERSION if name == "unknown" else name: many for name, many in found.versions.items()}
        yield Section("Versions", "", [(0, _counted(versions, detail))])
        if found.weak:
            yield Section("Old or weak", _RED, _groups(found.weak, detail, weakness_in_words))
        if found.ending:
            yield Section("Certificates", _RED, _ending(found.ending, detail))
        yield Section("Resumption", "", [(0, _resumption(found, detail))])
        if found.times is not None:
            yield Section("Handshakes", "", list(_times(found.times, found, detail)))
    else:
        read = found.connections_read
        none = "no packets" if found.frames == 0 else "no TLS connections"
        yield Section("Connections", "", [(0, f"none of {read:,} selected" if read else none)])
    if found.not_tls:
        total = sum(found.not_tls.values())
        every = ", selected or not" if found.selected else ""
        yield Section("Not TLS", "", [(0, f"{counted(total, 'TCP flow')}{every}: {_counted(found.not_tls, detail)}")])
    if found.notes:
        notes = [one.removeprefix("not read: ") for one in found.notes]
        yield Section("Not all read", "", _cut(notes, detail.notes, "and {} more"))
    if found.problems:
        kinds = counted_problems(found.problems)
        cut = [f"and {len(kinds) - detail.kinds} more kinds"] if len(kinds) > detail.kinds else []
        yield Section("Problems", "", [(0, ", ".join([*kinds[: detail.kinds], *cut]))])
    if detail != _DETAILS[0]:
        yield Section("", "", [(0, "All of it: tlsdissect summary --format json")])


def _seen(found: CaptureSummary) -> str:
    least = "at least " if found.counts_cut else ""
    ends = f"{least}{counted(found.clients, 'client')}, {least}{counted(found.servers, 'server')}"
    when = period(found.start, found.end)
    read = "" if found.connections == found.connections_read else f" of {found.connections_read:,}"
    established = f"{found.outcomes.get('established', 0):,} established"
    return f"{found.connections:,}{read}, {established}; {ends}{f', {when}' if when else ''}"


def _failures(groups: Sequence[FailureGroup], detail: _Detail) -> _Texts:
    """Return the reasons of failures, each followed by what to do about it."""
    texts = _groups(groups, detail)
    advised = zip(texts, [group.advice for group in groups[: detail.groups]], strict=False)
    found = [one for text, told in advised for one in (text, *([] if told is None else [(2, f"To do: {told}.")]))]
    return found + texts[detail.groups :]


def _groups(groups: Sequence[Group], detail: _Detail, words: Callable[[str], str] = str) -> _Texts:
    texts = [f"{group.connections:,} {words(group.what)}: {_peers(group, detail)}" for group in groups]
    return _cut(texts, detail.groups, "and {} more")


def _cut(texts: Sequence[str], most: int, rest: str) -> _Texts:
    """Return the first paragraphs, and a sentence about how many more there are."""
    return [*((2, one) for one in texts[:most]), *[(2, rest.format(f"{len(texts) - most:,}"))] * (len(texts) > most)]


def _peers(group: Group, detail: _Detail) -> str:
    clients, servers = group.clients[: detail.peers], group.servers[: detail.peers]
    return f"from {_named(clients, group.connections)} to {_named(servers, group.connections)}"


def _named(peers: Sequence[Peer], total: int) -> str:
    named = [one.name if one.connections == total else f"{one.name} ({one.connections:,})" for one in peers]
    others = total - sum(one.connections for one in peers)
    return ", ".join([*named, *([f"others ({others:,})"] if others else [])])


def _ending(ending: Sequence[Ending], detail: _Detail) -> _Texts:
    def when(one: Ending) -> str:
        if one.days_left < 0:
            # Days are counted down to the next whole one: -3 is more than two days.
            ago = -one.days_left - 1
            days = f"more than {counted(ago, 'day')}" if ago else "up to a day"
            return f"expired on {one.not_after[:10]}, {days} before"
        days = counted(one.days_left, "day") if one.days_left else "less than a day"
        return f"expires on {one.not_after[:10]}, {days} after"

    texts = [
        f"{one.subject}{table.KEYED if one.with_keys else ''} {when(one)} it was last seen: {one.server}"
        for one in ending
    ]
    return _cut(texts, detail.groups, "and {} more; tlsdissect certs --ends-within 30 lists those of issuers, too")


def _resumption(found: CaptureSummary, detail: _Detail) -> str:
    resumed = {RESUMED[name]: many for name, many in found.resumption.items() if name in RESUMED}
    how = f"{sum(resumed.values()):,} of {found.connections:,}: {_counted(resumed, detail)}"
    early = f"; early data: {_counted(found.early_data, detail)}" if found.early_data else ""
    return f"{how if resumed else f'none of {found.connections:,}'}{early}"


def _times(times: Times, found: CaptureSummary, detail: _Detail) -> Iterator[tuple[int, str]]:
    verified = found.hello_verifications
    asked = ((verified, "HelloVerifyRequest"), (found.hello_retries - verified, "HelloRetryRequest"))
    retried = "".join(f"; {counted(many, name)}" for many, name in asked if many)
    slow = [f"{in_ms(one.handshake_ms)} (stream {_stream(one, found)}, {one.server})" for one in times.slowest]
    if len(slow) == 1:
        yield 2, f"{slow[0]}{retried}"
        return
    yield 0, f"median {in_ms(times.median)}, 90th percentile {in_ms(times.p90)}{retried}"
    yield 2, f"slowest: {', '.join(slow[: detail.slowest])}"


def _stream(slow: Slow, found: CaptureSummary) -> str:
    """Return a stream as `--stream` takes it, with its capture if there are several."""
    return slow.stream if found.captures == 1 else f"{slow.source.rpartition('/')[2]}:{slow.stream}"


def _counted(counts: dict[str, int], detail: _Detail) -> str:
    named = [f"{many:,} {name}" for name, many in list(counts.items())[: detail.kinds]]
    rest = list(counts.values())[detail.kinds :]
    return ", ".join(named + [f"{sum(rest):,} of {counted(len(rest), 'other kind')}"] * bool(rest))
