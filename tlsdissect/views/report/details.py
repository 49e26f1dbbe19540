"""The details of a connection that the page opens on a click, besides its tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.trust.rules import SEVERITIES
from tlsdissect.views import phrases
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.printable import printable
from tlsdissect.views.report.packing import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.model.connection import Connection, Finding, Problem
    from tlsdissect.views.ladder.model import Arrow

_TOPICS = tuple(TOPICS)


def details(c: Connection, certificates: list[int]) -> dict[str, Any]:
    """Return the details of a connection read with `keep=True`; `certificates` are the numbers of its certificates."""
    ladder = drawn(c)
    return {
        "facts": [[label, printable(text)] for label, text in _facts(c) if text],
        "certificates": certificates,
        "findings": [finding(one) for one in most_severe_first(c.findings or ())],
        "problems": [_problem(one) for one in c.problems],
        "said": [[_TOPICS.index(one.topic), one.with_evidence] for one in explain(c).sentences],
        "ends": [str(c.client), str(c.server)],
        "rtt": ladder.rtt_ms,
        "arrows": [_arrow(one) for one in ladder.arrows],
    }


def _facts(c: Connection) -> Iterator[tuple[str, str | None]]:
    yield "client", phrases.client(c)[0]
    yield "server", phrases.server(c)[0]
    yield "begun", f"{'' if c.start is None else f'{c.start}, '}frame {c.first_frame}"
    yield "version", c.version
    yield "cipher suite", c.cipher_suite
    yield "key exchange", phrases.group(c)[0]
    yield "signature", c.signature_scheme
    yield "ALPN", c.alpn
    yield "resumption", _resumption(c)
    yield "handshake", _took(c)
    yield "outcome", phrases.outcome(c)[0]
    yield "packets", f"{c.packets:,}, with {c.bytes:,} bytes"
    yield "before TLS", c.upgrade
    yield "JA3", c.ja3
    yield "JA3S", c.ja3s
    yield "JA4", c.ja4


def _resumption(c: Connection) -> str | None:
    if c.resumption is None:
        return None
    of = "" if c.resumes is None else f", of stream {c.resumes.stream} of {c.resumes.source}"
    early = f", early data {c.early_data}" if c.early_data not in (None, "none") else ""
    return f"{c.resumption}{of}{early}"


def _took(c: Connection) -> str | None:
    parts = [] if c.timing.handshake_ms is None else [f"{c.timing.handshake_ms:.2f} ms"]
    parts += [] if c.round_trips is None else [f"{c.round_trips} round trip{'' if c.round_trips == 1 else 's'}"]
    parts += [] if c.timing.tcp_ms is None else [f"TCP's took {c.timing.tcp_ms:.2f} ms"]
    return ", ".join(parts) or None


def finding(one: Finding) -> list[str]:
    """Return the fields of a finding that the page shows."""
    return [one.severity, one.code, printable(one.detail), one.rule]


def most_severe_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by severity, most severe first."""
    return sorted(findings, key=lambda one: -SEVERITIES.index(one.severity))


def _problem(one: Problem) -> list[str]:
    return [one.code, printable(one.detail) + ("" if one.frame is None else f" [frame {one.frame}]")]


def _arrow(one: Arrow) -> list[Any]:
    labels = [printable(label) for label in one.labels]
    return [one.sender, one.kind, labels, one.frame_range, milliseconds(one.ms), one.bytes]
