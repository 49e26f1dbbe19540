"""Times of a connection as its client sees them, wherever they were captured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Connection

LOOPBACK_MS = 1.0
"""A TCP round trip shorter than this says nothing of where the capture point is."""
NEAR = 0.1
"""Share of the round trip that the way to the nearer end takes at most."""


def capture_point(c: Connection) -> str | None:
    """Tell near which end packets were captured; None where the TCP handshake is not in the capture."""
    there, back = c.timing.syn_synack_ms, c.timing.synack_ack_ms
    if there is None or back is None:
        return None
    if there + back < LOOPBACK_MS:
        return "loopback or LAN"
    if back <= NEAR * (there + back):
        return "near the client"
    return "near the server" if there <= NEAR * (there + back) else "in between"


def seen(c: Connection) -> Iterator[tuple[str, float]]:
    """Give what can be timed, in milliseconds since the ClientHello, but for `tcp`, which is TCP's own round trip.

    What ends with a message of the server reaches the client later than it passed the capture point, and its
    ClientHello left earlier: by the way between both, once there and back, which the SYN-ACK and its ACK measured.
    """
    timing, way = c.timing, c.timing.synack_ack_ms or 0.0
    if timing.tcp_ms is not None:
        yield "tcp", timing.tcp_ms
    if timing.server_hello_ms is not None:
        yield "server_hello", timing.server_hello_ms + way
    if timing.handshake_ms is not None:
        yield "handshake", timing.handshake_ms + (way if _server_ends(c) else 0.0)
    if timing.server_data_ms is not None:
        yield "first_byte", timing.server_data_ms + way


def layers(c: Connection) -> Iterator[tuple[str, float]]:
    """Split the time to the first byte of application data into what each layer took, as the client sees it."""
    at = dict(seen(c))
    if "tcp" in at:
        yield "tcp", at["tcp"]
    if "handshake" not in at:
        return
    yield "tls", at["handshake"]
    sent = c.timing.client_data_ms
    if sent is not None:
        yield "tls_to_data", sent - at["handshake"]
        if "first_byte" in at and at["first_byte"] >= sent:
            yield "data_to_first_byte", at["first_byte"] - sent


def expected_round_trips(c: Connection) -> int | None:
    """What a handshake of this kind takes: RFC 5246 section 7.3, RFC 8446 section 2."""
    if c.version is None or c.resumption is None:
        return None
    if "1.3" in c.version:
        return 1 + bool(c.hello_retry)
    return 2 if c.resumption == "none" else 1


def _server_ends(c: Connection) -> bool:
    """Whether the last Finished is the server's (RFC 5246 section 7.3)."""
    return c.version is not None and "1.3" not in c.version and c.resumption == "none"
