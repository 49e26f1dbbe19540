"""Tricks of a client, and what a Linux server read (samples/record-evasion): nothing else counts silently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded import ROOT, facts

TRUTH = json.loads((ROOT / "samples/evasion.json").read_text())
FOUND = facts(ROOT / "samples/evasion.pcap.gz")
UNKNOWABLE = {"MD5 option", "longer than its packet", "source route", "malformed IP option"}
"""What Linux drops and other receivers may take: the first copy counts, and both are reported."""
INLINE = {"urgent data", "an inserted urgent byte"}
"""What Linux reads otherwise than it is in the stream."""


def of(port: str) -> list[dict[str, Any]]:
    return [one for one in FOUND if one["client"]["port"] == int(port)]


def codes(connection: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in connection["problems"]}


@pytest.mark.parametrize("port", TRUTH, ids=lambda port: TRUTH[port]["trick"])
def test_the_name_is_that_which_the_server_read(port: str) -> None:
    trick, read = TRUTH[port]["trick"], TRUTH[port]["read"]
    connections = of(port)
    if trick in INLINE:
        assert "urgent_data" in codes(connections[0])
    elif trick in UNKNOWABLE:
        assert "conflicting_data" in codes(connections[0])
        used = [[one["used"] for one in problem["copies"] or ()] for problem in connections[0]["problems"]]
        assert [True, False] in used
    elif read is None:
        assert not any(one["outcome"] == "established" for one in connections)
    else:
        assert connections[0]["sni"] == read


def test_established_handshakes_are_those_of_the_name_that_was_read() -> None:
    for port, truth in TRUTH.items():
        if truth["read"] == "localhost" and truth["trick"] not in INLINE:
            assert of(port)[0]["outcome"] == "established", truth["trick"]


def test_signals_that_the_server_dropped_are_reported() -> None:
    for port, truth in TRUTH.items():
        if truth["trick"].startswith(("FIN ", "RST ", "SYN ")) and truth["read"] == "localhost":
            assert "dropped_segment" in codes(of(port)[0]), truth["trick"]
