"""JUnit XML: a test suite for each server, or certificate, and a test case for each rule that it breaks.

GitLab and Jenkins compare the names of failed cases with those of the run before. Servers and rules keep their names,
so that they show what is new and what is mended; connections would all be new in each run. What is graver than the
threshold has failed, and the rest is skipped, with the same text. A rule that nothing breaks has no case, because a
capture may not show it; a server that breaks none has one case that passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from tlsdissect.trust.rules import MEANINGS
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tlsdissect.views.findings.results import Result


def document(groups: Iterable[tuple[str, list[Result]]], failing: Collection[str]) -> Iterator[bytes]:
    """Write the suites; a finding of one of the `failing` severities is a failure."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="tlsdissect">\n'
    for about, results in groups:
        failed = sum(one.finding.severity in failing for one in results)
        counts = f'tests="{len(results) or 1}" failures="{failed}" errors="0" skipped="{len(results) - failed}"'
        yield f'<testsuite name={_attribute(about)} {counts} time="0">\n'.encode()
        if not results:
            yield f'<testcase classname={_attribute(about)} name="no findings" time="0"/>\n'.encode()
        for one in results:
            yield _case(one, failed=one.finding.severity in failing).encode()
        yield b"</testsuite>\n"
    yield b"</testsuites>\n"


def _case(one: Result, *, failed: bool) -> str:
    found = one.finding
    name = found.code if found.certificate is None else f"{found.code} {found.certificate[:16]}"
    frame = "" if found.frame is None else f", frame {found.frame}"
    many = f"{one.connections:,} connection{'' if one.connections == 1 else 's'}"
    text = (
        f"{found.severity}: {MEANINGS[found.code]} ({found.rule})\n"
        f"{printable(one.text)}\n"
        f"{printable(one.source)}, stream {one.stream}{frame}; {many}"
    )
    summary = _attribute(f"{found.severity}: {one.text}")
    if failed:
        outcome = f"<failure type={_attribute(found.code)} message={summary}>{escape(text)}</failure>"
    else:
        outcome = f"<skipped message={summary}/><system-out>{escape(text)}</system-out>"
    place = f"classname={_attribute(one.about)} name={_attribute(name)} file={_attribute(one.source)}"
    return f'<testcase {place} time="0">{outcome}</testcase>\n'


def _attribute(text: str) -> str:
    """Quote text; what XML 1.0 cannot hold is escaped as for a terminal."""
    return quoteattr(printable(text))
