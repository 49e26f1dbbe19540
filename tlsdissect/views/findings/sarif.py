"""SARIF 2.1.0: rules and results, for code scanning."""

from __future__ import annotations

import os
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tlsdissect.trust.rules import RULES
from tlsdissect.views.ndjson import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.trust.rules import Rule
    from tlsdissect.views.findings.results import Result

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"high": "error", "medium": "warning", "low": "note", "info": "note"}
_SCORES = {"high": "8.0", "medium": "5.0", "low": "2.0", "info": "0.0"}
"""Scores in the middle of the ranges by which GitHub names severities."""
_INDEX = {rule.code: number for number, rule in enumerate(RULES)}


def document(groups: Iterable[tuple[str, list[Result]]]) -> Iterator[bytes]:
    """Write a log with one run; each result is a line."""
    driver = {"name": "tlsdissect", "version": version("tlsdissect"), "rules": [_rule(one) for one in RULES]}
    head = json_text({"$schema": _SCHEMA, "version": "2.1.0"})[:-1]
    tool = json_text({"tool": {"driver": driver}})[:-1]
    yield head + b',"runs":[\n' + tool + b',\n"results":['
    before = b"\n"
    for _, results in groups:
        for one in results:
            yield before + json_text(_result(one))
            before = b",\n"
    yield b"\n]}]}\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.meaning},
        "help": {"text": f"{rule.meaning} ({rule.rule}). {rule.advice}."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["security", "tls"], "security-severity": _SCORES[rule.severity]},
    }


def _result(result: Result) -> dict[str, Any]:
    found = result.finding
    logical = [{"name": result.stream, "kind": "stream", "fullyQualifiedName": f"stream {result.stream}"}]
    if found.frame is not None:
        logical.append({
            "name": str(found.frame),
            "kind": "frame",
            "fullyQualifiedName": f"stream {result.stream}, frame {found.frame}",
        })  # fmt: skip
    place = {"physicalLocation": {"artifactLocation": {"uri": _uri(result.source)}}, "logicalLocations": logical}
    properties: dict[str, Any] = {
        "about": result.about, "severity": found.severity, "certificate": found.certificate,
        "with_keys": result.with_keys or None,
    }  # fmt: skip
    return {
        "ruleId": found.code,
        "ruleIndex": _INDEX[found.code],
        "level": _LEVELS[found.severity],
        "message": {"text": _message(f"{result.about}: {result.text}")},
        "locations": [place],
        "partialFingerprints": {"tlsdissect/v1": _fingerprint(result)},
        "occurrenceCount": result.connections,
        "properties": {name: value for name, value in properties.items() if value is not None},
    }


def _fingerprint(result: Result) -> str:
    """Identify a result by what stays the same in the next capture: its rule, its server and its certificate."""
    found = result.finding
    return sha256("\0".join([found.code, result.about, found.certificate or ""]).encode()).hexdigest()


def _message(text: str) -> str:
    """Escape text for a message: braces would be placeholders (section 3.11.5), and `](` a link (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _uri(source: str) -> str:
    """Return the path of a capture as a URI (RFC 3986), whatever its bytes are."""
    path = quote(os.fsencode(source))
    return f"file://{path}" if path.startswith("/") else path
