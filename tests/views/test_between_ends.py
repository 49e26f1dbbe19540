"""Two captures of the same connections, recorded at both ends of a path that loses packets."""

from __future__ import annotations

import gzip
import struct
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec.structs import replace
from recorded import HEADER, ROOT

import tlsdissect
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.views.both_ends import path
from tlsdissect.views.both_ends.path import ends, joined, losses
from tlsdissect.views.both_ends.recognition import Recognizer, View
from tlsdissect.views.explain import explain
from tlsdissect.views.ladder.model import views
from tlsdissect.views.ladder.plot import figure

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Side
    from tlsdissect.views.explain.model import Sentence

SIDES: tuple[Side, Side] = ("client", "server")


def both(name: str) -> tuple[Path, Path]:
    client, server = (ROOT / f"samples/{name}-{end}.pcap.gz" for end in SIDES)
    return client, server


def connections(*paths: Path) -> list[KeptConnection]:
    return [one for one in tlsdissect.read(*paths, keep=True) if isinstance(one, KeptConnection)]


def recognized(*paths: Path) -> list[tuple[KeptConnection, KeptConnection]]:
    read, recognizer = connections(*paths), Recognizer()
    for one in read:
        recognizer.add(one)
    by = {View.of(one): one for one in read}
    return [(by[one], by[other]) for one, other in recognizer.pairs()]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[KeptConnection, KeptConnection]]:
    return recognized(*both("ends"))


def told(one: KeptConnection, other: KeptConnection) -> list[Sentence]:
    return [sentence for sentence in explain(joined(one, other)).sentences if sentence.topic == "path"]


def lost(pair: tuple[KeptConnection, KeptConnection]) -> list[tuple[str, int]] | None:
    found = losses(ends(*pair))
    return None if found is None else [(one.sender, one.size) for one in found]


def test_each_lost_flight_is_found(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    """The relay lost the two segments of a server's first flight, and a ClientHello."""
    assert [lost(pair) for pair in pairs] == [[], [("server", 548), ("server", 131)], [("client", 241)], []]
    assert [lost(pair[::-1]) for pair in pairs] == [lost(pair) for pair in pairs]


def test_the_story_of_a_lost_flight(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    sentences = told(*pairs[1])
    codes = [one.code for one in sentences]
    assert codes == ["same_connection", *["lost_on_the_way"] * 2, "round_trip_between", *["answer"] * 3]
    flight, hello = sentences[1], sentences[4]
    assert "548 bytes of the server were lost on the way" in flight.text
    first, again = flight.other_frames
    assert {packet.frame for packet in pairs[1][1].transcript.packets if packet.length == 548} == {first, again}
    # The server answered at once; with one capture it looks slow.
    assert " ms in the server, and " in hello.text
    alone = [one.code for one in explain(pairs[1][0]).sentences]
    assert "slow_server" in alone
    assert "slow_server" not in [one.code for one in explain(joined(*pairs[1])).sentences]


def test_where_nothing_was_lost_it_says_so(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    assert "nothing_lost" in [one.code for one in told(*pairs[0])]
    took = [one for one in told(*pairs[0]) if one.code == "round_trip_between"]
    assert "the round trip between the two took 40.4 ms" in took[0].text


def test_no_time_of_one_clock_is_compared_with_one_of_another(
    pairs: list[tuple[KeptConnection, KeptConnection]], tmp_path: Path
) -> None:
    """Behind NAT, with sequence numbers of its own and a clock that is 1,000 s ahead, the server sees the same."""
    client, server = both("ends")
    rewritten = tmp_path / "server.pcap"
    rewritten.write_bytes(_translated(gzip.decompress(server.read_bytes())))
    found = recognized(client, rewritten)
    assert len(found) == len(pairs) == 4
    assert {other.client.ip for _, other in found} == {"203.0.113.9"}
    for pair, before in zip(found, pairs, strict=True):
        texts = [[one.text for one in told(*each)[1:]] for each in (pair, before)]
        assert texts[0] == texts[1]


@pytest.mark.parametrize("side", SIDES)
def test_lost_syns_are_counted(side: Side, pairs: list[tuple[KeptConnection, KeptConnection]], tmp_path: Path) -> None:
    """A SYN was sent before the one that arrived: what else was lost is found as without it."""
    paths = dict(zip(SIDES, both("ends"), strict=True))
    rewritten = tmp_path / "rewritten.pcap"
    rewritten.write_bytes(_with_earlier_syns(gzip.decompress(paths[side].read_bytes()), of_client=side == "client"))
    paths[side] = rewritten
    found = recognized(*paths.values())
    assert [lost(pair) for pair in found] == [lost(pair) for pair in pairs]
    again = [[one.again and one.again.payload for one in losses(ends(*pair)) or ()] for pair in found]
    assert again == [[one.again and one.again.payload for one in losses(ends(*pair)) or ()] for pair in pairs]
    assert len(found) == 4
    name = "SYNs" if side == "client" else "SYN-ACKs"
    for pair in found:
        told_first, *others = [one for one in told(*pair) if one.code in ("lost_on_the_way", "nothing_lost")]
        assert told_first.text.startswith(f"1 of 2 {name} of the {side} did not arrive")
        assert "nothing_lost" not in [one.code for one in others]


def _with_earlier_syns(capture: bytes, *, of_client: bool) -> bytes:
    """The capture with a copy of each SYN, a second before it, or of each SYN-ACK, shortly before it."""
    packets, at = [], 24
    while at < len(capture):
        second, fraction, size, whole = HEADER.unpack_from(capture, at)
        packet = capture[at + 16 : at + 16 + size]
        at += 16 + size
        packets.append((second, fraction, whole, packet))
        if packet[33] & 2 and (packet[12:16] == bytes((10, 77, 0, 1))) is of_client:
            early = (second - 1, fraction) if of_client else (second, fraction - 1)
            # Another identification: what is the same to the byte was captured twice.
            packets.append((*early, whole, packet[:4] + b"\xab\xcd" + packet[6:10] + b"\0\0" + packet[12:]))
    packets.sort(key=lambda one: one[:2])
    return capture[:24] + b"".join(HEADER.pack(s, f, len(p), whole) + p for s, f, whole, p in packets)


def _translated(capture: bytes) -> bytes:
    """The capture with other addresses, ports, clock and initial sequence numbers of the client."""
    out, at = [capture[:24]], 24
    while at < len(capture):
        second, fraction, size, whole = HEADER.unpack_from(capture, at)
        packet = bytearray(capture[at + 16 : at + 16 + size])
        at += 16 + size
        from_client = packet[12:16] == bytes((10, 77, 0, 1))
        address, port, number = (12, 20, 24) if from_client else (16, 22, 28)
        packet[address : address + 4] = bytes((203, 0, 113, 9))
        for place, form, more in ((port, ">H", 1000), (number, ">I", 0xFFFFFF00)):
            (value,) = struct.unpack_from(form, packet, place)
            struct.pack_into(form, packet, place, (value + more) % (1 << 8 * struct.calcsize(form)))
        packet[10:12] = packet[36:38] = b"\0\0"
        out += [HEADER.pack(second + 1000, fraction, size, whole), bytes(packet)]
    return b"".join(out)


class _Raw(NamedTuple):
    """A packet of a capture of raw IP: what is the same at both ends, its frame and its payload's length."""

    key: bytes
    frame: int
    length: int


def _raw(path: Path) -> list[_Raw]:
    capture, at, found = gzip.decompress(path.read_bytes()), 24, []
    while at < len(capture):
        size = HEADER.unpack_from(capture, at)[2]
        packet = capture[at + 16 : at + 16 + size]
        at += 16 + size
        # Identification, addresses, ports and sequence number.
        found.append(_Raw(packet[4:6] + packet[12:28], len(found) + 1, size - 20 - (packet[32] >> 4) * 4))
    return found


def test_losses_are_those_that_raw_packets_show() -> None:
    """On a path that loses 4 %: each loss in a handshake is found, and nothing else is called lost."""
    client, server = both("paths")
    raw = {"client": _raw(client), "server": _raw(server)}
    found = {side: set[int]() for side in SIDES}
    handshake = {side: set[int]() for side in SIDES}
    for one, other in recognized(client, server):
        its = ends(one, other)
        assert its.known
        assert its.client.source == str(client)
        for loss in losses(its) or ():
            found[loss.sender].add(loss.packet.frame)
            assert not loss.missed
        for side in SIDES:
            view = its.at(side)
            end = getattr(view.handshake_bytes, side)
            mine = [packet for packet in view.transcript.packets if packet.sender == side and packet.length]
            handshake[side] |= {packet.frame for packet in mine if (packet.offset or 0) < end}
    for side, other in (("client", "server"), ("server", "client")):
        mine = [packet for packet in raw[side] if (packet.key[2:6] == bytes((10, 77, 0, 1))) == (side == "client")]
        there = Counter(packet.key for packet in raw[other])
        lost = {packet.frame for packet in mine if packet.length and not there[packet.key]}
        assert found[side] == lost & handshake[side]
        assert len(found[side]) >= 4


def test_what_was_acknowledged_did_arrive(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    """The capture at the client's end lacks a segment that the client acknowledged."""
    client, server = pairs[0]
    packets = client.transcript.packets
    (flight,) = [one for one in packets if one.sender == "server" and one.length == 548]
    kept = tuple(one for one in packets if one is not flight)
    holey = replace(client, transcript=replace(client.transcript, packets=kept))
    (one,) = losses(ends(holey, server)) or ()
    assert (one.missed, one.size) == (True, 548)
    sentence = told(holey, server)[1]
    assert sentence.code == "not_captured"
    assert "are not in the capture at the client's end, which has their acknowledgement" in sentence.text


def test_segments_that_a_card_joined_are_no_loss(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    """Segmentation offload: the sender's capture has one packet where the receiver's has two."""
    client, server = pairs[0]
    first, second = [one for one in server.transcript.packets if one.sender == "server" and one.length][:2]
    whole = replace(first, length=first.length + second.length, payload=first.payload + second.payload)
    packets = tuple(whole if one is first else one for one in server.transcript.packets if one is not second)
    assert lost((client, replace(server, transcript=replace(server.transcript, packets=packets)))) == []


def test_datagrams_are_compared_as_a_whole() -> None:
    (one,) = connections(ROOT / "samples/dtls/dtls12-full.pcap")
    nearer = replace(one.timing, server_hello_ms=1.0)
    packets = one.transcript.packets
    flight = next(packet for packet in packets if packet.sender == "client")
    there = replace(one, source="b", timing=nearer, transcript=replace(one.transcript, packets=packets[1:]))
    here = replace(one, timing=replace(one.timing, server_hello_ms=41.0))
    (loss,) = losses(ends(here, there)) or ()
    assert (loss.sender, loss.packet, loss.again, loss.missed) == ("client", flight, None, False)
    guessed = [sentence for sentence in told(here, there) if sentence.code == "lost_on_the_way"]
    assert [sentence.guess for sentence in guessed] == [True]


def test_two_captures_of_one_place_tell_no_losses(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    one = pairs[0][0]
    assert losses(ends(one, replace(one, source="b"))) is None
    texts = " ".join(sentence.text for sentence in told(one, replace(one, source="b")))
    assert "which of the two was captured nearer to the client is not known" in texts
    assert "lost between the two is not known" in texts


def test_too_many_parts_are_not_compared(
    pairs: list[tuple[KeptConnection, KeptConnection]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "MAX_PARTS", 3)
    assert losses(ends(*pairs[1])) is None


def test_ladders_show_what_was_lost_at_the_end_that_sent_it(pairs: list[tuple[KeptConnection, KeptConnection]]) -> None:
    client, server = views(joined(*pairs[1]))
    assert [arrow.labels for arrow in server.arrows if arrow.kind == "lost"] == [
        ("548 bytes not seen at the other end",),
        ("131 bytes not seen at the other end",),
    ]
    assert [arrow for arrow in client.arrows if arrow.kind == "lost"] == []
    # The flight as it was first sent did not arrive, and is drawn so.
    assert [arrow.kind for arrow in server.arrows if not arrow.arrives] == ["lost", "lost", "clear"]
    assert all(arrow.arrives for arrow in client.arrows)
    crosses = [line for line in figure([server]).axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 3
    (client, server) = views(joined(*pairs[2]))
    assert [arrow.sender for arrow in client.arrows if arrow.kind == "lost"] == ["client"]
    assert [arrow for arrow in server.arrows if arrow.kind == "lost"] == []
