"""The EAPOL frames or RADIUS packets of an EAP conversation as nodes, with EAP packets and the records of TLS in them.

A record stands in the EAP packet in which it begins, whatever packets bring the rest of it, as a message stands in its
record. RADIUS splits an EAP packet into attributes, so the EAP packet comes after all of these.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from tlsdissect.flows.eap import METHODS, REQUEST, RESPONSE, EapPacket, read_eap
from tlsdissect.flows.radius import read_radius
from tlsdissect.handshake.facts.timing import since
from tlsdissect.model.transcript import Places
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.eap import (
    LENGTH,
    OUTER_TLVS,
    EapHeader,
    EapolHeader,
    ExpandedType,
    Identity,
    MethodType,
    Nak,
    Notification,
    RadiusAttribute,
    RadiusHeader,
    TeapFlags,
    TlsFlags,
)
from tlsdissect.tls.remarks import reference
from tlsdissect.views.tree.build import Builder
from tlsdissect.views.tree.fields import Fields
from tlsdissect.views.tree.layouts import built
from tlsdissect.views.tree.model import MappedBytes, Node, TreeRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.model.connection import Side
    from tlsdissect.model.transcript import Packet, Transcript
    from tlsdissect.tls.layout import WireStruct
    from tlsdissect.views.tree.layouts import Lay

_HEADER, _EXPANDED_END = 4, 12
"""The end of an EAP packet's header, and that of an expanded type."""
_EXPANDED, _TEAP = 254, 55
_RADIUS_HEADER, _ATTRIBUTE_HEADER = 20, 2
_EAP_MESSAGE = 79
_TEXTS = frozenset((1, 11, 18, 30, 31, 32, 77, 87))
"""Types of RADIUS attributes that are text and useful to read (RFC 2865 section 5, RFC 2869 section 5)."""
_CITED = {
    52: "RFC 2869 section 5.1",
    53: "RFC 2869 section 5.2",
    55: "RFC 2869 section 5.3",
    77: "RFC 2869 section 5.11",
    79: "RFC 3579 section 3.1",
    80: "RFC 3579 section 3.2",
    85: "RFC 2869 section 5.16",
    87: "RFC 2869 section 5.17",
    88: "RFC 2869 section 5.18",
}
"""What defines a RADIUS attribute, by its type, if that is not RFC 2865. EAP-Message and Message-Authenticator were
first in RFC 2869."""
_BODIES: dict[int, type[WireStruct]] = {1: Identity, 2: Notification, 3: Nak}
"""What follows the type, by it."""
_LACKS = "the capture lacks bytes of it"


class EapBuilder:
    """Builds the nodes of the packets of a conversation."""

    def __init__(self, transcript: Transcript, carrier: Literal["eapol", "radius"], lay: Lay = built) -> None:
        self._transcript = transcript
        self._lay = lay
        self._carrier = carrier
        carried = replace(transcript, packets=transcript.eap_packets, framing=None)
        self._places: dict[Side, Places] = {side: Places(carried, side) for side in ("client", "server")}
        self._data: dict[int, tuple[int, int]] = {}
        """By frame, the stream offsets between which its TLS data lies."""
        self._parts: dict[int, list[tuple[int, Node]]] = {}
        """By frame, the records in its TLS data, each with its stream offset there."""
        self._shown: dict[int, list[tuple[int, int]]] = {}
        """By frame, the offsets of the bytes that the nodes of records show."""

    def records(self, hello: int | None) -> list[TreeRecord]:
        """Build a record for each packet; times count from the ClientHello, which is in frame `hello`."""
        self._place_records(Builder(self._transcript, self._lay).records(hello))
        packets = self._transcript.eap_packets
        zero = next((packet for packet in packets if packet.frame == hello), packets[0] if packets else None)
        return [
            TreeRecord(packet.sender, packet.frame, since(zero, packet.frame, packet.time), self._packet(packet))
            for packet in packets
        ]

    def _place_records(self, built: list[TreeRecord]) -> None:
        """Find the packets in which each record lies."""
        frames: dict[Side, list[tuple[int, int]]] = {"client": [], "server": []}
        for packet in self._transcript.packets:
            if packet.offset is not None:
                start, end = self._data.get(packet.frame, (packet.offset, packet.offset))
                if start == end:
                    frames[packet.sender].append((start, packet.frame))
                self._data[packet.frame] = start, end + packet.length
        for record, shown in zip(self._transcript.records, built, strict=True):
            mine = sorted(frames[record.sender])
            first = max(bisect_right(mine, record.start, key=itemgetter(0)) - 1, 0)
            for start, frame in mine[first:]:
                if start >= record.end:
                    break
                if self._data[frame][1] > record.start:
                    begun = Node("continued", meaning=f"a record that began in frame {mine[first][1]}")
                    node = begun if start > record.start else shown.node
                    self._parts.setdefault(frame, []).append((max(start, record.start), node))
            for leaf in _leaves(shown.node):
                for span in leaf.bytes:
                    if span.offset is not None:
                        self._shown.setdefault(span.frame, []).append((span.offset, span.offset + span.length))

    def _packet(self, packet: Packet) -> Node:
        """Build the node of a packet."""
        mapped = self._mapped(packet, [(0, len(packet.payload))])
        fields = Fields(mapped)
        if self._carrier == "radius":
            meaning, cited, children = "RADIUS", reference(RadiusHeader), self._radius(packet, fields)
        else:
            meaning, cited = "EAPOL", reference(EapolHeader)
            eap = self._mapped(packet, [(_HEADER, len(mapped) - _HEADER)])
            children = (*fields.message(EapolHeader, 0, _HEADER), *self._eap(packet, eap, packet.length - _HEADER))
        problem = _LACKS if len(mapped) < packet.length else None
        return Node("packet", None, meaning, None, cited, mapped.spans(0, len(mapped)), problem, children)

    def _mapped(self, packet: Packet, pieces: Iterable[tuple[int, int]]) -> MappedBytes:
        """Return the bytes of a packet in these pieces: an offset and a number of bytes for each."""
        mapped = MappedBytes(self._places[packet.sender], packet.frame)
        for at, size in pieces:
            mapped.add(packet.payload[at : at + size], (packet.offset or 0) + at)
        return mapped

    def _radius(self, packet: Packet, fields: Fields) -> tuple[Node, ...]:
        """Build the nodes of a RADIUS packet: its attributes, and the EAP packet in them."""
        data = packet.payload
        children = list(fields.message(RadiusHeader, 0, _RADIUS_HEADER))
        at, end = _RADIUS_HEADER, min(int.from_bytes(data[2:4], "big"), len(data))
        joined = 0
        while at + _ATTRIBUTE_HEADER <= end:
            stop = min(at + max(data[at + 1], _ATTRIBUTE_HEADER), end)
            children.append(_attribute(fields, data, at, stop, joined))
            joined += stop - at - _ATTRIBUTE_HEADER if data[at] == _EAP_MESSAGE else 0
            at = stop
        if at < len(data):
            children.append(replace(fields.leaf("unread", at, len(data)), reference=reference(RadiusHeader)))
        radius = read_radius(data, packet.length)
        if radius is not None and radius.eap:
            size = int.from_bytes(radius.eap[2:4], "big") if radius.cut else len(radius.eap)
            children += self._eap(packet, self._mapped(packet, radius.spans), size)
        return tuple(children)

    def _eap(self, packet: Packet, mapped: MappedBytes, size: int) -> Iterator[Node]:
        """Yield the node of an EAP packet, and that of the bytes after it."""
        data, fields = mapped.data, Fields(mapped)
        eap = read_eap(data, size)
        end = 0 if eap is None else min(int.from_bytes(data[2:4], "big"), len(data))
        if eap is not None:
            meaning = Registry.EAP_CODES.names[eap.code]
            meaning += f" {Registry.EAP_TYPES.names[eap.method]}" if eap.code in (REQUEST, RESPONSE) else ""
            meaning += " Start" if eap.is_start else ""
            children = (*fields.message(EapHeader, 0, _HEADER), *self._contents(packet, mapped, eap, end))
            problem = _LACKS if len(data) < size and len(data) == end else None
            spans = mapped.spans(0, end)
            yield Node("EAP", None, meaning, None, reference(EapHeader), spans, problem, children)
        if end < len(data):
            yield replace(fields.leaf("unread", end, len(data)), reference=reference(EapHeader))

    def _contents(self, packet: Packet, mapped: MappedBytes, eap: EapPacket, end: int) -> Iterator[Node]:
        """Yield the nodes of what follows the header of an EAP packet."""
        if eap.code not in (REQUEST, RESPONSE):
            return
        data, fields, at = mapped.data, Fields(mapped), _HEADER + 1
        if data[_HEADER] == _EXPANDED and end >= _EXPANDED_END:
            at = _EXPANDED_END
        yield from fields.message(MethodType if at < _EXPANDED_END else ExpandedType, _HEADER, at)
        if eap.method in METHODS and at < end:
            struct = TeapFlags if eap.method == _TEAP else TlsFlags
            lengths = [LENGTH, OUTER_TLVS] if struct is TeapFlags else [LENGTH]
            begin = min(at + 1 + 4 * sum(data[at] & flag != 0 for flag in lengths), end)
            yield from fields.message(struct, at, begin)
            yield from self._tls(packet, mapped, begin, end)
        elif eap.method in _BODIES:
            yield from fields.message(_BODIES[eap.method], at, end)
        elif at < end:
            yield replace(fields.leaf("type_data", at, end), reference=reference(MethodType))

    def _tls(self, packet: Packet, mapped: MappedBytes, begin: int, end: int) -> Iterator[Node]:
        """Yield the records in the TLS data between two offsets of an EAP packet, and what is in no record."""
        fields = Fields(mapped)
        start, stop = self._data.get(packet.frame, (0, 0))
        inside = [(begin + at - start, node) for at, node in self._parts.get(packet.frame, ())]
        for low, high in self._left_over(mapped, begin, begin + stop - start):
            inside.append((low, replace(fields.leaf("unread", low, high), reference=reference(TlsFlags))))
        for _, node in sorted(inside, key=itemgetter(0)):
            yield node
        if begin + stop - start < end:
            # TLVs outside TLS, the data of a Start, or what was not read because another packet came before it.
            yield replace(fields.leaf("data", begin + stop - start, end), reference=reference(TlsFlags))

    def _left_over(self, mapped: MappedBytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of an EAP packet that are in no record, or behind what the capture lacks of one."""
        at = begin
        for span in mapped.spans(begin, end):
            first = span.offset
            known = self._shown.get(span.frame, []) if first is not None else [(0, span.length)]
            reached = first = first or 0
            for low, high in (*sorted(known), (first + span.length,) * 2):
                stop = min(low, first + span.length)
                if reached < stop:
                    yield at + reached - first, at + stop - first
                reached = max(reached, high)
            at += span.length


def _leaves(node: Node) -> Iterator[Node]:
    """Yield the nodes whose bytes are not those of their children."""
    if not any(child.bytes for child in node.children):
        yield node
    for child in node.children:
        yield from _leaves(child)


def _attribute(fields: Fields, data: bytes, at: int, stop: int, joined: int) -> Node:
    """Build the node of a RADIUS attribute; the EAP packet has `joined` bytes before it.

    What carries the EAP packet is shown there.
    """
    kind, body = data[at], at + _ATTRIBUTE_HEADER
    cited = _CITED.get(kind, reference(RadiusAttribute))
    children = tuple([replace(child, reference=cited) for child in fields.message(RadiusAttribute, at, stop)])
    if kind == _EAP_MESSAGE:
        meaning = f"bytes {joined} to {joined + stop - body - 1} of the EAP packet"
        children = (*children[:2], Node("value", meaning=meaning, reference=cited))
    elif kind in _TEXTS and body < stop:
        children = (*children[:-1], replace(children[-1], meaning=data[body:stop].decode("utf-8", "backslashreplace")))
    spans = tuple([span for child in children for span in child.bytes])
    return Node(Registry.RADIUS_TYPES.names[kind], reference=cited, bytes=spans, children=children)
