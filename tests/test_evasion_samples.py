"""Tricks of one end, and what Linux read at the other (samples/record-evasion): nothing else counts silently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded import ROOT, facts

TRUTH = json.loads((ROOT / "samples/evasion.json").read_text())
FOUND = facts(ROOT / "samples/evasion.pcap.gz")
UNKNOWABLE = {
    "MD5 option",
    "longer than its packet",
    "source route",
    "malformed IP option",
    "destination options to be discarded",
    "hop-by-hop options to be discarded",
    "routing header of unknown type",
}
"""What Linux drops and other receivers may take: the first copy counts, and both are reported."""
INLINE = {"urgent data", "an inserted urgent byte"}
"""What Linux reads otherwise than it is in the stream."""


def of(port: str) -> list[dict[str, Any]]:
    return [one for one in FOUND if one["client"]["port"] == int(port)]


def codes(connection: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in connection["problems"]}


def named(port: str) -> str | None:
    """The name in the flight of the end that plays the trick: the one that the other end reads."""
    connection = of(port)[0]
    if TRUTH[port]["receiver"] != "client":
        sni: str | None = connection["sni"]
        return sni
    certificates = connection["certificates"]
    return certificates[0]["subject"].removeprefix("CN=") if certificates else None


@pytest.mark.parametrize("port", TRUTH, ids=lambda port: f"{TRUTH[port]['trick']}, {TRUTH[port]['receiver']}")
def test_the_name_is_that_which_the_receiver_read(port: str) -> None:
    trick, read = TRUTH[port]["trick"], TRUTH[port]["read"]
    connections = of(port)
    if trick in INLINE:
        assert "urgent_data" in codes(connections[0])
    elif trick in UNKNOWABLE:
        assert "conflicting_data" in codes(connections[0])
        used = [[one["used"] for one in problem["copies"] or ()] for problem in connections[0]["problems"]]
        assert [True, False] in used
    elif trick.startswith("random") and read != (named(port) if connections else None):
        assert codes(connections[0]) & {"conflicting_data", "dropped_segment", "gap"}
    elif read is None:
        assert not any(one["outcome"] == "established" for one in connections)
    else:
        assert named(port) == read


def test_established_handshakes_are_those_of_the_name_that_was_read() -> None:
    for port, truth in TRUTH.items():
        if truth["read"] == "localhost" and truth["trick"] not in INLINE | UNKNOWABLE:
            assert of(port)[0]["outcome"] in {"established", *({"closed"} if "random" in truth["trick"] else ())}, truth


def test_signals_that_the_receiver_dropped_are_reported() -> None:
    for port, truth in TRUTH.items():
        if truth["trick"].startswith(("FIN ", "RST ", "SYN ")) and truth["read"] == "localhost":
            assert "dropped_segment" in codes(of(port)[0]), truth
