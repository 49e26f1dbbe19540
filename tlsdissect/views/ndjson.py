"""JSON, one object per line: connections, what other views say of a connection, and rows of tables."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType, structs
from msgspec.json import Decoder, Encoder

from tlsdissect.model.connection import ClientHello, Connection, Endpoint, Hidden, ServerHello
from tlsdissect.views.printable import printable_json, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.views.tables import Table

_encode_lines = Encoder().encode_lines


def json_line(value: Struct | dict[str, Any] | tuple[Any, ...]) -> bytes:
    """Encode a value as one line; surrogates in it, which come from names of captures (PEP 383), are escaped."""
    try:
        return printable_json(_encode_lines((value,)))
    except UnicodeEncodeError:
        return printable_json(_encode_lines((_with_text(value),)))


def json_text(value: Struct | dict[str, Any]) -> bytes:
    """Encode a value as `json_line` does, without the end of the line."""
    return json_line(value).removesuffix(b"\n")


def _with_text(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, dict):
        return {name: _with_text(one) for name, one in value.items()}
    if isinstance(value, Struct):
        return structs.replace(value, **{name: _with_text(one) for name, one in structs.asdict(value).items()})
    return [_with_text(one) for one in value] if isinstance(value, list | tuple) else value


class JsonLines:
    """A view: what `describe` returns for each connection; nothing for None."""

    head = b""

    def __init__(self, describe: Callable[[Connection], Struct | None]) -> None:
        self._describe = describe

    def section(self, _: str) -> bytes:
        """Return no heading: each object names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection as one line."""
        described = self._describe(connection)
        return b"" if described is None else json_line(described)


class Ndjson(JsonLines):
    """The view of connections themselves."""

    def __init__(self) -> None:
        super().__init__(lambda connection: connection)

    def row(self, connection: Connection) -> bytes:
        """Format a connection as one line."""
        return json_line(connection)


class JsonRows:
    """Writes the rows of a table."""

    def __init__(self, table: Table, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._names = [column.name for column in table.columns]

    def add(self, row: list[Any]) -> None:
        """Write a row."""
        self._write(json_line(dict(zip(self._names, row, strict=True))))

    def end(self) -> None:
        """Nothing comes after the last row."""


class ParsedExtension(dict[str, Any]):
    """An extension that was read back, with its keys as attributes: its class was made while hellos were decoded.

    A decoder of `Parsed` needs a `dec_hook` that makes it.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class _ClientHello(ClientHello, frozen=True):
    extensions: tuple[ParsedExtension, ...] | None  # type: ignore[assignment]


class _ServerHello(ServerHello, frozen=True):
    extensions: tuple[ParsedExtension, ...] | None  # type: ignore[assignment]


class _Hidden(Hidden, frozen=True, kw_only=True):
    encrypted_extensions: tuple[ParsedExtension, ...] | None = None  # type: ignore[assignment]


class _Endpoint(Endpoint, frozen=True):
    """An Endpoint or a Station."""

    mac: str | UnsetType = UNSET

    @property
    def host(self) -> str:
        return self.mac or super().host


class Parsed(Connection, frozen=True):
    """A connection that was read back."""

    client: _Endpoint
    server: _Endpoint
    client_hello: _ClientHello | None
    server_hello: _ServerHello | None
    hidden: _Hidden | None = None


@cache
def _decoder() -> Decoder[Parsed]:
    """Make the decoder once it is needed: it looks at the types of all fields, which takes a tenth of the start-up."""
    return Decoder(Parsed, dec_hook=lambda of, value: ParsedExtension(value) if of is ParsedExtension else value)


def parse(line: bytes) -> Parsed:
    """Read a line back; the connection is written as the same line again."""
    return _decoder().decode(line)
