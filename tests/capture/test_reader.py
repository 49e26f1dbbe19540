"""PacketReader: the fields of each packet, and how much of a frame and of a source it reads."""

from __future__ import annotations

import io
import os
import struct
import threading
from ipaddress import ip_address
from typing import BinaryIO

import building as b
import pytest
from rows import Pieces
from test_headers import IPV4, QOS, SNAP, TUNNELS, over_udp, segments, source_route

from tlsdissect.capture import open_capture
from tlsdissect.capture.headers import MAX_PACKETS_OF_FRAME
from tlsdissect.capture.packet import TCP, UDP, UNTIMED, Packet

FIELDS = [name for name in Packet.__slots__ if name != "data"]


def seen(packet: Packet) -> dict[str, object]:
    """Return the fields of a packet; instead of `data`, its payload."""
    return {**{name: getattr(packet, name) for name in FIELDS}, "bytes": packet.captured_payload()}


def packets(data: bytes | BinaryIO) -> list[dict[str, object]]:
    """Read a capture to its end."""
    packet = Packet()
    found = []
    with open_capture(io.BytesIO(data) if isinstance(data, bytes) else data) as reader:
        while reader.next(packet):
            found.append(seen(packet))
        assert reader.ended
        assert not reader.next(packet)
    return found


def endpoints(source: str, destination: str, sport: int = 50_000, dport: int = 443) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed + struct.pack(">HH", sport, dport)


def test_fields_of_a_segment() -> None:
    (packet,) = packets(b.pcap([b.ether(b.ip4(b.tcp(), number=77, options=b"\1" * 4)) + bytes(9)]))
    assert packet == {
        "frame": 1,
        "time": b.TIME,
        "digits": 9,
        "protocol": TCP,
        "endpoints": endpoints(b.CLIENT, b.SERVER),
        "ip": 40 + 14,
        "transport": 40 + 38,
        "sequence": 7,
        "acknowledgement": 9,
        "flags": 0x18,
        "payload": 40 + 58,
        "length": 5,
        "captured": 5,
        "place": 58,
        "interface": 0,
        "identification": 77,
        "window": 8192,
        "quoted": False,
        "bytes": b"hello",
    }


def test_fields_of_a_datagram() -> None:
    data = b.section() + b.interface() + b.interface(229)
    data += b.enhanced(b.ip6(b.udp(b"question")), 5, number=1)
    data = data.replace(bytes([6, 64]), bytes([17, 64]), 1)
    (packet,) = packets(data)
    told = {name: packet[name] for name in ("protocol", "interface", "identification", "sequence", "flags", "bytes")}
    assert told == {
        "protocol": UDP,
        "interface": 1,
        "identification": -1,
        "sequence": 0,
        "flags": 0,
        "bytes": b"question",
    }
    assert packet["endpoints"] == endpoints(b.CLIENT6, b.SERVER6, 40_000, 53)


def test_an_eap_packet_has_nothing_of_the_segment_before() -> None:
    request = b"\x01\x01\x00\x05\x0d"
    frame = b.ether(struct.pack(">BBH", 2, 0, len(request)) + request, 0x888E)
    _, packet = packets(b.pcap([b.ether(b.ip4(b.tcp(), number=77)), frame + bytes(40)]))
    assert {name: packet[name] for name in ("sequence", "acknowledgement", "flags", "window", "identification")} == {
        "sequence": 0,
        "acknowledgement": 0,
        "flags": 0,
        "window": 0,
        "identification": -1,
    }
    assert (packet["endpoints"], packet["bytes"]) == (bytes(16), request)


@pytest.mark.parametrize("kind", ["route", "segments"])
def test_endpoints_of_a_source_route(kind: str) -> None:
    """The destination is the last one."""
    if kind == "route":
        (packet,) = packets(b.pcap([source_route(131, 4)], link=228))
        assert packet["endpoints"] == endpoints(b.CLIENT, b.SERVER)
    else:
        (packet,) = packets(b.pcap([segments(0, 2, "2001:db8::6", b.SERVER6)], link=229))
        assert packet["endpoints"] == endpoints(b.CLIENT6, b.SERVER6)


def test_place_and_identification_of_a_joined_packet() -> None:
    segment = b.tcp(bytes(range(52)))
    four = [b.ip4(segment[:24], fragment=0x2000, number=9), b.ip4(segment[24:], fragment=3, number=9)]
    six = [b.ip6(struct.pack(">BBHI", 6, 0, at | (at == 0), 1 << 31) + part, 44) for at, part in
           ((0, segment[:24]), (24, segment[24:]))]  # fmt: skip
    one, other = packets(b.pcap([*four, *six], link=101))
    assert [(each["frame"], each["place"], each["bytes"]) for each in (one, other)] == [
        (2, -1, segment[20:]),
        (4, -1, segment[20:]),
    ]
    assert (one["identification"], other["identification"]) == (9, 1 << 31)


def test_a_simple_packet_has_no_time() -> None:
    packet = b.ether(IPV4)
    data = b.section() + b.interface() + b.block(3, struct.pack("<I", len(packet)) + packet)
    assert [each["time"] for each in packets(data)] == [UNTIMED]


def checksum(packet: bytes, at: int) -> bytes:
    """Write the right checksum into a packet without IP options, by the definition of RFC 1071."""
    size = 20 if packet[0] >> 4 == 4 else 40
    protocol = packet[9] if size == 20 else packet[6]
    segment = packet[size:]
    pseudo = packet[size - (8 if size == 20 else 32) : size] + struct.pack(">II", protocol, len(segment))
    total = sum(struct.unpack(f">{len(pseudo + segment + bytes(len(segment) % 2)) // 2}H", pseudo + segment
                              + bytes(len(segment) % 2)))  # fmt: skip
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return packet[: size + at] + struct.pack(">H", ~total & 0xFFFF) + packet[size + at + 2 :]


RIGHT = {
    "TCP": checksum(b.ip4(b.tcp()), 16),
    "TCP, even": checksum(b.ip4(b.tcp(b"even")), 16),
    "TCP, nothing": checksum(b.ip4(b.tcp(b"")), 16),
    "TCP, IPv6": checksum(b.ip6(b.tcp(b"\xff" * 1001)), 16),
    "UDP": checksum(b.ip4(b.udp(b"odd"), 17), 6),
    "UDP, IPv6": checksum(b.ip6(b.udp(b"even"), 17), 6),
}


def is_right(packet: bytes) -> bool:
    filled = Packet()
    with open_capture(io.BytesIO(b.pcap([packet], link=101))) as reader:
        assert reader.next(filled)
        return filled.checksum_is_right()


@pytest.mark.parametrize("name", RIGHT)
def test_checksums(name: str) -> None:
    packet = RIGHT[name]
    assert is_right(packet + bytes(7))
    for at in range(20 if packet[0] >> 4 == 4 else 40, len(packet)):
        changed = bytearray(packet)
        changed[at] ^= 0x10
        # A changed length is another packet, and a changed header length no segment.
        if changed[at - 4 : at + 1] and not (name.startswith("UDP") and at in {24, 25, 44, 45}):
            assert not is_right(bytes(changed)), at


def test_a_datagram_without_a_checksum_is_right() -> None:
    assert is_right(b.ip4(b.udp(b"anything"), 17))


def test_what_a_packet_refers_to_stays() -> None:
    """A packet's bytes and endpoints may be kept while others are read, out of other windows too."""
    bodies = [bytes([number]) * 1400 for number in range(250)] * 6
    kept = []
    packet = Packet()
    with open_capture(io.BytesIO(b.pcap([b.ether(b.ip4(b.tcp(body))) for body in bodies]))) as reader:
        while reader.next(packet):
            kept.append((packet.data, packet.payload, packet.payload + packet.captured, packet.endpoints))
    assert [data[start:end] for data, start, end, _ in kept] == bodies
    assert len({id(data) for data, *_ in kept}) > 1


DAMAGED = bytearray(b.pcap([b.ether(b.ip4(b.tcp(bytes(number * 7), seq=number))) for number in range(300)]))
DAMAGED[20_000:20_900] = b"\xff" * 900
BLOCKS = [b.enhanced(b.ether(b.ip4(b.tcp(bytes(number * 7), seq=number))), number) for number in range(300)]
BLOCKS[100:101] = [bytes(16), b.block(0x0BAD, bytes(5000)), b.interface(1) * 3]


@pytest.mark.parametrize("size", [1, 13, 4096])
@pytest.mark.parametrize(
    "data", [bytes(DAMAGED), b.section() + b.interface() + b"".join(BLOCKS)], ids=["pcap", "pcapng"]
)
def test_any_read_size(data: bytes, size: int) -> None:
    """The packets and the damage are the same however few bytes a source gives at a time."""
    with open_capture(io.BytesIO(data)) as whole, open_capture(Pieces(data, size)) as parts:
        one, other = Packet(), Packet()
        while whole.next(one):
            assert parts.next(other)
            differ = {"ip", "transport", "payload"}
            assert {name: value for name, value in seen(one).items() if name not in differ} == {
                name: value for name, value in seen(other).items() if name not in differ
            }
        assert not parts.next(other)
        assert whole.damage == parts.damage
        assert len(whole.damage) == 1
        assert whole.skipped == parts.skipped


def test_a_pipe_that_pauses() -> None:
    """What has come is read before more is waited for."""
    data = b.pcap([b.ether(IPV4)] * 3)
    reading, writing = os.pipe()
    first = len(b.pcap([b.ether(IPV4)] * 2)) + 5
    os.write(writing, data[:first])
    packet = Packet()
    with open(reading, "rb", buffering=0) as pipe, open_capture(f"/dev/fd/{pipe.fileno()}") as reader:  # noqa: PTH123
        while not reader.next(packet):
            assert not reader.ended
        assert reader.next(packet)
        assert packet.frame == 2
        assert not reader.next(packet)
        assert not reader.ended
        rest = threading.Timer(0.2, lambda: (os.write(writing, data[first:]), os.close(writing)))
        rest.start()
        # Asked again, it waits.
        assert reader.next(packet)
        assert packet.frame == 3
        assert not reader.next(packet)
        rest.join()
        while not reader.ended:
            assert not reader.next(packet)


def test_a_frame_of_too_many_packets() -> None:
    """Each subframe is a tunnel in a tunnel, over UDP."""
    inner = IPV4
    for _ in range(5):
        inner = b.ip4(b.udp(b"\0\0\x08\0" + inner, dport=4754), 17)
    subframe = bytes(12) + struct.pack(">H", 8 + len(inner)) + SNAP + inner
    frame = QOS + b"\x80\0" + (subframe + bytes(-len(subframe) % 4)) * 1000
    with open_capture(io.BytesIO(b.pcap([frame, bytes(24)], link=105))) as reader:
        packet = Packet()
        found = 0
        while reader.next(packet):
            found += 1
        assert found == MAX_PACKETS_OF_FRAME
        assert reader.frames == 2
        assert reader.skipped == {f"frames with more than {MAX_PACKETS_OF_FRAME:,} packets": 1}


def test_fragments_nested_too_deep() -> None:
    """A tunnel's packet may come in fragments, whose packet is a tunnel's, and so on: eight times."""
    for depth, found in ((8, 1), (9, 0)):
        packet, protocol = b.tcp(bytes(40)), 6
        frames = []
        for number in range(depth):
            frames.append(b.ip4(packet[:24], protocol, fragment=0x2000, number=number))
            packet, protocol = b.ip4(packet[24:], protocol, fragment=3, number=number), 4
        with open_capture(io.BytesIO(b.pcap([*frames, packet], link=101))) as reader:
            assert reader.next(Packet()) == bool(found)
            while reader.next(Packet()):
                pass
            assert ("IP fragments nested too deep" in reader.skipped) == (not found)


def test_what_is_inside_is_read_in_the_order_of_the_bytes() -> None:
    def subframe(body: bytes) -> bytes:
        body = bytes(12) + struct.pack(">H", 8 + len(body)) + SNAP + body
        return body + bytes(-len(body) % 4)

    error = b.ip4(b"\x03\x01" + bytes(6) + b.ip4(b.tcp(b"quoted")), 1)
    tunnel = TUNNELS["GRE"][14:]
    frame = QOS + b"\x80\0" + b"".join(map(subframe, (error, tunnel, b.ip4(b.tcp(b"last")))))
    found = packets(b.pcap([frame], link=105))
    assert [(each["protocol"], each["quoted"], each["bytes"]) for each in found] == [
        (UDP, False, b"\0\0\x08\0" + IPV4),
        (TCP, False, b"hello"),
        (TCP, False, b"last"),
        (TCP, True, b"quoted"),
    ]


def test_a_tunnel_is_cut_where_its_datagram_ends() -> None:
    """Padding behind a datagram belongs to nothing inside it."""
    outer, inner = packets(b.pcap([over_udp(4754, b"\0\0\x08\0" + b.ip4(b.tcp(), total=60)) + bytes(30)]))
    assert (outer["length"], inner["length"]) == (4 + 45, 5)
