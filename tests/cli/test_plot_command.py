"""`tlsdissect plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands import run
from recorded import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "samples"


def test_a_timeline_is_of_one_connection(tmp_path: Path) -> None:
    file = tmp_path / "a.svg"
    done = run("plot", "timeline", str(SAMPLES / "talk"), "-o", str(file))
    assert done.returncode == 2
    assert b"a timeline shows a single one; select it with --stream" in done.stderr
    assert not file.exists()
    assert run("plot", "timeline", str(SAMPLES / "tls12-full.pcap"), "-o", str(file)).returncode == 0
    assert "server_key_exchange" in file.read_text()


def test_the_command_writes_a_picture(tmp_path: Path) -> None:
    for suffix, begin in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        file = tmp_path / f"a{suffix}"
        done = run("plot", "round-trips", str(SAMPLES / "talk"), "-o", str(file))
        assert done.returncode == 0, done.stderr
        assert file.read_bytes().startswith(begin)
    assert run("plot", "round-trips", str(SAMPLES / "talk"), "-o", str(tmp_path / "a.txt")).returncode == 2
