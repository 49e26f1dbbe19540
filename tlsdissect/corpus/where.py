"""Connections selected by an expression in CEL over the keys of the JSON output (`--where`)."""

from __future__ import annotations

from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

from msgspec import Struct, UnsetType, to_builtins

from tlsdissect.corpus.expression import COLUMN, ITEMS, SIZE, ExpressionError, check, keys, kind_of, placed
from tlsdissect.model.connection import RAW_FINGERPRINTS, Connection, Extension
from tlsdissect.views.printable import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tlsdissect.corpus.expression import Kind

_LINKS = frozenset({"resumes", "same_ticket_as", "retry_of", "problems"})
"""What a connection has only once it is linked to others."""
_ERRORS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What evaluating raises: mostly that a value is null, where the expression needs one."""


class Where:
    """An expression that is checked and compiled once.

    Only the keys that it names are handed to it, since building and converting whole connections costs ten times as
    much. An error in evaluation makes it false, unless the other side of `&&` or `||` decides, as in CEL.
    """

    def __init__(self, source: str) -> None:
        """Check the expression; ExpressionError shows the place of a mistake."""
        self.source = source
        used, evaluated, constants = check(source, Connection)
        cel = _library()
        for call, complaint in constants:
            try:
                cel.evaluate(call)
            except _ERRORS:
                raise complaint from None
        try:
            cel.compile(source)
            self._program = cel.compile(evaluated)
        except ValueError as error:
            raise placed(source, str(error)) from None
        self._values = _projection(Connection, used)
        names = {path[0] for path in used}
        self.needs_links = not names.isdisjoint(_LINKS)
        """Whether it can only be evaluated once connections are linked."""
        self.needs_findings = "findings" in names
        self.needs_raw_fingerprints = not names.isdisjoint(RAW_FINGERPRINTS)

    def __reduce__(self) -> tuple[type[Where], tuple[str]]:
        return Where, (self.source,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Where) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Where({self.source!r})"

    def matches(self, connection: Connection) -> bool:
        """Return whether the expression is true of a connection."""
        try:
            found: object = self._program.execute({name: value(connection) for name, value in self._values})
        except _ERRORS:
            return False
        return found is True


@cache
def _library() -> Any:
    """Load the extension module of the package `cel` alone.

    The package itself also imports its command line with everything that this needs, which takes 0.17 s: longer than
    the rest of a small reading.
    """
    package = find_spec("cel")
    spec = PathFinder.find_spec("cel", None if package is None else package.submodule_search_locations)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("no module named 'cel': pip install common-expression-language")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _projection(of: type[Struct], used: Iterable[tuple[str, ...]]) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return the keys of a struct that are used, and a function for the value of each: an object has used keys only."""
    inside: dict[str, set[tuple[str, ...]]] = {}
    for name, *rest in used:
        if name == SIZE:
            continue
        inside.setdefault(name, set()).add(tuple(rest))
    fields, found = keys(of), []
    for name, paths in inside.items():
        kind = kind_of(fields[name].type)
        found.append((name, _value(fields[name].name, kind, paths)))
    return found


def _value(attribute: str, kind: Kind, paths: set[tuple[str, ...]]) -> Callable[[Any], Any]:
    """Return the function for the value of a key of which the keys of `paths` are used."""
    if kind.of is not None and () not in paths:
        return _object(attribute, _projection(kind.of, paths))
    for path in paths:
        if path[:1] == (COLUMN,) and kind.item is not None and kind.item.of is not None:
            return _column(attribute, keys(kind.item.of)[path[1]].name)
    items = {path[1:] for path in paths if path[:1] == (ITEMS,)}
    if () in paths or () in items or kind.item is None or kind.item.of is None:
        return _plain(attribute)
    if kind.item.of is Extension:
        return _extensions(attribute, {path[0] for path in items})
    return _list(attribute, _projection(kind.item.of, items))


def _plain(attribute: str) -> Callable[[Any], Any]:
    def value(of: Any) -> Any:
        found = getattr(of, attribute)
        if isinstance(found, str):
            return without_surrogates(found)
        if found is None or isinstance(found, int | float):
            return found
        return None if isinstance(found, UnsetType) else to_builtins(found)

    return value


def _column(attribute: str, inner: str) -> Callable[[Any], Any]:
    """Return the function for the values of one attribute of the items of a list."""

    def value(of: Any) -> Any:
        found = getattr(of, attribute)
        return None if found is None else to_builtins([getattr(item, inner) for item in found])

    return value


def _extensions(attribute: str, names: set[str]) -> Callable[[Any], Any]:
    """Return the function for a list of extensions, which have the used keys that their types have."""
    values = [(name, _plain(name)) for name in names if name != SIZE]

    def value(of: Any) -> Any:
        found = getattr(of, attribute)
        if found is None:
            return None
        return [{name: inner(item) for name, inner in values if hasattr(item, name)} for item in found]

    return value


def _object(attribute: str, values: list[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], Any]:
    def value(of: Any) -> Any:
        found = getattr(of, attribute)
        return None if found is None else {name: inner(found) for name, inner in values}

    return value


def _list(attribute: str, values: list[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], Any]:
    def value(of: Any) -> Any:
        found = getattr(of, attribute)
        return None if found is None else [{name: inner(item) for name, inner in values} for item in found]

    return value


__all__ = ["ExpressionError", "Where"]
