"""What TCP did to a handshake: keep-alives, closed windows, bytes in a SYN, and what one direction does not show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mangle import SYN, Segment, Segments, Way, first_conversation
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.views.ladder.model import drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.transcript import KeptConnection

SECOND = 10**6


def recorded(sample: str = "tls12-full") -> tuple[Segments, int]:
    """The segments of a sample, and the place of its ClientHello."""
    sent = first_conversation(ROOT / f"samples/{sample}.pcap")
    return sent, next(place for place, one in enumerate(sent) if one.payload)


def later(sent: Segments, pause: int) -> Segments:
    return [replace(one, time=one.time + pause) for one in sent]


def written(path: Path, sent: Segments) -> KeptConnection:
    path.write_bytes(Way()(sent))
    [connection] = kept(path)
    return connection


def told(connection: KeptConnection) -> dict[str, str]:
    return {sentence.code: sentence.text for sentence in tlsdissect.explain(connection).sentences}


def answer(sent: Segments, asked: Segment, acknowledged: int, window: int) -> Segment:
    """A bare acknowledgement by the side that answers in a sample's third place from the end."""
    server = next(one for one in sent if one.ports != asked.ports)
    return replace(
        server,
        time=asked.time + 1,
        sequence=asked.acknowledged,
        acknowledged=acknowledged,
        flags=0x10,
        window=window,
        options=b"",
    )


@pytest.mark.parametrize("byte", [b"", b"\0", b"\xff"], ids=["without a byte", "with a zero", "with another byte"])
def test_keep_alives_repeat_nothing(byte: bytes, tmp_path: Path) -> None:
    """RFC 9293 section 3.8.4: the sequence number is the one before the next byte, and the byte there may be any."""
    sent, place = recorded()
    hello, acknowledged = sent[place], sent[place + 1]
    end = hello.sequence + len(hello.payload)
    assert not acknowledged.payload
    asked: Segments = []
    for number in (1, 2):
        probe = replace(hello, time=acknowledged.time + number * SECOND, sequence=end - 1, payload=byte, flags=0x10)
        asked += [probe, answer(sent, probe, end, 500)]
    connection = written(tmp_path / "a.pcap", [*sent[: place + 2], *asked, *later(sent[place + 2 :], 3 * SECOND)])
    found = told(connection)
    text = "The client asked 2 times whether the other side was still there (keep-alive, RFC 9293 section 3.8.4)."
    assert found["keep_alive"] == text
    assert "sent_again" not in found
    assert all("sent again" not in label for arrow in drawn(connection).arrows for label in arrow.labels)
    assert "conflicting_data" not in {problem.code for problem in connection.problems}


def test_a_byte_that_was_sent_alone_is_sent_again(tmp_path: Path) -> None:
    """The same byte in the same place is no keep-alive."""
    sent, place = recorded()
    hello, acknowledged = sent[place], sent[place + 1]
    end = hello.sequence + len(hello.payload)
    parts = [replace(hello, payload=hello.payload[:-1]), replace(hello, sequence=end - 1, payload=hello.payload[-1:])]
    again = replace(parts[1], time=acknowledged.time + SECOND)
    found = told(
        written(
            tmp_path / "a.pcap", [*sent[:place], *parts, acknowledged, again, *later(sent[place + 2 :], 2 * SECOND)]
        )
    )
    assert "keep_alive" not in found
    assert found["sent_again"].startswith("The client sent a segment again")


def test_windows_of_packets_out_of_order_are_read(tmp_path: Path) -> None:
    """Packets that are read a second time keep their windows."""
    sent, place = recorded()
    [reply] = [at for at, one in enumerate(sent) if one.payload and one.ports != sent[place].ports][:1]
    moved = [*sent[:place], sent[reply], *sent[place:reply], *sent[reply + 1 :]]
    times = sorted(one.time for one in moved)
    late = written(tmp_path / "a.pcap", [replace(one, time=time) for one, time in zip(moved, times, strict=True)])
    assert not any(packet.closed for packet in late.transcript.packets)
    assert "closed_window" not in told(late)


def test_a_closed_window_is_told_only_where_something_waits_for_it(tmp_path: Path) -> None:
    sent, place = recorded()
    acknowledged = sent[place + 1]
    windows: Segments = []
    for number in range(12):
        time = acknowledged.time + (number + 1) * SECOND
        windows.append(replace(acknowledged, time=time, window=0 if number % 2 else 500))
    rest = later(sent[place + 2 :], 20 * SECOND)
    found = told(written(tmp_path / "a.pcap", [*sent[: place + 2], *windows, *rest]))
    assert "closed_window" not in found


def test_a_closed_window_is_probed(tmp_path: Path) -> None:
    """Bytes that find the window closed are not lost (RFC 9293 section 3.8.6.1)."""
    sent, place = recorded()
    hello = sent[place]
    opened = [replace(one, window=0) if one.flags & SYN and one.flags & 0x10 else one for one in sent[:place]]
    probes: Segments = []
    for number in range(3):
        probe = replace(hello, time=hello.time + number * SECOND, payload=hello.payload[:1])
        probes += [probe, answer(sent, probe, hello.sequence, 0)]
    probes.append(replace(probes[-1], time=probes[-1].time + SECOND, window=500))
    connection = written(tmp_path / "a.pcap", [*opened, *probes, *later(sent[place:], 4 * SECOND)])
    found = told(connection)
    assert found["closed_window"] == "For 3,000 ms the server accepted no bytes: its receive window was 0."
    assert "sent_again" not in found
    at = next(place for place, one in enumerate(sent) if one.payload and one.ports != hello.ports)
    flight, full = sent[at], replace(sent[at + 1], window=0, acknowledged=sent[at].sequence + 1000)
    byte = replace(flight, time=full.time + SECOND, sequence=full.acknowledged, payload=flight.payload[1000:1001])
    unread = [*sent[:at], replace(flight, payload=flight.payload[:1000]), full, byte, replace(full, time=byte.time + 1)]
    again = [replace(byte, time=byte.time + number * SECOND) for number in range(1, 4)]
    never = written(tmp_path / "b.pcap", [*unread, *again])
    assert not {"sent_again", "never_acknowledged"} & set(told(never))
    assert told(never)["closed_window"] == "From then on the client accepted no bytes: its receive window was 0."


def test_a_window_that_is_closed_again_and_again(tmp_path: Path) -> None:
    sent, place = recorded()
    hello = sent[place]
    probes: Segments = []
    for number in range(6):
        closed = replace(hello, time=hello.time + 2 * number * SECOND, payload=hello.payload[:1])
        probes += [closed, answer(sent, closed, hello.sequence, 0), replace(closed, time=closed.time + SECOND // 2)]
        probes.append(answer(sent, replace(closed, time=closed.time + SECOND), hello.sequence, 500))
    connection = written(tmp_path / "a.pcap", [*sent[:place], *probes, *later(sent[place:], 13 * SECOND)])
    assert told(connection)["closed_window_more"] == "This happened 2 more times."


def test_a_hello_in_the_syn(tmp_path: Path) -> None:
    """TCP Fast Open (RFC 7413): the whole handshake of TCP is there, and its round trip is not."""
    sent, place = recorded("tls13-full")
    hello, size = sent[place], len(sent[place].payload)
    syn, syn_ack = sent[0], sent[1]
    rest = [one for one in sent[place + 1 :] if one.payload or one.sequence != syn_ack.sequence + 1]
    opened = [replace(syn, payload=hello.payload), replace(syn_ack, acknowledged=syn_ack.acknowledged + size)]
    connection = written(tmp_path / "a.pcap", [*opened, *rest])
    assert (connection.outcome, connection.timing.tcp_ms) == ("established", None)
    found = told(connection)
    assert found["no_tcp_round_trip"].startswith("No packet in the capture acknowledges the SYN-ACK alone")
    assert "no_tcp_handshake" not in found


def test_a_single_byte_that_was_never_acknowledged() -> None:
    [connection] = tlsdissect.read(ROOT / "samples" / "evasion.pcap.gz", stream=26, keep=True)
    assert told(connection)["never_acknowledged"] == "The client's first byte was sent 3 times and never acknowledged."


def test_both_sides_open_at_once(tmp_path: Path) -> None:
    """RFC 9293 section 3.5: two SYNs cross, and each is acknowledged by a SYN-ACK."""
    sent, _ = recorded()
    syn, syn_ack, _, *rest = sent
    crossed = replace(syn_ack, time=syn.time + 1, flags=SYN, acknowledged=0)
    both = [syn, crossed, replace(syn, time=syn.time + 2, flags=SYN | 0x10, acknowledged=crossed.sequence + 1)]
    found = told(written(tmp_path / "a.pcap", [*both, replace(syn_ack, time=syn.time + 3), *rest]))
    assert "no_tcp_round_trip" in found


@pytest.mark.parametrize("sample", ["tls12-full", "tls13-full"])
def test_where_a_flight_ends_is_not_told_of_one_direction(sample: str, tmp_path: Path) -> None:
    sent, place = recorded(sample)
    connection = written(tmp_path / "a.pcap", [one for one in sent if one.ports != sent[place].ports])
    assert connection.outcome == "one_sided"
    assert "flight_segments" not in told(connection)


def test_other_bytes_are_not_the_same_segment_again(tmp_path: Path) -> None:
    sent, place = recorded()
    flight = next(one for one in sent if one.payload and one.ports != sent[place].ports)
    end = sent.index(flight) + 1
    forged = replace(flight, time=flight.time + 1, payload=bytes([*flight.payload[:-1], flight.payload[-1] ^ 1]))
    found = told(written(tmp_path / "a.pcap", [*sent[:end], forged, *sent[end:]]))
    assert "conflicting_data" in found


def test_of_long_copies_that_differ_the_first_bytes_are_shown(tmp_path: Path) -> None:
    sent, place = recorded()
    hello = sent[place]
    forged = replace(hello, payload=hello.payload[:62] + bytes(40) + hello.payload[102:])
    found = told(written(tmp_path / "a.pcap", [*sent[:place], forged, *sent[place:]]))["conflicting_data"]
    assert f" differ: {bytes(16).hex()}… in frame " in found
    assert f"{hello.payload[62:78].hex()}… in frame " in found
    assert "sent_again" not in found


@pytest.mark.parametrize(
    ("cuts", "what"), [(0, "the ClientHello"), (1, "the ClientHello"), (2, "a part of the ClientHello")]
)
def test_a_hello_that_was_sent_again_is_why_the_answer_was_late(cuts: int, what: str, tmp_path: Path) -> None:
    """The wait for a lost ClientHello shows neither a proxy nor a slow server."""
    sent, place = recorded()
    hello = sent[place]
    first = replace(hello, time=hello.time + SECOND, payload=hello.payload[:50])
    rest = replace(first, sequence=hello.sequence + 50, payload=hello.payload[50:])
    again = [[replace(hello, time=hello.time + SECOND)], [first, rest], [rest]][cuts]
    connection = written(tmp_path / "a.pcap", [*sent[: place + 1], *again, *later(sent[place + 1 :], SECOND)])
    found = told(connection)
    assert found["hello_again"].startswith("The ServerHello took 1,00")
    assert f": {what} was sent again, and the ServerHello came " in found["hello_again"]
    assert not {"split_path", "slow_server"} & found.keys()
    alone = told(written(tmp_path / "b.pcap", [*sent[: place + 1], *later(sent[place + 1 :], SECOND)]))
    assert {"split_path", "slow_server"} & alone.keys()
    assert "hello_again" not in alone


def test_a_hello_that_the_server_had_was_not_late(tmp_path: Path) -> None:
    sent, place = recorded()
    hello, answer = sent[place], next(one for one in sent[place:] if one.ports != sent[place].ports)
    taken = replace(answer, time=hello.time + 100, payload=b"", acknowledged=hello.sequence + len(hello.payload))
    again = replace(hello, time=hello.time + SECOND // 5)
    following = later(sent[place + 1 :], SECOND)
    found = told(written(tmp_path / "a.pcap", [*sent[: place + 1], taken, again, *following]))
    assert "hello_again" not in found
    assert {"split_path", "slow_server"} & found.keys()


def test_bytes_of_a_flight_that_are_sent_again_count_once(tmp_path: Path) -> None:
    sent, place = recorded()
    at = next(at for at, one in enumerate(sent) if at > place and one.payload)
    flight = sent[at]
    assert flight.ports != sent[place].ports
    parts = [replace(flight, payload=flight.payload[:60])]
    parts += [replace(flight, sequence=flight.sequence + 2, payload=flight.payload[2:])]
    found = told(written(tmp_path / "a.pcap", [*sent[:at], *parts, *sent[at + 1 :]]))
    assert f" 2 segments with {len(flight.payload):,} bytes" in found["flight_segments"]


def test_packets_after_the_handshake_may_have_been_captured_twice_too(tmp_path: Path) -> None:
    sent, _ = recorded("tls13-full")
    twice = [copy for one in sent for copy in (one, replace(one, time=one.time + 20))]
    connection = written(tmp_path / "a.pcap", twice)
    copies = connection.transcript.copies
    assert 1 < copies < len(sent)
    assert told(connection)["captured_twice"].startswith(f"At least {copies} packets were captured twice, ")
