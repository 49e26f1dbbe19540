"""Other capture formats and archives are refused by name, with a command that makes them readable."""

from __future__ import annotations

import re
import struct
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from cli.commands import run
from recorded import ROOT, need

from tlsdissect.capture import CaptureError, NoCaptureError, Packet, open_capture
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "samples" / "tls12-full.pcap"
FORMATS = {
    "5views": "5View",
    "netmon1": "Network Monitor 1",
    "netmon2": "Network Monitor 2",
    "nettl": "nettl",
    "k12text": "K12",
    "lanalyzer": "LANalyzer",
    "ngsniffer": "Sniffer for DOS",
    "ngwsniffer_1_1": "Sniffer for Windows",
    "ngwsniffer_2_0": "Sniffer for Windows",
    "observer": "Observer",
    "snoop": "snoop",
    "visual": "Visual Networks",
}
"""By the names of editcap."""
UNREADABLE = {"nettl", "observer"}
"""What Wireshark 4.0 writes of Ethernet, but does not read back."""


def refusal(path: Path) -> str:
    with pytest.raises(CaptureError) as caught:
        open_capture(path)
    assert not isinstance(caught.value, NoCaptureError)
    return str(caught.value)


def follow(advice: str, path: Path) -> bytes:
    """Run the command that a refusal names on the file, up to a pipe."""
    (command,) = re.findall("`(.*)`", advice)
    words = [str(path) if word == "FILE" else word for word in command.partition(" | ")[0].split()]
    need(words[0])
    done = subprocess.run(words, cwd=path.parent, capture_output=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize("form", FORMATS)
def test_formats_that_editcap_writes(form: str, tmp_path: Path) -> None:
    """The packets are the same after the conversion that the refusal names."""
    path = tmp_path / "no-telling-name"
    subprocess.run([need("editcap"), "-F", form, SAMPLE, path], capture_output=True, timeout=60, check=True)
    advice = refusal(path)
    assert FORMATS[form] in advice
    if form not in UNREADABLE:
        follow(advice, path)
        (found,), (whole,) = list(Reading([tmp_path / "NEW.pcapng"])), list(Reading([SAMPLE]))
        assert [one.frame for one in found.messages] == [one.frame for one in whole.messages]


def test_erf(tmp_path: Path) -> None:
    """Records of Ethernet: the header, two bytes of padding, the packet."""
    path = tmp_path / "file"
    head = struct.pack("<II", 0, 1_764_000_000) + struct.pack(">BBHHH", 2, 4, 16 + 2 + 60, 0, 60)
    path.write_bytes((head + bytes(62)) * 5)
    advice = refusal(path)
    assert "ERF" in advice
    follow(advice, path)
    with open_capture(tmp_path / "NEW.pcapng") as capture:
        for reader in capture:
            reader.next(Packet())
        assert capture.frames == 5


def test_a_zip_archive(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(SAMPLE)
    assert follow(refusal(path), path) == SAMPLE.read_bytes()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("packed", ["", "gz", "xz", "bz2"])
def test_a_tar_archive(form: int, packed: str, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    with tarfile.open(path, f"w:{packed}", format=form) as archive:  # type: ignore[call-overload]
        archive.add(SAMPLE, "inside.pcap")
    follow(refusal(path), path)
    assert (tmp_path / "inside.pcap").read_bytes() == SAMPLE.read_bytes()


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07\x01\0", "RAR"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\x1f\x9d\x90", "compress"),
        (b"\x5d\0\0\x80\0", "lzma"),
        (b"VL\0\0", "NetXray"),
        (b"iptrace 2.0", "iptrace"),
        (b"\x7fver", "OmniPeek"),
        (bytes(72) + b"\2\0\2\xc0", "ETL"),
    ],
)
def test_magic_numbers(head: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(head + bytes(500))
    assert name in refusal(path)


@pytest.mark.parametrize("program", ["xz", "bzip2", "gzip", "zstd"])
def test_what_compressors_write_is_read(program: str, tmp_path: Path) -> None:
    path = tmp_path / "packed"
    path.write_bytes(subprocess.run([need(program), "-c", SAMPLE], capture_output=True, timeout=60, check=True).stdout)
    (found,), (whole,) = list(Reading([path])), list(Reading([SAMPLE]))
    assert (found.messages, found.timing) == (whole.messages, whole.timing)


@pytest.mark.parametrize("text", [b"plain text\n" * 100, bytes(3000), b"\x01" * 3000, b" " * 3000, b"0123456789" * 99])
def test_other_files_are_no_captures(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    with pytest.raises(NoCaptureError, match="its first bytes are not those of pcap or pcapng"):
        open_capture(path)


def test_in_a_folder_they_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "capture").symlink_to(SAMPLE)
    (tmp_path / "old.snoop").write_bytes(b"snoop\0\0\0" + bytes(8))
    (tmp_path / "week.zip").write_bytes(b"PK\x03\x04" + bytes(30))
    (tmp_path / "README").write_text("nothing to read")
    done = run("read", "--format", "json", tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
    lines = done.stderr.decode().splitlines()
    assert [line.split(": ")[1] for line in lines[:2]] == [str(tmp_path / "old.snoop"), str(tmp_path / "week.zip")]
    assert "README" not in done.stderr.decode()
