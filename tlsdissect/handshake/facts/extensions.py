"""Decoded structs as facts: numbers named by their registries, bytes as hexadecimal or text."""

from __future__ import annotations

import re
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

from msgspec import Struct, defstruct
from msgspec.structs import astuple

from tlsdissect.caches import cached, footprint
from tlsdissect.model.connection import Extension
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.extensions import MAX_CACHED, NEVER_REPEATED, Table, decode
from tlsdissect.tls.layout import annotated
from tlsdissect.tls.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.tls.client_hello import Extension as WireExtension

FACT_CACHE_BYTES = 1 << 20
"""Bytes of decoded extensions of one kind of message that are kept for the next one which has the same."""

_BARE_BYTES = 512
"""Bytes that the facts of an extension take of whose body nothing is known."""

_TEXTS = frozenset(("host_name", "protocol_name_list", "protocols", "public_name", "srp_i"))
"""Fields whose bytes are text to those who send them."""

_PLAIN = re.compile(rb"[!-\[\]-~]*")
"""Printable ASCII but for the backslash."""
_SHOWN = [chr(byte) if 0x20 < byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in range(256)]
"""How each byte is written."""

_RENAMED = {"type": "body_type", "code": "body_code", "bytes": "body_bytes"}
"""Names that every extension's facts have already, and what a body's field of that name is called there."""


class Decoded(Struct, frozen=True):
    """An extension as a fact, its decoded body, and what was wrong with it."""

    fact: Extension
    body: Struct | None
    error: WireError | None


def text(data: bytes) -> str:
    r"""Bytes as printable ASCII; every other byte, and the backslash, is written `\xNN`."""
    if _PLAIN.fullmatch(data):
        return data.decode("ascii")
    return "".join(map(_SHOWN.__getitem__, data))


def _size(number: int, data: bytes, told: Decoded) -> int:
    """Estimate the bytes of an extension and its facts: where each byte is an item, its name takes 100 at most."""
    if told.error is not None:
        return len(data) + footprint(number, told, enough=FACT_CACHE_BYTES)
    return len(data) + _BARE_BYTES if told.body is None else 800 + 100 * len(data)


class ExtensionDecoder:
    """Tells the extensions of one kind of message; what repeats is told once."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._decode_cached = cached(FACT_CACHE_BYTES, _size)(self._decode)

    def decode(self, sent: WireExtension, *, keep: bool = True) -> Decoded:
        """Tell an extension; with `keep`, for the next message that has the same, too."""
        number, data = sent.extension_type, sent.extension_data
        if not keep or len(data) > MAX_CACHED or (data and number in NEVER_REPEATED):
            return self._decode(number, data)
        return self._decode_cached(number, data)

    def _decode(self, number: int, data: bytes) -> Decoded:
        name, size = Registry.EXTENSIONS.names[number], len(data)
        try:
            body = decode(self._table, number, data)
        except WireError as error:
            # Its frames hold the reader, and would be kept with it.
            error.with_traceback(None)
            return Decoded(Extension(type=name, code=number, bytes=size), None, error)
        if body is None:
            return Decoded(Extension(type=name, code=number, bytes=size), None, None)
        kind, fields = _fact_class(type(body))
        told = {shown: form(getattr(body, field)) for shown, field, form in fields}
        return Decoded(kind(type=name, code=number, bytes=size, **told), body, None)


@cache
def _fact_class(kind: type[Struct]) -> tuple[type[Extension], tuple[tuple[str, str, Callable[[Any], Any]], ...]]:
    """The class of facts for a body; and of each field the name there, the name here, and how it is told."""
    fields = tuple((_RENAMED.get(name, name), name, form) for name, form in _formatters(kind))
    shown = [(name, Any) for name, _, _ in fields]
    # Another process may not have made this class yet.
    rebuilt = {"__reduce__": lambda told: (_rebuild, (kind, *astuple(told)))}
    name, bases = kind.__name__, (Extension,)
    told = defstruct(name, shown, bases=bases, module=__name__, namespace=rebuilt, frozen=True, kw_only=True, gc=False)
    return cast("type[Extension]", told), fields


def _rebuild(kind: type[Struct], *values: Any) -> Extension:
    """Make the facts for a body from their values, in the order of their fields."""
    told = _fact_class(kind)[0]
    return told(**dict(zip(told.__struct_fields__, values, strict=True)))


@cache
def _formatters(kind: type[Struct]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, _formatter(name, hints[name])) for name in kind.__struct_fields__)


def _formatter(name: str, hint: Any) -> Callable[[Any], Any]:
    """How a field of this name and type is told."""
    kind, notes = annotated(hint)
    if kind is bytes:
        return text if name in _TEXTS else bytes.hex
    if Registry in notes:
        return cast("Registry", notes[Registry]).names.__getitem__
    if get_origin(kind) is tuple:
        of = get_args(kind)[0]
        if Registry in (notes := annotated(of)[1]):
            return cast("Registry", notes[Registry]).names.of
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
    return lambda value: {name: form(getattr(value, name)) for name, form in fields}


def _unchanged(value: Any) -> Any:
    """A number that no registry names, or nothing."""
    return value
