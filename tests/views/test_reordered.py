"""Views of captures whose packets are not in the order of time: as of those in order, with their own frame numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from mangle import Segment, Way, first_conversation
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.views.ladder.model import drawn, outlined
from tlsdissect.views.ladder.patterns import LadderPatterns

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
