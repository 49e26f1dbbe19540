"""A handshake that is read again, in another order, takes no more of the shared memory than one that is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conversing import ACK, CLIENT, SERVER
from mangle import ETHERNET, in_ethernet, pcap
from random_captures import START, segment, words

from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path


def test_bytes_that_wait_for_their_place_are_not_counted_twice(tmp_path: Path) -> None:
    hello = words("tls12-full")[0][1]
    sent = [
        segment(40_000, SERVER, ACK, (900, 100 + len(hello)), b"\xee" * 32),
        segment(40_000, CLIENT, 0, (100, 0), hello),
    ]
    path = tmp_path / "unplaced.pcap"
    path.write_bytes(pcap([(START, frame) for one in sent for frame in in_ethernet(one)], ETHERNET))
    reading = Reading([path])
    (connection,) = reading
    assert "out_of_order" in {problem.code for problem in connection.problems}
    assert reading._budget.used == 0
