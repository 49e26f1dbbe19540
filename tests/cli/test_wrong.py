"""What is asked for wrongly, or of nothing: one line on standard error that says what to do, and no result."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import PROGRAM, TLS12, on_terminal, run
from recorded import ROOT

from tlsdissect.flows.limits import LEAST

if TYPE_CHECKING:
    from pathlib import Path

WRITING = [
    ("read", "-o", "result.json"),
    ("read", "-o", "result.csv"),
    ("show", "-o", "result.html"),
    ("explain", "-o", "result.json"),
    ("ladder", "-o", "result.txt"),
    ("compare", "-o", "result.csv"),
    ("diff", "samples/tls12-full.pcap", "-o", "result.json"),
    ("certs", "-o", "result.pem"),
    ("cbom", "-o", "result.json"),
    ("plot", "groups", "-o", "result.svg"),
    ("report", "-o", "result.html"),
]
each_writing = pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
SPOILT = """
import sys
from tlsdissect import pipeline
from tlsdissect.cli import main

whole = pipeline.Summary.count

def fail(self, told):
    whole(self, told)
    if self.connections > 1:
        raise KeyError("spoilt")

pipeline.Summary.count = fail
sys.exit(main())
"""


@pytest.fixture(scope="module")
def without_tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "without.pcap"
    path.write_bytes((ROOT / TLS12).read_bytes()[:24])
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        *["read", "show", "ladder", "explain", "compare", "certs", "read --format csv", "read --jobs 2"],
        *["show --format html", "certs --format csv", "compare --format json", "report -o -", "explain --format json"],
    ],
)
def test_where_nothing_can_be_read_there_is_no_result(arguments: str, tmp_path: Path) -> None:
    done = run(*arguments.split(), tmp_path / "missing")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().splitlines()[0] == f"tlsdissect: {tmp_path}/missing: No such file or directory"


@each_writing
def test_where_nothing_can_be_read_a_file_stays_what_it_was(arguments: tuple[str, ...], tmp_path: Path) -> None:
    *asked, name = arguments
    path = tmp_path / name
    path.write_text("of yesterday")
    assert run(*asked, path, tmp_path / "missing").returncode == 2
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(name, "of yesterday")]


def test_where_nothing_can_be_read_nothing_is_exported(tmp_path: Path) -> None:
    assert run("export", tmp_path / "missing", "--to", tmp_path / "tables").returncode == 2
    assert list((tmp_path / "tables").iterdir()) == []


def test_tables_that_were_not_finished_are_not_there(tmp_path: Path) -> None:
    command = [*PROGRAM[:1], "-c", SPOILT, "export", "samples/tls12-resumed-id.pcap", TLS12, "--to", tmp_path]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 70
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_option_of_the_program_is_recognized() -> None:
    assert b"No such option '--versio': did you mean '--version'?" in run("--versio").stderr
    assert b"did you mean" not in run("read", "--versio").stderr


def test_a_table_without_connections_has_no_heading(without_tls: Path) -> None:
    assert run("read", without_tls).stdout == b""
    assert run("read", "--jobs", "2", without_tls).stdout == b""
    assert on_terminal(80, "read", str(without_tls)) == (0, "no packets\n")
    assert run("read", "--format", "csv", without_tls).stdout.startswith(b"source,stream,")


@pytest.mark.parametrize("command", ["export", "certs"])
def test_a_file_is_no_folder_to_write_to(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(command, TLS12, "--to", tmp_path / "file")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"--to {tmp_path}/file: this is not a folder (see tlsdissect {command} --help)" in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--bogus", "No such option '--bogus'"),
        ("live --bogus", "No such option '--bogus'"),
        (f"read --bogus {TLS12}", "No such option '--bogus'"),
        (f"read --strem 0 {TLS12}", "No such option '--strem': did you mean '--stream'?"),
        (f"certs --out x {TLS12}", "No such option '--out': did you mean '--output'?"),
        (f"certs --top 3 {TLS12}", "No such option '--top': it is an option of tlsdissect read"),
        ("raed", "No such command or file 'raed': did you mean 'read'?"),
        (f"--debug read {TLS12}", "Options follow the command: tlsdissect read --debug"),
        (f"--format json read {TLS12}", "Options follow the command: tlsdissect read --format"),
        (f"plot groups -o x.html {TLS12}", "-o x.html: unknown suffix (known: .png, .svg, .pdf)"),
        (f"report -o x.pdf {TLS12}", "-o x.pdf: unknown suffix (known: .html, .htm)"),
        (f"show -o x.pdf {TLS12}", "-o x.pdf: unknown suffix (known: .json, .ndjson, .html, .htm, .txt); give --format"),
        (f"ladder --dark {TLS12}", "--dark requires -o FILE.svg, .png or .pdf"),
        (f"read --idle 5 {TLS12}", "--idle requires --emit decided"),
        (f"read --raw-fingerprints {TLS12}", "--raw-fingerprints requires --format json or csv"),
        (f"show --bytes --format json {TLS12}", "--bytes requires --format tree or html"),
        (f"show --message helo {TLS12}", "--message helo: unknown message type, such as client_hello, certificate or alert"),
        (f"show --message server_helo {TLS12}", "--message server_helo: unknown message type: did you mean 'server_hello'?"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told_in_a_line(arguments: str, said: str) -> None:
    done = run(*arguments.split())
    first, *others = arguments.split()
    command = "" if "Options follow" in said else first if others else "summary" if first.startswith("-") else ""
    program = f"tlsdissect {command}".strip()
    told = f"tlsdissect: {said} (see {program} --help)\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", told)


@pytest.mark.parametrize("command", ["read", "show", "explain", "ladder", "compare", "certs"])
def test_a_stream_that_is_not_there_is_told(command: str) -> None:
    done = run(command, "-q", "--stream", "7", "--stream", "tls12-full.pcap:1", TLS12)
    assert done.returncode == 0
    assert done.stderr.decode().splitlines() == [
        f"tlsdissect: --stream {asked}: no TLS connection has this number; tlsdissect read lists them"
        for asked in ("7", "tls12-full.pcap:1")
    ]
    assert run(command, "-q", "--stream", "0", "--tls", "older", TLS12).stderr == b""


def test_folders_without_a_capture_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("no capture")
    done = run("read", "-q", tmp_path / "empty", tmp_path / "notes")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == "".join(
        f"tlsdissect: {tmp_path}/{name}: has no capture in it\n" for name in ("empty", "notes")
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_capture_of_a_link_type_that_is_not_read_is_told(jobs: str, without_tls: Path, tmp_path: Path) -> None:
    usb = 220
    path = tmp_path / "usb.pcap"
    path.write_bytes(without_tls.read_bytes()[:20] + usb.to_bytes(4, "little"))
    done = run("read", "-q", "--jobs", jobs, "--format", "json", path, TLS12)
    assert (done.returncode, done.stdout.count(b"\n")) == (2, 1)
    assert done.stderr.decode() == f"tlsdissect: {path}: link type 220 is not supported\n"


def test_standard_input_is_told_by_its_name() -> None:
    assert run("read", "-q", "-", given=b"").stderr == b"tlsdissect: standard input: is empty\n"


@pytest.mark.parametrize(
    "arguments",
    [
        *["read --known 0", "read --followed 0", "read --held-bytes -1", "certs --max-sessions -1", "read --jobs 0"],
        *["show --closed-after nan", "report -o - --silent-after nan", "read --emit decided --idle nan"],
        *["read --known 1.5", "read --total-bytes inf", "read --batch 0", "live --duration nan", "live --count 0"],
        *[f"read --{name.replace('_', '-')} {1 << 63}" for name in LEAST],
        *[f"read --batch {1 << 63}", f"live --count {1 << 63}", f"report -o - --detailed {1 << 63}"],
    ],
)
def test_a_number_that_limits_nothing(arguments: str) -> None:
    captures = () if arguments.startswith("live") else (TLS12,)
    done = run(*arguments.split(), *captures)
    assert (done.returncode, done.stdout) == (2, b"")
    assert arguments.split()[-2].encode() in done.stderr
    assert done.stderr.count(b"\n") == 1
