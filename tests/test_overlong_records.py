"""A record longer than any may be (RFC 8446 section 5.2) is malformed, wherever in a segment it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import SERVER, Talk, said, write
from recorded import facts

if TYPE_CHECKING:
    from pathlib import Path

HEADER = 5
OVERLONG = b"\x16\x03\x03\x50\x00" + bytes(1000)


@pytest.mark.parametrize("together", [True, False], ids=["behind the first record", "in a segment of its own"])
def test_an_overlong_record_is_a_problem(together: bool, tmp_path: Path) -> None:
    hello, (_, flight), *_ = said("tls12-full")
    first = flight[: HEADER + int.from_bytes(flight[3:HEADER], "big")]
    answer = [(SERVER, first + OVERLONG)] if together else [(SERVER, first), (SERVER, OVERLONG)]
    [connection] = facts(write(tmp_path / "a.pcap", Talk([hello, *answer], start=0, closed=1, port=40_000)))
    found = [one for one in connection["problems"] if one["code"] == "malformed_record"]
    assert [(one["offset"], one["from"]) for one in found] == [(len(first), "server")]
