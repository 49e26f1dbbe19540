"""What is known at the end of a conversation of which application data was stepped over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from conversing import SERVER, Talk, said, write

from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from pathlib import Path

ALERT = 19
"""Length of a protected alert of TLS 1.3 (RFC 8446 sections 5.2 and 6): two bytes, its type, and a tag of sixteen."""


def data(length: int) -> tuple[int, bytes]:
    return SERVER, b"\x17\x03\x03" + length.to_bytes(2, "big") + bytes(length)


@dataclass(frozen=True)
class HalfClosed(Talk):
    """A conversation whose client closes before the server's last two packets; the server does not."""

    def packets(self) -> list[tuple[float, bytes]]:
        """The client's FIN comes before it was due, and is the only one."""
        *found, (_, fin), _, _ = super().packets()
        return [*found[:-2], (found[-3][0], fin), *found[-2:]]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("last", "closed"), [((ALERT, 500), None), ((500, ALERT), "inferred_alert")])
def test_a_record_that_data_follows_is_no_closing_alert(
    tmp_path: Path, keep: bool, last: tuple[int, int], closed: str | None
) -> None:
    spoken = [*said("tls13-full")[:-2], data(500), *map(data, last)]
    path = write(tmp_path / "half.pcap", HalfClosed(spoken, start=0, closed=1, port=40_000))
    (at_once,), (one_by_one,) = (Reading([path], Options(batch=batch, keep=keep)) for batch in (65_536, 1))
    assert at_once == one_by_one
    assert at_once.closure.server == closed
