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
    NegotiationFields,
    PacketType,
    Padding,
    Ping,
    long_packets,
    packet_type,
    read_frames,
    read_long_packet,
)
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
    assert packet_type(first, version) is kind


def test_coalesced_packets_end_before_a_short_header_and_before_another_connection() -> None:
    initial = long("c0", V1, "02aabb" + "4003" + "112233")
    handshake = long("e0", V1, "02" + "4455")
    found = list(long_packets(initial + handshake + b"\x40\x01\x02rest"))
    assert [(one.kind, one.start, one.protected, one.end) for one in found] == [
        (PacketType.INITIAL, 0, 14, 17),
        (PacketType.HANDSHAKE, 17, 27, 29),
    ]
    assert found[0].token == b"\xaa\xbb"
    assert len(list(long_packets(initial + long("e0", V1, "02" + "4455", dcid="0103")))) == 1
    assert len(list(long_packets(initial + bytes(5)))) == 1


def test_the_length_of_a_cut_packet_counts_the_missing_bytes() -> None:
    (packet,) = long_packets(long("c0", V1, "00" + "44b0" + "1122"))
    assert packet.end == packet.protected + 0x4B0


def test_version_negotiation() -> None:
    data = long("80", "00000000", V1 + V2 + "1a2a3a4a", dcid="", scid="0102")
    packet = read_long_packet(data)
    assert packet.kind is PacketType.VERSION_NEGOTIATION
    assert packet.header.source_connection_id == b"\x01\x02"
    versions = NegotiationFields.read(Reader(data[9:])).supported_versions
    assert versions == (1, 0x6B3343CF, 0x1A2A3A4A)


def test_connection_ids_longer_than_in_any_version_known() -> None:
    with pytest.raises(WireError, match="more than 20 bytes"):
        read_long_packet(long("c0", V1, "00" + "02" + "1122", dcid="00" * 21))
    with pytest.raises(WireError, match="tag of a Retry"):
        read_long_packet(long("f0", V1, "00" * 15))


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


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_are_an_error(data: bytes) -> None:
    packets = list(long_packets(data))
    assert all(one.start < one.protected <= one.end for one in packets)
    assert all(one.end == other.start for one, other in pairwise(packets))
    frames, error = read_frames(data)
    assert error is not None or bool(frames) == bool(data)


@given(
    st.lists(
        st.sampled_from(
            [
                b"\0",
                b"\1",
                b"\2\1\0\0\0",
                b"\2\1\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
                b"\6\0\1a",
                b"\x1c\0\0\0",
                b"\x08",
            ]
        ),
        max_size=8,
    )
)
def test_fields_of_frames_cover_every_byte(parts: list[bytes]) -> None:
    data = b"".join(parts)
    (frames, *rest), at = survey(Frames, data).fields, 0
    for field in (*frames.parts, *rest):
        assert field.start == at
        at = field.end
    assert at == len(data)
