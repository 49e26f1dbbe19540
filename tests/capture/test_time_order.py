"""Files whose packets are in another order than that of time."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from mangle import Way, first_conversation, pcapng
from recorded import ROOT, facts

from tlsdissect.capture import Packet, PacketReader, open_capture, time_order
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.time_order import open_by_time, open_in_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TALKS = ("tls12-full", "tls12-no-common-suite", "tls12-client-cert", "tls13-full", "tls13-hello-retry", "smtp-starttls")

REASON = "the capture is not in the order of time: its packets were read in that order"


def _shuffled(count: int) -> list[int]:
    return random.Random(count).sample(range(count), count)  # noqa: S311


ORDERS: dict[str, Callable[[int], list[int]]] = {
    "reversed": lambda count: list(range(count))[::-1],
    "the second half first": lambda count: [*range(count // 2, count), *range(count // 2)],
    "three parts reversed": lambda count: [
        *range(2 * count // 3, count),
        *range(count // 3, 2 * count // 3),
        *range(count // 3),
    ],
    "shuffled": _shuffled,
}


def in_frames(value: Any, numbers: list[int]) -> Any:
    """Return facts in which each frame has the number that it has in the other capture."""
    if isinstance(value, list):
        return [in_frames(one, numbers) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: numbers[one - 1] if one is not None and _names_frame(key) else in_frames(one, numbers)
        for key, one in value.items()
        if key != "source"
    }


def _names_frame(key: str) -> bool:
    return key == "frame" or key.endswith("_frame")


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("store", ["pcap", "pcapng"])
def test_facts_are_those_of_the_capture_in_the_order_of_time(name: str, order: str, store: str, tmp_path: Path) -> None:
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    way = Way() if store == "pcap" else Way(store=pcapng)
    places = ORDERS[order](len(sent))
    paths = tmp_path / "plain", tmp_path / "other"
    paths[0].write_bytes(way(sent))
    paths[1].write_bytes(way([sent[place] for place in places]))
    plain, other = (facts(path) for path in paths)
    numbers = [places.index(place) + 1 for place in range(len(sent))]
    for connection in other:
        problems = connection["problems"]
        reasons = [one["detail"] for one in problems if one["code"] == "out_of_order"]
        assert reasons == [REASON]
        connection["problems"] = [one for one in problems if one["code"] != "out_of_order"]
    assert in_frames(plain, numbers) == in_frames(other, list(range(1, len(sent) + 1)))


def test_frames_that_problems_name_are_those_of_the_file(tmp_path: Path) -> None:
    """One copy of the ClientHello differs: its problem says which frame has the other bytes."""
    sent = first_conversation(ROOT / "samples/tls12-full.pcap")
    at = next(n for n, one in enumerate(sent) if one.payload[5:6] == b"\x01")
    hello = sent[at]
    forged = replace(hello, time=hello.time + 1, payload=hello.payload[:-1] + bytes([hello.payload[-1] ^ 1]))
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(Way()([*sent[: at + 1], forged, *sent[at + 1 :]][::-1]))
    [connection] = facts(capture)
    [conflict] = [one for one in connection["problems"] if one["code"] == "conflicting_data"]
    total = len(sent) + 1
    assert {conflict["frame"], *(one["frame"] for one in conflict["copies"])} == {total - at, total - at - 1}


def _read(
    path: Path, opener: Callable[[str], PacketReader] = open_in_order
) -> list[tuple[int, tuple[int, ...], bytes]]:
    with opener(str(path)) as reader:
        packet, read = Packet(), []
        while reader.next(packet):
            read.append((packet.time, reader.packet_frames, packet.captured_payload()))
        assert (reader.ended, reader.frames) == (True, len(read))
        return read


def test_packets_have_their_numbers_in_the_file(tmp_path: Path) -> None:
    sent = first_conversation(ROOT / "samples/tls13-full.pcap")
    plain, other = tmp_path / "plain.pcap", tmp_path / "other.pcap"
    plain.write_bytes(Way()(sent))
    other.write_bytes(Way()(sent[::-1]))
    whole = len(sent) + 1
    assert [(time, (whole - frame,), data) for time, (frame,), data in _read(plain)] == _read(other)


@pytest.mark.parametrize(
    "spoil",
    [
        gzip.compress,
        lambda data: data[:24] + bytes(8) + b"\xff" * 8 + data[24:],
        lambda data: data[:20] + b"\xee\0\0\0" + data[24:],
        lambda data: data[:20],
    ],
    ids=["compressed", "damaged at its beginning", "an unknown link type", "cut in the file header"],
)
def test_a_file_that_cannot_be_examined_is_left_in_its_order(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    whole = Way()(first_conversation(ROOT / "samples/tls13-full.pcap")[::-1])
    capture.write_bytes(whole)
    with open_in_order(str(capture)) as reader:
        assert reader.reordered
    capture.write_bytes(spoil(whole))
    assert open_by_time(str(capture)) is None


def test_a_file_that_ends_in_the_middle_of_a_packet_is_put_in_order(tmp_path: Path) -> None:
    sent = first_conversation(ROOT / "samples/tls13-full.pcap")[:-2]
    capture = tmp_path / "capture"
    capture.write_bytes(Way()([*sent[::-1], sent[-1]])[:-5])
    [connection] = facts(capture)
    assert connection["outcome"] == "established"
    problems = {one["code"]: one["frame"] for one in connection["problems"]}
    assert problems == {"out_of_order": None, "damaged_capture": len(sent) + 1}


def test_a_large_file_is_left_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(Way()(first_conversation(ROOT / "samples/tls13-full.pcap")[::-1]))
    monkeypatch.setattr(time_order, "MAX_EXAMINED", capture.stat().st_size - 1)
    assert open_by_time(str(capture)) is None
    monkeypatch.undo()
    monkeypatch.setattr(time_order, "MAX_FRAMES", 3)
    assert open_by_time(str(capture)) is None


def test_no_file_is_put_in_an_order_that_tcp_does_not_prefer(tmp_path: Path) -> None:
    """A clock was set back, or two recordings follow one another: TCP's numbers grow in the order of the file."""
    sent = first_conversation(ROOT / "samples/tls13-full.pcap")
    later = [replace(one, time=one.time - 3_000_000) for one in sent[len(sent) // 2 :]]
    for order in ([*sent[: len(sent) // 2], *later], [*later, *sent]):
        capture = tmp_path / "capture"
        capture.write_bytes(Way()(order))
        assert open_by_time(str(capture)) is None


def test_packets_without_a_time_have_none_and_stay_behind_the_one_before_them(tmp_path: Path) -> None:
    sent = first_conversation(ROOT / "samples/tls13-full.pcap")
    half = len(sent) // 2
    capture = tmp_path / "capture.pcapng"
    capture.write_bytes(Way(store=partial(pcapng, untimed=1, of=3))([*sent[half:], *sent[:half]]))
    stored = _read(capture, open_capture)
    assert [time for time, _, _ in stored[::3]] == [UNTIMED] * len(stored[::3])
    in_order = _read(capture, open_in_order)
    assert in_order != stored
    assert sorted(in_order) == sorted(stored)
    place = {frames: number for number, (_, frames, _) in enumerate(in_order)}
    for (_, before, _), (time, frames, _) in pairwise(stored):
        if time == UNTIMED:
            assert place[frames] == place[before] + 1
