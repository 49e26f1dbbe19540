"""Protocols that frame TLS in packets of their own: OpenVPN over TCP, and TDS during the handshake."""

from __future__ import annotations

from typing import Protocol

_RESETS = {7: 14, 10: 14, 8: 26}
"""Opcodes with which OpenVPN begins (client, client with its own key, server), and the packet's length without HMAC."""
_CONTROL_V1 = 4
_HMACS = frozenset((0, 16 + 8, 20 + 8, 32 + 8, 48 + 8, 64 + 8))
"""Bytes that `tls-auth` adds: an HMAC, a packet number and a time."""

_TDS_PRELOGIN, _TDS_RESPONSE = 0x12, 0x04
_TDS_HEADER = 8


class Framing(Protocol):
    """Extracts the stream of TLS from the bytes of one side."""

    name: str
    """The name of the protocol."""
    position: int
    """Bytes of TLS so far."""

    def unwrap(self, data: bytes) -> bytes:
        """Add the next bytes in order; return the bytes of TLS in them."""
        ...


class OpenVpn:
    """OpenVPN over TCP: a 2-byte length, then opcode, session, HMAC if used, acknowledgements, number, payload."""

    name = "openvpn"

    def __init__(self, hmac: int) -> None:
        self.position = 0
        self._hmac = hmac
        self._buffer = b""

    def unwrap(self, data: bytes) -> bytes:
        """Add the next bytes; return the payload of control packets."""
        data, inside, at = self._buffer + data, [], 0
        while len(data) - at >= 2:
            after = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if after > len(data):
                break
            inside.append(self._payload(data[at + 2 : after]))
            at = after
        self._buffer, inner = data[at:], b"".join(inside)
        self.position += len(inner)
        return inner

    def _payload(self, packet: bytes) -> bytes:
        acknowledgements = 9 + self._hmac
        if len(packet) <= acknowledgements or packet[0] >> 3 != _CONTROL_V1:
            return b""
        count = packet[acknowledgements]
        return packet[acknowledgements + 1 + (4 * count + 8 if count else 0) + 4 :]


class Tds:
    """Tabular Data Stream: packets of type pre-login carry handshake records; all later records have no TDS header."""

    name = "tds"

    def __init__(self) -> None:
        self.position = 0
        self._buffer = b""
        self._left = 0

    def unwrap(self, data: bytes) -> bytes:
        """Add the next bytes; return the payload of packets, and other bytes unchanged."""
        data, inside, at = self._buffer + data, [], 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                self._left -= len(part)
            elif data[at] not in (_TDS_PRELOGIN, _TDS_RESPONSE):
                part = data[at:]
            elif len(data) - at < _TDS_HEADER:
                break
            else:
                self._left = max(0, int.from_bytes(data[at + 2 : at + 4], "big") - _TDS_HEADER)
                at += _TDS_HEADER
                continue
            inside.append(part)
            at += len(part)
        self._buffer, inner = data[at:], b"".join(inside)
        self.position += len(inner)
        return inner


def find_framing(first: bytes) -> Framing | None:
    """Return the framing that a side's first bytes show; None if there is none."""
    if len(first) < _TDS_HEADER:
        return None
    size = int.from_bytes(first[:2], "big")
    hmac = size - _RESETS.get(first[2] >> 3, 0)
    if first[2] >> 3 in _RESETS and not first[2] & 7 and hmac in _HMACS:
        return OpenVpn(hmac)
    length = int.from_bytes(first[2:4], "big")
    if first[0] in (_TDS_PRELOGIN, _TDS_RESPONSE) and first[1] <= 1 and _TDS_HEADER < length <= 4096 and not first[7]:
        return Tds()
    return None
