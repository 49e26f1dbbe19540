"""Refuses values in a dataset that no reading of a capture returns, although their types allow them.

Commands rely on it: a time can be parsed, a hash is hexadecimal, a number fits into a column of 64 bits, and a QUIC
connection has the facts of QUIC. A dataset that somebody else wrote may break all of this. Refused where its rows are
read, it is named; each view would have to check for itself otherwise.

What a field may hold comes from its annotation, so that a new field is checked, too. From each type, a subclass is made
whose annotations say it to msgspec, which checks while it decodes: looking at each value afterwards took three times as
long as decoding did.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct, defstruct, field, structs

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection

T = TypeVar("T", bound=Struct)

_LARGEST = (1 << 63) - 1
_LONGEST_MS = _LARGEST / 1e6
"""No two times in nanoseconds are further apart."""
_DEEPEST = 16
"""Levels of lists and objects in a field without a type; those of our own have five."""
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"
_ANY_YEAR = r"-?\d{3,5}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
"""A certificate may name a year outside the calendar."""
_HEXADECIMAL = r"[0-9a-f]{64}|([0-9a-f]{2})*"
"""The first for speed: most are of 32 bytes."""
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
_TYPES: dict[Any, Any] = {
    int: Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)],
    float: Annotated[float, Meta(ge=-_LONGEST_MS, le=_LONGEST_MS)],
    object: Any,
}
"""What takes the place of a type."""
_PARTS = {"quic": "quic", "udp": "dtls", "eap": "eap"}
"""The part of a connection that has the facts of its transport."""
_SECOND = len("2026-01-01T00:00:00")
_SCALARS = frozenset({str, bool, float, NoneType})
"""Types of JSON values that cannot be wrong."""


@cache
def checked(kind: type[T]) -> type[T]:
    """Return a subclass of a type; decoding to it fails, and names the key, for values that no capture has."""
    fields = structs.fields(kind)
    untyped = [(one.name, one.encode_name) for one in fields if _is_untyped(one.type)]

    def check_untyped_fields(value: Struct) -> None:
        for name, key in untyped:
            part = getattr(value, name)
            try:
                check_untyped(() if part is None else part)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None

    made = defstruct(
        kind.__name__,
        [(one.name, _checked(one.name, one.type), _same_default(one)) for one in fields],
        bases=(kind,),
        module=kind.__module__,
        namespace={"__post_init__": check_untyped_fields} if untyped else None,
        kw_only=True,
    )
    return cast("type[T]", made)


def _is_untyped(annotation: Any) -> bool:
    return annotation in (Any, object) or any(_is_untyped(one) for one in get_args(annotation))


def _same_default(given: structs.FieldInfo) -> Any:
    if given.default_factory is not NODEFAULT:
        return field(name=given.encode_name, default_factory=given.default_factory)
    return field(name=given.encode_name, default=given.default)


def _checked(name: str, annotation: Any) -> Any:
    """Return the annotation of a field of this name that admits only what captures have."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        choices = [one.extra_json_schema["enum"] for one in inner[1:] if "enum" in (one.extra_json_schema or {})]
        return Literal[tuple(choices[0])] if choices else Annotated[(_checked(name, inner[0]), *inner[1:])]
    if origin in (Union, UnionType):
        return Union[tuple(_checked(name, one) for one in inner)]  # noqa: UP007 (of as many as there are)
    if origin in (list, tuple, dict):
        return origin[tuple(one if one is Ellipsis else _checked(name, one) for one in inner)]
    if annotation is str and name in _TEXTS:
        return Annotated[str, Meta(pattern=rf"(?a)^({_TEXTS[name]})\Z")]
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return checked(annotation)
    return _TYPES.get(annotation, annotation)


def check_connection(connection: Connection) -> None:
    """Raise ValueError if the fields of a connection contradict each other; each has been checked by itself."""
    for time in (connection.start, connection.end):
        if time is not None:
            datetime.fromisoformat(time[:_SECOND])
    part = _PARTS.get(connection.transport, "")
    if part and getattr(connection, part) is None:
        raise ValueError(f"{part} is missing")
    if connection.findings is not None:
        raise ValueError("findings are not allowed in a dataset")


def check_extension(value: dict[str, Any]) -> None:
    """Raise ValueError if an extension lacks a required key, or if a value specific to its type cannot be printed."""
    if not (type(value.get("type")) is str and type(value.get("code")) is type(value.get("bytes")) is int):
        raise ValueError("its type, code or bytes is missing or has the wrong type")
    check_untyped(value)


def check_untyped(value: Any, most: int = _LARGEST, depth: int = 0) -> None:
    """Raise ValueError if a list or an object is nested too deeply to print, or if a number in it exceeds `most`."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    parts = value.values() if isinstance(value, dict) else value
    if _SCALARS.issuperset(map(type, parts)):
        return
    for one in parts:
        kind = type(one)
        if kind is int:
            if not -most <= one <= most:
                raise ValueError(f"{one} is out of range")
        elif kind not in _SCALARS:
            check_untyped(one, most, depth + 1)
