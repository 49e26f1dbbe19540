# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The packets with long headers in a QUIC datagram, and the CRYPTO frames in what a packet protects.

Each datagram of a handshake passes through here. `quic.py` declares the same headers and frames as structs, for whoever
shows them or needs the others; tests hold that both agree.
"""

from __future__ import annotations

import cython

from tlsdissect.capture.octets import cut, u32
from tlsdissect.tls.quic import (
    GOOGLE_TLS,
    LONG_HEADER,
    LONGEST_ID,
    NEGOTIATION,
    RETRY_TAG,
    VERSION_2,
    PacketType,
    google_crypto_frames,
)

INITIAL, ZERO_RTT, HANDSHAKE, RETRY, VERSION_NEGOTIATION = map(int, PacketType)

# C integers, by the .pxd.
_LONG_HEADER, _LONGEST_ID, _NEGOTIATION, _RETRY_TAG = LONG_HEADER, LONGEST_ID, NEGOTIATION, RETRY_TAG
_INITIAL, _RETRY, _VERSION_NEGOTIATION = INITIAL, RETRY, VERSION_NEGOTIATION
_IDS = 5
"""Bytes of a long header before the Destination Connection ID with its length: the first byte and the version."""
_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO = 0x00, 0x01, 0x02, 0x03, 0x06
"""Types of frames (RFC 9000 section 19)."""
_RANGE_COUNT = 2
"""The numbers in an ACK frame before the number of its further ranges (RFC 9000 section 19.3)."""
_ZEROS = bytes(1 << 16)
"""PADDING frames, as many as a datagram can have."""


@cython.no_gc
@cython.cclass
class LongPacket:
    """A packet with a long header, with offsets in its datagram."""

    kind: cython.longlong
    """Its type, as `PacketType`."""
    version: cython.longlong
    destination_id: bytes
    """Its Destination Connection ID."""
    source_id: bytes
    """Its Source Connection ID."""
    token: bytes
    """Of an Initial or a Retry."""
    start: cython.longlong
    protected: cython.longlong
    """Where its packet number and payload begin, or its end if it has none."""
    end: cython.longlong
    """After the bytes that its Length counts: after the end of the datagram if that was cut."""


@cython.cfunc
def _varint(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Return the variable-length integer at an offset (RFC 9000 section 16); -1 if it is not whole."""
    if at >= len(data) or at + _varint_size(data, at) > len(data):
        return -1
    number: cython.longlong = data[at] & 0x3F
    for index in range(at + 1, at + _varint_size(data, at)):
        number = number << 8 | data[index]
    return number


@cython.cfunc
def _varint_size(data: bytes, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the bytes of the variable-length integer at an offset."""
    return 1 << (data[at] >> 6)


@cython.cfunc
def _packet(
    kind: cython.longlong,
    version: cython.longlong,
    destination_id: bytes,
    source_id: bytes,
    token: bytes,
    start: cython.longlong,
    protected: cython.longlong,
    end: cython.longlong,
) -> LongPacket:
    """Make a packet."""
    packet: LongPacket = LongPacket.__new__(LongPacket)
    packet.kind = kind
    packet.version = version
    packet.destination_id = destination_id
    packet.source_id = source_id
    packet.token = token
    packet.start = start
    packet.protected = protected
    packet.end = end
    return packet


@cython.ccall
def packet_type(first_byte: cython.longlong, version: cython.longlong) -> cython.longlong:
    """Return the type of a packet with a long header."""
    if version == _NEGOTIATION:
        return _VERSION_NEGOTIATION
    number: cython.longlong = first_byte >> 4 & 3
    if version in VERSION_2:
        return number - 1 if number else _RETRY
    return number


@cython.ccall
def read_long_packet(data: bytes, start: cython.Py_ssize_t) -> LongPacket | None:
    """Read the header of the packet that begins at an offset of a datagram; None if it is malformed."""
    size: cython.Py_ssize_t = len(data)
    destination: cython.Py_ssize_t = start + _IDS + 1
    if destination > size:
        return None
    source: cython.Py_ssize_t = destination + data[destination - 1] + 1
    if source > size:
        return None
    at: cython.Py_ssize_t = source + data[source - 1]
    if at > size:
        return None
    version: cython.longlong = u32(data, start + 1)
    destination_id: bytes = cut(data, destination, source - 1)
    source_id: bytes = cut(data, source, at)
    kind: cython.longlong = packet_type(data[start], version)
    if kind == _VERSION_NEGOTIATION:
        return _packet(kind, version, destination_id, source_id, b"", start, size, size)
    if len(destination_id) > _LONGEST_ID or len(source_id) > _LONGEST_ID:
        return None
    if kind == _RETRY:
        if size - at < _RETRY_TAG:
            return None
        return _packet(kind, version, destination_id, source_id, cut(data, at, size - _RETRY_TAG), start, size, size)
    token: bytes = b""
    length: cython.longlong
    if kind == _INITIAL:
        length = _varint(data, at)
        if length < 0:
            return None
        at += _varint_size(data, at)
        if length > size - at:
            return None
        token = cut(data, at, at + length)
        at += length
    length = _varint(data, at)
    if length < 0:
        return None
    at += _varint_size(data, at)
    return _packet(kind, version, destination_id, source_id, token, start, at, at + length)


@cython.ccall
def long_packets(data: bytes) -> list[LongPacket]:
    """Return the packets with long headers at the beginning of a datagram (RFC 9000 section 12.2).

    They end before anything else, and before a packet that belongs to another connection than the first.
    """
    packets: list[LongPacket] = []
    packet: LongPacket | None
    first: bytes | None = None
    at: cython.longlong = 0
    while at < len(data) and data[at] & _LONG_HEADER:
        packet = read_long_packet(data, at)
        if packet is None or (first is not None and packet.destination_id != first):
            break
        first = packet.destination_id
        packets.append(packet)
        at = packet.end
    return packets


@cython.no_gc
@cython.cclass
class CryptoFrame:
    """A CRYPTO frame."""

    offset: cython.longlong
    data: bytes


@cython.cfunc
def _frame(offset: cython.longlong, data: bytes) -> CryptoFrame:
    """Make a CRYPTO frame."""
    frame: CryptoFrame = CryptoFrame.__new__(CryptoFrame)
    frame.offset = offset
    frame.data = data
    return frame


@cython.ccall
def crypto_frames(payload: bytes, version: cython.longlong) -> list[CryptoFrame] | None:
    """Return the CRYPTO frames of a packet of a version.

    None if there are frames besides these, ACK, PING and PADDING, or malformed ones: `quic.read_frames` reads all.
    """
    found: list[CryptoFrame] = []
    size: cython.Py_ssize_t = len(payload)
    at: cython.Py_ssize_t = 0
    kind: cython.longlong
    offset: cython.longlong
    length: cython.longlong
    numbers: cython.longlong
    most: cython.longlong
    is_first_padding: cython.bint = True
    if version in GOOGLE_TLS:
        return [_frame(one.offset, one.crypto_data) for one in google_crypto_frames(payload)]
    while at < size:
        kind = payload[at]
        at += 1
        if kind == _PADDING:
            # Padding to 1,200 bytes (RFC 9000 section 14.1) is most of many packets, and nearly always their end. To
            # compare the rest at each such frame would take quadratic time.
            if is_first_padding and _ZEROS.startswith(cut(payload, at, size)):
                break
            is_first_padding = False
        elif kind == _PING:
            continue
        elif kind == _CRYPTO:
            offset = _varint(payload, at)
            if offset < 0:
                return None
            at += _varint_size(payload, at)
            length = _varint(payload, at)
            if length < 0:
                return None
            at += _varint_size(payload, at)
            if length > size - at:
                return None
            found.append(_frame(offset, cut(payload, at, at + length)))
            at += length
        elif kind in (_ACK, _ACK_ECN):
            # Largest Acknowledged, ACK Delay, ACK Range Count, First ACK Range, two numbers for each further range, and
            # three for ECN.
            numbers = 0
            most = 4 if kind == _ACK else 7
            while numbers < most:
                length = _varint(payload, at)
                if length < 0 or (numbers == _RANGE_COUNT and length > size):
                    return None
                at += _varint_size(payload, at)
                if numbers == _RANGE_COUNT:
                    most += 2 * length
                numbers += 1
        else:
            return None
    return found
