"""IP fragments with different bytes at the same place: what receivers drop, and what is told of it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from mangle import ETHERNET, IPV4, IPV6, Segment, ethernet, ip4, ip6, pcap, segments
from recorded import ROOT, facts

import tlsdissect
from tlsdissect.capture.differences import MAX_COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SENT = segments(ROOT / "samples/tls12-full.pcap")
HELLO = next(number for number, one in enumerate(SENT) if one.payload)
NAME, DECOY = b"localhost", b"a.decoy.x"
CUT = 64
"""Where the second fragment begins; the name is in it."""
Part = tuple[int, bytes]


def is_last(number: int, parts: list[Part], last: set[int]) -> bool:
    """Whether a fragment says that it is the last: one of these, or where there are none, the one that ends last."""
    at, data = parts[number]
    return number in last if last else at + len(data) == max(at + len(data) for at, data in parts)


def in_ip4(parts: list[Part], whole: bytes, hops: dict[int, int], last: set[int]) -> list[bytes]:
    head = whole[:20]
    found = []
    for number, (at, data) in enumerate(parts):
        flags = at // 8 | (0 if is_last(number, parts, last) else 0x2000)
        one = head[:2] + struct.pack(">HHHB", 20 + len(data), 7, flags, hops.get(number, 64)) + head[9:]
        found.append(ethernet(IPV4, one + data))
    return found


def in_ip6(parts: list[Part], whole: bytes, hops: dict[int, int], last: set[int]) -> list[bytes]:
    found = []
    for number, (at, data) in enumerate(parts):
        fragment = struct.pack(">BBHI", 6, 0, at | (not is_last(number, parts, last)), 7)
        head = whole[:4] + struct.pack(">HBB", 8 + len(data), 44, hops.get(number, 64)) + whole[8:40]
        found.append(ethernet(IPV6, head + fragment + data))
    return found


Wrap = tuple[
    "Callable[[Segment], bytes]", "Callable[[list[Part], bytes, dict[int, int], set[int]], list[bytes]]", int, int
]
WAYS: dict[str, Wrap] = {"ip4": (ip4, in_ip4, IPV4, 20), "ip6": (ip6, in_ip6, IPV6, 40)}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Wrap:
    return WAYS[request.param]


def read(path: Path, way: Wrap, hellos: list[Any], last: Iterable[int] = ()) -> dict[str, Any]:
    """Read a handshake whose ClientHello is in these packets: a segment, or a function that makes its fragments."""
    wrap, cut, kind, _ = way
    packets: list[tuple[int, bytes]] = []
    for number, one in enumerate(SENT):
        if number != HELLO:
            packets.append((one.time, ethernet(kind, wrap(one))))
            continue
        for sent in hellos:
            if isinstance(sent, Segment):
                packets.append((one.time, ethernet(kind, wrap(sent))))
            else:
                whole = wrap(one)
                packets += [(one.time, frame) for frame in cut(sent(whole[way[3] :]), whole, {1: 3}, set(last))]
    path.write_bytes(pcap(packets, ETHERNET))
    [connection] = facts(path)
    return connection


def overlapping(body: bytes) -> list[Part]:
    """Two fragments with all bytes, and between them one with another name."""
    return [(0, body[:CUT]), (CUT, body[CUT:].replace(NAME, DECOY)[: len(body) - CUT - 8 & ~7]), (CUT, body[CUT:])]


def conflicts(connection: dict[str, Any]) -> list[dict[str, Any]]:
    return [problem for problem in connection["problems"] if problem["code"] == "conflicting_data"]


def test_of_fragments_that_differ_the_one_that_begins_first_and_came_first_counts(tmp_path: Path, way: Wrap) -> None:
    connection = read(tmp_path / "a.pcap", way, [overlapping])
    assert (connection["sni"], connection["outcome"]) == (DECOY.decode(), "established")
    [problem] = conflicts(connection)
    place = 20 + len(SENT[HELLO].options) + SENT[HELLO].payload.index(NAME)
    assert problem["detail"] == f"IP fragments differ at byte {place} of their packet"
    assert (problem["frame"], problem["from"], problem["offset"]) == (HELLO + 3, "client", None)
    assert problem["copies"] == [
        {"frame": HELLO + 2, "bytes": DECOY.hex(), "used": True, "hop_limit": 3},
        {"frame": HELLO + 3, "bytes": NAME.hex(), "used": False, "hop_limit": 64},
    ]


@pytest.mark.parametrize("first", [False, True])
def test_a_segment_in_fragments_that_differ_gives_way_to_a_whole_one(tmp_path: Path, way: Wrap, first: bool) -> None:
    """Its receiver may have dropped all of them (RFC 8200 section 4.5), so that it was sent again."""
    sent = [overlapping, SENT[HELLO]] if first else [SENT[HELLO], overlapping]
    connection = read(tmp_path / "a.pcap", way, sent)
    assert (connection["sni"], connection["outcome"]) == (NAME.decode(), "established")
    segment, fragments = sorted(conflicts(connection), key=lambda problem: problem["offset"] is None)
    assert "IP fragments that differ: this segment is left out" in segment["detail"]
    assert [one["bytes"] for one in fragments["copies"]] == [DECOY.hex(), NAME.hex()]
    assert [one["used"] for one in fragments["copies"]] == [False, False]


def test_fragments_that_agree_are_no_conflict(tmp_path: Path, way: Wrap) -> None:
    connection = read(
        tmp_path / "a.pcap",
        way,
        [lambda body: [(0, body[:CUT]), (CUT - 16, body[CUT - 16 : CUT + 8]), (CUT, body[CUT:])]],
    )
    assert (connection["sni"], conflicts(connection)) == (NAME.decode(), [])


@pytest.mark.parametrize(("kind", "last"), [("beyond", (0,)), ("ends before", (0, 1)), ("ends after", (0, 1))])
@pytest.mark.parametrize("resent", [False, True])
def test_fragments_that_end_elsewhere_are_told(
    tmp_path: Path, way: Wrap, kind: str, last: tuple[int, ...], resent: bool
) -> None:
    """The first one that says that it is the last one counts; a receiver may drop all of them, as Linux does."""

    def ending(body: bytes) -> list[Part]:
        at = len(body) // 8 * 8 + (-8 if kind == "ends before" else 8)
        other = at - 8, b"Z" * 8
        rest = (CUT, body[CUT:])
        return [rest, (at, b"Z" * 8) if kind == "beyond" else other, (0, body[:CUT])]

    connection = read(tmp_path / "a.pcap", way, [ending, SENT[HELLO]] if resent else [ending], last)
    assert (connection["sni"], connection["outcome"]) == (NAME.decode(), "established")
    [problem] = conflicts(connection)
    assert "IP fragments differ at byte" in problem["detail"]
    assert [one["frame"] for one in problem["copies"]] == [HELLO + 1, HELLO + 2]
    assert "" in [one["bytes"] for one in problem["copies"]]
    assert "gap" not in {one["code"] for one in connection["problems"]}
    [told] = tlsdissect.read(tmp_path / "a.pcap", findings=True)
    [found] = [one for one in told.findings or () if one.code == "conflicting_data"]
    assert "nothing in frame" in found.detail


def after_it(kind: str, body: bytes) -> list[Part]:
    """A complete packet in fragments, and a later fragment that differs."""
    first, rest, end = (0, body[:CUT]), (CUT, body[CUT:]), len(body) // 8 * 8 - 16
    others = {
        "ends before": [(CUT, b"Z" * 8)],
        "differs": [(CUT, body[CUT:].replace(NAME, DECOY))],
        "differs and is cut": [(CUT, body[CUT:end].replace(NAME, DECOY)), (end, body[end:])],
    }[kind]
    return [first, *others, rest]


@pytest.mark.parametrize("kind", ["ends before", "differs", "differs and is cut"])
@pytest.mark.parametrize("resent", [False, True])
def test_a_fragment_that_differs_from_a_complete_packet_is_told(
    tmp_path: Path, way: Wrap, kind: str, resent: bool
) -> None:
    """Which of them its receiver had before is not visible."""
    path = tmp_path / "a.pcap"
    last = (2, 3) if "cut" in kind else (1, 2)
    connection = read(path, way, [lambda body: after_it(kind, body), *[SENT[HELLO]] * resent], last)
    assert connection["outcome"] == "established"
    assert connection["sni"] == (NAME if resent or kind == "ends before" else DECOY).decode()
    assert "gap" not in {one["code"] for one in connection["problems"]}
    found = [one for one in conflicts(connection) if "IP fragments differ at byte" in one["detail"]]
    assert found
    for problem in found:
        assert [one["used"] for one in problem["copies"]] == [None, None]
        assert problem["frame"] == HELLO + (4 if "cut" in kind else 3)
        assert f"which was complete in frame {problem['frame'] - 1}" in problem["detail"]


def test_packets_with_the_same_identification_are_no_conflict(tmp_path: Path, way: Wrap) -> None:
    wrap, cut, _, start = way
    packets: list[tuple[int, bytes]] = []
    for one in SENT:
        whole = wrap(one)
        parts = [(0, whole[start:][:24]), (24, whole[start:][24:])] if one.payload else [(0, whole[start:])]
        packets += [(one.time, frame) for frame in cut(parts, whole, {}, set())]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(packets, ETHERNET))
    [connection] = facts(path)
    assert (connection["sni"], connection["outcome"], connection["problems"]) == (NAME.decode(), "established", [])


def test_fragments_that_were_captured_twice_are_no_conflict(tmp_path: Path, way: Wrap) -> None:
    def twice(body: bytes) -> list[Part]:
        return [(at, body[at : at + CUT]) for at in range(0, len(body), CUT) for _ in range(2)]

    connection = read(tmp_path / "a.pcap", way, [twice])
    assert (connection["sni"], conflicts(connection)) == (NAME.decode(), [])


def test_of_long_copies_the_beginning_is_told(tmp_path: Path, way: Wrap) -> None:
    def inverted(body: bytes) -> list[Part]:
        other = bytes(byte ^ 0xFF for byte in body[CUT : CUT + MAX_COPY + 16])
        return [(0, body[:CUT]), (CUT, other), (CUT, body[CUT:])]

    connection = read(tmp_path / "a.pcap", way, [inverted])
    [problem] = conflicts(connection)
    assert {len(one["bytes"]) for one in problem["copies"]} == {2 * MAX_COPY}


def test_the_finding_gives_both(tmp_path: Path, way: Wrap) -> None:
    path = tmp_path / "a.pcap"
    read(path, way, [overlapping])
    [connection] = tlsdissect.read(path, findings=True)
    [found] = [one for one in connection.findings or () if one.code == "conflicting_data"]
    assert found.detail == (
        f"bytes of the client differ: {DECOY.hex()} in frame {HELLO + 2} with hop limit 3, which counts, and "
        f"{NAME.hex()} in frame {HELLO + 3} with hop limit 64"
    )
