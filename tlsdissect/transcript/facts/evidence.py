"""What verdicts rest on beside facts: certificates and OCSP responses as they travelled, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import TYPE_CHECKING

from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from tlsdissect.transcript.facts.moments import Moments
    from tlsdissect.transcript.tracking.lookups import Heard, Lookup

KEPT_BYTES = 64 << 20
"""Bytes of certificates and OCSP responses that are kept; of more, those that were seen first are let go."""


MAX_MOMENTS = 65_536
"""Connections of which it is kept when things happened; of more, the latest."""
MAX_LOOKUPS = 65_536
"""Lookups that are kept; of more, the first."""

_asked = attrgetter("exchange.asked")


class Evidence:
    """Encodings by their SHA-256, each once, however often it was shown; lookups by time."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self._used = 0
        self._encodings: dict[str, bytes] = {}
        self._lookups: dict[str, list[Lookup]] = {}
        self._moments: dict[tuple[str, int], Moments] = {}
        self.lookups = 0
        """How many lookups were seen."""

    def keep(self, sha256: str, encoding: bytes) -> None:
        """Keep an encoding; what is shown again is as good as new."""
        known = self._encodings.pop(sha256, None)
        self._encodings[sha256] = encoding if known is None else known
        if known is not None:
            return
        self._used += len(encoding)
        while self._used > self._limit:
            oldest = next(iter(self._encodings))
            self._used -= len(self._encodings.pop(oldest))

    def note(self, heard: Heard) -> None:
        """Keep a lookup, and its answer; without times it is nobody's."""
        lookup = heard.lookup
        if UNTIMED in (lookup.exchange.asked, lookup.exchange.answered):
            return
        self.lookups += 1
        if self.lookups <= MAX_LOOKUPS:
            insort(self._lookups.setdefault(lookup.source, []), lookup, key=_asked)
            self.keep(lookup.exchange.sha256, heard.body)

    def time(self, source: str, stream: int, moments: Moments) -> None:
        """Keep when things happened in a connection."""
        self._moments[source, stream] = moments
        if len(self._moments) > MAX_MOMENTS:
            del self._moments[next(iter(self._moments))]

    def moments(self, source: str, stream: int) -> Moments | None:
        """Tell when things happened in a connection; None where that was not kept."""
        return self._moments.get((source, stream))

    def asked(self, source: str, begin: int, end: int) -> list[Lookup]:
        """Give the lookups of a capture that began within a time, in nanoseconds."""
        known = self._lookups.get(source, [])
        return known[bisect_left(known, begin, key=_asked) : bisect_right(known, end, key=_asked)]

    def encoding(self, sha256: str) -> bytes | None:
        """Give what has this SHA-256; None where it was not kept."""
        return self._encodings.get(sha256)
