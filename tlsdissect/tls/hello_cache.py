# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A cache of decoded hellos by template: the bytes that repeat from one hello of a client or server to the next.

A client sends the same ClientHello a thousand times, each time with a new random, session id, key share and server
name. A template masks those places out. A hello whose other bytes, lengths and types included, equal a known template
is not decoded again: the masked fields are copied out of it, and facts that follow from the other bytes are reused.

Finding the template takes joining the bytes that it fixes and one lookup in a dict for each mask known for that length.
Comparing field by field would cost as much as decoding does.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import cython
from msgspec.structs import astuple

from tlsdissect.capture.octets import cut
from tlsdissect.tls.client_hello import ClientHello, Extension
from tlsdissect.tls.codepoints import GREASE, ExtensionType
from tlsdissect.tls.extensions import NEVER_REPEATED, offsets
from tlsdissect.tls.server_hello import ServerHello

if TYPE_CHECKING:
    from collections.abc import Callable

Mask: TypeAlias = tuple[int, ...]
"""Start and end of each range of bytes in which hellos of a template are equal."""

MAX_TEMPLATES = 512
"""Templates in one cache; when there are more, the cache starts again from empty."""
MAX_MASKS = 4
"""Masks per length of hello; the oldest is evicted with its templates when there are more."""
MAX_HELLO_SIZE = 4096
"""Bytes of the longest hello that gets a template: most bytes of a longer one are random."""
CLIENT_BYTES = 4 << 20
"""Estimated bytes of all ClientHello templates and the facts derived from them."""
SERVER_BYTES = 1 << 20
"""Estimated bytes of all ServerHello templates and the facts derived from them."""
MAX_EXTENSIONS = 64
"""Extensions of a hello that gets a template: only attempts to fill memory send more."""

UNNUMBERED = -1
"""Stands for the number of a template if there is none."""

_RANDOM, _RANDOM_SIZE, _SESSION_ID = 2, 32, 35
"""Where the random and the session ID begin in the body of a hello (RFC 8446 section 4.1.2)."""
_RANDOM_FIELD, _SESSION_ID_FIELD = 1, 2
"""Their places among the fields of ClientHello and ServerHello; the extensions are the last field."""
_UNKNOWN: Any = object()
_OPAQUE = NEVER_REPEATED | {ExtensionType.PADDING}


@cython.cclass
class HelloTemplate:
    """What many hellos have in common; templates are compared by identity."""

    number: cython.longlong
    """By which `HelloCache.numbered` finds it."""
    hello: Any
    """The hello from which it was made; others have its fields but for the masked ones."""
    places: list[tuple[int, int, int, int]]
    """Index, type, start and end of each extension body that varies."""
    footprint: cython.longlong
    """Estimated bytes of the template with all that is derived from it."""
    derived: dict[object, Any]
    """Results of `derive_once`, by the function that computed them."""
    _session_id_end: cython.Py_ssize_t

    def __init__(self, hello: ClientHello | ServerHello, size: cython.Py_ssize_t) -> None:
        """Make the template of a well-formed hello of `size` bytes."""
        extensions = hello.extensions or ()
        self.number = UNNUMBERED
        self.hello = hello
        self._session_id_end = _SESSION_ID + len(astuple(hello)[_SESSION_ID_FIELD])
        self.places = [
            (index, extension.extension_type, start, start + len(extension.extension_data))
            for index, (start, extension) in enumerate(zip(offsets(extensions, size), extensions, strict=True))
            if extension.extension_type in NEVER_REPEATED
        ]
        self.footprint = _estimate_bytes(hello, size)
        self.derived = {}

    def fill(self, body: bytes) -> Any:
        """Build the hello that `body` encodes; `body` must match this template."""
        fields = list(astuple(self.hello))
        extensions: list[Extension] = list(self.hello.extensions or ())
        for index, number, start, end in self.places:
            extensions[index] = Extension(number, body[start:end])
        fields[_RANDOM_FIELD] = body[_RANDOM : _RANDOM + _RANDOM_SIZE]
        fields[_SESSION_ID_FIELD] = self.session_id(body)
        fields[len(fields) - 1] = tuple(extensions)
        return type(self.hello)(*fields)

    @cython.ccall
    def session_id(self, body: bytes) -> bytes:
        """Return the session ID of a hello that matches this template."""
        return cut(body, _SESSION_ID, self._session_id_end)

    def mask(self, size: cython.Py_ssize_t) -> Mask:
        """Return the mask of hellos of `size` bytes."""
        fixed = []
        begin = 0
        varying = [(_RANDOM, _RANDOM + _RANDOM_SIZE), (_SESSION_ID, self._session_id_end)]
        for start, end in varying + [place[2:] for place in self.places]:
            fixed += [begin, start]
            begin = end
        return (*fixed, begin, size)


@cython.cfunc
def _masked(body: bytes, mask: tuple) -> bytes:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the bytes in which all hellos of a template are equal."""
    n: cython.Py_ssize_t
    parts: list[bytes] = []
    for n in range(0, len(mask), 2):
        parts.append(cut(body, mask[n], mask[n + 1]))  # noqa: PERF401  # a comprehension would be a closure
    return b"".join(parts)


@cython.cclass
class HelloCache:
    """The templates of all ClientHellos, or of all ServerHellos."""

    limit: cython.longlong
    """Estimated bytes of all templates; when they exceed it, the cache starts again from empty."""
    _templates: dict[int, dict[Mask, dict[bytes, HelloTemplate]]]
    """By length, by mask, and by the masked bytes of the hello.

    The masks of a length are replaced, not changed: another thread may search them meanwhile.
    """
    _numbered: dict[int, HelloTemplate]
    _next: cython.longlong
    """The number of the next template; none is used twice."""
    _count: cython.longlong
    _used: cython.longlong
    _learning: Any

    def __init__(self, limit: cython.longlong = CLIENT_BYTES) -> None:
        self.limit = limit
        self._templates = {}
        self._numbered = {}
        self._next = 0
        self._count = 0
        self._used = 0
        self._learning = Lock()

    @cython.ccall
    def find(self, body: bytes) -> HelloTemplate | None:
        """Return the template that these bytes match, or None."""
        masks: dict[Mask, dict[bytes, HelloTemplate]] | None = self._templates.get(len(body))
        templates: dict[bytes, HelloTemplate]
        template: HelloTemplate | None
        if masks is None:
            return None
        for mask, templates in masks.items():
            template = templates.get(_masked(body, mask))
            if template is not None:
                return template
        return None

    @cython.ccall
    def numbered(self, number: cython.longlong) -> HelloTemplate | None:
        """Return the template with this number; None if it was evicted."""
        return self._numbered.get(number)

    def learn(self, body: bytes, hello: ClientHello | ServerHello) -> HelloTemplate | None:
        """Add the template of a hello that was decoded from `body` without error; None if it is not worth keeping."""
        size = len(body)
        if size > MAX_HELLO_SIZE or not _may_recur(hello):
            return None
        template = HelloTemplate(hello, size)
        if template.footprint > self.limit // 8:
            return None
        mask = template.mask(size)
        with self._learning:
            self._add(template, size, mask, _masked(body, mask))
        return template

    def _add(self, template: HelloTemplate, size: cython.Py_ssize_t, mask: Mask, masked: bytes) -> None:
        if self._count >= MAX_TEMPLATES or self._used + template.footprint > self.limit:
            self._templates, self._numbered, self._count, self._used = {}, {}, 0, 0
        masks = dict(self._templates.get(size, {}))
        if mask not in masks and len(masks) >= MAX_MASKS:
            evicted = masks.pop(next(iter(masks)))
            self._count -= len(evicted)
            self._used -= sum([old.footprint for old in evicted.values()])
            for old in evicted.values():
                del self._numbered[old.number]
        masks.setdefault(mask, {})[masked] = template
        self._templates[size] = masks
        template.number = self._next
        self._numbered[template.number] = template
        self._next += 1
        self._count += 1
        self._used += template.footprint


@cython.ccall
def derive_once(template: HelloTemplate | None, compute: Callable[..., Any], first: Any, second: Any = _UNKNOWN) -> Any:
    """Return what `compute` makes of one or two values, computed once per template; without one, each time.

    It may only depend on what all hellos of the template share, even if the values hold more than that.
    """
    if template is not None:
        known = template.derived.get(compute, _UNKNOWN)
        if known is not _UNKNOWN:
            return known
    result = compute(first) if second is _UNKNOWN else compute(first, second)
    if template is not None:
        template.derived[compute] = result
    return result


_TEMPLATE_BYTES, _MASKED, _SUITE_BYTES, _EXTENSION_BYTES, _DECODED = 2048, 4, 144, 512, 80
"""Memory cost of a template, and of each byte of its hello, cipher suite, extension, and byte of an extension body."""
_VARYING_BYTES = 3072
"""Memory cost of what decodes an extension that varies."""


def _estimate_bytes(hello: ClientHello | ServerHello, size: cython.Py_ssize_t) -> int:
    """Estimate the memory of a template: its hello, its mask, and the facts derived from them.

    The facts are computed later and elsewhere, and measuring them would cost as much as computing them. So this counts
    what they are made from. Lists of numbers dominate, since each number has its name in two lists of facts.
    """
    suites = hello.cipher_suites or () if isinstance(hello, ClientHello) else ()
    extensions = hello.extensions or ()
    decoded = sum([len(one.extension_data) for one in extensions if one.extension_type not in _OPAQUE])
    varying = sum([one.extension_type in NEVER_REPEATED for one in extensions])
    in_extensions = _EXTENSION_BYTES * len(extensions) + _VARYING_BYTES * varying + _DECODED * decoded
    return _TEMPLATE_BYTES + _MASKED * size + _SUITE_BYTES * len(suites) + in_extensions


def _may_recur(hello: ClientHello | ServerHello) -> bool:
    """Return whether another hello may match the same template.

    A client that sends GREASE (RFC 8701) draws new values for its next hello. Hellos that repeat an extension are left
    out because facts are indexed by extension type.
    """
    types = [one.extension_type for one in hello.extensions or ()]
    if len(set(types)) < len(types) or len(types) > MAX_EXTENSIONS:
        return False
    if isinstance(hello, ServerHello):
        return hello.legacy_session_id_echo is not None
    return GREASE.isdisjoint(types) and GREASE.isdisjoint(hello.cipher_suites or ())


CLIENT_HELLOS = HelloCache()
SERVER_HELLOS = HelloCache(SERVER_BYTES)
