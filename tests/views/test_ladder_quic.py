"""Ladders of QUIC connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from quicwriting import Sent, close, crypto, initial, pcap
from recorded import ROOT
from test_quic import CLIENT, HELLO, ORIGINAL, RETRIED, SERVER, course, retry

import tlsdissect
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.ladder.plot import figure

if TYPE_CHECKING:
    from pathlib import Path


def told(path: Path, number: int = 0) -> list[tuple[str, str, int]]:
    """Each arrow: its sender's first letter, what it holds, its last frame."""
    connection = list(tlsdissect.read(path, keep=True))[number]
    return [(arrow.sender[0], ", ".join(arrow.labels), arrow.frames[-1]) for arrow in drawn(connection).arrows]


@pytest.mark.parametrize(
    ("sample", "begin"),
    [
        ("quic-full", [("c", "client_hello 474", 1), ("s", "server_hello 119, encrypted 998", 2)]),
        ("quic-retry", [("c", "hello before the Retry", 1), ("s", "Retry", 2), ("c", "client_hello 474", 3)]),
        (
            "quic-version-negotiation",
            [("c", "hello of a refused version", 1), ("s", "Version Negotiation", 2), ("c", "client_hello 474", 3)],
        ),
        ("quic-large-hello", [("c", "part of a hello", 1), ("c", "client_hello 1678", 2)]),
        ("quic-no-common-protocol", [("c", "client_hello 466", 1), ("s", "alert no_application_protocol", 2)]),
    ],
)
def test_beginnings(sample: str, begin: list[tuple[str, str, int]]) -> None:
    assert told(ROOT / "samples" / "quic" / f"{sample}.pcap")[: len(begin)] == begin


def test_early_data_and_the_first_packets_of_1_rtt() -> None:
    arrows = told(ROOT / "samples" / "quic" / "quic-early-data.pcap", 1)
    assert [one for one in arrows if "RTT" in one[1]] == [
        ("c", "0-RTT packets", 15),
        ("c", "1-RTT packets", 17),
        ("s", "1-RTT packets", 18),
    ]


def test_a_loss_does_not_move_what_came_before_it(tmp_path: Path) -> None:
    path = tmp_path / "lost.pcap"
    sent = course()
    path.write_bytes(pcap([*sent[:3], *course(number=2)[:2], *sent[3:]]))
    assert told(path)[:5] == [
        ("c", "client_hello 237", 2),
        ("s", "server_hello 86, encrypted 900", 3),
        ("c", "1200 bytes sent again", 4),
        ("c", "1200 bytes sent again", 5),
        ("s", "encrypted 700", 6),
    ]


def test_a_close_that_is_no_alert(tmp_path: Path) -> None:
    path = tmp_path / "closed.pcap"
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))
    answer = Sent(initial(close(2), CLIENT, SERVER, side="server", keyed=ORIGINAL), by_client=False)
    path.write_bytes(pcap([first, answer]))
    assert told(path) == [("c", "client_hello 237", 1), ("s", "CONNECTION_CLOSE CONNECTION_REFUSED", 2)]


def test_a_picture_says_once_when_the_handshake_was_complete() -> None:
    """The first 1-RTT packet comes in the datagram of the last message."""
    [connection] = tlsdissect.read(ROOT / "samples" / "quic" / "quic-retry.pcap", keep=True)
    texts = [text.get_text() for text in figure([drawn(connection)]).axes[0].texts]
    assert texts.count("handshake complete") == texts.count("TLS 1.3 in QUIC") == 1


def test_bytes_are_those_of_the_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    sent = course()
    path.write_bytes(pcap(sent))
    [connection] = tlsdissect.read(path, keep=True)
    flight = next(arrow for arrow in drawn(connection).arrows if arrow.sender == "server")
    assert flight.bytes == len(sent[2].data) + len(sent[3].data)


def test_the_same_hello_after_a_retry(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))
    again = course(keyed=RETRIED, token=b"token", number=1)
    path.write_bytes(pcap([first, Sent(retry(CLIENT, RETRIED, ORIGINAL), by_client=False), *again]))
    begin = [("c", "client_hello 237", 1), ("s", "Retry", 2), ("c", "the hello again", 4)]
    assert told(path)[:3] == begin


def test_initial_packets_that_are_sent_again(tmp_path: Path) -> None:
    """A hello that is sent again may have another packet number and be cut into other frames."""
    path = tmp_path / "written.pcap"
    first, second, answer, flight, *rest = course()
    whole = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT, number=7))
    later = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT, number=8))
    path.write_bytes(pcap([first, course(number=3)[0], second, whole, answer, flight, *rest[:1], later]))
    arrows = told(path)
    again = [arrow for arrow in arrows if "sent again" in arrow[1]]
    assert again == [
        ("c", "1200 bytes sent again", 2),
        ("c", "1200 bytes sent again", 4),
        ("c", "1200 bytes sent again", 8),
    ]
    assert [arrow[1] for arrow in arrows if "hello" in arrow[1] and arrow[0] == "c"] == ["client_hello 237"]
