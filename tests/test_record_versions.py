"""The version in a record header is ignored (RFC 8446 section 5.1, RFC 5246 appendix E.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, Said, Talk, said, write

from tlsdissect import read

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

HEADER = 5
ODD = (0x05, 0x7F, 0xFF)
"""Minor versions that no TLS has."""


def renumbered(data: bytes, minor: int) -> bytes:
    """The same records with another minor version in each header."""
    found, at = bytearray(data), 0
    while at < len(found):
        found[at + 2] = minor
        at += HEADER + int.from_bytes(found[at + 3 : at + HEADER], "big")
    return bytes(found)


def told(path: Path, words: Said) -> Connection:
    (connection,) = read(write(path, Talk(words, start=0, closed=1, port=40_000)))
    return connection


@pytest.mark.parametrize("minor", ODD)
@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
def test_the_version_of_a_hellos_record_is_ignored(tmp_path: Path, sample: str, minor: int) -> None:
    words = said(sample)
    (_, hello), *rest = words
    assert told(tmp_path / "a.pcap", [(CLIENT, renumbered(hello, minor)), *rest]) == told(tmp_path / "a.pcap", words)


@pytest.mark.parametrize("minor", ODD)
@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
def test_the_version_of_all_records_is_ignored(tmp_path: Path, sample: str, minor: int) -> None:
    words = said(sample)
    other = [(side, renumbered(data, minor)) for side, data in words]
    assert told(tmp_path / "a.pcap", other) == told(tmp_path / "a.pcap", words)


@pytest.mark.parametrize("minor", ODD)
def test_tls_with_any_version_is_found_behind_something_else(tmp_path: Path, minor: int) -> None:
    """STARTTLS, and a hello whose own version is as odd as its record's."""
    words = [
        (side, renumbered(data, minor) if data[0] in range(20, 25) else data) for side, data in said("smtp-starttls")
    ]
    connection = told(tmp_path / "a.pcap", words)
    assert (connection.upgrade, connection.outcome) == ("smtp", "established")
    assert connection.sni == told(tmp_path / "a.pcap", said("smtp-starttls")).sni
    (_, hello), *rest = said("tls12-full")
    odd = bytearray(renumbered(hello, minor))
    odd[HEADER + 5] = minor
    connection = told(tmp_path / "b.pcap", [(CLIENT, b"\xee" * 32), (CLIENT, bytes(odd)), *rest])
    assert (connection.upgrade, connection.version) == ("unknown", "TLS 1.2")
