"""Bytes that are no record where one should begin: what was said there is not known, and nothing is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import CLIENT, Talk, said, write

from tlsdissect import read

if TYPE_CHECKING:
    from pathlib import Path

CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"


@pytest.mark.parametrize("side", [CLIENT, 1 - CLIENT])
def test_an_alert_that_cannot_be_read_behind_them_refuses_nothing(tmp_path: Path, side: int) -> None:
    """It may as well end a connection whose handshake succeeded, as this one did before its bytes were changed."""
    words = [
        (who, data.replace(CHANGE_CIPHER_SPEC, b"\xff" * 6) if who == side else data)
        for who, data in said("tls12-full")
    ]
    (connection,) = read(write(tmp_path / "stray.pcap", Talk(words, start=0, closed=1, port=40_000)))
    assert (connection.outcome, connection.failed_by, connection.complete) == ("closed", "client", False)
    assert [alert.level for alert in connection.alerts] == [None, None]
    assert "malformed_record" in {problem.code for problem in connection.problems}
