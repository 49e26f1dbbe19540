"""`tlsdissect certs`: each certificate once, in every form, and in files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from commands import TLS12, TLS13, on_terminal, run
from recorded import ROOT, need, without

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = "samples/tls12-client-cert.pcap"
CRL = "samples/talk/httpd-8890-revoked-tls12.crl"
OTHERS = "tomcat-firefox-tls12"
"""A sample that was recorded by itself: the certificates in it are of another authority."""
SAMPLES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("samples/*.pcap") if path.stem != OTHERS)


def told(*arguments: str) -> list[dict[str, Any]]:
    done = run("certs", "-q", "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_certificate_is_told_once_with_who_showed_it() -> None:
    leaf, root, alice = told(*SAMPLES)
    assert [one["subject"].split(",")[0] for one in (leaf, root, alice)] == [
        "emailAddress=webmaster@localhost",
        "emailAddress=ca@localhost",
        "CN=Alice",
    ]
    shown = [one for one in tlsdissect.read(*[ROOT / sample for sample in SAMPLES]) if one.certificates]
    assert leaf["connections"] == root["connections"] == len(shown)
    assert (leaf["first_seen"], leaf["last_seen"]) == (min(c.start for c in shown), max(c.start for c in shown))
    assert [one["roles"] for one in (leaf, root, alice)] == [["server"], ["server"], ["client"]]
    assert [one["places"] for one in (leaf, root, alice)] == [[0], [1], [0]]
    assert (leaf["servers"], leaf["clients"], alice["servers"], alice["clients"]) == (["[::1]:8443"], [], [], ["::1"])
    assert (leaf["names_asked"], leaf["name_matches"], alice["name_matches"]) == (["localhost"], True, None)
    assert alice["first_source"] == "samples/tls12-client-cert.pcap"
    assert (leaf["first_source"], leaf["first_frame"]) == ("samples/smtp-starttls.pcap", 17)
    assert alice["first_frame"] == 8


def test_facts_are_those_that_read_tells() -> None:
    (connection,) = tlsdissect.read(ROOT / TLS12)
    assert connection.certificates is not None
    for summary, facts in zip(told(TLS12), connection.certificates, strict=True):
        assert {name: summary[name] for name in ("sha256", "subject", "serial", "not_after", "scts")} == {
            name: getattr(facts, name) for name in ("sha256", "subject", "serial", "not_after", "scts")
        }


@pytest.mark.parametrize(
    ("at", "days"), [("2044-12-31", 1), ("2044-12-30T23:59:59", 1), ("2045-01-01", 0), ("2045-01-02", -1)]
)
def test_days_left(at: str, days: int) -> None:
    assert told("--at", at, TLS12)[0]["days_left"] == days


def test_trust_is_not_checked_unless_somebody_is_trusted() -> None:
    leaf, root = told(TLS12)
    assert leaf["path"] == {"trusted": None, "reason": "not checked", "code": None, "depth": None, "certificate": None}
    assert root["path"] is None
    done = run("certs", TLS12)
    assert b"trust not checked" in done.stderr
    assert b"trusted" not in done.stdout


def test_trust(tmp_path: Path) -> None:
    assert run("certs", "-q", "--to", tmp_path, TLS12).returncode == 0
    leaf, root = told(TLS12)
    anchor = str(tmp_path / f"{root['sha256']}.pem")
    assert told("--ca-file", anchor, TLS12)[0]["path"]["trusted"] is True
    given = told("--ca-file", anchor, "--at", "2046-01-01", TLS12)[0]["path"]
    assert (given["trusted"], given["code"], given["depth"]) == (False, 10, 1)
    assert given["certificate"] == root["sha256"]
    assert told("--ca-file", anchor, TLS12)[0]["web_pki"]["trusted"] is True
    assert told("--ca-file", anchor, "--at", "2046-01-01", TLS12)[0]["web_pki"]["trusted"] is False
    assert leaf["web_pki"]["trusted"] is None


def test_csv_has_the_same_in_its_cells() -> None:
    done = run("certs", "-q", "--format", "csv", CLIENT)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    lines = told(CLIENT)
    for row, line in zip(rows, lines, strict=True):
        assert row["sha256"] == line["sha256"]
        assert json.loads(row["findings"]) == line["findings"]
        assert json.loads(row["servers"]) == line["servers"]
        assert row["days_left"] == str(line["days_left"])
        assert row["path_reason"] == (line["path"]["reason"] if line["path"] else "")


def test_pem_is_what_openssl_reads() -> None:
    done = run("certs", "-q", "--format", "pem", CLIENT)
    blocks = done.stdout.decode().split("subject: ")[1:]
    assert len(blocks) == 3
    for block, line in zip(blocks, told(CLIENT), strict=True):
        assert (
            hashlib.sha256(ssl.PEM_cert_to_DER_cert(block[block.index("-----BEGIN") :])).hexdigest() == line["sha256"]
        )
        command = [need("openssl"), "x509", "-noout", "-fingerprint", "-sha256"]
        read = subprocess.run(command, input=block, capture_output=True, text=True, timeout=60, check=True)
        assert read.stdout.split("=")[1].strip().replace(":", "").lower() == line["sha256"]


def test_files_are_named_by_what_is_in_them_and_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert run("certs", "-q", "--to", folder, CLIENT).returncode == 0
    names = sorted(path.name for path in folder.iterdir())
    singles = [name for name in names if not name.startswith("chain-")]
    assert singles == sorted(f"{line['sha256']}.pem" for line in told(CLIENT))
    (chain,) = set(names) - set(singles)
    leaf, root, _ = told(CLIENT)
    whole = (folder / f"{leaf['sha256']}.pem").read_bytes() + (folder / f"{root['sha256']}.pem").read_bytes()
    assert (folder / chain).read_bytes() == whole
    (folder / singles[0]).write_bytes(b"mine")
    (folder / singles[1]).unlink()
    (folder / singles[1]).symlink_to(folder / "elsewhere")
    again = run("certs", "-q", "--to", folder, CLIENT)
    assert again.returncode == 74
    assert sorted(line.split(b":")[1].strip() for line in again.stderr.splitlines()) == [
        os.fsencode(folder / name) for name in singles[:2]
    ]
    assert (folder / singles[0]).read_bytes() == b"mine"
    assert not (folder / "elsewhere").exists()
    assert sorted(path.name for path in folder.iterdir()) == names


def test_what_is_there_already_is_not_told(tmp_path: Path) -> None:
    for _ in range(2):
        done = run("certs", "-q", "--to", tmp_path, CLIENT)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = run("certs", "-q", "--to", tmp_path / "file" / "folder", TLS12)
    assert done.returncode == 74
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("form", ["json", "table"])
def test_several_processes_tell_the_same(form: str) -> None:
    """Lookups are heard by one process, and the handshakes that waited for them read by another."""
    command = ["certs", "--format", form, "--crl", CRL, "samples/talk", CLIENT, "missing.pcap", "--tls", "1.2"]
    one, several = run(*command, "--jobs", "1"), run(*command, "--jobs", "3")
    assert (one.stdout, one.stderr, one.returncode) == (several.stdout, several.stderr, several.returncode)
    assert b"lookups over plain HTTP" in one.stderr
    assert one.stdout.count(b"ocsp_lookup") > 1
    assert b"revoked" in one.stdout


def test_a_capture_whose_name_is_no_text(tmp_path: Path) -> None:
    capture = tmp_path / os.fsdecode(b"\xff.pcap")
    capture.write_bytes((ROOT / CLIENT).read_bytes())
    one, several = (run("certs", "--format", "json", "--jobs", jobs, capture) for jobs in "12")
    assert (one.stdout, one.stderr) == (several.stdout, several.stderr)
    assert rb"\\xff.pcap" in one.stdout


def test_nothing_to_tell() -> None:
    done = run("certs", TLS13)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"no certificates in the clear; ")


@pytest.mark.parametrize("jobs", "12")
def test_certificates_that_the_capture_lacks_are_not_certificates_that_nobody_sent(tmp_path: Path, jobs: str) -> None:
    lost = b"1 connection whose certificates may be among the bytes that are missing"
    for name, frame, problem in (
        ("quic/quic-full", 4, b"1 with missing bytes*"),
        ("dtls/dtls12-fragments", 7, b"1 connection with missing bytes"),
    ):
        path = ROOT / "samples" / f"{name}.pcap"
        holed, keys = without(path, {frame}, tmp_path / "holed.pcap"), path.with_suffix(".keys")
        done = run("certs", "--jobs", jobs, "--keylog", keys, holed)
        assert done.stderr.startswith(b"no certificates in the clear or with keys; " + lost + b"; ")
        assert done.stderr.rstrip().endswith(problem)
        assert b"nothing found" not in done.stderr
        assert lost not in run("certs", "--jobs", jobs, "--keylog", keys, path).stderr
    # Encrypted certificates cannot be read without keys, whether they are in the capture or not.
    path = ROOT / "samples" / "quic" / "quic-full.pcap"
    assert lost not in run("certs", "--jobs", jobs, without(path, {4}, tmp_path / "holed.pcap")).stderr


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_table_fits_its_terminal(width: int) -> None:
    status, shown = on_terminal(width, "certs", "--color", "never", CLIENT)
    assert status == 0
    table = shown.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= min(width, 120)
    assert any("Alice" in line for line in table)
    assert "info: email_address, private_name" in shown


def test_the_gate() -> None:
    assert run("certs", "--fail-on", "low", TLS12).returncode == 3
    assert run("certs", "--fail-on", "medium", TLS12).returncode == 0


def test_selections_and_refusals() -> None:
    assert told("--port", "1", TLS12) == []
    assert run("certs", "missing.pcap", TLS12).returncode == 2
