"""Alerts: cut and joined over records (RFC 5246 section 6.2.1), warnings, and those that only report the peer's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conversing import ACK, CLIENT, FIN, OPENED, RST, SERVER, Said, Step, Steps, Talk, said, steps, write
from tlswriting import record

from tlsdissect import explain, ladder, read, tree
from tlsdissect.tls.record import ALERT, APPLICATION_DATA
from tlsdissect.views.ladder.model import drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection

HELLO12, HELLO13 = said("tls12-full")[0][1], said("tls13-full")[0][1]
HANDSHAKE_FAILURE, UNRECOGNIZED_NAME = b"\x02\x28", b"\x01\x70"


def records(*fragments: bytes) -> bytes:
    """Alert records."""
    return b"".join(record(ALERT, one) for one in fragments)


def told(path: Path, words: Said) -> Connection:
    (connection,) = read(write(path, Talk(words, start=0, closed=1, port=40_000)), keep=True)
    return connection


def alerts(connection: Connection) -> list[tuple[str, str | None, str | None]]:
    return [(one.sender, one.level, one.description) for one in connection.alerts]


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("hello", [HELLO12, HELLO13])
@pytest.mark.parametrize("together", [True, False])
def test_an_alert_in_two_records_is_one(tmp_path: Path, hello: bytes, side: int, together: bool) -> None:
    first, second = records(HANDSHAKE_FAILURE[:1]), records(HANDSHAKE_FAILURE[1:])
    parts = [(side, first + second)] if together else [(side, first), (side, second)]
    connection = told(tmp_path / "cut.pcap", [(CLIENT, hello), *parts])
    who = ("client", "server")[side]
    assert alerts(connection) == [(who, "fatal", "handshake_failure")]
    assert (connection.outcome, connection.failed_by, connection.problems) == ("alert", who, ())
    assert [message.bytes for message in connection.messages] == [len(hello) - 9, 2]
    assert "alert handshake_failure" in str(ladder(connection))
    assert "handshake_failure" in str(tree(connection))


def test_several_alerts_in_records_are_told_apart(tmp_path: Path) -> None:
    """Two in one record, a third cut by its end."""
    warning = UNRECOGNIZED_NAME
    sent = records(warning + b"\x01\x5a" + HANDSHAKE_FAILURE[:1], HANDSHAKE_FAILURE[1:])
    connection = told(tmp_path / "several.pcap", [(CLIENT, HELLO12), (SERVER, sent)])
    names = ["unrecognized_name", "user_canceled", "handshake_failure"]
    assert [one.description for one in connection.alerts] == names
    assert [message.bytes for message in connection.messages[1:]] == [2, 2, 2]
    assert (connection.outcome, connection.failed_by) == ("alert", "server")
    assert all(f"alert {name}" in str(ladder(connection)) for name in names)
    assert all(name in str(tree(connection)) for name in names)


def test_half_an_alert_is_none(tmp_path: Path) -> None:
    connection = told(tmp_path / "half.pcap", [(CLIENT, HELLO12), (SERVER, records(b"\x02"))])
    assert alerts(connection) == []
    assert [problem.code for problem in connection.problems] == ["malformed_message"]
    # The client of these captures closes first.
    assert (connection.outcome, connection.failed_by) == ("closed", "client")


def warned(sample: str, side: int, turn: int) -> Said:
    """A sample's words, with a warning in front of one turn of a side's."""
    words, turns = said(sample), -1
    for n, (sender, data) in enumerate(words):
        turns += sender == side
        if sender == side and turns == turn:
            return [*words[:n], (side, records(UNRECOGNIZED_NAME) + data), *words[n + 1 :]]
    raise AssertionError(sample)


@pytest.mark.parametrize("sample", ["tls13-full", "tls13-hello-retry", "tls12-full"])
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_warning_behind_which_the_handshake_goes_on_ended_nothing(tmp_path: Path, sample: str, side: int) -> None:
    plain = told(tmp_path / "plain.pcap", said(sample))
    connection = told(tmp_path / "warned.pcap", warned(sample, side, 0))
    assert alerts(connection)[0] == (("client", "server")[side], "warning", "unrecognized_name")
    assert (connection.outcome, connection.failed_by, connection.complete) == ("established", None, True)
    assert (connection.version, connection.round_trips) == (plain.version, plain.round_trips)
    named = [sentence.code for sentence in explain(connection).sentences if "unrecognized_name" in sentence.text]
    assert named == ["warning"]


def test_a_refusal_behind_a_warning_is_not_called_by_its_name(tmp_path: Path) -> None:
    """The alert that is inferred from a record's length is not the warning before it."""
    sample = "tls13-client-cert-rejected"
    plain, connection = (
        told(tmp_path / "plain.pcap", said(sample)),
        told(tmp_path / "a.pcap", warned(sample, SERVER, 0)),
    )
    assert (connection.outcome, connection.failed_by) == (plain.outcome, plain.failed_by) == ("alert", "server")
    assert "unrecognized_name" not in str(explain(connection))
    assert str(ladder(connection)).count("an alert's size") == str(ladder(plain)).count("an alert's size") == 1


def test_a_warning_that_is_the_last_word_in_tls_1_3_is_an_error(tmp_path: Path) -> None:
    """RFC 8446 section 6: these alerts are errors whatever their level is."""
    (_, hello), (_, flight), *_ = said("tls13-full")
    words = [(CLIENT, hello), (SERVER, flight), (CLIENT, records(b"\x01\x30"))]
    connection = told(tmp_path / "warned.pcap", words)
    assert (connection.outcome, connection.failed_by) == ("alert", "client")
    assert "The client ended the handshake with unknown_ca" in str(explain(connection))


DECODE_ERROR, BAD_CERTIFICATE, INTERNAL_ERROR = b"\x02\x32", b"\x02\x2a", b"\x02\x50"
SEALED = record(APPLICATION_DATA, b"\xee" * 19)
"""A record of TLS 1.3 that has an alert's length."""


def ended(path: Path, *sent: Step) -> Connection:
    (connection,) = read(write(path, steps(*OPENED, *sent)), keep=True)
    return connection


def flights(sample: str) -> tuple[Step, ...]:
    return tuple((side, ACK, data) for side, data in said(sample))


@pytest.mark.parametrize("hello", [HELLO12, HELLO13])
@pytest.mark.parametrize("alert", [DECODE_ERROR, INTERNAL_ERROR, HANDSHAKE_FAILURE])
@pytest.mark.parametrize(("flag", "outcome"), [(FIN | ACK, "closed"), (RST | ACK, "reset")])
def test_an_alert_that_answers_the_other_sides_end_reports_it(
    tmp_path: Path, hello: bytes, alert: bytes, flag: int, outcome: str
) -> None:
    """OpenSSL says decode_error for want of the bytes that it waits for, other stacks something else."""
    connection = ended(
        tmp_path / "a.pcap",
        (CLIENT, ACK, hello),
        (SERVER, ACK, b""),
        (SERVER, flag, b""),
        (CLIENT, ACK, records(alert)),
        (CLIENT, ACK | FIN, b""),
    )
    assert (connection.outcome, connection.failed_by) == (outcome, "server")
    assert [one.sender for one in connection.alerts] == ["client"]
    text = " ".join(str(explain(connection)).split())
    assert "The server ended the connection" in text
    assert "after the ClientHello of the client" in text
    assert "only reports the end" in text
    frames = [arrow.frames for arrow in drawn(connection).arrows if arrow.kind == "clear"]
    assert frames == [(4, 4), (7, 7)]


@pytest.mark.parametrize("alert", [DECODE_ERROR, BAD_CERTIFICATE])
def test_a_server_reports_the_end_of_its_client_too(tmp_path: Path, alert: bytes) -> None:
    """The client closes after the server's flight without having answered it."""
    sent = flights("tls12-full")[:2]
    connection = ended(tmp_path / "a.pcap", *sent, (CLIENT, FIN | ACK, b""), (SERVER, ACK, records(alert)))
    assert (connection.outcome, connection.failed_by) == ("closed", "client")


def test_an_end_within_a_flight_is_reported_by_decode_error_alone(tmp_path: Path) -> None:
    """Another alert may be about what was said before the end."""
    hello, (_, _, flight), *_ = flights("tls12-full")
    for alert, outcome, side in ((DECODE_ERROR, "closed", "server"), (BAD_CERTIFICATE, "alert", "client")):
        sent = [hello, (SERVER, ACK, flight), (SERVER, FIN | ACK, b""), (CLIENT, ACK, records(alert))]
        connection = ended(tmp_path / "a.pcap", *sent)
        assert (connection.outcome, connection.failed_by) == (outcome, side)


class Crossing(Steps):
    """A conversation whose last packet was sent before the other side's FIN, the packet before it, had arrived."""

    def packets(self) -> list[tuple[float, bytes]]:
        """Return the same packets, but the last one does not acknowledge the FIN."""
        *before, (time, packet) = super().packets()
        acknowledged = int.from_bytes(packet[28:32], "big") - 1
        return [*before, (time, packet[:28] + acknowledged.to_bytes(4, "big") + packet[32:])]


def test_an_alert_that_passes_the_other_sides_end_stands_for_itself(tmp_path: Path) -> None:
    """Captured near the server: when the client sent it, it did not have the FIN yet."""
    sent = ((CLIENT, ACK, HELLO12), (SERVER, ACK | FIN, b""), (CLIENT, ACK, records(INTERNAL_ERROR)))
    crossing = Crossing([], 0, 0, 40_000, steps=(*OPENED, *sent))
    (connection,) = read(write(tmp_path / "a.pcap", crossing))
    assert (connection.outcome, connection.failed_by) == ("alert", "client")
    assert ended(tmp_path / "b.pcap", *sent).outcome == "closed"


def test_encrypted_alerts_report_an_end_too(tmp_path: Path) -> None:
    """TLS 1.2: the client's flight is not answered. TLS 1.3: the server ends within its own flight."""
    full = flights("tls12-full")
    sealed = (CLIENT, ACK, records(b"\xee" * 26))
    connection = ended(tmp_path / "12.pcap", *full[:3], (SERVER, FIN | ACK, b""), sealed)
    assert (connection.outcome, connection.failed_by) == ("closed", "server")
    assert ended(tmp_path / "plain.pcap", *full[:3], sealed).outcome == "alert"
    full = flights("tls13-full")
    connection = ended(tmp_path / "13.pcap", *full[:2], (SERVER, FIN | ACK, b""), (CLIENT, ACK, SEALED))
    assert (connection.version, connection.outcome, connection.failed_by) == ("TLS 1.3", "closed", "server")
    refused = ended(tmp_path / "refused.pcap", *full[:2], (CLIENT, ACK, SEALED), (SERVER, FIN | ACK, b""))
    assert (refused.outcome, refused.failed_by) == ("alert", "client")
