"""The details of connections and certificates, which the page unpacks on a click."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Raw
from msgspec.json import encode

from tlsdissect.model.connection import SEVERITIES, stream_name
from tlsdissect.model.dates import dated
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.views import table
from tlsdissect.views.certificates import key_of
from tlsdissect.views.durations import in_ms
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.ladder.axis import Axis, Course
from tlsdissect.views.ladder.model import grouped, joined
from tlsdissect.views.ladder.patterns import LadderPatterns
from tlsdissect.views.printable import printable
from tlsdissect.views.tree.layouts import DerBytes, DerValue, drawn_values
from tlsdissect.views.tree.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tlsdissect.model.connection import Connection, Finding, Side
    from tlsdissect.trust.inventory import CertificateSummary
    from tlsdissect.trust.path import Verdict
    from tlsdissect.views.ladder.model import Kind, Ladder
    from tlsdissect.views.tree.asn1 import DrawnValues
    from tlsdissect.views.tree.patterns import Part, Pattern, PatternedTree

TOGETHER = 64
"""Connections per block; a click unpacks one block."""
_LEVEL = 3
"""Of compression: the usual 6 takes twice as long, and saves a sixth."""
_TOPICS = tuple(TOPICS)


class DetailMaker(Protocol):
    """Makes the details of connections for the page."""

    def add(self, connections: list[tuple[Connection, list[int]]]) -> None:
        """Add a block: connections, each with the numbers of its certificates."""
        ...

    def finish(self) -> tuple[list[str], list[str]]:
        """Return the blocks of details and those of DER values, as text for the page."""
        ...


class Made(NamedTuple):
    """Details of some blocks of connections."""

    blocks: list[str]
    values: dict[str, DerBytes]
    """DER values in them, by digest."""


class Blocks:
    """Makes the details in this process."""

    def __init__(self) -> None:
        self._patterns, self._ladders = Patterns(), LadderPatterns()
        self._packed: list[str] = []

    def finish(self) -> tuple[list[str], list[str]]:
        """Return the blocks of details and those of DER values, as text for the page."""
        made = self.take()
        return made.blocks, value_blocks(made.values)

    def take(self) -> Made:
        """Return what was made since the previous call."""
        packed, self._packed = self._packed, []
        return Made(packed, self._patterns.values.take())

    def add(self, connections: list[tuple[Connection, list[int]]]) -> None:
        """Add a block: connections, each with the numbers of its certificates."""
        if not connections:
            return
        trees = [
            self._patterns.tree(connection) if isinstance(connection, KeptConnection) else None
            for connection, _ in connections
        ]
        ladders = [
            self._ladders.drawn(connection) if isinstance(connection, KeptConnection) else None
            for connection, _ in connections
        ]
        details = [connection_details(*one) for one in connections]
        block = _Block()
        for tree, ladder, one in zip(trees, ladders, details, strict=True):
            block.add(tree, ladder, one)
        self._packed.append(block.packed())


class _Block:
    """Details of some connections, in which what many of them have is stored once.

    Unpacked it is `{"layouts": [...], "patterns": [...], "arrows": [...], "entries": [...]}`. Layouts are as in
    `LaidNode`. A pattern is a list of records: sender, meaning, and parts. A part has the number of its layout, its
    texts or the number of the first of them, its byte ranges in the frames if it does not follow the part before it,
    and the parts in it. An arrow of ladders has its sender, the kinds and labels of its parts, and its flags. An entry
    has the number of its pattern, for each record its frame, its time and its byte ranges, and the texts, in which
    `[digest]` stands for a DER value; and in its ladder for each arrow its number, its frames and its moments.
    """

    def __init__(self) -> None:
        self._layouts: dict[bytes, int] = {}
        self._patterns: dict[bytes, int] = {}
        self._seen: dict[int, tuple[Pattern, int]] = {}
        """Patterns with their numbers, by id."""
        self._arrows: dict[tuple[Side, Kind, tuple[str, ...], tuple[bool, ...], int], int] = {}
        self._entries: list[dict[str, Any]] = []

    def add(self, tree: PatternedTree | None, ladder: Ladder | None, details: dict[str, Any]) -> None:
        """Add a connection: its tree and its ladder, if it has them, and its details."""
        details["ladder"] = None if ladder is None else self._ladder(ladder)
        if tree is not None:
            records = [(frame, milliseconds(ms), ranges) for frame, ms, ranges in tree.places]
            texts = [[one.digest] if isinstance(one, DerValue) else one for one in tree.texts]
            details = {"pattern": self._number(tree.pattern), "records": records, "texts": texts, **details}
        self._entries.append(details)

    def packed(self) -> str:
        """Return the block as text for a page."""
        layouts, patterns = [list(map(Raw, one)) for one in (self._layouts, self._patterns)]
        arrows = [_arrow(*one) for one in self._arrows]
        return packed({"layouts": layouts, "patterns": patterns, "arrows": arrows, "entries": self._entries})

    def _ladder(self, one: Ladder) -> dict[str, Any]:
        """Return a ladder as the page draws it, its moments in thousandths of the axis of time."""
        course = Course(one)
        axis = Axis([course])
        scale, completing, known = axis.scale, course.completing, self._arrows
        moments = iter(scale.thousandths([ms for slant in course.slants for ms in (slant.begin, slant.end)]))
        arrows = []
        for sent, _, _ in course.slants:
            flags = 1 * sent.failed | 2 * (not sent.arrives) | 4 * (sent is completing)
            number = known.setdefault((sent.sender, sent.kind, sent.labels, sent.sealed, flags), len(known))
            time = None if sent.ms is None else scale.in_ms(sent.ms)
            arrows.append([number, sent.frame_range, time, next(moments), next(moments)])
        ticks = list(axis.ticks())
        middles = scale.thousandths([(pause.begin + pause.end) / 2 for pause in scale.pauses])
        return {
            "near": course.near,
            "arrows": arrows,
            "bands": [[*scale.thousandths((one.begin, one.end)), one.number, one.name] for one in course.bands()],
            "ticks": [[place, f"{ms:,g}"] for place, ms in zip(scale.thousandths(ticks), ticks, strict=True)],
            "pauses": [[place, pause.words] for place, pause in zip(middles, scale.pauses, strict=True)],
            "origin": axis.origin,
        }

    def _number(self, pattern: Pattern) -> int:
        """Return the number of a pattern: equal ones have one."""
        seen = self._seen.get(id(pattern))
        if seen is None:
            text = encode([(one.sender, one.meaning, list(map(self._part, one.parts))) for one in pattern.records])
            seen = self._seen[id(pattern)] = pattern, self._patterns.setdefault(text, len(self._patterns))
        return seen[1]

    def _part(self, part: Part) -> list[Any]:
        """Return a part of a record, without missing values at the end."""
        number = self._layouts.setdefault(part.layout, len(self._layouts))
        spans = None if part.spans is None else [(span.frame, span.offset, span.length) for span in part.spans]
        if part.inner:
            return [number, part.texts, spans, list(map(self._part, part.inner))]
        if spans is not None:
            return [number, part.texts, spans]
        return [number, part.texts] if part.texts != () else [number]


def milliseconds(value: float | None) -> float | None:
    """Round to the digits that the page shows."""
    return None if value is None else round(value, 3)


def value_blocks(values: Mapping[str, DerBytes]) -> list[str]:
    """Return the blocks of DER values as text for the page."""
    drawn = drawn_values()
    return [_packed_values(block, drawn) for block in _divided(values)]


def _divided(values: Mapping[str, DerBytes]) -> list[dict[str, DerBytes]]:
    """Divide DER values into blocks: the number of a value's block is its digest modulo the number of blocks."""
    many = -(-len(values) // TOGETHER)
    blocks: list[dict[str, DerBytes]] = [{} for _ in range(many)]
    for digest in sorted(values):
        blocks[int(digest[:8], 16) % many][digest] = values[digest]
    return blocks


def _packed_values(values: Mapping[str, DerBytes], drawn: DrawnValues) -> str:
    """Return a block with the nodes of DER values, by digest, as text for a page."""
    return packed({digest: Raw(value.rows(drawn)) for digest, value in values.items()})


def packed(value: object) -> str:
    """Return text for a page: JSON, deflated, in base64."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b64encode(compressor.compress(encode(value)) + compressor.flush()).decode()


def connection_details(c: Connection, certificates: list[int]) -> dict[str, Any]:
    """Return the details of a connection; `certificates` are the numbers of its certificates."""
    explained = explain(c)
    return {
        "facts": [[label, printable(text)] for label, text in _connection_facts(c) if text],
        "certificates": certificates,
        "findings": [finding(one) for one in most_severe_first(c.findings or ())],
        "problems": [
            [one.code, printable(one.detail) + ("" if one.frame is None else f" [frame {one.frame}]")]
            for one in c.problems
        ],
        "verdict": explained.verdict.line,
        "said": [[_TOPICS.index(one.topic), one.with_evidence] for _, part in explained.parts() for one in part],
        "ends": [str(c.client), str(c.server)],
    }


def _connection_facts(c: Connection) -> Iterator[tuple[str, str | None]]:
    yield "client", table.client(c)[0]
    yield "server", table.server(c)[0]
    start = dated(c.start)
    yield "begun", f"{'' if start is None else f'{start}, '}frame {c.first_frame}"
    yield "version", c.version
    yield "cipher suite", c.cipher_suite
    yield "key exchange", table.group(c)[0]
    yield "signature", c.signature_scheme
    yield "PSK identity", c.psk_identity
    yield ("ALPN, with keys" if c.needs_keys("alpn") else "ALPN"), c.known("alpn")
    yield "resumption", _resumption(c)
    yield "handshake", _took(c)
    yield "outcome", f"{table.outcome(c)[0]}{_inferred(c, 'outcome')}"
    yield "packets", f"{c.packets:,}, with {c.bytes:,} bytes"
    yield "before TLS", c.upgrade
    if c.keys is not None:
        where = "key logs" if c.keys.origin == "keylog" else "the capture"
        yield "keys", f"from {where}: {', '.join(c.keys.labels)}"
    yield "JA3", c.ja3
    yield "JA3S", c.ja3s
    yield "JA4", c.ja4


def _resumption(c: Connection) -> str | None:
    if c.resumption is None:
        return None
    of = "" if c.resumes is None else f", of stream {stream_name(c.transport, c.resumes.stream)} of {c.resumes.source}"
    opened = None if c.hidden is None else c.hidden.early_data
    early = "" if c.early_data in (None, "none") else f", early data {c.early_data}{_inferred(c, 'early_data')}"
    if opened not in (None, c.early_data):
        early = f", early data {opened} (with keys)"
    return f"{c.resumption}{_inferred(c, 'resumption')}{of}{early}"


def _inferred(c: Connection, key: str) -> str:
    # Keys confirm it, or something else is shown in its place.
    return " (inferred)" if key in c.inferred and c.hidden is None else ""


def _took(c: Connection) -> str | None:
    parts = [] if c.timing.handshake_ms is None else [in_ms(c.timing.handshake_ms)]
    parts += [] if c.round_trips is None else [f"{c.round_trips} round trip{'' if c.round_trips == 1 else 's'}"]
    parts += [] if c.timing.tcp_ms is None else [f"TCP's handshake took {in_ms(c.timing.tcp_ms)}"]
    return ", ".join(parts) or None


def finding(one: Finding) -> list[str]:
    """Return the fields of a finding that the page shows."""
    return [one.severity, one.code, printable(one.detail) + (" (with keys)" if one.with_keys else ""), one.rule]


def most_severe_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by severity, most severe first."""
    return sorted(findings, key=lambda one: -SEVERITIES.index(one.severity))


def _arrow(sender: Side, kind: Kind, labels: tuple[str, ...], sealed: tuple[bool, ...], flags: int) -> list[Any]:
    """Return what ladders of a page have of an arrow, whenever it was sent."""
    parts = [[each, joined(map(printable, those))] for each, those in grouped(kind, labels, sealed)]
    return [sender, parts, flags]


def certificate_details(one: CertificateSummary, connection: int | None) -> dict[str, Any]:
    """Return all details of a certificate; `connection` is the number of the first one with it, if known."""
    facts = [[label, printable(text)] for label, text in _certificate_facts(one) if text]
    found = [finding(each) for each in one.findings]
    problems = [printable(text) for text in one.problems]
    return {"facts": facts, "findings": found, "problems": problems, "connection": connection}


def _certificate_facts(one: CertificateSummary) -> Iterator[tuple[str, str | None]]:
    yield "subject", one.subject
    yield "issuer", one.issuer
    yield "names", _many(one.dns_names)
    yield "addresses", _many(one.ip_addresses)
    yield "valid from", one.not_before
    yield "valid until", one.not_after
    yield "days left", None if one.days_left is None else f"{one.days_left:,}"
    yield "key", key_of(one)
    yield "signature", one.signature_algorithm
    yield "serial", one.serial
    yield "bytes", f"{one.bytes:,}"
    yield "authority", None if one.is_ca is None else "yes" if one.is_ca else "no"
    yield "path", _verdict(one.path)
    yield "Web PKI", _verdict(one.web_pki)
    yield "name asked for", _many(one.names_asked)
    yield "is for that name", None if one.name_matches is None else "yes" if one.name_matches else "no"
    yield "by CRLs", one.revocation
    yield "by OCSP", one.ocsp
    yield "must staple", "yes" if one.must_staple else None
    yield "servers", _many(one.servers)
    yield "clients", _many(one.clients)
    yield "seen", None if one.first_seen is None else f"{one.first_seen} to {one.last_seen}"
    yield "OCSP", _many(one.ocsp_urls)
    yield "CRLs", _many(one.crl_urls)
    yield "issuer's certificate", _many(one.ca_issuer_urls)
    yield "SHA-256", one.sha256


def _many(texts: Sequence[str] | None) -> str | None:
    return ", ".join(texts) if texts else None


def _verdict(verdict: Verdict | None) -> str | None:
    if verdict is None:
        return None
    kind = {True: "trusted", False: "not trusted", None: "not checked"}[verdict.trusted]
    return kind if verdict.trusted or verdict.reason == kind else f"{kind}: {verdict.reason}"
