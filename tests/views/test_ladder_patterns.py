"""A ladder whose pattern is known is filled in, and the same as one that is drawn anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mangle import in_ethernet, pcap, pieces, segments
from recorded import ROOT, SAMPLES, kept

import tlsdissect
from tlsdissect.views.ladder import patterns
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.ladder.patterns import LadderPatterns

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CAPTURES = sorted([*(ROOT / "samples").rglob("*.pcap"), *(ROOT / "samples").rglob("*.pcap.gz")])


def test_a_ladder_of_a_known_pattern_is_as_drawn() -> None:
    """With the patterns of all other connections known, too."""
    found = LadderPatterns()
    for path in CAPTURES:
        keys = path.with_suffix(".keys")
        for connection in tlsdissect.read(path, keep=True, keylog=keys if keys.exists() else ()):
            wanted = drawn(connection)
            assert found.drawn(connection) == wanted
            assert found.drawn(connection) == wanted


def test_connections_that_went_alike_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = kept(ROOT / "samples/paths-client.pcap.gz")
    drawings: list[object] = []
    monkeypatch.setattr(patterns, "drawn", lambda one: drawings.append(one) or drawn(one))
    found = LadderPatterns()
    for connection in connections:
        found.drawn(connection)
    assert len(drawings) == len(found._known) < len(connections) / 2


def test_patterns_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_PATTERNS", 3)
    found = LadderPatterns()
    for path in SAMPLES:
        for connection in kept(path):
            assert found.drawn(connection) == drawn(connection)
            assert len(found._known) <= 3
    monkeypatch.setattr(patterns, "MAX_PARTS", 3)
    found = LadderPatterns()
    for connection in kept(SAMPLES[0]):
        assert found.drawn(connection) == drawn(connection)
    assert not found._known


def test_other_times_make_another_ladder(tmp_path: Path) -> None:
    path = ROOT / "samples/tls12-full.pcap"
    data = bytearray(path.read_bytes())
    data[24:28] = (int.from_bytes(data[24:28], "little") - 2).to_bytes(4, "little")
    other = tmp_path / "earlier.pcap"
    other.write_bytes(data)
    found = LadderPatterns()
    first, second = [found.drawn(kept(one)[0]) for one in (path, other)]
    assert len(found._known) == 1
    assert second.arrows[0].ms is not None
    assert first.arrows[0].ms is not None
    assert abs(first.arrows[0].ms - second.arrows[0].ms - 2000) < 0.001
    assert second == drawn(kept(other)[0])


def test_a_pause_within_a_flight_is_another_pattern(tmp_path: Path) -> None:
    """The same segments, the last one of the server's flight at once or half a second later."""
    sent = segments(ROOT / "samples/tls12-full.pcap")
    at = next(number for number, one in enumerate(sent) if len(one.payload) > 2000)
    before, flight, after = sent[:at], pieces(sent[at], 300), sent[at + 1 :]
    found = LadderPatterns()
    arrows = []
    for number, wait in enumerate((0, 500_000)):
        path = tmp_path / f"{number}.pcap"
        late = [replace(one, time=one.time + wait) for one in (flight[-1], *after)]
        whole = [*before, *flight[:-1], *late]
        path.write_bytes(pcap([(one.time, frame) for one in whole for frame in in_ethernet(one)], 1))
        [connection] = kept(path)
        assert found.drawn(connection) == drawn(connection)
        arrows.append(len(drawn(connection).arrows))
    assert arrows[1] == arrows[0] + 1
