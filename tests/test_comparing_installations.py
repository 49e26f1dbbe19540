"""tests/compare: differences between two installations are found, and accepted where a file lists them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "tlsdissect"
SAMPLES = [ROOT / "samples" / name for name in ("tls12-full.pcap", "tls12-no-common-suite.pcap")]


def compare(old: Path, new: Path, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tests" / "compare", old, new, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def with_other_group_name(place: Path) -> Path:
    """A source tree that is this one but for a name in the registry of groups."""
    changed = next(PACKAGE.rglob("groups.csv"))
    folder, links = PACKAGE, place / "tlsdissect"
    for name in changed.relative_to(PACKAGE).parts:
        links.mkdir()
        for one in folder.iterdir():
            if one.name != name:
                (links / one.name).symlink_to(one)
        folder, links = folder / name, links / name
    links.write_text(changed.read_text().replace("x25519\n", "x25519_renamed\n"))
    return place


def test_an_installation_does_not_differ_from_itself() -> None:
    done = compare(ROOT, ROOT, *SAMPLES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 2 captures differ" in done.stdout


def test_a_changed_fact_is_found(tmp_path: Path) -> None:
    done = compare(ROOT, with_other_group_name(tmp_path), SAMPLES[0])
    assert done.returncode == 1, done.stdout + done.stderr
    reads = "read, --raw-fingerprints, --emit decided, --min-severity info"
    assert f'{reads}  stream tls12-full.pcap:0  group:  "x25519" → "x25519_renamed"' in done.stdout
    for command in ("show", "explain"):
        assert f"stdout  ({command})" in done.stdout


FAKE = """
import os, sys, time

def main(arguments, standalone_mode):
    if "--help" in arguments:
        return 0
    command, option = arguments[0], arguments[1]
{body}
    return 0
"""
PRINT = "    if command == 'read': print('%s')"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "captures" / "one.pcap"
    path.parent.mkdir()
    path.write_bytes(b"\0")
    (path.parent / "README").write_text("not a capture")
    return path


def fake(place: Path, body: str) -> Path:
    """A source tree whose commands do what `body` says."""
    package = place / "tlsdissect"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(FAKE.format(body=body))
    return place


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('{"stream": 1, "a": {"b": 0}}', '{"stream": 1, "a": {"b": null}}', "stream :1  a.b:  0 → null"),
        ('{"stream": 1, "a": 1}', '{"stream": 1, "a": true}', "stream :1  a:  1 → true"),
        ('{"stream": 1, "a": 1}', '{"stream": 1}', "stream :1  a:  1 → (absent)"),
        ('{"stream": 1, "a": [1, 2, 3]}', '{"stream": 1, "a": [2, 3]}', "stream :1  a.0:  1 → (absent)"),
        ('{"stream": 1, "a": [1, 3]}', '{"stream": 1, "a": [1, 2, 3]}', "stream :1  a.1:  (absent) → 2"),
        ('{"stream": 1}', r'{"stream": 1}\n{"stream": 2}', 'stream :2  line:  (none) → {"stream": 2}'),
        (r'{"stream": 1}\n{"stream": 2}', r'{"stream": 2}\n{"stream": 1}', "order:  stream :1, stream :2 → stream :2"),
        ('{"stream": 1, "a": 1}', '{"a": 1, "stream": 1}', '+ {"a": 1, "stream": 1}'),
        ('{"stream": 1}', r"\\x1b[31m", r"+ \x1b[31m"),
    ],
)
def test_json_is_compared_by_its_keys(tmp_path: Path, capture: Path, old: str, new: str, found: str) -> None:
    trees = (fake(tmp_path / name, PRINT % text) for name, text in (("old", old), ("new", new)))
    done = compare(*trees, "--fast", capture.parent)
    assert done.returncode == 1, done.stdout + done.stderr
    assert found in done.stdout
    assert "1 of 1 captures differ" in done.stdout


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("    if command == 'show': return 2", "exit status 0 → exit status 2"),
        ("    if command == 'show': raise KeyError('a')", "exit status 0 → KeyError: 'a'"),
        ("    if command == 'show': raise SystemExit(3)", "exit status 0 → exit status 3"),
        ("    if command == 'show': os.kill(os.getpid(), 11)", "exit status 0 → killed by SIGSEGV"),
        ("    if command == 'show': bytearray(1 << 40)", "exit status 0 → MemoryError: "),
        ("    while command == 'show': pass", "exit status 0 → timed out"),
        ("    if command == 'show': time.sleep(60)", "exit status 0 → timed out"),
    ],
)
def test_how_a_command_ends_is_compared(tmp_path: Path, capture: Path, body: str, end: str) -> None:
    trees = fake(tmp_path / "old", ""), fake(tmp_path / "new", body)
    done = compare(*trees, "--timeout", "0.2", capture)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"show  end:  {end}" in done.stdout


def test_a_capture_that_both_fail_on_is_counted(tmp_path: Path, capture: Path) -> None:
    trees = (fake(tmp_path / name, "    if option == '--format': raise MemoryError") for name in ("old", "new"))
    done = compare(*trees, "--fast", capture)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed alike in both, read: MemoryError: : 1 captures, the first " in done.stdout


def test_a_run_in_which_every_command_fails_is_no_success(tmp_path: Path, capture: Path) -> None:
    trees = (fake(tmp_path / name, "    os._exit(1)") for name in ("old", "new"))
    done = compare(*trees, "--fast", capture)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "nothing was compared" in done.stdout


def test_an_installation_that_does_not_start_is_refused(tmp_path: Path, capture: Path) -> None:
    broken = fake(tmp_path / "broken", "    a b")
    done = compare(broken, broken, capture)
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
    assert "tlsdissect does not start" in done.stderr


def test_output_does_not_go_on_without_end(tmp_path: Path, capture: Path) -> None:
    trees = (fake(tmp_path / text, f"    if command == 'show': print('{text}' * 40_000_000)") for text in ("a", "b"))
    done = compare(*trees, capture)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "- 40000001 bytes, SHA-256" in done.stdout


ENTRY = """
[[difference]]
capture = "captures/*.pcap"
command = "{command}"
path = "{path}"
reason = "read aright"
{more}
"""


@pytest.mark.parametrize(
    ("command", "path", "more", "status", "said"),
    [
        ("read*", "a.*", "", 0, "accepted: 4 differences by 1 entries"),
        ("read*", "a.*", 'old = "0"\nnew = "null"\nrow = "stream *:1"', 0, "accepted: 4 differences by 1 entries"),
        ("read --min*", "a.*", "", 1, "read, --raw-fingerprints, --emit decided  stream :1  a.b:"),
        ("read*", "a.*", 'new = "1"', 1, "unused entry: captures/*.pcap read* a.* (read aright)"),
        ("read*", "a.*", 'sha256 = "00"', 1, "1 of 1 captures differ"),
        ("read*", "c", "", 1, "unused entry: captures/*.pcap read* c (read aright)"),
    ],
)
def test_accepted_differences(
    tmp_path: Path, capture: Path, command: str, path: str, more: str, status: int, said: str
) -> None:
    texts = ("old", '{"stream": 1, "a": {"b": 0}}'), ("new", '{"stream": 1, "a": {"b": null}}')
    trees = (fake(tmp_path / name, PRINT % text) for name, text in texts)
    accepted = tmp_path / "accepted.toml"
    accepted.write_text(ENTRY.format(command=command, path=path, more=more))
    done = compare(*trees, "--fast", "--accepted", accepted, capture)
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout


def test_an_entry_without_a_reason_is_refused(tmp_path: Path, capture: Path) -> None:
    accepted = tmp_path / "accepted.toml"
    accepted.write_text('[[difference]]\ncapture = "*"\ncommand = "read"\npath = "a"\n')
    done = compare(ROOT, ROOT, "--accepted", accepted, capture)
    assert done.returncode == 2
    assert "entry 1: reason is missing" in done.stderr
