"""Output does not depend on the number of packets in a batch."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from conversing import ACK, CLIENT, FIN, FIRST_SEQUENCE, RST, SERVER, SYN
from hypothesis import given, settings
from mangle import Segment, Segments, Way, differences
from random_captures import START, captures, course, segment, words
from recorded import SAMPLES, SHARED

from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tlsdissect import Connection

SIZES = (1, 7, 65_536)
ALL_SIZES = (1, 2, 3, 7, 65_536)
SMALL = 64 << 10  # a packet at a time is slow
OTHERS = [
    path
    for path in sorted((SHARED / "captures").glob("*/*.pcap*"))
    if path.suffix != ".keys" and path.stat().st_size <= SMALL
]
ALERT, DATA = b"\x15", b"\x17"
"""The first byte of a record: its content type."""
HTTP = b"GET / HTTP/1.1\r\n\r\n"


def printed(path: Path, batch: int) -> bytes:
    return b"\n".join(map(msgspec.json.encode, Reading([path], Options(batch=batch))))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path) -> None:
    one, seven, all_at_once = (printed(sample, size) for size in SIZES)
    assert all_at_once
    assert one == all_at_once
    assert seven == all_at_once


@pytest.mark.skipif(not OTHERS, reason=f"no captures under {SHARED}: those of other projects are not part of this one")
def test_captures_of_other_projects() -> None:
    differ = [str(path) for path in OTHERS if len({told(path, size) for size in SIZES}) > 1]
    assert differ == []


def told(path: Path, batch: int) -> bytes | str:
    try:
        return printed(path, batch)
    except OSError as error:  # no capture at all: the same words for every size
        return str(error)


# ---------------------------------------------------------------- random captures


@pytest.mark.parametrize("options", [{}, {"keep": True}, {"idle": 1.0}], ids=["facts", "transcripts", "when decided"])
@settings(derandomize=os.environ.get("HYPOTHESIS_PROFILE") != "search")
@given(data=captures())
def test_random_captures(tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any], data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.pcap"
    path.write_bytes(data)
    all_at_once = everything(path, batch=65_536, **options)
    for batch in ALL_SIZES[:-1]:
        assert differences(everything(path, batch=batch, **options), all_at_once) == [], batch


def everything(path: Path, **options: Any) -> dict[str, Any]:
    """Everything that a reading returns: connections, and the summary."""
    reading = Reading([path], Options(**options))
    connections = [msgspec.to_builtins(connection) for connection in reading]
    summary = vars(reading.summary)
    counted = {str(version): count for version, count in summary["versions"].items()}
    damage = [msgspec.to_builtins(hurt) for _, hurt in reading.summary.damage]
    return {**summary, "connections": connections, "versions": counted, "damage": damage}


# ---------------------------------------------------------------- what was found


def talk(opened: int = 3) -> Segments:
    """A handshake of TLS 1.2 with a few records of data and both FINs, and the last `opened` packets of TCP's."""
    return course(40_000, words("tls12-full"), FIRST_SEQUENCE, opened, [])


def read(
    path: Path, sent: Sequence[Segment | tuple[float, Segment]], batch: int, **options: float
) -> tuple[list[Connection], Reading]:
    """The connections among these packets, 0.1 ms apart; of a pair the first is a pause before it, in seconds."""
    packets, time = [], START
    for one in sent:
        pause, packet = one if isinstance(one, tuple) else (0.0, one)
        time += 100 + int(pause * 1e6)
        packets.append(replace(packet, time=time))
    path.write_bytes(Way()(packets))
    reading = Reading([path], Options(batch=batch, **options))  # type: ignore[arg-type]
    return list(reading), reading


def moved(sent: Segments, number: int, to: int) -> Segments:
    """The same packets, one of them earlier."""
    rest = [*sent[:number], *sent[number + 1 :]]
    return [*rest[:to], sent[number], *rest[to:]]


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize(("number", "side"), [(0, "client"), (1, "server"), (2, "client")])
def test_a_reset_before_a_handshake_that_succeeds_was_dropped(
    tmp_path: Path, number: int, side: str, batch: int
) -> None:
    sent = talk()
    sent[number] = replace(sent[number], flags=sent[number].flags | RST)
    ((connection,), _) = read(tmp_path / "reset.pcap", sent, batch)
    assert getattr(connection.closure, side) == "inferred_alert"
    assert connection.outcome == "established"
    assert "dropped_segment" in {problem.code for problem in connection.problems}


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("repeated", [1, 30])
def test_a_reset_before_a_hello_that_is_not_acknowledged_ends_it(tmp_path: Path, repeated: int, batch: int) -> None:
    sent = talk()
    reset = segment(40_000, SERVER, RST | ACK, (5001, 1001))
    ((connection,), _) = read(tmp_path / "reset.pcap", [*sent[:3], *[reset] * repeated, sent[3]], batch)
    assert (connection.outcome, connection.failed_by, connection.closure.server) == ("reset", "server", "rst")
    ((connection,), _) = read(tmp_path / "taken.pcap", [*sent[:3], *[reset] * repeated, *sent[3:5]], batch)
    assert (connection.outcome, connection.closure.server) == ("incomplete", None)
    assert f": {repeated}, the first" in connection.problems[0].detail


@pytest.mark.parametrize("batch", ALL_SIZES)
def test_a_fin_may_overtake_all_payload(tmp_path: Path, batch: int) -> None:
    """It gives the number of bytes that its side sends (RFC 9293 section 3.6): all of them still come."""
    sent = [one for one in talk() if one.payload[:1] != ALERT]
    number = next(n for n, one in enumerate(sent) if one.flags & FIN)
    ((connection,), _) = read(tmp_path / "fin.pcap", moved(sent, number, 3), batch)
    assert (connection.outcome, connection.closure.client) == ("established", "fin")


@pytest.mark.parametrize("batch", ALL_SIZES)
def test_both_fins_may_overtake_all_payload(tmp_path: Path, batch: int) -> None:
    """The conversation ends when the last byte before them has arrived: what comes after it is ignored."""
    sent = talk()
    fins = [one for one in sent if one.flags & FIN]
    rest = [one for one in sent if not one.flags & FIN]
    data = max(n for n, one in enumerate(rest) if one.payload)
    reset = replace(rest[-1], flags=RST | ACK)
    alert = replace(reset, flags=ACK, payload=b"\x15\x03\x03\0\x02\2\0")
    sent = [*rest[:3], *fins, *rest[3 : data + 1], reset, alert]
    ((connection,), _) = read(tmp_path / "fins.pcap", sent, batch)
    assert (connection.outcome, len(connection.alerts)) == ("established", 2)
    assert connection.closure.client == connection.closure.server == "inferred_alert"


@pytest.mark.parametrize("batch", ALL_SIZES)
def test_fins_before_a_handshake_that_succeeds_were_dropped(tmp_path: Path, batch: int) -> None:
    """Each side acknowledges bytes in their place."""
    ends = [(side, (FIRST_SEQUENCE[side] + 1, FIRST_SEQUENCE[1 - side] + 1)) for side in (CLIENT, SERVER)]
    fins = [segment(40_000, side, FIN | ACK, numbers) for side, numbers in ends]
    sent = talk()
    ((connection,), _) = read(tmp_path / "over.pcap", [*sent[:3], *fins, *sent[3:]], batch)
    assert (connection.sni, connection.outcome) == ("localhost", "established")
    assert [problem.code for problem in connection.problems] == ["dropped_segment"]


@pytest.mark.parametrize("batch", ALL_SIZES)
def test_the_last_acknowledgement_before_payload_counts(tmp_path: Path, batch: int) -> None:
    """Where the capture lacks the SYN, a side's stream begins at the number that the other side acknowledges."""
    sent = talk()
    early = segment(40_000, SERVER, ACK, (5001, 1147))
    ((connection,), _) = read(tmp_path / "acknowledged.pcap", [*sent[1:3], early, sent[5], sent[4]], batch)
    assert connection.server_hello is not None
    assert "gap" not in {problem.code for problem in connection.problems}


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("flags", [FIN | ACK, RST | ACK, RST])
@pytest.mark.parametrize("fill", [0, 20, 90])
def test_what_ends_something_else_does_not_end_the_tls_behind_it(
    tmp_path: Path, fill: int, flags: int, batch: int
) -> None:
    """No packet before the ClientHello decides how TLS ends, wherever the ClientHello comes."""
    said = segment(40_000, CLIENT, ACK, (1001, 5001), b"\xee" * 40)
    end = segment(40_000, SERVER, flags, (5001, 1041))
    sent = talk()
    quiet = [segment(40_000, CLIENT, ACK, (1041, 5001))] * fill
    ((connection,), _) = read(tmp_path / "other.pcap", [*sent[:3], said, end, *quiet, *sent[3:]], batch)
    ((plain,), _) = read(tmp_path / "plain.pcap", sent, batch)
    assert (connection.outcome, connection.closure) == ("established", plain.closure)


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("fill", [0, 20, 90])
def test_who_is_seen_counts_while_something_else_is_said(tmp_path: Path, fill: int, batch: int) -> None:
    other = [segment(40_000, CLIENT, ACK, (n, 5001), b"\xee" * 40) for n in range(500, 500 + 40 * fill + 40, 40)]
    answer = segment(40_000, SERVER, ACK, (5001, 540), HTTP)
    hello = talk()[3]
    ((connection,), _) = read(tmp_path / "seen.pcap", [*other, answer, hello], batch)
    assert connection.outcome != "one_sided"
    ((connection,), _) = read(tmp_path / "unseen.pcap", [*other, hello], batch)
    assert connection.outcome == "one_sided"


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_payload_of_a_syn_hides_neither_a_round_trip_nor_tls(tmp_path: Path, side: int, batch: int) -> None:
    """It makes the conversation count as not TLS before TCP's handshake is over."""
    sent = talk()
    sent[side] = replace(sent[side], payload=b"\xee" * 12)
    ((connection,), _) = read(tmp_path / "payload.pcap", sent, batch)
    assert (connection.timing.syn_synack_ms, connection.timing.tcp_ms) == (0.1, 0.2)
    assert (connection.outcome, connection.complete) == ("established", True)


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize(("first", "tcp_ms"), [(ACK, 0.3), (RST | ACK, None)])
@pytest.mark.parametrize("fill", [0, 20, 90])
def test_the_first_packet_behind_a_banner_acknowledges_the_syn_ack_or_none_does(
    tmp_path: Path, fill: int, first: int, tcp_ms: float | None, batch: int
) -> None:
    """The server speaks first, and not TLS. A later packet that repeats an acknowledgement gives no round trip."""
    sent = talk()
    banner = segment(40_000, SERVER, ACK, (5001, 1001), b"\xee" * 40)
    quiet = [segment(40_000, SERVER, ACK, (5041, 1001))] * fill
    answer = replace(sent[2], flags=first)
    ((connection,), _) = read(tmp_path / "banner.pcap", [*sent[:2], banner, answer, *quiet, *sent[3:]], batch)
    assert (connection.outcome, connection.timing.tcp_ms) == ("established", tcp_ms)


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("back", [0, 1])
def test_a_syn_in_the_midst_of_a_connection_is_dropped(tmp_path: Path, back: int, batch: int) -> None:
    """A challenge ACK answers it (RFC 5961 section 4), in the midst of application data too."""
    sent = talk()
    number = next(n for n, one in enumerate(sent) if one.ports == sent[1].ports and one.payload[:1] == DATA)
    sent[number] = replace(sent[number], flags=SYN | ACK, sequence=sent[number].sequence - back)
    ((connection,), _) = read(tmp_path / "syn.pcap", sent, batch)
    assert [problem.code for problem in connection.problems] == ["gap", "dropped_segment"]


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("closing", [0, FIN, RST])
def test_a_packet_before_the_end_puts_it_off_for_the_next(tmp_path: Path, closing: int, batch: int) -> None:
    """One comes a second before the conversation has been silent for an hour, the next a second after that."""
    sent = talk()
    last = [replace(sent[5], flags=sent[5].flags | closing)]
    if closing == RST:
        # A RST is sent without payload: the payload of a RST is not stream data.
        last = [sent[5], replace(sent[6], flags=RST | ACK, payload=b"")]
    late: list[Segment | tuple[float, Segment]] = [*sent[:5], (3599.0, last[0]), *last[1:], (2.0, sent[6]), *sent[7:]]
    connections, reading = read(tmp_path / "slow.pcap", late, batch)
    assert [connection.outcome for connection in connections] == ["established"]
    assert reading.summary.late == 0


@pytest.mark.parametrize("batch", ALL_SIZES)
def test_nothing_behind_the_end_counts_where_handshakes_are_told_when_decided(tmp_path: Path, batch: int) -> None:
    """A part of a ClientHello, both FINs, and then something that is not its answer, whatever the batch."""
    hello = talk()[3].payload[:100]
    sent = [
        segment(40_000, CLIENT, ACK, (1001, 5001), hello),
        segment(40_000, CLIENT, FIN | ACK, (1101, 5001)),
        segment(40_000, SERVER, FIN | ACK, (5001, 1102)),
        segment(40_000, SERVER, ACK, (5002, 1102), b"\xee" * 40),
    ]
    ((connection,), _) = read(tmp_path / "closed.pcap", sent, batch, idle=1.0)
    assert [problem.code for problem in connection.problems] == ["gap"]


@pytest.mark.parametrize("batch", ALL_SIZES)
@pytest.mark.parametrize("ends", [2, 1])
def test_nothing_behind_both_fins_counts_behind_much_else(tmp_path: Path, ends: int, batch: int) -> None:
    """Behind its own FIN a side sends no stream data, however many packets lie between (RFC 9293 section 3.6)."""
    sent = talk()
    fins = [one for one in sent if one.flags & FIN]
    quiet = [replace(sent[2], sequence=fins[0].sequence, acknowledged=fins[1].sequence)] * 80
    alert = replace(fins[0], flags=ACK, sequence=fins[0].sequence + 1, payload=b"\x15\x03\x03\0\x02\2\0")
    packets = [*sent[: sent.index(fins[0])], *quiet, *fins[:ends], alert, *quiet]
    ((connection,), _) = read(tmp_path / "behind.pcap", packets, batch)
    assert len(connection.alerts) == 2
