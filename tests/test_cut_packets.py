"""Packets that a snap length cut: what is missing is reported as truncated, and nothing as malformed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from conversing import SERVER, Talk, said, write
from recorded import facts, without

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ("tls12-full", "tls12-resumed-ticket", "tls13-full", "tls13-resumed", "tls13-hello-retry")
FACTS = (
    "version", "cipher_suite", "group", "signature_scheme", "sni", "alpn", "resumption", "early_data", "hello_retry",
    "ech", "ja3", "ja3s", "ja4", "extended_master_secret", "secure_renegotiation", "certificates",
    "client_certificate_requested", "session_ticket",
)  # fmt: skip
HEADERS = 40
_FILE_HEADER, _PACKET_HEADER = 24, 16


def cut(path: Path, snap_length: int) -> Path:
    """The same capture, recorded with a snap length."""
    data, at = path.read_bytes(), _FILE_HEADER
    out = [data[:at]]
    while at < len(data):
        second, fraction, captured, size = struct.unpack_from("<IIII", data, at)
        at += _PACKET_HEADER
        kept = data[at : at + min(captured, snap_length)]
        out.append(struct.pack("<IIII", second, fraction, len(kept), size) + kept)
        at += captured
    path.write_bytes(b"".join(out))
    return path


def in_segments(sample: str, size: int) -> Talk:
    parts = [(side, data[at : at + size]) for side, data in said(sample) for at in range(0, len(data), size)]
    return Talk(parts, 0, 5, 50_000)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("segment", [536, 1460])
def test_cut_packets_are_truncated_and_never_malformed(tmp_path: Path, sample: str, segment: int) -> None:
    talk = in_segments(sample, segment)
    (whole,) = facts(write(tmp_path / "whole.pcap", talk))
    for kept in range(12, segment, 29):
        for one in facts(cut(write(tmp_path / "cut.pcap", talk), HEADERS + kept)):
            assert {problem["code"] for problem in one["problems"]} <= {"gap", "truncated_packet", "inferred"}, kept
            assert {key: one[key] for key in FACTS if one[key] not in (None, whole[key])} == {}, kept


def test_a_hello_cut_before_its_last_segment_has_no_time(tmp_path: Path) -> None:
    talk = in_segments("tls13-full", 150)
    (one,) = facts(cut(write(tmp_path / "cut.pcap", talk), HEADERS + 140))
    assert one["client_hello"] is not None
    assert one["timing"]["ack_client_hello_ms"] is None
    assert one["timing"]["server_hello_ms"] is None


@pytest.mark.parametrize("lost", [1, 2])
def test_a_message_of_several_records_goes_on_behind_missing_bytes(tmp_path: Path, lost: int) -> None:
    """The rest of a Certificate whose beginning is missing is no other message."""
    hello, (_, flight) = said("tls12-full")[:2]
    at = 5 + int.from_bytes(flight[3:5], "big")
    end = at + 5 + int.from_bytes(flight[at + 3 : at + 5], "big")
    certificate = flight[at + 5 : end]
    third = len(certificate) // 3
    parts = [certificate[:third], b"\xff" * third + certificate[2 * third :]]
    records = [b"\x16\x03\x03" + len(part).to_bytes(2, "big") + part for part in parts]
    segments = [flight[:at], *records, flight[end:]]
    talk = Talk([hello, *((SERVER, data) for data in segments)], 0, 5, 50_000)
    path = write(tmp_path / "whole.pcap", talk)
    (one,) = facts(without(path, {5 + lost}, tmp_path / "lost.pcap"))
    assert {problem["code"] for problem in one["problems"]} == {"gap"}
    types: list[Any] = [message["type"] for message in one["messages"] if message["from"] == "server"]
    assert types == ["server_hello", "server_key_exchange", "server_hello_done"]
    assert one["certificates"] is None
