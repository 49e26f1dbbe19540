"""Conversations without one of their records: each fact is that of the whole conversation, or null."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from mangle import FIN, Segments, Way, segments
from recorded import ROOT, facts

if TYPE_CHECKING:
    from pathlib import Path

HEADER = 5
SAMPLES = {
    "tls12-full": 1,
    "tls12-client-cert": 1,
    "tls12-renegotiation": 1,
    "tls12-resumed-ticket": 2,
    "tls13-client-cert": 1,
    "tls13-client-cert-rejected": 1,
    "tls13-early-data": 2,
    "tls13-early-data-rejected": 2,
    "tls13-full": 1,
    "tls13-hello-retry": 1,
    "tls13-resumed": 2,
}
"""Samples, and their number of conversations."""
COMPARED = (
    "version",
    "cipher_suite",
    "group",
    "dh_bits",
    "signature_scheme",
    "extended_master_secret",
    "secure_renegotiation",
    "sni",
    "alpn",
    "resumption",
    "hello_retry",
    "round_trips",
    "client_certificate_requested",
    "certificates",
    "client_certificates",
    "session_ticket",
)
OPEN = ("incomplete", "one_sided")


@cache
def conversations(sample: str) -> list[Segments]:
    """The conversations of a sample, with one record in each segment."""
    found: dict[frozenset[bytes], Segments] = {}
    for one in segments(ROOT / f"samples/{sample}.pcap"):
        found.setdefault(frozenset((one.ports[:2], one.ports[2:])), []).extend(by_record(one))
    return list(found.values())


def by_record(whole: Any) -> Segments:
    """Cut a segment behind each record; in these samples records begin with segments, and most end with them."""
    parts, at, size = [], 0, len(whole.payload)
    while at < size:
        end = min(size, at + HEADER + int.from_bytes(whole.payload[at + 3 : at + HEADER], "big"))
        flags = whole.flags if end == size else whole.flags & ~FIN
        parts.append(replace(whole, sequence=(whole.sequence + at) % 2**32, payload=whole.payload[at:end], flags=flags))
        at = end
    return parts or [whole]


def read(path: Path, sent: Segments) -> list[dict[str, Any]]:
    path.write_bytes(Way()(sent))
    return facts(path)


def wrong(whole: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the facts that are neither null nor those of the whole conversation."""
    differing = [(key, whole[key], found[key]) for key in COMPARED if found[key] not in (None, whole[key])]
    if found["early_data"] not in (None, whole["early_data"], "offered"):
        differing.append(("early_data", whole["early_data"], found["early_data"]))
    if found["outcome"] not in OPEN and (found["outcome"], found["failed_by"]) != (
        whole["outcome"],
        whole["failed_by"],
    ):
        differing.append(("outcome", whole["outcome"], found["outcome"]))
    for key in ("timing", "handshake_bytes"):
        pairs = ((name, whole[key][name], value) for name, value in found[key].items())
        differing += [(name, old, new) for name, old, new in pairs if new not in (None, old)]
    return differing


@pytest.mark.parametrize(("sample", "number"), [(name, n) for name, many in SAMPLES.items() for n in range(many)])
def test_nothing_else_is_told_whichever_record_is_missing(sample: str, number: int, tmp_path: Path) -> None:
    sent = conversations(sample)[number]
    [whole] = read(tmp_path / "whole.pcap", sent)
    told = {}
    for place, one in enumerate(sent):
        if one.payload:
            [found] = read(tmp_path / "a.pcap", sent[:place] + sent[place + 1 :])
            told[place + 1] = wrong(whole, found)
    assert len(told) > 3
    assert {place: differing for place, differing in told.items() if differing} == {}


def test_a_server_hello_behind_a_missing_request_for_another_client_hello(tmp_path: Path) -> None:
    """A ChangeCipherSpec has come before it (RFC 8446 appendix D.4), but TLS 1.3 is not known yet."""
    [sent] = conversations("tls13-hello-retry")
    request = next(place for place, one in enumerate(sent) if one.payload and one.ports != sent[0].ports)
    [found] = read(tmp_path / "a.pcap", sent[:request] + sent[request + 1 :])
    assert (found["version"], found["outcome"], found["group"]) == ("TLS 1.3", "established", "secp384r1")
    assert found["hello_retry"] is None


def test_a_second_client_hello_is_not_the_first_one(tmp_path: Path) -> None:
    """It has no early data (RFC 8446 section 4.2.10), and other extensions than the first one may have had."""
    [sent] = conversations("tls13-hello-retry")
    [whole] = read(tmp_path / "whole.pcap", sent)
    first = next(place for place, one in enumerate(sent) if one.payload)
    [found] = read(tmp_path / "a.pcap", sent[:first] + sent[first + 1 :])
    assert (whole["early_data"], found["early_data"]) == ("none", None)
    assert [found[name] for name in ("ja3", "ja4")] == [None, None]
    assert found["client_hello"]["random"] == whole["client_hello"]["random"]


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
def test_data_behind_missing_bytes_are_not_the_first(sample: str, tmp_path: Path) -> None:
    """The client sends its request in two records, and the first of them is missing."""
    [sent] = conversations(sample)
    [whole] = read(tmp_path / "whole.pcap", sent)
    mine = [place for place, one in enumerate(sent) if one.payload and one.ports == sent[0].ports]
    # The last record is its close_notify.
    data = mine[-2]
    assert whole["timing"]["client_data_ms"] is not None
    again = replace(sent[data], sequence=sent[data].sequence + len(sent[data].payload), time=sent[data].time + 1)
    rest = [
        replace(one, sequence=one.sequence + len(again.payload)) if one.ports == again.ports else one
        for one in sent[data + 1 :]
    ]
    [found] = read(tmp_path / "a.pcap", [*sent[:data], again, *rest])
    assert found["timing"]["client_data_ms"] is None


def test_data_of_the_length_of_a_finished_end_no_handshake(tmp_path: Path) -> None:
    """The Finished is missing, and the request behind it has its length."""
    [sent] = conversations("tls13-full")
    mine = [place for place, one in enumerate(sent) if one.payload and one.ports == sent[0].ports]
    finished, data = sent[mine[2]], sent[mine[3]]
    request = replace(data, payload=finished.payload)
    moved = len(data.payload) - len(finished.payload)
    rest = [
        replace(one, sequence=one.sequence - moved) if one.ports == data.ports else one for one in sent[mine[3] + 1 :]
    ]
    kept = [one for place, one in enumerate(sent[: mine[3]]) if place != mine[2]]
    [found] = read(tmp_path / "a.pcap", [*kept, request, *rest])
    assert [found["timing"][name] for name in ("handshake_ms", "client_data_ms", "server_record_ms")] == [None] * 3
