"""Checks what a dataset says beyond the types of its values: what no reading of a capture returns is refused.

Commands rely on it: a time can be parsed, a hash is hexadecimal, a number fits into a column of 64 bits, and a QUIC
connection has the facts of QUIC. A dataset that somebody else wrote may break all of this. Refused where its rows are
read, it is named; each view would have to check for itself otherwise.

The checks come from the annotations of the types, so that a new field is checked, too.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache, partial
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from msgspec import Struct, UnsetType, structs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.model.connection import Connection

    Check = Callable[[Any], None]

_LARGEST = (1 << 63) - 1
_LONGEST_MS = _LARGEST / 1e6
"""No two times in nanoseconds are further apart."""
_DEEPEST = 16
"""Levels of lists and objects in a field without a type; those of our own have five."""
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"
_ANY_YEAR = r"-?\d{3,5}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
"""A certificate may name a year outside the calendar."""
_HEXADECIMAL = r"([0-9a-f]{2})*"
_TEXTS = {
    "start": _TIME,
    "end": _TIME,
    **dict.fromkeys(("not_before", "not_after", "this_update", "next_update"), _ANY_YEAR),
    **dict.fromkeys(("produced_at", "revocation_time"), _ANY_YEAR),
    **dict.fromkeys(("random", "session_id"), _HEXADECIMAL),
    "sha256": r"[0-9a-f]{64}",
    "serial": r"-?[0-9a-f]+",
}
"""What texts of these names look like."""
_PARTS = {"quic": "quic", "udp": "dtls", "eap": "eap"}
"""The part of a connection that has the facts of its transport."""
_SECOND = len("2026-01-01T00:00:00")


def check_connection(connection: Connection) -> None:
    """Raise ValueError for a connection that no capture has."""
    check_values(connection)
    for time in (connection.start, connection.end):
        if time is not None:
            datetime.fromisoformat(time[:_SECOND])
    part = _PARTS.get(connection.transport, "")
    if part and getattr(connection, part) is None:
        raise ValueError(f"{part} is missing")
    if connection.findings is not None:
        raise ValueError("findings: a dataset does not store them")


def check_values(value: Struct) -> None:
    """Raise ValueError, with the key, if a field has a value that no capture has."""
    for name, key, check in _checks(type(value)):
        part = getattr(value, name)
        if part is not None:
            try:
                check(part)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None


@cache
def _checks(kind: type[Struct]) -> tuple[tuple[str, str, Check], ...]:
    """Return the fields of a type that have a check, with their keys in JSON."""
    found = [(one.name, one.encode_name, _check(one.name, one.type)) for one in structs.fields(kind)]
    return tuple([(name, key, check) for name, key, check in found if check is not None])


def _check(name: str, annotation: Any) -> Check | None:
    """Return the check of a field with this annotation; None if all values of its type are plausible."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        choices = [one.extra_json_schema["enum"] for one in inner[1:] if "enum" in (one.extra_json_schema or {})]
        return partial(_check_choice, frozenset(choices[0])) if choices else None
    if origin in (list, tuple):
        check = _check(name, inner[0])
        return None if check is None else partial(_check_each, check)
    if inner and origin not in (dict, Literal):
        (annotation,) = [one for one in inner if one not in (NoneType, UnsetType)]
        return _check(name, annotation)
    if annotation is str and name in _TEXTS:
        return partial(_check_text, re.compile(_TEXTS[name], re.ASCII))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return check_values
    if isinstance(annotation, type) and issubclass(annotation, dict):
        return _check_extension
    return {int: _check_number, float: _check_milliseconds, dict: check_untyped}.get(origin or annotation)


def _check_each(check: Check, values: tuple[Any, ...]) -> None:
    for value in values:
        check(value)


def _check_number(value: int) -> None:
    if not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{value} is out of range")


def _check_milliseconds(value: float) -> None:
    if not -_LONGEST_MS <= value <= _LONGEST_MS:
        raise ValueError(f"{value} is out of range")


def _check_text(pattern: re.Pattern[str], value: str) -> None:
    if pattern.fullmatch(value) is None:
        raise ValueError(f"{value[:40]!r} does not have the form that is expected here")


def _check_choice(choices: frozenset[str], value: str) -> None:
    if value not in choices:
        raise ValueError(f"{value[:40]!r} is unknown")


def _check_extension(value: dict[str, Any]) -> None:
    """Check what all extensions have, and that what their type adds can be printed."""
    if not (type(value.get("type")) is str and type(value.get("code")) is type(value.get("bytes")) is int):
        raise ValueError("its type, code or bytes is missing or of another type")
    _check_number(value["code"])
    _check_number(value["bytes"])
    check_untyped(value)


def check_untyped(value: Any, most: int = _LARGEST, depth: int = 0) -> None:
    """Raise ValueError if a JSON value is nested too deeply to print, or if a number in it exceeds `most`."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            if type(one) is not str:
                check_untyped(one, most, depth + 1)
    elif isinstance(value, int) and not -most <= value <= most:
        raise ValueError(f"{value} is out of range")
