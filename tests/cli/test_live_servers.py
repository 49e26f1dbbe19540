"""`tlsdissect live` beside tcpdump, while samples are recorded anew: httpd and Tomcat, openssl, curl and Firefox."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import PROGRAM, run
from recorded import ROOT, absent, need
from test_live import connections, lasting, rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = {  # what is recorded, and how it ends
    "httpd-8888-tls12": ("TLS 1.2", "established"),
    "httpd-8888-tls13": ("TLS 1.3", "established"),
    "httpd-8889-tls12": ("TLS 1.2", "established"),
    "httpd-8889-missing-tls12": ("TLS 1.2", "alert"),
    "httpd-8889-missing-tls13": ("TLS 1.3", "alert"),
    "tomcat-tls12": ("TLS 1.2", "established"),
    "tomcat-tls13": ("TLS 1.3", "established"),
    "tomcat-firefox-tls12": ("TLS 1.2", "established"),
}
PROGRAMS = ("apache2", "java", "firefox-esr", "certutil", "curl", "openssl", "tcpdump")


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """A network namespace with loopback only; the command that runs others in it."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    while Path(f"/proc/{holder.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        time.sleep(0.02)
    inside = ["nsenter", "--net", "-t", str(holder.pid)]
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    yield inside
    holder.kill()
    holder.wait()


@rooted
def test_real_servers_and_browsers_are_told_as_in_what_tcpdump_saved(namespace: list[str], tmp_path: Path) -> None:
    for program in PROGRAMS:
        need(program)
    if not Path("/usr/share/tomcat10/bin").exists():
        absent("tomcat10 is not installed")
    command = [*namespace, *PROGRAM, "live", "-i", "lo", "--filter", "tcp", "--format", "json"]
    listening = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listening.stderr is not None
    assert b"listening on" in listening.stderr.readline()
    record = [*namespace, "env", "SAMPLES_NAMESPACE=own", str(ROOT / "samples" / "record"), "--to", str(tmp_path)]
    recorded = subprocess.run([*record, *NAMES], capture_output=True, text=True, check=False)
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    listening.send_signal(signal.SIGINT)
    lines, said = listening.communicate(timeout=60)
    assert b" 0 dropped by the kernel" in said
    live = {ends(one): one for one in connections(lines)}
    found = {name: read(tmp_path, name) for name in NAMES}
    assert {name: (one["version"], one["outcome"]) for name, one in found.items()} == NAMES
    differing = {
        name: {key: (told[key], value) for key, value in same(one).items() if told[key] != value}
        for name, one in found.items()
        for told in [same(live[ends(one)])]
    }
    assert differing == {name: {} for name in NAMES}


def read(folder: Path, name: str) -> dict[str, Any]:
    (path,) = folder.rglob(f"{name}.pcap")
    lines = run("read", "--format", "json", path).stdout.splitlines()
    return next(one for one in map(json.loads, lines) if one["server"]["port"] != 2560)


def ends(one: dict[str, Any]) -> tuple[int, int]:
    return one["client"]["port"], one["server"]["port"]


def same(one: dict[str, Any]) -> dict[str, Any]:
    """What depends neither on where a capture begins nor on its clock, on which guesses may rest."""
    (kept,) = lasting([one])
    kept["problems"] = [problem for problem in kept["problems"] if problem["code"] != "inferred"]
    text = json.dumps({name: value for name, value in kept.items() if name not in NUMBERED})
    facts: dict[str, Any] = json.loads(text, object_hook=without_frames)
    return facts


NUMBERED = (
    "stream",
    "first_frame",
    "start",
    "resumes",
    "same_ticket_as",
    "retry_of",
    "tcp_ms",
    "handshake_ms",
    "server_hello_ms",
)


def without_frames(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "frame"}
