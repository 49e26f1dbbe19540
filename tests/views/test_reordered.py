"""Views of captures whose packets are not in the order of time: as of those in order, with their own frame numbers."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mangle import ETHERNET, Segment, Way, first_conversation, pcap, records, segments
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.views.ladder.model import drawn, outlined
from tlsdissect.views.ladder.patterns import LadderPatterns

RST = 0x04

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.views.ladder.model import Ladder

TALKS = (
    "tls12-full", "tls12-client-cert-missing", "tls12-renegotiation", "tls13-full", "tls13-hello-retry",
    "smtp-starttls",
)  # fmt: skip
_NUMBERS = re.compile(r"(?<=\bframe )[0-9]+")


ORDERS = ["reversed", "the second half first", "one direction first", "the other direction first"]


def places(sent: list[Segment], order: str) -> list[int]:
    """Return for each frame of the other capture its place in the one that is in order."""
    every = list(range(len(sent)))
    if order == "reversed":
        return every[::-1]
    if order == "the second half first":
        return every[len(every) // 2 :] + every[: len(every) // 2]
    first = [place for place in every if sent[place].ports == sent[0].ports]
    second = [place for place in every if place not in first]
    return first + second if order == "one direction first" else second + first


def both(name: str, order: str, folder: Path) -> tuple[tlsdissect.Connection, tlsdissect.Connection, list[int]]:
    """Return a connection of both captures, and for each frame of the first capture its number in the second."""
    sent = first_conversation(ROOT / f"samples/{name}.pcap")
    moved = places(sent, order)
    paths = folder / "plain.pcap", folder / "other.pcap"
    paths[0].write_bytes(Way()(sent))
    paths[1].write_bytes(Way()([sent[place] for place in moved]))
    [plain], [other] = (kept(path) for path in paths)
    return plain, other, [moved.index(place) + 1 for place in range(len(sent))]


def arrows(ladder: Ladder) -> list[tuple[object, ...]]:
    return [(one.sender, one.kind, one.labels, one.ms, one.sealed, one.failed) for one in ladder.arrows]


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("order", ORDERS)
def test_ladders(name: str, order: str, tmp_path: Path) -> None:
    plain, other, numbers = both(name, order, tmp_path)
    for draw in (drawn, outlined, LadderPatterns().drawn):
        one, two = draw(plain), draw(other)
        assert arrows(one) == arrows(two)
        assert [tuple(numbers[frame - 1] for frame in arrow.frames) for arrow in one.arrows] == [
            arrow.frames for arrow in two.arrows
        ]


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("order", ORDERS)
def test_explanations(name: str, order: str, tmp_path: Path) -> None:
    plain, other, numbers = both(name, order, tmp_path)
    one, two = tlsdissect.explain(plain), tlsdissect.explain(other)
    assert [
        (sentence.code, _NUMBERS.sub(lambda found: str(numbers[int(found[0]) - 1]), sentence.text))
        for sentence in one.sentences
    ] == [(sentence.code, sentence.text) for sentence in two.sentences]
    assert [{numbers[frame - 1] for frame in sentence.frames} for sentence in one.sentences] == [
        set(sentence.frames) for sentence in two.sentences
    ]
    assert one.verdict.text == two.verdict.text
    assert [numbers[frame - 1] for frame in one.verdict.frames] == list(two.verdict.frames)


def test_text_of_a_peer_stays_as_it_is(tmp_path: Path) -> None:
    """It is not ours to renumber, whatever it calls a frame."""
    sent = first_conversation(ROOT / "samples/tls12-full.pcap")
    said = b"see frame 3 and frame 99999999999999999999999 now"
    server = sent[1]
    end = replace(server, sequence=server.sequence + 1, flags=RST, payload=said, time=sent[3].time + 1)
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(Way()([*sent[:4], end][::-1]))
    [connection] = kept(capture)
    [problem] = [one for one in connection.problems if one.code == "reset_text"]
    assert said.decode() in problem.detail
    assert tlsdissect.explain(connection).sentences


def test_conflicts_and_copies_name_the_frames_of_the_file(tmp_path: Path) -> None:
    """Samples of segments that conflict, of packets that were captured twice, and of much else."""
    data = gzip.decompress((ROOT / "samples/evasion.pcap.gz").read_bytes())
    plain, other = tmp_path / "plain.pcap", tmp_path / "other.pcap"
    plain.write_bytes(data)
    packets = list(records(plain))
    other.write_bytes(pcap(packets[::-1], ETHERNET))
    last = len(packets) + 1
    for connection in kept(other):
        frames = {packet.frame for packet in connection.transcript.packets}  # type: ignore[attr-defined]
        explained = tlsdissect.explain(connection)
        drawn(connection)
        assert all(0 < frame < last for sentence in explained.sentences for frame in sentence.frames)
        copied = [sentence for sentence in explained.sentences if sentence.code == "captured_twice"]
        assert all(frames.issuperset(sentence.frames) for sentence in copied)


def test_connections_of_a_reordered_capture_are_not_linked(tmp_path: Path) -> None:
    """Which of them was earlier, frames of the file do not say."""
    sent = segments(ROOT / "samples/tls12-resumed-id.pcap")
    plain, other = tmp_path / "plain.pcap", tmp_path / "other.pcap"
    plain.write_bytes(Way()(sent))
    other.write_bytes(Way()(sent[::-1]))
    assert any(one.resumes for one in kept(plain))
    assert not any(one.resumes or one.same_ticket_as for one in kept(other))
