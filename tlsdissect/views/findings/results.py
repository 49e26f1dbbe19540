"""Findings of many connections, each once for what it is about: a server or a certificate."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.model.connection import stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.model.connection import Connection, Finding
    from tlsdissect.trust.inventory import CertificateSummary

FINDINGS_BYTES = 64 << 20
"""Estimated bytes of all results; further ones are only counted."""
RESULT_BYTES = 1024
"""Estimated bytes of a result besides its details."""
MAX_DETAILS = 10
"""Different details listed of one result."""


class Result(Struct):
    """A finding about a server or a certificate, with where it was first seen."""

    about: str
    finding: Finding
    source: str
    stream: str
    details: dict[str, None]
    connections: int = 0
    with_keys: bool = False
    """Whether each of its findings rests on what only keys show."""

    @property
    def text(self) -> str:
        """What was found; several details if they differ between connections."""
        return "; ".join(self.details) + (" (with keys)" if self.with_keys else "")


class Results:
    """The results of connections, by server, in bounded memory."""

    def __init__(self) -> None:
        self._results: dict[str, dict[tuple[str, str | None], Result]] = {}
        """By server, then by code and certificate."""
        self.left_out = 0
        """Number of findings left out because FINDINGS_BYTES was reached."""
        self._used = 0

    def add(self, c: Connection) -> None:
        """Add the findings of a connection."""
        server = str(c.server)
        if server not in self._results and self._reserve(RESULT_BYTES):
            self._results[server] = {}
        of_server = self._results.get(server)
        seen = set()
        for one in c.findings or ():
            key = (one.code, one.certificate)
            result = None if of_server is None else of_server.get(key)
            if of_server is not None and result is None and self._reserve(RESULT_BYTES):
                result = of_server[key] = Result(server, one, c.source, c.stream_name, {}, with_keys=True)
            if result is None:
                self.left_out += 1
                continue
            result.with_keys &= one.with_keys
            result.connections += key not in seen
            seen.add(key)
            is_new = one.detail not in result.details and len(result.details) < MAX_DETAILS
            if is_new and self._reserve(getsizeof(one.detail)):
                result.details[one.detail] = None

    def _reserve(self, size: int) -> bool:
        """Reserve bytes; return False if FINDINGS_BYTES would be exceeded."""
        if self._used + size > FINDINGS_BYTES:
            return False
        self._used += size
        return True

    def groups(self) -> Iterable[tuple[str, list[Result]]]:
        """Return the servers and the results of each, both sorted."""
        for server in sorted(self._results):
            yield server, sorted(self._results[server].values(), key=_order)


def of_certificates(summaries: Iterable[CertificateSummary]) -> Iterable[tuple[str, list[Result]]]:
    """Return certificates and the results of each."""
    for one in summaries:
        about = f"{one.subject or 'a certificate'} ({one.sha256[:16]})"
        stream = stream_name(one.first_transport, one.first_stream)
        results: dict[str, Result] = {}
        for each in one.findings:
            first = Result(about, each, one.first_source, stream, {}, one.connections, with_keys=True)
            found = results.setdefault(each.code, first)
            found.with_keys &= each.with_keys
            if len(found.details) < MAX_DETAILS:
                found.details[each.detail] = None
        yield about, sorted(results.values(), key=_order)


def _order(result: Result) -> tuple[str, str]:
    return result.finding.code, result.finding.certificate or ""
