"""EAP packets, RADIUS packets and frames of IEEE 802.1X, written byte by byte."""

from __future__ import annotations

import struct

REQUEST, RESPONSE, SUCCESS, FAILURE = range(1, 5)
IDENTITY, NAK, TLS, TTLS, PEAP, FAST, TEAP = 1, 3, 13, 21, 25, 43, 55
LENGTH, MORE, START, OUTER = 0x80, 0x40, 0x20, 0x10
USER_NAME, STATE, CALLED, CALLING, EAP_MESSAGE = 1, 24, 30, 31, 79
ACCESS_REQUEST, ACCEPT, REJECT, CHALLENGE = 1, 2, 3, 11

SUPPLICANT, OTHER, AUTHENTICATOR = (bytes((2, 0, 0, 0, 0, n)) for n in (1, 2, 3))
GROUP = bytes.fromhex("0180c2000003")
"""The group address of port access entities (IEEE 802.1X-2020 section 11.1.1)."""


def eap(code: int, identifier: int, method: int = 0, body: bytes = b"") -> bytes:
    """An EAP packet; without a method, as Success and Failure are."""
    rest = bytes((method,)) + body if method else b""
    return struct.pack(">BBH", code, identifier, 4 + len(rest)) + rest


def fragments(code: int, identifier: int, tls: bytes, size: int = 1000, method: int = TLS) -> list[bytes]:
    """The packets of one side that carry a message, with identifiers that count up."""
    pieces = [tls[at : at + size] for at in range(0, len(tls), size)] or [b""]
    packets = []
    for n, piece in enumerate(pieces):
        flags, length = MORE * (n < len(pieces) - 1), b""
        if n == 0 and len(pieces) > 1:
            flags, length = flags | LENGTH, struct.pack(">I", len(tls))
        packets.append(eap(code, (identifier + n) % 256, method, bytes((flags,)) + length + piece))
    return packets


def radius(
    code: int, identifier: int, packet: bytes | None, *attributes: tuple[int, bytes], unique: bytes = b""
) -> bytes:
    """A RADIUS packet; an EAP packet is in pieces of 253 bytes (RFC 3579 section 3.1)."""
    pieces = [] if packet is None else [(EAP_MESSAGE, packet[at : at + 253]) for at in range(0, len(packet), 253)]
    body = b"".join(bytes((kind, 2 + len(value))) + value for kind, value in (*attributes, *pieces))
    return struct.pack(">BBH", code, identifier, 20 + len(body)) + unique[-16:].rjust(16, b"\0") + body


def eapol(packet: bytes, *, to: bytes, source: bytes, kind: int = 0, padding: int = 0) -> bytes:
    """An Ethernet frame of IEEE 802.1X."""
    return to + source + b"\x88\x8e" + struct.pack(">BBH", 2, kind, len(packet)) + packet + bytes(padding)
