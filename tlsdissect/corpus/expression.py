"""The names and types of an expression in CEL (Common Expression Language), checked before anything is read.

The library that evaluates expressions has no type checker, the second phase of CEL: there, a misspelt key or a text
compared with a number would be an error in every connection, which looks as if none were selected. So this parses the
expression by CEL's grammar (https://github.com/google/cel-spec/blob/master/doc/langdef.md), one method per rule, each
of which returns the kind of what it read. Nothing here evaluates.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, UnsetType, structs

from tlsdissect.corpus.suggestion import suggestion
from tlsdissect.model.connection import Extension

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_WORDS = 2000
"""Names, constants and signs of an expression: the library that evaluates it recurses for each of a chain."""
MAX_NESTED = 2
"""Macros inside each other: an expression is evaluated for each item of the first list with each of the second."""
MAX_JOINED = 4
"""Texts or lists that are joined by `+`: `.map(x, x + x)` doubles them each time, and the library keeps all copies."""
MAX_COPIED = 2
"""Maximum uses of `map` and `filter` in an expression: for each item of a list, the library copies those before it."""
_SHOWN = 40
"""Characters of the expression that an error shows on each side of the place."""
_WHAT = 80
"""Characters of what the library says."""
_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<text>[bBrR]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<integer>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANT = re.compile(r"""(["'])([^"'\\]*)\1""")
"""A text without escapes."""
_MEANT = {"=": "==", "&": "&&", "|": "||", "and": "&&", "or": "||", "not": "!", "True": "true", "False": "false"}
"""Signs and names of other languages."""
HEADINGS = {
    "ALPN": "alpn", "JA4": "ja4", "RT": "round_trips", "TLS": "version", "certificate": "certificates.0.subject",
    "ms": "timing.handshake_ms", "resumed": "resumption", "suite": "cipher_suite",
}  # fmt: skip
"""Keys of the columns of the table that have other headings."""
_MOST = 2**63 - 1
_PLACED = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^|]*)")
"""An error of the library that evaluates expressions, with its line and column."""
ITEMS, COLUMN, SIZE = "[]", "[*]", "#"
"""Marks of paths where an expression does not use a whole value. ITEMS: the path goes on inside the items of a list.
COLUMN: the value of one key replaces each item. SIZE: only the size is used, or whether the value is null."""


@dataclass(frozen=True)
class Kind:
    """The kind of a value; every value may also be null."""

    name: str
    item: Kind | None = None
    """That of the items of a list."""
    of: type[Struct] | None = None
    """The struct whose keys an object has."""
    known: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    """What the schema says of a text: its values in an enum, or examples and a pattern."""
    texts: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """The constant, or the constants of a list."""

    def __str__(self) -> str:
        return "a list" if self.item is not None else self.name


ANY, NULL, TRUTH, TEXT = Kind("anything"), Kind("null"), Kind("true or false"), Kind("text")
INTEGER, NUMBER, TIME, DURATION = Kind("an integer"), Kind("a number"), Kind("a time"), Kind("a duration")
_NUMERIC = frozenset({INTEGER, NUMBER})
_PLAIN = {str: TEXT, int: INTEGER, float: NUMBER, bool: TRUTH}
_ORDERED = frozenset({TEXT, INTEGER, NUMBER, TIME, DURATION, TRUTH})
_MACROS = ("all", "exists", "exists_one", "filter", "map")
"""Methods of lists that take a name for the items, and an expression."""
_OF_TEXT = ("contains", "endsWith", "matches", "startsWith")
_OF_DURATION = ("getHours", "getMilliseconds", "getMinutes", "getSeconds")
_OF_TIME = (*_OF_DURATION, "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth")
_FUNCTIONS = {
    "double": NUMBER, "duration": DURATION, "has": TRUTH, "int": INTEGER, "size": INTEGER, "string": TEXT,
    "timestamp": TIME,
}  # fmt: skip
"""Functions of one value, and the kind that each returns."""
_CONSTANTS = {
    "timestamp": "this is not a time such as 2026-01-31T12:00:00Z",
    "duration": "this is not a duration such as 5m",
}
_METHODS = ("size", *_MACROS, *_OF_TEXT, *_OF_TIME)


class Token(NamedTuple):
    """A word of an expression: which group of _TOKEN it is, its text, and where it begins."""

    kind: str
    text: str
    at: int


class ExpressionError(ValueError):
    """An expression that cannot be evaluated; the message is one line, with a caret before the place."""


def keys(of: type[Struct]) -> dict[str, structs.FieldInfo]:
    """Return the fields of a struct by their JSON keys."""
    return {field.encode_name: field for field in structs.fields(of)}


def kind_of(annotation: Any) -> Kind:
    """Return the kind of a field by its type."""
    if isinstance(annotation, str):
        return Kind(TEXT.name, known={"enum": [annotation]})  # a value of a Literal
    for one in getattr(annotation, "__metadata__", ()):
        return replace(kind_of(annotation.__origin__), known=one.extra_json_schema or {})
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return Kind("an object", of=annotation)
    arguments = [one for one in getattr(annotation, "__args__", ()) if one not in (type(None), UnsetType, ...)]
    if getattr(annotation, "__origin__", None) is tuple:
        return Kind("a list", item=kind_of(arguments[0]))
    if arguments and all(isinstance(one, str) for one in arguments):
        return Kind(TEXT.name, known={"enum": arguments})
    kinds = {kind_of(one) for one in arguments} if getattr(annotation, "__origin__", None) is not dict else ()
    return kinds.pop() if len(kinds) == 1 else ANY


class Checked(NamedTuple):
    """What is known of a correct expression."""

    used: frozenset[tuple[str, ...]]
    """The keys whose values it uses, each with those that lead to it; ITEMS or COLUMN stands for a list's items."""
    source: str
    """The expression that is evaluated: where it uses one key of a list's items, over the values of that key."""
    constants: tuple[tuple[str, ExpressionError], ...]
    """Calls of constants, such as `timestamp("2026-01-01T00:00:00Z")`, each with the error if it fails."""


def missing_key(name: str, of: type[Struct], root: type[Struct]) -> str:
    """Say that an object has no such key, and what may have been meant: for the root, also a key inside."""
    near = suggestion(name, keys(of))
    if of is root:
        inside = [path for path in _inside(root) if path.endswith(f".{name}") or path.replace(".", "_") == name]
        meant = HEADINGS.get(name) or (inside[0] if inside else None)
        near = f": did you mean {meant!r}?" if meant else near
    return f"there is no key {name!r}{near}"


def check(source: str, root: type[Struct]) -> Checked:
    """Check an expression over the keys of a struct; raises ExpressionError."""
    checker = _Checker(source, root)
    try:
        checker.whole()
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply") from None
    columns = checker.columns()
    used = frozenset((*path[:-2], COLUMN, path[-1]) if path[:-1] in columns else path for path in checker.used)
    return Checked(used, checker.with_columns(columns), tuple(checker.constants))


def at(source: str, place: int, what: str) -> ExpressionError:
    """Make an error that shows the place."""
    before, after = source[max(0, place - _SHOWN) : place], source[place : place + _SHOWN]
    cut = ("…" if place > _SHOWN else "", "…" if place + _SHOWN < len(source) else "")
    shown = f"{cut[0]}{before}^{after}{cut[1]}".translate({ord("\n"): " ", ord("\r"): " "})
    return ExpressionError(f"at ^ in {shown}: {what}")


def placed(source: str, error: str) -> ExpressionError:
    """Make the error for what only the library rejects, such as an escape in a text."""
    found = _PLACED.search(error)
    if found is None:
        return ExpressionError("this is not an expression of CEL")
    before = source.split("\n")[: int(found[1]) - 1]
    what = " ".join(found[3].split())[:_WHAT]
    return at(source, sum(len(line) + 1 for line in before) + int(found[2]) - 1, what)


class _Checker:
    """Reads an expression from left to right."""

    def __init__(self, source: str, root: type[Struct]) -> None:
        self._source = source
        self._root = root
        self._tokens = self._words()
        self._next = 0
        self._bound: list[tuple[str, tuple[str, ...], Kind]] = []
        """Names that macros give to the items of lists, the innermost last, with their keys and kinds."""
        self.used: set[tuple[str, ...]] = set()
        self.constants: list[tuple[str, ExpressionError]] = []
        self._joined = 0
        """How often `+` joins texts or lists."""
        self._copied = 0
        """How often `map` and `filter` are used."""
        self._of_items: list[tuple[tuple[str, ...], int, int]] = []
        """Where a key of a list's items is: the path to these, and the places of the dot before it and of its end."""

    def columns(self) -> frozenset[tuple[str, ...]]:
        """Return the paths of lists whose items are used by one key only.

        The library takes three times as long to convert an object as a text.
        """
        paths = {path for path, _, _ in self._of_items}
        inside = {path: {used[len(path) :] for used in self.used if used[: len(path)] == path} for path in paths}
        return frozenset(path for path, (one, *more) in inside.items() if not more and len(one) == 1 and one != (SIZE,))

    def with_columns(self, columns: frozenset[tuple[str, ...]]) -> str:
        """Return the expression with `e` for `e.key` where `e` is an item of these lists."""
        source = self._source
        for path, start, end in reversed(self._of_items):
            if path in columns:
                source = source[:start] + source[end:]
        return source

    def _words(self) -> list[Token]:
        words: list[Token] = []
        place = 0
        while place < len(self._source):
            match = _TOKEN.match(self._source, place)
            if match is None:
                sign = self._source[place]
                meant = f": did you mean {_MEANT[sign]!r}?" if sign in _MEANT else ""
                raise at(self._source, place, f"{sign!r} is not allowed here{meant}")
            if match.lastgroup != "blank":
                if len(words) == MAX_WORDS:
                    raise at(self._source, place, f"the expression has more than {MAX_WORDS:,} words")
                words.append(Token(str(match.lastgroup), match[0], place))
            place = match.end()
        return [*words, Token("end", "", len(self._source))]

    # ---------------------------------------------------------------- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> Token | None:
        """Take the next sign or reserved name if it is one of these."""
        token = self._token
        if token.kind not in ("sign", "name") or token.text not in texts:
            return None
        self._next += 1
        return token

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._stray(f"{text!r} is missing")

    def _stray(self, missing: str) -> ExpressionError:
        """Return the error that the next token is not allowed here, or that something is missing at the end."""
        token = self._token
        if token.text in _MEANT:
            return self._wrong(token, f"{token.text!r} is not allowed here: did you mean {_MEANT[token.text]!r}?")
        return self._wrong(token, missing if token.kind == "end" else f"{token.text!r} is not allowed here")

    def _wrong(self, token: Token, what: str) -> ExpressionError:
        return at(self._source, token.at, what)

    # ---------------------------------------------------------------- grammar

    def whole(self) -> None:
        """The expression, which must be true or false."""
        start = self._token
        kind = self._expression()
        if self._token.kind != "end":
            raise self._stray("")
        if kind not in (TRUTH, ANY):
            raise self._wrong(start, f"the expression is {kind}, but should be true or false")

    def _expression(self) -> Kind:
        start = self._token
        kind = self._logical("||", "&&")
        if not self._take("?"):
            return kind
        self._require(start, kind, TRUTH)
        one = self._logical("||", "&&")
        self._expect(":")
        other = self._expression()
        return _variable(one) if one == other else ANY

    def _logical(self, operator: str, *tighter: str) -> Kind:
        start = self._token
        kind = self._logical(*tighter) if tighter else self._relation()
        while self._take(operator):
            self._require(start, kind, TRUTH)
            start = self._token
            self._require(start, self._logical(*tighter) if tighter else self._relation(), TRUTH)
            kind = TRUTH
        return kind

    def _relation(self) -> Kind:
        kind = self._sum()
        while sign := self._take("==", "!=", "<", "<=", ">", ">=", "in"):
            other = self._sum()
            if sign.text == "in":
                self._membership(sign, kind, other)
                self._known(sign, kind, other)
                self._known(sign, other.item or ANY, kind)
            elif not _are_comparable(kind, other):
                raise self._wrong(sign, f"{kind} and {other} cannot be compared")
            elif sign.text not in ("==", "!="):
                self._ordered(sign, kind, other)
            else:
                self._known(sign, kind, other)
                self._known(sign, other, kind)
            kind = TRUTH
        return kind

    def _known(self, sign: Token, kind: Kind, constant: Kind) -> None:
        """Refuse a comparison with a constant that is never the value."""
        enum = kind.known.get("enum", ())
        values = enum or kind.known.get("examples", ())
        are = "values are" if enum else "a value is for example"
        pattern = kind.known.get("pattern")
        for text in constant.texts:
            if values and text not in values and not (pattern and re.search(pattern, text)):
                raise self._wrong(sign, f"{text!r} is no possible value; {are} {', '.join(values)}")

    def _ordered(self, sign: Token, *kinds: Kind) -> None:
        for kind in kinds:
            if kind not in _ORDERED and kind != ANY:
                raise self._wrong(sign, f"{kind} cannot be compared with {sign.text}")

    def _membership(self, sign: Token, kind: Kind, container: Kind) -> None:
        if container == ANY:
            return
        if container.item is None:
            raise self._wrong(sign, f"{container} contains no items")
        if not _are_comparable(kind, container.item):
            raise self._wrong(sign, f"the list contains {container.item}, not {kind}")

    def _sum(self) -> Kind:
        kind = self._product()
        while sign := self._take("+", "-"):
            kind = self._arithmetic(sign, kind, self._product())
        return kind

    def _product(self) -> Kind:
        kind = self._unary()
        while sign := self._take("*", "/", "%"):
            kind = self._arithmetic(sign, kind, self._unary())
        return kind

    def _arithmetic(self, sign: Token, one: Kind, other: Kind) -> Kind:
        if sign.text == "+" and not {one, other} & {*_NUMERIC, TIME, DURATION}:
            self._joined += 1
            if self._joined > MAX_JOINED:
                raise self._wrong(sign, f"more than {MAX_JOINED} texts or lists are joined")
        if ANY in (one, other):
            return ANY
        if one == other and (one in _NUMERIC or (sign.text == "+" and (one == TEXT or one.item is not None))):
            return _variable(one)
        if sign.text in "+-" and other == DURATION and one in (TIME, DURATION):
            return one
        if sign.text == "-" and (one, other) == (TIME, TIME):
            return DURATION
        hint = "; double() makes an integer a number" if {one, other} == _NUMERIC else ""
        raise self._wrong(sign, f"{one} {sign.text} {other} is not defined{hint}")

    def _unary(self) -> Kind:
        sign = self._take("!", "-")
        if sign is None:
            return self._member()
        start, kind = self._token, self._unary()
        if sign.text == "!":
            return self._require(start, kind, TRUTH)
        if kind not in (*_NUMERIC, ANY):
            raise self._wrong(sign, f"{kind} has no sign")
        return kind

    def _member(self) -> Kind:
        path, kind = self._primary()
        while True:
            if self._take("["):
                kind, path = self._item(kind), path and (*path, ITEMS)
                self._expect("]")
            elif dot := self._take("."):
                name = self._name()
                if self._take("("):
                    path, kind = self._method(name, path, kind)
                else:
                    inner = self._key(name, kind)
                    if path[-1:] == (ITEMS,) and kind.of is not None and name.text in keys(kind.of):
                        self._of_items.append((path, dot.at, name.at + len(name.text)))
                    path = path and (*path, name.text) if kind.of is not None else self._use(path)
                    kind = inner
            else:
                self._use((*path, SIZE) if path and self._compares_with_null(kind) else path)
                return kind

    def _compares_with_null(self, kind: Kind) -> bool:
        """Return whether only this is asked of an object or a list next, so that its contents are not used."""
        if kind.of is None and kind.item is None:
            return False
        return [one.text for one in self._tokens[self._next : self._next + 2]] in (["==", "null"], ["!=", "null"])

    def _use(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Note that the value of a key is used; what follows belongs to no key any more."""
        if path:
            self.used.add(path)
        return ()

    def _primary(self) -> tuple[tuple[str, ...], Kind]:
        """Read a literal, a call, something in parentheses, or a name, which may be the beginning of a key."""
        token = self._token
        if token.kind in ("text", "number", "integer"):
            self._next += 1
            if token.kind == "integer" and int(token.text, 0 if token.text.startswith("0x") else 10) > _MOST:
                raise self._wrong(token, f"the largest integer is {_MOST}")
            constant = _CONSTANT.fullmatch(token.text)
            if constant is not None:
                return (), Kind(TEXT.name, texts=(constant[2],))
            return (), {"text": TEXT, "number": NUMBER, "integer": INTEGER}[token.kind]
        if self._take("("):
            kind = self._expression()
            self._expect(")")
            return (), kind
        if self._take("["):
            return (), self._list()
        if token.kind != "name" or token.text in ("in", *_MEANT):
            raise self._stray("a value is missing")
        self._next += 1
        if token.text in ("true", "false", "null"):
            return (), NULL if token.text == "null" else TRUTH
        if self._take("("):
            return (), self._function(token)
        for name, path, kind in reversed(self._bound):
            if name == token.text:
                return path, kind
        return (token.text,), self._key(token, Kind("", of=self._root))

    def _list(self) -> Kind:
        items = []
        while not self._take("]"):
            items.append(self._expression())
            if not self._take(","):
                self._expect("]")
                break
        kinds = set(items)
        item = _variable(items[0]) if len(kinds) == 1 else ANY
        return Kind("a list", item=item, texts=tuple(text for one in items for text in one.texts))

    # ---------------------------------------------------------------- names

    def _name(self) -> Token:
        token = self._token
        if token.kind != "name":
            raise self._stray("a name is missing")
        self._next += 1
        return token

    def _key(self, name: Token, kind: Kind) -> Kind:
        """Return the kind of a key's value."""
        if kind.of is not None and not _is_closed(kind):
            return self._extension_key(name)
        if kind == ANY:
            return ANY
        if kind.of is None:
            what = "a list has no keys: .exists(x, x == ...) looks at its items" if kind.item else f"{kind} has no keys"
            raise self._wrong(name, what)
        fields = keys(kind.of)
        if name.text in fields:
            return kind_of(fields[name.text].type)
        raise self._wrong(name, missing_key(name.text, kind.of, self._root))

    def _extension_key(self, name: Token) -> Kind:
        """Return the kind of a key that extensions of some type have."""
        from tlsdissect.handshake.facts.extensions import fact_names  # noqa: PLC0415 (for few expressions)

        fields = keys(Extension)
        if name.text in fields:
            return kind_of(fields[name.text].type)
        if name.text in fact_names():
            return ANY
        near = suggestion(name.text, (*fields, *fact_names()))
        raise self._wrong(name, f"no extension has a key {name.text!r}{near}")

    def _item(self, kind: Kind) -> Kind:
        start, index = self._token, self._expression()
        if kind.item is None and kind != ANY:
            raise self._wrong(start, f"{kind} contains no items")
        if kind != ANY:
            self._require(start, index, INTEGER)
        return kind.item or ANY

    def _function(self, name: Token) -> Kind:
        if name.text not in _FUNCTIONS:
            if name.text in _METHODS:
                raise self._wrong(name, f'{name.text!r} follows a value and a dot, as in sni.matches("x")')
            every = (*_FUNCTIONS, *_METHODS)
            raise self._wrong(name, f"there is no function {name.text!r}{suggestion(name.text, every)}")
        start = self._token
        kind = self._expression()
        self._expect(")")
        if name.text == "has" and kind != ANY:
            raise self._wrong(name, "a key always exists, even if it is null: compare it with null, as in sni != null")
        if name.text == "size" and not (kind in (TEXT, ANY) or kind.item is not None):
            raise self._wrong(start, f"{kind} has no size")
        if name.text in ("timestamp", "duration"):
            self._require(start, kind, TEXT)
            self._note_constant(start, name.text + "({})", _CONSTANTS[name.text])
        return _FUNCTIONS[name.text]

    def _note_constant(self, start: Token, call: str, what: str) -> None:
        """Note a call whose argument, which was just read, is a constant: it can be tried at once."""
        if start.kind == "text" and self._tokens[self._next - 2] == start:
            self.constants.append((call.format(start.text), at(self._source, start.at, what)))

    def _method(self, name: Token, path: tuple[str, ...], kind: Kind) -> tuple[tuple[str, ...], Kind]:
        """Read a call, after its parenthesis; what `filter` returns has the keys of its list."""
        if name.text not in _METHODS:
            raise self._wrong(name, f"there is no function {name.text!r}{suggestion(name.text, _METHODS)}")
        needs = "text" if name.text in _OF_TEXT else "a time" if name.text in _OF_TIME else "a list"
        timed = kind == TIME or (kind == DURATION and name.text in _OF_DURATION)
        suits = {"text": kind == TEXT, "a time": timed, "a list": kind.item is not None}[needs]
        if not (suits or kind == ANY or (name.text == "size" and kind == TEXT)):
            raise self._wrong(name, f"{name.text} needs {needs}, not {kind}")
        if name.text in _MACROS:
            return path if name.text == "filter" else (), self._macro(name, path, kind)
        self._use((*path, SIZE) if path and name.text == "size" and kind.item is not None else path)
        if name.text in _OF_TEXT:
            start = self._token
            self._require(start, self._expression(), TEXT)
        self._expect(")")
        if name.text == "matches":
            self._note_constant(start, '"".matches({})', "this is not a regular expression")
        return (), TRUTH if name.text in _OF_TEXT else INTEGER

    def _macro(self, name: Token, path: tuple[str, ...], kind: Kind) -> Kind:
        if len(self._bound) == MAX_NESTED:
            raise self._wrong(name, f"more than {MAX_NESTED} of {', '.join(_MACROS)} are nested")
        if name.text in ("filter", "map"):
            self._copied += 1
            if self._copied > MAX_COPIED:
                raise self._wrong(name, f"filter and map are used more than {MAX_COPIED} times")
        bound = self._name()
        self._expect(",")
        self._use(path and (*path, SIZE))
        self._bound.append((bound.text, path and (*path, ITEMS), kind.item or ANY))
        start = self._token
        found = self._expression()
        self._bound.pop()
        self._expect(")")
        if name.text == "map":
            return Kind("a list", item=found)
        self._require(start, found, TRUTH)
        return kind if name.text == "filter" else TRUTH

    def _require(self, start: Token, kind: Kind, wanted: Kind) -> Kind:
        if kind not in (wanted, ANY):
            raise self._wrong(start, f"this is {kind}, but should be {wanted}")
        return wanted


def _variable(kind: Kind) -> Kind:
    """Return the kind of a value that is computed: nothing is known of it."""
    return replace(kind, known={}, texts=())


def _is_closed(kind: Kind) -> bool:
    """Return whether an object has the same keys always; those of an extension depend on its type."""
    return kind.of is not None and not issubclass(kind.of, Extension)


def _are_comparable(one: Kind, other: Kind) -> bool:
    if ANY in (one, other) or NULL in (one, other):
        return True
    if one.item is not None and other.item is not None:
        return _are_comparable(one.item, other.item)
    return one == other or {one, other} == _NUMERIC


def _inside(of: type[Struct], before: str = "") -> Iterable[str]:
    """Yield the keys of the objects in a struct, with the keys that lead to them."""
    for name, field in keys(of).items():
        inner = kind_of(field.type).of
        if inner is not None:
            yield from (f"{before}{name}.{key}" for key in keys(inner))
            yield from _inside(inner, f"{before}{name}.")
