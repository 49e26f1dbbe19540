"""How handshakes ended that no fatal alert ended, or more than one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from conversing import ACK, CLIENT, FIN, OPENED, RST, SERVER, Steps, Talk, said, steps, write
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.views.explain.verdict import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.transcript import KeptConnection

SAID = said("tls12-full")
HELLO, FLIGHT, KEYS = SAID[0], SAID[1], SAID[2]
WARNING, FATAL = 1, 2
CLOSE_NOTIFY, HANDSHAKE_FAILURE, PROTOCOL_VERSION, USER_CANCELED, UNRECOGNIZED_NAME = 0, 40, 70, 90, 112
DECODE_ERROR = 50


def alert(*pairs: tuple[int, int]) -> bytes:
    """A record of one or more alerts (RFC 5246 section 6.2.1 allows several)."""
    return struct.pack(">BHH", 21, 0x0303, 2 * len(pairs)) + b"".join(bytes(pair) for pair in pairs)


def read(folder: Path, talk: Talk) -> KeptConnection:
    [connection] = kept(write(folder / "a.pcap", talk))
    return connection


def steps_of(*sent: tuple[int, bytes], reset: bytes | None = None) -> Steps:
    data = [(side, ACK, payload) for side, payload in sent]
    return steps(*OPENED, *data, *([] if reset is None else [(SERVER, RST | ACK, reset)]))


def told(connection: KeptConnection) -> dict[str, str]:
    return {sentence.code: sentence.text for sentence in tlsdissect.explain(connection).sentences}


@pytest.mark.parametrize(
    ("description", "name"), [(CLOSE_NOTIFY, "close_notify"), (UNRECOGNIZED_NAME, "unrecognized_name")]
)
def test_a_warning_before_the_end_is_named(description: int, name: str, tmp_path: Path) -> None:
    connection = read(tmp_path, steps_of(HELLO, (SERVER, alert((WARNING, description))), reset=b""))
    assert (connection.outcome, connection.failed_by) == ("reset", "server")
    without = f"without an alert other than {name}"
    text = f"The server ended the connection with a RST, {without}, after the ClientHello of the client."
    assert told(connection)["ended_early"] == text
    assert verdict(connection).text == f"the server reset the connection after the ClientHello, {without}"


def test_a_text_in_a_rst_is_told(tmp_path: Path) -> None:
    connection = read(tmp_path, steps_of(HELLO, FLIGHT, KEYS, reset=b"out of memory"))
    assert told(connection)["reset_text"] == 'A RST carries a text: "out of memory".'


def test_a_client_that_cancels_is_told(tmp_path: Path) -> None:
    """RFC 8446 section 6.1: user_canceled, then close_notify."""
    cancelled = alert((WARNING, USER_CANCELED)), alert((WARNING, CLOSE_NOTIFY))
    talk = Talk([HELLO, *((CLIENT, data) for data in cancelled)], 0, 1, 40_000)
    connection = read(tmp_path, talk)
    assert connection.outcome == "no_answer"
    assert told(connection)["gave_up"] == "The client gave up with user_canceled and close_notify."


@pytest.mark.parametrize(
    "records",
    [
        alert((FATAL, HANDSHAKE_FAILURE), (FATAL, PROTOCOL_VERSION)),
        alert((FATAL, HANDSHAKE_FAILURE)) + alert((FATAL, CLOSE_NOTIFY)),
        alert((WARNING, UNRECOGNIZED_NAME)) + alert((FATAL, HANDSHAKE_FAILURE)) + alert((WARNING, CLOSE_NOTIFY)),
    ],
)
def test_the_first_error_ends_a_handshake(records: bytes, tmp_path: Path) -> None:
    connection = read(tmp_path, steps_of(HELLO, (SERVER, records), reset=b""))
    assert verdict(connection).text == "the server refused the handshake: handshake_failure after the ClientHello"


def test_an_error_after_which_its_sender_went_on_is_not_the_last(tmp_path: Path) -> None:
    first, last = alert((FATAL, PROTOCOL_VERSION)), alert((FATAL, HANDSHAKE_FAILURE))
    connection = read(tmp_path, steps_of(HELLO, (SERVER, first + FLIGHT[1]), (SERVER, last), reset=b""))
    assert "handshake_failure" in verdict(connection).text


def test_the_type_of_an_encrypted_alert_is_in_the_clear_before_tls13(tmp_path: Path) -> None:
    refusal = struct.pack(">BHHB", 20, 0x0303, 1, 1) + struct.pack(">BHH", 21, 0x0303, 26) + bytes(26)
    connection = read(tmp_path, steps_of(HELLO, FLIGHT, KEYS, (SERVER, refusal), reset=b""))
    assert told(connection)["refused"] == "The server refused: it sent an encrypted alert, and the connection ended."


def test_one_finding_about_several_certificates_is_told_once(tmp_path: Path) -> None:
    """The clock of this capture is before the certificates of the chain begin."""
    talk = steps_of(HELLO, FLIGHT, (CLIENT, alert((FATAL, 46))))
    [connection] = tlsdissect.read(write(tmp_path / "a.pcap", talk), keep=True, findings=True)
    sentences = [one.text for one in tlsdissect.explain(connection).sentences if one.code == "found_not_yet_valid"]
    assert len(connection.certificates or ()) > 1
    assert len(sentences) == 1


def test_an_external_pre_shared_key_is_no_session(tmp_path: Path) -> None:
    """RFC 8446 section 4.2.11: the obfuscated_ticket_age of an external key is 0."""
    sample = ROOT / "samples/tls13-resumed.pcap"
    connection = kept(sample)[1]
    assert connection.client_hello is not None
    [offered] = [one for one in connection.client_hello.extensions or () if one.type == "pre_shared_key"]
    age = struct.pack(">I", offered.identities[0]["obfuscated_ticket_age"])  # type: ignore[attr-defined]
    data = sample.read_bytes()
    assert data.count(age) == 1
    external = tmp_path / "a.pcap"
    external.write_bytes(data.replace(age, bytes(4)))
    found = kept(external)[1]
    sentences = told(found)
    assert "resumption_offered" not in sentences
    assert "resumed" not in sentences
    assert sentences["external_psk_offered"].startswith("It offered 1 pre-shared key, which may be external: ")
    assert sentences["external_psk"].startswith("The server accepted a pre-shared key that may be external: ")
    assert "resumed" not in verdict(found).text


@pytest.mark.parametrize(
    ("end", "how", "place", "frames"),
    [
        ((CLIENT, RST | ACK), "reset", "after the ClientHello", (4, 5)),
        ((SERVER, RST | ACK), "reset", "after the ClientHello", (4, 5)),
        ((CLIENT, FIN | ACK), "closed", "after the ClientHello", (4, 5)),
    ],
)
def test_what_comes_behind_a_fin_or_rst_is_not_before_it(
    end: tuple[int, int], how: str, place: str, frames: tuple[int, ...], tmp_path: Path
) -> None:
    hello, flight = ((side, ACK, data) for side, data in (HELLO, FLIGHT))
    connection = read(tmp_path, steps(*OPENED, hello, (*end, b""), flight))
    by = ("client", "server")[end[0]]
    assert (connection.outcome, connection.failed_by, len(connection.messages)) == (how, by, 5)
    found = tlsdissect.explain(connection)
    assert (found.verdict.text, found.verdict.frames) == (
        f"the {by} {how} the connection {place}, without an alert",
        frames,
    )
    [ended] = [one for one in found.sentences if one.code == "ended_early"]
    assert ended.text.endswith(f", without an alert, {place} of the client.")
    assert ended.frames == frames


def test_a_fin_before_any_message(tmp_path: Path) -> None:
    hello = (CLIENT, ACK, HELLO[1])
    connection = read(tmp_path, steps(*OPENED, (SERVER, FIN | ACK, b""), hello, (SERVER, RST, b"")))
    found = tlsdissect.explain(connection)
    text = "the server closed the connection before any message of TLS, without an alert"
    assert (found.verdict.text, found.verdict.frames) == (text, (4,))
    assert told(connection)["ended_early"].endswith(" with a FIN, without an alert, before any message of TLS.")


def test_a_fin_that_overtook_the_bytes_before_it(tmp_path: Path) -> None:
    """What its sender sent before its FIN came before it, though it was captured behind it."""
    sent = steps(*OPENED, (CLIENT, ACK, HELLO[1]), (SERVER, ACK, FLIGHT[1]), (SERVER, FIN | ACK, b"")).packets()
    times = [time for time, _ in sent]
    packets = [packet for _, packet in (*sent[:-2], sent[-1], sent[-2])]
    path = tmp_path / "a.pcap"

    class Overtaken(Steps):
        def packets(self) -> list[tuple[float, bytes]]:
            return list(zip(times, packets, strict=True))

    [connection] = kept(write(path, Overtaken([], 0, 0, 40_000)))
    assert tlsdissect.explain(connection).verdict.text.startswith(
        "the server closed the connection after the ServerHelloDone"
    )


def test_without_a_transcript_the_order_is_not_told(tmp_path: Path) -> None:
    hello, flight = ((side, ACK, data) for side, data in (HELLO, FLIGHT))
    [connection] = tlsdissect.read(write(tmp_path / "a.pcap", steps(*OPENED, hello, (CLIENT, RST | ACK, b""), flight)))
    last = "the ServerHelloDone of the server"
    text = f"the client reset the connection during the handshake, without an alert; last seen: {last}"
    assert verdict(connection).text == text
    ended = {one.code: one.text for one in tlsdissect.explain(connection).sentences}["ended_early"]
    assert ended == f"The client ended the connection with a RST, without an alert; the last message seen is {last}."


def test_a_warning_after_which_the_handshake_went_on_is_told(tmp_path: Path) -> None:
    warned = (SERVER, alert((WARNING, UNRECOGNIZED_NAME)) + FLIGHT[1])
    connection = read(tmp_path, Talk([HELLO, warned, *SAID[2:]], 0, 1, 40_000))
    assert connection.outcome == "established"
    assert told(connection)["warning"].startswith(
        "The server warned with unrecognized_name, and the handshake went on: "
    )
    assert "warning" not in told(read(tmp_path, Talk(SAID, 0, 1, 40_000)))


def test_what_could_not_be_decoded_here_either_fits_a_decode_error(tmp_path: Path) -> None:
    hello = bytearray(HELLO[1])
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    hello[at : at + 2] = (int.from_bytes(hello[at : at + 2], "big") + 5).to_bytes(2, "big")
    refused = (SERVER, alert((FATAL, DECODE_ERROR)))
    connection = read(tmp_path, steps_of((CLIENT, bytes(hello)), refused, reset=b""))
    [problem] = [one for one in connection.problems if one.code == "malformed_message"]
    assert told(connection)["malformed"] == f"That fits what the client sent: {problem.detail}."
    assert "malformed" not in told(read(tmp_path, steps_of(HELLO, refused, reset=b"")))
