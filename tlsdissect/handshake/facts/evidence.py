"""What verdicts rest on beside facts: certificates and OCSP responses as they travelled, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from operator import attrgetter
from typing import TYPE_CHECKING

from tlsdissect.caches import footprint
from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from tlsdissect.handshake.facts.times import HandshakeTimes
    from tlsdissect.handshake.revocation_lookups import Heard, Lookup

KEPT_BYTES = 64 << 20
"""Bytes of certificates and OCSP responses that are kept; of more, those that were seen first are evicted."""
ENTRY_BYTES = 384
"""Bytes that an encoding takes besides its own, by estimate."""
MAX_TIMES = 65_536
"""Connections of which it is kept when things happened; of more, the latest."""
MAX_LOOKUPS = 65_536
"""Lookups that are kept; of more, the first."""
LOOKUP_BYTES = 32 << 20
"""Bytes of lookups that are kept, without their answers; a lookup for which there is no room is only counted."""

_asked = attrgetter("exchange.asked")


class Evidence:
    """Encodings by their SHA-256, each once, however often it was shown; lookups by time."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self._used = 0
        self._encodings: OrderedDict[str, bytes] = OrderedDict()
        self._lookup_bytes = 0
        self._lookups: dict[str, list[Lookup]] = {}
        self._moments: OrderedDict[tuple[str, int], HandshakeTimes] = OrderedDict()
        self.lookups = 0
        """How many lookups were seen."""
        self.lookups_left_out = 0
        """How many of them are not kept."""

    def keep(self, sha256: str, encoding: bytes) -> None:
        """Keep an encoding; what is shown again is as good as new."""
        if sha256 in self._encodings:
            self._encodings.move_to_end(sha256)
            return
        self._encodings[sha256] = encoding
        self._used += len(encoding) + ENTRY_BYTES
        while self._used > self._limit:
            _, oldest = self._encodings.popitem(last=False)
            self._used -= len(oldest) + ENTRY_BYTES

    def note(self, heard: Heard) -> None:
        """Keep a lookup, and its answer; without times it is nobody's."""
        lookup = heard.lookup
        if UNTIMED in (lookup.exchange.asked, lookup.exchange.answered):
            return
        self.lookups += 1
        size = footprint(lookup, enough=LOOKUP_BYTES)
        if self.lookups > MAX_LOOKUPS or self._lookup_bytes + size > LOOKUP_BYTES:
            self.lookups_left_out += 1
            return
        self._lookup_bytes += size
        insort(self._lookups.setdefault(lookup.source, []), lookup, key=_asked)
        self.keep(lookup.exchange.sha256, heard.body)

    def time(self, source: str, stream: int, moments: HandshakeTimes) -> None:
        """Keep when things happened in a connection."""
        self._moments[source, stream] = moments
        if len(self._moments) > MAX_TIMES:
            self._moments.popitem(last=False)

    def moments(self, source: str, stream: int) -> HandshakeTimes | None:
        """Tell when things happened in a connection; None where that was not kept."""
        return self._moments.get((source, stream))

    def asked(self, source: str, begin: int, end: int) -> list[Lookup]:
        """Give the lookups of a capture that began within a time, in nanoseconds."""
        known = self._lookups.get(source, [])
        return known[bisect_left(known, begin, key=_asked) : bisect_right(known, end, key=_asked)]

    def encoding(self, sha256: str) -> bytes | None:
        """Give what has this SHA-256; None where it was not kept."""
        return self._encodings.get(sha256)
