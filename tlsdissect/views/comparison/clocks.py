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
LOCAL, NOT_SEEN = "loopback or LAN", "not seen"


def capture_point(c: Connection) -> str:
    """Tell near which end packets were captured, by TCP's handshake."""
    there, back = c.timing.syn_synack_ms, c.timing.synack_ack_ms
    if there is None or back is None:
        return NOT_SEEN
    if there + back < LOOPBACK_MS:
        return LOCAL
    if back <= NEAR * (there + back):
        return "near the client"
    return "near the server" if there <= NEAR * (there + back) else "in between"


def seen(c: Connection) -> Iterator[tuple[str, float]]:
    """Give what can be timed, in milliseconds since the ClientHello, but for `tcp`, which is TCP's own round trip.

    What ends with a message of the server reaches the client later than it passed the capture point, and its
    ClientHello left earlier: by the way between both, once there and back, which the SYN-ACK and its ACK measured.
    """
    timing, way = c.timing, c.timing.synack_ack_ms or 0.0
    of_server = way if _server_ends(c) else 0.0
    record = timing.server_data_ms if timing.server_record_ms is None else timing.server_record_ms
    moments = (
        ("tcp", timing.tcp_ms, 0.0),
        ("server_hello", timing.server_hello_ms, way),
        ("handshake", timing.handshake_ms, of_server),
        ("client_data", timing.client_data_ms, 0.0),
        ("first_byte", timing.server_data_ms, way),
        ("first_record", record, way),
    )
    yield from ((name, took + more) for name, took, more in moments if took is not None)


def layers(c: Connection) -> Iterator[tuple[str, float]]:
    """Split the time to the first byte of application data into what each layer took, as the client sees it."""
    at = dict(seen(c))
    if "tcp" in at:
        yield "tcp", at["tcp"]
    if c.timing.ack_client_hello_ms is not None:
        yield "tcp_to_tls", c.timing.ack_client_hello_ms
    if "handshake" not in at:
        return
    yield "tls", at["handshake"]
    if "client_data" not in at:
        return
    sent = at["client_data"]
    yield "tls_to_data", sent - at["handshake"]
    if at.get("first_byte", -1) >= sent:
        yield "data_to_first_byte", at["first_byte"] - sent


def expected_round_trips(c: Connection) -> int | None:
    """What a handshake takes as the RFCs draw it (RFC 5246 section 7.3, RFC 8446 section 2); None where unknown."""
    if c.version is None or c.resumption is None:
        return None
    return 2 if "1.3" not in c.version and c.resumption == "none" else 1


def against_expected(c: Connection) -> str | None:
    """Say why a handshake took more or fewer round trips than that: one reason, for they exclude each other."""
    expected = expected_round_trips(c)
    if expected is None or c.round_trips is None:
        return None
    if c.round_trips == expected:
        return "as expected"
    if c.round_trips > expected:
        return "HelloRetryRequest"
    return "early data" if c.early_data == "accepted" else "false start"


def _server_ends(c: Connection) -> bool:
    """Whether the last Finished is the server's (RFC 5246 section 7.3)."""
    return c.version is not None and "1.3" not in c.version and c.resumption == "none"
