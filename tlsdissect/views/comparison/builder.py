"""Builds a comparison from connections, one at a time."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Literal

from tlsdissect.views.comparison.model import VERSIONS, Group
from tlsdissect.views.comparison.pairs import Pairs
from tlsdissect.views.comparison.predicates import version_group
from tlsdissect.views.comparison.sampling import Budget
from tlsdissect.views.comparison.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.model.connection import Connection

By = Literal["server", "sni", "client", "capture"]
MAX_GROUPS = 10_000
"""Servers, names, clients or captures that get a group of their own; connections of others count only in the total."""
MAX_GROUP_BYTES = 4 << 20
"""Bytes of their names; beyond it, connections of further groups count only in the total, too."""

_KEYS: dict[str, Callable[[Connection], str]] = {
    "server": lambda c: str(c.server),
    "sni": lambda c: c.sni or "(no server_name)",
    "client": lambda c: c.client.ip,
    "capture": lambda c: c.source,
}


class _GroupTallies:
    """The tallies and pairs of one group."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.tallies: dict[str, Tally] = {}
        self.pairs = Pairs(budget)

    def add(self, c: Connection) -> None:
        version = version_group(c)
        if version not in self.tallies:
            self.tallies[version] = Tally(version, self.budget)
        self.tallies[version].add(c)
        self.pairs.add(c)

    def group(self, key: str | None) -> Group:
        sides = tuple(self.tallies[version].side() for version in VERSIONS if version in self.tallies)
        return Group(key, sides, self.pairs.differences(), self.pairs.left_out)


class ComparisonBuilder:
    """Collects connections in bounded memory: one budget for the total, and one that all groups share."""

    def __init__(self, by: By | None = None) -> None:
        self._key = None if by is None else _KEYS[by]
        self._total = _GroupTallies(Budget())
        self._budget = Budget()
        self._groups: dict[str, _GroupTallies] = {}
        self._names_bytes = 0
        self.left_out = 0
        """Connections that have no group, because there were too many groups."""

    def add(self, c: Connection) -> None:
        """Add a connection."""
        self._total.add(c)
        if self._key is None:
            return
        key = self._key(c)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS or self._names_bytes + getsizeof(key) > MAX_GROUP_BYTES:
                self.left_out += 1
                return
            self._names_bytes += getsizeof(key)
            group = self._groups[key] = _GroupTallies(self._budget)
        group.add(c)

    def groups(self) -> tuple[Group, ...]:
        """Return the comparison of all connections, then that of each group in order of first appearance."""
        return self._total.group(None), *(tallies.group(key) for key, tallies in self._groups.items())
