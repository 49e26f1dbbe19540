"""What a person sees: tables that fit a terminal, colours, a bar only where there is time for it."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from commands import RESUMED, TLS12, TLS13, on_terminal, run
from recorded import ROOT

from tlsdissect.cli.exit_status import print_stderr
from tlsdissect.cli.status_line import ProgressBar
from tlsdissect.corpus.parallel import ParallelOutputRows
from tlsdissect.corpus.query import OutputRows, Query
from tlsdissect.corpus.selection import Selection
from tlsdissect.handshake.options import Options
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from pathlib import Path

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
BAR = re.compile(r"\x1b\[\?25l(.*?)\x1b\[\?25h\r\x1b\[1A\x1b\[2K", re.DOTALL)
"""A bar, from its first showing until it is wiped."""

FAILED = "samples/tls13-unknown-ca.pcap"
SLOW = """
import sys, time
from tlsdissect import pipeline
from tlsdissect.cli import main

read = pipeline.Reading._read

def slowly(self, *arguments):
    for told in read(self, *arguments):
        time.sleep(1.6)
        yield told

pipeline.Reading._read = slowly
sys.exit(main())
"""

BARRED = """
import sys
from tlsdissect.cli import main, status_line

status_line.ProgressBar.delay, status_line._PERIOD = 0.0, 0.01
sys.exit(main())
"""


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    status, shown = on_terminal(width, "read", "-q", "samples")
    # On a slow machine there is a bar between the rows.
    lines = COLOUR.sub("", BAR.sub("", shown)).splitlines()
    assert status == 0
    assert len(lines) > 20
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [20, 80])
def test_a_bar_that_comes_again_wipes_no_row(width: int) -> None:
    status, shown = on_terminal(width, "-c", BARRED, "read", "-q", "--color", "never", "samples", "samples", "samples")
    bars = BAR.findall(shown)
    assert status == 0
    assert len(bars) > 1
    assert [bar for bar in bars if "\x1b[1A" in bar] == []


def test_the_summary_stands_below_the_table() -> None:
    _, shown = on_terminal(80, "read", TLS12, "--color", "never")
    head, row, blank, summary = shown.splitlines()
    assert head == "stream start    client server          TLS suite      group  RT   ms outcome"
    assert row == "     0 17:11:54 ::1    localhost:8443  1.2 AES256-GCM x25519  2 3.35 established"
    assert (blank, summary) == ("", "1 connection: TLS 1.2")


def test_colours_are_for_terminals() -> None:
    _, shown = on_terminal(80, "read", FAILED)
    assert "\x1b[31malert unknown_ca by client\x1b[0m" in shown
    for unwanted in (on_terminal(80, "read", FAILED, NO_COLOR="1")[1], on_terminal(80, "read", FAILED, TERM="dumb")[1]):
        assert "\x1b" not in unwanted
    assert b"\x1b" not in run("read", FAILED).stdout
    assert b"\x1b[31m" in run("read", FAILED, "--color", "always", NO_COLOR="1").stdout


def test_several_captures_are_headed_by_their_names() -> None:
    _, shown = on_terminal(80, "read", RESUMED, TLS12, "--color", "never")
    lines = shown.splitlines()
    assert (lines[1], lines[4]) == (RESUMED, TLS12)
    assert RESUMED not in on_terminal(80, "read", RESUMED)[1]


def test_a_bar_comes_late_and_goes_again() -> None:
    _, shown = on_terminal(80, "read", TLS12)
    assert "\x1b[?25l" not in shown
    status, shown = on_terminal(80, "-c", SLOW, "read", RESUMED)
    assert status == 0
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25l") < shown.rindex("\x1b[?25h")
    rows = [line for line in COLOUR.sub("", shown).splitlines() if line.endswith("established")]
    assert len(rows) == 2


def test_a_bar_stands_aside_for_what_comes_at_the_end() -> None:
    status, shown = on_terminal(80, "-c", SLOW, "compare", "--all", RESUMED)
    assert status == 0
    assert len(BAR.findall(shown)) >= 1
    assert COLOUR.sub("", BAR.sub("", shown)).startswith("nothing to compare: ")


def test_a_bar_stays_while_the_result_goes_to_a_file_and_names_the_phases(tmp_path: Path) -> None:
    script = f"import os\nos.dup2(os.open({str(tmp_path / 'rows')!r}, os.O_CREAT | os.O_WRONLY), 1)\n{BARRED}"
    status, shown = on_terminal(120, "-c", script, "read", "-q", "samples")
    assert status == 0
    assert shown.count("\x1b[?25l") == 1
    assert "reading" in shown
    script = BARRED.replace("ProgressBar.delay", "_Bar.delay")
    status, shown = on_terminal(120, "-c", script, "report", "-q", RESUMED, "-o", str(tmp_path / "report.html"))
    assert status == 0
    assert "writing the report" in shown


def test_the_remaining_time_is_what_the_rate_so_far_says() -> None:
    clock, total = [0.0], 60e9
    bar = ProgressBar(lambda: (int(clock[0] * 1e9), int(total)))
    progress = bar.create()
    progress.get_time = lambda: clock[0]
    told = []
    for tick in range(10, 600):
        clock[0] = tick / 10
        bar.update()
        told.append((progress.tasks[0].time_remaining, total / 1e9 - clock[0]))
    assert all(said is not None and abs(said - true) <= 1 for said, true in told[2:])


def test_a_rate_that_is_not_known_yet_is_left_out() -> None:
    for finished in ((0, 0), (0, 10)):
        bar = ProgressBar(lambda: (100, 100), lambda finished=finished: finished)
        progress = bar.create()
        bar.update()
        *_, speed = bar.columns()
        assert str(speed.render(progress.tasks[0])) == ""


def test_a_line_about_a_run_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pieces(StringIO):
        def write(self, text: str) -> int:
            if text:
                written.append(text)
            return len(text)

    written: list[str] = []
    monkeypatch.setattr(sys, "stderr", Pieces())
    print_stderr("1 connection")
    assert written == ["1 connection\n"]


def test_connections_that_come_after_the_last_byte_are_a_phase_with_a_time_of_its_own() -> None:
    """Four seconds of reading, 100 bytes each, then 1,000 connections, 10 each second."""
    clock = [0.0]
    bar = ProgressBar(
        lambda: (min(int(100 * clock[0]), 400), 400), lambda: (int(10 * max(clock[0] - 4, 0)), 1000 * (clock[0] >= 4))
    )
    progress = bar.create()
    progress.get_time = lambda: clock[0]
    told, named = [], []
    for tick in range(10, 1000):
        clock[0] = tick / 10
        bar.update()
        told.append((progress.tasks[0].time_remaining, (4 if clock[0] < 4 else 104) - clock[0]))
        named.append(progress.tasks[0].description)
    assert named == ["reading"] * 30 + ["finishing"] * 960
    reading, finishing = told[:30], told[30:]
    assert all(said is not None and abs(said - true) <= 1 for said, true in [*reading[2:], *finishing[20:]])
    row = "".join(str(one.render(progress.tasks[0])) for one in bar.columns()[2:])
    assert row == "959/1,000 connections10/s"


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("sample", ["paths-client.pcap.gz", "quic/quic-full.pcap", "dtls/dtls12-full.pcap"])
def test_what_is_left_at_the_end_of_a_capture_is_counted(sample: str, jobs: int) -> None:
    asked = Query((str(ROOT / "samples" / sample),), Options(), Selection(), Ndjson())
    with closing(OutputRows(asked, asked.reading()) if jobs == 1 else ParallelOutputRows(asked, jobs)) as rows:
        for _ in rows:
            done, left = rows.finishing()
            assert done <= left
        done, left = rows.finishing()
    assert done == left > 0


@pytest.mark.parametrize("command", ["explain", "ladder", "show"])
def test_the_closing_line_stands_apart(command: str) -> None:
    _, shown = on_terminal(80, command, TLS12)
    assert shown.replace("\r", "").endswith("\n\n1 connection: TLS 1.2\n")


def test_no_bar_where_nobody_looks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW, "read", TLS12], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b"1 connection: TLS 1.2\n"


def test_a_small_run_loads_no_more_than_it_needs() -> None:
    script = (
        "import sys; from tlsdissect.cli import main; status = main(sys.argv[1:]); print(*sys.modules); exit(status)"
    )
    for form in ("json", "table", "csv"):
        command = [sys.executable, "-c", script, "read", "-q", "--format", form, TLS13]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
        assert loaded.isdisjoint({"rich", "pandas", "matplotlib", "scapy", "dask", "jinja2", "IPython", "OpenSSL"})
        assert ("tlsdissect.views.csv" in done.stdout) == (form == "csv")


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import tlsdissect, sys; print(*sys.modules); tlsdissect.Connection"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not {"numpy", "msgspec", "click", "rich", "tlsdissect.pipeline"} & set(done.stdout.split())


def test_a_summary_is_cut_between_words() -> None:
    _, shown = on_terminal(80, "read", "--findings", "samples/talk", TERM="dumb")
    lines = shown.splitlines()
    [info] = [number for number, line in enumerate(lines) if line.startswith("info: ")]
    assert max(map(len, lines)) <= 80
    assert lines[info].endswith(", 8 ocsp_lookup,")
    assert lines[info + 1] == "  1 ocsp_elsewhere, 1 crl_download, 1 acme_challenge"


def test_a_summary_on_standard_error_has_lines_on_a_terminal(tmp_path: Path) -> None:
    _, shown = on_terminal(80, "certs", "samples/talk", "-o", str(tmp_path / "certificates.csv"), TERM="dumb")
    assert shown.splitlines()[:3] == [
        "11 certificates in 10 chains",
        "trust not checked: no authorities given",
        "9 lookups over plain HTTP",
    ]
