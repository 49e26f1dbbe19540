"""What commands print of names that mean harm where test_hostile_fields.py does not look: CSV on a terminal, errors.

Nothing of it may be what a terminal would obey, hide, or put on other text.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import hostile
import pytest
from commands import TLS12, on_terminal, run
from recorded import ROOT

import tlsdissect
from tlsdissect import listening

if TYPE_CHECKING:
    from pathlib import Path

QUERY = "SELECT source, sni, alpn, certificates, client_hello_extensions FROM connections"
PIVOT = "PIVOT connections ON sni USING first(source) GROUP BY alpn"
TEXT = [
    ("read", "--format", "csv"),
    ("compare", "--by", "capture", "--format", "csv"),
    ("certs", "--format", "csv"),
    ("certs", "--format", "pem"),
    ("report", "--output", "-"),
    ("query", PIVOT),
    ("query", QUERY, "--format", "csv"),
    ("query", "SELECT error(source) FROM connections", "--failed"),
]
CSV = [("read",), ("certs",), ("compare", "--by", "capture")]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile.capture(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("command", TEXT, ids=" ".join)
def test_on_a_terminal(command: tuple[str, ...], capture: Path) -> None:
    # A dumb terminal gets no progress bar.
    status, shown = on_terminal(100, *command, str(capture), TERM="dumb")
    assert status == 0
    assert hostile.obeyed(shown.replace("\r\n", "\n")) == set()


def test_json_keeps_the_values(capture: Path) -> None:
    name = os.fsencode(capture).decode("utf-8", "backslashreplace")
    lines = [json.loads(line) for line in run("read", "--format", "json", capture).stdout.splitlines()]
    assert {line["source"] for line in lines} == {name}
    assert [line["sni"] for line in lines] == [one.sni for one in tlsdissect.read(capture)]


@pytest.mark.parametrize("command", CSV, ids=" ".join)
def test_csv_in_a_pipe_keeps_the_values(command: tuple[str, ...], capture: Path) -> None:
    done = run(*command, "--format", "csv", capture)
    told = csv.reader(io.StringIO(done.stdout.decode(), newline=""))
    name = os.fsencode(capture).decode("utf-8", "backslashreplace")
    assert any(name in row for row in told)


@pytest.mark.parametrize("command", ["read", "certs", "compare", "show"])
def test_in_errors(command: str, tmp_path: Path) -> None:
    (tmp_path / hostile.FILE).write_bytes(b"no capture")
    done = run(command, tmp_path / hostile.FILE, tmp_path / f"{hostile.FILE}.missing")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 3
    assert hostile.obeyed(done.stderr.decode()) == set()


@pytest.mark.parametrize(
    "wrong",
    [("--ca-file", hostile.FILE), ("--stream", hostile.FILE), ("--at", hostile.FILE), (f"--{hostile.FILE}",)],
    ids=lambda wrong: wrong[0][:9],
)
def test_in_complaints_of_the_command_line(wrong: tuple[str, ...]) -> None:
    done = run("read", *wrong, TLS12)
    assert done.returncode == 2
    assert hostile.obeyed(done.stderr.decode()) == set()


def test_in_a_traceback() -> None:
    """The text of an error may quote anything."""
    spoilt = (
        "import sys; from tlsdissect.cli import commands, main\n"
        f"def fails(_): raise ValueError({hostile.FILE.encode('unicode-escape').decode('ascii')!r}"
        ".encode().decode('unicode-escape'))\n"
        "commands.invoke = fails\n"
        "sys.exit(main(['--debug']))"
    )
    done = subprocess.run([sys.executable, "-c", spoilt], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 70
    assert b"Traceback" in done.stderr
    assert hostile.obeyed(done.stderr.decode()) == set()


def test_in_what_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(tlsdissect.CaptureError) as told:
        list(tlsdissect.read(tmp_path / hostile.FILE))
    assert hostile.obeyed(str(told.value)) == set()
    with pytest.warns(RuntimeWarning) as warned:
        listening._warn(f"{hostile.FILE} is down")
    assert hostile.obeyed(str(warned[0].message)) == set()


NAMED = [
    ("read",),
    ("read", "--format", "json"),
    ("read", "--format", "csv"),
    ("summary", "--format", "json"),
    ("compare", "--by", "capture", "--format", "csv"),
    ("compare", "--by", "capture", "--format", "json"),
    ("certs", "--format", "json"),
    ("show", "--stream", "0"),
    ("explain",),
    ("extract", "--filter"),
    ("report", "--output", "-"),
    ("query", "SELECT DISTINCT source FROM connections", "--format", "csv"),
    ("read", "--format", "json", "--where", r"source.endsWith('\\xe9.pcap')"),
]


@pytest.mark.parametrize("command", NAMED, ids=" ".join)
def test_a_byte_that_is_not_utf_8_is_written_alike_everywhere(command: tuple[str, ...], tmp_path: Path) -> None:
    shutil.copy(ROOT / TLS12, tmp_path / "caf\udce9.pcap")
    shutil.copy(ROOT / "samples" / "tls13-full.pcap", tmp_path / "other.pcap")
    done = run(*command, tmp_path / "caf\udce9.pcap", tmp_path / "other.pcap")
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode() + done.stderr.decode()
    assert "caf\\xe9.pcap" in told.replace("\\\\", "\\")
    assert "udce9" not in told


def test_a_command_with_an_odd_name_can_be_pasted(tmp_path: Path) -> None:
    name = "it's \\x41 caf\udce9 \x9b\n\u202e.pcap"
    shutil.copy(ROOT / TLS12, tmp_path / name)
    done = run("extract", "-q", "--filter", tmp_path / name, "-o", tmp_path / "out.pcap")
    _, _, command = done.stdout.decode().splitlines()
    script = f'tshark() {{ printf %s\\\\0 "$@"; }}\n{command}'
    words = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "LC_ALL": "C.UTF-8"}, capture_output=True, check=True
    )
    assert words.stdout.split(b"\0")[2] == os.fsencode(tmp_path / name)
