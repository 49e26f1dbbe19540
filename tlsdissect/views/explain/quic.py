"""Sentences about what only QUIC has: its versions, Retry, the limit on what a server may send, how it closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.handshake.facts.timing import elapsed
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.tls.quic import PacketType
from tlsdissect.views.explain.model import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, Quic

AMPLIFICATION = 3
"""How many times the bytes that it received a server may send before it knows the client's address to be real (RFC 9000
section 8.1)."""


def before(c: Connection, quic: Quic) -> Iterator[Sentence]:
    """What happened before the handshake, and what each of it cost."""
    alone = c.client_hello is not None and c.client_hello.frame == c.first_frame and c.has_whole_client_hello
    begin = "the ClientHello is in the client's first packet" if alone else "a client begins with its ClientHello"
    text = f"QUIC needs no handshake of TCP: {begin}."
    yield Sentence("time", "quic", text, (c.first_frame,))
    if quic.version_negotiation:
        text = "The server does not support the client's first version of QUIC, and listed those that it supports"
        text += (
            ": the client began again, one round trip later." if went_on(c) else ", but the client sent nothing more."
        )
        yield Sentence("time", "version_negotiation", text, frames(c, PacketType.VERSION_NEGOTIATION))
    first = _first_version(quic)
    if first is not None and first != quic.version and not quic.version_negotiation:
        text = f"The client began with version {first} of QUIC and the server went on with version {quic.version}, "
        yield Sentence("time", "compatible_version", f"{text}which costs no round trip (RFC 9368 section 2.3).")
    if quic.retry:
        text = "The server answered with a Retry, so that the client proves its address: one more round trip."
        yield Sentence("time", "retry", text, frames(c, PacketType.RETRY))
    yield from _amplification(c, quic)


def trips_before_hello(c: Connection, quic: Quic) -> int:
    """Return the round trips before the ClientHello: that after a Version Negotiation, or another one after a Retry."""
    retry, hello = frames(c, PacketType.RETRY), c.client_hello
    return bool(quic.version_negotiation and went_on(c)) + bool(retry and hello and hello.frame > retry[0])


def went_on(c: Connection) -> bool:
    """Return whether the ClientHello came after the Version Negotiation."""
    refused = frames(c, PacketType.VERSION_NEGOTIATION)
    if c.client_hello is None:
        # The ClientHello is missing that the server answered.
        return c.server_hello is not None
    return not refused or c.client_hello.frame > refused[0]


def versions_refused(c: Connection) -> bool:
    """Return whether the attempt ended with the server's Version Negotiation."""
    return c.quic is not None and bool(c.quic.version_negotiation) and not went_on(c)


def _first_version(quic: Quic) -> str | None:
    """The version of the packet with the ClientHello, as its transport parameters say (RFC 9368 section 3)."""
    information = (quic.transport_parameters or {}).get("version_information")
    return information.get("chosen_version") if isinstance(information, dict) else None


def frames(c: Connection, kind: PacketType) -> tuple[int, ...]:
    """The frame of the first packet of a type, if the connection was kept."""
    if not isinstance(c, KeptConnection):
        return ()
    found = (c.transcript.packets[one.datagram].frame for one in c.transcript.quic if one.kind == kind)
    return tuple(found)[:1]


def _amplification(c: Connection, quic: Quic) -> Iterator[Sentence]:
    """A server that stopped because it may send no more, and went on when the client had sent something."""
    if not isinstance(c, KeptConnection) or quic.retry:
        return
    received = sent = 0
    stopped: tuple[int, int, int | None] | None = None
    for packet in c.transcript.packets:
        if packet.sender == "client":
            if stopped is None and received and sent and sent + _largest(c) > AMPLIFICATION * received:
                stopped = packet.frame, sent, packet.time
            received += packet.length
            continue
        if stopped is not None:
            frame, size, time = stopped
            ms = elapsed(time, packet.time)
            if ms is not None and any(one.frame == packet.frame and one.type == "encrypted" for one in c.messages):
                text = f"The server stopped after {size:,} bytes until the client had sent something: it may send no "
                text += (
                    "more than three times what it received from an address that may be forged (RFC 9000 section 8.1)."
                )
                yield Sentence("time", "amplification", text, (frame, packet.frame), guess=True)
            return
        sent += packet.length


def _largest(c: KeptConnection) -> int:
    """Return the bytes of the server's largest datagram: it stops where another one would be too much."""
    return max((packet.length for packet in c.transcript.packets if packet.sender == "server"), default=0)


def closed(c: Connection, quic: Quic) -> Iterator[Sentence]:
    """How it ended, as far as that can be read."""
    close = quic.close
    if close is not None:
        reason = f", because of: {close.reason}" if close.reason else ""
        text = f"The {close.sender} closed the connection with {close.code}{reason}."
        yield Sentence("end", "quic_close", text, (close.frame,))
    elif c.outcome == "established":
        yield Sentence(
            "end",
            "quic_end",
            "Without keys, nobody can read how it ended: after the handshake, QUIC closes under encryption.",
        )
