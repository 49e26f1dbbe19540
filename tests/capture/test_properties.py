"""Whatever the bytes are, the answer is CaptureError or packets that keep their promises."""

from __future__ import annotations

import io
import socket
from typing import Any

import building as b
import dpkt
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import Pieces, rows_of

from tlsdissect.capture import CaptureError, Packet, open_capture
from tlsdissect.capture.reader import READABLE, READERS
from tlsdissect.capture.tunnels import UDP_PORTS

LINKS = sorted(READABLE)
TYPES = [kind for kind in READERS if kind < 0x10000]
PORTS = sorted(UDP_PORTS)


def check(data: bytes) -> list[dict[str, Any]]:
    try:
        with open_capture(io.BytesIO(data)) as capture:
            packet = Packet()
            while capture.next(packet):
                assert 0 <= packet.captured <= packet.length
                assert 0 <= packet.payload <= packet.payload + packet.captured <= len(packet.data)
                assert len(packet.endpoints) in (12, 36)
        with open_capture(Pieces(data, 50)) as capture:
            return rows_of(capture)
    except CaptureError:
        return []


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.binary(max_size=500))
def test_any_records(data: bytes) -> None:
    check(b.pcap([]) + data)


@given(st.binary(max_size=500), st.sampled_from("<>"))
def test_any_blocks(data: bytes, order: str) -> None:
    check(b.section(order) + b.interface(order=order) + data)


@settings(max_examples=300)
@given(st.sampled_from(LINKS), st.lists(st.binary(max_size=120), max_size=8))
def test_any_packets(link: int, packets: list[bytes]) -> None:
    check(b.pcap(packets, link=link))


@settings(max_examples=300)
@given(st.sampled_from(TYPES), st.lists(st.binary(max_size=120), max_size=8))
def test_any_ethernet_payload(kind: int, bodies: list[bytes]) -> None:
    check(b.pcap([b.ether(body, kind) for body in bodies]))


@settings(max_examples=300)
@given(st.integers(0, 255), st.lists(st.binary(max_size=120), max_size=8), st.booleans())
def test_any_ip_payload(protocol: int, bodies: list[bytes], newer: bool) -> None:
    make = b.ip6 if newer else b.ip4
    check(b.pcap([make(body, protocol) for body in bodies], link=101))


@settings(max_examples=300)
@given(st.sampled_from(PORTS), st.lists(st.binary(max_size=120), max_size=8))
def test_any_tunnel_contents(port: int, bodies: list[bytes]) -> None:
    check(b.pcap([b.ip4(b.udp(body, dport=port), 17) for body in bodies], link=101))


@given(
    st.lists(
        st.builds(
            b.tcp,
            st.binary(max_size=100),
            sport=st.integers(0, 65535),
            dport=st.integers(0, 65535),
            seq=st.integers(0, 2**32 - 1),
            flags=st.integers(0, 255),
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_same_as_dpkt(segments: list[bytes], newer: bool) -> None:
    packets = [b.ether(*((b.ip6(s), 0x86DD) if newer else (b.ip4(s), 0x0800))) + bytes(9) for s in segments]
    data = b.pcap(packets)
    rows = check(data)
    records = list(dpkt.pcap.Reader(io.BytesIO(data)))
    assert len(rows) == len(records)
    for row, (time, packet) in zip(rows, records, strict=True):
        ip = dpkt.ethernet.Ethernet(packet).data
        tcp = ip.data
        assert abs(row["time"] / 1e9 - float(time)) < 1e-5
        assert (row["source_port"], row["destination_port"]) == (tcp.sport, tcp.dport)
        assert (row["sequence"], row["acknowledgement"], row["flags"]) == (tcp.seq, tcp.ack, tcp.flags)
        assert row["payload"] == tcp.data
        address = (row["source_high"] << 64) + row["source_low"]
        family = socket.AF_INET6 if newer else socket.AF_INET
        assert socket.inet_ntop(family, address.to_bytes(16 if newer else 4, "big")) == socket.inet_ntop(family, ip.src)
