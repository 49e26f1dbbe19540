"""The certificates of a run: as a table, as JSON, as CSV, and as PEM."""

from __future__ import annotations

import ssl
from textwrap import wrap
from typing import TYPE_CHECKING

from markupsafe import Markup

from tlsdissect.trust.inventory import CertificateSummary
from tlsdissect.views.columns import columns
from tlsdissect.views.csv import cell, line
from tlsdissect.views.ndjson import json_line
from tlsdissect.views.printable import USUAL, printable, shortened, styled
from tlsdissect.views.printable import columns as width_of
from tlsdissect.views.table import FAINT, HEADING, KEYED, SECTION, common_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Certificate

_NAMES = 3
"""Names of a certificate that are listed."""
WIDEST = 120
"""Columns beyond which the table does not grow."""
_SHARE = 0.6
"""How much of the room for names is the subject's; the issuer has the rest."""
_LEAST_SUBJECT = 5
"""Columns that a subject has on a narrow terminal."""
_RED, _GREEN, _YELLOW = "31", "32", "33"
_STYLES = {"high": _RED, "medium": _YELLOW, "low": "", "info": FAINT}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_DAYS_LEFT = "days left"
_FIXED = (("key", 9), ("until", 10), (_DAYS_LEFT, 9))

TITLES = (
    ("certificate", False), ("issuer", False), ("key", False), ("until", False), (_DAYS_LEFT, True),
    ("shown by", False), ("connections", True), ("verdict", False), ("findings", False), ("role", False),
    ("from", False), ("SHA-256", False),
)  # fmt: skip
"""Columns of a page's table of certificates, and whether each is right-aligned."""
SHOWN_FIRST = ("certificate", "issuer", "key", "until", _DAYS_LEFT, "shown by", "connections", "verdict", "findings")
"""Columns that a report shows until others are chosen, and on paper; a notebook shows these."""
MAX_SHOWN = 100
"""Certificates in the table of a notebook; the rest are counted."""

COLUMNS = tuple(columns(CertificateSummary))
"""Every column of the CSV, in the order of the JSON's keys."""


def lines(summaries: Iterable[CertificateSummary]) -> Iterator[bytes]:
    """Write certificates as JSON, one object a line."""
    yield from map(json_line, summaries)


def rows(summaries: Iterable[CertificateSummary], *, seen: bool = False) -> Iterator[bytes]:
    """Write certificates as CSV, one row each; `seen`: on a terminal."""
    yield line([column.name for column in COLUMNS])
    for summary in summaries:
        yield line([cell(column.value(summary)) for column in COLUMNS], seen=seen)


def pem(facts: Certificate, encoding: bytes) -> bytes:
    """Write a certificate as PEM, with its names in front (RFC 7468 section 5.2)."""
    names = {"subject": facts.subject, "issuer": facts.issuer, "sha256": facts.sha256}
    lines = "".join([f"{what}: {printable(name or '?')}\n" for what, name in names.items()])
    return lines.encode() + ssl.DER_cert_to_PEM_cert(encoding).encode()


class Certificates(list[CertificateSummary]):
    """The certificates of captures, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        judged = any(any(verdicts(one)) for one in self)
        shown = [title for title in SHOWN_FIRST if judged or title != "verdict"]
        head = _html_row("th", [title for title, _ in TITLES], shown)
        body = Markup("").join([_html_row("td", table_row(one), shown) for one in self[:MAX_SHOWN]])
        more = f"<p>and {len(self) - MAX_SHOWN:,} more</p>" if len(self) > MAX_SHOWN else ""
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{more}"


def _html_row(tag: str, texts: Sequence[str], shown: Collection[str]) -> Markup:
    """Write the texts of the columns that are shown as a row of HTML."""
    fixed = dict(_FIXED)
    cells = [
        Markup('<{0} style="text-align: {1}; white-space: {2}">{3}</{0}>').format(
            tag, "right" if right else "left", "nowrap" if title in fixed else "normal", text
        )
        for (title, right), text in zip(TITLES, texts, strict=True)
        if title in shown
    ]
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))


class CertificateTable:
    """The table: a line of facts for each certificate, and below it who showed it and what was found."""

    def __init__(self, width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> None:
        self._width = min(width or USUAL, WIDEST)
        self._coloured = coloured
        self._encoding = encoding
        names = max(2, self._width - sum(size + 1 for _, size in _FIXED) - 1)
        self._subject = max(int(names * _SHARE), min(_LEAST_SUBJECT, names - 1))
        self._issuer = names - self._subject

    def table(self, summaries: Iterable[CertificateSummary]) -> Iterator[bytes]:
        """Write certificates; nothing at all where there is none."""
        head = self._cells("certificate", "issuer", *[title for title, _ in _FIXED])
        for number, one in enumerate(summaries):
            if not number:
                yield self._line(head, HEADING)
            subject = shown_name(one.subject, one.dns_names)
            issuer = "itself" if one.self_signed else shown_name(one.issuer)
            days = "-" if one.days_left is None else f"{one.days_left:,}"
            yield self._line(self._cells(subject, issuer, key_of(one), (one.not_after or "-")[:10], days), SECTION)
            for text, style in self._below(one):
                for part in wrap(text, self._width - 2, subsequent_indent="  "):
                    yield self._line(f"  {part}", style)

    def _below(self, one: CertificateSummary) -> Iterator[tuple[str, str]]:
        yield " · ".join(_shown(one)), FAINT
        yield " · ".join(_stated(one)), FAINT
        decided = dict(verdicts(one))
        if decided:
            bad = any(not good for good in decided.values())
            yield ", ".join(decided), _RED if bad else _GREEN
        for severity in ("high", "medium", "low", "info"):
            found = [each for each in one.findings if each.severity == severity]
            seen = {each.code for each in found if one.with_keys or not each.with_keys}
            codes = [
                code if code in seen else f"{code} (with keys)" for code in dict.fromkeys(each.code for each in found)
            ]
            if codes:
                yield f"{severity}: {', '.join(codes)}", _STYLES[severity]
        if one.problems:
            yield f"not read: {printable('; '.join(one.problems))}", _YELLOW

    def _cells(self, subject: str, issuer: str, *fixed: str) -> str:
        cells = [_padded(subject, self._subject), _padded(issuer, self._issuer)]
        for text, (title, size) in zip(fixed, _FIXED, strict=True):
            short = shortened(text, size)
            cells.append(short.rjust(size) if title == _DAYS_LEFT else short.ljust(size))
        return " ".join(cells)

    def _line(self, text: str, style: str) -> bytes:
        shown = styled(text, style) if self._coloured else text.rstrip()
        return f"{shown}\n".encode(self._encoding, "replace")


def _shown(one: CertificateSummary) -> Iterator[str]:
    """Say who showed a certificate, and where it stood."""
    for role, who in (("server", one.servers), ("client", one.clients)):
        if who:
            more = f" and {len(who) - 1} more" if len(who) > 1 else ""
            yield f"{role} {who[0]}{more}"
    names = [name for name in one.names_asked if name.lower() not in shown_name(one.subject).lower()]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"as {printable(shortened(names[0], 40))}{more}"
    if 0 not in one.places:
        yield "root" if one.self_signed else "between leaf and root"
    yield f"{one.connections:,} connection{'' if one.connections == 1 else 's'}"
    if one.with_keys:
        yield "with keys"


def _stated(one: CertificateSummary) -> Iterator[str]:
    """Say how long a certificate lives, how it was signed, and for which names it is."""
    if one.not_before is not None and one.lifetime_days is not None:
        yield f"{one.lifetime_days:,} days from {one.not_before[:10]}"
    yield one.signature_algorithm or "signature not read"
    names = (*(one.dns_names or ()), *(one.ip_addresses or ()))
    if names:
        more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
        yield f"for {printable(', '.join(names[:_NAMES]))}{more}"


def verdicts(one: CertificateSummary) -> Iterator[tuple[str, bool]]:
    """Say what was decided, and whether that is good."""
    if one.path is not None and one.path.trusted is not None:
        depth = "" if one.path.depth is None else f" at depth {one.path.depth}"
        yield ("trusted", True) if one.path.trusted else (f"not trusted: {one.path.reason}{depth}", False)
    if one.revocation is not None:
        yield ("not on a CRL", True) if one.revocation == "good" else ("on a CRL", False)
    if one.ocsp is not None:
        yield f"{one.ocsp} by OCSP", one.ocsp == "good"


def _padded(text: str, size: int) -> str:
    short = shortened(printable(text), size)
    return short + " " * (size - width_of(short))


def key_of(one: Certificate) -> str:
    """Name the key: its curve, or its type and bits."""
    return _CURVES.get(one.curve or "", one.curve) or f"{one.key_type or '?'} {one.key_bits or ''}".rstrip()


def shown_name(name: str | None, others: tuple[str, ...] | None = None) -> str:
    """Return the common name of a subject, or else its last attribute."""
    return common_name(name, others) or ("" if others else "-")


def table_row(one: CertificateSummary) -> list[str]:
    """Format a certificate as a row of a page's table, with a mark at what only keys show."""
    shown = [*one.servers, *one.clients]
    seen = {found.code for found in one.findings if one.with_keys or not found.with_keys}
    cells = (
        f"{shown_name(one.subject, one.dns_names)}{KEYED if one.with_keys else ''}",
        "itself" if one.self_signed else shown_name(one.issuer),
        key_of(one),
        (one.not_after or "")[:10],
        "" if one.days_left is None else str(one.days_left),
        f"{shown[0] if shown else ''}{f' and {len(shown) - 1} more' if len(shown) > 1 else ''}",
        str(one.connections),
        ", ".join(text for text, _ in verdicts(one)),
        ", ".join(
            dict.fromkeys(found.code if found.code in seen else f"{found.code}{KEYED}" for found in one.findings)
        ),
        _role(one),
        (one.not_before or "")[:10],
        one.sha256,
    )
    return [printable(cell) for cell in cells]


def _role(one: CertificateSummary) -> str:
    if 0 in one.places:
        return " and ".join(one.roles)
    return "root" if one.self_signed else "between leaf and root"
