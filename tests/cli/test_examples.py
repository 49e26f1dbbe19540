"""The examples of every command's help, run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from forking import program
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (
    "read",
    "show",
    "ladder",
    "explain",
    "compare",
    "diff",
    "certs",
    "cbom",
    "export",
    "query",
    "extract",
    "plot",
    "report",
    "schema",
    "summary",
)
EXAMPLES = [
    line.strip()
    for command in COMMANDS
    for line in import_module(f"tlsdissect.cli.{command}").EXAMPLES.splitlines()
    if line.strip().startswith("tlsdissect ")
]
GIVEN = {
    "capture.pcap": "paths-client.pcap.gz",
    "a.pcap": "paths-client.pcap.gz",
    "a.pcapng.gz": "paths-client.pcap.gz",
    "capture.pcapng.gz": "paths-client.pcap.gz",
    "captures/a.pcap": "tls12-client-cert.pcap",
    "captures/b.pcap": "tls13-full.pcap",
    "before.pcap": "network/network-upgrade-before.pcap",
    "after.pcap": "network/network-upgrade-after.pcap",
    "old.pcap": "tls12-full.pcap",
    "new.pcap": "tls13-full.pcap",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the examples name: captures, their dataset, and an authority with its CRL."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "captures").mkdir()
    for name, sample in GIVEN.items():
        shutil.copy(ROOT / "samples" / sample, folder / name)
    shutil.copy(ROOT / "samples" / "tls13-client-cert-rejected.keys", folder / "keys.txt")
    key, root = folder / "root.key", folder / "root.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=root",
        "-keyout",
        key,
        "-out",
        root,
    ]
    (folder / "index").touch()
    (folder / "ca.cnf").write_text("[ca]\ndefault_ca=a\n[a]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=9\n")
    revoked = ["openssl", "ca", "-gencrl", "-config", "ca.cnf", "-keyfile", key, "-cert", root, "-out", "root.crl"]
    scanned = [program(), "scan", "captures", "--to", "dataset", "--jobs", "1"]
    for command in (made, revoked, scanned):
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return folder


def test_every_command_has_examples() -> None:
    assert {line.split()[1] for line in EXAMPLES} == {*COMMANDS, "capture.pcap"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, place: Path) -> None:
    example = example.replace("| wireshark -k -i -", "> two.pcapng")
    for folder in ("tables", "logs"):
        shutil.rmtree(place / folder, ignore_errors=True)
    path = f"{program().parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", example],
        cwd=place, capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=120, check=False,
    )  # fmt: skip
    # Only an example with --fail-on may find something.
    assert done.returncode in ((0, 3) if "--fail-on" in example else (0,)), done.stderr
    assert "tlsdissect: " not in done.stderr
    if not re.search(r" (?:-o|--to) (?!-)|> |--sni '\*.example.com'|--since 5m", example):
        assert done.stdout.strip()


@pytest.mark.parametrize("command", [*COMMANDS, "live", "scan"])
def test_help_fits_a_terminal_of_80_columns(command: str) -> None:
    environment = {**os.environ, "COLUMNS": "80"}
    option = "--help" if command == "schema" else "--help-all"
    shown = subprocess.run([program(), command, option], env=environment, capture_output=True, check=True)
    assert [line for line in shown.stdout.decode().splitlines() if len(line) > 80] == []
