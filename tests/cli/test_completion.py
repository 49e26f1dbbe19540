"""What a shell suggests: names that the program knows, files, and the streams of the captures that are typed."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import CompletionItem, ShellComplete
from commands import TLS12
from hostile import capture, obeyed
from recorded import ROOT, begun, need

import tlsdissect
from tlsdissect import pipeline
from tlsdissect.cli import completion
from tlsdissect.cli.commands import tlsdissect as program
from tlsdissect.corpus.json_keys import column, every_key

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILURES = "samples/network/network-failures.pcap"


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def completions(*words: str) -> list[CompletionItem]:
    """What is suggested for the last of these words."""
    return ShellComplete(program, {}, "tlsdissect", "_TLSDISSECT_COMPLETE").get_completions(list(words[:-1]), words[-1])


def suggested(*words: str) -> list[str]:
    return [one.value for one in completions(*words) if one.type == "plain"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cb", ["cbom"]),
        ("read --finding expir", ["expired", "expires_soon"]),
        ("read --outcome al", ["alert"]),
        ("read --format s", ["sarif"]),
        ("certs --format p", ["pem"]),
        ("live --finding heart", ["heartbleed"]),
        ("show --message certificate_r", ["certificate_request"]),
        ("read --columns dh", ["dh_bits"]),
        ("read --columns sni,timing.h", ["sni,timing.handshake_ms"]),
        ("read --sort timing.h", ["timing.handshake_ms"]),
        ("read --sort alerts", []),
        ("read --stre", ["--stream"]),
        ("nonsense --stream 1", []),
        (f"{TLS12} --outcome al", ["alert"]),
    ],
)
def test_names_are_suggested(typed: str, found: list[str]) -> None:
    assert suggested(*typed.split(" ")) == found


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("read cap", "file"),
        ("cap", "file"),
        ("read --keylog k", "file"),
        ("cbom -o c", "file"),
        ("export --to t", "dir"),
    ],
)
def test_paths_are_left_to_the_shell(typed: str, kind: str) -> None:
    words = typed.split()
    assert [(one.type, one.value) for one in completions(*words)] == [(kind, words[-1])]


@pytest.mark.parametrize("before", [("read", FAILURES), (FAILURES,), ("explain", "--failed", FAILURES)])
def test_streams_of_the_capture_are_suggested(before: tuple[str, ...]) -> None:
    found = completions(*before, "--stream", "")
    connections = {one.stream_name: one for one in tlsdissect.read(FAILURES)}
    assert {one.value for one in found} == connections.keys()
    assert all(f"{connections[one.value].outcome}" in one.help for one in found)
    assert suggested(*before, "--stream", "1") == [one.value for one in found if one.value.startswith("1")]


def test_streams_of_other_transports_are_named_as_stream_takes_them() -> None:
    assert suggested("read", "samples/quic/quic-chromium.pcap", "--stream", "udp:")[0].startswith("udp:")


@pytest.mark.parametrize("path", ["missing.pcap", "README.md", "-", "samples"])
def test_what_is_no_capture_has_no_streams(path: str) -> None:
    assert suggested("read", path, "--stream", "") == []


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert suggested("read", str(tmp_path / "pipe"), "--stream", "") == []


def test_descriptions_are_printable(tmp_path: Path) -> None:
    found = completions("read", str(capture(tmp_path)), "--stream", "")
    assert found
    assert not any(obeyed(one.help) for one in found)


@pytest.mark.parametrize("limit", ["MAX_SECONDS", "MAX_READ_BYTES"])
def test_a_large_capture_is_read_in_part(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = begun(tmp_path / "large.pcap", 20_000)
    readings: list[pipeline.Reading] = []

    class Seen(pipeline.Reading):
        def __iter__(self) -> Iterator[tlsdissect.Connection]:
            readings.append(self)
            return super().__iter__()

    monkeypatch.setattr(pipeline, "Reading", Seen)
    monkeypatch.setattr(completion, limit, -1)
    assert len(suggested("read", str(path), "--stream", "")) <= completion.MAX_SUGGESTED
    (reading,) = readings
    assert reading.summary.frames < 6 * 20_000


def test_each_suggested_key_is_a_column() -> None:
    keys = list(every_key())
    assert len(keys) == len(set(keys)) > 200
    assert {"sni", "timing.handshake_ms", "certificates.dns_names", "client.ip"} <= set(keys)
    for key in keys:
        column(key)


def test_bash_completes() -> None:
    """A real bash, at a terminal, with what the documentation says to put into its configuration."""
    (line,) = re.findall(r"^\| bash \| [^|]*\| `(.*)` \|$", (ROOT / "docs/installing.md").read_text(), re.MULTILINE)
    bash = need("bash")
    process, terminal = pty.fork()
    if process == 0:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        os.execve(bash, ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "PATH": path, "TERM": "dumb"})  # noqa: S606
    os.write(terminal, f"{line}; PS1=ready:\n".encode())
    shown = until(terminal, b"\nready:")
    os.write(terminal, b"tlsdissect read --finding heartb\t")
    shown += until(terminal, b"heartbleed ")
    os.write(terminal, b"\x15exit\n")
    os.waitpid(process, 0)
    os.close(terminal)
    assert b"--finding heartbleed " in shown


def until(terminal: int, end: bytes) -> bytes:
    """What a terminal shows until then, or for a minute."""
    shown, deadline = b"", time.monotonic() + 60
    while end not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096)
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    command = [Path(sys.executable).with_name("tlsdissect")]
    done = subprocess.run(
        command,
        env={**os.environ, "_TLSDISSECT_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_TLSDISSECT_COMPLETE" in done.stdout
    assert f"_TLSDISSECT_COMPLETE={shell}_source tlsdissect" in (ROOT / "docs/installing.md").read_text()
