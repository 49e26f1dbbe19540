"""Connections as flat tables that are joined by `source`, `transport` and `stream`, for exports and DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tlsdissect.model.connection import Alert, Certificate, Connection, Finding, Message
from tlsdissect.views.columns import COLUMNS, Column, columns, flat_extension

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from tlsdissect.model.connection import Side

    Rows = Callable[[Connection], Iterator[list[Any]]]
    Write = Callable[[bytes], object]


class Table(NamedTuple):
    """A table: its name, its columns, and a function that yields a connection's rows, with one value per column."""

    name: str
    columns: tuple[Column, ...]
    rows: Rows


class TableWriter(Protocol):
    """Writes the rows of one table."""

    def add(self, row: list[Any], /) -> None:
        """Take a row."""
        ...

    def end(self) -> None:
        """Write the end of the table."""
        ...


def _key(name: str, kind: type, meaning: str = "") -> Column:
    return Column(name, kind, lambda _: None, key=f"Connection.{name}", meaning=meaning)


_KEYS = (_key("source", str), _key("transport", str), _key("stream", int))
_WITH_KEYS = _key("with_keys", bool, "Whether only keys show it.")
_POSITION = _key("position", int, "Its place in the order of the wire, from 0.")
_SENDER = _key("sender", str, "The side that sent it: client or server.")
_PLACE = (*_KEYS, _POSITION)
_BODY = tuple(column for column in COLUMNS if not column.raw)
_EXTENSION = (
    _SENDER,
    _key("message", str, "The message that it is in: client_hello or server_hello."),
    _POSITION,
    _key("type", str, "Its name in IANA's registry."),
    _key("code", int, "Its number."),
    _key("bytes", int, "The length of its content."),
    _key("fields", list, "Its decoded fields, as JSON."),
)


def connection_table(names: Collection[str] | None = None) -> Table:
    """Return the table of connections, with these columns only if any are named."""
    kept = _named(_BODY, names)

    def rows(c: Connection) -> Iterator[list[Any]]:
        yield [column.value(c) for column in kept]

    return Table("connections", kept, rows)


class PresentedCertificate(NamedTuple):
    """A certificate with its sender and its position in the chain."""

    connection: Connection
    sender: Side
    position: int
    certificate: Certificate


def presented_certificates(c: Connection) -> Iterator[PresentedCertificate]:
    """Yield the certificates of a connection, the server's first."""
    sides: tuple[Side, Side] = ("server", "client")
    for side in sides:
        for position, one in enumerate(c.chain(side) or ()):
            yield PresentedCertificate(c, side, position, one)


def certificate_table(names: Collection[str] | None = None) -> Table:
    """Return the table of certificates, with these of their facts only if any are named."""
    kept = _named(tuple(columns(Certificate)), names)

    def rows(c: Connection) -> Iterator[list[Any]]:
        for one in presented_certificates(c):
            facts = [column.value(one.certificate) for column in kept]
            name = "certificates" if one.sender == "server" else "client_certificates"
            yield [c.source, c.transport, c.stream, one.sender, one.position, *facts, c.needs_keys(name)]

    return Table("certificates", (*_KEYS, _SENDER, _POSITION, *kept, _WITH_KEYS), rows)


def _named(known: tuple[Column, ...], names: Collection[str] | None) -> tuple[Column, ...]:
    return known if names is None else tuple([column for column in known if column.name in names])


def _extensions(c: Connection) -> Iterator[list[Any]]:
    for sender, message, hello in (
        ("client", "client_hello", c.client_hello),
        ("server", "server_hello", c.server_hello),
    ):
        for position, one in enumerate((hello.extensions if hello else None) or ()):
            yield [c.source, c.transport, c.stream, sender, message, position, *flat_extension(one).values()]


def _with_hidden(name: str, kind: tuple[Column, ...]) -> Rows:
    """Return a function that yields a row for each item of a list, and then for each of that list which keys show."""

    def rows(c: Connection) -> Iterator[list[Any]]:
        seen, opened = getattr(c, name), getattr(c.hidden, name, None) or ()
        for position, one in enumerate((*seen, *opened)):
            facts = [column.value(one) for column in kind]
            yield [c.source, c.transport, c.stream, position, *facts, position >= len(seen)]

    return rows


def _listed(items: Callable[[Connection], Iterable[Any] | None], kind: tuple[Column, ...]) -> Rows:
    """Return a function that yields a row for each item of a list, with its position."""

    def rows(c: Connection) -> Iterator[list[Any]]:
        for position, one in enumerate(items(c) or ()):
            yield [c.source, c.transport, c.stream, position, *(column.value(one) for column in kind)]

    return rows


_MESSAGE, _ALERT, _FINDING = tuple(columns(Message)), tuple(columns(Alert)), tuple(columns(Finding))
TABLES: tuple[Table, ...] = (
    connection_table(),
    certificate_table(),
    Table("messages", (*_PLACE, *_MESSAGE, _WITH_KEYS), _with_hidden("messages", _MESSAGE)),
    Table(
        "extensions",
        (*_KEYS, *_EXTENSION),
        _extensions,
    ),
    Table("alerts", (*_PLACE, *_ALERT, _WITH_KEYS), _with_hidden("alerts", _ALERT)),
    Table("findings", (*_PLACE, *_FINDING), _listed(lambda c: c.findings, _FINDING)),
)
"""All tables except the comparison. `position` counts from 0 in wire order."""
COMPARISON = Table(
    "comparison", tuple(_key(name, str) for name in ("key", "version", "measure", "value")), lambda _: iter(())
)
"""The numbers of a comparison; no single connection has rows in it."""
