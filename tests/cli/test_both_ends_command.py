"""The commands that show a connection once if two of the captures have it."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from commands import run
from recorded import ROOT

import tlsdissect
from tlsdissect.corpus import both_ends
from tlsdissect.model.transcript import KeptConnection

if TYPE_CHECKING:
    from pathlib import Path

CLIENT, SERVER = (f"samples/ends-{end}.pcap.gz" for end in ("client", "server"))


def explained(*arguments: str | Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("explain", "-q", "--format", "json", *arguments).stdout.splitlines()]


def test_each_connection_is_explained_once() -> None:
    both, alone = explained(CLIENT, SERVER), explained(CLIENT)
    assert [one["other_view"] for one in both] == [{"source": SERVER, "stream": number} for number in range(4)]
    assert [one["other_view"] for one in alone] == [None] * 4
    assert [one["source"] for one in both] == [CLIENT] * 4
    assert explained(SERVER, CLIENT) == both


@pytest.mark.parametrize("chosen", ["ends-client.pcap.gz:1", "ends-server.pcap.gz:1"])
def test_either_view_selects_it(chosen: str) -> None:
    (one,) = explained("--stream", chosen, CLIENT, SERVER)
    assert (one["source"], one["stream"], one["other_view"]) == (CLIENT, 1, {"source": SERVER, "stream": 1})


def test_two_views_are_drawn_side_by_side(tmp_path: Path) -> None:
    done = run("ladder", "--stream", "1", CLIENT, SERVER)
    text = done.stdout.decode()
    assert text.count("stream 1 ") == 2
    assert "548 bytes not seen" in text
    assert b"1 of 8 connections" in done.stderr
    picture = tmp_path / "ladder.svg"
    assert run("ladder", "--stream", "1", CLIENT, SERVER, "-o", picture).returncode == 0
    assert picture.stat().st_size > 10_000


def test_two_chosen_views_of_one_connection_are_one() -> None:
    chosen = ("--stream", "ends-client.pcap.gz:2", "--stream", "ends-server.pcap.gz:2")
    assert run("ladder", *chosen, CLIENT, SERVER).stdout == run("ladder", *chosen[:2], CLIENT, SERVER).stdout


def test_others_are_shown_by_themselves() -> None:
    found = explained(CLIENT, "samples/tls12-full.pcap", SERVER)
    assert [one["other_view"] is None for one in found] == [True, *[False] * 4]


def test_python_yields_each_once_with_both_views() -> None:
    found = list(tlsdissect.read(ROOT / CLIENT, ROOT / SERVER, both_ends=True))
    assert [one.other_view.source for one in found if isinstance(one, KeptConnection) and one.other_view] == [
        str(ROOT / SERVER)
    ] * 4
    (lossy,) = tlsdissect.read(ROOT / SERVER, ROOT / CLIENT, stream="ends-client.pcap.gz:1", both_ends=True)
    codes = [sentence.code for sentence in tlsdissect.explain(lossy).about("path")]
    assert codes.count("lost_on_the_way") == 2
    assert str(tlsdissect.ladder(lossy)).count("stream 1 ") == 2
    (alone, *_) = tlsdissect.read(ROOT / CLIENT, both_ends=True)
    assert isinstance(alone, KeptConnection)
    assert alone.other_view is None
    with pytest.raises(ValueError, match="standard input"):
        next(tlsdissect.read("-", CLIENT, both_ends=True))
    with pytest.raises(ValueError, match="cannot be combined with joined"):
        tlsdissect.read(CLIENT, SERVER, joined=True, both_ends=True)
    with pytest.raises(tlsdissect.CaptureError, match=r"missing\.pcap"):
        list(tlsdissect.read(ROOT / CLIENT, "missing.pcap", both_ends=True))


def test_folders_are_joined_and_pipes_are_not(tmp_path: Path) -> None:
    for name in (CLIENT, SERVER):
        (tmp_path / name.rpartition("/")[2]).write_bytes((ROOT / name).read_bytes())
    assert len(explained(tmp_path)) == 4
    given = gzip.decompress((ROOT / SERVER).read_bytes())
    done = run("explain", "-q", "--format", "json", CLIENT, "-", given=given)
    assert len(done.stdout.splitlines()) == 8


def test_the_same_capture_twice_is_joined_with_nothing() -> None:
    assert [one["other_view"] for one in explained(CLIENT, CLIENT)] == [None] * 8


def test_without_room_each_view_is_shown_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both_ends, "HELD_BYTES", 1)
    done = run("explain", "--format", "json", CLIENT, SERVER)
    assert len(done.stdout.splitlines()) == 8
    assert b"8 connections not joined with a view in another capture, for lack of room" in done.stderr


def test_exit_status_and_findings_go_on() -> None:
    assert run("explain", "-q", "--exit-status", "--sni", "none.example", CLIENT, SERVER).returncode == 1
    assert run("explain", "-q", CLIENT, "missing.pcap", SERVER).returncode == 2
