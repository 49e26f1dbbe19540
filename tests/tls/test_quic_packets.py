"""Headers and frames of QUIC."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsdissect.tls.quic import (
    Ack,
    ConnectionClose,
    Crypto,
    Frames,
    InitialFields,
    LongHeader,
    NegotiationFields,
    PacketType,
    Padding,
    Ping,
    ProtectedFields,
    RetryFields,
    read_frames,
)
from tlsdissect.tls.quic_packets import crypto_frames, long_packets, packet_type, read_long_packet
from tlsdissect.tls.survey import survey
from tlsdissect.tls.wire import Reader, WireError

V1, V2 = "00000001", "6b3343cf"


def long(first: str, version: str, rest: str, dcid: str = "0102", scid: str = "") -> bytes:
    ids = "".join(f"{len(one) // 2:02x}{one}" for one in (dcid, scid))
    return bytes.fromhex(first + version + ids + rest)


@pytest.mark.parametrize(
    ("first", "version", "kind"),
    [
        (0xC0, 1, PacketType.INITIAL),
        (0xD0, 1, PacketType.ZERO_RTT),
        (0xEF, 1, PacketType.HANDSHAKE),
        (0xF0, 0xFF00001D, PacketType.RETRY),
        (0xD0, 0x6B3343CF, PacketType.INITIAL),
        (0xE0, 0x6B3343CF, PacketType.ZERO_RTT),
        (0xF0, 0x709A50C4, PacketType.HANDSHAKE),
        (0xC0, 0x6B3343CF, PacketType.RETRY),
        (0xC0, 0, PacketType.VERSION_NEGOTIATION),
    ],
)
def test_types_of_packets(first: int, version: int, kind: PacketType) -> None:
    assert packet_type(first, version) == kind


def test_coalesced_packets_end_before_a_short_header_and_before_another_connection() -> None:
    initial = long("c0", V1, "02aabb" + "4003" + "112233")
    handshake = long("e0", V1, "02" + "4455")
    found = long_packets(initial + handshake + b"\x40\x01\x02rest")
    assert [(one.kind, one.start, one.protected, one.end) for one in found] == [
        (PacketType.INITIAL, 0, 14, 17),
        (PacketType.HANDSHAKE, 17, 27, 29),
    ]
    assert found[0].token == b"\xaa\xbb"
    assert len(long_packets(initial + long("e0", V1, "02" + "4455", dcid="0103"))) == 1
    assert len(long_packets(initial + bytes(5))) == 1


def test_the_length_of_a_cut_packet_counts_the_missing_bytes() -> None:
    (packet,) = long_packets(long("c0", V1, "00" + "44b0" + "1122"))
    assert packet.end == packet.protected + 0x4B0


def test_version_negotiation() -> None:
    data = long("80", "00000000", V1 + V2 + "1a2a3a4a", dcid="", scid="0102")
    packet = read_long_packet(data, 0)
    assert packet is not None
    assert packet.kind == PacketType.VERSION_NEGOTIATION
    assert packet.source_id == b"\x01\x02"
    versions = NegotiationFields.read(Reader(data[9:])).supported_versions
    assert versions == (1, 0x6B3343CF, 0x1A2A3A4A)


def test_connection_ids_longer_than_in_any_version_known() -> None:
    assert read_long_packet(long("c0", V1, "00" + "02" + "1122", dcid="00" * 20), 0) is not None
    assert read_long_packet(long("c0", V1, "00" + "02" + "1122", dcid="00" * 21), 0) is None
    assert read_long_packet(long("f0", V1, "00" * 16), 0) is not None
    assert read_long_packet(long("f0", V1, "00" * 15), 0) is None


def test_frames() -> None:
    payload = bytes.fromhex(
        "000000"
        "01"
        "02" "05" "40c8" "01" "00" "02" "01"
        "03" "05" "00" "00" "01" "01" "02" "03"
        "06" "4010" "03" "aabbcc"
        "1c" "4128" "06" "03" "626164"
    )  # fmt: skip
    frames, error = read_frames(payload)
    assert error is None
    padding, ping, ack, ecn, crypto, close = frames
    assert isinstance(padding, Padding)
    assert padding.zeros == bytes(3)
    assert isinstance(ping, Ping)
    assert isinstance(ack, Ack)
    assert (ack.largest_acknowledged, ack.ack_delay, len(ack.ack_ranges), ack.ecn_counts) == (5, 200, 1, None)
    assert isinstance(ecn, Ack)
    assert ecn.ecn_counts is not None
    assert ecn.ecn_counts.ecn_ce_count == 3
    assert isinstance(crypto, Crypto)
    assert (crypto.offset, crypto.crypto_data) == (16, b"\xaa\xbb\xcc")
    assert isinstance(close, ConnectionClose)
    assert (close.alert, close.frame_type, close.reason_phrase, close.by_application) == (40, 6, b"bad", False)


@pytest.mark.parametrize(("code", "alert"), [("00", None), ("0a", None), ("4100", 0), ("41ff", 255), ("4200", None)])
def test_errors_that_are_alerts(code: str, alert: int | None) -> None:
    (close,), _ = read_frames(bytes.fromhex(f"1c{code}0000"))
    assert isinstance(close, ConnectionClose)
    assert close.alert == alert
    (close,), _ = read_frames(bytes.fromhex(f"1d{code}00"))
    assert isinstance(close, ConnectionClose)
    assert (close.alert, close.frame_type) == (None, None)


def test_frames_end_at_one_that_initial_packets_never_have() -> None:
    frames, error = read_frames(bytes.fromhex("01080000"))
    assert [type(frame) for frame in frames] == [Ping]
    assert error is not None
    assert str(error) == "frame type 0x08, which is not allowed here, at byte 1"


NUMBERS = st.sampled_from([b"\0", b"\1", b"\5", b"\x40\4", b"\x80\0\0\2", b"\xc0" + bytes(6) + b"\3", b"\xff" * 8])
IDS = st.sampled_from([b"\0", b"\2ab", b"\x14" + bytes(20), b"\x15" + bytes(21)])
VERSIONS = st.sampled_from([bytes.fromhex(V1), bytes.fromhex(V2), bytes(4)])
HEADERS = st.tuples(st.integers(0x80, 0xFF).map(lambda one: bytes([one])), VERSIONS, IDS, IDS, NUMBERS, NUMBERS)
PACKETS = st.builds(lambda header, body: b"".join(header) + body, HEADERS, st.binary(max_size=24))


def declared(data: bytes) -> tuple[object, ...] | None:
    """The first packet of a datagram, read by its structs; None if it is malformed."""
    r, token = Reader(data), b""
    try:
        header = LongHeader.read(r)
        kind = packet_type(header.first_byte, header.version)
        ids = header.destination_connection_id, header.source_connection_id
        start, end = len(data), len(data)
        if kind != PacketType.VERSION_NEGOTIATION and max(map(len, ids)) > 20:
            return None
        if kind == PacketType.RETRY:
            token = RetryFields.read(r).retry_token if len(r) >= 16 else r.opaque(16)
        elif kind == PacketType.INITIAL:
            fields = InitialFields.read(r)
            token, start, end = fields.token, r.offset, r.offset + fields.length
        elif kind != PacketType.VERSION_NEGOTIATION:
            length = ProtectedFields.read(r).length
            start, end = r.offset, r.offset + length
    except WireError:
        return None
    return kind, header.version, *ids, token, 0, start, end


@given(st.one_of(st.binary(max_size=60), PACKETS))
def test_headers_are_read_as_they_are_declared(data: bytes) -> None:
    one = read_long_packet(data, 0)
    found = None
    if one is not None:
        ids = one.destination_id, one.source_id
        found = one.kind, one.version, *ids, one.token, one.start, one.protected, one.end
    assert found == declared(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_are_an_error(data: bytes) -> None:
    packets = long_packets(data)
    assert all(one.start < one.protected <= one.end for one in packets)
    assert all(one.end == other.start for one, other in pairwise(packets))
    frames, error = read_frames(data)
    assert error is not None or bool(frames) == bool(data)


FRAMES = st.lists(
    st.sampled_from(
        [
            b"\0",
            b"\1",
            b"\2\1\0\0\0",
            b"\2\1\0\2\0\1\1\1\1",
            b"\2\1\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
            b"\3\1\0\1\0\1\1\1\1\1",
            b"\6\0\1a",
            b"\6\x40\7\x80\0\0\2ab",
            b"\6\0\3ab",
            b"\x1c\0\0\0",
            b"\x08",
        ]
    ),
    max_size=8,
)


@given(FRAMES, st.integers(0, 3))
def test_crypto_frames_are_those_that_all_frames_have(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    data = data[: len(data) - cut]
    frames, error = read_frames(data)
    expected = [(one.offset, one.crypto_data) for one in frames if isinstance(one, Crypto)]
    found = crypto_frames(data, 1)
    if found is None:
        assert error is not None or any(isinstance(one, ConnectionClose) for one in frames)
    else:
        assert error is None
        assert [(one.offset, one.data) for one in found] == expected


@given(FRAMES)
def test_fields_of_frames_cover_every_byte(parts: list[bytes]) -> None:
    data = b"".join(parts)
    (frames, *rest), at = survey(Frames, data).fields, 0
    for field in (*frames.parts, *rest):
        assert field.start == at
        at = field.end
    assert at == len(data)
