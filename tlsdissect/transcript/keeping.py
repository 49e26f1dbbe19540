"""A tracker that keeps what it reads: the packets of the handshake, and its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from msgspec.structs import asdict

from tlsdissect.capture.packets import told
from tlsdissect.streams.following import CLOSED, FOLLOW, WATCH
from tlsdissect.streams.segments import ACK, SYN
from tlsdissect.tls.record import APPLICATION_DATA
from tlsdissect.transcript.facts.scene import Scene
from tlsdissect.transcript.facts.timing import first_data
from tlsdissect.transcript.tracking.lookups import LookupTracker
from tlsdissect.transcript.tracking.script import PART_BYTES, Script
from tlsdissect.transcript.tracking.seen import Item, Moment
from tlsdissect.transcript.transcript import KeptConnection, Packet, Transcript, WireRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.streams.limits import Budget
    from tlsdissect.streams.segments import Segment
    from tlsdissect.streams.threeway import ThreeWay
    from tlsdissect.tls.record import Record
    from tlsdissect.transcript.connection import Connection, Side
    from tlsdissect.transcript.tracking.half import Half, Piece

MAX_PACKETS = 16_384
"""Packets that are kept of one conversation."""
MAX_RECORDS = 8192
"""Records that are kept of one conversation."""


class KeepingScript(Script):
    """A script that keeps the records which it takes."""

    __slots__ = ("following", "records")

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.records: list[tuple[int, int, int, Record]] = []
        """Sender, frame and time of completion, and the record."""
        self.following = True
        """The handshake is being followed: records of application data are kept too."""

    def take(self, sender: int, half: Half, piece: Piece, acknowledgement: int | None) -> None:
        """Keep records, and note what they say."""
        for record in piece.records:
            wanted = self.following or record.content_type != APPLICATION_DATA
            if wanted and self.makes_room(sender, len(self.records) < MAX_RECORDS, len(record.fragment or b"")):
                self.records.append((sender, piece.frame, piece.time, record))
        super().take(sender, half, piece, acknowledgement)

    def makes_room(self, sender: int, room: bool, size: int) -> bool:
        """Count bytes that are kept; tell whether there is room for them."""
        full = self.kept_bytes + size > self._budget.limits.message_bytes or self._budget.spent
        if full or not room:
            self.limited.add(sender)
            return False
        self.kept_bytes += size
        self._hold(size + PART_BYTES)
        return True


class KeepingTracker(LookupTracker):
    """A tracker whose connection has a transcript; it listens to questions too, if it is asked to."""

    __slots__ = ("_packets",)

    def __init__(self, budget: Budget, way: ThreeWay, state: int = FOLLOW, *, listens: bool = False) -> None:
        super().__init__(budget, way, state, listens=listens)
        self.script: KeepingScript = KeepingScript(budget)
        self._packets: list[tuple[Segment, int | None, int | None, bytes]] = []

    @property
    def silent(self) -> bool:
        """Whether nothing is worth keeping: TCP's own handshake is, as long as TLS may follow it."""
        return self.state == WATCH and not self.hears

    def feed(self, data: memoryview, segments: Sequence[Segment]) -> int:
        """Look at packets one by one, and keep those that matter."""
        state = self.state
        for segment in segments:
            frame, _, sender, _, _, _, length, payload, captured, _ = segment
            following, noted = self.state == FOLLOW, len(self.script.items)
            self.script.following = following
            state = super().feed(data, (segment,))
            # What came later depends on how packets were grouped, but for those that brought or end something.
            told = len(self.script.items) > noted or (length and self._gathers(sender)) or self._ends(sender, frame)
            if following or (told and self.state != WATCH):
                self._keep(segment, bytes(data[payload : payload + captured]))
            if self.state == CLOSED:
                break
        return state

    def finish(self) -> None:
        """Read what still waits behind holes, as of the state in which the conversation ended."""
        self.script.following = self.state == FOLLOW
        super().finish()

    def kept(self, connection: Connection) -> KeptConnection:
        """Add the transcript to what is told."""
        client = cast("int", self.script.client)
        answer = self.script.answer
        return KeptConnection(
            **{name: getattr(connection, name) for name in connection.__struct_fields__},
            transcript=Transcript(
                packets=tuple(self._named_packets(client)),
                records=tuple(self._named_records(client)),
                first_data=self._first_data(client),
                version=self.script.version,
                cipher_suite=getattr(answer.hello, "cipher_suite", None) if answer else None,
                carrier=self.halves[0].carrier or self.halves[1].carrier,
            ),
        )

    def _first_data(self, client: int) -> tuple[Moment | None, Moment | None]:
        """Where each side's application data begins."""
        mine, other = first_data(Scene.of(self, client))
        return _moment(mine), _moment(other)

    def _wake(self, sender: int, sequence: int) -> None:
        super()._wake(sender, sequence)
        self._packets.clear()

    def _gathers(self, sender: int) -> bool:
        """Whether a side's record has begun that somebody will read."""
        reader = self.halves[sender].reader
        return not (reader.between or reader.skip)

    def _ends(self, sender: int, frame: int) -> bool:
        """Whether a side's first FIN or RST came in this frame."""
        half = self.halves[sender]
        return any(signal is not None and signal.frame == frame for signal in (half.fin, half.rst))

    def _keep(self, segment: Segment, payload: bytes) -> None:
        _, _, sender, flags, sequence, acknowledgement, *_ = segment
        if not self.script.makes_room(sender, len(self._packets) < MAX_PACKETS, len(payload)):
            return
        mine, other = self.halves[sender].assembler, self.halves[1 - sender].assembler
        offset = mine.offset(sequence + (1 if flags & SYN else 0)) if mine.started else None
        acknowledged = other.offset(acknowledgement) if flags & ACK and other.started else None
        self._packets.append((segment, offset, acknowledged, payload))

    def _named_packets(self, client: int) -> Iterator[Packet]:
        fins = [half.fin.frame for half in self.halves if half.fin is not None]
        last = max(fins) if len(fins) == 2 else None
        for segment, offset, acknowledged, payload in sorted(self._packets):
            frame, time, sender, flags, _, _, length, _, _, place = segment
            side, known = _side(sender, client), None if place < 0 else place
            # What is shown behind the end depends on how packets were grouped.
            if last is None or frame <= last:
                yield Packet(frame, told(time), side, flags, offset, acknowledged, length, payload, known)

    def _named_records(self, client: int) -> Iterator[WireRecord]:
        sealed = {(item.sender, item.start) for item in self.script.items if item.encrypted}
        for sender, frame, time, record in sorted(self.script.records, key=lambda kept: kept[1]):
            encrypted = record.content_type == APPLICATION_DATA or (sender, record.start) in sealed
            yield WireRecord(
                sender=_side(sender, client), frame=frame, time=told(time), encrypted=encrypted, **asdict(record)
            )


def _moment(event: Item | Moment | None) -> Moment | None:
    return Moment(event.frame, told(event.time), None) if isinstance(event, Item) else event


def _side(sender: int, client: int) -> Side:
    return "client" if sender == client else "server"
