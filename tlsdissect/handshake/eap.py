"""TLS inside EAP (RFC 5216 section 2.1.5): from EAP packets to the records of both sides.

Goal: give the bytes of each side in order to its `Direction`, and never as adjacent what is not. A message of EAP's TLS
methods is sent in fragments, each acknowledged by an empty packet of the other side, and may begin with its length. So
the fragments of a message are held until its last one, and their sum shows whether one is missing. If one is, the
identifiers, which most servers count up, show where: reading goes on behind the missing bytes.

EAP is in lockstep: each Response has the identifier of the Request before it. If one of them is missing in the capture,
its bytes are, unless it could only acknowledge a fragment.

Reading fragments as they come was rejected: of a message with a fragment missing, it would join bytes that were not
adjacent before the length shows it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from tlsdissect.capture.differences import differing
from tlsdissect.capture.packet import UNTIMED, time_or_none
from tlsdissect.flows.eap import FAILURE, METHODS, REQUEST, RESPONSE, START, SUCCESS, EapPacket
from tlsdissect.flows.flow import UNKNOWN, Signal, TcpSide
from tlsdissect.handshake.direction import Direction
from tlsdissect.handshake.facts.text import text
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.handshake.logged import LoggedHandshake
from tlsdissect.handshake.problems import two_copies
from tlsdissect.handshake.segments import new_segment
from tlsdissect.handshake.sessions import established, identities
from tlsdissect.model.connection import Eap
from tlsdissect.model.transcript import Packet as KeptPacket
from tlsdissect.model.transcript import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.eap import EapConversation
    from tlsdissect.flows.totals import Totals
    from tlsdissect.handshake.direction import PacketRecords
    from tlsdissect.handshake.log import MayOpen
    from tlsdissect.handshake.logged import DirectionSummary
    from tlsdissect.handshake.recording import EapRecorder, Recorder

MAX_FRAGMENTED_BYTES = 1 << 18
"""Maximum bytes of one message in fragments that are held until its last fragment."""
PART_BYTES = 256
"""Estimated bytes that a held fragment takes besides its data."""

_LENGTH, _MORE, _OUTER = 0x80, 0x40, 0x10
"""Flags: the length of the message is there, more fragments follow (RFC 5216 section 3.1), and the length of TLVs
outside TLS is there (RFC 7170 section 4.1)."""
_TEAP = 55
_SUPPLICANT, _SERVER = 0, 1
"""The sides."""
_RESULTS: dict[int, Literal["success", "failure"]] = {SUCCESS: "success", FAILURE: "failure"}
_CODES = {REQUEST: "Request", RESPONSE: "Response"}
_NAK = 3
_TYPES = {1: "Identity", 2: "Notification", _NAK: "Nak"}
"""Types that are no methods of authentication (RFC 3748 section 5)."""
_WANTED = 8
"""Methods named of those that a Nak asks for."""
_RETRANSMITTED_NS = 3_000_000_000
"""Nanoseconds after which a server sends a Request again, at the earliest (RFC 3748 section 4.3)."""
_LATE = 8
"""Latest Requests whose Responses are recognised if they come late."""
_LATE_STEP = 128
"""A Request whose identifier is further ahead is one of before: identifiers count to 255."""


class Fragment(NamedTuple):
    """The TLS bytes of an EAP packet."""

    identifier: int
    frame: int
    time: int
    data: bytes
    """The captured bytes."""
    size: int
    """Bytes on the wire."""
    more: bool
    """Whether other fragments of the message follow."""
    total: int
    """The length of the message; UNKNOWN if it is not stated."""
    outer: int
    """Bytes at the end of the message that are TLVs outside TLS."""
    spans: tuple[Span, ...]
    """Where the data is in the frame."""


def read_fragment(eap: EapPacket, packet: Packet, spans: tuple[tuple[int, int], ...]) -> Fragment:
    """Read the flags, lengths and data of a packet of a method that carries TLS.

    `spans` are where the EAP packet is in the payload of the captured packet: an offset and a number of bytes for each.
    """
    body, flags = eap.body, eap.body[0] if eap.body else 0
    at, total, outer = 1, UNKNOWN, 0
    if flags & _LENGTH:
        total = int.from_bytes(body[at : at + 4], "big")
        at += 4
    if flags & _OUTER and eap.method == _TEAP:
        outer = int.from_bytes(body[at : at + 4], "big")
        at += 4
    size = 0 if flags & START else max(0, eap.size - at)
    data = body[at : at + size]
    return Fragment(
        eap.identifier,
        packet.frame,
        packet.time,
        data,
        size,
        bool(flags & _MORE),
        total,
        outer,
        tuple(_spans(packet, spans, eap.at + at, len(data))),
    )


def _spans(packet: Packet, spans: tuple[tuple[int, int], ...], start: int, size: int) -> Iterator[Span]:
    """Yield where `size` bytes of an EAP packet, from `start` on, are in the frame."""
    for at, length in spans:
        step = min(length - start, size)
        if step > 0:
            yield Span(packet.frame, None if packet.place < 0 else packet.place + at + start, step)
            start, size = 0, size - step
        else:
            start -= length


class MessageReader:
    """Joins the fragments of one side's messages, and reads their records."""

    def __init__(self, budget: Budget, side: int, log: HandshakeLog, recorder: Recorder | None) -> None:
        """With a recorder, the fragments are kept there; `log` has their limits."""
        self.direction = Direction(budget, TcpSide())
        self.direction.assembler.start(0)
        self._side = side
        self._log = log
        self._recorder = recorder
        self.held: list[Fragment] = []
        """The fragments of an incomplete message."""
        self.held_bytes = 0
        self._passes = False
        """Whether the further fragments of the message are left out, because of the limit."""
        self._budget = budget

    def add(self, fragment: Fragment) -> Iterator[PacketRecords]:
        """Add a fragment; yield the records of the message that it completes."""
        if self._passes:
            self._passes = fragment.more
            return
        self.held.append(fragment)
        self._hold(len(fragment.data) + PART_BYTES)
        if not fragment.more:
            yield from self.read(ended=True)
        elif self.held_bytes > MAX_FRAGMENTED_BYTES or self._budget.is_spent():
            detail = "no more fragments are held of an EAP message that is not whole"
            self.direction.problems.report("limit", detail, fragment.frame, self.direction.assembler.position)
            yield from self.read(ended=False)
            self._passes = True

    def lose(self, frame: int) -> Iterator[PacketRecords]:
        """Handle a missing packet; of a message whose length is known, its other fragments show what is missing."""
        if self.held and self.held[0].total != UNKNOWN:
            return
        yield from self.read(ended=False)
        yield from self._skip(UNKNOWN, frame)

    def read(self, *, ended: bool) -> Iterator[PacketRecords]:
        """Yield the records of the held fragments; unless the message `ended` with the last one, more are missing."""
        parts, self.held, self._passes = self.held, [], False
        self._hold(-self.held_bytes)
        if not parts:
            return
        missing = self._missing(parts, ended=ended)
        gaps = [n for n in range(1, len(parts)) if parts[n].identifier != _next(parts[n - 1].identifier)]
        if missing and not ended:
            gaps.append(len(parts))
        size = missing if len(gaps) == 1 else UNKNOWN
        for n, part in enumerate(_without_outer(parts) if ended else parts):
            if missing and n in gaps:
                yield from self._skip(size, part.frame)
            position = self.direction.assembler.position
            if self._recorder is not None:
                self._record(part, position, self._recorder)
            segment = new_segment(
                self._side, part.frame, part.time, 0, position, UNKNOWN, part.size, b"", part.data, -1, UNKNOWN
            )
            yield from self.direction.deliver(segment)
        if missing and len(parts) in gaps:
            yield from self._skip(size, parts[-1].frame)

    def _record(self, part: Fragment, position: int, recorder: Recorder) -> None:
        """Keep a fragment: a packet for each piece of it that is contiguous in the frame."""
        data, time = part.data, time_or_none(part.time)
        for span in part.spans:
            piece, data = data[: span.length], data[span.length :]
            kept = KeptPacket(part.frame, time, "client", 0, position, None, len(piece), piece, span.offset)
            recorder.keep(self._log, self._side, kept)
            position += len(piece)

    def _missing(self, parts: list[Fragment], *, ended: bool) -> int:
        """Return the number of bytes that are missing of a message; UNKNOWN if only that some are is known."""
        stated, received = parts[0].total, sum(part.size for part in parts)
        if stated == UNKNOWN:
            return 0 if ended else UNKNOWN
        counts_up = all(parts[n].identifier == _next(parts[n - 1].identifier) for n in range(1, len(parts)))
        if received > stated or (received < stated and ended and counts_up):
            detail = f"an EAP message states a length of {stated} bytes and has {received}"
            position = self.direction.assembler.position
            self.direction.problems.report("malformed_record", detail, parts[-1].frame, position)
            return 0
        return stated - received

    def _skip(self, size: int, frame: int) -> list[PacketRecords]:
        """Continue after missing bytes."""
        what = "packets of EAP" if size == UNKNOWN else f"{size} bytes of an EAP message"
        self.direction.problems.report(
            "gap", f"{what} are not in the capture", frame, self.direction.assembler.position
        )
        return self.direction.lose(size)

    def _hold(self, size: int) -> None:
        """Count bytes that are held; a negative size releases them."""
        self.held_bytes += size
        self._budget.used += size


def _next(identifier: int) -> int:
    return (identifier + 1) % 256


def _without_outer(parts: list[Fragment]) -> list[Fragment]:
    """Remove the TLVs outside TLS from the end of a message."""
    outer, kept = parts[0].outer, []
    for part in reversed(parts):
        size = max(0, part.size - outer)
        outer -= part.size - size
        kept.append(part._replace(data=part.data[:size], size=size))
    return kept[::-1]


class EapTracker:
    """The TLS connection of an EAP conversation: both directions, and the log of the handshake."""

    def __init__(
        self, conversation: EapConversation, budget: Budget, recorder: EapRecorder | None, keys: MayOpen | None
    ) -> None:
        self.log = HandshakeLog(budget, recorder, keys)
        self.readers = tuple([MessageReader(budget, side, self.log, recorder) for side in (_SUPPLICANT, _SERVER)])
        """Those of both sides."""
        self._recorder = recorder
        self.limited = False
        """Whether the conversation was given up before its end."""
        self.sessions: tuple[bytes, ...] = ()
        """The keys of the sessions that the latest packet set up or offered."""
        self._conversation = conversation
        self._budget = budget
        self._has_tls = False
        """Whether a packet with TLS came, from which on packets are read; those before it are only recorded."""
        self._latest: EapPacket | None = None
        self._latest_frame = 0
        """Its frame; 0 if that is not known."""
        self._latest_time = UNTIMED
        self._more = False
        """Whether more fragments follow the latest packet, so that the other side only acknowledges it."""
        self._requests: deque[int] = deque(maxlen=_LATE)
        """Identifiers of the latest Requests."""

    def feed(self, eap: EapPacket, packet: Packet, spans: tuple[tuple[int, int], ...]) -> None:
        """Read a packet that is no repetition; see `read_fragment` for `spans`."""
        log = self.log
        offered, decided = log.client_hello is not None, log.decided
        if log.look_for_keys():
            for reader in self.readers:
                reader.direction.reader.keeps = log.keeps
        if eap.carries_tls and not eap.is_start and not self._has_tls:
            self._has_tls = True
            if self._conversation.method_start is not None:
                self._keep(self._conversation.method_start, 0, more=False)
        if self._has_tls and eap.code in (REQUEST, RESPONSE):
            self._read(eap, packet, spans)
            self._latest_time = packet.time
        elif self._has_tls and self._lacks_response(eap, packet):
            self._lose(_SUPPLICANT, packet.frame)
        if self._recorder is not None:
            self._record(eap, packet, self._recorder)
        self.sessions = () if offered else identities(log)
        if log.decided and not decided:
            self.sessions += established(log, packet.frame)

    def _record(self, eap: EapPacket, packet: Packet, recorder: EapRecorder) -> None:
        """Keep what carries a packet, and the name of one that is neither a fragment nor its acknowledgement."""
        side = _SUPPLICANT if eap.code == RESPONSE else _SERVER
        recorder.add_eap_packet(self.log, side, packet)
        if eap.carries_tls and not eap.is_start:
            return
        if eap.code in _RESULTS:
            name = f"EAP-{_RESULTS[eap.code].capitalize()}"
        else:
            method = METHODS.get(eap.method) or _TYPES.get(eap.method, f"type {eap.method}")
            wanted = (
                ", ".join([METHODS.get(one, f"type {one}") for one in eap.body[:_WANTED]]) if eap.method == _NAK else ""
            )
            what = " Start" if eap.is_start else f" for {wanted}" if wanted else ""
            name = f"EAP-{_CODES[eap.code]} {method}{what}"
        time = time_or_none(packet.time)
        recorder.keep(self.log, side, KeptPacket(packet.frame, time, "client", 0, None, None, 0, b"", None, (), name))

    def _read(self, eap: EapPacket, packet: Packet, spans: tuple[tuple[int, int], ...]) -> None:
        """Read a Request or Response."""
        sender = _SERVER if eap.code == REQUEST else _SUPPLICANT
        if eap.is_start:
            self._keep(eap, packet.frame, more=False)
            self._requests.append(eap.identifier)
            return
        if not self._is_next(sender, eap, packet.frame):
            return
        fragment = read_fragment(eap, packet, spans)
        if sender == _SERVER:
            self._requests.append(eap.identifier)
        self._keep(eap, packet.frame, more=eap.carries_tls and fragment.more)
        if not eap.carries_tls:
            return
        mine, other = self.readers[sender], self.readers[1 - sender]
        if fragment.size == 0 and not fragment.more:
            self._add(sender, mine.read(ended=False))
            return
        self._add(1 - sender, other.read(ended=False))
        self._add(sender, mine.add(fragment))

    def _keep(self, eap: EapPacket, frame: int, *, more: bool) -> None:
        """Keep the latest packet, and count its bytes instead of those of the one before."""
        known = b"" if self._latest is None else self._latest.body
        self.log.account(len(eap.body) - len(known))
        self._latest, self._latest_frame, self._more = eap, frame, more

    def _is_next(self, sender: int, eap: EapPacket, frame: int) -> bool:
        """Handle packets that are missing before this one; return whether this one is in order."""
        latest = self._latest
        if latest is None:
            return True
        again = latest.code == eap.code
        if again and latest.identifier == eap.identifier:
            self._report_conflict(self.readers[sender].direction, latest.body, eap.body, frame)
            return False
        if sender == _SUPPLICANT:
            if eap.identifier == latest.identifier and not again:
                return True
            if eap.identifier in self._requests:
                # It came late: its bytes count as missing.
                return False
            self._lose(_SERVER, frame, unless=again and self._more)
            if not again:
                self._lose(_SUPPLICANT, frame, unless=self._more)
            return True
        step = (eap.identifier - latest.identifier) % 256
        counts_up = self._conversation.counts_up
        if step == 0 or (counts_up and step > _LATE_STEP):
            # It came late: its bytes count as missing.
            return False
        if counts_up and step > 1:
            # While one side sends fragments, the other one only acknowledges them.
            for side in (_SERVER, _SUPPLICANT):
                self._lose(side, frame, unless=bool(self.readers[1 - side].held))
        elif again:
            self._lose(_SUPPLICANT, frame, unless=self._more)
        return True

    def _lacks_response(self, result: EapPacket, packet: Packet) -> bool:
        """Return whether the capture lacks the Response that a Success or a Failure answers (RFC 3748 section 4.2).

        The result has its identifier. Without a Response, a server would have sent its Request again; a result that
        comes later may be that of a silent peer.
        """
        latest = self._latest
        if latest is None or latest.code != REQUEST or latest.identifier != result.identifier:
            return False
        if UNTIMED in (self._latest_time, packet.time):
            return False
        return 0 <= packet.time - self._latest_time < _RETRANSMITTED_NS

    def _report_conflict(self, direction: Direction, known: bytes, other: bytes, frame: int) -> None:
        """Report a packet with the identifier of the one before, and where their bytes differ."""
        detail = "another packet with the identifier of the one before, which counts"
        found = differing(known, other)
        copies = None
        if found is not None:
            start, end = found
            copies = two_copies(known[start:end], self._latest_frame, other[start:end], frame)
        direction.problems.report("conflicting_data", detail, frame, direction.assembler.position, copies)

    def add_fragments(self, code: int, frame: int, conflict: FragmentConflict) -> None:
        """Report IP fragments that differ, of a packet with this code."""
        side = _SERVER if code == REQUEST else _SUPPLICANT
        self.readers[side].direction.problems.report_fragments(frame, conflict)

    def _lose(self, side: int, frame: int, *, unless: bool = False) -> None:
        """Handle a missing packet of a side, `unless` it only acknowledged a fragment."""
        if not unless:
            self._add(side, self.readers[side].lose(frame))

    def _add(self, sender: int, completed: Iterable[PacketRecords]) -> None:
        """Process the records of a side."""
        log, direction = self.log, self.readers[sender].direction
        for reader in self.readers:
            reader.direction.reader.keeps = log.keeps
        for records in completed:
            log.add_records(sender, direction, records, UNKNOWN)
            if log.client != UNKNOWN:
                lacks_hello = log.client_hello is None
                for reader in self.readers:
                    reader.direction.plaintext.seeking, reader.direction.counting = True, lacks_hello
                    reader.direction.reply = None
                if not log.decided and log.is_over():
                    log.decide()

    def finish(self, until: int, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connection, if there is one, and return its bytes to the budget; see `Follower.finish`."""
        for sender, reader in enumerate(self.readers):
            self._add(sender, reader.read(ended=False))
            self._add(sender, reader.direction.finish())
            self.log.take_bodies(sender, reader.direction)
            if reader.direction.joiner.waiting:
                self.log.break_off(sender, reader.direction)
            self.log.break_off_alert(reader.direction)
        self.log.sort()
        if self.log.client != UNKNOWN:
            self._conversation.is_decoded = True
            yield self._conversation, self._logged(until, damage)
        self._budget.used -= self.log.held_bytes + sum(reader.direction.held_bytes for reader in self.readers)

    def _logged(self, until: int, damage: Sequence[Damage]) -> LoggedHandshake:
        log, conversation = self.log, self._conversation
        logged = LoggedHandshake.without_tcp(
            "eap",
            log,
            self._summaries(),
            two_sided=conversation.requested and conversation.responded,
            given_up=self.limited,
            until=until,
            damage=tuple(hurt for hurt in damage if hurt.frame > conversation.first_frame),
            recording=None if self._recorder is None else self._recorder.recording(log),
        )
        logged.eap = facts(conversation)
        return logged

    def _summaries(self) -> tuple[DirectionSummary, DirectionSummary]:
        """Return the state of both directions: each packet is an acknowledgement, and EAP-Failure ends the server's."""
        supplicant, server = [reader.direction.summary() for reader in self.readers]
        failed = self._conversation.result == FAILURE
        supplicant.acked, server.acked = supplicant.position, server.position
        server.fin = Signal(self._conversation.result_frame, server.position) if failed else None
        return supplicant, server


def facts(conversation: EapConversation) -> Eap:
    """Return what only TLS inside EAP has."""
    return Eap(
        method=METHODS[conversation.method],
        carrier=conversation.carrier,
        supplicant=_station(conversation, conversation.supplicant),
        authenticator=_station(conversation, conversation.authenticator),
        identity=None if conversation.identity is None else text(conversation.identity),
        result=_RESULTS.get(conversation.result),
        result_frame=conversation.result_frame or None,
    )


def _station(conversation: EapConversation, name: bytes) -> str | None:
    """Format a MAC address, or an attribute of RADIUS, which is text; None if it is unknown."""
    if not name:
        return None
    return name.hex(":") if conversation.carrier == "eapol" else text(name)
