"""Extensions that a hello has twice (RFC 8446 section 4.2), and lists of names that RFC 6066 section 3 forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from tlswriting import extension, message, sized

from tlsdissect import read

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = 9
"""Bytes of the headers of a record and of a handshake message."""


def names(*entries: tuple[int, bytes]) -> bytes:
    """A server_name extension."""
    return extension(0, sized(b"".join(bytes([kind]) + sized(name) for kind, name in entries)))


def extended(record: bytes, more: bytes, *, instead: bool = False) -> bytes:
    """A hello with more extensions at its end, or with these alone; the records behind it stay."""
    size = int.from_bytes(record[3:5], "big")
    body, behind = record[HEADERS : 5 + size], record[5 + size :]
    at = 35 + body[34]
    if record[5] == 1:
        at += 2 + int.from_bytes(body[at : at + 2], "big")
        at += 1 + body[at]
    else:
        at += 3
    sent = b"" if instead else body[at + 2 :]
    return record[:3] + sized(message(record[5], body[:at] + sized(sent + more))) + behind


def problems(path: Path, words: Said) -> list[tuple[str, str, str | None]]:
    (connection,) = read(write(path, Talk(words, start=0, closed=1, port=40_000)))
    return [(p.code, p.detail, p.sender) for p in connection.problems if p.code != "inferred"]


ONE = names((0, b"one.example"))


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (ONE, None),
        (ONE + names((0, b"two.example")), "repeated"),
        (ONE + ONE, "repeated"),
        (names((0, b"one.example"), (0, b"two.example")), "several names of one type"),
        (names((0, b"one.example"), (7, b"two")), None),
        (names((0, b"")), "an empty name"),
        (names(), "no name"),
    ],
)
def test_names_that_are_asked_for(tmp_path: Path, sample: str, sent: bytes, error: str | None) -> None:
    (_, hello), *rest = said(sample)
    words = [(CLIENT, extended(hello, sent, instead=True)), *rest]
    expected = [("malformed_message", f"extension server_name: {error}", "client")] if error else []
    # The second time, the hello matches a template.
    for path in (tmp_path / "first.pcap", tmp_path / "second.pcap"):
        assert problems(path, words) == expected


@pytest.mark.parametrize(("number", "name"), [(23, "extended_master_secret"), (0x3A3A, "GREASE"), (0xFE77, "0xfe77")])
def test_any_extension_that_is_repeated_is_a_problem(tmp_path: Path, number: int, name: str) -> None:
    (_, hello), *rest = said("tls12-full")
    more = extension(number, b"")
    more *= 1 if number == 23 else 2
    words = [(CLIENT, extended(hello, more)), *rest]
    assert problems(tmp_path / "a.pcap", words) == [("malformed_message", f"extension {name}: repeated", "client")]


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full", "tls13-hello-retry"])
def test_the_server_may_not_repeat_one_either(tmp_path: Path, sample: str) -> None:
    """In a ServerHello, or a HelloRetryRequest."""
    hello, (_, flight), *rest = said(sample)
    more = extension(0xFE77, b"")
    words = [hello, (SERVER, extended(flight, more * 2)), *rest]
    assert problems(tmp_path / "a.pcap", words) == [("malformed_message", "extension 0xfe77: repeated", "server")]
