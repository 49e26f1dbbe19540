"""QUIC clients whose address changes: a NAT gives them another port, and their packets keep their connection IDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from datagrams import sent
from quicwriting import Sent, crypto, handshake, initial, pcap, short
from test_quic import ACK, ANSWER, CLIENT, HELLO, ORIGINAL, SERVER, course, read

from tlsdissect.capture.packet import Packet
from tlsdissect.flows.limits import Limits
from tlsdissect.flows.table import Shard
from tlsdissect.flows.udp import UdpFlow
from tlsdissect.handshake.options import Options
from tlsdissect.handshake.quic_migration import MovedClients
from tlsdissect.pipeline import Reading, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MOVED = 40_001
AFTER = [Sent(short(SERVER)), Sent(short(CLIENT), by_client=False)]
"""What a client and its server say after the handshake."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "moved.pcap"


def at(port: int, datagrams: Iterable[Sent]) -> list[Sent]:
    return [one._replace(port=port) for one in datagrams]


def moved(datagrams: Sequence[Sent], after: int) -> list[Sent]:
    """The same datagrams, whose client has another port after the first ones."""
    return [*datagrams[:after], *at(MOVED, datagrams[after:])]


def undecoded(path: Path, shards: int = 1) -> Summary:
    """What is said of the flows that were not decoded."""
    summaries = []
    for number in range(shards):
        reading = Reading([str(path)], shard=Shard(number, shards))
        for _ in reading.placed():
            pass
        summaries.append(reading.summary)
    for one in summaries[1:]:
        summaries[0].include_shard(one)
    return summaries[0]


@pytest.mark.parametrize("client", [CLIENT, b""])
@pytest.mark.parametrize("after", [4, 5])
def test_a_client_that_moves_during_the_handshake(path: Path, client: bytes, after: int) -> None:
    """It is one connection, at the address where it began, and the other flow is no connection that is not decoded."""
    whole = read(path, course(client))
    assert read(path, moved(course(client), after)) == whole
    assert [undecoded(path, shards).quic for shards in (1, 2)] == [0, 0]


def test_a_client_that_repeats_its_hello_from_another_address(path: Path) -> None:
    """The server's answer went to the port that the NAT had forgotten."""
    whole = course()
    again = moved([*whole[:4], *course(number=2)], 4)
    [one] = read(path, again)
    assert (one["outcome"], one["packets"], one["client"]["port"]) == ("established", len(again), 40_000)
    assert one["quic"]["initial_packets"] == {"client": 5, "server": 2}


def test_a_client_that_moves_after_the_handshake(path: Path) -> None:
    """More than once, and back; the server's packets to the new address belong to it, too."""
    for client in (CLIENT, b""):
        later = [AFTER[0], Sent(short(client), by_client=False)] * 3
        whole = [*course(client), *at(MOVED, later), *at(MOVED + 1, later), *later, *at(MOVED, later)]
        [one] = read(path, whole)
        assert (one["packets"], one["bytes"]) == (len(whole), sum(len(each.data) for each in whole))
        assert (one["stream"], one["client"]["port"]) == (0, 40_000)
        assert [problem["code"] for problem in one["problems"]] == ["inferred"]


def test_a_client_that_takes_another_id_where_it_moved(path: Path) -> None:
    """Nobody can read which one, but where the client moved, nothing else was said."""
    other = Sent(short(b"\x77" * 8))
    [one] = read(path, [*course(), *at(MOVED, [*AFTER, other])])
    assert one["packets"] == 11
    [one] = read(path, [*course(), *at(MOVED, [other, *AFTER])])
    assert one["packets"] == 10


@pytest.mark.parametrize(
    "stray",
    [
        short(b"\x04" * 7 + b"\x77"),
        handshake(b"\x77" * 8, CLIENT),
        b"\x01" + SERVER,
        b"\x41",
        b"",
        b"\xe3\0\0\0\x01",
        b"\xe3\0\0\0\x01\xff" + SERVER,
    ],
)
def test_what_has_no_known_id_belongs_to_nobody(path: Path, stray: bytes) -> None:
    [one] = read(path, [*course(), *at(MOVED, [Sent(stray)])])
    assert one["packets"] == 8


def test_a_short_id_is_too_easily_matched(path: Path) -> None:
    def handshaking(server: bytes) -> list[Sent]:
        return [
            Sent(initial(crypto(0, HELLO), ORIGINAL, CLIENT)),
            Sent(
                initial(ACK + crypto(0, ANSWER), CLIENT, server, side="server", keyed=ORIGINAL, size=200)
                + handshake(CLIENT, server),
                by_client=False,
            ),
            Sent(handshake(server, CLIENT) + short(server), port=MOVED),
        ]

    for size, packets in ((3, 2), (4, 3)):
        [one] = read(path, handshaking(b"\x09" * size))
        assert one["packets"] == packets


def test_another_connection_from_there_is_its_own(path: Path) -> None:
    """Its client has a port that another one moved to."""
    other = b"\x05" * 8
    for client in (CLIENT, other, b""):
        second = course(client, keyed=other)
        [one, two] = read(path, [*moved(course(), 5), *at(MOVED, second)])
        assert (one["client"]["port"], one["packets"]) == (40_000, 8)
        assert (two["client"]["port"], two["outcome"], two["packets"]) == (MOVED, "established", 8)
        assert (one["stream"], two["stream"]) == (0, 1)


def test_another_protocol_from_there_is_read(path: Path) -> None:
    """Whoever copied an ID must not hide a handshake of DTLS behind it."""
    hello = next(data for side, data in sent("dtls12-full") if side == 0)
    [one, two] = read(path, [*course(), *at(MOVED, [*AFTER, Sent(hello), *AFTER])])
    assert (one["transport"], one["packets"], two["transport"]) == ("quic", 10, "udp")
    assert (two["client"]["port"], two["client_hello"] is not None) == (MOVED, True)


def test_an_initial_packet_with_a_foreign_id_hides_no_connection(path: Path) -> None:
    """A server that has forgotten the first connection begins another one with the same ID."""
    for keyed in (SERVER, ORIGINAL):
        hidden = course(b"\x06" * 8, keyed=keyed)
        [one, two] = read(path, [*course(), *at(MOVED, hidden)])
        assert (one["packets"], two["outcome"]) == (8, "established")
        assert two["client"]["port"] == MOVED


def test_a_connection_that_is_over_has_no_other_address(path: Path) -> None:
    late = pcap(at(MOVED, AFTER), start=1_700_001_000)[24:]
    path.write_bytes(pcap(course()) + late)
    [one] = list(Reading([str(path)], Options(limits=Limits(udp_silent_after=60))))
    assert one.packets == 8
    path.write_bytes(pcap(course()) + late)
    [one] = list(Reading([str(path)], Options(limits=Limits(udp_silent_after=6000))))
    assert one.packets == 10


def test_a_later_connection_from_the_first_address_is_another_one(path: Path) -> None:
    """What the server still says where the first client moved does not belong to it."""
    late = [*course(b"\x06" * 8, keyed=b"\x05" * 8), *at(MOVED, AFTER[1:] * 3)]
    path.write_bytes(pcap([*course(), *at(MOVED, AFTER)]) + pcap(late, start=1_700_001_000)[24:])
    [one, two] = list(Reading([str(path)], Options(limits=Limits(udp_silent_after=60))))
    assert (one.packets, two.packets) == (10, 8)


def test_packets_at_another_address_keep_a_connection_open(path: Path) -> None:
    """Three pauses of 40 seconds are not one of 60."""
    parts = [pcap(at(MOVED, AFTER), start=1_700_000_000 + 40 * number)[24:] for number in (1, 2, 3)]
    path.write_bytes(pcap(course()) + b"".join(parts))
    [one] = list(Reading([str(path)], Options(limits=Limits(udp_silent_after=60))))
    assert one.packets == 14


def test_nothing_is_kept_of_connections_that_are_over() -> None:
    moves = MovedClients()
    endpoints = bytes(15) + b"\1" + bytes(15) + b"\2" + b"\0\1\0\2"
    flow, later = UdpFlow(endpoints, 0), UdpFlow(endpoints, 1)
    moves.add(flow, [(1, SERVER), (1, ORIGINAL), (1, b"")])
    moves.add(later, [(1, SERVER)])
    packet = Packet()
    packet.data = short(SERVER)
    packet.captured = packet.length = len(packet.data)
    packet.endpoints = endpoints[:-4] + b"\0\7\0\3"
    assert moves.find(packet) is None
    packet.endpoints = endpoints[:-4] + b"\0\7\0\2"
    assert moves.find(packet) is flow
    moves.forget(flow)
    moves.forget(flow)
    moves.forget(later)
    assert (len(moves), moves.find(packet)) == (0, None)
    assert vars(moves) == vars(MovedClients())
