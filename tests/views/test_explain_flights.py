"""How many segments a server's flight has, and which round trips its messages took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import ACK, CLIENT, FIN, OPENED, SERVER, Step, said, steps, write
from recorded import kept

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.transcript import KeptConnection

CLOSED: tuple[Step, ...] = ((CLIENT, FIN | ACK, b""), (SERVER, FIN | ACK, b""), (CLIENT, ACK, b""))


def flight(folder: Path, *sent: Step) -> tuple[str, tuple[int, ...]] | None:
    [connection] = kept(write(folder / "a.pcap", steps(*OPENED, *sent, *CLOSED)))
    return next(
        ((one.text, one.frames) for one in tlsdissect.explain(connection).sentences if one.code == "flight_segments"),
        None,
    )


def segments(sample: str, size: int = 1400) -> list[Step]:
    return [(side, ACK, data[at : at + size]) for side, data in said(sample) for at in range(0, len(data), size)]


@pytest.mark.parametrize("cut", [1, 5, 30, 66])
def test_a_flight_begins_with_the_first_byte_of_the_server_hello(cut: int, tmp_path: Path) -> None:
    hello, (_, _, first), *rest = segments("tls12-full")
    sent = [hello, (SERVER, ACK, first[:cut]), (SERVER, ACK, first[cut:]), *rest]
    assert flight(tmp_path, *sent) == (
        "The server's flight came in 3 segments with 2,481 bytes, over 2.00 ms.",
        (5, 7),
    )


def test_a_hello_request_before_the_server_hello_is_no_part_of_the_flight(tmp_path: Path) -> None:
    hello, *rest = segments("tls12-full")
    found = flight(tmp_path, hello, (SERVER, ACK, bytes.fromhex("160303000400000000")), *rest)
    assert found == ("The server's flight came in 2 segments with 2,481 bytes, over 1.00 ms.", (6, 7))


def test_a_flight_ends_with_the_last_byte_of_its_last_record(tmp_path: Path) -> None:
    """What a record encrypts has the frame in which the record begins."""
    hello, first, last, *rest = segments("tls13-full")
    sent = [hello, first, (SERVER, ACK, last[2][:-10]), (SERVER, ACK, last[2][-10:]), *rest]
    assert flight(tmp_path, *sent) == (
        "The server's flight came in 3 segments with 2,624 bytes, over 2.00 ms.",
        (5, 7),
    )


def test_a_hello_retry_request_is_no_part_of_the_flight_after_it(tmp_path: Path) -> None:
    found = flight(tmp_path, *segments("tls13-hello-retry"))
    assert found is not None
    assert found[0].startswith("The server's flight came in 2 segments ")


def without(folder: Path, sample: str, side: int, number: int) -> KeptConnection:
    """A sample without one segment of a side."""
    sent = segments(sample)
    place = len(OPENED) + [place for place, one in enumerate(sent) if one[0] == side][number]
    path = write(folder / "a.pcap", steps(*OPENED, *sent, *CLOSED))
    data, at = path.read_bytes(), 24
    for _ in range(place):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    path.write_bytes(data[:at] + data[at + 16 + int.from_bytes(data[at + 8 : at + 12], "little") :])
    [connection] = kept(path)
    return connection


def told(connection: KeptConnection) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {one.code: (one.text, one.frames) for one in tlsdissect.explain(connection).sentences}


def test_where_a_flight_of_the_client_is_missing_two_of_the_server_are_not_one(tmp_path: Path) -> None:
    connection = without(tmp_path, "tls12-full", CLIENT, 1)
    assert any((one.code, one.sender) == ("gap", "client") for one in connection.problems)
    assert "flight_segments" not in told(connection)


def test_round_trips_keep_their_numbers_where_the_hello_is_missing(tmp_path: Path) -> None:
    found = told(without(tmp_path, "tls12-full", CLIENT, 0))
    text = "Round trip 1: the ClientHello, which is not in the capture, and the server's whole flight."
    assert found["trip_hello"] == (text, (4,))
    assert found["trip_keys"][0].startswith("Round trip 2: the client's keys and Finished, ")


def test_a_second_hello_that_is_missing_is_not_the_first(tmp_path: Path) -> None:
    found = told(without(tmp_path, "tls13-hello-retry", CLIENT, 1))
    assert found["trip_retry"][1] == (4, 5)
    text = "Round trip 2: the second ClientHello, which is not in the capture, and the server's whole flight."
    assert found["trip_hello"] == (text, (6,))


def test_certificates_that_are_missing_were_not_encrypted(tmp_path: Path) -> None:
    found = told(without(tmp_path, "tls12-full", SERVER, 1))
    text = (
        "The server's certificates, if they are among the bytes that the capture lacks: this version does not encrypt "
    )
    assert found["certificates_missing"][0] == f"{text}them."
    assert "certificates_missing" not in told(without(tmp_path, "tls12-full", CLIENT, 0))
    assert "certificates_missing" not in told(without(tmp_path, "tls13-full", SERVER, 1))
