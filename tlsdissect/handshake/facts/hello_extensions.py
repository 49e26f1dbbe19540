# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The decoded extensions of a hello."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.handshake.facts.extensions import MALFORMED, ExtensionDecoder
from tlsdissect.tls.extensions import FROM_CLIENT, FROM_RETRY, FROM_SERVER, NEVER_REPEATED
from tlsdissect.tls.hello_cache import MAX_EXTENSIONS, HelloTemplate

if TYPE_CHECKING:
    from tlsdissect.handshake.events import DecodedHello
    from tlsdissect.handshake.facts.refill import Refill, Refills
    from tlsdissect.model.connection import Extension
    from tlsdissect.tls.client_hello import Extension as WireExtension

MAX_REPORTED = 1024
"""Extensions of a hello that are decoded and reported; a hello with more has a problem `limit`."""

_FROM_CLIENT, _FROM_SERVER, _FROM_RETRY = (
    ExtensionDecoder(FROM_CLIENT),
    ExtensionDecoder(FROM_SERVER),
    ExtensionDecoder(FROM_RETRY),
)


@cython.no_gc
@cython.cclass
class Extensions:
    """The decoded extensions of a hello; of a repeated type, the first counts. Nothing changes after `__init__`."""

    codes: tuple[int, ...]
    """The types of all extensions."""
    problems: tuple[tuple[str, str], ...]
    """Code and detail of each problem."""
    bodies: dict[int, Any]
    """The body by type; None if it was not decoded, or is one of those that are NEVER_REPEATED."""
    facts: tuple[Extension, ...]
    """The facts of all extensions, in order."""

    def __init__(
        self,
        codes: tuple[int, ...],
        facts: tuple[Extension, ...],
        bodies: dict[int, Any],
        problems: tuple[tuple[str, str], ...],
    ) -> None:
        self.codes = codes
        self.problems = problems
        self.bodies = bodies
        self.facts = facts

    @cython.ccall
    def get(self, number: Any, field: str) -> Any:
        """Return a field of an extension's body; None if the extension is absent, malformed or NEVER_REPEATED."""
        body = self.bodies.get(number)
        return None if body is None else getattr(body, field, None)

    @cython.ccall
    def shown(self, number: Any, field: str) -> Any:
        """Return a field of an extension's facts; None if the extension is absent or malformed."""
        if number not in self.bodies:
            return None
        return getattr(self.facts[self.codes.index(number)], field, None)

    @cython.ccall
    def like(self, body: bytes, decoder: Any, places: list) -> Extensions:  # type: ignore[type-arg]
        """Return the extensions of another hello of the same template, whose extensions at `places` are its own."""
        known: Refills = decoder.refills
        facts: list[Any] = list(self.facts)
        bodies = self.bodies
        problems: tuple = ()  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
        for index, number, start, end in places:
            data = cut(body, start, end)
            refill: Refill | None = known.find(number, data)
            if refill is not None:
                facts[index] = refill.fact_of(data)
                continue
            one = decoder.decode(number, data)
            facts[index] = one.fact
            if one.problem is not None:
                problems = (*problems, one.problem)
            if number not in NEVER_REPEATED:
                bodies = {**bodies, number: one.body}
        return Extensions(self.codes, tuple(facts), bodies, problems)


NOTHING = Extensions((), (), {}, ())


@cython.ccall
def client_extensions(decoded: DecodedHello) -> Extensions:
    """Decode the extensions of a ClientHello."""
    return _by_template(_FROM_CLIENT, decoded)


@cython.ccall
def server_extensions(decoded: DecodedHello) -> Extensions:
    """Decode the extensions of a ServerHello."""
    return _by_template(_FROM_SERVER, decoded)


def retry_extensions(extensions: tuple[WireExtension, ...] | None) -> Extensions:
    """Decode the extensions of a HelloRetryRequest."""
    return decode_extensions(_FROM_RETRY, extensions)


@cython.cfunc
def _by_template(decoder: ExtensionDecoder, decoded: DecodedHello) -> Extensions:
    """Decode the extensions of a hello; of one with a known template, only those that vary."""
    template: HelloTemplate | None = decoded.template
    known: Extensions | None = None if template is None else template.derived.get(decoder)
    if template is None or known is None:
        extensions = decode_extensions(decoder, None if decoded.is_ssl2 else decoded.hello.extensions)
        if template is not None and not extensions.problems:
            template.derived[decoder] = extensions
        return extensions
    return known.like(decoded.body, decoder, template.places) if template.places else known


def decode_extensions(decoder: ExtensionDecoder, extensions: tuple[WireExtension, ...] | None) -> Extensions:
    """Decode the extensions of a message."""
    sent = extensions or ()
    # A hello with very many extensions is unlikely to be repeated.
    keep = len(sent) <= MAX_EXTENSIONS
    known: Refills = decoder.refills
    facts: list[Any] = []
    bodies: dict[int, Any] = {}
    problems: list[tuple[str, str]] = []
    if len(sent) > MAX_REPORTED:
        problems.append(("limit", f"of {len(sent):,} extensions, the first {MAX_REPORTED:,} are reported"))
    for one in sent[:MAX_REPORTED]:
        number, data = one.extension_type, one.extension_data
        refill: Refill | None = known.find(number, data) if keep and number not in bodies else None
        if refill is not None:
            facts.append(refill.fact_of(data))
            bodies[number] = None
            continue
        decoded = decoder.decode(number, data, keep=keep)
        facts.append(decoded.fact)
        if decoded.problem is not None:
            problems.append(decoded.problem)
        if number in bodies:
            # RFC 8446 section 4.2, RFC 5246 section 7.4.1.4: there must not be more than one extension of a type.
            problems.append((MALFORMED, f"extension {decoded.fact.type}: repeated"))
        bodies.setdefault(number, None if number in NEVER_REPEATED else decoded.body)
    codes = tuple([one.extension_type for one in sent])
    return Extensions(codes, tuple(facts), bodies, tuple(problems))
