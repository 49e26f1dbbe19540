"""`tlsdissect live` on `lo`, with a real server and real clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from commands import PROGRAM, run
from recorded import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

rooted = pytest.mark.skipif(os.geteuid() != 0, reason="listening needs root")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """A server of openssl's, on a port of its own."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-key",
        key,
        "-cert",
        certificate,
        "-www",
        "-quiet",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    process.kill()
    process.wait()


def listening(*arguments: str) -> subprocess.Popen[bytes]:
    """Start to listen, and wait until the socket is open."""
    command = [*PROGRAM, "live", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"listening on" in process.stderr.readline()
    return process


def ask(port: int, *arguments: str) -> None:
    subprocess.run(
        ["curl", "-sk", "--max-time", "20", "-o", os.devnull, *arguments, f"https://127.0.0.1:{port}/"], check=False
    )


@rooted
def test_each_connection_is_told_as_it_comes(server: int) -> None:
    process = listening("-p", str(server), "--format", "json")
    assert process.stdout is not None
    told = []
    for version in ("1.2", "1.3"):
        ask(server, f"--tlsv{version}", "--tls-max", version)
        told.append(json.loads(process.stdout.readline()))
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=30)
    assert [(one["version"], one["outcome"], one["round_trips"]) for one in told] == [
        ("TLS 1.2", "established", 2), ("TLS 1.3", "established", 1),
    ]  # fmt: skip
    assert all(one["server"]["port"] == server and one["source"] == "lo" for one in told)
    assert (rest, process.returncode) == (b"", 0)
    assert b"2 connections: 1 TLS 1.2, 1 TLS 1.3" in said
    assert b" 0 dropped by the kernel" in said


@rooted
def test_ends_with_so_many(server: int) -> None:
    process = listening("-p", str(server), "--count", "1")
    ask(server)
    out, _ = process.communicate(timeout=30)
    assert len(out.splitlines()) == 2
    assert process.returncode == 0


@rooted
def test_what_is_sent_over_lo_comes_once() -> None:
    """What is sent over `lo` comes twice to a socket that does not leave out what goes out."""
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        process = listening("-p", str(port), "--duration", "3")
        with socket.create_connection(("127.0.0.1", port)) as giver:
            conn, _ = taker.accept()
            giver.sendall(b"x" * 30_000)
            assert conn.recv(30_000, socket.MSG_WAITALL) == b"x" * 30_000
            conn.close()
        _, said = process.communicate(timeout=30)
    (line,) = [line for line in said.decode().splitlines() if "dropped by the kernel" in line]
    assert 6 <= int(line.split()[0]) <= 14


@rooted
def test_what_cannot_be_listened_to() -> None:
    for arguments, why in ((("-i", "nosuch0"), "no such interface"), (("--filter", "tcp prot 9"), "filter")):
        done = run("live", *arguments)
        assert done.returncode == 2
        assert why in done.stderr.decode()
        assert len(done.stderr.splitlines()) == 1


def test_interfaces_are_listed() -> None:
    assert any(line.split()[0] == "lo" for line in run("live", "--list").stdout.decode().splitlines())
