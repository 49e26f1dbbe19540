"""Tables whose columns are functions of what a row is of."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tlsdissect.views.cells import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.tls.codepoints import Registry
    from tlsdissect.transcript.connection import Certificate, Connection


class Shown(NamedTuple):
    """A certificate in its place: who showed it where in a chain."""

    connection: Connection
    side: str
    position: int
    certificate: Certificate


def column(name: str, kind: type, value: Callable[[Any], Any]) -> Column:
    """Make a column; what `value` finds nothing for is None."""
    return Column(name, kind, value)


def rows(columns: Iterable[Column], items: Callable[[Any], Iterable[Any]]) -> Callable[[Any], Iterator[list[Any]]]:
    """Make the rows of a table that has one for each of a connection's items."""
    values = [one.value for one in columns]

    def of(connection: Any) -> Iterator[list[Any]]:
        for item in items(connection):
            yield [value(item) for value in values]

    return of


def shown(c: Connection) -> Iterator[Shown]:
    """Give the certificates that a connection showed, the server's first."""
    for side, chain in (("server", c.certificates), ("client", c.client_certificates)):
        for position, one in enumerate(chain or ()):
            yield Shown(c, side, position, one)


def leaf(c: Connection, side: str) -> Certificate | None:
    """Give a side's own certificate."""
    chain = c.certificates if side == "server" else c.client_certificates
    return chain[0] if chain else None


def uid(c: Connection) -> str:
    """Name a connection as `--stream` takes it: by its capture and its number there."""
    return f"{c.source}:{c.stream}"


def epoch(time: str | None) -> float | None:
    """Turn a time into seconds since 1970, to the microsecond."""
    return None if time is None else datetime.fromisoformat(time).timestamp()


def number(registry: Registry, name: str | None) -> int | None:
    """Find the number of a name; None for GREASE (RFC 8701), which is one of many, and where there is no name."""
    if name is None or name == "GREASE":
        return None
    return int(name, 16) if name.startswith("0x") else _numbers(registry).get(name)


@cache
def _numbers(registry: Registry) -> dict[str, int]:
    return {name: code for code, name in registry.names.items()}
