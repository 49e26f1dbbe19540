"""The keys of the JSON output by which columns and orders are chosen: `sni`, `timing.handshake_ms`, `alerts.from`."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tlsdissect.corpus.expression import Kind, keys, kind_of, missing_key
from tlsdissect.model.connection import Connection, Endpoint
from tlsdissect.views.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from msgspec import Struct

_TYPES = {"text": str, "an integer": int, "a number": float, "true or false": bool}


def column(key: str) -> Column:
    """Return the column of a key; those of objects are joined by dots, and those of a list are a list.

    A number is the position of an item: `certificates.0.subject`. Raises ValueError, with a suggestion if there is no
    such key.
    """
    names = key.split(".")
    value: Callable[[Any], Any] = _itself
    kind, several = Kind("", of=Connection), False
    for name in names:
        if kind.item is not None and not several and name.isdecimal():
            kind, value = kind.item, _item(value, int(name))
            continue
        if kind.item is not None and not several:
            kind, several = kind.item, True
        if kind.of is None:
            raise ValueError(f"{key!r}: {kind} has no keys")
        fields = keys(kind.of)
        if name not in fields:
            raise ValueError(missing_key(name, kind.of, Connection))
        kind, value = kind_of(fields[name].type), _inner(value, fields[name].name, several=several)
    if kind.of is Endpoint:
        kind, value = Kind("text"), _as_text(value)
    return Column(key, list if several else _TYPES.get(str(kind), list), value)


def order(key: str) -> Column:
    """Return the column to sort by; raises ValueError if its values have no order."""
    found = column(key)
    if found.kind is list:
        raise ValueError(f"cannot sort by {key!r}: its values are lists or objects")
    return found


def every_key() -> Iterator[str]:
    """Yield the keys that `column` knows, without those of single items of lists."""
    return _keys_of(Connection, "")


def _keys_of(of: type[Struct], before: str, *, several: bool = False) -> Iterator[str]:
    for name, field in keys(of).items():
        yield f"{before}{name}"
        kind = kind_of(field.type)
        if kind.of is not None:
            yield from _keys_of(kind.of, f"{before}{name}.", several=several)
        elif kind.item is not None and kind.item.of is not None and not several:
            yield from _keys_of(kind.item.of, f"{before}{name}.", several=True)


def _itself(connection: Any) -> Any:
    return connection


def _inner(outer: Callable[[Any], Any], name: str, *, several: bool) -> Callable[[Any], Any]:
    """Return a function that follows an attribute, in every item of a list, and stops at None."""
    get = attrgetter(name)

    def value(of: Any) -> Any:
        found = outer(of)
        if found is None:
            return None
        return [None if one is None else get(one) for one in found] if several else get(found)

    return value


def _item(outer: Callable[[Any], Any], place: int) -> Callable[[Any], Any]:
    """Return a function for an item of a list; None if the list is shorter."""

    def value(of: Any) -> Any:
        found = outer(of)
        return found[place] if found is not None and place < len(found) else None

    return value


def _as_text(value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def text(of: Any) -> str | None:
        found = value(of)
        return None if found is None else str(found)

    return text
