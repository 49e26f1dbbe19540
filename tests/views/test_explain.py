"""Explanations: true of the samples, resting on frames that are there, and silent on what cannot be told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from made import made
from mangle import Segment, in_ethernet, pcap, segments
from msgspec import structs
from recorded import ROOT, SAMPLES, SHARED, kept, packets

import tlsdissect
from tlsdissect.handshake.options import Options
from tlsdissect.model.transcript import Packet
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge
from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.explain.timing import before_end, pauses
from tlsdissect.views.phrases import counted, listed, ordinal
from tlsdissect.views.printable import columns

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.views.explain.model import Explanation

OTHERS = [path for path in sorted((SHARED / "captures").glob("*/*")) if path.suffix in (".pcap", ".pcapng", ".cap")]
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def told(name: str, number: int = 0) -> dict[str, str]:
    """The sentences about a sample's connection, by their codes."""
    return texts(tlsdissect.explain(kept(ROOT / f"samples/{name}.pcap")[number]))


@pytest.mark.parametrize(
    ("name", "answer", "guessed"),
    [("tls13-early-data", "accepted", True), ("tls13-early-data-rejected", "rejected", False)],
)
def test_the_answer_to_early_data_is_told(name: str, answer: str, guessed: bool) -> None:
    whole = tlsdissect.explain(kept(ROOT / f"samples/{name}.pcap")[1])
    [sentence] = [one for one in whole.sentences if one.code == "early_data_answer"]
    assert (sentence.text, sentence.guess) == (f"The server {answer} the client's early data.", guessed)


def texts(whole: Explanation) -> dict[str, str]:
    return {sentence.code: sentence.text for sentence in whole.sentences}


def written(path: Path, sent: list[Segment]) -> dict[str, str]:
    path.write_bytes(pcap([(one.time, frame) for one in sent for frame in in_ethernet(one)], 1))
    [connection] = kept(path)
    return texts(tlsdissect.explain(connection))


def test_a_handshake_of_tcp_without_its_answer(tmp_path: Path) -> None:
    syn, _, _, *others = segments(ROOT / "samples/tls12-full.pcap")
    at = next(number for number, one in enumerate(others) if one.payload)
    sentences = written(tmp_path / "syn.pcap", [syn, *others[at:]])
    assert sentences["no_tcp_handshake"].startswith("The whole TCP handshake is not in the capture")
    sentences = written(tmp_path / "none.pcap", others[at:])
    assert sentences["no_tcp_handshake"].startswith("The TCP handshake is not in the capture")


@pytest.mark.parametrize("in_order", [False, True])
def test_clocks_that_differ_are_said_to_hide_times(tmp_path: Path, in_order: bool) -> None:
    """The clock that timed the server's packets is a second behind."""
    sent = segments(ROOT / "samples/tls12-full.pcap")
    behind = [one if one.ports == sent[0].ports else replace(one, time=one.time - 1_000_000) for one in sent]
    sentences = written(tmp_path / "clocks.pcap", sorted(behind, key=lambda one: one.time) if in_order else behind)
    assert sentences["no_times"].startswith("A packet has an earlier time than one that it follows or answers, as if")
    unknown = "a round trip takes" if in_order else "the handshake took"
    assert sentences["no_times"].endswith(f"several clocks differed: how long {unknown} is not known.")
    assert ("tcp" in sentences) != in_order


def test_long_names_are_broken_after_their_commas() -> None:
    [connection] = kept(ROOT / "samples/tls12-full.pcap")
    assert connection.certificates
    units = [f"OU=Department-{number}" for number in range(9)]
    leaf = structs.replace(connection.certificates[0], subject=",".join(["CN=a.sample.example", *units, "C=US"]))
    lines = list(tlsdissect.explain(structs.replace(connection, certificates=(leaf,))).lines(60))
    assert max(map(len, lines)) <= 60
    assert all(any(unit in line for line in lines) for unit in units)


@each_sample
def test_every_sentence_rests_on_frames_that_are_there(sample: Path) -> None:
    last = len(packets(sample))
    for connection in kept(sample):
        whole = tlsdissect.explain(connection)
        assert {sentence.topic for sentence in whole.sentences} >= {"offer", "time", "end"}
        for sentence in whole.sentences:
            assert sentence.topic in TOPICS
            assert all(connection.first_frame <= frame <= last for frame in sentence.frames)
            assert sentence.text.endswith(".")
            assert not re.search(r"None|\(\)|  |, \.", sentence.text), sentence.text


@pytest.mark.skipif(not OTHERS, reason=f"no captures under {SHARED}: those of other projects are not part of this one")
def test_captures_of_other_projects() -> None:
    count = 0
    for path in OTHERS:
        for connection in kept(path):
            whole = tlsdissect.explain(connection)
            count += len(whole.sentences)
            assert not [one.text for one in whole.sentences if re.search(r"\bNone\b|\(\)|, \.", one.text)]
            assert max(map(columns, whole.lines(80))) <= 80
    assert count > 3000


def test_a_full_handshake_of_tls_1_2() -> None:
    sentences = told("tls12-full")
    assert sentences["round_trips"] == "The client waited 2 round trips, 3.35 ms counted from the ClientHello."
    assert sentences["trip_hello"] == "Round trip 1: the ClientHello, and the server's whole flight."
    assert sentences["trip_keys"] == "Round trip 2: the client's keys and Finished, and the server's Finished."
    assert "CN=localhost" in sentences["server_certificate_visible"]
    assert "the only suite of TLS 1.2 or older that the client offered" in sentences["choice"]
    assert sentences["closed"] == "Both sides ended the connection with an encrypted alert."
    assert "hidden" not in sentences


def test_a_retry_costs_a_round_trip() -> None:
    sentences = told("tls13-hello-retry")
    assert (
        sentences["hello_retry"]
        == "The server asked for a share of secp384r1, because the client had sent a share only for x25519."
    )
    assert sentences["trip_retry"].startswith("Round trip 1: ")
    assert sentences["trip_hello"] == "Round trip 2: the second ClientHello, and the server's whole flight."
    assert "server_certificate_visible" not in sentences


def test_a_round_trip_that_the_client_did_not_wait_for_is_none() -> None:
    [full] = kept(ROOT / "samples/tls12-full.pcap")
    said = texts(tlsdissect.explain(structs.replace(full, round_trips=1)))
    assert said["trip_hello"].startswith("Round trip 1: ")
    assert said["trip_keys"].startswith("Not waited for: ")
    assert said["false_start"] == "The client sent data before the server's Finished was there (false start, RFC 7918)."


def test_an_authority_is_issued_by_itself() -> None:
    assert (
        ",C=XX, issued by itself: the client does not know that authority."
        in told("tls12-unknown-ca")["unknown_authority"]
    )


def test_a_version_without_a_suite_is_told() -> None:
    """A ServerHello of SSL 2.0 chooses none (draft-hickman-netscape-ssl-00 section 2.6)."""
    [full] = kept(ROOT / "samples/tls12-full.pcap")
    said = texts(tlsdissect.explain(structs.replace(full, version="SSL 2.0", cipher_suite=None, group=None)))
    assert said["choice"] == "The server chose SSL 2.0."
    assert "group" not in said


def test_resumption() -> None:
    assert told("tls12-resumed-id", 1)["resumed"].endswith("by its session id: no certificate was needed.")
    assert (
        told("tls13-resumed", 1)["resumption_offered"]
        == "It offered to resume an earlier session, with 1 pre-shared key."
    )
    assert "early" in told("tls13-early-data", 1)
    assert "not_resumed" in told("tls13-early-data-rejected", 1)


@pytest.mark.parametrize(
    ("sample", "code", "text"),
    [
        (
            "tls12-unknown-ca",
            "alert",
            "The client ended the handshake with unknown_ca, after the ServerHelloDone of the server.",
        ),
        (
            "tls12-client-cert-missing",
            "no_client_certificate",
            "The server had asked for a client certificate, and the client had sent none.",
        ),
        (
            "tls13-no-common-version",
            "no_common_version",
            "The client offered only TLS 1.3, which the server does not accept.",
        ),
        (
            "tls13-client-cert-rejected",
            "refused",
            "The server refused: it sent a record the size of an alert, and the connection ended.",
        ),
    ],
)
def test_who_said_no(sample: str, code: str, text: str) -> None:
    assert told(sample)[code] == text


def test_what_may_have_been_the_reason_is_a_guess() -> None:
    [connection] = kept(ROOT / "samples/tls12-no-common-suite.pcap")
    [sentence] = [one for one in tlsdissect.explain(connection).sentences if one.code == "nothing_in_common"]
    assert sentence.guess
    assert "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" in sentence.text


def test_suites_that_the_key_rules_out() -> None:
    suites = (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
    )
    connection = made()
    from msgspec.structs import replace as changed

    offered = changed(connection, client_hello=changed(connection.client_hello, cipher_suites=suites))
    sentences = texts(tlsdissect.explain(offered))
    assert sentences["key_of_certificate"] == (
        "With its RSA key, the server could not use 1 of the client's 2 suites of TLS 1.2 and older versions."
    )
    assert "the 2nd of the 2 suites of TLS 1.2 or older" in sentences["choice"]


def slowed(sent: list[Segment], at: int, by: int) -> list[Segment]:
    """The same segments, those from one on so many microseconds later."""
    return [replace(one, time=one.time + by) if number >= at else one for number, one in enumerate(sent)]


def split_flight(pieces: int, wait: int, after: int = 1) -> list[Segment]:
    """A TLS 1.2 handshake whose server's flight stops before its last piece.

    The client acknowledges the piece before after `wait` microseconds, and the server goes on `after` ones later.
    """
    sent = segments(ROOT / "samples/tls12-full.pcap")
    at = next(number for number, one in enumerate(sent) if len(one.payload) > 2000)
    flight, size = sent[at], -(-len(sent[at].payload) // pieces)
    cuts = range(0, len(flight.payload), size)
    parts = [
        replace(flight, sequence=(flight.sequence + cut) % 2**32, payload=flight.payload[cut : cut + size])
        for cut in cuts
    ]
    # The client's acknowledgement that follows the flight in the sample comes before its last piece here.
    acknowledgement = replace(sent[at + 1], acknowledged=parts[-1].sequence, time=flight.time + wait)
    last = replace(parts[-1], time=flight.time + wait + after)
    return [*sent[:at], *parts[:-1], acknowledgement, last, *slowed(sent[at + 1 :], 0, wait + after + 1)]


def test_a_flight_larger_than_the_initial_window(tmp_path: Path) -> None:
    sentences = written(tmp_path / "window.pcap", split_flight(11, 40_000))
    assert sentences["initial_window"].startswith("The server's flight stopped after 2,")
    assert "in 10 segments and went on 40.0 ms later" in sentences["initial_window"]
    assert "delayed_ack" not in sentences


def test_an_acknowledgement_held_back(tmp_path: Path) -> None:
    sentences = written(tmp_path / "delayed.pcap", split_flight(3, 40_000))
    assert sentences["delayed_ack"].startswith("The server waited 40.0 ms within its flight")
    assert "initial_window" not in sentences


@pytest.mark.parametrize(
    ("wait", "after"),
    [
        pytest.param(10, 1_031_000, id="acknowledged at once"),
        pytest.param(600_000, 1, id="longer than TCP may delay it"),
        pytest.param(40_000, 100_000, id="went on long after it"),
    ],
)
def test_pauses_that_are_no_delayed_acknowledgements(tmp_path: Path, wait: int, after: int) -> None:
    assert "delayed_ack" not in written(tmp_path / "pause.pcap", split_flight(3, wait, after))


@pytest.mark.parametrize(("flags", "found"), [(16, 1), (17, 0), (20, 0)], ids=["ACK", "FIN and ACK", "RST and ACK"])
def test_only_an_acknowledgement_ends_a_pause(flags: int, found: int) -> None:
    ms = 1_000_000
    seen = [
        Packet(1, 0, "server", 24, 0, 0, 100, b"", None),
        Packet(2, 40 * ms, "client", flags, 0, 100, 0, b"", None),
        Packet(3, 41 * ms, "server", 24, 100, 0, 50, b"", None),
    ]
    assert len(list(pauses(seen, 1.0))) == found


def test_pauses_after_the_handshake_are_not_looked_at() -> None:
    """A closing alert that follows a late acknowledgement of the Finished did not wait for it."""
    [connection] = kept(ROOT / "samples/tls12-full.pcap")
    took, hello = connection.timing.handshake_ms, connection.client_hello
    assert took is not None
    assert hello is not None
    [begin] = [one.time for one in connection.transcript.packets if one.frame == hello.frame]
    assert begin is not None
    finished = Packet(100, begin + round(took * 1e6), "server", 24, 9000, 400, 100, b"", None)
    alert = structs.replace(finished, frame=102, time=begin + round(took * 1e6) + 40_000_000, offset=9100)
    within = before_end(connection, [*connection.transcript.packets, finished, alert])
    assert (finished in within, alert in within) == (True, False)


def test_acknowledgements_held_back_twice_are_one_sentence(tmp_path: Path) -> None:
    once = split_flight(3, 40_000)
    # Two pieces, the acknowledgement, and the last piece.
    at = next(number for number, one in enumerate(once) if len(one.payload) > 500) + 3
    last = once[at]
    first, rest = (
        replace(last, payload=last.payload[:400]),
        replace(last, payload=last.payload[400:], sequence=last.sequence + 400, time=last.time + 40_001),
    )
    acknowledgement = replace(once[at - 1], acknowledged=rest.sequence, time=last.time + 40_000)
    twice = [*once[:at], first, acknowledgement, rest, *slowed(once[at + 1 :], 0, 50_000)]
    text = written(tmp_path / "twice.pcap", twice)["delayed_ack"]
    assert text.startswith("2 times, 80.0 ms in all, a side waited within its flight for an acknowledgement")


def test_an_authority_whose_own_certificate_was_not_sent() -> None:
    [connection] = tlsdissect.read(ROOT / "samples/network/network-failures.pcap", stream=4)
    sentences = {one.code: one for one in tlsdissect.explain(connection).sentences}
    assert len(connection.certificates or ()) == 1
    assert "did not send the certificate of that authority" in sentences["issuer_not_sent"].text
    assert sentences["issuer_not_sent"].guess


def test_a_segment_that_was_sent_again(tmp_path: Path) -> None:
    sent = segments(ROOT / "samples/tls12-full.pcap")
    at = next(number for number, one in enumerate(sent) if one.payload)
    again = replace(sent[at], time=sent[at].time + 200_000)
    sentences = written(tmp_path / "again.pcap", [*sent[: at + 1], again, *slowed(sent[at + 1 :], 0, 200_001)])
    assert sentences["sent_again"].startswith("The client sent a segment again (ClientHello), 200 ms after it was seen")


def test_padding_that_counts_as_payload_was_not_sent_again(tmp_path: Path) -> None:
    """Two acknowledgements whose padding IP's length counts: the sender then sends other bytes in its place."""
    sent = segments(ROOT / "samples/tls12-full.pcap")
    client = next(one.ports for one in sent if one.payload)
    at = [number for number, one in enumerate(sent) if one.payload and one.ports == client][1]
    padded = replace(sent[at], payload=bytes(6), flags=0x10)
    begun = [
        *sent[:at],
        replace(padded, acknowledged=padded.acknowledged - 100),
        replace(padded, time=padded.time + 100),
    ]
    sentences = written(tmp_path / "padded.pcap", [*begun, *slowed(sent[at:], 0, 200)])
    assert "sent_again" not in sentences


def test_a_segment_that_came_late(tmp_path: Path) -> None:
    """Lost between the server and the capture point: later bytes were seen first."""
    sent = segments(ROOT / "samples/tls12-full.pcap")
    at = next(number for number, one in enumerate(sent) if len(one.payload) > 2000)
    whole = sent[at]
    first, rest = (
        replace(whole, payload=whole.payload[:1000]),
        replace(whole, payload=whole.payload[1000:], sequence=whole.sequence + 1000),
    )
    late = replace(rest, payload=rest.payload[:500], time=whole.time + 300_000)
    early = replace(rest, payload=rest.payload[500:], sequence=rest.sequence + 500)
    again = replace(late, time=late.time + 200_000)
    moved = slowed(sent[at + 1 :], 0, 500_001)
    sentences = written(tmp_path / "late.pcap", [*sent[:at], first, early, late, again, *moved])
    assert sentences["late_segment"].startswith("A segment of the server came 300 ms after a later part of the stream")
    assert sentences["sent_again"].startswith("The server sent a segment again, 200 ms after")
    assert sentences["flight_segments"].startswith("The server's flight came in 3 segments with 2,")


@pytest.mark.parametrize(("version", "guess"), [("tls12", False), ("tls13", True)])
def test_a_lookup_that_the_handshake_waited_for(version: str, guess: bool) -> None:
    path = str(ROOT / f"samples/talk/httpd-8891-{version}.pcap")
    [connection] = Reading((path,), Options(keep=True), judge=Judge())
    [lookup] = [one for one in tlsdissect.explain(connection).sentences if one.code == "ocsp_lookup"]
    assert lookup.text.startswith("The handshake waited for an OCSP look-up: the server asked http://localhost:2560/")
    assert lookup.guess == guess


def test_what_links_and_what_is_left_to_see() -> None:
    assert "links this connection" in told("tls12-resumed-ticket", 1)["session_visible"]
    assert "session_visible" not in told("tls12-full")
    assert "sizes and times" in told("tls13-full")["sizes_visible"]
    said = told("tls12-renegotiation")["renegotiated"]
    assert said == "Later, client and server renegotiated once, under encryption."


def test_nothing_of_the_kind_in_the_samples() -> None:
    for sample in SAMPLES:
        for connection in kept(sample):
            assert not texts(tlsdissect.explain(connection)).keys() & {
                "initial_window",
                "delayed_ack",
                "sent_again",
                "late_segment",
            }


def test_paths_of_several_lengths_lose_packets_on_one_alone() -> None:
    for connection in kept(ROOT / "samples/paths-client.pcap.gz"):
        codes = texts(tlsdissect.explain(connection))
        if connection.server.ip != "10.77.0.61":
            assert "sent_again" not in codes
        assert "(captured near the client)" in codes["tcp"]


@each_sample
@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_the_terminal(sample: Path, width: int) -> None:
    for connection in kept(sample):
        # A name without blanks is as long as it is.
        lines = [line for line in tlsdissect.explain(connection).lines(width) if " " in line.strip().removeprefix("- ")]
        assert max(map(columns, lines)) <= width


def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    data = (ROOT / "samples/tls13-full.pcap").read_bytes()
    path = tmp_path / "x\x1b\u202e.pcap"
    path.write_bytes(data.replace(b"\x00\x00\x09localhost", b"\x00\x00\x09<b>\x1b[2J'"))
    [connection] = kept(path)
    whole = tlsdissect.explain(connection)
    assert "\n".join(whole.lines(80)).replace("\n", "").isprintable()
    assert "<b>" not in whole._repr_html_()
    assert "&lt;b&gt;" in whole._repr_html_()


def test_words() -> None:
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert listed(list("abcdefgh")) == "a, b, c, d, e and 3 more"
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 22, 113)] == ["1st", "2nd", "3rd", "4th", "11th", "22nd", "113th"]
    assert (counted(1, "day"), counted(1000, "day")) == ("1 day", "1,000 days")


def test_the_copy_that_counts_may_be_named_last() -> None:
    sentences = [
        one.text
        for connection in tlsdissect.read(ROOT / "samples/evasion.pcap.gz")
        for one in tlsdissect.explain(connection).sentences
        if one.code == "conflicting_data"
    ]
    assert any(", which counts. Which of them" in text for text in sentences)
    assert not any(",." in text for text in sentences)
