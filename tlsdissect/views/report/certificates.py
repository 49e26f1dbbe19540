"""The certificates of a report: table rows, and details that open on a click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.views.certificates import common_name, key_of, verdicts
from tlsdissect.views.printable import printable
from tlsdissect.views.report.details import finding
from tlsdissect.views.report.grid import Column, widths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.trust.inventory import CertificateSummary
    from tlsdissect.trust.path import Verdict

_TITLES = (
    ("certificate", False), ("issuer", False), ("key", False), ("until", False), ("days", True), ("shown by", False),
    ("connections", True), ("verdict", False), ("findings", False), ("role", False), ("from", False),
    ("SHA-256", False),
)  # fmt: skip
_PAPER = ("certificate", "issuer", "key", "until", "days", "shown by", "connections", "verdict", "findings")


def columns(rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the columns of the table, as wide as these rows need."""
    return widths([(title, right) for title, right in _TITLES], rows, _PAPER)


def row(one: CertificateSummary) -> list[str]:
    """Format a certificate as a row."""
    shown = [*one.servers, *one.clients]
    cells = (
        common_name(one.subject, one.dns_names),
        "itself" if one.self_signed else common_name(one.issuer),
        key_of(one),
        (one.not_after or "")[:10],
        "" if one.days_left is None else str(one.days_left),
        f"{shown[0] if shown else ''}{f' and {len(shown) - 1} more' if len(shown) > 1 else ''}",
        str(one.connections),
        ", ".join(text for text, _ in verdicts(one)),
        ", ".join(dict.fromkeys(found.code for found in one.findings)),
        _role(one),
        (one.not_before or "")[:10],
        one.sha256,
    )
    return [printable(cell) for cell in cells]


def details(one: CertificateSummary, connection: int | None) -> dict[str, Any]:
    """Return all details of a certificate; `connection` is the number of the first one with it, if known."""
    facts = [[label, printable(text)] for label, text in _facts(one) if text]
    found = [finding(each) for each in one.findings]
    problems = [printable(text) for text in one.problems]
    return {"facts": facts, "findings": found, "problems": problems, "connection": connection}


def _facts(one: CertificateSummary) -> Iterator[tuple[str, str | None]]:
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
    yield "authority", {True: "yes", False: "no"}.get(one.is_ca) if one.is_ca is not None else None
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


def _role(one: CertificateSummary) -> str:
    if 0 in one.places:
        return " and ".join(one.roles)
    return "root" if one.self_signed else "between leaf and root"
