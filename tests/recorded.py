"""Where the captures are, what is read from them, and what tests do about a program that is not installed."""

from __future__ import annotations

import os
import shutil
import struct
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from capture.building import block, enhanced, interface, section

import tlsdissect

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
HEADER = struct.Struct("<IIII")
"""In front of each packet of a sample."""
SAMPLES = sorted((ROOT / "samples").glob("*.pcap"), key=lambda path: path.stem)
INFERRED_WITH_END = (
    "complete",
    "outcome",
    "failed_by",
    "handshake_bytes",
    "timing.handshake_ms",
    "timing.client_data_ms",
    "timing.server_record_ms",
)
"""The keys of what is inferred where the end of a TLS 1.3 handshake is."""


def facts(path: Path, **options: Any) -> list[dict[str, Any]]:
    """Read a capture; its connections as the JSON output has them. A sample is read once."""
    is_sample = path.parent == ROOT / "samples" and not options
    lines = _sample_lines(path) if is_sample else _lines(path, **options)
    return [msgspec.json.decode(line) for line in lines]


def _lines(path: Path, **options: Any) -> list[bytes]:
    return [msgspec.json.encode(connection) for connection in tlsdissect.read(path, **options)]


_sample_lines = cache(_lines)


def kept(path: Path) -> list[tlsdissect.Connection]:
    """The connections of a capture, with their transcripts; none of one whose link type is not read."""
    try:
        return list(tlsdissect.read(path, keep=True))
    except tlsdissect.CaptureError as error:
        if "link type" not in str(error):
            raise
        return []


def script(path: Path) -> ModuleType:
    """Import a program of ours whose name has no suffix."""
    loader = SourceFileLoader(path.name.replace("-", "_"), str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def need(program: str) -> str:
    """Path of a program; without it the test is skipped, or fails where CI runs it."""
    found = shutil.which(program)
    if found is None:
        absent(f"{program} is not installed")
    return str(found)


def absent(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def begun(path: Path, conversations: int, packets: int = 6) -> Path:
    """A capture of so many conversations, each with the first packets of the sample, one after the other."""
    data = (ROOT / "samples" / "tls12-full.pcap").read_bytes()
    records, at = [], 24
    while len(records) < packets:
        size = HEADER.unpack_from(data, at)[2]
        records.append((data[at : at + 16], bytearray(data[at + 16 : at + 16 + size])))
        at += 16 + size
    server = records[0][1][56:58]
    out = [data[:24]]
    for number in range(conversations):
        for head, packet in records:
            # The client's port: behind Ethernet and IPv6, first or second in the TCP header.
            place = 56 if packet[54:56] == server else 54
            packet[place : place + 2] = struct.pack(">H", 20_000 + number)
            out += [head, bytes(packet)]
    path.write_bytes(b"".join(out))
    return path


def packets(path: Path) -> list[tuple[bytes, bytes]]:
    """The packets of a sample: what stands in front of each, and its bytes."""
    data, found, at = path.read_bytes(), [], 24
    while at < len(data):
        size = HEADER.unpack_from(data, at)[2]
        found.append((data[at : at + 16], data[at + 16 : at + 16 + size]))
        at += 16 + size
    return found


def without(path: Path, frames: set[int], place: Path) -> Path:
    """The same capture, but for these frames."""
    kept = [head + packet for number, (head, packet) in enumerate(packets(path), 1) if number not in frames]
    place.write_bytes(path.read_bytes()[:24] + b"".join(kept))
    return place


def with_secrets(path: Path, place: Path, *after: int, keys: Path | None = None) -> Path:
    """The same capture as pcapng, with its key log in a decryption secrets block after each of these frames."""
    secrets = (keys or path.with_suffix(".keys")).read_bytes()
    inside = block(10, struct.pack("<II", 0x544C534B, len(secrets)) + secrets)
    link = struct.unpack_from("<I", path.read_bytes(), 20)[0]
    found = section() + interface(link) + inside * after.count(0)
    for number, (head, packet) in enumerate(packets(path), 1):
        second, fraction = struct.unpack_from("<II", head)
        found += enhanced(packet, second * 1_000_000 + fraction) + inside * after.count(number)
    place.write_bytes(found)
    return place


def snapped(path: Path, size: int, place: Path, only: int | None = None) -> Path:
    """The same capture, with so many bytes of each packet at most, or of this frame alone."""
    out = [path.read_bytes()[:24]]
    for frame, (head, packet) in enumerate(packets(path), 1):
        second, fraction, _, whole = HEADER.unpack(head)
        captured = packet[:size] if only in (None, frame) else packet
        out.append(HEADER.pack(second, fraction, len(captured), whole) + captured)
    place.write_bytes(b"".join(out))
    return place
