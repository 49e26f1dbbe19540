"""`tlsdissect cbom`: an inventory that matches its schema, has what other commands list, and claims what was seen."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import PROGRAM, TLS12, run
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hostile import capture, obeyed
from msgspec.structs import replace
from recorded import ROOT, SHARED, absent

import tlsdissect
from tlsdissect.model.connection import Certificate
from tlsdissect.tls.codepoints import Registry
from tlsdissect.views.cbom import algorithms, use
from tlsdissect.views.cbom.document import SPECIFICATION, Document
from tlsdissect.views.cbom.readiness import key_agreement, signatures
from tlsdissect.views.cbom.use import CryptographicUse
from tlsdissect.views.comparison.builder import compared

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection

SAMPLES = ROOT / "samples"
KEYED = "tls13-client-cert"


def valid(text: str) -> dict[str, Any]:
    """The inventory, which matches its schema as a whole."""
    error = JsonStrictValidator(SPECIFICATION).validate_str(text)
    assert error is None
    found: dict[str, Any] = json.loads(text)
    refs = [one["bom-ref"] for one in (*found["components"], *found["services"])]
    assert len(set(refs)) == len(refs)
    named = {ref for one in found["dependencies"] for ref in (one["ref"], *one["dependsOn"])}
    assert named - set(refs) == set()
    return found


def listed(found: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The components of a kind, by what follows it in their references."""
    head = f"{kind}/"
    return {one["bom-ref"].removeprefix(head): one for one in found["components"] if one["bom-ref"].startswith(head)}


def properties(one: dict[str, Any]) -> dict[str, str]:
    return {each["name"].removeprefix("tlsdissect:"): each["value"] for each in one.get("properties", ())}


def inventory(*connections: Connection) -> dict[str, Any]:
    found = CryptographicUse()
    for connection in connections:
        found.add(connection)
    return valid(b"".join(Document().pieces(found)).decode())


def server(*connections: Connection) -> tuple[str, str]:
    """What is said of the server of these connections: of its key agreement, and of its signatures."""
    found = CryptographicUse()
    for connection in connections:
        found.add(connection)
    (one,) = found.servers.values()
    return key_agreement(one), signatures(one, found.certificates)


@pytest.fixture(scope="module")
def recorded() -> Connection:
    (one,) = tlsdissect.read(ROOT / TLS12)
    return one


def readable(folder: Path) -> list[Path]:
    """The captures of a folder that other commands read without an error."""
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        try:
            sum(1 for _ in tlsdissect.read(path))
        except tlsdissect.CaptureError:
            continue
        found.append(path)
    return found


@pytest.mark.parametrize("folder", [SAMPLES, SHARED / "captures"], ids=["samples", "captures"])
def test_everything_that_certs_and_compare_list_is_there(folder: Path) -> None:
    if not folder.is_dir():
        absent(f"{folder} is not there")
    paths = readable(folder)
    found = valid(tlsdissect.cbom(*paths).decode())
    certificates = {one.sha256 for one in tlsdissect.certs(*paths)}
    assert certificates
    assert listed(found, "certificate").keys() == certificates
    (whole,) = compared(tlsdissect.read(*paths))
    suites, groups = listed(found, "cipher-suite"), listed(found, "group")
    chosen = {name: one for name, one in suites.items() if properties(one)["use"] == "in use"}
    assert chosen.keys() == {name for side in whole.sides for name in side.cipher_suites}
    assert {name for side in whole.sides for name in side.offered_suites} - suites.keys() == set()
    used = {one["name"]: one for one in groups.values() if properties(one)["use"] == "in use"}
    assert used.keys() == {name for side in whole.sides for name in side.groups}
    schemes = listed(found, "signature-scheme")
    assert {name for side in whole.sides for name in side.signature_schemes} - schemes.keys() == set()


def test_the_evidence_leads_to_the_frame() -> None:
    found = valid(run("cbom", SAMPLES / "talk").stdout.decode())
    connections = {(one.source, f"stream {one.stream_name}"): one for one in tlsdissect.read(SAMPLES / "talk")}
    checked = 0
    for name, one in listed(found, "cipher-suite").items():
        for place in one["evidence"]["occurrences"]:
            seen = connections[place["location"], place["symbol"]]
            frame = int(re.findall(r"^frame (\d+), ", place["additionalContext"])[0])
            if properties(one)["use"] == "in use":
                assert (seen.cipher_suite, seen.server_hello.frame) == (name, frame)
            else:
                assert name in seen.client_hello.cipher_suites
                assert seen.client_hello.frame == frame
            checked += 1
    assert checked > 10


def test_suites_have_their_code_points_and_groups() -> None:
    found = valid(run("cbom", TLS12).stdout.decode())
    (protocol,) = listed(found, "protocol").values()
    stated = protocol["cryptoProperties"]["protocolProperties"]
    assert (stated["type"], stated["version"]) == ("tls", "1.2")
    (suite,) = stated["cipherSuites"]
    assert suite["identifiers"] == ["0xc0", "0x30"]
    assert (suite["tlsGroups"], suite["tlsSignatureSchemes"]) == (["x25519"], ["rsa_pss_rsae_sha256"])
    assert suite["algorithms"] == ["algorithm/AES-256-GCM", "algorithm/SHA-384"]


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    written = []
    for seed in ("1", "2"):
        file = tmp_path / f"{seed}.json"
        command = [*PROGRAM, "cbom", "-q", "samples", "-o", file]
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, timeout=120)
        written.append(file.read_bytes())
    assert written[0] == written[1]
    found = json.loads(written[0])
    assert "timestamp" not in found["metadata"]
    assert valid(run("cbom", TLS12).stdout.decode())["serialNumber"] != found["serialNumber"]


def test_the_specification_is_the_newest() -> None:
    assert max(SchemaVersion) is SPECIFICATION


def test_the_function_returns_what_the_command_writes() -> None:
    assert tlsdissect.cbom(SAMPLES, tls="1.2") == tlsdissect.cbom(SAMPLES, where="version.endsWith('TLS 1.2')")
    assert tlsdissect.cbom(TLS12) == run("cbom", TLS12).stdout


def test_a_selection_without_a_match_is_an_empty_inventory() -> None:
    done = run("cbom", TLS12, "--sni", "nobody.example", "--exit-status")
    assert done.returncode == 1
    found = valid(done.stdout.decode())
    assert (found["components"], found["services"]) == ([], [])


def test_certificates_that_only_keys_show_are_marked() -> None:
    capture, keys = f"samples/{KEYED}.pcap", f"samples/{KEYED}.keys"
    assert listed(valid(run("cbom", capture).stdout.decode()), "certificate") == {}
    shown = valid(run("cbom", capture, "--keylog", keys).stdout.decode())
    found = listed(shown, "certificate")
    assert found.keys() == {one.sha256 for one in tlsdissect.certs(ROOT / capture, keylog=ROOT / keys)} != set()
    assert {name for name, one in listed(shown, "key").items() if "only-with-keys" in properties(one)} == found.keys()
    for one in found.values():
        assert properties(one)["only-with-keys"] == "true"
        assert one["evidence"]["occurrences"][0]["additionalContext"].endswith(", only with keys")
    both = valid(run("cbom", capture, "samples/tls12-client-cert.pcap", "--keylog", keys).stdout.decode())
    assert not any("only-with-keys" in properties(one) for one in listed(both, "certificate").values())


def test_each_registered_name_is_described_by_the_schema() -> None:
    validator = JsonStrictValidator(SPECIFICATION)
    made = [algorithms.cipher_suite(name) for name in Registry.CIPHER_SUITES._numbers]
    made += [algorithms.cipher_suite(name) for name in Registry.SSL2_CIPHER_KINDS._numbers]
    made += [algorithms.group(name) for name in (*Registry.GROUPS._numbers, "DH 768", "0x1234")]
    made += [algorithms.signature_scheme(name) for name in (*Registry.SIGNATURE_SCHEMES._numbers, "0x0301")]
    assert len(made) > 400
    components = {
        one.ref: {
            "type": "cryptographic-asset",
            "name": one.name,
            "cryptoProperties": {"assetType": "algorithm", "algorithmProperties": one.properties},
        }
        for whole in made
        for one in (whole, *whole.parts)
    }
    for one in components.values():
        bom = {"bomFormat": "CycloneDX", "specVersion": "1.7", "components": [one]}
        assert validator.validate_str(json.dumps(bom)) is None
    # A name that does not list its algorithms has no parts.
    odd = [one.name for one in made if one.ref.startswith("cipher-suite/") and not one.parts]
    assert all(re.search("GREASE|SCSV|NULL|CCM", name) for name in odd)


def test_security_categories_are_those_of_the_standards() -> None:
    """FIPS 203, 204 and 205, and AES; nothing else has one, hybrid groups as a whole among them."""
    suites = [algorithms.cipher_suite(name) for name in Registry.CIPHER_SUITES._numbers]
    groups = [algorithms.group(name) for name in Registry.GROUPS._numbers]
    schemes = [algorithms.signature_scheme(name) for name in Registry.SIGNATURE_SCHEMES._numbers]
    found = {
        re.sub("-(GCM|CCM|CBC).*", "", one.name): one.properties["nistQuantumSecurityLevel"]
        for whole in (*suites, *groups, *schemes)
        for one in (whole, *whole.parts)
        if "nistQuantumSecurityLevel" in one.properties
    }
    assert found == {
        "AES-128": 1, "AES-256": 5, "ML-KEM-768": 3, "ML-KEM-1024": 5,
        "MLKEM512": 1, "MLKEM768": 3, "MLKEM1024": 5, "mldsa44": 2, "mldsa65": 3, "mldsa87": 5,
    }  # fmt: skip
    keys = {"ML-DSA-65": 3, "SLH-DSA-SHAKE-192f": 3, "SLH-DSA-SHA2-256s": 5, "ML-KEM-512": 1, "Ed25519": None}
    for kind, category in keys.items():
        one = algorithms.key_of(Certificate("0", 1, key_type=kind))
        assert one is not None
        assert one.properties.get("nistQuantumSecurityLevel") == category


def test_readiness_says_what_was_seen(recorded: Connection) -> None:
    hello = recorded.client_hello
    assert hello is not None
    offering = replace(recorded, client_hello=replace(hello, groups=("X25519MLKEM768", "x25519")))
    hybrid = replace(offering, group="X25519MLKEM768")
    resumed = replace(recorded, group=None, signature_scheme=None, resumption="ticket", certificates=())
    unseen = replace(recorded, client_hello=None, ja4=None)
    assert server(recorded) == ("not offered by clients", "classical")
    assert server(offering) == ("offered by clients, not chosen", "classical")
    assert server(hybrid, hybrid, resumed)[0] == "chosen in all connections"
    assert server(hybrid, recorded)[0] == "chosen in 1 of 2 connections"
    assert server(resumed) == ("not seen", "not seen")
    assert server(unseen)[0] == "not chosen; offers not seen as a whole"
    chain = tuple(replace(one, key_type="ML-DSA-65", signature_algorithm="ML-DSA-65") for one in recorded.certificates)
    modern = replace(recorded, signature_scheme="mldsa65", certificates=chain)
    assert server(modern)[1] == "post-quantum"
    assert server(replace(modern, signature_scheme="rsa_pss_rsae_sha256"))[1] == "classical and post-quantum"
    assert server(replace(modern, signature_scheme="0x1234"))[1] == "not known"


def test_what_only_clients_offer_is_marked(recorded: Connection) -> None:
    hello = recorded.client_hello
    assert hello is not None
    groups = listed(inventory(replace(recorded, client_hello=replace(hello, groups=("MLKEM768", "x25519")))), "group")
    assert {name: properties(one)["use"] for name, one in groups.items()} == {
        "MLKEM768": "offered by clients only",
        "x25519": "in use",
    }


@pytest.mark.parametrize(
    ("date", "shown"),
    [("1950-01-01T00:00:00Z", True), ("0900-01-01T00:00:00Z", True), ("0000-01-01T00:00:00Z", False), (None, None)],
)
def test_any_date_is_written(recorded: Connection, date: str | None, shown: bool | None) -> None:
    chain = tuple(replace(one, not_before=date) for one in recorded.certificates or ())
    for one in listed(inventory(replace(recorded, certificates=chain)), "certificate").values():
        stated = one["cryptoProperties"]["certificateProperties"]
        assert stated.get("notValidBefore") == (date if shown else None)
        assert properties(one).get("not-before") == (date if shown is False else None)


def test_hostile_names_are_nothing_but_strings(tmp_path: Path) -> None:
    path = capture(tmp_path)
    done = run("cbom", path)
    assert done.returncode == 0, done.stderr
    assert obeyed(done.stdout.decode()) == set()
    found = valid(done.stdout.decode())
    names = {
        one["cryptoProperties"]["certificateProperties"]["subjectName"] for one in listed(found, "certificate").values()
    }
    assert names == {one.subject for one in tlsdissect.certs(path)}


def test_values_beyond_the_limit_are_counted(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 40 * use.SIGHTING_BYTES
    monkeypatch.setattr(use, "CBOM_BYTES", room)
    many = [
        replace(recorded, server=replace(recorded.server, port=port), sni=f"{port}.example") for port in range(1, 99)
    ]
    found = inventory(*many)
    assert int(properties(found["metadata"])["left-out"]) > 0
    assert 0 < len(found["services"]) < 40


def without_library(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import sys; sys.modules['cyclonedx'] = None\n{script}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_library_is_an_extra() -> None:
    wanted = "cbom needs cyclonedx-python-lib: pip install 'tlsdissect[cbom]'"
    done = without_library(f"from tlsdissect.cli import main; sys.exit(main(['cbom', '{TLS12}']))")
    assert (done.returncode, done.stderr) == (2, f"tlsdissect: {wanted} (see tlsdissect cbom --help)\n")
    done = without_library(f"import tlsdissect; tlsdissect.cbom('{TLS12}')")
    assert done.stderr.endswith(f"\nImportError: {wanted}\n")
