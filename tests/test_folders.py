"""Folders are searched for captures by content; what is none is passed over, what is a broken one is told."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT

from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "samples" / "tls12-full.pcap"


def test_captures_are_found_by_content_in_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for name in ("z.txt", "a", "b/deep/no-suffix"):
        shutil.copy(SAMPLE, tmp_path / name)
    (tmp_path / "notes.pcap").write_text("no capture")
    (tmp_path / "empty.pcap").touch()
    reading = Reading([tmp_path])
    assert [c.source for c in reading] == [str(tmp_path / name) for name in ("a", "z.txt", "b/deep/no-suffix")]
    assert reading.summary.refused == []


def test_a_capture_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    data = bytearray(SAMPLE.read_bytes())
    data[20:24] = (9999).to_bytes(4, "little")
    (tmp_path / "odd.pcap").write_bytes(data)
    (tmp_path / "short.pcap").write_bytes(data[:23])
    shutil.copy(SAMPLE, tmp_path / "z.pcap")
    reading = Reading([tmp_path])
    assert len(list(reading)) == 1
    assert [path for path, _ in reading.summary.refused] == [str(tmp_path / "odd.pcap"), str(tmp_path / "short.pcap")]


def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert list(Reading([tmp_path])) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter any folder")
def test_a_closed_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    reading = Reading([tmp_path])
    assert list(reading) == []
    assert [path for path, _ in reading.summary.refused] == [str(tmp_path / "closed")]
