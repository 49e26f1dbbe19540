from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import RESUMED, TLS12, TLS13, on_terminal, run
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_a_ladder_fits_its_terminal() -> None:
    status, shown = on_terminal(80, "ladder", "-q", TLS12, NO_COLOR="1")
    assert status == 0
    assert max(map(len, shown.splitlines())) <= 80
    assert "▶" in shown


def test_two_streams_stand_side_by_side() -> None:
    done = run("ladder", "-q", RESUMED, "--stream", "0", "--stream", "1")
    lines = done.stdout.decode().splitlines()
    assert sum(line.count("SYN ") for line in lines) == 2
    assert lines[0].startswith("stream 0")
    assert lines[2].startswith("stream 1")


@pytest.mark.parametrize(("first", "second"), [("0", "1"), ("1", "0")])
def test_two_streams_stand_in_the_order_in_which_they_were_asked_for(first: str, second: str) -> None:
    """In the capture, stream 1 is over before stream 0."""
    done = run("ladder", "-q", ROOT / "samples/paths-client.pcap.gz", "--stream", first, "--stream", second)
    titles = [line.split()[1] for line in done.stdout.decode().splitlines() if line.startswith("stream ")]
    assert titles == [first, second]


def test_streams_of_which_one_is_not_there() -> None:
    done = run("ladder", "-q", TLS12, "--stream", "0", "--stream", "7")
    assert done.stdout.decode().count("stream 0") == 1


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("txt", b"stream 0")]
)
def test_pictures(suffix: str, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"ladder.{suffix}"
    assert run("ladder", "-q", TLS13, "-o", path).returncode == 0
    assert path.read_bytes().startswith(start)


def test_a_picture_has_room_for_two(tmp_path: Path) -> None:
    done = run("ladder", TLS12, TLS13, RESUMED, "-o", tmp_path / "ladder.svg")
    assert done.returncode == 2
    assert b"4 connections: a picture shows one or two; select them with --stream" in done.stderr
    assert not (tmp_path / "ladder.svg").exists()
