"""What the cells of the table say of a connection, the best first where there are shorter ways, and their colours."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tlsdissect.model.transcript import final_alert
from tlsdissect.views.printable import shortened

if TYPE_CHECKING:
    from tlsdissect.model.connection import Certificate, Connection

    Texts = tuple[str | None, ...]

# Parameters of "select graphic rendition" (ECMA-48 section 8.3.117): the sixteen colours follow the terminal's theme.
HEADING, SECTION, FAINT = "1;4", "1", "2"
_RED, _GREEN, _YELLOW = "31", "32", "33"

_GRAVE = ("high", "medium", "low", "info")
_HTTPS = 443
_NAMED = 18
"""Columns in which the name of an alert can be recognised."""


def stream(c: Connection) -> Texts:
    """Its number."""
    return (str(c.stream),)


def start(c: Connection) -> Texts:
    """The time of day; the date where there is room."""
    if c.start is None:
        return ()
    day, _, time = c.start.rstrip("Z").partition("T")
    return f"{day} {time}", time, time[:15]


def client(c: Connection) -> Texts:
    """Its address, with the port where there is room."""
    return str(c.client), c.client.ip


def server(c: Connection) -> Texts:
    """The name that was asked for, or the address; the port unless it is the one of HTTPS."""
    if c.sni is None:
        return (str(c.server),)
    name = c.sni if c.server.port == _HTTPS else f"{c.sni}:{c.server.port}"
    return f"{name} ({c.server.ip})", name


def version(c: Connection) -> Texts:
    """The number of a TLS version; what else there is by its name."""
    return (None if c.version is None else _version(c.version),)


def suite(c: Connection) -> Texts:
    """The cipher, after the key exchange where there is room."""
    return () if c.cipher_suite is None else _suite(c.cipher_suite)


def group(c: Connection) -> Texts:
    """The group of the key exchange, or the size of a finite field's prime."""
    if c.dh_bits is not None:
        return (f"DH {c.dh_bits}",)
    return (c.group,)


def alpn(c: Connection) -> Texts:
    """The protocol that the server picked in the clear."""
    return (c.alpn,)


def resumed(c: Connection) -> Texts:
    """By what the session was resumed, and whether data came early."""
    how = None if c.resumption in (None, "none") else c.resumption
    early = "0-RTT" if c.early_data == "accepted" else None
    return (" ".join(part for part in (how, early) if part) or None,)


def round_trips(c: Connection) -> Texts:
    """How often the client had to wait."""
    return (None if c.round_trips is None else str(c.round_trips),)


def milliseconds(c: Connection) -> Texts:
    """The time of the handshake."""
    took = c.timing.handshake_ms
    return () if took is None else (f"{took:.2f}", f"{took:.0f}")


def outcome(c: Connection) -> Texts:
    """How the handshake went; an alert by its name, and by whom."""
    if c.failed_by is None:
        return (c.outcome,)
    alert = final_alert(c)
    what = f"{c.outcome}: {alert.description}" if alert and alert.description else c.outcome
    return f"{what} by {c.failed_by}", what, shortened(what, _NAMED), c.outcome


def problems(c: Connection) -> Texts:
    """What kept something from being read or told."""
    kinds = dict.fromkeys(problem.code for problem in c.problems)
    return (", ".join(kinds), str(len(c.problems))) if kinds else ()


def findings(c: Connection) -> Texts:
    """What was found, the gravest first; as many as fit, and how many more."""
    codes = [one.code for grave in _GRAVE for one in c.findings or () if one.severity == grave]
    codes = list(dict.fromkeys(codes))
    some = [f"{', '.join(codes[:n])} +{len(codes) - n}" for n in range(len(codes) - 1, 0, -1)]
    return (", ".join(codes), *some) if codes else ()


def ja4(c: Connection) -> Texts:
    """The client's fingerprint."""
    return (c.ja4,)


def certificate(c: Connection) -> Texts:
    """Whom the server's certificate is for."""
    return (_subject(c.certificates[0]),) if c.certificates else ()


def source(c: Connection) -> Texts:
    """The capture."""
    return (c.source,)


def plain(_: Connection) -> str:
    """The terminal's own colour."""
    return ""


def faint(_: Connection) -> str:
    """Less than plain."""
    return FAINT


def by_problems(c: Connection) -> str:
    """Yellow where something is missing; what was told by shape is not."""
    return _YELLOW if any(problem.code != "inferred" for problem in c.problems) else ""


def by_findings(c: Connection) -> str:
    """Red where something is grave, yellow where it is of some weight."""
    severities = {one.severity for one in c.findings or ()}
    return _RED if "high" in severities else _YELLOW if "medium" in severities else ""


def by_version(c: Connection) -> str:
    """Green for 1.3, plain for 1.2, red for what RFC 8996 and its elders forbid."""
    if c.version is None or c.version.endswith("1.2"):
        return ""
    return _GREEN if c.is_tls13 else _RED


def by_outcome(c: Connection) -> str:
    """Green where it worked, red where somebody ended it, yellow where the capture does not tell."""
    if c.outcome == "established":
        return _GREEN
    return _RED if c.failed_by else _YELLOW


@lru_cache(maxsize=256)
def _version(name: str) -> str:
    draft = re.search(r"\(draft (\d+)\)", name)
    if draft:
        return f"1.3d{draft[1]}"
    kind, _, number = name.partition(" ")
    return number if kind == "TLS" else f"{kind[0]}{number}" if kind == "DTLS" else f"{kind}{number[:1]}"


@lru_cache(maxsize=512)
def _suite(name: str) -> Texts:
    """Shorten the registry's name: the prefix says nothing, hashes of AEAD suites and of HMAC are left out."""
    bare = name.removeprefix("TLS_")
    exchange, _, cipher = bare.rpartition("WITH_")
    short = re.sub(r"_(SHA\d*|MD5)$", "", cipher)
    short = re.sub(r"(AES|CAMELLIA|ARIA)_(\d+)", r"\1\2", short).replace("_POLY1305", "").replace("_EDE", "")
    short = short.replace("_", "-")
    full = f"{exchange.rstrip('_').replace('_', '-')} {short}".strip()
    return full, short


def _subject(leaf: Certificate) -> str | None:
    """Take the common name out of a subject (RFC 4514), or the first name that the certificate is for."""
    found = re.search(r"(?:^|,)CN=((?:\\.|[^,+\\])+)", leaf.subject or "")
    if found:
        return found[1]
    return leaf.dns_names[0] if leaf.dns_names else leaf.subject
