"""Times of a connection as its client saw them, wherever the packets were captured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tlsdissect.model.connection import Connection

LOCAL, NOT_SEEN = "loopback or LAN", "not seen"


def capture_point(c: Connection) -> str:
    """Return near which end the packets were captured, judged by the TCP handshake."""
    timing = c.timing
    if timing.tcp_ms is None or timing.syn_synack_ms is None or timing.synack_ack_ms is None:
        return NOT_SEEN
    if timing.path_ms is None:
        return LOCAL
    return f"near the {timing.captured_near}" if timing.captured_near else "in between"


def since_client_hello(c: Connection) -> dict[str, float]:
    """Return the milliseconds from the ClientHello to each event; `tcp` is the TCP handshake's own round trip.

    An interval that ends with a message of the server is longer for the client than at the capture point: the
    ClientHello left the client earlier, and the message arrives there later. The difference is the round trip between
    client and capture point, which the SYN-ACK and its ACK measured.
    """
    timing, to_client = c.timing, c.timing.synack_ack_ms or 0.0
    at_finished = to_client if _server_ends(c) else 0.0
    record = timing.server_data_ms if timing.server_record_ms is None else timing.server_record_ms
    events = (
        ("tcp", timing.tcp_ms, 0.0),
        ("server_hello", timing.server_hello_ms, to_client),
        ("handshake", timing.handshake_ms, at_finished),
        ("client_data", timing.client_data_ms, 0.0),
        ("first_byte", timing.server_data_ms, to_client),
        ("first_record", record, to_client),
    )
    return {name: took + more for name, took, more in events if took is not None}


def to_first_data(c: Connection, at: Mapping[str, float]) -> float | None:
    """Return the time from the client's first packet to the server's first data; `at` is from `since_client_hello`.

    The first packet is the SYN, or in QUIC the Initial that completes the ClientHello, if nothing went before it: the
    round trips of TCP and of TLS count. The first data is the first record or 1-RTT packet after the handshake.
    """
    hello, data = c.client_hello, at.get("first_record")
    if data is None or hello is None:
        return None
    if c.transport == "quic":
        return data if hello.frame - c.first_frame < hello.segments else None
    if c.timing.tcp_ms is None or c.timing.ack_client_hello_ms is None:
        return None
    return c.timing.tcp_ms + c.timing.ack_client_hello_ms + data


def layers(c: Connection, at: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Split the time to the first byte of application data by layer; `at` is from `since_client_hello`."""
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
    """Return the round trips of such a handshake by the RFCs (RFC 5246 section 7.3, RFC 8446 section 2), if known."""
    if c.version is None or c.resumption is None:
        return None
    return 2 if not c.is_tls13 and c.resumption == "none" else 1


def against_expected(c: Connection) -> str | None:
    """Return why a handshake took more or fewer round trips than expected. The reasons exclude each other."""
    expected = expected_round_trips(c)
    if expected is None or c.round_trips is None:
        return None
    if c.round_trips == expected:
        return "as expected"
    if c.round_trips > expected:
        if c.quic is not None and not c.hello_retry:
            return "Retry" if c.quic.retry else "Version Negotiation"
        return "HelloRetryRequest" if c.first_message("hello_verify_request") is None else "HelloVerifyRequest"
    return "early data" if c.early_data == "accepted" else "false start"


def _server_ends(c: Connection) -> bool:
    """Whether the server sends the last Finished (RFC 5246 section 7.3)."""
    return c.version is not None and not c.is_tls13 and c.resumption == "none"
