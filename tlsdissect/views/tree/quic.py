"""The packets, frames and messages of a QUIC connection as nodes.

A packet has its header and, if it is an Initial that could be opened, its frames. A message stands in the CRYPTO frame
in which it begins, whatever frames bring the rest of it. Encryption keeps each byte in its place: the byte ranges are
those of the captured packets, the values those of the opened ones. A Handshake packet that keys opened has its frames
inside its encrypted bytes; like all that only keys show, they are in no frame of the capture.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tlsdissect.handshake.facts.timing import since
from tlsdissect.model.transcript import Places
from tlsdissect.tls.codepoints import HandshakeType, Registry
from tlsdissect.tls.handshake import decoder
from tlsdissect.tls.headers import HandshakeHeader
from tlsdissect.tls.quic import (
    FIXED_BIT,
    FRAME_NAMES,
    ConnectionClose,
    Crypto,
    Frames,
    GoogleCrypto,
    InitialFields,
    LongHeader,
    NegotiationFields,
    PacketType,
    Padding,
    ProtectedFields,
    RetryFields,
    frame_places,
)
from tlsdissect.tls.remarks import reference
from tlsdissect.tls.server_hello import RETRY_RANDOM
from tlsdissect.tls.wire import Reader
from tlsdissect.views.tree.fields import Fields
from tlsdissect.views.tree.layouts import built
from tlsdissect.views.tree.model import OPENED, MappedBytes, Node, OpenedBytes, TreeRecord

if TYPE_CHECKING:
    from tlsdissect.model.connection import Side
    from tlsdissect.model.transcript import Packet, QuicPacket, Transcript
    from tlsdissect.tls.layout import WireStruct
    from tlsdissect.views.tree.layouts import Lay

_MESSAGE_HEADER = 4
_TLS13 = 0x0304
_KINDS: dict[PacketType, tuple[str, str, type[WireStruct]]] = {
    PacketType.INITIAL: ("Initial", "RFC 9000 section 17.2.2", InitialFields),
    PacketType.ZERO_RTT: ("0-RTT", "RFC 9000 section 17.2.3", ProtectedFields),
    PacketType.HANDSHAKE: ("Handshake", "RFC 9000 section 17.2.4", ProtectedFields),
    PacketType.RETRY: ("Retry", "RFC 9000 section 17.2.5", RetryFields),
    PacketType.VERSION_NEGOTIATION: ("Version Negotiation", "RFC 9000 section 17.2.1", NegotiationFields),
}
"""The name of each type of packet, its reference, and the rest of its header."""
_ONE_RTT = "RFC 9000 section 17.3.1"
_PROTECTION = "RFC 9001 section 5.3"
_NUMBER = "RFC 9000 section 17.1"
_ALERTS = "RFC 9001 section 4.8"
_PAYLOAD = "RFC 9000 section 12.4"


class _Run(NamedTuple):
    """Bytes of a CRYPTO stream, and where they were sent."""

    offset: int
    packet: int
    """The number of their packet."""
    frame: int
    """Where their CRYPTO frame begins in the packet."""
    start: int
    """Their offset in the datagrams of their sender."""
    data: bytes

    @property
    def end(self) -> int:
        """The offset in the stream after them."""
        return self.offset + len(self.data)

    def after(self, offset: int) -> _Run:
        """Return what follows an offset in the stream."""
        skipped = max(offset - self.offset, 0)
        moved = self._replace(offset=self.offset + skipped, start=self.start + skipped)
        return moved._replace(data=self.data[skipped:])

    def before(self, offset: int) -> _Run:
        """Return what precedes an offset in the stream."""
        return self._replace(data=self.data[: max(offset - self.offset, 0)])


class QuicBuilder:
    """Builds the nodes of the packets of a connection."""

    def __init__(self, transcript: Transcript, lay: Lay = built) -> None:
        self._transcript = transcript
        self._lay = lay
        self._places: dict[Side, Places] = {side: Places(transcript, side) for side in ("client", "server")}
        self._inside: dict[tuple[int, int], list[tuple[int, Node]]] = {}
        """By packet and CRYPTO frame, the nodes of its data, each with its offset in the stream."""

    def records(self, hello: int | None) -> list[TreeRecord]:
        """Build all packets; `hello` is the frame of the ClientHello, at which time starts."""
        for (side, *_), runs in self._streams().items():
            self._messages(side, self._without_repeated(side, sorted(runs)))
        packets = self._transcript.packets
        zero = next((packet for packet in packets if packet.frame == hello), packets[0] if packets else None)
        nodes: list[tuple[Packet, Node]] = []
        ends = [0] * len(packets)
        for number, one in enumerate(self._transcript.quic):
            packet = packets[one.datagram]
            ends[one.datagram] = one.end
            nodes.append((packet, self._packet(number, one, packet)))
        rests = ((packet, end) for packet, end in zip(packets, ends, strict=True) if end < len(packet.payload))
        nodes += [(packet, self._rest(packet, end)) for packet, end in rests]
        nodes.sort(key=lambda pair: pair[0].frame)
        return [
            TreeRecord(packet.sender, packet.frame, since(zero, packet.frame, packet.time), node)
            for packet, node in nodes
        ]

    def _mapped(self, one: QuicPacket, packet: Packet) -> MappedBytes:
        """Return the bytes of a packet, without protection if it was opened."""
        raw = packet.payload[one.start : one.end]
        opened = b"" if one.payload is None or one.with_keys else one.header + one.payload
        mapped = MappedBytes(self._places[packet.sender], packet.frame)
        mapped.add(opened + raw[len(opened) :], (packet.offset or 0) + one.start)
        return mapped

    def _packet(self, number: int, one: QuicPacket, packet: Packet) -> Node:
        mapped = self._mapped(one, packet)
        fields, data = Fields(mapped), mapped.data
        name, cited, rest = _KINDS[PacketType(one.kind)]
        ids = 6 + data[5]
        at, protected = ids + 1 + data[ids], one.protected - one.start
        children = list(fields.message(LongHeader, 0, at))
        children += fields.message(rest, at, len(data) if rest in (RetryFields, NegotiationFields) else protected)
        if one.payload is not None and not one.with_keys:
            begin = len(one.header)
            end = begin + len(one.payload)
            children += [_number(fields, protected, begin, data), *self._frames(number, mapped, begin, end, name)]
            children.append(replace(fields.leaf("tag", end, len(data)), reference=_PROTECTION))
        elif protected < len(data):
            opened = () if one.payload is None else self._inside_encrypted(number, one, packet.sender, data)
            children.append(replace(_encrypted(mapped, protected, _PROTECTION), children=opened))
        return Node("packet", None, name, None, cited, mapped.spans(0, len(data)), None, tuple(children))

    def _inside_encrypted(self, number: int, one: QuicPacket, side: Side, raw: bytes) -> tuple[Node, ...]:
        """Build the nodes of what keys opened of a packet, whose captured bytes are `raw`."""
        data = one.header + (one.payload or b"")
        begin, end = len(one.header), len(data)
        mapped = OpenedBytes(self._places[side], data + raw[end:])
        fields = Fields(mapped)
        frames = tuple(self._frames(number, mapped, begin, end, "Handshake"))
        return (
            _number(fields, one.protected - one.start, begin, data),
            Node("frames", meaning=OPENED, reference=_PAYLOAD, children=frames),
            replace(fields.leaf("tag", end, len(raw)), reference=_PROTECTION),
        )

    def _rest(self, packet: Packet, start: int) -> Node:
        """Build the node of what follows the long headers of a datagram: a 1-RTT packet, or nothing of QUIC."""
        mapped = MappedBytes(self._places[packet.sender], packet.frame)
        mapped.add(packet.payload[start:], (packet.offset or 0) + start)
        inside = _encrypted(mapped, 0, _ONE_RTT)
        if not packet.payload[start] & FIXED_BIT:
            return replace(inside, name="unread", meaning=f"{inside.meaning} that are not a packet")
        return Node("packet", None, "1-RTT", None, _ONE_RTT, inside.bytes, None, (inside,))

    def _frames(self, number: int, mapped: MappedBytes, at: int, end: int, packet: str) -> list[Node]:
        """Build the nodes of the frames of a packet of this type."""
        fields = Fields(mapped)
        nodes: list[Node] = []
        for start, stop, struct in frame_places(mapped.data, at, end):
            spans = mapped.spans(start, stop)
            code = mapped.data[start]
            name = Registry.QUIC_FRAME_TYPES.names[code] if struct not in FRAME_NAMES else FRAME_NAMES[struct]
            if struct is None:
                problem = f"no frame that {'an' if packet == 'Initial' else 'a'} {packet} packet may have"
                nodes.append(replace(fields.leaf(name, start, stop), reference=reference(Frames), problem=problem))
            elif struct is Padding:
                nodes.append(Node(name, meaning=f"{stop - start} bytes", reference=reference(Padding), bytes=spans))
            else:
                children = tuple(fields.message(struct, start, stop))
                if struct is ConnectionClose:
                    children = _with_alert(children, ConnectionClose.read(Reader(mapped.data, start, stop)))
                inside = sorted(self._inside.get((number, start), ()), key=itemgetter(0))
                if inside:
                    children = (*children[:-1], *[node for _, node in inside])
                nodes.append(Node(name, reference=reference(struct), bytes=spans, children=children))
        return nodes

    def _streams(self) -> dict[tuple[Side, int, int], list[_Run]]:
        """Return what the CRYPTO frames of each side, version and type of packet hold, in the order of the packets.

        A side that changes the version in its handshake continues its stream of Handshake packets (RFC 9368 section 4).
        """
        streams: dict[tuple[Side, int, int], list[_Run]] = {}
        for number, one in enumerate(self._transcript.quic):
            if one.payload is None:
                continue
            packet, begin = self._transcript.packets[one.datagram], len(one.header)
            data = one.header + one.payload
            version = 0 if one.with_keys else int.from_bytes(data[1:5], "big")
            runs = streams.setdefault((packet.sender, version, one.kind), [])
            for start, stop, struct in frame_places(data, begin, len(data)):
                if struct is Crypto or struct is GoogleCrypto:
                    frame = struct.read(Reader(data, start, stop))
                    place = (packet.offset or 0) + one.start + stop - frame.length
                    runs.append(_Run(frame.offset, number, start, place, frame.crypto_data))
        return streams

    def _without_repeated(self, side: Side, runs: list[_Run]) -> list[_Run]:
        """Return sorted runs without the bytes that others have; build the nodes of these."""
        reached, kept = 0, []
        for run in runs:
            again, new = run.before(reached), run.after(reached)
            if again.data:
                self._add(again, "repeated", side)
            if new.data:
                kept.append(new)
            reached = max(reached, run.end)
        return kept

    def _messages(self, side: Side, runs: list[_Run]) -> None:
        """Build the nodes of the messages in the runs of a stream, which do not overlap."""
        parts: list[_Run] = []
        size, wanted, expected = 0, _MESSAGE_HEADER, 0
        for run in runs:
            if run.offset != expected:
                break
            expected = run.end
            left = run
            while left.data:
                parts.append(left.before(left.offset + wanted - size))
                size += len(parts[-1].data)
                left = left.after(parts[-1].end)
                if size == wanted == _MESSAGE_HEADER:
                    wanted += int.from_bytes(b"".join(part.data for part in parts)[1:], "big")
                if size == wanted:
                    self._message(side, parts, None)
                    parts, size, wanted = [], 0, _MESSAGE_HEADER
        if parts:
            self._message(side, parts, "the rest of the message is not in the capture")
        for run in runs:
            if run.offset >= expected:
                self._add(run, "unread", side)

    def _add(self, run: _Run, name: str, side: Side) -> None:
        """Add a node for bytes that are shown as they are."""
        mapped = self._joined(side, [run])
        node = replace(Fields(mapped).leaf(name, 0, len(run.data)), reference=reference(Crypto))
        self._inside.setdefault((run.packet, run.frame), []).append((run.offset, node))

    def _message(self, side: Side, parts: list[_Run], problem: str | None) -> None:
        """Add the node of a message, complete or as far as it was captured, to the frame in which it begins."""
        first = parts[0]
        frame = self._transcript.packets[self._transcript.quic[first.packet].datagram].frame
        opened = OPENED if self._transcript.quic[first.packet].with_keys else None
        node = self._message_node(self._joined(side, parts), problem, opened)
        self._inside.setdefault((first.packet, first.frame), []).append((first.offset, node))
        continued = Node("continued", meaning=f"a message that began in frame {frame}")
        for place in {(part.packet, part.frame): part.offset for part in parts[1:]}.items():
            if place[0] != (first.packet, first.frame):
                self._inside.setdefault(place[0], []).append((place[1], continued))

    def _joined(self, side: Side, parts: list[_Run]) -> MappedBytes:
        """Return the bytes of runs; those that keys opened are in no frame."""
        first = self._transcript.quic[parts[0].packet]
        if first.with_keys:
            return OpenedBytes(self._places[side], b"".join(part.data for part in parts))
        mapped = MappedBytes(self._places[side], self._transcript.packets[first.datagram].frame)
        for part in parts:
            mapped.add(part.data, part.start)
        return mapped

    def _message_node(self, mapped: MappedBytes, problem: str | None, meaning: str | None = None) -> Node:
        """Build the node of a message."""
        data = mapped.data
        kind, end = data[0], len(data)

        def build(fields: Fields) -> tuple[Node]:
            children = fields.message(HandshakeHeader, 0, min(_MESSAGE_HEADER, end))
            decoded = decoder(kind, _TLS13)
            if decoded is not None and end >= _MESSAGE_HEADER:
                children += fields.message(decoded.struct, _MESSAGE_HEADER, end, **decoded.given)
            elif end > _MESSAGE_HEADER:
                children += (fields.leaf("body", _MESSAGE_HEADER, end),)
            retry = kind == HandshakeType.SERVER_HELLO and data[6:38] == RETRY_RANDOM
            name = "hello_retry_request" if retry else Registry.HANDSHAKE_TYPES.names[kind]
            return (Node(name, None, meaning, None, children[-1].reference, fields.spans(0, end), problem, children),)

        (node,) = self._lay(mapped, (problem, meaning), build)
        return node


def _with_alert(children: tuple[Node, ...], close: ConnectionClose) -> tuple[Node, ...]:
    """Name the alert of TLS that the code of a CONNECTION_CLOSE stands for."""
    if close.alert is None:
        return children
    meaning = f"CRYPTO_ERROR, {Registry.ALERTS.names[close.alert]}"
    return tuple(
        replace(one, meaning=meaning, reference=_ALERTS) if one.name == "error_code" else one for one in children
    )


def _number(fields: Fields, start: int, end: int, data: bytes) -> Node:
    """Build the node of a packet number."""
    return replace(fields.leaf("packet_number", start, end, int.from_bytes(data[start:end], "big")), reference=_NUMBER)


def _encrypted(mapped: MappedBytes, start: int, cited: str) -> Node:
    """Build the node of encrypted bytes."""
    spans = mapped.spans(start, len(mapped))
    return Node("encrypted", meaning=f"{len(mapped) - start} bytes", reference=cited, bytes=spans)
