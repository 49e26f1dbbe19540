"""The findings of a run by rule, with counts and servers."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.trust.rules import RULES, SEVERITIES
from tlsdissect.views import phrases
from tlsdissect.views.explain.model import counted, listed
from tlsdissect.views.printable import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.inventory import CertificateSummary
    from tlsdissect.trust.judge import Judge
    from tlsdissect.trust.rules import Rule

MAX_SERVERS = 10_000
"""Distinct servers that are counted for one rule."""
_NAMED = 3
"""Servers that are listed by name."""
_NAME = 40
"""Maximum length of a server's name, in characters."""


class Found(Struct, frozen=True):
    """The findings of one rule."""

    rule: Rule
    connections: int
    certificates: int
    where: str


class _Tally:
    def __init__(self) -> None:
        self.connections = 0
        self.certificates = 0
        self.first: list[str] = []
        """The servers that are listed by name."""
        self.servers: set[bytes] = set()
        """A digest of each server's name, because names may be of any length."""

    def add(self, server: str) -> None:
        """Count a server, up to MAX_SERVERS."""
        digest = blake2b(server.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self.servers or len(self.servers) >= MAX_SERVERS:
            return
        self.servers.add(digest)
        if len(self.first) < _NAMED:
            self.first.append(shortened(printable(server), _NAME, tail=_NAME // 2))

    def where(self) -> str:
        first = self.first
        more = len(self.servers) - len(first)
        least = "at least " if len(self.servers) == MAX_SERVERS else ""
        return ", ".join(first) + (f" and {least}{more:,} more" if more > 0 else "")


class Findings:
    """Collects findings, one connection at a time."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def add(self, connection: Connection) -> None:
        """Count the findings of a connection, each rule once."""
        for code in {one.code for one in connection.findings or ()}:
            tally = self._tallies.setdefault(code, _Tally())
            tally.connections += 1
            tally.add(phrases.server(connection)[-1] or "")

    def by_rule(self, summaries: Iterable[CertificateSummary]) -> list[Found]:
        """Return the findings of connections and certificates by rule, most severe first."""
        for summary in summaries:
            for code in {one.code for one in summary.findings}:
                self._tallies.setdefault(code, _Tally()).certificates += 1
        found = [self._found(rule) for rule in RULES if rule.code in self._tallies]
        return sorted(found, key=lambda one: -SEVERITIES.index(one.rule.severity))

    def _found(self, rule: Rule) -> Found:
        tally = self._tallies[rule.code]
        return Found(rule, tally.connections, tally.certificates, tally.where())


def sentences(found: Sequence[Found], judge: Judge) -> Iterator[str]:
    """Yield sentences: the findings by severity, and whether trust was checked."""
    for severity in reversed(SEVERITIES[1:]):
        codes = [one for one in found if one.rule.severity == severity]
        if codes:
            named = listed([f"{one.rule.code} ({_many(one)})" for one in codes], 8)
            yield f"{severity.capitalize()}: {named}."
    if not found:
        yield f"No findings{'' if judge.min_severity == 'info' else f' of severity {judge.min_severity} or higher'}."
    elif all(one.rule.severity == "info" for one in found):
        yield "No findings above severity info."
    if not judge.checks_paths:
        yield "Trust in certificates was not checked, because no authorities were given."


def _many(one: Found) -> str:
    return counted(one.connections, "connection") if one.connections else counted(one.certificates, "certificate")
