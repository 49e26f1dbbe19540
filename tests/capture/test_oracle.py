"""Wireshark finds the same TCP headers, in the captures of other projects and in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import building as b
import pytest
import sharkd
from recorded import SHARED
from rows import rows_of
from test_headers import PLAIN, SIX, SIX_TUNNELS, TUNNELS

from tlsdissect.capture import TCP, CaptureError, open_capture

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES = SHARED / "captures"
FIELDS = ("frame.number", "tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.len")
DIFFERENT = {
    # Wireshark stops at a malformed IP option; the TCP header behind it is whole.
    "firewall__tcp-session-decode-malformed-ipv4.pcap",
}
NOT_BY_DEFAULT = {
    # Wireshark wants to be told of L2TPv3's cookie and contents, and that Linux's old port is VXLAN.
    "L2TPv3",
    "L2TPv3, cookie",
    "UDP: VXLAN, Linux",
    # Without the flag for a next protocol, VXLAN-GPE is VXLAN (draft-ietf-nvo3-vxlan-gpe). Wireshark reads number 0.
    "UDP: VXLAN-GPE, Ethernet",
    # It guesses a pseudowire's control word by the makers whose addresses it knows.
    "MPLS pseudowire",
    # It reads the logs of another machine as if they were its own.
    "NFLOG, big",
    # It looks for mesh control in front of an A-MSDU, not in its subframes.
    "802.11 mesh, A-MSDU",
    # It takes a jumbogram of less than 64 KiB for malformed.
    "IPv6: jumbo",
}
Header = tuple[int, int, int, int | None]


def theirs(path: Path) -> dict[int, tuple[int, list[Header]]]:
    """For each frame the number of TCP headers with a stream, and the headers if all have all fields."""
    frames = {}
    for frame, streams, *columns in sharkd.columns(path, FIELDS):
        if streams:
            values = [list(map(int, filter(None, column.split(",")))) for column in columns]
            frames[int(frame)] = len(streams.split(",")), list(zip(*values, strict=False))
    return frames


def ours(path: Path) -> dict[int, list[tuple[Header, bool]]]:
    frames: dict[int, list[tuple[Header, bool]]] = {}
    with open_capture(path) as capture:
        for row in rows_of(capture):
            if row["protocol"] == TCP:
                header = row["source_port"], row["destination_port"], row["sequence"], row["length"]
                frames.setdefault(row["frame"], []).append((header, row["quoted"]))
    return frames


def compare(path: Path) -> None:
    expected, found = theirs(path), ours(path)
    assert {frame: len(headers) for frame, headers in found.items()} == {
        frame: count for frame, (count, _) in expected.items()
    }
    for frame, headers in found.items():
        # A quotation, or a header that is no header, has not all fields there.
        if len(expected[frame][1]) == len(headers) and not any(quoted for _, quoted in headers):
            assert [header for header, _ in headers] == expected[frame][1]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captures in {CAPTURES}")
@pytest.mark.parametrize("folder", sorted(path.name for path in CAPTURES.glob("*/") if path.is_dir()) or [""])
def test_captures_of_other_projects(folder: str) -> None:
    paths = sorted(path for path in (CAPTURES / folder).iterdir() if path.suffix in {".pcap", ".pcapng"})
    for path in paths:
        if path.name in DIFFERENT:
            continue
        try:
            compare(path)
        except CaptureError as error:
            if "not supported" not in str(error) or theirs(path):
                pytest.fail(f"{path.name}: {error}")


def cases() -> dict[str, tuple[int, bytes]]:
    ethernet = {f"UDP: {name}": (1, packet) for name, packet in {**TUNNELS, **SIX_TUNNELS}.items()}
    every = {**PLAIN, **{f"IPv6: {name}": case for name, case in SIX.items()}, **ethernet}
    return {name: case for name, case in every.items() if name not in NOT_BY_DEFAULT}


@pytest.mark.parametrize("name", cases())
def test_captures_of_ours(name: str, tmp_path: Path) -> None:
    link, packet = cases()[name]
    path = tmp_path / "made.pcap"
    path.write_bytes(b.pcap([packet], link=link))
    compare(path)
