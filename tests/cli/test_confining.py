"""What a command that reads captures in its own process may still do when it opens the first file."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import PROGRAM, TLS12, TLS13, run, run_process
from recorded import ROOT

from tlsdissect.cli.commands import tlsdissect
from tlsdissect.corpus import confinement

rooted = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
pytestmark = [
    pytest.mark.skipif(not confinement.landlock_version(ctypes.CDLL(None)), reason="this kernel has no Landlock"),
    pytest.mark.skipif(os.uname().machine not in confinement._DENIED, reason="no system calls known here"),
]

COMMANDS = [
    ["summary", TLS12],
    ["read", "--format", "json", TLS12],
    ["read", "--jobs", "2", TLS12],
    ["show", TLS12],
    ["ladder", TLS12, "-o", "OUT.svg"],
    ["explain", TLS12, TLS13],
    ["compare", TLS12, TLS13],
    ["diff", TLS12, TLS13],
    ["certs", "--system-ca", TLS12, "--to", "OUT"],
    ["extract", TLS12, "-o", "OUT.pcapng"],
    ["cbom", TLS12, "-o", "OUT.json"],
    ["export", TLS12, "--format", "parquet", "--to", "OUT"],
    ["query", "SELECT source, version FROM connections", TLS12],
    ["plot", "versions", TLS12, "-o", "OUT.svg"],
    ["report", TLS12, "-o", "OUT.html"],
    ["report", "--jobs", "2", TLS12, "-o", "OUT.html"],
]
OTHERS = {"live", "scan", "schema"}
"""Commands that read no captures in their own process, and `live`, which has tests of its own."""

ATTEMPTS = """
import json, os, socket, subprocess, sys
from tlsdissect.capture import reader
from tlsdissect.cli import main
from tlsdissect.corpus import confinement

confine, opened, process = confinement.confine, reader.open_frames, os.getpid()
seen = []

def opens(*given):
    seen.append(given)
    return opened(*given)

def attempted(attempt):
    try:
        attempt()
    except PermissionError:
        return "refused"
    return "done"

def confines(*given):
    if os.getpid() != process:
        confine(*given)
    else:
        found = [len(os.listdir("/proc/self/task")), len(seen)]
        confine(*given)
        found += map(attempted, (
            lambda: open("/etc/passwd"),
            lambda: open(os.environ["KEPT"], "w"),
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: subprocess.run(["true"]),
        ))
        print(json.dumps(found), file=sys.stderr)

confinement.confine, reader.open_frames = confines, opens
sys.exit(main())
"""


def script(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process that says what it may do once it is confined."""
    return subprocess.run(
        [sys.executable, "-c", ATTEMPTS, *words],
        capture_output=True, cwd=ROOT, env={**os.environ, **environment}, check=True, timeout=60,
    )  # fmt: skip


def test_every_command_that_reads_captures_is_tried() -> None:
    assert {command[0] for command in COMMANDS} | OTHERS == set(tlsdissect.list_commands(None))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_before_it_opens_a_capture_a_command_reaches_what_it_was_given_alone(
    command: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept")
    for name in ("temporary", "confined", "usual"):
        (tmp_path / name).mkdir()
    words = [[word.replace("OUT", str(tmp_path / name / "out")) for word in command] for name in ("confined", "usual")]
    done = script(*words[0], KEPT=str(kept), TMPDIR=str(tmp_path / "temporary"))
    threads, opened, *attempts = json.loads(done.stderr.splitlines()[0])
    assert (threads, opened, attempts) == (1, 0, ["refused"] * 4)
    assert kept.read_text() == "kept"
    assert done.stdout == run(*words[1]).stdout
    made = [{str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*")}
            for name in ("confined", "usual")]  # fmt: skip
    assert made[0] == made[1]


def test_what_links_in_a_folder_name_is_read(tmp_path: Path) -> None:
    for folder, file, content in (
        ("captures", "one.pcap", (ROOT / TLS12).read_bytes()),
        ("authorities", "one.pem", run("certs", "--format", "pem", TLS12).stdout),
    ):
        for name in (folder, "elsewhere"):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / "elsewhere" / file).write_bytes(content)
        (tmp_path / folder / file).symlink_to(f"../elsewhere/{file}")
    done = run_process("read", "-q", "--ca-path", tmp_path / "authorities", "--format", "json", tmp_path / "captures")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["findings"] is not None


def test_a_pipe_and_a_device_are_written_to() -> None:
    assert run_process("read", TLS12, "-o", "/dev/null", "--format", "json").returncode == 0
    assert run_process("read", TLS12, "-o", "/dev/stdout", "--format", "json").stdout.startswith(b"{")
    assert run_process("read", TLS12, "-o", "/dev/full", "--format", "json").returncode == 74


def test_standard_input_is_read_by_its_name() -> None:
    text = run_process("read", "--format", "csv", "-q", "/dev/stdin", given=(ROOT / TLS12).read_bytes()).stdout
    assert text.count(b"\n") == 2
    with (ROOT / TLS12).open("rb") as file:
        command = [*PROGRAM, "read", "--format", "csv", "-q", "/dev/stdin"]
        done = subprocess.run(command, stdin=file, capture_output=True, check=True, cwd=ROOT, timeout=60)
    assert done.stdout == text


@rooted
@pytest.mark.parametrize(
    ("output", "temporary", "user", "capabilities"),
    [([], "/tmp", 65_534, 0b100), ([], "OWN", 0, 0b110), (["-o", "OUT"], "/tmp", 0, 0b110)],  # noqa: S108
)
def test_root_reads_as_nobody_unless_it_makes_files(
    output: list[str], temporary: str, user: int, capabilities: int, tmp_path: Path
) -> None:
    """The command waits for a pipe to be opened, and the kernel says what it may do."""
    pipe, place = tmp_path / "pipe", str(tmp_path / "out.json")
    os.mkfifo(pipe)
    words = ["read", "--format", "json", str(pipe), *(word.replace("OUT", place) for word in output)]
    environment = {**os.environ, "TMPDIR": temporary.replace("OWN", str(tmp_path))}
    with subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        # This returns when the command has opened its end.
        with pipe.open("wb") as file:
            said = Path(f"/proc/{process.pid}/status").read_text()
            file.write((ROOT / TLS12).read_bytes())
        text, _ = process.communicate(timeout=30)
    found = {key: value.split() for key, _, value in (line.partition(":") for line in said.splitlines())}
    assert {*found["Uid"], *found["Gid"]} == {str(user)}
    assert (int(found["CapEff"][0], 16), int(found["CapPrm"][0], 16)) == (capabilities, capabilities)
    assert (found["NoNewPrivs"], found["Seccomp"]) == (["1"], ["2"])
    assert (text or Path(place).read_bytes()).startswith(b"{")
    assert all(path.stat().st_uid == 0 for path in tmp_path.iterdir())


def test_a_shell_that_asks_for_streams_is_answered_by_a_confined_process() -> None:
    words = f"tlsdissect read {TLS12} --stream "
    given = {"_TLSDISSECT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "4"}
    done = script(KEPT=os.devnull, **given)
    assert json.loads(done.stderr)[2:] == ["refused", "done", "refused", "refused"]
    assert done.stdout == b"plain,0\n"
