"""Connections that two captures show, recorded at both ends of a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made import made
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.model.connection import Endpoint
from tlsdissect.views.both_ends import recognition
from tlsdissect.views.both_ends.recognition import Recognizer, View
from tlsdissect.views.comparison.builder import compared
from tlsdissect.views.comparison.formats import caveats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.model.connection import Connection

ENDS = [ROOT / f"samples/paths-{end}.pcap.gz" for end in ("client", "server")]


def pairs(connections: Iterable[Connection]) -> list[tuple[View, View]]:
    recognizer = Recognizer()
    for connection in connections:
        recognizer.add(connection)
    return list(recognizer.pairs())


def seen(source: str, stream: int = 0, client: str = "c", server: str | None = "s") -> Connection:
    """A connection in a capture, with these randoms."""
    one = made(
        source=source, stream=stream, client=Endpoint(f"192.0.2.{stream}", 5000 + stream), first_frame=1 + stream
    )
    hello = replace(one.client_hello, random=client * 64)  # type: ignore[type-var]
    answer = None if server is None else replace(one.server_hello, random=server * 64)  # type: ignore[type-var]
    return replace(one, client_hello=hello, server_hello=answer)


def test_each_connection_of_both_ends_is_one() -> None:
    connections = list(tlsdissect.read(*ENDS))
    ports = {View.of(one): (one.client.port, one.server) for one in connections}
    found = pairs(connections)
    assert len(found) == 200
    assert {(one.source, other.source) for one, other in found} == {tuple(map(str, ENDS))}
    assert [pair for pair in found if ports[pair[0]] != ports[pair[1]]] == []


@pytest.mark.parametrize(
    ("connections", "expected"),
    [
        ([seen("a", 1), seen("b", 7)], [("a", 1, "b", 7)]),
        ([seen("a", 1), seen("b", 7, client="d")], []),
        # A hello that was sent again, and answered anew: each is found by the answer.
        ([seen("a", 1), seen("a", 2, server="t"), seen("b", 7, server="t")], [("a", 2, "b", 7)]),
        # The answer was lost at one end.
        ([seen("a", 1, server=None), seen("b", 7)], [("a", 1, "b", 7)]),
        # The same packets twice in one capture, or a replayed hello without an answer, prove nothing.
        ([seen("a", 1), seen("a", 2), seen("b", 7)], []),
        ([seen("a", 1), seen("b", 7), seen("b", 8)], []),
        ([seen("a", 1, server=None), seen("a", 2, server=None), seen("b", 7, server=None)], []),
        ([seen("a", 1), seen("a", 2)], []),
        # Without an answer it may be either.
        ([seen("a", 1), seen("a", 2, server="t"), seen("b", 7, server=None)], []),
        # Captures at three places: the first two.
        ([seen("a", 1), seen("b", 7), seen("c", 9)], [("a", 1, "b", 7)]),
    ],
)
def test_what_is_recognized(connections: list[Connection], expected: list[tuple[object, ...]]) -> None:
    found = [(one.source, one.stream, other.source, other.stream) for one, other in pairs(connections)]
    assert found == expected


def test_a_comparison_counts_a_connection_once() -> None:
    once, twice = tlsdissect.compare(ENDS[0]), tlsdissect.compare(*ENDS)
    assert twice.groups[0].sides == once.groups[0].sides
    assert twice.groups[0].other_views == 200
    assert "200 connections were seen in several captures" in str(twice)
    # What is compared by capture is each with the other.
    _, client, server = tlsdissect.compare(*ENDS, by="capture").groups
    assert sum(side.connections for side in client.sides) == sum(side.connections for side in server.sides) == 200


def test_views_that_prove_nothing_count_each() -> None:
    (whole,) = compared([seen("a", 1), seen("a", 2), seen("b", 7)])
    assert (sum(side.connections for side in whole.sides), whole.other_views) == (3, 0)


def test_a_limit_is_told_where_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "MAX_CONNECTIONS", 1)
    (whole,) = compared([seen("a", 1), seen("a", 2, client="d"), seen("b", 3, client="d")])
    assert whole.unrecognized == 2
    assert any("2 connections may count once per capture" in one for one in caveats(whole))
    (single,) = compared([seen("a", 1), seen("a", 2, client="d")])
    assert single.unrecognized == 0
