"""Explanations grouped by story: the first of each group in full, failures first, in bounded memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace
from recorded import ROOT, kept

from tlsdissect.views import explain
from tlsdissect.views.explain import stories as module

if TYPE_CHECKING:
    import pytest

    from tlsdissect.model.connection import Connection

FAILURES, PATHS = ROOT / "samples/network/network-failures.pcap", ROOT / "samples/paths-client.pcap.gz"


def told(connections: list[Connection]) -> list[str]:
    """The blocks of text."""
    view = explain.grouped()
    assert b"".join(view.row(one) for one in connections) == b""
    return b"".join(view.end()).decode().split("\n\n")


def test_each_story_once_failures_first_then_the_most_frequent() -> None:
    connections = kept(FAILURES)
    blocks = told(connections)
    verdicts = [block.splitlines()[1] for block in blocks]
    assert [line[0] for line in verdicts] == sorted((line[0] for line in verdicts), key="✗?✓".index)
    assert "1 more like this one: stream 3" in blocks[0].splitlines()[2:4]
    others = [
        int(found[1]) for block in blocks if (found := re.search(r"^(\d+) more like this one", block, re.MULTILINE))
    ]
    assert len(blocks) + sum(others) == len(connections)


def test_of_many_the_first_streams_are_named() -> None:
    blocks = told(kept(PATHS))
    assert "38 more like this one: streams 4, 8, 12, 16, 19, 23, 27, 31 and 30 more" in blocks[0]


def test_times_names_addresses_and_frames_make_no_other_story_and_the_alert_does() -> None:
    [one] = kept(ROOT / "samples/tls12-unknown-ca.pcap")
    hello = replace(one.client_hello, frame=5, bytes=512)
    alike = replace(
        one, stream=7, sni="other.example", client=replace(one.client, ip="192.0.2.7"), client_hello=hello,
        timing=replace(one.timing, tcp_ms=0.5),
    )  # fmt: skip
    named = replace(one, sni="one.example")
    assert ["1 more like this one: stream 7" in block for block in told([named, alike])] == [True]
    alert = replace(one.alerts[-1], description="bad_certificate")
    assert len(told([one, replace(one, alerts=(alert,))])) == 2
    elsewhere = replace(one, source="b\x1b.pcap", stream=3)
    assert r"1 more like this one: stream b\x1b.pcap:3" in told([one, elsewhere])[0]


def test_clients_with_other_offers_fail_by_the_same_story() -> None:
    [one] = kept(ROOT / "samples/tls12-unknown-ca.pcap")
    assert one.client_hello is not None
    fewer = replace(one, stream=7, client_hello=replace(one.client_hello, groups=("secp256k1",)))
    assert ["1 more like this one: stream 7" in block for block in told([one, fewer])] == [True]
    [good] = kept(ROOT / "samples/tls12-full.pcap")
    assert good.client_hello is not None
    assert len(told([good, replace(good, client_hello=replace(good.client_hello, groups=("secp256k1",)))])) == 2


def test_stories_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = kept(FAILURES)
    everything = told(connections)
    monkeypatch.setattr(module, "STORY_BYTES", 20_000)
    blocks = told(connections)
    assert len(blocks) < len(everything)
    assert "2 more connections (failed) with other stories: --all shows each." in blocks
    assert blocks[0] == everything[0]
