"""Handshakes over UDP without a datagram, or with one twice: each fact is that of the whole capture, or null.

What is told with the end of a handshake is marked as inferred where only the order of encrypted packets shows it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from datagrams import CLIENT, SERVER, Sent, facts, sent, write
from dtlswriting import ALERT, APPLICATION_DATA, HANDSHAKE, fragment, record, unified
from recorded import ROOT, packets, without

import tlsdissect

if TYPE_CHECKING:
    from pathlib import Path

DTLS12 = ("dtls10-full", "dtls12-full", "dtls12-client-cert", "dtls12-fragments", "dtls12-gnutls", "dtls12-psk")
SAMPLES = (
    *(f"dtls/{name}" for name in (*DTLS12, "dtls13-full", "dtls13-key-update", "dtls13-unknown-ca")),
    "quic/quic-chromium",
    "quic/quic-compatible-version",
    "quic/quic-full",
    "quic/quic-large-hello",
    "quic/quic-unknown-ca",
)
COMPARED = (
    "version",
    "cipher_suite",
    "group",
    "signature_scheme",
    "sni",
    "resumption",
    "hello_retry",
    "round_trips",
    "certificates",
    "certificate_request",
    "client_certificates",
    "session_ticket",
    "ja4",
)
OPEN = ("incomplete", "one_sided")


def path_of(sample: str) -> Path:
    return ROOT / "samples" / f"{sample}.pcap"


@cache
def number_of_frames(sample: str) -> int:
    return len(packets(path_of(sample)))


def wrong(whole: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """The facts that differ from those of the whole capture, and are neither null nor marked as inferred."""
    inferred = {key for one in found["problems"] for key in one["facts"] or ()}
    differing = [(key, whole[key], found[key]) for key in COMPARED if found[key] not in (None, whole[key])]
    if found["outcome"] not in OPEN and found["outcome"] != whole["outcome"]:
        differing.append(("outcome", whole["outcome"], found["outcome"]))
    for key in ("timing", "handshake_bytes"):
        pairs = ((name, whole[key][name], value) for name, value in found[key].items())
        marked = inferred if key == "timing" else {name for name in found[key] if key in inferred}
        differing += [
            (name, old, new)
            for name, old, new in pairs
            if new not in (None, old) and not {name, f"{key}.{name}"} & marked
        ]
    return differing


@pytest.mark.parametrize("sample", SAMPLES)
def test_nothing_else_is_told_whichever_datagram_is_missing(sample: str, tmp_path: Path) -> None:
    [whole] = facts(path_of(sample))
    told = {}
    for frame in range(1, number_of_frames(sample) + 1):
        for found in facts(without(path_of(sample), {frame}, tmp_path / "a.pcap")):
            told[frame] = wrong(whole, found)
    assert len(told) > 3
    assert {frame: differing for frame, differing in told.items() if differing} == {}


COUNTED = ("packets", "bytes", "first_frame", "start", "end", "dtls", "source")


@pytest.mark.parametrize(
    "sample", [*SAMPLES, "dtls/dtls12-loss", "dtls/webrtc-firefox", "quic/quic-retry", "quic/quic-go"]
)
def test_a_datagram_that_was_captured_twice_changes_nothing(sample: str, tmp_path: Path) -> None:
    """A sender numbers its packets, so that no two are equal; frames are counted all the same."""
    keys = path_of(sample).with_suffix(".keys")
    head = path_of(sample).read_bytes()[:24]
    all_packets = packets(path_of(sample))
    place = tmp_path / "a.pcap"

    def told(twice: int) -> list[dict[str, Any]]:
        copied = [*all_packets[: twice + 1], *all_packets[twice : twice + 1], *all_packets[twice + 1 :]]
        place.write_bytes(head + b"".join(one + data for one, data in copied))
        found = facts(place, keylog=keys)
        return [without_frames({key: one[key] for key in one if key not in COUNTED}, twice + 1) for one in found]

    whole = told(len(all_packets))
    assert {n for n in range(len(all_packets)) if told(n) != whole} == set()


def without_frames(value: Any, twice: int) -> Any:
    """The same facts, with the frames behind the copy counted as if that were not there."""
    if isinstance(value, list):
        return [without_frames(one, twice) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: one - (one > twice) if key.endswith("frame") and isinstance(one, int) else without_frames(one, twice)
        for key, one in value.items()
    }


GAPS = {
    ("dtls/dtls12-full", 2): "the HelloVerifyRequest is not in the capture",
    ("dtls/dtls12-resumed-id", 25): "the ClientHello with the server's cookie is not in the capture",
    ("dtls/dtls12-full", 7): "encrypted records are not in the capture, by their sequence numbers",
    ("dtls/dtls13-full", 2): "the ServerHello is not in the capture",
    ("dtls/dtls13-full", 5): "the flight of the client is not in the capture",
    ("dtls/webrtc-chromium", 8): "the flight of the server is not in the capture",
    ("quic/quic-quinn-unknown-ca", 2): "the capture lacks the Initial packets of this side",
}
"""What is reported of samples without one of their frames."""


@pytest.mark.parametrize(("sample", "frame"), GAPS)
def test_what_the_others_presuppose_is_reported(sample: str, frame: int, tmp_path: Path) -> None:
    *_, found = facts(without(path_of(sample), {frame}, tmp_path / "a.pcap"))
    details = [one["detail"] for one in found["problems"] if one["code"] == "gap"]
    assert details.count(GAPS[sample, frame]) == 1
    *_, whole = facts(path_of(sample))
    assert [one for one in whole["problems"] if one["code"] == "gap"] == []


FULL = sent("dtls12-full")


def one(tmp_path: Path, datagrams: Sent) -> dict[str, Any]:
    [found] = facts(write(tmp_path / "a.pcap", datagrams))
    return found


def test_bytes_of_a_handshake_are_counted_once_in_any_order(tmp_path: Path) -> None:
    """A flight of several datagrams is sent again in reverse order."""
    original = sent("dtls12-client-cert")
    whole = one(tmp_path, original)["handshake_bytes"]
    flight = [n for n, (side, data) in enumerate(original) if side == SERVER and data[0] == HANDSHAKE][1:6]
    assert len(flight) == 5
    turned = list(original)
    for n, other in zip(flight, reversed(flight), strict=True):
        turned[n] = original[other]
    assert one(tmp_path, turned)["handshake_bytes"] == whole
    last = flight[-1]
    again = [(side, resent(data)) for side, data in original[flight[0] : last + 1]]
    assert one(tmp_path, [*original[: last + 1], *again, *original[last + 1 :]])["handshake_bytes"] == whole


def resent(datagram: bytes) -> bytes:
    """The first record of a datagram with another sequence number."""
    return datagram[:10] + bytes([datagram[10] + 0x80]) + datagram[11:]


def test_a_fragment_that_comes_again_before_the_others_adds_nothing(tmp_path: Path) -> None:
    original = sent("dtls12-fragments")
    whole = one(tmp_path, original)
    parts = [n for n, (side, data) in enumerate(original) if side == SERVER and data[0] == HANDSHAKE and data[13] == 11]
    first = parts[0]
    again = (SERVER, resent(original[first][1]))
    found = one(tmp_path, [*original[: first + 1], again, *original[first + 1 :]])
    assert found["handshake_bytes"] == whole["handshake_bytes"]
    assert found["dtls"]["fragments"] == whole["dtls"]["fragments"]


def test_data_behind_missing_records_are_not_the_first(tmp_path: Path) -> None:
    place = next(n for n, (side, data) in enumerate(FULL) if side == CLIENT and data[0] == APPLICATION_DATA)
    data = FULL[place][1]
    second = (CLIENT, record(APPLICATION_DATA, data[13:], epoch=1, sequence=int.from_bytes(data[5:11], "big") + 1))
    later = [*FULL[: place + 1], second, *FULL[place + 1 :]]
    assert one(tmp_path, later)["timing"]["client_data_ms"] is not None
    found = one(tmp_path, [*later[:place], *later[place + 1 :]])
    assert found["timing"]["client_data_ms"] is None
    assert one(tmp_path, [*later[:place], second, later[place], *later[place + 2 :]])["timing"]["client_data_ms"]


def test_what_looks_like_data_before_a_missing_server_hello_is_none(tmp_path: Path) -> None:
    """Without the ServerHello, a record of epoch 3 is not known to be the server's first data."""
    sample = path_of("dtls/dtls13-full")
    [found] = facts(without(sample, {2}, tmp_path / "a.pcap"))
    assert found["version"] is None
    assert found["timing"]["server_data_ms"] is None


def test_a_request_of_an_unknown_version_is_not_read(tmp_path: Path) -> None:
    """In TLS 1.2, signature schemes come before the names of authorities (RFC 5246 section 7.4.4)."""
    [whole] = facts(path_of("dtls/dtls12-client-cert"))
    [found] = facts(without(path_of("dtls/dtls12-client-cert"), {4}, tmp_path / "a.pcap"))
    assert whole["certificate_request"]["authorities"]
    assert (found["version"], found["certificate_request"]) == (None, None)
    assert found["client_certificate_requested"] is True
    assert "malformed_message" not in [problem["code"] for problem in found["problems"]]


@pytest.mark.parametrize(("sample", "frame"), [("quic/quic-compatible-version", 2), ("dtls/webrtc-chromium", 8)])
def test_where_the_handshake_ends_is_inferred_whatever_its_outcome(sample: str, frame: int, tmp_path: Path) -> None:
    """The packet that is missing has the ServerHello of QUIC, and the flight of the server of DTLS 1.3."""
    [found] = facts(without(path_of(sample), {frame}, tmp_path / "a.pcap"))
    keys = {key for problem in found["problems"] for key in problem["facts"] or ()}
    told = {f"timing.{key}" for key in ("handshake_ms", "client_data_ms", "server_record_ms") if found["timing"][key]}
    assert told
    assert told <= keys


def test_a_hello_without_its_end_has_no_time(tmp_path: Path) -> None:
    """The datagram that completed it is missing."""
    sample = path_of("quic/quic-large-hello")
    [whole] = facts(sample)
    frame = whole["client_hello"]["frame"]
    assert whole["timing"]["server_hello_ms"] is not None
    [found] = facts(without(sample, {frame}, tmp_path / "a.pcap"))
    assert found["client_hello"]["random"] == whole["client_hello"]["random"]
    assert (found["timing"]["server_hello_ms"], found["handshake_bytes"]["client"]) == (None, None)


def test_the_duration_of_a_handshake_is_a_guess_where_it_is_inferred() -> None:
    [connection] = tlsdissect.read(path_of("quic/quic-full"), keep=True)
    [found] = [one for one in tlsdissect.explain(connection).sentences if one.code == "round_trips"]
    assert "timing.handshake_ms" in connection.inferred
    assert found.guess


def test_a_record_of_dtls_13_is_opened_once(tmp_path: Path) -> None:
    sample = path_of("dtls/dtls13-full")
    [whole] = facts(sample, keylog=sample.with_suffix(".keys"))
    head, all_packets = sample.read_bytes()[:24], packets(sample)
    (tmp_path / "a.pcap").write_bytes(head + b"".join((one + data) * 2 for one, data in all_packets))
    [found] = facts(tmp_path / "a.pcap", keylog=sample.with_suffix(".keys"))
    names = ("from", "level", "description")
    assert [[one[name] for name in names] for one in found["hidden"]["alerts"]] == [
        [one[name] for name in names] for one in whole["hidden"]["alerts"]
    ]


def test_explain_says_what_was_captured_twice(tmp_path: Path) -> None:
    sample = path_of("quic/quic-full")
    head, all_packets = sample.read_bytes()[:24], packets(sample)
    (tmp_path / "a.pcap").write_bytes(head + b"".join((one + data) * 2 for one, data in all_packets))
    [connection] = tlsdissect.read(tmp_path / "a.pcap", keep=True)
    said = {one.code: one.frames for one in tlsdissect.explain(connection).sentences}
    assert said["captured_twice"] == (1, 2)
    assert not said.keys() & {"flight_again", "sent_again"}


def explained(sample: str, frame: int, place: Path) -> dict[str, str]:
    """What `explain` says of a sample without one of its frames."""
    *_, connection = tlsdissect.read(without(path_of(sample), {frame}, place), keep=True)
    return {one.code: one.text for one in tlsdissect.explain(connection).sentences}


def test_explain_counts_at_least_what_is_there(tmp_path: Path) -> None:
    told = explained("dtls/dtls12-client-cert", 5, tmp_path / "a.pcap")
    assert told["flight_segments"].startswith("The server's flight came in at least 14 datagrams")
    assert told["fragments"].startswith("The server sent messages in at least 21 fragments")
    told = explained("dtls/webrtc-chromium", 4, tmp_path / "a.pcap")
    assert told["fragments"].startswith("The client sent messages in at least 1 fragment:")


def test_explain_counts_the_round_trip_of_a_request_that_is_missing(tmp_path: Path) -> None:
    told = explained("dtls/dtls12-full", 2, tmp_path / "a.pcap")
    assert told["round_trips"].startswith("The client waited 3 round trips")
    assert "which is not in the capture" in told["trip_retry"]
    assert told["trip_hello"].startswith("Round trip 2: the second ClientHello")
    assert told["trip_keys"].startswith("Round trip 3")


def test_explain_names_no_frame_for_a_hello_that_is_missing(tmp_path: Path) -> None:
    """The one that is there came after the server's request."""
    *_, connection = tlsdissect.read(without(path_of("dtls/dtls12-full"), {1}, tmp_path / "a.pcap"), keep=True)
    [retry] = [one for one in tlsdissect.explain(connection).sentences if one.code == "trip_retry"]
    assert retry.frames == (1,)


def test_explain_does_not_say_more_of_a_hello_of_quic_than_is_there(tmp_path: Path) -> None:
    cut = explained("quic/quic-chromium", 2, tmp_path / "a.pcap")
    assert "in the client's first packet" not in cut["quic"]
    assert "amplification" not in explained("quic/quic-version-negotiation", 1, tmp_path / "a.pcap")


@pytest.mark.parametrize("sample", ["dtls/dtls10-full", "dtls/dtls12-full"])
def test_the_number_of_a_server_hello_shows_that_another_message_came_before(sample: str, tmp_path: Path) -> None:
    """The HelloVerifyRequest and the ClientHello that answers it are missing."""
    [found] = facts(without(path_of(sample), {2, 3}, tmp_path / "a.pcap"))
    assert (found["outcome"], found["hello_retry"]) == ("established", None)
    assert found["handshake_bytes"] == {"client": None, "server": None}
    details = [one["detail"] for one in found["problems"] if one["code"] == "gap"]
    assert "what the server sent before its ServerHello is not in the capture" in details


def test_a_server_without_a_packet_of_the_handshake_sent_more_than_nothing(tmp_path: Path) -> None:
    [found] = facts(without(path_of("quic/quic-full"), {2, 3, 4, 5}, tmp_path / "a.pcap"))
    assert found["complete"] is True
    assert found["handshake_bytes"]["server"] is None


HELLO13 = sent("dtls13-full")[0]
EARLY = (CLIENT, unified(1, bytes(60)))
REFUSAL = (SERVER, record(ALERT, b"\2\x28", sequence=1))


@pytest.mark.parametrize("answer", [[], [REFUSAL]])
def test_early_data_presuppose_no_answer(answer: Sent, tmp_path: Path) -> None:
    assert "gap" not in {problem["code"] for problem in one(tmp_path, [HELLO13, EARLY, *answer])["problems"]}


def test_early_data_are_no_data_after_the_flight_of_the_client(tmp_path: Path) -> None:
    hello, *others = sent("dtls13-unknown-ca")
    assert "gap" not in {problem["code"] for problem in one(tmp_path, [hello, EARLY, *others])["problems"]}


def test_more_events_than_are_kept_come_before_an_encrypted_record(tmp_path: Path) -> None:
    alerts = [
        (SERVER, b"".join(record(ALERT, bytes([1, k % 200]), sequence=30 * n + k) for k in range(30)))
        for n in range(150)
    ]
    found = one(tmp_path, [HELLO13, *alerts, (SERVER, unified(2, bytes(60)))])
    assert {"limit", "gap"} <= {problem["code"] for problem in found["problems"]}


def test_a_message_behind_the_handshake_adds_nothing_to_its_bytes(tmp_path: Path) -> None:
    late = (SERVER, record(HANDSHAKE, fragment(3, 0, b"\xfe\xff\x04abcd"), sequence=9))
    assert one(tmp_path, [*FULL, late])["handshake_bytes"] == one(tmp_path, FULL)["handshake_bytes"]


def test_a_forged_record_of_dtls_13_takes_no_first_data_from_dtls_12(tmp_path: Path) -> None:
    forged = one(tmp_path, [*FULL, (CLIENT, unified(2, bytes(60)))])
    whole = one(tmp_path, FULL)
    assert whole["timing"]["client_data_ms"] is not None
    assert forged["timing"]["client_data_ms"] == whole["timing"]["client_data_ms"]


def test_equal_version_negotiations_answer_two_packets(tmp_path: Path) -> None:
    """They have no number: a server may send equal ones (RFC 9000 section 17.2.1)."""
    sample = path_of("quic/quic-version-negotiation")
    first, negotiation, *others = [one + data for one, data in packets(sample)]
    path = tmp_path / "a.pcap"
    for twice, copied in ((first, True), (negotiation, False)):
        path.write_bytes(b"".join([sample.read_bytes()[:24], first, negotiation, twice, *others]))
        [connection] = tlsdissect.read(path, keep=True)
        assert ("captured_twice" in {one.code for one in tlsdissect.explain(connection).sentences}) is copied
