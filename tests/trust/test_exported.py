"""Chains that `certs --to` exports: `openssl verify` agrees with the findings about them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from authority import NOW, Party
from conversing import SERVER, Said, Talk, said, write
from recorded import need
from test_verify import CASES

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (sys.executable, "-m", "tlsdissect")
HEAD, CERTIFICATE = 5, 0x0B
SHOWN = {name: case for name, case in CASES.items() if case.side == "server"}
GROUPS = sorted({tuple(party.sha256 for party in case.trusted) for case in SHOWN.values()})


def showing(chain: list[Party]) -> Said:
    """A TLS 1.2 handshake in which the server presents this chain."""
    listed = b"".join(sized(party.der) for party in chain)
    message = bytes([CERTIFICATE]) + sized(sized(listed))
    return [(side, with_certificate(data, message) if side == SERVER else data) for side, data in said("tls12-full")]


def with_certificate(data: bytes, message: bytes) -> bytes:
    """A flight with its Certificate replaced; each message has its own record."""
    out = b""
    while data:
        size = HEAD + int.from_bytes(data[3:HEAD], "big")
        record, data = data[:size], data[size:]
        if record[0] == 0x16 and record[HEAD] == CERTIFICATE:
            record = record[:3] + len(message).to_bytes(2, "big") + message
        out += record
    return out


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data


def told(command: str, *options: object) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*PROGRAM, command, "-q", "--format", "json", "--at", NOW.isoformat(), *map(str, options)],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verified(chain: Path, anchors: Path, folder: Path) -> str:
    """The output of `openssl verify` for an exported chain."""
    certificates = re.findall(r"-----BEGIN.*?END CERTIFICATE-----\n", chain.read_text(), re.DOTALL)
    (folder / "leaf.pem").write_text(certificates[0])
    (folder / "others.pem").write_text("".join(certificates[1:]) or certificates[0])
    command = [need("openssl"), "verify", "-no-CApath", "-no-CAstore", "-CAfile", anchors, "-untrusted", "others.pem"]
    command += ["-attime", str(int(NOW.timestamp())), "leaf.pem"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=False)
    return done.stdout + done.stderr


def test_there_are_enough() -> None:
    assert len(SHOWN) >= 40


@pytest.mark.parametrize("trusted", GROUPS, ids=count())
def test_openssl_agrees_on_exported_chains(trusted: tuple[str, ...], tmp_path: Path) -> None:
    cases = [case for case in SHOWN.values() if tuple(party.sha256 for party in case.trusted) == trusted]
    talks = [Talk(showing(case.chain), at, at + 1, 50_000 + at) for at, case in enumerate(cases)]
    capture, anchors, folder = write(tmp_path / "chains.pcap", *talks), tmp_path / "anchors.pem", tmp_path / "written"
    anchors.write_bytes(b"".join(party.pem for party in cases[0].trusted))
    told("certs", "--to", folder, capture)
    files = {chain_of(file): file for file in folder.glob("*.pem")}
    connections = told("read", "--ca-file", anchors, capture)
    assert len(connections) == len(cases)
    for connection, case in zip(connections, cases, strict=True):
        shown = tuple(one["sha256"] for one in connection["certificates"])
        assert shown == tuple(party.sha256 for party in case.chain)
        found = [one["detail"] for one in connection["findings"] if one["code"] == "untrusted"]
        said_by_openssl = verified(files[shown], anchors, tmp_path)
        if said_by_openssl.startswith("leaf.pem: OK"):
            assert found == []
            continue
        error = re.search(r"error (\d+) at (\d+) depth lookup", said_by_openssl)
        assert error, said_by_openssl
        assert len(found) == 1
        assert f"at depth {error[2]} (OpenSSL's {error[1]})" in found[0]


def chain_of(file: Path) -> tuple[str, ...]:
    """The certificates listed in an exported file; a chain of one is its certificate."""
    return tuple(re.findall(r"^sha256: ([0-9a-f]{64})$", file.read_text(), re.MULTILINE))
