"""What senders do so that a monitor reads something else than the receiver: the facts are those of the receiver."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from mangle import ETHERNET, IPV4, IPV6, Segment, ethernet, ip4, ip6, pcap, pieces, segments
from recorded import ROOT, facts, kept
from test_conflicting_segments import RIGHT, STARTED, WRONG, over_ip4, over_ip6
from tlswriting import extension, message, record, sized

import tlsdissect
from tlsdissect.flows.flow import MAX_ANSWERS
from tlsdissect.flows.table import MAX_FORMER
from tlsdissect.handshake.segments import MAX_CONFLICTS, MAX_SEGMENTS, UNCOMPARED
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENT = segments(ROOT / "samples/tls12-full.pcap")
HELLO = next(number for number, one in enumerate(SENT) if one.payload)
PLAIN = facts(ROOT / "samples/tls12-full.pcap")[0]
FIN, SYN, RST, ACK, URG = 0x01, 0x02, 0x04, 0x10, 0x20
CLIENT, SERVER = SENT[0], SENT[1]


def read_all(path: Path, sent: list[Segment]) -> list[dict[str, Any]]:
    path.write_bytes(pcap([(one.time, ethernet(IPV6, ip6(one))) for one in sent], ETHERNET))
    return facts(path)


def read(path: Path, sent: list[Segment]) -> dict[str, Any]:
    [connection] = read_all(path, sent)
    return connection


def same(connection: dict[str, Any], *more: str) -> bool:
    """Whether the facts are those of the sample, and the problems these."""
    keys = ("sni", "outcome", "version", "ja3", "ja4", "closure", "round_trips", "cipher_suite")
    codes = [problem["code"] for problem in connection["problems"]]
    return [connection[key] for key in keys] == [PLAIN[key] for key in keys] and codes == list(more)


def shifted(sent: list[Segment], by: int) -> list[Segment]:
    """Give both sides other sequence numbers."""
    numbers = [
        (one, (one.sequence + by) % 2**32, (one.acknowledged + by) % 2**32 if one.flags & ACK else 0) for one in sent
    ]
    return [replace(one, sequence=sequence, acknowledged=acknowledged) for one, sequence, acknowledged in numbers]


def test_a_hello_of_60_kb_in_3000_segments_from_the_last_to_the_first(tmp_path: Path) -> None:
    names = extension(0, sized(b"\0" + sized(b"long.example")))
    body = b"\x03\x03" + bytes(32) + b"\0" + sized(b"\x13\x01") + b"\x01\0"
    hello = message(1, body + sized(names + extension(21, bytes(59_900))))
    whole = b"".join(record(22, hello[at : at + 16_384]) for at in range(0, len(hello), 16_384))
    sent = pieces(replace(SENT[HELLO], payload=whole), 20)[::-1]
    assert len(sent) == 3000
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], *sent])
    assert (connection["sni"], connection["client_hello"]["segments"]) == ("long.example", len(sent))
    assert [problem["code"] for problem in connection["problems"]] == ["capture_end"]


@pytest.mark.parametrize("syn", [True, False])
def test_a_hello_byte_by_byte_from_the_last_to_the_first_with_overlaps(tmp_path: Path, syn: bool) -> None:
    """The segments take more memory than may be held, but not once they are merged."""
    names = extension(0, sized(b"\0" + sized(b"long.example")))
    body = b"\x03\x03" + bytes(32) + b"\0" + sized(b"\x13\x01") + b"\x01\0"
    whole = record(22, message(1, body + sized(names + extension(21, bytes(9000 if syn else 300)))))
    hello = SENT[HELLO]
    sent = [
        replace(hello, sequence=hello.sequence + max(0, at - 1), payload=whole[max(0, at - 1) : at + 1])
        for at in range(len(whole) - 1, -1, -1)
    ]
    assert read(tmp_path / "a.pcap", [*SENT[: HELLO if syn else 0], *sent])["sni"] == "long.example"


def test_data_in_a_syn_is_the_beginning_of_the_stream(tmp_path: Path) -> None:
    """RFC 9293 section 3.4: the SYN counts as one; what the server does not take, the client sends again."""
    hello, syn = SENT[HELLO], SENT[0]
    sent = [replace(syn, payload=hello.payload[:50]), *SENT[1:]]
    assert same(read(tmp_path / "again.pcap", sent))
    rest = replace(hello, sequence=hello.sequence + 50, payload=hello.payload[50:])
    assert same(read(tmp_path / "taken.pcap", [*sent[:HELLO], rest, *sent[HELLO + 1 :]]))


def test_urgent_data_stay_in_the_stream(tmp_path: Path) -> None:
    """RFC 6093 section 4: they are delivered in line."""
    sent = [replace(one, flags=one.flags | URG) if one.payload else one for one in SENT]
    connection = read(tmp_path / "a.pcap", sent)
    assert same(connection, "urgent_data", "urgent_data")
    assert [problem["frame"] for problem in connection["problems"]] == [HELLO + 1, HELLO + 3]


def test_segments_with_old_timestamps_are_read(tmp_path: Path) -> None:
    """Those of PAWS (RFC 7323 section 5), if nothing else has their bytes: whether they were dropped is not visible."""
    hello = SENT[HELLO]
    old = replace(hello, options=hello.options[:-8] + bytes(4) + hello.options[-4:])
    assert same(read(tmp_path / "a.pcap", [*SENT[:HELLO], old, *SENT[HELLO + 1 :]]))


# ---------------------------------------------------------------- SYN


@pytest.mark.parametrize("at", range(HELLO, len(SENT) - 3))
@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("ahead", [123_456_789, 2**31 + 5, -70_000, 50, 1])
def test_a_syn_that_nobody_answers_hides_nothing(tmp_path: Path, at: int, side: Segment, ahead: int) -> None:
    """RFC 5961 section 4: a challenge ACK answers it, and its receiver goes on."""
    syn = replace(side, flags=SYN, sequence=(side.sequence + ahead) % 2**32, acknowledged=0)
    connection = read(tmp_path / "a.pcap", [*SENT[:at], replace(syn, time=SENT[at].time), *SENT[at:]])
    assert same(connection, "dropped_segment")
    assert connection["problems"][0]["frame"] == at + 1


@pytest.mark.parametrize("at", range(1, len(SENT) - 3))
@pytest.mark.parametrize("ahead", [123_456_789, 2**31 + 5, -70_000, 50, 1])
@pytest.mark.parametrize("more", ["answer", "answer and RST", "whole handshake", "no answer"])
def test_a_syn_that_is_answered_hides_nothing_of_a_connection_that_continues(
    tmp_path: Path, at: int, ahead: int, more: str
) -> None:
    """All packets of the other connection may be forged: the receiver continues with the numbers that it knows."""
    syn = replace(CLIENT, sequence=(CLIENT.sequence + ahead) % 2**32, acknowledged=0)
    first = (syn.sequence + 1) % 2**32
    answer = replace(SERVER, sequence=(SERVER.sequence + 3 * ahead) % 2**32, acknowledged=first)
    forged = {
        "answer": [syn, answer],
        "answer and RST": [syn, answer, replace(syn, flags=RST, sequence=first)],
        "whole handshake": [syn, answer, replace(syn, flags=ACK, sequence=first, acknowledged=answer.sequence + 1)],
        "no answer": [syn],
    }[more]
    sent = [*SENT[:at], *[replace(one, time=SENT[at].time) for one in forged], *SENT[at:]]
    connection, *others = read_all(tmp_path / "a.pcap", sent)
    assert (others, connection["stream"]) == ([], 0)
    assert same(connection, "dropped_segment")
    assert connection["problems"][0]["frame"] == at + 1


@pytest.mark.parametrize("ahead", [50, 20, -70_000, 2**30])
@pytest.mark.parametrize("closing", ["RST of the server", "FINs with acknowledgements"])
def test_a_syn_after_a_forged_close_takes_no_bytes(tmp_path: Path, ahead: int, closing: str) -> None:
    """Parts of the hello are nearer to its number than to the one that the receiver expects."""
    hello = SENT[HELLO]
    syn = replace(CLIENT, time=hello.time, sequence=(hello.sequence + ahead) % 2**32)
    first, second, *rest = pieces(hello, 40)
    sent = [*SENT[:HELLO], *rest, *FORGED[closing](HELLO), syn, second, first, *SENT[HELLO + 1 :]]
    connection = read(tmp_path / "a.pcap", sent)
    assert same(connection, "dropped_segment")


@pytest.mark.parametrize("before", [True, False])
def test_of_more_syns_than_are_remembered_some_are_counted_as_evicted(tmp_path: Path, before: bool) -> None:
    syns = [replace(CLIENT, sequence=(CLIENT.sequence + 1000 * number) % 2**32) for number in range(1, MAX_FORMER + 9)]
    path = tmp_path / "a.pcap"
    connection = read(path, [*syns, *SENT] if before else [CLIENT, *syns, *SENT[1:]])
    assert same(connection, *["dropped_segment"] * (not before))
    reading = Reading([path])
    list(reading)
    assert reading.summary.evicted_connections == 8


def answered(number: int, time: int, payload: bytes | None = None) -> list[Segment]:
    """SYNs with other numbers, each with a SYN-ACK, and with a payload: all of them forged."""
    sent: list[Segment] = []
    for ahead in range(10**6, (number + 1) * 10**6, 10**6):
        syn = replace(CLIENT, time=time, sequence=(CLIENT.sequence + ahead) % 2**32)
        first = (syn.sequence + 1) % 2**32
        answer = replace(SERVER, time=time, sequence=(SERVER.sequence + 3 * ahead) % 2**32, acknowledged=first)
        sent += [syn, answer]
        if payload:
            more = replace(syn, flags=ACK, sequence=first, acknowledged=(answer.sequence + 1) % 2**32)
            sent.append(replace(more, payload=payload))
    return sent


@pytest.mark.parametrize("at", [HELLO, HELLO + 1, 6])
@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("number", [MAX_FORMER, MAX_FORMER + 1, 3 * MAX_FORMER])
def test_more_answered_syns_than_are_remembered_hide_no_hello(
    tmp_path: Path, at: int, halves: bool, number: int
) -> None:
    """A connection that was given up continues as a new one, and says so."""
    parts = [*pieces(SENT[HELLO], 100)] if halves else [SENT[HELLO]]
    sent = [*SENT[:HELLO], *parts, *SENT[HELLO + 1 :]]
    place = at + (halves and at > HELLO)
    path = tmp_path / "a.pcap"
    connection = read(path, [*sent[:place], *answered(number, SENT[at].time), *sent[place:]])
    given_up = at == HELLO and number > MAX_FORMER
    assert same(connection, "limit" if given_up else "dropped_segment")
    reading = Reading([path])
    list(reading)
    assert reading.summary.evicted_connections == number - MAX_FORMER + given_up


def test_a_handshake_that_is_given_up_for_more_answered_syns_than_are_remembered_says_so(tmp_path: Path) -> None:
    sent = [*SENT[:5], *answered(MAX_FORMER + 1, SENT[6].time, b"X"), *SENT[5:]]
    found = read_all(tmp_path / "a.pcap", sent)
    assert [one["stream"] for one in found] == [0, MAX_FORMER + 2]
    assert found[0]["sni"] == PLAIN["sni"]
    assert all("limit" in {problem["code"] for problem in one["problems"]} for one in found)


@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize("ahead", [0, 50, -70_000])
def test_a_syn_ack_with_data_in_an_open_connection_says_nothing(tmp_path: Path, side: Segment, ahead: int) -> None:
    """RFC 5961 section 4: its number is none that begins a stream."""
    at = next(at for at in range(HELLO, len(SENT)) if SENT[at].ports == side.ports and SENT[at].payload)
    one = SENT[at]
    late = replace(one, flags=SYN | ACK, sequence=(one.sequence + ahead) % 2**32)
    connection = read(tmp_path / "a.pcap", [*SENT[:at], late, *SENT[at:]])
    assert same(connection, "dropped_segment")
    assert connection["problems"][0]["frame"] == at + 1


def test_parts_of_a_hello_where_a_forged_syn_would_begin_are_read(tmp_path: Path) -> None:
    hello = SENT[HELLO]
    parts = pieces(hello, 100)[::-1]
    syn = replace(CLIENT, time=hello.time, sequence=parts[0].sequence - 1)
    assert same(read(tmp_path / "a.pcap", [*SENT[:HELLO], syn, *parts, *SENT[HELLO + 1 :]]), "dropped_segment")


@pytest.mark.parametrize("at", [HELLO, HELLO + 1, len(SENT) - 3])
def test_a_connection_of_a_syn_that_nobody_answers_says_that_it_was_dropped(tmp_path: Path, at: int) -> None:
    """Its hello is reported all the same."""
    hello = replace(CLIENT, sequence=(CLIENT.sequence + 123_456_789) % 2**32, payload=SENT[HELLO].payload)
    forged = replace(hello, time=SENT[at].time)
    first, second = read_all(tmp_path / "a.pcap", [*SENT[:at], forged, *SENT[at:]])
    assert same(first, "dropped_segment")
    assert second["outcome"] == "one_sided"
    assert [(one["code"], one["frame"]) for one in second["problems"]] == [("dropped_segment", at + 1)]


def test_a_connection_of_a_syn_that_is_answered_later_was_not_dropped(tmp_path: Path) -> None:
    again = shifted(SENT, 123_456_789)
    first = replace(again[0], payload=again[HELLO].payload)
    later = [replace(one, time=one.time + 10**6) for one in [first, *again[1:HELLO], *again[HELLO + 1 :]]]
    opened = [one for one in SENT if not one.flags & FIN]
    assert same(read_all(tmp_path / "a.pcap", [*opened, *later])[1])


def test_each_of_several_syns_without_an_answer_is_dropped(tmp_path: Path) -> None:
    syns = [replace(CLIENT, time=SENT[HELLO].time, sequence=CLIENT.sequence ^ 1 << bit) for bit in range(8, 28)]
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], *syns, *SENT[HELLO:]])
    assert same(connection, "dropped_segment")
    assert f": {len(syns)}, the first" in connection["problems"][0]["detail"]
    assert connection["problems"][0]["frame"] == HELLO + 1


@pytest.mark.parametrize("by", [123_456_789, 2**31 + 5, 20_000_000, -70_000_000])
@pytest.mark.parametrize("kept", ["both", "client", "without SYN-ACK"])
def test_ports_are_used_again_while_the_old_connection_is_open(tmp_path: Path, by: int, kept: str) -> None:
    """Its FINs are not captured; then the SYN-ACK shows what the receiver did, or whatever is captured."""
    opened = [one for one in SENT if not one.flags & FIN]
    again = shifted(SENT, by)
    sent = [*opened, *(replace(one, time=one.time + 10**6) for one in again)]
    if kept == "client":
        sent = [one for one in sent if one.ports == CLIENT.ports]
    if kept == "without SYN-ACK":
        sent = [one for one in sent if one.sequence != again[1].sequence]
    first, second = read_all(tmp_path / "a.pcap", sent)
    assert (first["stream"], second["stream"]) == (0, 1)
    assert first["sni"] == second["sni"] == PLAIN["sni"]
    assert "dropped_segment" not in {problem["code"] for one in (first, second) for problem in one["problems"]}
    if kept == "both":
        assert same(second)


def test_a_half_open_connection_ends_with_the_reset_that_answers_its_challenge(tmp_path: Path) -> None:
    """RFC 9293 section 3.5.1: the SYN is then sent again, with the same number."""
    old = [one for one in SENT if not one.flags & FIN]
    new = [replace(one, time=one.time + 10**6) for one in shifted(SENT, 123_456_789)]
    ends = {one.ports: (one.sequence + len(one.payload)) % 2**32 for one in old}
    challenge = replace(
        SERVER, time=new[0].time, flags=ACK, sequence=ends[SERVER.ports], acknowledged=ends[CLIENT.ports]
    )  # fmt: skip
    reset = replace(CLIENT, time=new[0].time, flags=RST, sequence=challenge.acknowledged)
    first, second = read_all(tmp_path / "a.pcap", [*old, new[0], challenge, reset, *new])
    assert (same(first), same(second), second["stream"]) == (True, True, 1)


# ---------------------------------------------------------------- FIN


def before_bytes_of(side: Segment) -> list[int]:
    """Where a side's segments with payload are in SENT, up to the ChangeCipherSpec of both sides."""
    return [at for at, one in enumerate(SENT[:9]) if one.payload and one.ports == side.ports]


@pytest.mark.parametrize(
    ("side", "at"), [(side, at) for side in (CLIENT, SERVER) for at in before_bytes_of(side)]
)  # fmt: skip
@pytest.mark.parametrize("garbage", [b"", b"XXXX"])
def test_a_fin_in_whose_place_other_bytes_are_acknowledged_was_dropped(
    tmp_path: Path, side: Segment, at: int, garbage: bytes
) -> None:
    """It did not reach the receiver, nor did the bytes in its segment."""
    fin = replace(SENT[at], flags=FIN | ACK, payload=garbage)
    connection = read(tmp_path / "a.pcap", [*SENT[:at], fin, *SENT[at:]])
    codes = ["conflicting_data", "dropped_segment"] if garbage else ["dropped_segment"]
    assert same(connection, *codes)
    assert {problem["frame"] for problem in connection["problems"]} == {at + 1}
    if garbage:
        assert [one["used"] for one in connection["problems"][0]["copies"]] == [False, True]


def test_bytes_after_a_fin_that_nobody_acknowledges_are_not_read(tmp_path: Path) -> None:
    hello = SENT[HELLO]
    fin = replace(hello, flags=FIN | ACK, payload=b"")
    assert read_all(tmp_path / "a.pcap", [*SENT[:HELLO], fin, hello]) == []


def test_a_hello_in_many_segments_behind_a_fin(tmp_path: Path) -> None:
    hello = SENT[HELLO]
    fin = replace(hello, flags=FIN | ACK, payload=b"")
    sent = [*SENT[:HELLO], fin, *pieces(hello, 1), *SENT[HELLO + 1 :]]
    assert same(read(tmp_path / "a.pcap", sent), "dropped_segment")


FORGED = {
    "FINs": lambda at: [ending(CLIENT, at, FIN), ending(SERVER, at, FIN)],
    "FINs with acknowledgements": lambda at: [
        ending(CLIENT, at, FIN),
        replace(ending(SERVER, at, FIN), acknowledged=ending(CLIENT, at, FIN).sequence + 1),
        replace(
            ending(CLIENT, at, ACK),
            sequence=ending(CLIENT, at, ACK).sequence + 1,
            acknowledged=ending(SERVER, at, ACK).sequence + 1,
        ),
    ],
    "RST of the client": lambda at: [ending(CLIENT, at, RST)],
    "RST of the server": lambda at: [ending(SERVER, at, RST)],
    "RSTs": lambda at: [ending(CLIENT, at, RST), ending(SERVER, at, RST)],
}


def ending(side: Segment, at: int, flags: int) -> Segment:
    """A segment without data at a side's place after so many packets of the sample."""
    ends = {one.ports: one.sequence + len(one.payload) + bool(one.flags & SYN) for one in SENT[:at]}
    other = SERVER if side is CLIENT else CLIENT
    numbers = {"sequence": ends[side.ports], "acknowledged": ends[other.ports]}
    return replace(side, time=SENT[at].time, flags=flags | ACK, payload=b"", options=b"", **numbers)


@pytest.mark.parametrize("at", range(HELLO, 9))
@pytest.mark.parametrize("forged", FORGED)
def test_what_closes_a_connection_that_continues_was_dropped(tmp_path: Path, at: int, forged: str) -> None:
    """Its numbers are those that the receiver expects, but the packets did not reach it."""
    closing = FORGED[forged](at)
    connection = read(tmp_path / "a.pcap", [*SENT[:at], *closing, *SENT[at:]])
    assert same(connection, "dropped_segment")
    assert connection["problems"][0]["frame"] in {at + 1, at + 2}


@pytest.mark.parametrize("forged", FORGED)
def test_a_pause_after_what_closes_a_connection_hides_nothing(tmp_path: Path, forged: str) -> None:
    """A connection that was closed is over after a minute; one without payload is not if it goes on."""
    later = [replace(one, time=one.time + 61 * 10**6) for one in SENT[HELLO:]]
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], *FORGED[forged](HELLO), *later])
    assert same(connection, "dropped_segment")


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("order", [1, -1])
def test_a_pause_after_what_closes_a_connection_in_the_middle_of_a_hello_hides_nothing(
    tmp_path: Path, forged: str, order: int
) -> None:
    """The rest of the hello, or its beginning, comes when the connection would be over."""
    first, second = pieces(SENT[HELLO], 100)[::order]
    later = [replace(one, time=one.time + 61 * 10**6) for one in [second, *SENT[HELLO + 1 :]]]
    path = tmp_path / "a.pcap"
    assert same(read(path, [*SENT[:HELLO], first, *FORGED[forged](HELLO), *later]), "dropped_segment")
    assert {one["outcome"] for one in read_all(path, [*SENT[:HELLO], first, *FORGED[forged](HELLO)])} <= {
        "closed",
        "reset",
    }


@pytest.mark.parametrize("times", [1, MAX_ANSWERS + 9])
@pytest.mark.parametrize("ahead", [123_456_789, 2**31 + 5, -70_000, 50, 1])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("keep", [True, False])
def test_of_several_syn_acks_the_acknowledged_one_counts(
    tmp_path: Path, times: int, ahead: int, first: bool, keep: bool
) -> None:
    forged = [replace(SERVER, sequence=(SERVER.sequence + ahead * (1 + number)) % 2**32) for number in range(times)]
    path = tmp_path / "a.pcap"
    connection = read(path, [CLIENT, *forged, *SENT[1:]] if first else [*SENT[:2], *forged, *SENT[2:]])
    assert same(connection, *["dropped_segment"] * (not first))
    if keep:
        [told] = kept(path)
        assert (told.sni, told.outcome) == (PLAIN["sni"], PLAIN["outcome"])


def test_a_forged_acknowledgement_of_a_forged_syn_ack_hides_nothing(tmp_path: Path) -> None:
    forged = replace(SERVER, sequence=SERVER.sequence + 1000)
    taken = replace(SENT[2], acknowledged=forged.sequence + 1)
    for sent in (
        [*SENT[:2], forged, taken, *SENT[2:]],
        [CLIENT, forged, taken, *SENT[1:]],
        [*SENT[:4], taken, *SENT[4:]],
    ):
        assert read(tmp_path / "a.pcap", sent)["sni"] == PLAIN["sni"]
        assert read(tmp_path / "a.pcap", sent)["cipher_suite"] == PLAIN["cipher_suite"]


def test_bytes_after_a_fin_are_read_where_nothing_of_the_other_side_is_captured(tmp_path: Path) -> None:
    """Their sender would send none after a FIN of its own."""
    fin = ending(CLIENT, HELLO, FIN)
    sent = [one for one in [*SENT[:HELLO], fin, *SENT[HELLO:]] if one.ports == CLIENT.ports]
    connection = read(tmp_path / "a.pcap", sent)
    assert connection["sni"] == PLAIN["sni"]
    assert [problem["code"] for problem in connection["problems"]] == ["dropped_segment"]


# ---------------------------------------------------------------- copies that a receiver drops

DROPPED: dict[str, Callable[[Segment], Segment]] = {
    "no ACK flag": lambda one: replace(one, flags=0x08),
    "acknowledgement of bytes that were not sent": lambda one: replace(one, acknowledged=one.acknowledged + 100),
    "a timestamp before that of its SYN": lambda one: stamped(one, -1, SENT[0]),
}


def stamped(one: Segment, ahead: int, other: Segment) -> Segment:
    """Give a segment a timestamp relative to that of another one."""
    kind = other.options.index(b"\x08\x0a") + 2
    value = (int.from_bytes(other.options[kind : kind + 4], "big") + ahead) % 2**32
    at = one.options.index(b"\x08\x0a") + 2
    return replace(one, options=one.options[:at] + value.to_bytes(4, "big") + one.options[at + 4 :])


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("how", DROPPED)
def test_of_two_copies_one_that_every_receiver_drops_does_not_count(tmp_path: Path, how: str, after: bool) -> None:
    hello = SENT[HELLO]
    decoy = DROPPED[how](other_again(hello))
    copies = [hello, decoy] if after else [decoy, hello]
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], *copies, *SENT[HELLO + 1 :]])
    assert same(connection, "conflicting_data")
    [problem] = connection["problems"]
    assert how in problem["detail"]
    assert [one["used"] for one in problem["copies"]] == ([True, False] if after else [False, True])


@pytest.mark.parametrize("kind", ["later", "no echo", "older echo", "forged SYN", "forged SYN-ACK", "no timestamp"])
def test_a_timestamp_that_the_receiver_may_not_know_drops_nothing(tmp_path: Path, kind: str) -> None:
    """The first copy counts, and both are reported."""
    hello, (syn, answer, *rest) = SENT[HELLO], SENT
    decoy = stamped(other_again(hello), 0 if kind == "later" else -1, syn)
    if kind == "no echo":
        answer = replace(answer, options=b"")
    if kind == "older echo":
        echo = answer.options.index(b"\x08\x0a") + 6
        answer = replace(answer, options=answer.options[:echo] + bytes(4) + answer.options[echo + 4 :])
    if kind == "no timestamp":
        decoy = replace(decoy, options=b"")
    opened = [syn, answer, *rest[: HELLO - 2]]
    if kind.startswith("forged"):
        decoy = stamped(decoy, 2**30, syn)
        forged = stamped(syn if kind == "forged SYN" else answer, 2**30, syn)
        opened.append(replace(forged, time=hello.time))
    connection = read(tmp_path / "a.pcap", [*opened, decoy, hello, *SENT[HELLO + 1 :]])
    assert connection["sni"] == "a.decoy.x"
    [problem] = connection["problems"]
    assert problem["detail"] == f"other bytes than in frame {len(opened) + 1}, which counts"


@pytest.mark.parametrize(("others", "used"), [(True, [False, True]), (False, [True, False])])
def test_a_copy_with_a_wrong_checksum_of_its_ip_header_does_not_count(
    tmp_path: Path, others: bool, used: list[bool]
) -> None:
    """Unless no packet of its sender has a right one: a network card computes it after the capture."""
    hello = SENT[HELLO]
    sent = [(one, others) for one in SENT]
    sent[HELLO:HELLO] = [(other_again(hello), False)]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(one.time, ethernet(IPV4, headed(ip4(one), right))) for one, right in sent], ETHERNET))
    [connection] = facts(path)
    [problem] = connection["problems"]
    assert [one["used"] for one in problem["copies"]] == used
    assert connection["sni"] == (PLAIN["sni"] if others else "a.decoy.x")


def headed(packet: bytes, right: bool) -> bytes:
    """An IPv4 packet with a checksum of its header: right or wrong."""
    total = sum(int.from_bytes(packet[at : at + 2], "big") for at in range(0, 20, 2) if at != 10)
    value = (0xFFFF - total % 0xFFFF) ^ (0 if right else 0x5555)
    return packet[:10] + value.to_bytes(2, "big") + packet[12:]


# ---------------------------------------------------------------- wrong checksums of segments without data


@pytest.mark.parametrize("flags", [FIN, RST])
@pytest.mark.parametrize("side", [CLIENT, SERVER])
@pytest.mark.parametrize(("others", "dropped"), [(RIGHT, True), (WRONG, False), (STARTED, False)])
@pytest.mark.parametrize("wrap", [over_ip4, over_ip6])
def test_a_fin_or_rst_with_a_wrong_checksum_is_dropped_if_its_sender_has_right_ones(
    tmp_path: Path, flags: int, side: Segment, others: str, dropped: bool, wrap: Any
) -> None:
    """Where the network card computes them after the capture, all of a sender are wrong, or begun."""
    at = 6
    end = (ending(side, at, flags), WRONG if dropped else others)
    sent = [*((one, others) for one in SENT[:at]), end, (ending(side, at, ACK), others)]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(one.time, wrap(one, what)) for one, what in sent], ETHERNET))
    [connection] = facts(path)
    found = [problem["frame"] for problem in connection["problems"] if problem["code"] == "dropped_segment"]
    name = "client" if side is CLIENT else "server"
    assert (found, connection["closure"][name]) == (
        ([at + 1], None) if dropped else ([], "fin" if flags & FIN else "rst")
    )


@pytest.mark.parametrize("flags", [FIN, RST])
@pytest.mark.parametrize(("syn", "dropped"), [(RIGHT, True), (WRONG, False), (STARTED, False)])
def test_a_fin_or_rst_with_a_wrong_checksum_that_is_the_last_packet_is_dropped_if_the_syn_had_a_right_one(
    tmp_path: Path, flags: int, syn: str, dropped: bool
) -> None:
    at = 6
    sent = [*((one, syn) for one in SENT[:at]), (ending(CLIENT, at, flags), WRONG)]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(one.time, over_ip4(one, what)) for one, what in sent], ETHERNET))
    [connection] = facts(path)
    found = [problem["frame"] for problem in connection["problems"] if problem["code"] == "dropped_segment"]
    told = None if dropped else "fin" if flags & FIN else "rst"
    assert (found, connection["closure"]["client"]) == ([at + 1] if dropped else [], told)


# ---------------------------------------------------------------- first bytes that come twice


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("times", [1, 2, 17])
def test_short_bytes_that_were_read_are_final(tmp_path: Path, size: int, times: int) -> None:
    hello = SENT[HELLO]
    again = [replace(hello, payload=bytes([100 + number]) * size) for number in range(times)]
    first, rest = replace(hello, payload=hello.payload[:size]), pieces(hello, size)[1:]
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], first, *again, *rest, *SENT[HELLO + 1 :]])
    problems = connection["problems"]
    codes = {1: ["conflicting_data"], 2: ["conflicting_data"] * 3, 17: ["conflicting_data"] * MAX_CONFLICTS + ["limit"]}
    assert same(connection, *codes[times])
    assert [one["used"] for one in problems[0]["copies"]] == [True, False]


@pytest.mark.parametrize("garbage", [b"d", b"d" * 8, b"d" * 1000, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"EHLO a\r\n"])
@pytest.mark.parametrize("flags", [ACK, SYN])
def test_a_hello_in_place_of_bytes_that_are_no_tls_is_read_and_both_are_told(
    tmp_path: Path, garbage: bytes, flags: int
) -> None:
    at = HELLO if flags == ACK else 0
    first = replace(SENT[at], payload=garbage)
    sent = [*SENT[:at], first, *(SENT[at:] if flags == ACK else SENT[1:])]
    connection = read(tmp_path / "a.pcap", sent)
    assert same(connection, "conflicting_data")
    [problem] = connection["problems"]
    assert [(one["used"], one["bytes"][:2]) for one in problem["copies"]] == [(False, garbage[:1].hex()), (True, "16")]


@pytest.mark.parametrize("late", [True, False])
def test_a_hello_in_place_of_acknowledged_bytes_that_are_no_tls_is_read_and_both_are_told(
    tmp_path: Path, late: bool
) -> None:
    """The acknowledgement says that the receiver has the first bytes, but may be forged."""
    hello = SENT[HELLO]
    first = replace(hello, payload=b"GET / HTTP/1.1\r\n\r\n")
    taken = replace(SENT[HELLO + 1], flags=ACK, payload=b"", acknowledged=hello.sequence + 18, time=hello.time)
    signs = [first, taken] if late else [taken, first]
    connection = read(tmp_path / "a.pcap", [*SENT[:HELLO], *signs, *SENT[HELLO:]])
    assert same(connection, "conflicting_data")
    [problem] = connection["problems"]
    assert [(one["used"], one["bytes"][:2]) for one in problem["copies"]] == [(False, "47"), (True, "16")]
    assert problem["detail"].endswith(f", although frame {HELLO + 1 + (not late)} was acknowledged")


# ---------------------------------------------------------------- data of a SYN


def test_of_data_of_a_syn_the_acknowledged_copy_counts(tmp_path: Path) -> None:
    """RFC 7413 section 3: the SYN-ACK says whether they were taken."""
    hello, decoy = SENT[HELLO], SENT[HELLO].payload.replace(b"localhost", b"a.decoy.x")
    syn = replace(CLIENT, payload=decoy)
    connection = read(tmp_path / "refused.pcap", [syn, *SENT[1:]])
    assert same(connection, "conflicting_data")
    assert [one["used"] for one in connection["problems"][0]["copies"]] == [False, True]
    assert "data of a SYN that the SYN-ACK does not acknowledge" in connection["problems"][0]["detail"]
    answer = replace(SERVER, acknowledged=hello.sequence + len(decoy))
    connection = read(tmp_path / "taken.pcap", [syn, answer, *SENT[2:]])
    assert connection["sni"] == "a.decoy.x"
    assert [one["used"] for one in connection["problems"][0]["copies"]] == [True, False]


# ---------------------------------------------------------------- more than is compared


def other_again(hello: Segment) -> Segment:
    return replace(hello, payload=hello.payload.replace(b"localhost", b"a.decoy.x"))


def test_identical_segments_take_no_room_of_the_comparison(tmp_path: Path) -> None:
    hello = SENT[HELLO]
    first, rest = pieces(hello, 5)[0], replace(hello, sequence=hello.sequence + 5, payload=hello.payload[5:])
    sent = [*[first] * (MAX_SEGMENTS + 100), rest, other_again(rest), *SENT[HELLO + 1 :]]
    assert same(read(tmp_path / "a.pcap", [*SENT[:HELLO], *sent]), "conflicting_data")


@pytest.mark.parametrize("kind", ["two in turn", "keep-alives", "conflicts"])
def test_what_is_too_much_to_compare_is_a_problem(tmp_path: Path, kind: str) -> None:
    hello = SENT[HELLO]
    first, rest = pieces(hello, 6)[0], replace(hello, sequence=hello.sequence + 6, payload=hello.payload[6:])
    short = replace(first, payload=first.payload[:3])
    probe = replace(first, sequence=first.sequence - 1, payload=b"\0")
    many = {
        "two in turn": [first, short] * (MAX_SEGMENTS // 2),
        "keep-alives": [probe] * MAX_SEGMENTS,
        "conflicts": [replace(first, payload=bytes([100 + number] * 6)) for number in range(MAX_CONFLICTS + 1)],
    }[kind]
    path = tmp_path / "a.pcap"
    again = other_again(rest)
    connection = read(path, [*SENT[:HELLO], first, *many, rest, again, *SENT[HELLO + 1 :]])
    [limit] = [problem for problem in connection["problems"] if problem["code"] == "limit"]
    assert (connection["sni"], limit["from"], limit["detail"]) == (PLAIN["sni"], "client", UNCOMPARED)
    [told] = kept(path)
    frame = HELLO + len(many) + 3
    assert limit["frame"] <= frame
    repeated = [one.frames for one in tlsdissect.explain(told).sentences if one.code.startswith("sent_again")]
    assert frame not in {number for frames in repeated for number in frames}
