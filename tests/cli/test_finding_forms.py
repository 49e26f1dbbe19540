"""`--format sarif` and `--format junit`: every finding once for what it is about, in a form that CI systems read."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from commands import TLS12, run
from hostile import capture
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.model.connection import Finding
from tlsdissect.trust.rules import RULES, finding
from tlsdissect.views.findings import junit, results, sarif
from tlsdissect.views.findings.results import Result, Results

if TYPE_CHECKING:
    from pathlib import Path

OLD = "samples/network/network-old-clients.pcap"
EVERY = frozenset(("info", "low", "medium", "high"))


def of(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


def several(item: dict[str, Any], least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": least, "uniqueItems": True}


TEXT = {"type": "string", "minLength": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = of({"text": TEXT})
RULE = of(
    {"id": TEXT},
    shortDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=of({}, level=LEVEL),
    properties={"type": "object"},
)
LOCATION = of(
    {},
    physicalLocation=of({"artifactLocation": of({"uri": {"type": "string", "pattern": r"^[A-Za-z0-9/._~%:-]+$"}})}),
    logicalLocations=several(of({}, name=TEXT, kind=TEXT, fullyQualifiedName=TEXT)),
)
RESULT = of(
    {"message": MESSAGE},
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    locations=several(LOCATION),
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    occurrenceCount={"type": "integer", "minimum": 1},
    properties={"type": "object"},
)
LOG = of(
    {
        "version": {"const": "2.1.0"},
        "runs": several(
            of(
                {"tool": of({"driver": of({"name": TEXT}, version=TEXT, rules=several(RULE))})},
                results=several(RESULT, 0),
            )
        ),
    },
    **{"$schema": {"type": "string", "format": "uri"}},
)
"""What of SARIF 2.1.0 is written, with the names, the types and what is required as in the schema of OASIS."""


def logged(text: bytes) -> list[dict[str, Any]]:
    """The results of a log that has the structure of SARIF."""
    log = json.loads(text)
    jsonschema.validate(log, LOG)
    (one,) = log["runs"]
    rules = one["tool"]["driver"]["rules"]
    found: list[dict[str, Any]] = one["results"]
    assert [rule["id"] for rule in rules] == [rule.code for rule in RULES]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in found)
    return found


def suites(text: bytes) -> list[ET.Element]:
    """The suites of a report, whose counts are true."""
    found = list(ET.fromstring(text))  # noqa: S314 (our own)
    for suite in found:
        counted = {
            "tests": len(suite),
            "failures": len(suite.findall("testcase/failure")),
            "skipped": len(suite.findall("testcase/skipped")),
            "errors": 0,
        }
        assert {name: int(suite.get(name, "")) for name in counted} == counted
    return found


def test_sarif_has_every_finding_once_for_each_server() -> None:
    told = [json.loads(line) for line in run("read", "-q", "--findings", "--format", "json", OLD).stdout.splitlines()]
    expected = {
        (one["code"], f"{c['server']['ip']}:{c['server']['port']}", one["certificate"])
        for c in told
        for one in c["findings"]
    }
    found = logged(run("read", "-q", "--format", "sarif", OLD).stdout)
    keys = [(one["ruleId"], one["properties"]["about"], one["properties"].get("certificate")) for one in found]
    assert len(keys) == len(set(keys))
    assert set(keys) == expected
    (null,) = [one for one in found if one["ruleId"] == "null_cipher"]
    assert null["level"] == "error"
    assert null["occurrenceCount"] == sum(any(one["code"] == "null_cipher" for one in c["findings"]) for c in told)
    stream = null["locations"][0]["logicalLocations"][0]["name"]
    (seen,) = [c for c in told if c["stream"] == int(stream)]
    frames = {one["frame"] for one in seen["findings"] if one["code"] == "null_cipher"}
    assert null["locations"][0]["logicalLocations"][1]["name"] in set(map(str, frames))


def test_levels_follow_severities() -> None:
    found = logged(run("read", "-q", "--format", "sarif", "--system-ca", OLD).stdout)
    levels = {one["properties"]["severity"]: one["level"] for one in found}
    assert levels == {"high": "error", "medium": "warning", "low": "note", "info": "note"}


def test_fingerprints_are_the_same_in_another_capture(tmp_path: Path) -> None:
    copy = tmp_path / "copy of it.pcap"
    shutil.copy(ROOT / OLD, copy)
    logs = [
        logged(run("read", "-q", "--format", "sarif", *given).stdout) for given in ((OLD,), (copy, "--since", "1ms"))
    ]
    marks = [{one["partialFingerprints"]["tlsdissect/v1"] for one in log} for log in logs]
    assert len(marks[0]) == len(logs[0])
    assert marks[1]
    assert marks[1] <= marks[0]


def test_certificates_have_their_findings() -> None:
    told = [json.loads(line) for line in run("certs", "-q", "--format", "json", OLD).stdout.splitlines()]
    expected = {(found["code"], one["sha256"]) for one in told for found in one["findings"]}
    found = logged(run("certs", "-q", "--format", "sarif", OLD).stdout)
    assert {(one["ruleId"], one["properties"]["certificate"]) for one in found} == expected
    cases = [
        case.get("name", "") for suite in suites(run("certs", "-q", "--format", "junit", OLD).stdout) for case in suite
    ]
    assert set(cases) == {f"{code} {digest[:16]}" for code, digest in expected}


@pytest.mark.parametrize(("given", "failing"), [((), {"low", "medium", "high"}), (("--fail-on", "high"), {"high"})])
def test_junit_fails_what_is_as_grave_as_the_threshold(given: tuple[str, ...], failing: set[str]) -> None:
    done = run("read", "-q", "--format", "junit", *given, OLD)
    assert done.returncode == (3 if given else 0)
    severities: dict[str, set[str]] = {"failure": set(), "skipped": set()}
    for kind, found in severities.items():
        for suite in suites(done.stdout):
            found |= {one.get("message", "").partition(":")[0] for one in suite.findall(f"testcase/{kind}")}
    assert severities == {"failure": failing, "skipped": set(EVERY) - failing}


def test_a_server_without_findings_has_a_case_that_passed() -> None:
    empty = Results()
    (one,) = tlsdissect.read(ROOT / TLS12)
    empty.add(one)
    ((case,),) = suites(b"".join(junit.document(empty.groups(), EVERY)))
    assert (case.get("name"), len(case)) == ("no findings", 0)


def test_the_suffix_selects_the_form(tmp_path: Path) -> None:
    for name, option in (("a.sarif", "sarif"), ("a.xml", "junit")):
        assert run("read", "-q", TLS12, "-o", tmp_path / name).returncode == 0
        assert (tmp_path / name).read_bytes() == run("read", "-q", "--format", option, TLS12).stdout


@pytest.mark.parametrize("option", ["--sort sni", "--top 3", "--columns sni", "--raw-fingerprints"])
def test_what_arranges_connections_is_refused(option: str) -> None:
    words = option.split()
    done = run("read", "--format", "sarif", *words, TLS12)
    assert done.returncode == 2
    assert done.stderr.startswith(f"tlsdissect: {words[0]} requires --format table, json or csv".encode())


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    path = capture(tmp_path)
    found = logged(run("read", "-q", "--format", "sarif", path).stdout)
    for one in found:
        uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert unquote_to_bytes(uri.removeprefix("file://")) == str(path).encode("utf-8", "surrogateescape")
    cases = [case for suite in suites(run("read", "-q", "--format", "junit", path).stdout) for case in suite]
    assert {case.get("name", "").split()[0] for case in cases} == {one["ruleId"] for one in found}
    assert suites(run("certs", "-q", "--format", "junit", path).stdout)


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0xD800, 0xDCFF, 0xFFFE, 0xFFFF, 0x1FFFF])
def test_any_character_fits_in_xml(code: int) -> None:
    found = finding("expired", f"a{chr(code)}]]>&<b")
    one = Result(f"s{chr(code)}\"'<", found, f"f{chr(code)}", "0", {found.detail: None}, 1)
    ((case,),) = suites("".join(map(bytes.decode, junit.document([(one.about, [one])], EVERY))).encode())
    assert "]]>&<b" in case[0].get("message", "")


def test_a_message_holds_no_link_and_no_placeholder() -> None:
    found = finding("expired", "[here](http://example.com) {0}")
    one = Result("[::1]:443", found, "a.pcap", "0", {found.detail: None}, 1)
    (result,) = logged(b"".join(sarif.document([(one.about, [one])])))
    assert result["message"]["text"] == "[::1]:443: [here] (http://example.com) {{0}}"


def test_findings_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FINDINGS_BYTES", 10 * results.RESULT_BYTES)
    (one,) = tlsdissect.read(ROOT / TLS12)
    found = Results()
    for number in range(50):
        detail = Finding("expired", "high", f"{number}", None, f"{number:064x}", "RFC 5280")
        found.add(replace(one, findings=(detail,)))
    kept = [each for _, those in found.groups() for each in those]
    assert 0 < len(kept) < 10
    assert found.left_out == 50 - len(kept)
