"""Segments with different bytes at the same place: a wrong checksum shows which of them the receiver dropped."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from mangle import ETHERNET, IPV4, IPV6, Segment, ethernet, ip4, ip6, pcap, segments, vxlan
from recorded import ROOT, facts, kept

import tlsdissect
from tlsdissect.capture.differences import MAX_COPY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENT = segments(ROOT / "samples/tls12-full.pcap")
HELLO = next(number for number, one in enumerate(SENT) if one.payload)
ANSWER = next(number for number, one in enumerate(SENT) if one.payload[5:6] == b"\x02")
NAME = b"localhost"
"""The name that the sample's client asks for."""
WRONG, RIGHT, STARTED = "wrong", "right", "started"


def summed(packet: bytes, what: str) -> bytes:
    """An IP packet with a TCP checksum: right, wrong, or as a network card is to complete it (RFC 9293 section 3.1)."""
    start, addresses = (20, packet[12:20]) if packet[0] >> 4 == 4 else (40, packet[8:40])
    body = packet[start:]
    pseudo = addresses + struct.pack(">II", 6, len(body))
    begun = int.from_bytes(pseudo, "big") % 0xFFFF
    value = (0xFFFF - (begun + int.from_bytes(body + bytes(len(body) % 2), "big")) % 0xFFFF) % 0xFFFF
    value = {RIGHT: value, WRONG: value ^ 0x5555, STARTED: begun}[what]
    return packet[:start] + body[:16] + value.to_bytes(2, "big") + body[18:]


def over_ip6(one: Segment, what: str) -> bytes:
    return ethernet(IPV6, summed(ip6(one), what))


def over_ip4(one: Segment, what: str) -> bytes:
    return ethernet(IPV4, summed(ip4(one), what))


def in_vxlan(one: Segment, what: str) -> bytes:
    return vxlan(over_ip4(one, what))


def read(
    path: Path, sent: list[tuple[Segment, str]], wrap: Callable[[Segment, str], bytes] = over_ip6
) -> dict[str, Any]:
    path.write_bytes(pcap([(one.time, wrap(one, what)) for one, what in sent], ETHERNET))
    [connection] = facts(path)
    return connection


def decoy(at: int, payload: bytes | None = None) -> Segment:
    one = SENT[at]
    return replace(one, payload=one.payload.replace(NAME, b"a.decoy.x") if payload is None else payload)


def with_decoys(
    at: int, *decoys: Segment, after: bool = False, others: str = RIGHT, fake: str = WRONG
) -> list[tuple[Segment, str]]:
    whole = [(one, others) for one in SENT]
    begin = at + after
    return [*whole[:begin], *((one, fake) for one in decoys), *whole[begin:]]


def conflicts(connection: dict[str, Any]) -> list[dict[str, Any]]:
    return [problem for problem in connection["problems"] if problem["code"] == "conflicting_data"]


PLAIN = facts(ROOT / "samples/tls12-full.pcap")[0]


@pytest.mark.parametrize("wrap", [over_ip6, over_ip4, in_vxlan])
@pytest.mark.parametrize("after", [False, True])
def test_a_decoy_with_a_wrong_checksum_is_left_out(wrap: Any, after: bool, tmp_path: Path) -> None:
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, decoy(HELLO), after=after), wrap)
    assert connection["sni"] == NAME.decode()
    assert connection["client_hello"]["frame"] == HELLO + 1 + (not after)
    [problem] = conflicts(connection)
    assert (problem["frame"], problem["from"]) == (HELLO + 1 + after, "client")
    assert problem["offset"] == SENT[HELLO].payload.index(NAME)
    assert connection["outcome"] == "established"


def explained(path: Path) -> str:
    [connection] = kept(path)
    [text] = [one.text for one in tlsdissect.explain(connection).sentences if one.code == "conflicting_data"]
    return text


@pytest.mark.parametrize("after", [False, True])
def test_which_copy_was_dropped_is_told(after: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    read(path, with_decoys(HELLO, decoy(HELLO), after=after))
    frame = HELLO + 1 + after
    why = f"The segment in frame {frame} has a wrong TCP checksum: its receiver dropped it (RFC 9293 section 3.1)."
    assert explained(path).endswith(f". {why}")
    read(path, with_decoys(HELLO, replace(decoy(HELLO), flags=0), fake=RIGHT, after=after))
    why = f"The segment in frame {frame} has no ACK flag: its receiver dropped it (RFC 9293 section 3.10.7.4)."
    assert explained(path).endswith(f". {why}")


def test_which_of_two_right_copies_was_read_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    read(path, with_decoys(HELLO, decoy(HELLO), fake=RIGHT))
    assert explained(path).endswith(". Which of them the receiver read is not visible.")


@pytest.mark.parametrize("payload", [b"\x16\x03\x01\x00\x00" * 60, bytes(range(256)) * 3, b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("after", [False, True])
def test_whatever_the_decoy_says(payload: bytes, after: bool, tmp_path: Path) -> None:
    """It may be longer or shorter than the real one, and no TLS."""
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, decoy(HELLO, payload), after=after))
    assert len(conflicts(connection)) == 1
    assert connection["upgrade"] is None
    same = {key: connection[key] for key in ("sni", "outcome", "version", "ja3", "ja4", "closure", "round_trips")}
    assert same == {key: PLAIN[key] for key in same}


def test_a_decoy_of_the_server(tmp_path: Path) -> None:
    fake = decoy(ANSWER, SENT[ANSWER].payload[:5] + b"\x02" + bytes(len(SENT[ANSWER].payload) - 6))
    connection = read(tmp_path / "a.pcap", with_decoys(ANSWER, fake))
    assert connection["cipher_suite"] == PLAIN["cipher_suite"]
    assert connection["outcome"] == "established"
    [problem] = conflicts(connection)
    assert problem["from"] == "server"


def test_several_decoys(tmp_path: Path) -> None:
    decoys = [decoy(HELLO), decoy(HELLO), decoy(HELLO, b"\x16\x03\x01" + bytes(500))]
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, *decoys))
    assert connection["sni"] == NAME.decode()
    assert {problem["frame"] for problem in conflicts(connection)} == {HELLO + 1, HELLO + 2, HELLO + 3}


@pytest.mark.parametrize(("others", "fake"), [(WRONG, WRONG), (STARTED, RIGHT), (WRONG, RIGHT), (STARTED, WRONG)])
def test_where_the_network_card_computes_checksums_none_is_judged(others: str, fake: str, tmp_path: Path) -> None:
    """The first copy counts, and the problem says that there is another."""
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, decoy(HELLO), after=True, others=others, fake=fake))
    assert connection["sni"] == NAME.decode()
    [problem] = conflicts(connection)
    assert problem["frame"] == HELLO + 2
    assert "counts" in problem["detail"]


def test_two_right_checksums_are_a_problem_too(tmp_path: Path) -> None:
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, decoy(HELLO), fake=RIGHT))
    assert connection["sni"] == "a.decoy.x"
    assert len(conflicts(connection)) == 1


def test_one_that_was_held_behind_a_hole_gives_way_to_one_that_begins_in_it(tmp_path: Path) -> None:
    at = SENT[HELLO].payload.index(NAME)
    held = replace(SENT[HELLO], sequence=SENT[HELLO].sequence + at, payload=b"a.decoy.x")
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, held, fake=RIGHT))
    assert connection["sni"] == NAME.decode()
    [problem] = conflicts(connection)
    assert (problem["frame"], problem["detail"]) == (HELLO + 1, f"other bytes than in frame {HELLO + 2}, which counts")
    assert [(one["frame"], one["used"]) for one in problem["copies"]] == [(HELLO + 1, False), (HELLO + 2, True)]


@pytest.mark.parametrize(("fake", "used"), [(WRONG, [False, True]), (RIGHT, [True, False])])
def test_both_copies_are_told(fake: str, used: list[bool], tmp_path: Path) -> None:
    """From the first byte that differs to the last, with the hop limit that shows who did not send both."""
    connection = read(
        tmp_path / "a.pcap",
        with_decoys(HELLO, decoy(HELLO), fake=fake),
        lambda one, what: with_hop_limit(over_ip4(one, what), 3 if b"a.decoy.x" in one.payload else 64),
    )
    [problem] = conflicts(connection)
    assert problem["copies"] == [
        {"frame": HELLO + 1, "bytes": b"a.decoy.x".hex(), "used": used[0], "hop_limit": 3},
        {"frame": HELLO + 2, "bytes": NAME.hex(), "used": used[1], "hop_limit": 64},
    ]


def with_hop_limit(frame: bytes, hops: int) -> bytes:
    return frame[:22] + bytes([hops]) + frame[23:]


def test_of_long_copies_the_beginning_is_told(tmp_path: Path) -> None:
    fake = decoy(HELLO, bytes(byte ^ 0xFF for byte in SENT[HELLO].payload))
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, fake))
    [problem] = conflicts(connection)
    assert [one["bytes"] for one in problem["copies"]] == [
        fake.payload[:MAX_COPY].hex(),
        SENT[HELLO].payload[:MAX_COPY].hex(),
    ]


def test_of_three_copies_none_of_the_last_two_counts(tmp_path: Path) -> None:
    decoys = [decoy(HELLO, SENT[HELLO].payload.replace(NAME, name)) for name in (b"one.decoy", b"two.decoy")]
    connection = read(tmp_path / "a.pcap", with_decoys(HELLO, *decoys, fake=RIGHT))
    assert connection["sni"] == "one.decoy"
    assert [[one["used"] for one in problem["copies"]] for problem in conflicts(connection)] == [
        [True, False],
        [True, False],
        [False, False],
    ]


def test_the_finding_and_the_explanation_give_both(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    read(
        path,
        with_decoys(HELLO, decoy(HELLO), fake=RIGHT),
        lambda one, what: with_hop_limit(over_ip4(one, what), 3 if b"a.decoy.x" in one.payload else 64),
    )
    [connection] = tlsdissect.read(path, findings=True)
    told = (
        f"bytes of the client at offset {SENT[HELLO].payload.index(NAME)} differ: {b'a.decoy.x'.hex()} in frame "
        f"{HELLO + 1} with hop limit 3, which counts, and {NAME.hex()} in frame {HELLO + 2} with hop limit 64"
    )
    [found] = [one for one in connection.findings or () if one.code == "conflicting_data"]
    assert (found.severity, found.detail, found.frame) == ("medium", told, HELLO + 2)
    [sentence] = [one for one in tlsdissect.explain(connection).sentences if one.code == "conflicting_data"]
    assert sentence.text.startswith(f"{told[0].upper()}{told[1:]}. ")
    assert sentence.frames == (HELLO + 1, HELLO + 2)


def test_what_is_the_same_is_no_problem(tmp_path: Path) -> None:
    sent = with_decoys(HELLO, SENT[HELLO], fake=WRONG)
    assert not conflicts(read(tmp_path / "a.pcap", sent))


def test_a_transcript_without_the_decoy(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    read(path, with_decoys(HELLO, decoy(HELLO)))
    [connection] = kept(path)
    transcript = connection.transcript  # type: ignore[attr-defined]
    assert HELLO + 1 not in {packet.frame for packet in transcript.packets}
    assert transcript.records[0].frame == HELLO + 2
    assert "sent_again" not in {sentence.code for sentence in tlsdissect.explain(connection).sentences}


@pytest.mark.parametrize("garbage", [b"\x00", b"\x5a"])
def test_a_keep_alive_is_no_conflict(garbage: bytes, tmp_path: Path) -> None:
    """Its octet of garbage stands before the stream's next (RFC 9293 section 3.8.4)."""
    hello = SENT[HELLO]
    acknowledged = next(n for n in range(HELLO, len(SENT)) if SENT[n].ports != hello.ports)
    probe = replace(hello, sequence=hello.sequence + len(hello.payload) - 1, payload=garbage)
    assert not conflicts(read(tmp_path / "a.pcap", with_decoys(acknowledged, probe, after=True, fake=RIGHT)))
