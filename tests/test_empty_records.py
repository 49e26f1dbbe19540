"""Empty records, which RFC 5246 section 6.2.1 forbids unless they are application data, and receivers ignore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, Said, Talk, said, write
from tlswriting import record

import tlsdissect
from tlsdissect.handshake.plaintext import OTHER, RECORDS, UNDECIDED, classify

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

HEADER, CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE = 5, 20, 21, 22
SAME = (
    "upgrade", "sni", "version", "cipher_suite", "outcome", "complete", "failed_by", "closure", "round_trips", "timing",
    "resumption", "certificates", "client_certificates", "messages", "alerts", "ja3", "ja3s", "ja4", "session_ticket",
)  # fmt: skip


def told(path: Path, words: Said) -> Connection:
    (connection,) = tlsdissect.read(write(path, Talk(words, start=0, closed=1, port=40_000)))
    return connection


def with_empty(data: bytes, empty: bytes, times: int = 1) -> bytes:
    """The records with empty ones in front of each that is not application data."""
    found, at = b"", 0
    while at < len(data):
        end = at + HEADER + int.from_bytes(data[at + 3 : at + HEADER], "big")
        found += (empty * times if data[at] in (ALERT, HANDSHAKE) else b"") + data[at:end]
        at = end
    return found


@pytest.mark.parametrize("kind", [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE])
@pytest.mark.parametrize("sample", ["tls12-full", "tls12-client-cert-missing", "tls13-full", "tls13-hello-retry"])
def test_empty_records_are_ignored(sample: str, kind: int, tmp_path: Path) -> None:
    words = said(sample)
    # An empty ChangeCipherSpec or alert is of no effect either.
    other = told(tmp_path / "a.pcap", [(side, with_empty(data, record(kind, b""))) for side, data in words])
    plain = told(tmp_path / "a.pcap", words)
    assert [getattr(other, key) for key in SAME] == [getattr(plain, key) for key in SAME]
    assert {"an empty record"} == {one.detail for one in other.problems} - {one.detail for one in plain.problems}


def test_a_message_continues_behind_an_empty_record(tmp_path: Path) -> None:
    (side, hello), *rest = said("tls12-full")
    parts = record(HANDSHAKE, hello[HEADER:50]) + record(HANDSHAKE, b"") + record(HANDSHAKE, hello[50:])
    assert told(tmp_path / "a.pcap", [(side, parts), *rest]).sni == told(tmp_path / "a.pcap", said("tls12-full")).sni
    assert side == CLIENT


def test_first_bytes_that_are_empty_records() -> None:
    hello, empty = record(HANDSHAKE, b"\x01\x00\x00\x02ab"), record(HANDSHAKE, b"")
    assert classify(empty * 32 + hello) == RECORDS
    assert classify(empty * 33 + hello) == OTHER
    assert classify(empty) == classify(empty + hello[:3]) == UNDECIDED
    assert classify(empty + b"GET / HTTP/1.1") == OTHER
