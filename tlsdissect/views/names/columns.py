"""Tables whose columns are functions of the item of a row."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.model.connection import Certificate, Connection
    from tlsdissect.tls.codepoints import Registry
    from tlsdissect.views.cells import Column


class Shown(NamedTuple):
    """A certificate with its sender and its position in the chain."""

    connection: Connection
    side: str
    position: int
    certificate: Certificate


def rows(columns: Iterable[Column], items: Callable[[Any], Iterable[Any]]) -> Callable[[Any], Iterator[list[Any]]]:
    """Make the function that yields a row for each item of a connection."""
    values = [one.value for one in columns]

    def of(connection: Any) -> Iterator[list[Any]]:
        for item in items(connection):
            yield [value(item) for value in values]

    return of


def shown(c: Connection) -> Iterator[Shown]:
    """Yield the certificates of a connection, the server's first."""
    for side, chain in (("server", c.certificates), ("client", c.client_certificates)):
        for position, one in enumerate(chain or ()):
            yield Shown(c, side, position, one)


def leaf(c: Connection, side: str) -> Certificate | None:
    """Return the leaf certificate of a side."""
    chain = c.certificates if side == "server" else c.client_certificates
    return chain[0] if chain else None


def uid(c: Connection) -> str:
    """Return a connection's name for `--stream`: its capture and stream number."""
    return f"{c.source}:{c.stream}"


def epoch(time: str | None) -> float | None:
    """Convert a time to seconds since 1970, with microseconds."""
    return None if time is None else datetime.fromisoformat(time).timestamp()


def number(registry: Registry, name: str | None) -> int | None:
    """Return the code point of a name; None without a name, and for GREASE (RFC 8701), which has several."""
    if name is None or name == "GREASE":
        return None
    return int(name, 16) if name.startswith("0x") else _numbers(registry).get(name)


@cache
def _numbers(registry: Registry) -> dict[str, int]:
    return {name: code for code, name in registry.names.items()}
