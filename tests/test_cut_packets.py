"""Packets that a snap length cut: what is missing is reported as truncated, and nothing as malformed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversing import CLIENT, SERVER, Talk, said, write
from recorded import facts, snapped, without
from tlswriting import record

from tlsdissect.tls.record import HANDSHAKE

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ("tls12-full", "tls12-resumed-ticket", "tls13-full", "tls13-resumed", "tls13-hello-retry")
FACTS = (
    "version", "cipher_suite", "group", "signature_scheme", "sni", "alpn", "resumption", "early_data", "hello_retry",
    "ech", "ja3", "ja3s", "ja4", "extended_master_secret", "secure_renegotiation", "certificates",
    "client_certificate_requested", "session_ticket",
)  # fmt: skip
HEADERS = 40
"""Bytes of the headers of IPv4 and TCP in these packets."""


def in_segments(sample: str, size: int) -> Talk:
    parts = [(side, data[at : at + size]) for side, data in said(sample) for at in range(0, len(data), size)]
    return Talk(parts, 0, 5, 50_000)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("segment", [536, 1460])
def test_cut_packets_are_truncated_and_never_malformed(tmp_path: Path, sample: str, segment: int) -> None:
    path = write(tmp_path / "whole.pcap", in_segments(sample, segment))
    (whole,) = facts(path)
    for kept in range(12, segment, 29):
        (one,) = facts(snapped(path, HEADERS + kept, tmp_path / "cut.pcap"))
        codes = {problem["code"] for problem in one["problems"]}
        assert {"truncated_packet"} <= codes <= {"gap", "truncated_packet", "inferred"}, kept
        assert {key: one[key] for key in FACTS if one[key] not in (None, whole[key])} == {}, kept


def test_a_hello_cut_before_its_last_segment_has_no_time(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.pcap", in_segments("tls13-full", 150))
    (one,) = facts(snapped(path, HEADERS + 140, tmp_path / "cut.pcap"))
    assert one["client_hello"] is not None
    assert one["timing"]["ack_client_hello_ms"] is None
    assert one["timing"]["server_hello_ms"] is None


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_finished_of_which_only_the_header_is_there_was_sent(tmp_path: Path, side: int) -> None:
    talk = said("tls12-full")
    path = write(tmp_path / "whole.pcap", Talk(talk, 0, 5, 50_000))
    (whole,) = facts(path)
    assert whole["outcome"] == "established"
    number = 2 if side == CLIENT else 3
    assert talk[number][0] == side
    (one,) = facts(snapped(path, HEADERS + len(talk[number][1]) - 10, tmp_path / "cut.pcap", only=4 + number))
    assert {problem["code"] for problem in one["problems"]} == {"truncated_packet"}
    keys = ("outcome", "complete", "resumption", "round_trips", "certificates", "messages", "timing")
    assert {key: one[key] for key in keys} == {key: whole[key] for key in keys}


@pytest.mark.parametrize("lost", [1, 2])
def test_a_message_of_several_records_goes_on_behind_missing_bytes(tmp_path: Path, lost: int) -> None:
    """The rest of a Certificate whose beginning is missing is no other message."""
    hello, (_, flight) = said("tls12-full")[:2]
    at = 5 + int.from_bytes(flight[3:5], "big")
    end = at + 5 + int.from_bytes(flight[at + 3 : at + 5], "big")
    certificate = flight[at + 5 : end]
    third = len(certificate) // 3
    parts = [certificate[:third], b"\xff" * third + certificate[2 * third :]]
    segments = [flight[:at], *(record(HANDSHAKE, part) for part in parts), flight[end:]]
    talk = Talk([hello, *((SERVER, data) for data in segments)], 0, 5, 50_000)
    path = write(tmp_path / "whole.pcap", talk)
    (one,) = facts(without(path, {5 + lost}, tmp_path / "lost.pcap"))
    assert {problem["code"] for problem in one["problems"]} == {"gap"}
    types: list[Any] = [message["type"] for message in one["messages"] if message["from"] == "server"]
    assert types == ["server_hello", "server_key_exchange", "server_hello_done"]
    assert one["certificates"] is None
