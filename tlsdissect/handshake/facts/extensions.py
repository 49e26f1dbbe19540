"""Facts of decoded extensions: numbers as registered names, bytes as hexadecimal or text."""

from __future__ import annotations

from functools import cache
from itertools import chain
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from msgspec import Struct, defstruct
from msgspec.structs import astuple

from tlsdissect.caches import cached, footprint
from tlsdissect.handshake.facts.refill import (
    CALL,
    CONSTANT,
    DICT,
    HEX,
    NUMBER,
    TEXT,
    TUPLE,
    Refill,
    Refills,
    Step,
)
from tlsdissect.handshake.facts.text import text
from tlsdissect.model.connection import Extension
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.extension_ech import TransportParameters
from tlsdissect.tls.extension_names import ServerNameList
from tlsdissect.tls.extensions import (
    FROM_CERTIFICATE_ENTRY,
    FROM_CERTIFICATE_REQUEST,
    FROM_CLIENT,
    FROM_RETRY,
    FROM_SERVER,
    NEVER_REPEATED,
    Table,
    decode,
)
from tlsdissect.tls.layout import annotated
from tlsdissect.tls.survey import Field, survey
from tlsdissect.tls.wire import TooManyItemsError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.tls.layout import WireStruct

T = TypeVar("T")

FACT_CACHE_BYTES = 1 << 20
"""Bytes of cached extensions of one type of message."""
MAX_CACHED = 256
"""Bytes of the longest extension body that is cached."""

MALFORMED = "malformed_message"
_NAMES = Registry.EXTENSIONS.names
_BARE_BYTES = 512
"""Estimated bytes of the facts of an extension without a decoded body."""

_TEXTS = frozenset(("host_name", "protocol_name_list", "protocols", "public_name", "srp_i"))
"""Fields whose bytes are text."""

_RENAMED = {"type": "body_type", "code": "body_code", "bytes": "body_bytes"}
"""New names of fields whose names `Extension` already has."""


class Decoded(Struct, frozen=True):
    """The facts of an extension, its decoded body, and code and detail of the problem if it is malformed."""

    fact: Extension
    body: Struct | None
    problem: tuple[str, str] | None


def _size(number: int, data: bytes, decoded: Decoded) -> int:
    """Estimate the bytes of an extension and its facts: if each byte is an item, its name takes at most 100."""
    if decoded.problem is not None:
        return len(data) + footprint(number, decoded, enough=FACT_CACHE_BYTES)
    return len(data) + _BARE_BYTES if decoded.body is None else 800 + 100 * len(data)


class ExtensionDecoder:
    """Decodes the extensions of one type of message; repeated ones are cached."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.refills = Refills()
        """What makes the facts of extensions whose structure was decoded before."""
        self._decode_cached = cached(FACT_CACHE_BYTES, _size)(self.decode_anew)

    def decode(self, number: int, data: bytes, *, keep: bool = True) -> Decoded:
        """Decode an extension; with `keep`, cache the result."""
        if keep and number not in NEVER_REPEATED and len(data) <= MAX_CACHED:
            return self._decode_cached(number, data)
        decoded = self.decode_anew(number, data)
        if keep and number in NEVER_REPEATED and decoded.problem is None and self.refills.wants(number, data):
            self.refills.add(number, data, refill(data, decoded))
        return decoded

    def decode_anew(self, number: int, data: bytes) -> Decoded:
        """Decode an extension without the cache."""
        name, size = _NAMES[number], len(data)
        try:
            body = decode(self._table, number, data)
        except WireError as error:
            code = "limit" if isinstance(error, TooManyItemsError) else MALFORMED
            return Decoded(Extension(name, number, size), None, (code, f"extension {name}: {error}"))
        if body is None:
            return Decoded(Extension(name, number, size), None, None)
        wrong = _names_error(body) if isinstance(body, ServerNameList) else None
        problem = None if wrong is None else (MALFORMED, f"extension {name}: {wrong}")
        fact_class, fields = _fact_class(type(body))
        values = [convert(getattr(body, field)) for field, convert in fields]
        return Decoded(fact_class(name, number, size, *values), body, problem)


def refill(data: bytes, decoded: Decoded) -> Refill:
    """Return what makes the facts of other extensions with the structure of one without an error."""
    fact, body = decoded.fact, decoded.body
    places: list[tuple[int, int]] = []
    fields = () if body is None else survey(cast("type[WireStruct]", type(body)), data).fields
    # Those of QUIC are lengths of what follows, or have lengths of their own (RFC 9000 section 16).
    numbers_vary = not isinstance(body, TransportParameters)
    steps = [Step(CONSTANT, one) for one in (fact.type, fact.code, fact.bytes)]
    for one in fields:
        steps += _steps(getattr(fact, _RENAMED.get(one.name, one.name)), one, one.name, places, numbers_vary)
    steps.append(Step(CALL, type(fact), count=len(fields) + 3))
    return Refill(data, places, steps if places else [Step(CONSTANT, fact)])


def unchanged(value: object, struct: type[WireStruct], data: bytes, **given: Any) -> Refill:
    """Return what makes `value` of any message that differs from a well-formed one in nothing but strings of bytes."""
    ahead, places = list(survey(struct, data, **given).fields), []
    while ahead:
        one = ahead.pop(0)
        ahead[:0] = one.parts
        if not one.parts and isinstance(one.value, bytes):
            places.append((one.end - len(one.value), one.end))
    return Refill(data, places, [Step(CONSTANT, value)])


def _steps(value: Any, field: Field, name: str, places: list[tuple[int, int]], numbers_vary: bool) -> list[Step]:
    """Return the steps that make the fact `value` of other bytes than the field's, and add the places that they read.

    `name` is that of the field, or if it is an item of a list, of the list.
    """
    start, end, parts = field.start, field.end, field.parts
    if parts:
        if isinstance(value, dict):
            names = tuple([part.name for part in parts])
            inner, last = [(value[one], one) for one in names], Step(DICT, names, count=len(parts))
        else:
            inner, last = [(one, name) for one in value], Step(TUPLE, count=len(parts))
        steps = [
            _steps(one, part, as_name, places, numbers_vary) for (one, as_name), part in zip(inner, parts, strict=True)
        ]
        return [*chain.from_iterable(steps), last]
    if isinstance(field.value, bytes) and field.value:
        start = end - len(field.value)
        places.append((start, end))
        return [Step(TEXT if name in _TEXTS else HEX, None, start, end)]
    if numbers_vary and isinstance(field.value, int) and field.registry is None:
        places.append((start, end))
        return [Step(NUMBER, None, start, end)]
    return [Step(CONSTANT, value)]


def _names_error(names: ServerNameList) -> str | None:
    """Return what is wrong with a ServerNameList: it must have a name, none empty, and only one of each type.

    RFC 6066 section 3.
    """
    listed = names.server_name_list
    if not listed:
        return "no name"
    if not all(name.host_name for name in listed):
        return "an empty name"
    types = {name.name_type for name in listed}
    return "several names of one type" if len(types) < len(listed) else None


@cache
def _fact_class(kind: type[Struct]) -> tuple[type[Extension], tuple[tuple[str, Callable[[Any], Any]], ...]]:
    """Return the class of a body's facts, and of each fact the name of its field in the body and its formatter."""
    fields = _formatters(kind)
    shown = [(_RENAMED.get(name, name), Any) for name, _ in fields]
    # Another process may not have created this class yet.
    rebuilt = {"__reduce__": lambda fact: (_rebuild, (kind, *astuple(fact)))}
    name, bases = kind.__name__, (Extension,)
    fact_class = defstruct(name, shown, bases=bases, module=__name__, namespace=rebuilt, frozen=True, gc=False)
    return cast("type[Extension]", fact_class), fields


@cache
def fact_names() -> frozenset[str]:
    """Return the names of all fields in which facts of extensions have what was decoded, whatever the type.

    Extensions of tickets (FROM_TICKET) are shown by `show` alone: no fact has them.
    """
    decoders = (FROM_CLIENT, FROM_SERVER, FROM_RETRY, FROM_CERTIFICATE_REQUEST, FROM_CERTIFICATE_ENTRY)
    bodies = {body for table in decoders for body in table.values()}
    return frozenset(_RENAMED.get(name, name) for body in bodies for name, _ in _formatters(body))


def _rebuild(kind: type[Struct], *values: Any) -> Extension:
    """Create the facts for a body from their values, in the order of the fields."""
    return _fact_class(kind)[0](*values)


@cache
def _formatters(kind: type[Struct]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, _formatter(name, hints[name])) for name in kind.__struct_fields__)


def _formatter(name: str, hint: Any) -> Callable[[Any], Any]:
    """Return the function that converts a field of this name and type to a fact."""
    kind, annotations = annotated(hint)
    if kind is bytes:
        return text if name in _TEXTS else bytes.hex
    if Registry in annotations:
        return cast("Registry", annotations[Registry]).names.__getitem__
    if get_origin(kind) is tuple:
        of = get_args(kind)[0]
        if Registry in (annotations := annotated(of)[1]):
            return cast("Registry", annotations[Registry]).names.of
        inner = _formatter(name, of)
        return lambda value: tuple([inner(item) for item in value])
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct_formatter(kind)
    if get_origin(kind) in (UnionType, Union):
        ways = {annotated(way)[0]: _formatter(name, way) for way in get_args(kind)}
        return lambda value: ways[type(value)](value)
    return _unchanged


def _struct_formatter(kind: type[Struct]) -> Callable[[Any], dict[str, Any]]:
    fields = _formatters(kind)
    return lambda value: {name: convert(getattr(value, name)) for name, convert in fields}


def _unchanged(value: Any) -> Any:
    """Return a number without a registry, or None."""
    return value
