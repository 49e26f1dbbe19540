"""The failures of a report by reason, and the figures above all else."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.model.connection import SEVERITIES
from tlsdissect.model.transcript import has_failed, keyed_end
from tlsdissect.trust.rules import RULES
from tlsdissect.views import table
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.stories import digest
from tlsdissect.views.phrases import listed
from tlsdissect.views.printable import printable
from tlsdissect.views.summary import EXPLAINED, Group, Peer, weakness_in_words, weaknesses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.explain.model import Explanation
    from tlsdissect.views.summary import CaptureSummary, FailureGroup


_WEAKNESSES = 3
"""Kinds of old or weak connections that the tiles name."""
_IN_WORDS = {"no_answer": "the server never answered"}
"""Reasons that are keys in the column of outcomes."""
_STORIES = 3
"""Maximum number of stories shown for each reason."""


class Tile(Struct, frozen=True):
    """One of the figures on top of the page, and the section that it leads to."""

    number: str
    label: str
    detail: str
    section: str
    bad: bool = False


class Story(Struct):
    """Connections that failed for one reason and in the same way."""

    sentences: list[str]
    """What `explain` says about the end of the first of them."""
    guess: bool
    """Whether a part of that is a guess."""
    first: int
    """Row number of that connection in the page's table."""
    connections: int = 0


class Failure(Struct, frozen=True):
    """The connections that failed for one reason."""

    reason: str
    connections: int
    clients: list[Peer]
    servers: list[Peer]
    stories: list[Story]
    """The most frequent ways in which they failed, of those that were explained."""
    others: int
    """How many other ways there were."""
    explained: int
    """How many of them were explained: the first ones."""
    advice: str
    """What to do about it; empty unless the connections of this reason show the cause."""

    @property
    def heading(self) -> str:
        """The reason in words; `reason` is what the column of outcomes has."""
        return _IN_WORDS.get(self.reason, self.reason)

    @property
    def guess(self) -> bool:
        """Whether a part of what is said about them is a guess."""
        return any(story.guess for story in self.stories)


class Failures:
    """Collects how connections failed, and counts what the tiles show."""

    def __init__(self) -> None:
        self._rows = 0
        self._explained: Counter[str] = Counter()
        self._stories: dict[str, dict[bytes, Story]] = defaultdict(dict)
        """By reason, and by what makes a story."""
        self._weak = self._versions = self._tls13 = 0

    def add(self, c: Connection) -> None:
        """Add a connection that was read with its transcript."""
        reason = table.outcome(c)[0] or c.outcome
        if has_failed(c) and self._explained[reason] < EXPLAINED:
            self._explained[reason] += 1
            said, stories = explain(c), self._stories[reason]
            key = digest(c, said)
            if key not in stories:
                stories[key] = _story(c, said, self._rows)
            stories[key].connections += 1
        self._rows += 1
        self._weak += any(True for _ in weaknesses(c))
        self._versions += c.version is not None
        self._tls13 += bool(c.is_tls13)

    def by_reason(self, summary: CaptureSummary) -> list[Failure]:
        """Return the failures, the most frequent reason first."""
        return [self._failure(group) for group in summary.failures]

    def _failure(self, group: FailureGroup) -> Failure:
        stories = sorted(self._stories[group.what].values(), key=lambda story: -story.connections)
        return Failure(
            printable(group.what),
            group.connections,
            _named(group.clients),
            _named(group.servers),
            stories[:_STORIES],
            len(stories[_STORIES:]),
            self._explained[group.what],
            group.advice or "",
        )

    def tiles(self, summary: CaptureSummary) -> list[Tile]:
        """Return the figures on top of the page."""
        failed = sum(group.connections for group in summary.failures)
        weak = self._weak
        connections = "connection" if summary.connections == 1 else "connections"
        captures = f"{summary.captures:,} captures" if summary.captures != 1 else "1 capture"
        expired, many = sum(one.days_left < 0 for one in summary.ending), len(summary.ending)
        certificates = "certificate" if many == 1 else "certificates"
        if expired == many > 0:
            certificates, expiring = f"{certificates} expired", "when last seen"
        else:
            soon = "expires soon" if many == 1 else "expired or expire soon" if expired else "expire soon"
            certificates = f"{certificates} {soon}"
            expiring = f"{expired:,} had expired when last seen" if expired else "within 30 days of the capture"
        return [
            Tile(f"{summary.connections:,}", connections, f"in {captures}", "connections"),
            Tile(f"{failed:,}", "failed", _share(failed, summary.connections), "failures", bool(failed)),
            Tile(f"{weak:,}", "old or weak", _weak(summary), "findings", bool(weak)),
            Tile(f"{many:,}", certificates, expiring, "certificates", bool(many)),
            Tile(
                f"{100 * self._tls13 / self._versions:.0f} %" if self._versions else "-",
                "TLS 1.3",
                f"of {self._versions:,} with a visible version",
                "comparison",
            ),
        ]


def _story(c: Connection, said: Explanation, row: int) -> Story:
    ended = list(said.about("end"))
    if keyed_end(c) is not None:
        ended += [one for one in said.about("keys") if one.code in ("keys_alert", "keys_close")]
    return Story([one.with_evidence for one in ended], any(one.guess for one in ended), row)


def _weak(summary: CaptureSummary) -> str:
    """Say what the old or weak connections are, the most severe first; a connection may be of several kinds."""
    groups = sorted(summary.weak, key=lambda group: (-_severity(group.what), -group.connections))
    kinds = [(group.connections, printable(weakness_in_words(group.what))) for group in groups]
    if len(kinds) == 1:
        return kinds[0][1]
    named, more = [f"{many:,} {what}" for many, what in kinds], len(kinds) - _WEAKNESSES + 1
    if len(kinds) > _WEAKNESSES:
        named = [*named[: _WEAKNESSES - 1], f"{more:,} more kinds"]
    return listed(named) or "none"


def _severity(what: str) -> int:
    """Return how severe a weakness is: as its rule says, and an old version that was only offered least."""
    if what.endswith(" offered at most"):
        return -1
    version = what.removesuffix(" negotiated")
    code = what if version == what else "ssl_version" if version.startswith("SSL") else "old_tls_version"
    return next((SEVERITIES.index(rule.severity) for rule in RULES if rule.code == code), 0)


def _share(part: int, whole: int) -> str:
    if not part or not whole:
        return "none"
    share = "under 1" if part / whole < 0.005 else f"{100 * part / whole:.0f}"
    return f"{share} % of {whole:,}"


def printable_group(group: Group) -> Group:
    """Return a group whose names are printable."""
    clients, servers = tuple(_named(group.clients)), tuple(_named(group.servers))
    return Group(printable(group.what), group.connections, clients, servers)


def _named(peers: Sequence[Peer]) -> list[Peer]:
    return [Peer(printable(one.name), one.connections) for one in peers]
