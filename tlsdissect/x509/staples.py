"""Facts of stapled OCSP responses (RFC 6960)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.x509 import der
from tlsdissect.x509.facts import OcspStaple

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

RESPONSE_STATUS = {
    0: "successful",
    1: "malformedRequest",
    2: "internalError",
    3: "tryLater",
    5: "sigRequired",
    6: "unauthorized",
}
"""OCSPResponseStatus (RFC 6960 section 4.2.1)."""
# By the number of the IMPLICIT tag, without the constructed bit.
_CERT_STATUS = {0: "good", 1: "revoked", 2: "unknown"}
_BASIC = "1.3.6.1.5.5.7.48.1.1"
_EXPLICIT_0 = 0xA0

STAPLE_CACHE_BYTES = 1 << 20
"""Bytes of cached responses and their facts."""
MAX_CACHED = 16_384
"""Bytes of the longest response that is cached."""


@cached(STAPLE_CACHE_BYTES, longest=MAX_CACHED)
def staple(response: bytes) -> tuple[OcspStaple, tuple[str, ...]]:
    """Return the facts of an OCSPResponse, and the fields that could not be read.

    If there are several answers, the facts are those of the first.
    """
    problems: list[str] = []
    digest = sha256(response).hexdigest()

    def attempt(field: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except WireError as error:
            problems.append(f"{field}: {error.problem}")
            return None

    outer = attempt("OCSP response", lambda: der.first(response).expect(der.SEQUENCE).items(least=1))
    if outer is None:
        return OcspStaple(sha256=digest), tuple(problems)
    status = attempt("response_status", lambda: _response_status(outer[0]))
    if len(outer) == 1:
        return OcspStaple(response_status=status, sha256=digest), tuple(problems)
    data = attempt("OCSP response", lambda: _response_data(outer[1]))
    if data is None:
        return OcspStaple(response_status=status, sha256=digest), tuple(problems)
    produced = attempt("produced_at", lambda: der.time(data[0]))
    single = attempt("OCSP answer", lambda: data[1].expect(der.SEQUENCE).items(least=1)[0].items(least=3))
    if single is None:
        return OcspStaple(response_status=status, produced_at=produced, sha256=digest), tuple(problems)
    facts = OcspStaple(
        response_status=status,
        cert_status=attempt("cert_status", lambda: _cert_status(single[1])),
        serial=attempt("serial", lambda: der.hexadecimal(der.integer(single[0].items(least=4)[3].expect(der.INTEGER)))),
        this_update=attempt("this_update", lambda: der.time(single[2])),
        next_update=attempt("next_update", lambda: _next_update(single)),
        produced_at=produced,
        revocation_time=attempt("revocation_time", lambda: _revocation_time(single[1])),
        sha256=digest,
    )
    return facts, tuple(problems)


def _response_status(status: der.Value) -> str:
    number = der.integer(status.expect(der.ENUMERATED))
    return RESPONSE_STATUS.get(number, str(number))


def _response_data(wrapped: der.Value) -> tuple[der.Value, der.Value]:
    """Return producedAt and the answers of a BasicOCSPResponse (RFC 6960 section 4.2.1)."""
    kind, content, *_ = wrapped.expect(_EXPLICIT_0).item().expect(der.SEQUENCE).items(least=2)
    if der.oid(kind) != _BASIC:
        raise WireError(f"a response of type {der.oid(kind)}", kind.start)
    data = content.expect(der.OCTET_STRING).item().expect(der.SEQUENCE).items(least=1)[0]
    parts = data.expect(der.SEQUENCE).items(least=3)
    if parts[0].tag == _EXPLICIT_0:  # the version, sent although v1 is the default
        parts = parts[1:]
    if len(parts) < 3:
        raise WireError("a response without answers", data.start)
    return parts[1], parts[2]


def _cert_status(status: der.Value) -> str:
    number = status.tag & 0x1F
    if status.tag & 0xC0 != 0x80 or number not in _CERT_STATUS:
        raise WireError(f"a status of type 0x{status.tag:02x}", status.start)
    return _CERT_STATUS[number]


def _next_update(single: tuple[der.Value, ...]) -> str | None:
    optional = single[3:4]
    return der.time(optional[0].item()) if optional and optional[0].tag == _EXPLICIT_0 else None


def _revocation_time(status: der.Value) -> str | None:
    return der.time(status.items(least=1)[0]) if status.tag & 0x1F == 1 else None
