"""The model of a ladder diagram: arrows between client and server in the order of time."""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby, pairwise
from math import inf
from operator import itemgetter
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.handshake.facts.timing import since
from tlsdissect.model.connection import CRYPTO_ERROR, LOOPBACK_MS, Message, Timing
from tlsdissect.model.renumbering import in_reading_order
from tlsdissect.model.transcript import Places, final_alert, has_failed, kept, keyed_end, probes, refusal
from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.quic import Crypto, GoogleCrypto, PacketType, frame_places
from tlsdissect.tls.record import HANDSHAKE
from tlsdissect.views import table
from tlsdissect.views.both_ends.path import ends, losses
from tlsdissect.views.ladder.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tlsdissect.model.connection import Alert, Connection, Endpoint, QuicClose, Side, Transport
    from tlsdissect.model.transcript import KeptConnection, Packet, QuicPacket, WireRecord
    from tlsdissect.views.both_ends.path import Lost

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
NO_BREAK = "\xa0"
"""Between a name and its size, which stay on one line."""
_CHANGE = "change_cipher_spec"
OTHER: dict[Side, Side] = {"client": "server", "server": "client"}
"""The side that an arrow of a side goes to."""
_MANY = 4
"""Maximum number of adjacent encrypted records whose sizes are listed one by one."""


Kind = Literal["tcp", "clear", "encrypted", "data", "again", "lost"]
"""The transport's own; messages in the clear; nothing but encrypted ones; application data; a segment sent again, or
late; a packet that the capture at the other end lacks."""


class Arrow(Struct, frozen=True):
    """An arrow from one side to the other."""

    sender: Side
    kind: Kind
    labels: tuple[str, ...]
    """Messages with their sizes, or TCP flags."""
    frames: tuple[int, ...]
    """The first and the last frame; empty if only its time is known."""
    ms: float | None
    """Milliseconds from the ClientHello until it was complete, at the capture point; None if not known."""
    round_trips: float | None
    """The same in round trips of TCP; None if TCP's round trip is not known."""
    bytes: int | None
    """Bytes of its records with their headers, or of a retransmitted segment; None for other kinds."""
    sealed: tuple[bool, ...] = ()
    """For each label, whether the message is encrypted; empty if the labels are not messages."""
    failed: bool = False
    """Whether the handshake failed by it."""
    arrives: bool = True
    """Whether its last packet is not known to be lost."""

    @property
    def frame_range(self) -> str:
        """One frame number, or the first and the last."""
        first, last = sorted((self.frames[0], self.frames[-1]))
        return str(first) if first == last else f"{first}-{last}"

    def parts(self) -> Iterator[tuple[Kind, tuple[str, ...]]]:
        """Yield adjacent labels of the same kind together: plaintext or encrypted messages."""
        return grouped(self.kind, self.labels, self.sealed)


def grouped(kind: Kind, labels: tuple[str, ...], sealed: tuple[bool, ...]) -> Iterator[tuple[Kind, tuple[str, ...]]]:
    """Yield adjacent labels of the same kind together, as in `Arrow.parts`."""
    if not sealed:
        yield kind, labels
        return
    for is_sealed, group in groupby(zip(labels, sealed, strict=True), key=lambda pair: pair[1]):
        yield "encrypted" if is_sealed else "clear", tuple(label for label, _ in group)


class Ladder(Struct, frozen=True):
    """The arrows of one connection."""

    source: str
    transport: Transport
    stream: int
    client: Endpoint
    server: Endpoint
    sni: str | None
    version: str | None
    cipher_suite: str | None
    outcome: str
    """With the alert, and with the side that a failure is due to."""
    failed: bool
    round_trips: int | None
    timing: Timing
    arrows: tuple[Arrow, ...]

    @property
    def ways(self) -> dict[Side, float]:
        """Milliseconds from either end to the capture point: half of the round trip that TCP's handshake measured.

        On a path so short that the round trip measures computers, they are 0.
        """
        there, back = self.timing.syn_synack_ms, self.timing.synack_ack_ms
        known = there is not None and back is not None and self.timing.path_ms is not None
        return {"client": (back or 0.0) / 2, "server": (there or 0.0) / 2} if known else {"client": 0.0, "server": 0.0}

    @property
    def negotiated(self) -> str:
        """Version and cipher suite as text."""
        return f"{self.version or 'no version'}  {self.cipher_suite or 'no cipher suite'}"

    @property
    def result(self) -> str:
        """Outcome and round trips as text."""
        trips = self.round_trips
        return self.outcome if trips is None else f"{self.outcome}, {trips} round trip{'s' * (trips != 1)}"


def views(connection: Connection) -> tuple[Ladder, ...]:
    """Draw a connection that was read with `keep=True` as each capture shows it: one ladder, or two."""
    other = kept(connection).other_view
    if other is None:
        return (drawn(connection),)
    found = ends(kept(connection), other)
    lost = losses(found) or ()
    return drawn(found.client, lost), drawn(found.server, lost)


def drawn(connection: Connection, lost: Iterable[Lost] = ()) -> Ladder:
    """Draw the ladder of a connection that was read with `keep=True`; ValueError for another.

    `lost` is what the capture at the other end lacks; what this one sent of it has arrows of its own.
    """
    return in_reading_order(connection, lambda one: _ladder(one, _Drawing(kept(one), lost).arrows()))


def outlined(connection: Connection) -> Ladder:
    """Draw the ladder of a connection without a transcript: its messages, and the times that are known without one."""
    return in_reading_order(connection, lambda one: _ladder(one, _timed_arrows(one)))


def _ladder(connection: Connection, arrows: Sequence[Arrow]) -> Ladder:
    culprit = _culprit(connection, arrows)
    return with_arrows(connection, [replace(one, failed=True) if one is culprit else one for one in arrows])


def with_arrows(connection: Connection, arrows: Iterable[Arrow]) -> Ladder:
    """Return the ladder of a connection with these arrows."""
    return Ladder(
        connection.source,
        connection.transport,
        connection.stream,
        connection.client,
        connection.server,
        connection.sni,
        connection.version,
        connection.cipher_suite,
        table.outcome(connection)[0] or connection.outcome,
        has_failed(connection),
        connection.round_trips,
        connection.timing,
        tuple(arrows),
    )


def _culprit(c: Connection, arrows: Sequence[Arrow]) -> Arrow | None:
    """Return the arrow by which the handshake failed: an alert, or the end of TCP or of QUIC."""
    keyed = keyed_end(c)
    alert, by = (final_alert(c), c.failed_by) if keyed is None else (keyed, keyed.sender)
    mine = [arrow for arrow in arrows if arrow.sender == by]
    said = [arrow for arrow in mine if arrow.kind in ("clear", "encrypted")]
    if alert is not None:
        said = [arrow for arrow in said if arrow.frames[0] <= alert.frame <= arrow.frames[-1]]
    if c.outcome == "alert" or keyed is not None:
        return said[-1] if said else None
    label = {"reset": "RST", "closed": "CONNECTION_CLOSE" if c.transport == "quic" else "FIN"}.get(c.outcome)
    return next((arrow for arrow in mine if label is not None and arrow.labels[0].startswith(label)), None)


def _close_label(close: QuicClose) -> str:
    return f"[CONNECTION_CLOSE {close.code}]"


def legend(ladders: Iterable[Ladder]) -> str:
    """Return a line that explains the signs for what only keys show; empty if there are none."""
    outcomes, labels = [], []
    for one in ladders:
        outcomes.append(one.outcome)
        labels += [label for arrow in one.arrows for label in arrow.labels]
    told = ["[in brackets]: decrypted with keys"] if any(label.startswith("[") for label in labels) else []
    told += [f"{table.KEYED}: known only with keys"] if any(table.KEYED in outcome for outcome in outcomes) else []
    return "; ".join(told)


def path(ladders: Iterable[Ladder]) -> float | None:
    """Return the longest of TCP's round trips in milliseconds; None if one is not known."""
    times = [one.timing.tcp_ms for one in ladders]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def paused(timing: Timing, before: Message, message: Message) -> bool:
    """Return whether half a round trip of TCP, or a millisecond, passed between two messages of one flight."""
    if timing.tcp_ms is None or before.ms is None or message.ms is None or before.sender != message.sender:
        return False
    return message.ms - before.ms >= max(timing.tcp_ms / 2, LOOPBACK_MS)


class _Drawing:
    """Draws the arrows of one connection."""

    def __init__(self, connection: KeptConnection, lost: Iterable[Lost]) -> None:
        self._connection = connection
        self._packets = connection.transcript.packets
        self._lost = {id(one.packet): one for one in lost}
        """By the packet, which is in one of the two captures."""
        self._rtt = connection.timing.path_ms
        self._alerts = _alerts(connection)
        hidden = connection.hidden
        self._keyed = () if hidden is None else hidden.messages or ()
        """The messages that keys opened."""
        self._keyed_alerts = {
            (one.sender, one.frame): one.description for one in (() if hidden is None else hidden.alerts or ())
        }
        close = None if hidden is None else hidden.quic_close
        self._keyed_close = None if close is None or close.code == CRYPTO_ERROR else close
        """The CONNECTION_CLOSE that keys opened; one that stands for an alert is among the messages."""
        self._zero = self._begin()
        """The packet that completed the ClientHello, or else the first packet; None if there are no packets."""
        transcript = connection.transcript
        self._times = {one.frame: one.time for one in (transcript.packets if transcript.quic else transcript.records)}
        self._repeated_frames = transcript.repeated_frames()
        self._places: dict[Side, Places] = {}
        """Where each byte came first, of a side that sent something again."""
        self._again = list(self._repeated())

    def arrows(self) -> list[Arrow]:
        """Return all arrows in the order of the frames that completed them."""
        flights = list(self._flights())
        transport = [*self._opening(), *self._carrier(), *self._again, *self._ends(), *self._quic()]
        found = [*transport, *flights, *self._refusal(), *self._opened(flights)]
        found.sort(key=lambda arrow: (arrow.frames[-1], arrow.kind == "tcp"))
        lost = {
            packet.frame for packet in self._packets if id(packet) in self._lost and not self._lost[id(packet)].missed
        }
        return [replace(arrow, arrives=False) if arrow.frames[-1] in lost else arrow for arrow in found]

    def _begin(self) -> Packet | None:
        hello, first = self._connection.client_hello, self._packets[0] if self._packets else None
        return next((one for one in self._packets if hello is not None and one.frame == hello.frame), first)

    def _arrow(
        self,
        sender: Side,
        kind: Kind,
        labels: Iterable[str],
        frames: tuple[int, ...],
        time: int | None,
        size: int | None,
    ) -> Arrow:
        ms = since(self._zero, frames[-1], time)
        trips = ms / self._rtt if self._rtt and ms is not None else None
        return Arrow(sender, kind, tuple(labels), frames, ms, trips, size)

    def _opening(self) -> Iterator[Arrow]:
        """Yield TCP's three-way handshake (RFC 9293 section 3.5)."""
        wanted: list[tuple[Side, int, str]] = [
            ("client", _SYN, "SYN"),
            ("server", _SYN | _ACK, "SYN, ACK"),
            ("client", _ACK, "ACK"),
        ]
        for packet in self._packets:
            if not wanted:
                return
            sender, flags, label = wanted[0]
            if packet.sender == sender and packet.flags & (_SYN | _ACK) == flags:
                # An ACK with payload belongs to the flight.
                if not packet.length:
                    yield self._tcp(packet, label)
                wanted.pop(0)

    def _carrier(self) -> Iterator[Arrow]:
        """Packets of the protocol that carries TLS, as in EAP."""
        for packet in self._packets:
            if packet.name is not None:
                yield self._tcp(packet, packet.name)

    def _tcp(self, packet: Packet, label: str) -> Arrow:
        return self._arrow(packet.sender, "tcp", [label], (packet.frame,), packet.time, None)

    def _flights(self) -> Iterator[Arrow]:
        """Yield the flights: messages of one side up to a message, data or the end of the other side.

        A flight in which something was lost, or which paused, has an arrow for each part.
        """
        sent: list[Message | Arrow] = [*self._connection.messages, *self._data()]
        sent.sort(key=_frame)
        ends = self._first_ends()
        drawn: dict[Side, int] = {"client": 0, "server": 0}
        flights = groupby(
            sent, key=lambda one: (one.sender, isinstance(one, Arrow), _frame(one) > ends[OTHER[one.sender]])
        )
        for (side, is_data, _), group in flights:
            if is_data:
                yield from (one for one in group if isinstance(one, Arrow))
                continue
            messages = [one for one in group if isinstance(one, Message)]
            begin = self._first_fragment(side, drawn[side] + 1, messages[0].frame)
            for part in self._apart(messages):
                yield self._flight(part, begin)
                begin = part[-1].frame + 1
            drawn[side] = messages[-1].frame

    def _first_fragment(self, sender: Side, first: int, last: int) -> int:
        """Return the first of these frames with a plaintext fragment of DTLS, which belongs to a message in the last.

        Other messages in plaintext end in the frame in which their flight begins, or are in records that follow it.
        """
        if self._connection.dtls is None:
            return last
        records = self._records(sender, first, last)
        return next((one.frame for one in records if one.content_type == HANDSHAKE and not one.encrypted), last)

    def _apart(self, messages: list[Message]) -> Iterator[list[Message]]:
        """Split a flight where something was sent again, or where half a round trip passed.

        A message that was complete before the loss is drawn at its own time, not at that of the message that the loss
        delayed.
        """
        again = sorted(arrow.frames[-1] for arrow in self._again if arrow.kind == "again")
        part = messages[:1]
        for before, message in pairwise(messages):
            lost = bisect_right(again, message.frame) > bisect_right(again, before.frame)
            if lost or paused(self._connection.timing, before, message):
                yield part
                part = []
            part.append(message)
        yield part

    def _flight(self, messages: list[Message], begin: int) -> Arrow:
        """Return the arrow of messages that were sent at one time, with all that was sent from frame `begin` on."""
        sender, last = messages[0].sender, messages[-1].frame
        records = self._records(sender, begin, last)
        labelled = list(self._labels(messages))
        labelled += [(label, True) for label in self._inside(sender, begin, last)]
        labels, sealed = [label for label, _ in labelled], tuple(sealed for _, sealed in labelled)
        if self._connection.transcript.quic:
            # There are no records: what was sent is datagrams.
            packets = [
                one
                for one in self._packets
                if one.sender == sender and begin <= one.frame <= last and one.frame not in self._repeated_frames
            ]
            first, size = packets[0].frame if packets else begin, sum(one.length for one in packets)
        else:
            first, size = self._first_frame(records, messages[0].frame), sum(_size(record) for record in records)
        kind: Kind = "encrypted" if all(sealed) else "clear"
        arrow = self._arrow(sender, kind, labels, (first, last), self._times.get(last), size)
        return replace(arrow, sealed=sealed)

    def _inside(self, sender: Side, first: int, last: int) -> Iterator[str]:
        """What keys opened in a flight, each message in brackets."""
        for message in self._keyed:
            if message.sender == sender and first <= message.frame <= last:
                yield self._keyed_label(message)
        close = self._keyed_close
        if close is not None and close.sender == sender and first <= close.frame <= last:
            yield _close_label(close)

    def _keyed_label(self, message: Message) -> str:
        alert = self._keyed_alerts.get((message.sender, message.frame)) if message.type == "alert" else None
        return f"[{message.type} {alert or message.bytes}]"

    def _opened(self, flights: list[Arrow]) -> Iterator[Arrow]:
        """What keys opened outside of flights: tickets, updates of keys, alerts."""
        inside = [one for one in flights if one.kind in ("clear", "encrypted")]
        later = [
            message
            for message in self._keyed
            if not any(
                one.sender == message.sender and one.frames[0] <= message.frame <= one.frames[-1] for one in inside
            )
        ]
        for (sender, frame, ms), group in groupby(later, key=lambda one: (one.sender, one.frame, one.ms)):
            labels = tuple([self._keyed_label(message) for message in group])
            trips = ms / self._rtt if self._rtt and ms is not None else None
            yield Arrow(sender, "encrypted", labels, (frame,), ms, trips, None)
        close = self._keyed_close
        if close is not None and not any(
            one.sender == close.sender and one.frames[0] <= close.frame <= one.frames[-1] for one in inside
        ):
            time = next((packet.time for packet in self._packets if packet.frame == close.frame), None)
            yield self._arrow(close.sender, "encrypted", [_close_label(close)], (close.frame,), time, None)

    def _first_ends(self) -> dict[Side, float]:
        """Return the frame of each side's first FIN or RST; infinity if there is none."""
        ends: dict[Side, float] = {"client": inf, "server": inf}
        for packet in self._packets:
            if packet.flags & (_FIN | _RST):
                ends[packet.sender] = min(ends[packet.sender], packet.frame)
        return ends

    def _labels(self, messages: list[Message]) -> Iterator[tuple[str, bool]]:
        """Yield the labels of a flight, each with whether it is encrypted; adjacent encrypted records share a label."""
        for (kind, sealed), group in groupby(
            messages, key=lambda message: (message.type, _is_sealed(message, self._alerts))
        ):
            same = list(group)
            sizes = [message.bytes for message in same]
            if kind == "alert":
                yield from ((_alert_label(message, self._alerts), sealed) for message in same)
            elif kind != "encrypted":
                yield from ((f"{'encrypted ' if sealed else ''}{kind} {size}", sealed) for size in sizes)
            elif len(sizes) > _MANY:
                yield f"{len(sizes)} encrypted {sum(sizes)}", sealed
            else:
                yield f"encrypted {' + '.join(map(str, sizes))}", sealed

    def _records(self, sender: Side, first: int, last: int) -> list[WireRecord]:
        records = self._connection.transcript.records
        return [
            record
            for record in records
            if record.sender == sender and first <= record.frame <= last and record.frame not in self._repeated_frames
        ]

    def _first_frame(self, records: list[WireRecord], frame: int) -> int:
        """Return the frame in which the first of these records begins."""
        if not records or self._connection.transcript.framing is not None:
            return frame
        sender, start = records[0].sender, records[0].start
        for packet in self._packets:
            at = None if packet.offset is None else start - packet.offset
            if packet.sender == sender and at is not None and 0 <= at < len(packet.payload):
                return packet.frame
        return frame

    def _repeated(self) -> Iterator[Arrow]:
        """Yield the segments and datagrams without new bytes, late segments, and those that were lost on the way."""
        reached = {"client": 0, "server": 0}
        probed = {one.frame: one for one in probes(self._packets)} if self._connection.transport == "tcp" else {}
        for packet in self._packets:
            if not packet.length or (packet.offset is None and id(packet) not in self._lost):
                continue
            end = (packet.offset or 0) + packet.length
            lost = self._lost.get(id(packet))
            if lost is not None:
                yield self._arrow(packet.sender, "lost", [_lost_label(lost)], (packet.frame,), packet.time, lost.size)
            elif packet.frame in probed:
                what = "window probe" if probed[packet.frame].of_window else "keep-alive"
                yield self._arrow(packet.sender, "again", [what], (packet.frame,), packet.time, packet.length)
            elif end <= reached[packet.sender] or packet.frame in self._repeated_frames:
                what = "late: lost and sent again, or overtaken" if self._fills_gap(packet) else "sent again"
                labels = [f"{packet.length} bytes {what}"]
                yield self._arrow(packet.sender, "again", labels, (packet.frame,), packet.time, packet.length)
            reached[packet.sender] = max(reached[packet.sender], end)

    def _fills_gap(self, packet: Packet) -> bool:
        """Return whether a segment has bytes that the capture shows nowhere before it."""
        transcript, start, side = self._connection.transcript, packet.offset, packet.sender
        if start is None or transcript.framing is not None or packet.frame in self._repeated_frames:
            return False
        if side not in self._places:
            self._places[side] = Places(transcript, side)
        spans = self._places[side].ranges(start, start + len(packet.payload), packet.frame)
        return any(frame == packet.frame for frame, _, _ in spans)

    def _data(self) -> Iterator[Arrow]:
        """Yield each side's first application data after the handshake."""
        sides: tuple[Side, Side] = ("client", "server")
        for side, moment in zip(sides, self._connection.transcript.first_data, strict=True):
            if moment is not None:
                yield self._arrow(side, "data", [self._data_label(side)], (moment.frame,), moment.time, None)

    def _data_label(self, side: Side) -> str:
        if self._connection.quic is not None:
            return "1-RTT packets"
        # In TLS 1.3, tickets look the same (RFC 8446 section 5.2).
        hidden = side == "server" and self._connection.is_tls13
        return "application data, or tickets" if hidden else "application data"

    def _quic(self) -> Iterator[Arrow]:
        """QUIC's own packets and frames, and the ClientHellos that belong to no message."""
        listed = {message.frame for message in self._connection.messages}
        early = False
        for one in self._connection.transcript.quic:
            packet = self._packets[one.datagram]
            kind, label = PacketType(one.kind), None
            if kind is PacketType.RETRY:
                label = "Retry"
            elif kind is PacketType.VERSION_NEGOTIATION:
                label = "Version Negotiation"
            elif kind is PacketType.ZERO_RTT and not early:
                early, label = True, "0-RTT packets"
            elif packet.frame not in listed and not one.repeated and _begins_crypto(one):
                label = self._hello_label(one, packet.frame)
            if label is not None:
                yield self._arrow(packet.sender, "tcp", [label], (packet.frame,), packet.time, packet.length)
        close = None if self._connection.quic is None else self._connection.quic.close
        if close is not None and close.frame not in listed:
            time = next((packet.time for packet in self._packets if packet.frame == close.frame), None)
            yield self._arrow(close.sender, "tcp", [f"CONNECTION_CLOSE {close.code}"], (close.frame,), time, None)

    def _hello_label(self, one: QuicPacket, frame: int) -> str:
        """Say what an Initial packet has that belongs to a hello but does not complete it."""
        quic, version = self._connection.quic, int.from_bytes(one.header[1:5], "big")
        if quic is not None and quic.version_negotiation and Registry.QUIC_VERSIONS.names[version] != quic.version:
            return "hello of a refused version"
        retries = (each for each in self._connection.transcript.quic if each.kind == PacketType.RETRY)
        retry = next((self._packets[each.datagram].frame for each in retries), inf)
        if retry < frame:
            return "the hello again"
        hello = self._connection.client_hello
        return "part of a hello" if hello is None or hello.frame < retry else "hello before the Retry"

    def _refusal(self) -> Iterator[Arrow]:
        """Yield the encrypted alert by which a server refused, inferred from its length."""
        record = refusal(self._connection)
        if record is not None:
            labels = [f"encrypted {record.length}, an alert's size"]
            yield self._arrow(record.sender, "encrypted", labels, (record.frame,), record.time, _size(record))

    def _ends(self) -> Iterator[Arrow]:
        """Yield each side's first FIN and first RST."""
        ended: set[tuple[Side, str]] = set()
        for packet in self._packets:
            label = "RST" if packet.flags & _RST else "FIN" if packet.flags & _FIN else None
            if label is not None and (packet.sender, label) not in ended:
                ended.add((packet.sender, label))
                yield self._tcp(packet, label)


def _begins_crypto(one: QuicPacket) -> bool:
    """Return whether an opened Initial packet has the beginning of its side's messages."""
    data = one.header + (one.payload or b"")
    places = frame_places(data, len(one.header), len(data))
    return any(struct in (Crypto, GoogleCrypto) and data[start + 1] == 0 for start, _, struct in places)


def _timed_arrows(connection: Connection) -> list[Arrow]:
    """Return the arrows of a connection without a transcript, in the order of time.

    Messages of one side with the same time are one arrow.
    """
    timing, alerts = connection.timing, _alerts(connection)
    found: list[tuple[float, Arrow]] = []
    gap, back, there = timing.ack_client_hello_ms, timing.synack_ack_ms, timing.syn_synack_ms
    if gap is not None and back is not None and there is not None:
        found += [
            _timed("client", "tcp", "SYN", -(gap + back + there)),
            _timed("server", "tcp", "SYN, ACK", -(gap + back)),
            _timed("client", "tcp", "ACK", -gap),
        ]
    data: tuple[tuple[Side, float | None, str], ...] = (
        ("client", timing.client_data_ms, "application data"),
        ("server", timing.server_data_ms, "application data"),
        ("server", timing.server_record_ms, "application data, or a ticket"),
    )
    found += [_timed(sender, "data", label, ms) for sender, ms, label in data if ms is not None]
    messages = (message for message in connection.messages if message.ms is not None)
    for (sender, ms), group in groupby(messages, key=lambda message: (message.sender, message.ms or 0.0)):
        flight = list(group)
        sealed = tuple(_is_sealed(message, alerts) for message in flight)
        kind: Kind = "encrypted" if all(sealed) else "clear"
        labels = tuple(
            _alert_label(message, alerts) if message.type == "alert" else f"{message.type} {message.bytes}"
            for message in flight
        )
        frames = (flight[0].frame, flight[-1].frame)
        found.append((ms, Arrow(sender, kind, labels, frames, ms, None, None, sealed)))
    return [arrow for _, arrow in sorted(found, key=itemgetter(0))]


def _timed(sender: Side, kind: Kind, label: str, ms: float) -> tuple[float, Arrow]:
    return ms, Arrow(sender, kind, (label,), (), ms, None, None)


def in_turn(ladders: Iterable[Ladder]) -> list[tuple[Arrow, int]]:
    """Return the arrows of several ladders, sorted by time, each with the number of its ladder.

    An arrow without a time follows the previous arrow of its ladder.
    """
    placed: list[tuple[float, Arrow, int]] = []
    for number, one in enumerate(ladders):
        reached = -inf
        for arrow in one.arrows:
            reached = reached if arrow.ms is None else arrow.ms
            placed.append((reached, arrow, number))
    return [(arrow, number) for _, arrow, number in sorted(placed, key=itemgetter(0))]


def scaled(ladders: Sequence[Ladder]) -> Scale:
    """Return the axis of the times at which arrows passed the capture point."""
    return Scale([arrow.ms for one in ladders for arrow in one.arrows if arrow.ms is not None], path(ladders))


def waits(scale: Scale, arrows: Sequence[Arrow]) -> Iterator[tuple[float, list[str]]]:
    """Yield, for each arrow, the share of the axis of time that it waited, and the length of pauses that were cut."""
    reached: float | None = None
    for arrow in arrows:
        if arrow.ms is None or reached is None or arrow.ms <= reached:
            yield 0.0, []
        else:
            cut = [pause.words for pause in scale.pauses if reached <= pause.begin and pause.end <= arrow.ms]
            yield (scale.at(arrow.ms) - scale.at(reached)) / scale.length, cut
        reached = arrow.ms if arrow.ms is not None else reached


def wrapped(arrow: Arrow, width: int) -> list[tuple[str, Kind]]:
    """Wrap an arrow's labels to lines of `width` columns, each with its kind.

    A name and its size stay on one line if they fit.
    """
    parts = list(arrow.parts())
    lines: list[tuple[str, Kind]] = []
    for number, (kind, labels) in enumerate(parts, 1):
        text = joined(labels) + "," * (number < len(parts))
        lines += [(line.replace(NO_BREAK, " "), kind) for line in wrap(text, width, break_on_hyphens=False)]
    return lines


def joined(labels: Iterable[str]) -> str:
    """Join labels, each with no break between a name and its size."""
    return ", ".join(label.replace(" ", NO_BREAK, 1) for label in labels)


def tenths(round_trips: float) -> str:
    """Format round trips with one decimal; never "-0.0"."""
    text = f"{round_trips:.1f}"
    return "0.0" if text == "-0.0" else text


def _alerts(connection: Connection) -> dict[int, Alert]:
    """Return the alert of each message that is one, by the message's id: both are listed in the same order."""
    messages = (message for message in connection.messages if message.type == "alert")
    return {id(message): alert for message, alert in zip(messages, connection.alerts, strict=True)}


def _alert_label(message: Message, alerts: Mapping[int, Alert]) -> str:
    """Return the name of an alert, or its size if it is encrypted."""
    name = alerts[id(message)].description
    return f"alert {name}" if name else f"encrypted alert {message.bytes}"


def _is_sealed(message: Message, alerts: Mapping[int, Alert]) -> bool:
    encrypted_alert = message.type == "alert" and alerts[id(message)].level is None
    # After the first of its side it is encrypted, and longer than a byte (RFC 5246 section 7.1).
    encrypted_change = message.type == _CHANGE and message.bytes != 1
    return message.type == "encrypted" or encrypted_alert or encrypted_change


def _lost_label(lost: Lost) -> str:
    what = "not captured at the other end" if lost.missed else "not seen at the other end"
    return f"{lost.size} bytes {what}"


def _size(record: WireRecord) -> int:
    return record.end - record.start


def _frame(one: Message | Arrow) -> int:
    return one.frame if isinstance(one, Message) else one.frames[-1]
