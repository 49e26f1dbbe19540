"""Every header in front of TCP, made by hand: the columns must be those of the packet without it."""

from __future__ import annotations

import io
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import building as b
import pytest
from rows import rows_of

from tlsdissect.capture import open_capture
from tlsdissect.capture.protocols import INTERNAL, LINK_TYPE

if TYPE_CHECKING:
    from rows import Read

IPV4, IPV6 = b.ip4(b.tcp()), b.ip6(b.tcp())
ETHERNET = b.ether(IPV4)
PPP = b"\xff\x03\x00\x21" + IPV4
SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
DATA = bytes([0x08, 0x02]) + bytes(22)
QOS = bytes([0x88, 0x01]) + bytes(22)
MESH = b"\x88\x03" + bytes(28) + b"\0\x01"
MESH_CONTROL = b"\0\x1f\x01\0\0\0"
MESH_AMSDU = b"\xff" * 12 + struct.pack(">H", 14 + len(IPV4)) + MESH_CONTROL + SNAP + IPV4
AMSDU = bytes(12) + struct.pack(">H", 8 + len(IPV4)) + SNAP + IPV4


def gre(flags: int, kind: int, options: bytes, body: bytes) -> bytes:
    return b.ether(b.ip4(struct.pack(">HH", flags, kind) + options + body, 47))


def over_udp(port: int, body: bytes) -> bytes:
    return b.ether(b.ip4(b.udp(body, dport=port), 17))


def pktap(link: int) -> bytes:
    return struct.pack("<3I24sII", 108, 1, link, b"en0", 1, 2) + bytes(64)


def ipnet(family: int, packet: bytes) -> bytes:
    return struct.pack(">BBHI", 2, family, 0, len(packet)) + bytes(16) + packet


def source_route(kind: int, pointer: int, *, before: bytes = b"", to: str = "203.0.113.5") -> bytes:
    """An IPv4 packet that goes by two routers, whose destination is the first of them."""
    route = bytes([kind, 11, pointer]) + ip_address("203.0.113.6").packed + ip_address(b.SERVER).packed
    options = before + route
    return b.ip4(b.tcp(), options=options + bytes(-len(options) % 4), to=to)


def segments(kind: int, left: int, *addresses: str, to: str = "2001:db8::5") -> bytes:
    """An IPv6 packet with a routing header."""
    head = struct.pack(">BBBBI", 6, 2 * len(addresses), kind, left, 0)
    route = b"".join(ip_address(address).packed for address in addresses)
    return b.ip6(head + route + b.tcp(), 43, to=to)


PLAIN = {
    "source route": (228, source_route(131, 4)),
    "source route, strict": (228, source_route(137, 8)),
    "source route, behind others": (228, source_route(131, 4, before=b"\x01\x94\x04\0\0\x01")),
    "source route, at its end": (228, source_route(131, 12, to=b.SERVER)),
    "Ethernet": (1, ETHERNET),
    "Ethernet, padded": (1, ETHERNET + bytes(60)),
    "802.3 LLC/SNAP": (1, b.ether(SNAP + IPV4, 8 + len(IPV4))),
    "VLAN": (1, b.ether(b"\0\x05\x08\0" + IPV4, 0x8100)),
    "VLAN stack": (1, b.ether(b"\0\x05\x91\0\0\x06\x81\0\0\x07\x08\0" + IPV4, 0x88A8)),
    "VN-Tag": (1, b.ether(b"\xc0\0\0\x01\x08\0" + IPV4, 0x8926)),
    "HSR": (1, b.ether(b"\0\x30\0\x01\x08\0" + IPV4, 0x892F)),
    "R-Tag": (1, b.ether(b"\0\0\0\x01\x08\0" + IPV4, 0xF1C1)),
    "E-Tag": (1, b.ether(b"\x10\0\0\x01\0\0\x08\0" + IPV4, 0x893F)),
    "Cisco SGT": (1, b.ether(b"\x01\x01\0\x01\0\x02\x08\0" + IPV4, 0x8909)),
    "Cisco SGT in a VLAN": (1, b.ether(b"\0\x05\x89\x09\x01\x01\0\x01\0\x02\x08\0" + IPV4, 0x8100)),
    "backbone bridging": (1, b.ether(b"\0\0\0\x07" + ETHERNET, 0x88E7)),
    "FabricPath": (1, b"\x02\0\x02\0\0\0\x02\0\x01\0\0\0\x89\x03\x40\x20" + ETHERNET + b"FCS!"),
    "MACsec": (1, b.ether(b"\0\0\0\0\0\x01\x08\0" + IPV4 + bytes(16), 0x88E5)),
    "MACsec, channel": (1, b.ether(b"\x20\0\0\0\0\x01" + bytes(8) + b"\x08\0" + IPV4 + bytes(16), 0x88E5)),
    "TRILL": (1, b.ether(b"\0\x3f\0\x01\0\x02" + ETHERNET, 0x22F3)),
    "TRILL, options": (1, b.ether(b"\0\x7f\0\x01\0\x02" + bytes(4) + ETHERNET, 0x22F3)),
    "MPLS": (1, b.ether(b"\0\x01\x00\x40\0\x02\x01\x40" + IPV4, 0x8847)),
    "MPLS pseudowire": (1, b.ether(b"\0\x01\x01\x40" + bytes(4) + b"\x02" + ETHERNET[1:], 0x8847)),
    "MPLS pseudowire, no control word": (1, b.ether(b"\0\x01\x01\x40" + ETHERNET, 0x8847)),
    "PPPoE": (1, b.ether(b"\x11\0\0\x01" + struct.pack(">H", 2 + len(IPV4)) + b"\0\x21" + IPV4, 0x8864)),
    "PPP": (9, PPP),
    "PPP, protocol compressed": (9, b"\xff\x03\x21" + IPV4),
    "PPP, protocol only": (9, b"\x00\x21" + IPV4),
    "Cisco HDLC": (50, b"\x0f\0\x08\0" + IPV4),
    "Cisco HDLC, its own type": (104, b"\x0f\0\x08\0" + IPV4),
    "PPP with direction": (204, b"\x01" + PPP),
    "PPP with direction, protocol only": (204, b"\0\x00\x21" + IPV4),
    "Frame Relay": (107, b"\x18\x41\x03\xcc" + IPV4),
    "Frame Relay, longer address": (107, b"\x18\x40\x40\x01\x03\xcc" + IPV4),
    "Frame Relay, SNAP": (107, b"\x18\x41\x03\0\x80" + SNAP[3:] + IPV4),
    "Frame Relay, bridged": (107, b"\x18\x41\x03\0\x80\0\x80\xc2\0\x07" + ETHERNET),
    "Frame Relay, PPP": (107, b"\x18\x41\x03\xcf\0\x21" + IPV4),
    "Frame Relay, Cisco": (107, b"\x18\x41\x08\0" + IPV4),
    "OpenBSD encapsulation": (109, struct.pack(">3I", 2, 7, 0x1800) + IPV4),
    "OpenBSD encapsulation, little": (109, struct.pack("<3I", 2, 7, 0x1800) + IPV4),
    "pflog": (117, b"\x3d\x02\0\0vio0" + bytes(56) + IPV4),
    "PKTAP, Ethernet": (258, pktap(1) + ETHERNET),
    "PKTAP, loopback": (258, pktap(0) + b"\x02\0\0\0" + IPV4),
    "PKTAP, raw": (258, pktap(12) + IPV4),
    "Token Ring": (6, b"\x10\x40" + bytes(12) + SNAP + IPV4),
    "Token Ring, source-routed": (
        6,
        b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\x06\x30\0\x11\0\x20" + SNAP + IPV4,
    ),
    "ATM": (100, SNAP + IPV4),
    "ATM, bridged": (100, b"\xaa\xaa\x03\0\x80\xc2\0\x07\0\0" + ETHERNET),
    "ATM, PPP": (100, b"\xfe\xfe\x03\xcf\0\x21" + IPV4),
    "IEEE 1394": (138, bytes(16) + b"\x08\0" + IPV4),
    "ipnet": (226, ipnet(2, IPV4)),
    "FDDI": (10, b"\x50" + bytes(12) + SNAP + IPV4),
    "NFLOG": (239, b"\x02\0\0\x28" + struct.pack("<2H1s3x2H", 5, 10, b"", 4 + len(IPV4), 9) + IPV4),
    "NFLOG, big": (239, b"\x02\0\0\x28" + struct.pack(">2H1s3x2H", 5, 10, b"", 4 + len(IPV4), 9) + IPV4),
    "SLL": (113, bytes(2) + b"\0\x01" + bytes(10) + b"\x08\0" + IPV4),
    "SLL2": (276, b"\x08\0" + bytes(6) + b"\0\x01" + bytes(10) + IPV4),
    "NULL, little": (0, b"\x02\0\0\0" + IPV4),
    "NULL, big": (0, b"\0\0\0\x02" + IPV4),
    "LOOP": (108, b"\0\0\0\x02" + IPV4),
    "raw": (101, IPV4),
    "raw 12": (12, IPV4),
    "raw 14": (14, IPV4),
    "IPv4": (228, IPV4),
    "IPv4 options": (228, b.ip4(b.tcp(), options=b"\x01" * 12)),
    "length 0": (228, b.ip4(b.tcp(), total=0)),
    "IP in IP": (228, b.ip4(IPV4, 4)),
    "4in6": (229, b.ip6(IPV4, 4)),
    "authentication header": (228, b.ip4(b"\x06\x04" + bytes(22) + b.tcp(), 51)),
    "EtherIP": (228, b.ip4(b"\x30\0" + ETHERNET, 97)),
    "GRE": (1, gre(0, 0x0800, b"", IPV4)),
    "GRE, all fields": (1, gre(0xB000, 0x0800, bytes(12), IPV4)),
    "GRE bridging": (1, gre(0x2000, 0x6558, bytes(4), ETHERNET)),
    "WCCP": (1, gre(0, 0x883E, b"", IPV4)),
    "WCCP, second version": (1, gre(0, 0x883E, b"", b"\x01\x59\0\x48" + IPV4)),
    "EoIP": (1, gre(0x2001, 0x6400, struct.pack(">HH", len(ETHERNET), 7), ETHERNET)),
    "PPTP": (1, gre(0x3081, 0x880B, struct.pack(">HHII", len(PPP), 1, 2, 3), PPP)),
    "ERSPAN I": (1, gre(0, 0x88BE, b"", ETHERNET)),
    "ERSPAN II": (1, gre(0x1000, 0x88BE, bytes(4), b"\x10" + bytes(7) + ETHERNET)),
    "ERSPAN III": (1, gre(0x1000, 0x22EB, bytes(4), b"\x20" + bytes(11) + ETHERNET)),
    "ERSPAN III, longer": (1, gre(0x1000, 0x22EB, bytes(4), b"\x20" + bytes(10) + b"\x01" + bytes(8) + ETHERNET)),
    "NSH": (1, b.ether(b"\x0f\xc2\x02\x03" + bytes(4) + ETHERNET, 0x894F)),
    "L2TPv3": (228, b.ip4(b"\0\0\0\x05" + ETHERNET, 115)),
    "L2TPv3, cookie": (228, b.ip4(b"\0\0\0\x05" + bytes(8) + ETHERNET, 115)),
    "802.11": (105, DATA + SNAP + IPV4),
    "802.11 QoS": (105, QOS + bytes(2) + SNAP + IPV4),
    "802.11 A-MSDU": (105, QOS + b"\x80\0" + AMSDU),
    "802.11 HT control": (105, QOS[:1] + b"\x81" + QOS[2:] + bytes(6) + SNAP + IPV4),
    "802.11 WDS": (105, b"\x08\x03" + bytes(28) + SNAP + IPV4),
    "802.11 WDS QoS, queue": (105, b"\x88\x03" + bytes(28) + b"\0\x01" + SNAP + IPV4),
    "802.11 mesh": (105, MESH + MESH_CONTROL + SNAP + IPV4),
    "802.11 mesh, one address": (105, MESH + b"\x01" + MESH_CONTROL[1:] + bytes(6) + SNAP + IPV4),
    "802.11 mesh, two addresses": (105, MESH + b"\x02" + MESH_CONTROL[1:] + bytes(12) + SNAP + IPV4),
    "802.11 mesh, to a group": (105, b"\x88\x02" + bytes(22) + b"\0\x01" + MESH_CONTROL + SNAP + IPV4),
    "802.11 mesh, A-MSDU": (105, b"\x88\x03" + bytes(28) + b"\x80\x01" + MESH_AMSDU),
    "radiotap": (127, b"\0\0\x08\0" + bytes(4) + DATA + SNAP + IPV4),
    "radiotap, FCS": (127, b"\0\0\x09\0\x02\0\0\0\x10" + DATA + SNAP + IPV4 + b"FCS!"),
    "radiotap, padded": (127, b"\0\0\x09\0\x02\0\0\0\x20" + QOS + bytes(4) + SNAP + IPV4),
    "radiotap, padded, none needed": (127, b"\0\0\x09\0\x02\0\0\0\x20" + DATA + SNAP + IPV4),
    "radiotap, padded, FCS": (127, b"\0\0\x09\0\x02\0\0\0\x30" + QOS + bytes(4) + SNAP + IPV4 + b"FCS!"),
    "radiotap, padded mesh": (127, b"\0\0\x09\0\x02\0\0\0\x20" + MESH + MESH_CONTROL + SNAP + IPV4),
    "Prism": (119, b"\x44\0\0\0\x90\0\0\0" + bytes(136) + DATA + SNAP + IPV4),
    "AVS": (163, b"\x80\x21\x10\x01\0\0\0\x40" + bytes(56) + DATA + SNAP + IPV4),
    "PPI": (192, b"\0\0\x08\0\x69\0\0\0" + DATA + SNAP + IPV4),
    "Aruba": (1, gre(0, 0x8240, b"", DATA + SNAP + IPV4)),
}
TUNNELS = {
    "VXLAN": over_udp(4789, b"\x08" + bytes(7) + ETHERNET),
    "VXLAN, Linux": over_udp(8472, b"\x08" + bytes(7) + ETHERNET),
    "VXLAN-GPE": over_udp(4790, b"\x0c\0\0\x01" + bytes(4) + IPV4),
    "VXLAN-GPE, no flag": over_udp(4790, b"\x08\0\0\x01" + bytes(4) + IPV4),
    "VXLAN-GPE, Ethernet": over_udp(4790, b"\x08" + bytes(7) + ETHERNET),
    "GENEVE": over_udp(6081, b"\x01\0\x65\x58" + bytes(8) + ETHERNET),
    "GTP": over_udp(2152, b"\x30\xff" + struct.pack(">H", len(IPV4)) + bytes(4) + IPV4),
    "GTP, sequence": over_udp(2152, b"\x32\xff" + struct.pack(">H", 4 + len(IPV4)) + bytes(8) + IPV4),
    "GTP, extensions": over_udp(
        2152,
        b"\x34\xff" + struct.pack(">H", 16 + len(IPV4)) + bytes(7) + b"\x85" + b"\x01\0\0\x85\x02" + bytes(7) + IPV4,
    ),
    "L2TP": over_udp(1701, b"\0\x02" + bytes(4) + PPP),
    "L2TP, all fields": over_udp(1701, b"\x4a\x02\0\x42" + bytes(4) + bytes(4) + b"\0\x03" + bytes(3) + PPP),
    "MPLS": over_udp(6635, b"\0\x01\x01\x40" + IPV4),
    "GRE": over_udp(4754, b"\0\0\x08\0" + IPV4),
    "CAPWAP": over_udp(5247, b"\0\x10\0\0" + bytes(4) + ETHERNET),
    "CAPWAP 802.11": over_udp(5247, b"\0\x10\x03\0" + bytes(4) + b"\x02\x08" + DATA[2:] + SNAP + IPV4),
    "TZSP": over_udp(37008, b"\x01\0\0\x01\x00\x0a\x01\xff\x01" + ETHERNET),
}
SIX = {
    "6in4": (228, b.ip4(IPV6, 41)),
    "IPv6": (229, IPV6),
    "raw": (101, IPV6),
    "jumbo": (229, b.ip6(b"\x06\0\xc2\x04\0\0\0\x21" + b.tcp(), 0, size=0)),
    "extension headers": (229, b.ip6(b"\x3c" + bytes(7) + b"\x2b" + bytes(7) + b"\x06\x01" + bytes(14) + b.tcp(), 0)),
    "source route": (229, segments(0, 2, "2001:db8::6", b.SERVER6)),
    "source route, at its end": (229, segments(0, 0, "2001:db8::5", "2001:db8::6", to=b.SERVER6)),
    "segments": (229, segments(4, 1, b.SERVER6, "2001:db8::5")),
    "segments, at their end": (229, segments(4, 0, "2001:db8::5", to=b.SERVER6)),
    "mobile node": (229, segments(2, 1, b.SERVER6)),
    "atomic fragment": (229, b.ip6(b"\x06" + bytes(7) + b.tcp(), 44)),
    "IPv4's type": (1, b.ether(IPV6)),
    "Frame Relay": (107, b"\x18\x41\x03\x8e" + IPV6),
    "OpenBSD encapsulation": (109, struct.pack("<3I", 24, 7, 0x1800) + IPV6),
    "pflog": (117, b"\x3d\x18\0\0vio0" + bytes(56) + IPV6),
    "IEEE 1394": (138, bytes(16) + b"\x86\xdd" + IPV6),
    "ipnet": (226, ipnet(26, IPV6)),
    "NULL, BSD": (0, b"\x1e\0\0\0" + IPV6),
}
SIX_TUNNELS = {
    "Teredo": over_udp(3544, IPV6),
    "Teredo, origin": over_udp(3544, bytes(8) + IPV6),
    "Teredo, authentication": over_udp(3544, b"\0\x01\x02\x03" + bytes(14) + bytes(8) + IPV6),
    "AYIYA": over_udp(5072, b"\x41\x52\x11\x29" + bytes(4 + 16 + 20) + IPV6),
}
LOW, HIGH = (1 << 64) - 1, 64


def expected(addresses: tuple[str, str]) -> dict[str, object]:
    source, destination = (int(ip_address(address)) for address in addresses)
    return {
        "frame": 1,
        "time": b.TIME,
        "digits": 9,
        "protocol": 6,
        "family": ip_address(addresses[0]).version,
        "source_high": source >> HIGH,
        "source_low": source & LOW,
        "destination_high": destination >> HIGH,
        "destination_low": destination & LOW,
        "source_port": 50_000,
        "destination_port": 443,
        "sequence": 7,
        "acknowledgement": 9,
        "flags": 0x18,
        "length": 5,
        "captured": 5,
        "quoted": False,
        "payload": b"hello",
    }


FOUR_ROW, SIX_ROW = expected((b.CLIENT, b.SERVER)), expected((b.CLIENT6, b.SERVER6))


@pytest.mark.parametrize("name", PLAIN)
def test_ipv4(name: str, read: Read) -> None:
    link, packet = PLAIN[name]
    assert read(b.pcap([packet], link=link)) == [FOUR_ROW]


@pytest.mark.parametrize("name", SIX)
def test_ipv6(name: str, read: Read) -> None:
    link, packet = SIX[name]
    assert read(b.pcap([packet], link=link)) == [SIX_ROW]


@pytest.mark.parametrize(
    ("packet", "row"),
    [*((packet, FOUR_ROW) for packet in TUNNELS.values()), *((packet, SIX_ROW) for packet in SIX_TUNNELS.values())],
    ids=[*TUNNELS, *SIX_TUNNELS],
)
def test_tunnel_over_udp_has_both_rows(packet: bytes, row: dict[str, object], read: Read) -> None:
    outer, inner = read(b.pcap([packet]))
    assert outer["protocol"] == 17
    assert outer["frame"] == 1
    assert inner == row


def test_all_at_once(read: Read) -> None:
    """Packets of many kinds come out in the order of frames, outer headers first."""
    packets = [packet for link, packet in PLAIN.values() if link == 1] + list(TUNNELS.values())
    rows = read(b.pcap(packets, times=[b.TIME] * len(packets)))
    assert [row["frame"] for row in rows] == sorted(row["frame"] for row in rows)
    assert [row for row in rows if row["protocol"] == 6] == [
        {**FOUR_ROW, "frame": number} for number in range(1, len(packets) + 1)
    ]


@pytest.mark.parametrize("name", [*PLAIN, *SIX, *TUNNELS, *SIX_TUNNELS])
def test_cut_anywhere(name: str, read: Read) -> None:
    """A packet cut by the snap length gives a row with less payload, or none; never an error."""
    every = {**{name: (1, packet) for name, packet in {**TUNNELS, **SIX_TUNNELS}.items()}, **SIX, **PLAIN}
    link, packet = every[name]
    cuts = [packet[:size] for size in range(len(packet))]
    for row in read(b.pcap(cuts, link=link, carried=[len(packet)] * len(cuts))):
        assert 0 <= row["captured"] <= row["length"]


def test_snap_length(read: Read) -> None:
    packet = b.ether(b.ip4(b.tcp(bytes(1000))))
    (row,) = read(b.pcap([packet[:100]], carried=[len(packet)]))
    assert (row["length"], row["captured"]) == (1000, 46)


def test_ip_length_beyond_the_packet(read: Read) -> None:
    (row,) = read(b.pcap([b.ether(b.ip4(b.tcp(), total=1500))]))
    assert (row["length"], row["captured"]) == (5, 5)


@pytest.mark.parametrize("offset", [0x00, 0x40, 0xF0])
def test_bad_data_offset_leaves_no_payload(offset: int, read: Read) -> None:
    segment = bytearray(b.tcp())
    segment[12] = offset
    (row,) = read(b.pcap([b.ether(b.ip4(bytes(segment)))]))
    assert (row["length"], row["captured"], row["payload"]) == (0, 0, b"")


@pytest.mark.parametrize(("size", "count"), [(15, 0), (16, 1), (20, 1)])
def test_cut_tcp_header(size: int, count: int) -> None:
    packet = b.ether(b.ip4(b.tcp()))
    data = b.pcap([packet[: 34 + size]], carried=[len(packet)])
    with open_capture(io.BytesIO(data)) as capture:
        assert len(rows_of(capture)) == count
        assert capture.skipped == ({} if count else {"cut TCP header": 1})


def test_large_segments(read: Read) -> None:
    (row,) = read(b.pcap([b.ether(b.ip6(b.tcp(bytes(65_000))), 0x86DD)]))
    assert row["length"] == row["captured"] == 65_000


@pytest.mark.parametrize(
    "packet",
    [
        b.ip4(b"\x03\x01" + bytes(6) + b.ip4(b.tcp()), 1),
        b.ip6(b"\x01\0" + bytes(6) + b.ip4(b.tcp()), 58),
        b.ip4(b"\x0b\0" + bytes(6) + b.ip4(b.tcp()[:16], total=60), 1),
    ],
)
def test_quotes_in_errors(packet: bytes, read: Read) -> None:
    (row,) = read(b.pcap([packet], link=101))
    assert row["quoted"]
    assert (row["source_port"], row["sequence"]) == (50_000, 7)


def test_short_quote_is_no_row_and_no_loss() -> None:
    packet = b.ip4(b"\x03\x01" + bytes(6) + b.ip4(b.tcp()[:8], total=45), 1)
    with open_capture(io.BytesIO(b.pcap([packet], link=101))) as capture:
        assert rows_of(capture) == []
        assert not capture.skipped


def test_sampled_packets_are_quoted(read: Read) -> None:
    record = struct.pack(">6I", 1, 16 + len(ETHERNET), 1, len(ETHERNET), 0, len(ETHERNET)) + ETHERNET
    sample = struct.pack(">8I", 1, 2, 3, 4, 5, 6, 7, 1) + record
    datagram = struct.pack(">7I", 5, 1, 1, 1, 1, 1, 1) + struct.pack(">II", 1, len(sample)) + sample
    outer, inner = read(b.pcap([over_udp(6343, datagram)]))
    assert outer["protocol"] == 17
    assert inner == {**FOUR_ROW, "quoted": True}


@pytest.mark.parametrize(
    ("link", "packet", "what"),
    [
        (1, b.ether(b"\x55" + bytes(30)), "unreadable IPv4 header"),
        (1, b.ether(b"\x45"), "cut IPv4 header"),
        (105, b"\x08\x42" + bytes(40), "encrypted 802.11 frames"),
        (105, b"\x08", "unreadable 802.11 frames"),
        (105, DATA[:23], "unreadable 802.11 frames"),
        (105, QOS, "unreadable 802.11 frames"),
        (105, MESH, "unreadable 802.11 frames"),
        (258, pktap(227) + bytes(16), "link type 227 packets"),
        (258, pktap(INTERNAL - LINK_TYPE + 1) + bytes(16), "link type 65535 packets"),
        (258, b"\x0b" + pktap(1)[1:] + ETHERNET, "cut PKTAP header"),
    ],
)
def test_what_is_not_read_is_counted(link: int, packet: bytes, what: str) -> None:
    with open_capture(io.BytesIO(b.pcap([packet], link=link))) as capture:
        assert rows_of(capture) == []
        assert capture.skipped == {what: 1}


def test_other_protocols_are_not_counted() -> None:
    with open_capture(io.BytesIO(b.pcap([b.ether(bytes(28), 0x0806), b.ether(b.ip4(b"", 2))]))) as capture:
        assert rows_of(capture) == []
        assert not capture.skipped


def test_endless_headers() -> None:
    packet = b.ether(b"\0\x05\x81\0" * 10_000, 0x8100)
    with open_capture(io.BytesIO(b.pcap([packet]))) as capture:
        assert rows_of(capture) == []
        assert capture.skipped == {"packets of too many headers": 1}
