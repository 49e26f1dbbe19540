"""Captures that do not tell when their packets came: every command shows nothing in place of times, and goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from commands import run
from mangle import WAYS, segments
from recorded import ROOT

import tlsdissect
from tlsdissect.views.plots import KINDS, picture

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ("tls12-full", "tls12-unknown-ca", "tls13-full")
UNTIMED = ("no times", "every other packet without a time")
COMMANDS = [
    "read",
    "read --format csv",
    "read --format json --system-ca",
    "read --emit decided --format json",
    "show",
    "show --format json",
    "ladder",
    "explain",
    "certs --system-ca",
    "certs --system-ca --format json",
    "compare",
    "compare --format json",
    "diff samples/tls12-full.pcap",
    "diff --format json samples/tls12-full.pcap",
]


@pytest.fixture(scope="module", params=UNTIMED)
def capture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some samples in a folder, rewritten so that packets have no times."""
    folder = tmp_path_factory.mktemp("untimed")
    for sample in SAMPLES:
        data = WAYS[request.param](segments(ROOT / "samples" / f"{sample}.pcap"))
        (folder / f"{sample}.pcapng").write_bytes(data)
    return folder


def checked(*arguments: str | Path) -> str:
    """Run a command that has to succeed; all that it said."""
    done = run(*arguments)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert "1970" not in said
    return said


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed(command: str, capture: Path) -> None:
    assert checked(*command.split(), capture)


def test_two_ladders_of_which_one_has_times(capture: Path) -> None:
    assert "client_hello" in checked("ladder", "samples/tls12-full.pcap", capture / "tls13-full.pcapng")


@pytest.mark.parametrize("kind", KINDS)
def test_figures(kind: str, capture: Path) -> None:
    drawn = picture(tlsdissect.tables(capture / "tls12-full.pcapng"), kind, "svg")
    assert b"</svg>" in drawn
    assert b"1970" not in drawn


@pytest.mark.parametrize("names", ["", "zeek", "ecs", "tshark"])
def test_tables(names: str, capture: Path, tmp_path: Path) -> None:
    chosen = ("--names", names) if names else ()
    checked("export", capture, "--to", tmp_path, *chosen)
    written = [path.read_text() for path in tmp_path.iterdir()]
    assert written
    assert not any("1970" in text for text in written)


def test_typed_tables(tmp_path: Path) -> None:
    file = tmp_path / "untimed.pcapng"
    file.write_bytes(WAYS["no times"](segments(ROOT / "samples/tls12-full.pcap")))
    tables = tlsdissect.tables(file)
    assert tables.connections["start"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert tables.connections["start"].isna().all()
    assert tables.messages["ms"].isna().all()


def test_pages(capture: Path, tmp_path: Path) -> None:
    for command in ("report", "show"):
        page = tmp_path / f"{command}.html"
        checked(command, capture, "-o", page)
        assert "1970" not in page.read_text()


def test_nothing_is_judged_by_a_date_that_is_not_known(tmp_path: Path) -> None:
    """The certificates of the samples are valid, and in 1970 they were not yet."""
    file = tmp_path / "untimed.pcapng"
    file.write_bytes(WAYS["no times"](segments(ROOT / "samples/tls12-full.pcap")))
    (certificate, *_) = map(json.loads, run("certs", file, "--format", "json", "--system-ca").stdout.splitlines())
    assert (certificate["first_seen"], certificate["last_seen"], certificate["days_left"]) == (None, None, None)
    assert certificate["path"]["trusted"] is None
    codes = {finding["code"] for finding in certificate["findings"]}
    assert not codes & {"not_yet_valid", "expired", "expires_soon", "untrusted"}
    (dated, *_) = map(
        json.loads, run("certs", file, "--format", "json", "--system-ca", "--at", "2100-01-01").stdout.splitlines()
    )
    assert "expired" in {finding["code"] for finding in dated["findings"]}


def test_times_that_go_back_are_no_durations(tmp_path: Path) -> None:
    """The clock is set back by an hour behind the ClientHello."""
    recorded = segments(ROOT / "samples/tls12-full.pcap")
    hello = next(number for number, one in enumerate(recorded) if one.payload)
    times = [one.time - 3600 * 10**6 * (number > hello) for number, one in enumerate(recorded)]
    moved = [type(one)(**{**vars(one), "time": time}) for one, time in zip(recorded, times, strict=True)]
    file = tmp_path / "back.pcap"
    file.write_bytes(WAYS["unchanged"](moved))
    (told,) = tlsdissect.read(file)
    (sample,) = tlsdissect.read(ROOT / "samples/tls12-full.pcap")
    assert (told.timing.tcp_ms, told.round_trips) == (sample.timing.tcp_ms, sample.round_trips)
    assert told.timing.handshake_ms is told.timing.server_hello_ms is told.timing.client_data_ms is None
    assert [one.ms for one in told.messages] == [0.0, *[None] * (len(told.messages) - 1)]
    assert "-3" not in checked("ladder", file)
