"""What is said of QUIC connections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from quicwriting import V1, V2, Sent, close, crypto, handshake, initial, negotiation, pcap
from recorded import ROOT, kept, packets, without
from test_quic import ACK, ANSWER, CLIENT, HELLO, ORIGINAL, SERVER, course

import tlsdissect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HELLO_SENT = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT))


def codes(path: Path) -> dict[str, tuple[int, ...]]:
    """The codes of all sentences about the first connection, each with its frames."""
    connection = next(iter(tlsdissect.read(path, keep=True)))
    return {sentence.code: sentence.frames for sentence in tlsdissect.explain(connection).sentences}


def written(path: Path, sent: Sequence[Sent]) -> dict[str, tuple[int, ...]]:
    path.write_bytes(pcap(sent))
    return codes(path)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("quic-full", {"quic": (1,), "quic_end": ()}),
        ("quic-retry", {"retry": (2,), "trip_address": (2,), "trip_hello": (3, 4)}),
        ("quic-version-negotiation", {"version_negotiation": (2,), "trip_version": (2,), "trip_hello": (3, 4)}),
        ("quic-compatible-version", {"compatible_version": ()}),
        ("quic-large-hello", {"large_client_hello": (2,)}),
        ("quic-no-common-protocol", {"alert": (1, 2)}),
    ],
)
def test_samples(sample: str, expected: dict[str, tuple[int, ...]]) -> None:
    told = codes(ROOT / "samples" / "quic" / f"{sample}.pcap")
    assert {code: told.get(code) for code in expected} == expected
    assert "no_tcp_handshake" not in told
    others = {"retry", "version_negotiation", "compatible_version", "large_client_hello", "amplification"}
    assert others & set(told) == others & set(expected)


def test_where_the_flight_of_a_server_ends_is_not_said() -> None:
    """The server sends its Certificate and Finished in Handshake packets, perhaps only after the client sent more."""
    [connection] = kept(ROOT / "samples/quic/quic-retry.pcap")
    told = {one.code: one.text for one in tlsdissect.explain(connection).sentences}
    assert told["trip_hello"] == "Round trip 2: the ClientHello, and the server's flight."


def test_what_is_said_of_quic_is_not_said_of_tcp() -> None:
    assert not {"quic", "quic_end", "quic_close"} & set(codes(ROOT / "samples" / "tls13-full.pcap"))


def test_a_server_that_waits_for_the_clients_address(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    begin = course()
    answer = Sent(
        initial(crypto(0, ANSWER), CLIENT, SERVER, side="server", keyed=ORIGINAL, size=200)
        + handshake(CLIENT, SERVER, 970),
        by_client=False,
    )
    more, again, last = (Sent(handshake(CLIENT, SERVER, 1170, fill=n), by_client=False) for n in range(3))
    acknowledged = Sent(initial(ACK, SERVER, CLIENT, keyed=ORIGINAL, number=1))
    assert len(answer.data) == len(more.data) == 1195
    told = written(path, [HELLO_SENT, answer, more, again, acknowledged, last, *begin[5:]])
    assert told["amplification"] == (5, 6)
    assert "amplification" not in written(path, [HELLO_SENT, answer, more, acknowledged, last, *begin[5:]])
    assert "amplification" not in written(path, [HELLO_SENT, answer, more, again, acknowledged, *begin[5:]])


def test_a_refused_version_and_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    first = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT, version=V2))
    path.write_bytes(pcap([first, Sent(negotiation(CLIENT, ORIGINAL, [V1]), by_client=False)]))
    [connection] = tlsdissect.read(path, keep=True)
    assert "but the client sent nothing more" in str(tlsdissect.explain(connection)).replace("\n   ", "")
    [said] = tlsdissect.explain(connection).about("end")
    assert (said.code, said.frames, said.guess) == ("version_refused", (2,), True)
    refused = "✗ the server refused the client's versions of QUIC: Version Negotiation (frame 2; a guess)"
    assert tlsdissect.explain(connection).verdict.line == refused


def test_a_close_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    frames = close(2, b"too \x1b[31mbusy")
    answer = Sent(initial(frames, CLIENT, SERVER, side="server", keyed=ORIGINAL), by_client=False)
    path.write_bytes(pcap([HELLO_SENT, answer]))
    [connection] = tlsdissect.read(path)
    [said] = tlsdissect.explain(connection).about("end")
    assert said.text == r"The server closed the connection with CONNECTION_REFUSED, because of: too \x1b[31mbusy."


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        ("quic-full", r"The client waited 1 round trip, [0-9.]+ ms counted from the ClientHello\."),
        (
            "quic-retry",
            r"The client waited 2 round trips: 1 before this ClientHello, and 1 within the 25\.3 ms counted from .*",
        ),
        ("quic-version-negotiation", r"The client waited 2 round trips: 1 before this ClientHello, and 1 within .*"),
    ],
)
def test_round_trips_before_the_hello_are_not_in_its_time(sample: str, text: str) -> None:
    connection = next(iter(tlsdissect.read(ROOT / "samples" / "quic" / f"{sample}.pcap", keep=True)))
    [said] = [one.text for one in tlsdissect.explain(connection).sentences if one.code == "round_trips"]
    assert re.fullmatch(text, said)


def test_initial_packets_that_are_sent_again_end_the_flight(tmp_path: Path) -> None:
    begin = course()
    repeated = Sent(
        initial(crypto(0, ANSWER), CLIENT, SERVER, side="server", keyed=ORIGINAL, number=1, size=200), by_client=False
    )
    hello = Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT, number=1))
    flight = Sent(handshake(CLIENT, SERVER, 700, fill=1), by_client=False)
    told = written(tmp_path / "written.pcap", [HELLO_SENT, hello, *begin[2:4], repeated, flight])
    assert told["flight_segments"] == (3, 4)
    assert (told["flight_again"], told["flight_again_more"]) == ((2,), (5, 6))


def test_what_quic_encrypts_is_packets() -> None:
    [connection] = tlsdissect.read(ROOT / "samples" / "quic" / "quic-unknown-ca.pcap")
    [said] = [one.text for one in tlsdissect.explain(connection).about("end") if one.code == "incomplete"]
    assert "the last thing seen is a Handshake packet of the " in said


def test_the_hello_is_not_always_in_the_first_packet() -> None:
    for sample, said in (("quic-full", True), ("quic-large-hello", False), ("quic-version-negotiation", False)):
        [connection] = tlsdissect.read(ROOT / "samples" / "quic" / f"{sample}.pcap", keep=True)
        text = next(one.text for one in tlsdissect.explain(connection).sentences if one.code == "quic")
        assert ("in the client's first packet" in text) is said


def test_early_data_is_named_where_its_fate_is_encrypted() -> None:
    path = ROOT / "samples" / "quic" / "quic-early-data.pcap"
    first, resumed = list(tlsdissect.read(path, keep=True))
    [sentence] = [one for one in tlsdissect.explain(resumed).sentences if one.code == "early_data"]
    assert resumed.early_data is None
    assert sentence.text == (
        "It sent application data before any answer (early data, which can be replayed); only keys show whether the "
        "server accepted it."
    )
    assert sentence.frames == (15,)
    assert not [one for one in tlsdissect.explain(first).sentences if one.code == "early_data"]


def test_keys_do_not_tell_the_fate_of_early_data_that_no_server_answered(tmp_path: Path) -> None:
    path = ROOT / "samples" / "quic" / "quic-early-data.pcap"
    unanswered = without(path, set(range(16, len(packets(path)) + 1)), tmp_path / "unanswered.pcap")
    _, resumed = list(tlsdissect.read(unanswered, keep=True))
    [sentence] = [one for one in tlsdissect.explain(resumed).sentences if one.code == "early_data"]
    assert sentence.text == "It sent application data before any answer (early data, which can be replayed)."
