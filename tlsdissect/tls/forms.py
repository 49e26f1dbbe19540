"""Hellos that say the same but for what is drawn anew for each: read once, and known again by the bytes between.

A client says hello in one form a thousand times, each time with another random, another key share, another name. Where
those stand a form has no say; all other bytes, lengths and types among them, must be the same.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from msgspec.structs import replace

from tlsdissect.tls.client_hello import ClientHello, Extension
from tlsdissect.tls.codepoints import GREASE, ExtensionType
from tlsdissect.tls.extensions import NEVER_REPEATED, offsets
from tlsdissect.tls.server_hello import ServerHello

if TYPE_CHECKING:
    from collections.abc import Callable

Hello = TypeVar("Hello", ClientHello, ServerHello)
P = ParamSpec("P")
T = TypeVar("T")

MAX_FORMS = 512
"""Forms that are known at a time."""
MAX_MASKS = 4
"""Sets of places at which hellos of one length may vary."""
LONGEST = 4096
"""Bytes of the longest hello that has a form: most of a longer one is drawn anew."""
CLIENT_BYTES = 4 << 20
"""Bytes that the forms of ClientHellos take, by estimate, with all that was concluded from them."""
SERVER_BYTES = 1 << 20
"""The same of ServerHellos."""
MAX_EXTENSIONS = 64
"""Extensions of a hello that has a form: who sends more wants memory to be filled."""

_RANDOM = slice(2, 34)
_SESSION_ID = 35
_UNKNOWN: Any = object()
_FRESH = NEVER_REPEATED | {ExtensionType.SERVER_NAME}
_OPAQUE = _FRESH | {ExtensionType.PADDING}


class Form(Generic[Hello]):
    """What hellos have in common; forms are compared by identity."""

    __slots__ = ("_hello", "_places", "_session_id", "_session_id_field", "bytes", "fresh", "notes")

    def __init__(self, hello: Hello, size: int) -> None:
        """Take the form of a sound hello that is so many bytes long."""
        self._hello: Hello = hello
        self._session_id_field = "legacy_session_id" if isinstance(hello, ClientHello) else "legacy_session_id_echo"
        session_id = getattr(hello, self._session_id_field)
        self._session_id = slice(_SESSION_ID, _SESSION_ID + len(session_id))
        sent = hello.extensions or ()
        starts = offsets(sent, size)
        self._places = [
            (index, slice(start, start + len(one.extension_data)))
            for index, (start, one) in enumerate(zip(starts, sent, strict=True))
            if one.extension_type in _FRESH
        ]
        self.fresh = tuple([index for index, _ in self._places])
        """Which of the extensions have bodies that vary."""
        self.bytes = _bytes(hello, size)
        """Bytes that it takes with its notes, by estimate."""
        self.notes: dict[object, Any] = {}
        """What was concluded from what these hellos have in common, by who concluded it."""

    def fill(self, body: bytes) -> Hello:
        """The hello of this form that these bytes are."""
        extensions = list(self._hello.extensions or ())
        for index, place in self._places:
            extensions[index] = Extension(extensions[index].extension_type, body[place])
        varying = {self._session_id_field: body[self._session_id], "extensions": tuple(extensions)}
        filled: Hello = replace(self._hello, random=body[_RANDOM], **varying)
        return filled

    def mask(self, size: int) -> int:
        """A number of so many bytes whose bits are set where these hellos are alike."""
        alike = bytearray(b"\xff" * size)
        for place in (_RANDOM, self._session_id, *(place for _, place in self._places)):
            alike[place] = bytes(place.stop - place.start)
        return int.from_bytes(alike, "little")


class Forms(Generic[Hello]):
    """The forms of one kind of hello."""

    def __init__(self, limit: int = CLIENT_BYTES) -> None:
        self.limit = limit
        """Bytes that the forms take together, by estimate; when there are more, all are forgotten and learnt anew."""
        self._known: dict[int, dict[int, dict[int, Form[Hello]]]] = {}
        """By length, by mask, and by what the mask leaves of a hello's bytes."""
        self._count = 0
        self._used = 0
        self._learning = Lock()

    def find(self, body: bytes) -> Form[Hello] | None:
        """The form that these bytes have, if it is known."""
        masks = self._known.get(len(body))
        if masks is None:
            return None
        number = int.from_bytes(body, "little")
        # Another thread may learn meanwhile.
        for mask, forms in tuple(masks.items()):
            form = forms.get(number & mask)
            if form is not None:
                return form
        return None

    def learn(self, body: bytes, hello: Hello) -> Form[Hello] | None:
        """Keep the form of a hello that was read without flaw from these bytes; None: it has none worth keeping."""
        size = len(body)
        if size > LONGEST or not _recurs(hello):
            return None
        form = Form(hello, size)
        if form.bytes > self.limit // 8:
            return None
        mask = form.mask(size)
        with self._learning:
            self._add(form, size, mask, int.from_bytes(body, "little") & mask)
        return form

    def _add(self, form: Form[Hello], size: int, mask: int, alike: int) -> None:
        if self._count >= MAX_FORMS or self._used + form.bytes > self.limit:
            self._known, self._count, self._used = {}, 0, 0
        masks = self._known.setdefault(size, {})
        if mask not in masks and len(masks) >= MAX_MASKS:
            gone = masks.pop(next(iter(masks)))
            self._count -= len(gone)
            self._used -= sum([one.bytes for one in gone.values()])
        masks.setdefault(mask, {})[alike] = form
        self._count += 1
        self._used += form.bytes


def once(form: Form[Any] | None, conclude: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What is concluded from hellos of a form alone, for all of them once; without a form, each time.

    What is given may differ between hellos of a form: only what they have in common may be looked at.
    """
    if form is None:
        return conclude(*given, **named)
    found: T = form.notes.get(conclude, _UNKNOWN)
    if found is _UNKNOWN:
        found = form.notes[conclude] = conclude(*given, **named)
    return found


_FORM_BYTES, _MASKED, _SUITE_BYTES, _EXTENSION_BYTES, _DECODED = 2048, 4, 144, 512, 80
"""Bytes that a form takes, and a byte of its hello, a cipher suite, an extension, and a byte of an extension's body."""


def _bytes(hello: ClientHello | ServerHello, size: int) -> int:
    """Estimate what a form takes: its hello, its mask, and what is concluded from them.

    Facts are made later and in other places, and to walk through them would cost as much as to make them: so this
    counts what they are made of. Lists of small items take most: each number has its name in two lists of facts.
    """
    suites = hello.cipher_suites or () if isinstance(hello, ClientHello) else ()
    sent = hello.extensions or ()
    decoded = sum([len(one.extension_data) for one in sent if one.extension_type not in _OPAQUE])
    extensions = _EXTENSION_BYTES * len(sent) + _DECODED * decoded
    return _FORM_BYTES + _MASKED * size + _SUITE_BYTES * len(suites) + extensions


def _recurs(hello: ClientHello | ServerHello) -> bool:
    """Whether another hello may have the same form.

    A client that draws values of RFC 8701 draws others for the next; and what has an extension twice has no place here.
    """
    types = [one.extension_type for one in hello.extensions or ()]
    if len(set(types)) < len(types) or len(types) > MAX_EXTENSIONS:
        return False
    if isinstance(hello, ServerHello):
        return hello.legacy_session_id_echo is not None
    return GREASE.isdisjoint(types) and GREASE.isdisjoint(hello.cipher_suites or ())


CLIENT_HELLOS: Forms[ClientHello] = Forms()
SERVER_HELLOS: Forms[ServerHello] = Forms(SERVER_BYTES)
