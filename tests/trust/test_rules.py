"""The table of findings: docs/findings.md lists the same, the code reports each, and a test expects each."""

from __future__ import annotations

import re

from recorded import ROOT

from tlsdissect.model.connection import SEVERITIES, at_least
from tlsdissect.trust.rules import RULES, finding

SOURCES = sorted((ROOT / "tlsdissect" / "trust").glob("*.py"))


def test_codes_are_distinct_and_severities_known() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert {rule.severity for rule in RULES} == set(SEVERITIES)
    assert all(re.fullmatch(r"[a-z0-9_]+", rule.code) for rule in RULES)


def test_the_documentation_lists_them_with_what_to_do() -> None:
    text = (ROOT / "docs" / "findings.md").read_text()
    rows = re.findall(
        r"^\| `([a-z0-9_]+)` \| (info|low|medium|high) \| (.*?) \| (.*?) \| (.+?) \|$", text, re.MULTILINE
    )
    listed = [(*row[:4], row[4].replace("`", "")) for row in rows]
    assert listed == [(rule.code, rule.severity, rule.meaning, rule.rule, rule.advice) for rule in RULES]


def test_each_is_reported_somewhere() -> None:
    sources = "".join(source.read_text() for source in SOURCES if source.name != "rules.py")
    assert [rule.code for rule in RULES if f'"{rule.code}"' not in sources] == []


def test_a_finding_has_the_severity_and_the_rule_of_its_code() -> None:
    made = finding("expired", "valid until then", 7, "ab")
    assert (made.severity, made.frame, made.certificate) == ("high", 7, "ab")
    assert "RFC 5280" in made.rule
    assert at_least("medium") == {"medium", "high"}


def test_each_is_named_in_a_test() -> None:
    tests = "".join(path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))
    assert [rule.code for rule in RULES if not re.search(rf"\b{rule.code}\b", tests)] == []
