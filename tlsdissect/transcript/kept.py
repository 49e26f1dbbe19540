"""What is kept of a conversation for those who look inside it: its packets, its records, and where each byte stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tlsdissect.transcript.connection import Connection, Side

if TYPE_CHECKING:
    from tlsdissect.transcript.transcript import Moment


class Packet(Struct, frozen=True, gc=False):
    """One packet of the handshake."""

    frame: int
    time: int
    """Nanoseconds since 1970-01-01T00:00:00Z."""
    sender: Side
    flags: int
    """TCP's flags (RFC 9293 section 3.1): FIN 1, SYN 2, RST 4, PSH 8, ACK 16."""
    offset: int | None
    """Where the payload begins in what its side sends, counted from the first byte behind the SYN; None: not known."""
    acknowledged: int | None
    """Up to where it acknowledges what the other side sends; None: nothing, or not known."""
    length: int
    """Bytes of payload that it carried."""
    payload: bytes
    """Those of them that the capture holds."""
    place: int | None
    """Byte of the frame at which the payload begins; None where it was joined from fragments."""


class WireRecord(Struct, frozen=True, gc=False):
    """A record as it was sent (RFC 8446 section 5.1), with the frame and the time that completed it."""

    sender: Side
    frame: int
    time: int
    content_type: int
    version: int
    length: int
    start: int
    """Where its header begins in what its side sends."""
    fragment: bytes | None
    """None for application data, whose body nobody reads."""
    encrypted: bool
    """A handshake message or an alert that nobody can read."""
    whole: bool
    """False: the fragment ends where the capture lacks bytes."""


class Span(NamedTuple):
    """Bytes in a frame; `offset` None: they do not lie there as they are, for they were joined or unwrapped."""

    frame: int
    offset: int | None
    length: int


class Transcript(Struct, frozen=True):
    """Packets and records of a TLS connection, in the order in which they were seen."""

    packets: tuple[Packet, ...]
    """Those of the handshake, and of what came later those that brought messages, or the end."""
    records: tuple[WireRecord, ...]
    first_data: tuple[Moment | None, Moment | None]
    """The packet in which the first application data begins: of the client, of the server."""
    version: int | None
    """What the server chose."""
    cipher_suite: int | None
    carrier: str | None
    """The protocol in whose packets TLS is carried: stream offsets are then those of what is carried."""

    def spans(self, sender: Side, start: int, end: int, frame: int) -> tuple[Span, ...]:
        """The bytes of frames in which a stretch of what a side sent lies; `frame` where it cannot be told."""
        if self.carrier is not None:
            return (Span(frame, None, end - start),) if end > start else ()
        spans: list[Span] = []
        while start < end:
            packet = self._holder(sender, start)
            if packet is None or packet.offset is None:
                return (*spans, Span(frame, None, end - start))
            inside = start - packet.offset
            size = min(end - start, len(packet.payload) - inside)
            spans.append(Span(packet.frame, None if packet.place is None else packet.place + inside, size))
            start += size
        return tuple(spans)

    def _holder(self, sender: Side, at: int) -> Packet | None:
        """The first packet that brought a byte: its first copy counts."""
        for packet in self.packets:
            if packet.sender == sender and packet.offset is not None and 0 <= at - packet.offset < len(packet.payload):
                return packet
        return None


class KeptConnection(Connection, frozen=True, kw_only=True):
    """A connection with its transcript."""

    transcript: Transcript
