"""The summary of a report in sentences, and its findings by rule."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.model.connection import SEVERITIES
from tlsdissect.trust.rules import RULES
from tlsdissect.views import table
from tlsdissect.views.comparison.formats import WITH_RETRY
from tlsdissect.views.durations import in_ms, period
from tlsdissect.views.phrases import counted, listed
from tlsdissect.views.printable import printable, shortened
from tlsdissect.views.problems import counted_problems
from tlsdissect.views.summary import RESUMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Connection, Finding
    from tlsdissect.trust.inventory import CertificateSummary
    from tlsdissect.trust.judge import Judge
    from tlsdissect.trust.rules import Rule
    from tlsdissect.views.comparison.model import Difference, Group, Side

MAX_ENDS = 100_000
"""Distinct clients, and distinct servers, that are counted."""
_VERSIONS = {"older": "TLS 1.1 or older", "QUIC": "TLS 1.3 in QUIC"}
_UNITS = {"round_trips": "round trips", "milliseconds": "ms", "in_round_trips": "round trips of TCP"}
MAX_SERVERS = 10_000
"""Distinct servers that are counted for one rule."""
_NAMED = 3
"""Servers that are listed by name."""
_NAME = 40
"""Maximum length of a server's name, in characters."""
_DETAIL = 160
"""Maximum length of what a finding says in detail, in characters."""

_FOREMOST = 8
"""Findings that are named above all else."""
_WORDS = {
    "ssl_version": "SSL 2.0 or 3.0",
    "old_tls_version": "TLS 1.0 or 1.1",
    "null_cipher": "no encryption",
    "anonymous_cipher": "no authentication of the server",
    "export_cipher": "export cipher suite",
    "rc4_cipher": "RC4",
    "des_cipher": "DES or RC2",
    "triple_des_cipher": "3DES",
    "static_rsa": "RSA key transport",
    "small_dh": "Diffie-Hellman under 2048 bits",
    "compression": "TLS compression",
    "heartbleed": "Heartbleed",
    "expired": "expired certificate",
    "not_yet_valid": "certificate not valid yet",
    "self_signed": "self-signed certificate",
    "untrusted": "untrusted certificate",
    "name_mismatch": "certificate for another name",
    "bad_signature": "certificate not signed by its issuer",
    "issuer_not_ca": "issuer that is not a CA",
    "path_too_long": "too many CAs below an issuer",
    "name_not_permitted": "name that the issuer may not certify",
    "roca_key": "key vulnerable to ROCA",
    "shared_prime": "keys that share a prime",
    "weak_signature": "MD5 or SHA-1 signature",
    "revoked": "revoked certificate",
    "bad_crl": "unusable CRL",
}
"""Names of findings where their codes alone would not be understood."""


class Overview:
    """Collects the figures of the summary that a comparison does not have."""

    def __init__(self) -> None:
        self._connections = 0
        self._clients: set[str] = set()
        self._servers: set[str] = set()
        self._first: str | None = None
        self._last: str | None = None
        self._problems: Counter[str] = Counter()
        self._troubled = 0
        self.captures: Counter[str] = Counter()
        """Connections of each capture."""

    def add(self, c: Connection) -> None:
        """Add a connection."""
        self._connections += 1
        self.captures[c.source] += 1
        if len(self._clients) < MAX_ENDS:
            self._clients.add(c.client.host)
        if len(self._servers) < MAX_ENDS:
            self._servers.add(str(c.server))
        if c.start is not None:
            self._first = min(self._first or c.start, c.start)
            self._last = max(self._last or c.start, c.start)
        self._troubled += bool(c.problems)
        self._problems.update({one.code for one in c.problems})

    def sentences(self, whole: Group) -> Iterator[str]:
        """Yield the sentences of the summary."""
        if not self._connections:
            yield "The captures contain no TLS connections."
            return
        yield self._seen()
        if whole.other_views:
            views = counted(whole.other_views, "of these is another view", "of these are other views")
            yield f"{views} of a connection in another capture: versions, times and what could be read count it once."
        yield from _versions(whole.sides)
        yield from _ends(whole.sides)
        yield from _resumed(whole.sides)
        yield from _took(whole.sides)
        yield from _differences(whole.differences)
        yield from _post_quantum(whole.sides)
        yield from _exposed(whole.sides)
        if self._troubled:
            kinds = [printable(one) for one in counted_problems(dict(self._problems.most_common()))]
            yield f"In {_connections(self._troubled)} something is missing or inferred: {listed(kinds, 10)}."

    def _seen(self) -> str:
        clients, servers = (
            f"{'at least ' if len(ends) == MAX_ENDS else ''}{counted(len(ends), what)}"
            for ends, what in ((self._clients, "client"), (self._servers, "server"))
        )
        when = period(self._first, self._last) or "without times"
        return f"The captures contain {_connections(self._connections)} of {clients} with {servers}, {when}."


def _versions(sides: Sequence[Side]) -> Iterator[str]:
    total = sum(side.connections for side in sides)
    known = [(_version(side), side.connections) for side in sides if side.version != "unknown"]
    parts = [f"{many:,} ({100 * many / total:.0f} %) negotiated {name}" for name, many in reversed(known)]
    parts += [f"{side.connections:,} no visible version" for side in sides if side.version == "unknown"]
    yield f"{listed(parts)}."


def _ends(sides: Sequence[Side]) -> Iterator[str]:
    established, failed, incomplete = (
        sum(getattr(side, name) for side in sides) for name in ("established", "failed", "incomplete")
    )
    if not failed and not incomplete:
        yield "Every handshake was completed."
        return
    parts = [f"{counted(established, 'handshake was', 'handshakes were')} completed"]
    if failed:
        alerts: Counter[str] = Counter()
        for side in sides:
            alerts.update(side.alerts)
        named = listed([f"{printable(name)} ({many:,})" for name, many in alerts.most_common()])
        parts.append(f"{failed:,} failed{f', by the alerts {named}' if named else ''}")
    if incomplete:
        parts.append(f"the captures do not show the end of {incomplete:,}")
    yield f"{'; '.join(parts)}."


def _resumed(sides: Sequence[Side]) -> Iterator[str]:
    kinds: Counter[str] = Counter()
    for side in sides:
        kinds.update({kind: many for kind, many in side.resumption.items() if kind != "none"})
    early = sum(side.early_data.get("accepted", 0) for side in sides)
    if kinds:
        how = listed([f"{many:,} {RESUMED.get(kind, kind)}" for kind, many in kinds.most_common()])
        more = f"; early data was accepted in {early:,}" if early else ""
        yield f"{kinds.total():,} resumed an earlier session: {how}{more}."
    for name, later in (("HelloVerifyRequest", False), ("HelloRetryRequest", True)):
        retries = sum(side.hello_retries for side in sides if (side.version in WITH_RETRY) == later)
        if retries:
            yield f"In {_connections(retries)} the server asked for another ClientHello ({name})."


def _took(sides: Sequence[Side]) -> Iterator[str]:
    """Yield round trips and times by version; they do not compare the same clients and servers."""
    for side in sides:
        times, trips = side.milliseconds.get("handshake"), side.mean_round_trips
        if side.version == "unknown" or times is None or trips is None:
            continue
        yield (
            f"A handshake of {_version(side)} took {trips:.2f} round trips on average; the median time was "
            f"{in_ms(times.median)}, the 90th percentile {in_ms(times.p90)}."
        )


def _differences(differences: Sequence[Difference] | None) -> Iterator[str]:
    for one in differences or ():
        if one.kind != "full" or one.measure not in ("round_trips", "milliseconds"):
            continue
        unit = _UNITS[one.measure]
        interval = f"95 %: {one.low:.2f} to {one.high:.2f}"
        what = f"Between the same clients and servers, full handshakes of TLS 1.3 take {abs(one.difference):.2f} {unit}"
        if one.differs:
            more = ("fewer" if one.measure == "round_trips" else "less") if one.difference > 0 else "more"
            statistic = "mean" if one.measure == "round_trips" else "median"
            numbers = f"{statistic} {one.new:.2f}, not {one.old:.2f}"
            yield f"{what} {more} than those of TLS 1.2 ({numbers}; {interval})."
        else:
            yield f"In {unit}, full handshakes of TLS 1.2 and TLS 1.3 do not differ significantly ({interval})."


def _post_quantum(sides: Sequence[Side]) -> Iterator[str]:
    offered, used = (sum(getattr(side.post_quantum, name) for side in sides) for name in ("offered", "negotiated"))
    if used:
        yield f"{used:,} negotiated a post-quantum key exchange; {offered:,} offered one."
    elif offered:
        yield f"{offered:,} offered a post-quantum key exchange; none negotiated it."
    else:
        yield "None offered a post-quantum key exchange."


def _exposed(sides: Sequence[Side]) -> Iterator[str]:
    """Yield what anyone on the path could read."""
    sni, shown, clients, size = (
        sum(getattr(side.exposure, name) for side in sides)
        for name in ("sni", "connections", "client_certificates", "bytes")
    )
    parts = [f"the server's name in {_connections(sni)}"] if sni else []
    if shown:
        parts.append(f"certificates in {_connections(shown)} ({size:,} bytes)")
    if clients:
        parts.append(f"the client's certificate in {_connections(clients)}")
    if parts:
        yield f"Anyone on the path could read {listed(parts)}."
    keyed, certificates, clients = (
        sum(getattr(side.keyed, name) for side in sides)
        for name in ("connections", "certificates", "client_certificates")
    )
    if keyed:
        shown = f"certificates in {_connections(certificates)}" if certificates else "no certificate"
        of_clients = f", the client's in {clients:,}" if clients else ""
        yield f"Keys opened {_connections(keyed)} and revealed {shown}{of_clients}."


def _connections(many: int) -> str:
    return counted(many, "connection")


def _version(side: Side) -> str:
    return _VERSIONS.get(side.version, side.version)


class Found(Struct, frozen=True):
    """The findings of one rule."""

    rule: Rule
    connections: int
    certificates: int
    where: str
    detail: str
    """What the findings say in detail, or the first of them if they differ."""
    keyed: tuple[int, int]
    """The connections and the certificates that have it only by what keys show."""

    @property
    def needs_keys(self) -> str:
        """A sentence about how many have it only by what keys show; empty if none has."""
        connections, certificates = self.keyed
        if self.keyed == (self.connections, self.certificates):
            return "Only keys show it."
        many = [counted(connections, "connection")] if connections else []
        many += [counted(certificates, "certificate")] if certificates else []
        return f"Only keys show it in {' and '.join(many)}." if many else ""

    @property
    def words(self) -> str:
        """A name that a reader knows who has never seen the codes."""
        return _WORDS.get(self.rule.code) or self.rule.code.replace("_", " ")

    @property
    def many(self) -> str:
        """How many connections have it, or if none has, how many certificates."""
        return (
            counted(self.connections, "connection") if self.connections else counted(self.certificates, "certificate")
        )


def foremost(found: Sequence[Found]) -> list[Found]:
    """Return the findings that are named above all else: the first of high severity, or without one of medium."""
    high, medium = ([one for one in found if one.rule.severity == severity] for severity in ("high", "medium"))
    return (high or medium)[:_FOREMOST]


class Servers:
    """The servers of some connections, of which the first are named."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._digests: set[bytes] = set()
        """A digest of each server's name, because names may be of any length."""

    def add(self, connection: Connection) -> None:
        """Count the server of a connection, up to MAX_SERVERS."""
        server = table.server(connection)[-1] or ""
        digest = blake2b(server.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._digests or len(self._digests) >= MAX_SERVERS:
            return
        self._digests.add(digest)
        if len(self._first) < _NAMED:
            self._first.append(shortened(printable(server), _NAME, tail=_NAME // 2))

    def named(self) -> str:
        """Name the first, and say how many more there are."""
        more = len(self._digests) - len(self._first)
        least = "at least " if len(self._digests) == MAX_SERVERS else ""
        return ", ".join(self._first) + (f" and {least}{more:,} more" if more > 0 else "")


class _Tally:
    def __init__(self) -> None:
        self.connections = 0
        self.certificates = 0
        self.servers = Servers()
        self.detail: str | None = None
        """What the first of the findings says in detail."""
        self.details_differ = False
        self.keyed = [0, 0]
        """The connections and the certificates in which only keys show it."""

    def note(self, detail: str) -> None:
        """Note what a finding of this rule says in detail."""
        self.details_differ |= self.detail not in (None, detail)
        self.detail = self.detail or detail


class Findings:
    """Collects findings, one connection at a time."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def add(self, connection: Connection) -> None:
        """Count the findings of a connection, each rule once."""
        for one in _by_rule(connection.findings or ()):
            tally = self._tallies.setdefault(one.code, _Tally())
            tally.connections += 1
            tally.keyed[0] += one.with_keys
            tally.servers.add(connection)
            tally.note(one.detail)

    def by_rule(self, summaries: Iterable[CertificateSummary]) -> list[Found]:
        """Return the findings of connections and certificates by rule, most severe first."""
        for summary in summaries:
            for one in _by_rule(summary.findings):
                tally = self._tallies.setdefault(one.code, _Tally())
                tally.certificates += 1
                tally.keyed[1] += one.with_keys
                tally.note(one.detail)
        found = [self._found(rule) for rule in RULES if rule.code in self._tallies]
        return sorted(found, key=lambda one: -SEVERITIES.index(one.rule.severity))

    def _found(self, rule: Rule) -> Found:
        tally = self._tallies[rule.code]
        detail = shortened(printable(tally.detail or ""), _DETAIL)
        such = "for example: " if tally.details_differ else ""
        where, keyed = tally.servers.named(), (tally.keyed[0], tally.keyed[1])
        return Found(rule, tally.connections, tally.certificates, where, f"{such}{detail}", keyed)


def _by_rule(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Return the last finding of each rule; one that only keys show only if all are such."""
    return {one.code: one for one in sorted(findings, key=lambda one: not one.with_keys)}.values()


def verdict_sentences(found: Sequence[Found], judge: Judge) -> Iterator[str]:
    """Yield what the table of findings does not say: that there are none, and whether trust was checked."""
    if not found:
        yield f"No findings{'' if judge.min_severity == 'info' else f' of severity {judge.min_severity} or higher'}."
    elif all(one.rule.severity == "info" for one in found):
        yield "No findings above severity info."
    if not judge.checks_paths:
        yield "Trust in certificates was not checked, because no authorities were given."
