"""A hello whose record has no end is told as far as it goes, and says what it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversing import CLIENT, SERVER, Said, Talk, said, write
from recorded import facts

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ("tls12-full", "tls12-resumed-ticket", "tls13-full", "tls13-resumed", "tls13-hello-retry")
FACTS = (
    "version", "cipher_suite", "group", "sni", "alpn", "resumption", "early_data", "hello_retry", "ech", "ja3", "ja3s",
    "ja4", "extended_master_secret", "secure_renegotiation", "certificates", "client_certificate_requested",
)  # fmt: skip
BEGINNING = 11
"""Bytes of a record from which a hello in it is told: header, type, length and version."""


def told(path: Path, talk: Said) -> list[dict[str, Any]]:
    return facts(write(path, Talk(talk, 0, 5, 50_000)))


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_what_is_told_of_a_cut_hello_is_what_the_whole_one_says(tmp_path: Path, sample: str, side: int) -> None:
    talk = said(sample)
    (whole,) = told(tmp_path / "whole.pcap", talk)
    before, (_, hello) = talk[:side], talk[side]
    for cut in range(BEGINNING, 5 + int.from_bytes(hello[3:5], "big")):
        (one,) = told(tmp_path / "cut.pcap", [*before, (side, hello[:cut])])
        assert {key: one[key] for key in FACTS if one[key] not in (None, whole[key])} == {}
        assert "gap" in {problem["code"] for problem in one["problems"]}


def test_the_beginning_of_a_hello_is_enough_for_its_first_fields(tmp_path: Path) -> None:
    ((_, hello), *_) = talk = said("tls12-full")
    (whole,) = told(tmp_path / "whole.pcap", talk)
    (one,) = told(tmp_path / "cut.pcap", [(CLIENT, hello[:60])])
    for key in ("random", "session_id", "cipher_suites", "bytes", "version"):
        assert one["client_hello"][key] == whole["client_hello"][key]
    assert one["client"]["port"] == 50_000
    assert (one["ja3"], one["ech"], one["early_data"]) == (None, None, None)
    assert one["client_hello"]["extensions"] is None
    assert {problem["code"] for problem in one["problems"]} == {"gap"}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_hello_of_several_records_lacks_the_last(tmp_path: Path, sample: str, side: int) -> None:
    talk = said(sample)
    before, (_, hello) = talk[:side], talk[side]
    message = hello[5 : 5 + int.from_bytes(hello[3:5], "big")]
    for cut in range(BEGINNING - 5, len(message), 7):
        first = hello[:3] + cut.to_bytes(2, "big") + message[:cut]
        second = hello[:3] + (len(message) - cut).to_bytes(2, "big")
        (one,) = told(tmp_path / "cut.pcap", [*before, (side, hello[: 5 + cut])])
        for end in (b"", second[:3], second + message[cut : len(message) - 1]):
            (other,) = told(tmp_path / "records.pcap", [*before, (side, first), (side, end)])
            assert {key: one[key] for key in (*FACTS, "outcome")} == {key: other[key] for key in (*FACTS, "outcome")}
            assert {problem["code"] for problem in other["problems"]} == {"gap"}


def test_a_hello_without_extensions_has_none(tmp_path: Path) -> None:
    body = b"\x03\x01" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    (one,) = told(tmp_path / "bare.pcap", [(CLIENT, b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)])
    assert one["client_hello"]["extensions"] == []


@pytest.mark.parametrize("cut", range(BEGINNING))
def test_less_is_no_connection(tmp_path: Path, cut: int) -> None:
    ((_, hello), *_) = said("tls12-full")
    assert told(tmp_path / "cut.pcap", [(CLIENT, hello[:cut])]) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x02\x03" + bytes(20),
        b"\x16\x03\x01\x02\x00\x0b\x00\x01\xfc\x03\x03" + bytes(20),
        b"\x17\x03\x03\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20),
    ],
    ids=["another version", "a certificate", "application data"],
)
def test_what_begins_otherwise_is_no_hello(tmp_path: Path, data: bytes) -> None:
    assert told(tmp_path / "cut.pcap", [(CLIENT, data)]) == []
