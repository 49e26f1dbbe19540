"""Connections in, a comparison out."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Literal

from tlsdissect.views.comparison.kinds import version_group
from tlsdissect.views.comparison.model import VERSIONS, Group
from tlsdissect.views.comparison.pairs import Pairs
from tlsdissect.views.comparison.room import Room
from tlsdissect.views.comparison.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.transcript.connection import Connection

By = Literal["server", "sni", "client", "capture"]
MAX_GROUPS = 10_000
"""Servers, names, clients or captures that are told apart; what comes later only counts in the whole."""
MAX_GROUP_BYTES = 4 << 20
"""Bytes of their names; a name for which there is no room only counts in the whole, too."""

_KEYS: dict[str, Callable[[Connection], str]] = {
    "server": lambda c: f"[{c.server.ip}]:{c.server.port}" if ":" in c.server.ip else f"{c.server.ip}:{c.server.port}",
    "sni": lambda c: c.sni or "(no server_name)",
    "client": lambda c: c.client.ip,
    "capture": lambda c: c.source,
}


class _Gathered:
    """The connections of one group."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.tallies: dict[str, Tally] = {}
        self.pairs = Pairs(room)

    def add(self, c: Connection) -> None:
        version = version_group(c)
        if version not in self.tallies:
            self.tallies[version] = Tally(version, self.room)
        self.tallies[version].add(c)
        self.pairs.add(c)

    def told(self, key: str | None) -> Group:
        sides = tuple(self.tallies[version].side() for version in VERSIONS if version in self.tallies)
        return Group(key, sides, self.pairs.differences(), self.pairs.left_out)


class Comparing:
    """Gathers connections, one by one, in bounded memory: one room for all of them together, one for their groups."""

    def __init__(self, by: By | None = None) -> None:
        self._key = None if by is None else _KEYS[by]
        self._whole = _Gathered(Room())
        self._room = Room()
        self._groups: dict[str, _Gathered] = {}
        self._names_bytes = 0
        self.left_out = 0
        """Connections of groups for which there was no room."""

    def add(self, c: Connection) -> None:
        """Take a connection in."""
        self._whole.add(c)
        if self._key is None:
            return
        key = self._key(c)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS or self._names_bytes + getsizeof(key) > MAX_GROUP_BYTES:
                self.left_out += 1
                return
            self._names_bytes += getsizeof(key)
            group = self._groups[key] = _Gathered(self._room)
        group.add(c)

    def groups(self) -> tuple[Group, ...]:
        """Compare: everything first, then each group, by the order in which they came."""
        return self._whole.told(None), *(one.told(key) for key, one in self._groups.items())
