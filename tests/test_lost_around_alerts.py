"""Records of an alert's length in TLS 1.3 whose sender, or the other side, sent more than the capture has.

A refusal is told from a close_notify by what was sent before it, so that nothing may be told where that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from conversing import ACK, CLIENT, FIN, OPENED, SERVER, Step, Steps, said, write
from recorded import facts

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

HEADER = 5


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        end = HEADER + int.from_bytes(data[3:HEADER], "big")
        found.append(data[:end])
        data = data[end:]
    return found


def joined(side: int) -> bytes:
    return b"".join(data for sender, data in said("tls13-full") if sender == side)


HELLO, CHANGE, FINISHED, REQUEST, CLOSE = records(joined(CLIENT))
_FLIGHT = records(joined(SERVER))
FLIGHT, TICKETS, PAGE, REPLY = b"".join(_FLIGHT[:6]), b"".join(_FLIGHT[6:8]), _FLIGHT[8], _FLIGHT[9]
BEGUN = (*OPENED, (CLIENT, ACK, HELLO), (SERVER, ACK, FLIGHT))
CLIENT_ENDS, SERVER_ENDS = (CLIENT, ACK | FIN, b""), (SERVER, ACK | FIN, b"")


@dataclass(frozen=True)
class Lossy(Steps):
    """A conversation captured without the packets whose numbers are in `lost`."""

    lost: tuple[int, ...] = ()

    def packets(self) -> list[tuple[float, bytes]]:
        """The packets that were captured."""
        return [packet for number, packet in enumerate(super().packets()) if number not in self.lost]


def told(folder: Path, *sent: Step, lost: tuple[int, ...] = ()) -> dict[str, Any]:
    """Read a conversation; `lost` has the numbers of missing steps, counted from after the server's flight."""
    numbers = tuple(len(BEGUN) + number for number in lost)
    [connection] = facts(write(folder / "a.pcap", Lossy([], 0, 0, 40_000, steps=(*BEGUN, *sent), lost=numbers)))
    return connection


KEYS = (CLIENT, ACK, CHANGE + FINISHED)
ALERT = (SERVER, ACK, REPLY)


def test_only_an_alert_after_the_clients_flight_refuses_it(tmp_path: Path) -> None:
    found = told(tmp_path, KEYS, ALERT, SERVER_ENDS, CLIENT_ENDS)
    assert (found["outcome"], found["failed_by"]) == ("alert", "server")


@pytest.mark.parametrize("sent", [TICKETS, PAGE, TICKETS + PAGE])
def test_more_than_an_alert_is_missing_before_one(sent: bytes, tmp_path: Path) -> None:
    found = told(tmp_path, KEYS, (SERVER, ACK, sent), ALERT, SERVER_ENDS, CLIENT_ENDS, lost=(1,))
    assert (found["outcome"], found["failed_by"], found["complete"]) == ("established", None, True)


def test_what_is_missing_before_an_alert_may_be_another(tmp_path: Path) -> None:
    found = told(tmp_path, KEYS, (SERVER, ACK, REPLY), ALERT, SERVER_ENDS, CLIENT_ENDS, lost=(1,))
    assert (found["outcome"], found["complete"]) == ("incomplete", False)


def test_the_servers_finished_is_missing_too(tmp_path: Path) -> None:
    """What is missing may be no more than the end of its flight."""
    *most, finished = records(FLIGHT)
    talk = Lossy(
        [],
        0,
        0,
        40_000,
        steps=(
            *BEGUN[:-1],
            (SERVER, ACK, b"".join(most)),
            (SERVER, ACK, finished),
            KEYS,
            ALERT,
            SERVER_ENDS,
            CLIENT_ENDS,
        ),
        lost=(len(BEGUN),),
    )
    [found] = facts(write(tmp_path / "a.pcap", talk))
    assert (found["outcome"], found["complete"]) == ("incomplete", False)


@pytest.mark.parametrize("sent", [CLOSE, REQUEST + CLOSE])
def test_the_alert_may_answer_a_close_notify_that_is_missing(sent: bytes, tmp_path: Path) -> None:
    steps: list[Step] = [KEYS, (CLIENT, ACK, sent), ALERT, SERVER_ENDS, CLIENT_ENDS]
    found = told(tmp_path, *steps, lost=(1,))
    assert (found["outcome"], found["failed_by"]) == ("incomplete", None)
    found = told(tmp_path, *steps[:2], CLIENT_ENDS, ALERT, SERVER_ENDS, lost=(1, 2))
    assert (found["outcome"], found["failed_by"]) == ("incomplete", None)


def test_the_servers_finished_and_its_alert_are_missing(tmp_path: Path) -> None:
    """The bytes before its FIN are more than an alert, but most of them are the Finished's."""
    *most, finished = records(FLIGHT)
    steps = (*BEGUN[:-1], (SERVER, ACK, b"".join(most)), (SERVER, ACK, finished), KEYS, ALERT, SERVER_ENDS, CLIENT_ENDS)
    lost = (len(BEGUN), len(BEGUN) + 2)
    [found] = facts(write(tmp_path / "a.pcap", Lossy([], 0, 0, 40_000, steps=steps, lost=lost)))
    assert (found["outcome"], found["complete"]) == ("incomplete", False)


@pytest.mark.parametrize("answer", [(), (ALERT, SERVER_ENDS)])
def test_what_the_client_had_received_shows_where_a_flight_of_one_record_ends(
    answer: tuple[Step, ...], tmp_path: Path
) -> None:
    """Nothing else does where the server's Finished shares a record with the rest, and what follows is missing."""
    hello, change, *sealed = records(FLIGHT)
    content = b"".join(one[HEADER:] for one in sealed)
    flight = hello + change + sealed[0][:3] + len(content).to_bytes(2, "big") + content
    steps = (*BEGUN[:-1], (SERVER, ACK, flight), KEYS, (SERVER, ACK, PAGE), *answer, CLIENT_ENDS)
    talk = Lossy([], 0, 0, 40_000, steps=steps, lost=(len(BEGUN) + 1,))
    [found] = facts(write(tmp_path / "a.pcap", talk))
    assert (found["outcome"], found["complete"]) == ("established", True)
    assert found["handshake_bytes"]["server"] == len(flight)


def test_a_missing_fin_is_known_by_its_acknowledgement(tmp_path: Path) -> None:
    """RFC 9293 section 3.4: a FIN is acknowledged as if it were a byte."""
    found = told(tmp_path, KEYS, ALERT, SERVER_ENDS, CLIENT_ENDS, lost=(2,))
    assert (found["outcome"], found["failed_by"]) == ("alert", "server")
    found = told(tmp_path, KEYS, CLIENT_ENDS, ALERT, SERVER_ENDS, lost=(1,))
    assert (found["outcome"], found["failed_by"]) == ("incomplete", None)


def test_a_hole_in_the_clients_flight_hides_no_later_one(tmp_path: Path) -> None:
    steps: list[Step] = [(CLIENT, ACK, CHANGE), (CLIENT, ACK, FINISHED), (CLIENT, ACK, CLOSE), ALERT, SERVER_ENDS]
    found = told(tmp_path, *steps, lost=(0, 2))
    assert (found["outcome"], found["failed_by"]) == ("incomplete", None)


def test_nothing_follows_a_close_notify(tmp_path: Path) -> None:
    """So what is missing before a request is none, and the server's alert answers none."""
    steps: list[Step] = [KEYS, (CLIENT, ACK, REQUEST), (CLIENT, ACK, REQUEST), ALERT, SERVER_ENDS, CLIENT_ENDS]
    found = told(tmp_path, *steps, lost=(1,))
    assert (found["outcome"], found["failed_by"]) == ("alert", "server")


def test_six_bytes_are_too_few_for_a_finished(tmp_path: Path) -> None:
    """A client that refuses sends its alert instead."""
    steps: list[Step] = [(CLIENT, ACK, CHANGE), (CLIENT, ACK, CLOSE), CLIENT_ENDS, SERVER_ENDS]
    found = told(tmp_path, *steps, lost=(0,))
    assert (found["outcome"], found["failed_by"]) == ("alert", "client")


def test_a_client_that_closed_first_was_not_refused(tmp_path: Path) -> None:
    steps: list[Step] = [KEYS, (CLIENT, ACK, CLOSE), CLIENT_ENDS, ALERT, SERVER_ENDS]
    assert told(tmp_path, *steps, lost=(1,))["outcome"] == "established"


def test_what_the_client_sent_after_the_alert_may_be_missing(tmp_path: Path) -> None:
    steps: list[Step] = [KEYS, ALERT, SERVER_ENDS, (CLIENT, ACK, CLOSE), CLIENT_ENDS]
    found = told(tmp_path, *steps, lost=(3,))
    assert (found["outcome"], found["failed_by"]) == ("alert", "server")


def test_a_clients_flight_is_missing_before_its_close_notify(tmp_path: Path) -> None:
    steps: list[Step] = [KEYS, (SERVER, ACK, TICKETS + PAGE), (CLIENT, ACK, CLOSE), CLIENT_ENDS, SERVER_ENDS]
    found = told(tmp_path, *steps, lost=(0,))
    assert (found["outcome"], found["failed_by"]) == ("incomplete", None)


def test_a_close_notify_that_the_snap_length_cut_off_is_not_denied(tmp_path: Path) -> None:
    """The capture has the beginning of the segment that ends in it."""
    capture = write(
        tmp_path / "a.pcap",
        Lossy([], 0, 0, 40_000, steps=(*BEGUN, KEYS, (SERVER, ACK, PAGE + REPLY), SERVER_ENDS, CLIENT_ENDS)),
    )
    data, at, snapped = capture.read_bytes(), 24, b""
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        kept = min(size, 3000)
        snapped += data[at : at + 8] + kept.to_bytes(4, "little") + data[at + 12 : at + 16]
        snapped += data[at + 16 : at + 16 + kept]
        at += 16 + size
    capture.write_bytes(data[:24] + snapped)
    [connection] = tlsdissect.read(capture, keep=True)
    assert connection.outcome == "established"
    [closed] = [one.text for one in tlsdissect.explain(connection).sentences if one.code == "closed"]
    assert closed.endswith(
        "the server with a FIN, and with close_notify if that is among the bytes that the capture lacks."
    )
