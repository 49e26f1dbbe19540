"""The pipeline: captures in, connections out."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec.structs import replace

from tlsdissect.capture import CaptureError, NoCaptureError
from tlsdissect.capture.inputs import Input, Inputs, find_inputs, total_size
from tlsdissect.capture.joined import JoinedCaptures
from tlsdissect.capture.names import CaptureNames
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.time_order import open_in_order
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.eap import EapTable
from tlsdissect.flows.flow import NEVER
from tlsdissect.flows.limits import nanoseconds
from tlsdissect.flows.observing import PacketObserver
from tlsdissect.flows.table import WHOLE, FlowTable, Shard
from tlsdissect.flows.udp import UdpTable
from tlsdissect.handshake.connections import Connections
from tlsdissect.handshake.datagrams import DatagramConnections
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.key_logs import CaptureKeys, KeyListener
from tlsdissect.handshake.links import Linker
from tlsdissect.handshake.not_tls import BEGUN, RECORDS_BEGUN
from tlsdissect.handshake.options import DEFAULTS, Options
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.handshake.sessions import Session
from tlsdissect.model.connection import TRANSPORTS, CapturePart, Connection, Problem, named_frames
from tlsdissect.model.renumbering import in_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from tlsdissect.capture import Damage, PacketReader
    from tlsdissect.capture.blocks import SecretsBlock
    from tlsdissect.capture.joined import Overlap
    from tlsdissect.handshake.connections import DueEvent, ReadingEvent
    from tlsdissect.handshake.key_logs import KeyLog
    from tlsdissect.trust.judge import Judge

    NumberedEvent = tuple[int, int, int, ReadingEvent]
    """The number of a capture, and a `DueEvent` of it."""


DELIVERY_NS = 25_000_000
"""Nanoseconds after the time of a packet by which the kernel has delivered it."""
CONTINUED_NS = 3600 * 10**9
"""Nanoseconds after the end of a capture within which the next may continue it: a connection that is silent for longer
is over (`Limits.silent_after`)."""
_TRANSPORTS: dict[str, int] = {transport: number for number, transport in enumerate(TRANSPORTS)}
_END: Any = object()
"""Marks the end of the readers."""


MAX_KNOWN_KEYS = 2_000_000
"""Connections whose secrets are counted, more than any key log has that is kept. Those of a capture with which there
would be more are not counted, so that a folder of captures with secrets does not fill the memory."""
_CAPTURE_END = Problem("capture_end", "the capture ends before the handshake does")


class Place(NamedTuple):
    """The place of a connection, a session or a lookup in the output; all are sorted by it."""

    capture: int
    due: int
    """The flow table's clock when it was emitted."""
    frame: int
    """The frame that caused it; NEVER, after all frames of the same clock, if time alone did."""
    transport: int
    """Its index in TRANSPORTS."""
    stream: int


class StopReading(KeyboardInterrupt):
    """Raised by a signal handler in a reading that waits for packets: treat the input as ended."""


class PacketSource(Protocol):
    """The source of packets: a file or an interface."""

    @property
    def damage(self) -> list[Damage]:
        """The parts that could not be read."""
        ...

    @property
    def skipped(self) -> Counter[str]:
        """Packets that could not be read, by kind."""
        ...

    @property
    def secrets(self) -> list[SecretsBlock]:
        """The decryption secrets blocks that the capture has brought so far; always the same list."""
        ...

    @property
    def frames(self) -> int:
        """Frames read so far."""
        ...

    @property
    def until(self) -> int:
        """At the end of an extract, the time at which the whole capture ended; UNTIMED otherwise."""
        ...

    def __iter__(self) -> Iterator[PacketReader | None]:
        """Yield a reader to use until it has no more packets, or None if no packet came for a moment."""
        ...


class Opener(Protocol):
    """Opens a capture by its name; raises CaptureError."""

    def __call__(self, source: str) -> AbstractContextManager[PacketReader]:
        """Open a capture."""
        ...


class Observer(PacketObserver, KeyListener, Protocol):
    """Sees to which flows packets belong, and hears which keys opened something."""


class Span(NamedTuple):
    """When a capture began and ended, and the connections that were open then."""

    begin: int
    """In nanoseconds since 1970-01-01T00:00:00Z, as `end`; UNTIMED without times."""
    end: int
    begun: int
    """Connections that began before it."""
    left_open: int
    """TLS connections that were open when it ended."""

    def continues(self, earlier: Span) -> bool:
        """Whether this capture continues an earlier one, as a file of a ring buffer continues the one before it."""
        is_timed = UNTIMED not in (self.begin, earlier.end)
        return bool(is_timed and 0 <= self.begin - earlier.end <= CONTINUED_NS and self.begun and earlier.left_open)


class Summary:
    """Totals of a reading: what was read, skipped, left out and counted without decoding."""

    def __init__(self) -> None:
        self.captures = 0
        self.frames = 0
        self.connections = 0
        self.undecided = 0
        """Handshakes in progress, if connections are emitted when their handshake is decided."""
        self.versions: Counter[str | None] = Counter()
        """Connections by version."""
        self.quic = 0
        """QUIC flows, including those of Google QUIC."""
        self.google_quic: Counter[str] = Counter()
        """QUIC flows of Google's versions from before TLS, by version: "Q043", ..."""
        self.dtls = 0
        """DTLS flows."""
        self.eap: Counter[tuple[str, str]] = Counter()
        """EAP conversations that carry TLS, by method ("EAP-TLS") and carrier of EAP ("RADIUS", "802.1X")."""
        self.not_tls: Counter[str] = Counter()
        """TCP flows without TLS, by kind: "refused", "plain HTTP", ..."""
        self.skipped: Counter[str] = Counter()
        """Packets that are not supported, by kind."""
        self.damage: list[tuple[str, Damage]] = []
        """Parts of captures that could not be read, with the capture's name."""
        self.spans: list[Span] = []
        """When each capture that was not joined with others began and ended."""
        self.overlaps: list[Overlap] = []
        """Captures read as one of which the second begins before the first ends."""
        self.refused: list[tuple[str, str]] = []
        """Inputs that could not be read at all, and why."""
        self.late = 0
        """Packets captured after their flow was over."""
        self.given_up = 0
        """Flows given up because too many were followed, or because all of them exceeded the memory budget."""
        self.returned_early = 0
        """Connections returned before their end, because there was no room for them to wait."""
        self.spill_error: str | None = None
        """Why the temporary file in which connections wait could not be written; None if it could."""
        self.evicted_connections = 0
        """TCP and UDP flows evicted from the flow tables before their end."""
        self.known_keys: frozenset[bytes] = frozenset()
        """What the secrets of the key logs and inside the captures are found by."""
        self.used_keys: set[bytes] = set()
        """The same, only for secrets that opened something, or that belong to the same connection as another."""
        self.views_not_joined = 0
        """Connections whose other view in another capture was not looked for, or could not wait for them."""
        self.evicted_sessions = 0
        """Sessions and failed handshakes evicted, so that later connections could not be linked to them."""

    @property
    def open_between(self) -> int:
        """TLS connections that were open when a capture ended and the next one continued it."""
        return sum(earlier.left_open for earlier, later in pairwise(self.spans) if later.continues(earlier))

    def count(self, connection: Connection) -> None:
        """Add a connection."""
        self.connections += 1
        self.versions[connection.version] += 1

    def include(self, other: Summary) -> None:
        """Add the totals of other captures."""
        self._include_connections(other)
        self.captures += other.captures
        self.frames += other.frames
        self.skipped += other.skipped
        self.damage += other.damage
        self.spans += other.spans
        self.overlaps += other.overlaps
        self.refused += other.refused
        self.evicted_connections += other.evicted_connections
        self.evicted_sessions += other.evicted_sessions

    def include_shard(self, other: Summary) -> None:
        """Add the totals of another shard, which read the same packets and counted other connections."""
        self._include_connections(other)
        self.spans = [
            one._replace(begun=one.begun + more.begun, left_open=one.left_open + more.left_open)
            for one, more in zip(self.spans, other.spans, strict=False)
        ]
        # Each shard follows all flows, and evicts nearly the same.
        self.evicted_connections = max(self.evicted_connections, other.evicted_connections)

    def _include_connections(self, other: Summary) -> None:
        self.connections += other.connections
        self.versions += other.versions
        self.quic += other.quic
        self.google_quic += other.google_quic
        self.dtls += other.dtls
        self.eap += other.eap
        self.not_tls += other.not_tls
        self.late += other.late
        self.given_up += other.given_up
        self.returned_early += other.returned_early
        self.spill_error = self.spill_error or other.spill_error
        self._include_keys(other.known_keys, other.used_keys)

    def add_keys(self, keys: CaptureKeys, keylog: KeyLog | None) -> None:
        """Add what the secrets of key logs and of a capture that was read are found by, and which were used."""
        known = keys.inside if keylog is None else keylog.keys | keys.inside
        self._include_keys(known, keys.used)

    def _include_keys(self, known: frozenset[bytes], used: set[bytes]) -> None:
        if not known <= self.known_keys:
            every = self.known_keys | known
            if len(every) > MAX_KNOWN_KEYS:
                return
            self.known_keys = every
        self.used_keys |= used

    def add(self, names: CaptureNames, capture: PacketSource, flows: FlowTable, datagrams: DatagramConnections) -> None:
        """Add a capture that was read, or several that were read as one."""
        self.captures += len(names)
        self.frames += capture.frames
        self.skipped += capture.skipped
        self.damage += [(hurt.capture or names.of(hurt.frame), hurt) for hurt in capture.damage]
        self.quic += datagrams.counted.quic
        self.google_quic += datagrams.counted.google_quic
        self.dtls += datagrams.counted.dtls
        self.eap += datagrams.eap_not_decoded
        self.given_up += datagrams.given_up
        self.late += flows.late
        self.evicted_connections += flows.evicted + datagrams.udp.evicted


class Reading:
    """The connections of captures, one capture after the other, or all read as one.

    Folders are searched for captures by content, not by name; "-" is standard input. An input that cannot be read is
    added to `summary.refused`, and the others are still read.
    """

    def __init__(
        self,
        captures: Iterable[str | os.PathLike[str]],
        options: Options = DEFAULTS,
        *,
        judge: Judge | None = None,
        evidence: Evidence | None = None,
        shard: Shard = WHOLE,
        opener: Opener = open_in_order,
        observer: Observer | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        """With a judge, connections have findings; `evidence` keeps the certificates and lookups that it checks.

        The `observer` is told the flow of each packet, and which keys opened something. `inputs` are the files of the
        captures, if they were found before.
        """
        self._captures = [os.fspath(path) for path in captures]
        self._inputs = inputs
        self._options = options
        self._judge = judge
        self._evidence = Evidence() if judge is not None and evidence is None else evidence
        self._shard = shard
        self._opener = opener
        self._observer = observer
        self._budget = Budget(options.limits)
        self._open: PacketReader | JoinedCaptures | None = None
        self._bytes_before = 0
        self._size: int | None = None
        self._pending = 0
        """Connections that were not yielded yet when the capture ended; 0 while its packets are read."""
        self._midstream = 0
        """Connections of this capture whose ClientHello was before it."""
        self._stopped = False
        self._waiting = False
        self._connections: Connections | None = None
        self.names = CaptureNames()
        """The capture that is read, or was read last; with `joined`, all of them."""
        self._flows = FlowTable(shard, options.limits)
        self._keys = CaptureKeys(options.keylog, [])
        self.summary = Summary()

    def __iter__(self) -> Iterator[Connection]:
        """Yield each connection when no packet can change it."""
        linker = Linker(self._options.limits.max_sessions)
        try:
            for number, _, _, event in self._numbered():
                if isinstance(event, Connection):
                    yield linker.link(number, event) if self._options.linked else event
                elif isinstance(event, Session):
                    linker.learn(number, event)
        finally:
            self.summary.evicted_sessions = linker.evicted

    def placed(self) -> Iterator[tuple[Place, ReadingEvent]]:
        """Yield connections without links, and the sessions and lookups of the captures, each with its place.

        The shards of a reading, merged by place, yield the same as a reading without shards.
        """
        for number, due, frame, event in self._numbered():
            yield Place(number, due, frame, _TRANSPORTS[event.transport], event.stream), event

    def _numbered(self) -> Iterator[NumberedEvent]:
        self.summary.refused += self.inputs.refused
        if self._options.joined:
            yield from self._joined()
        else:
            yield from self._one_by_one()
        if not (self.summary.captures or self.summary.refused or self._stopped):
            self.summary.refused += [(path, "has no capture in it") for path in self._captures]

    def _one_by_one(self) -> Iterator[NumberedEvent]:
        for number, one in enumerate(self.inputs.files):
            if self._stopped:
                return
            try:
                with self._opener(one.path) as capture:
                    self._open = capture
                    number_of = capture.file_frame if capture.reordered else None
                    yield from self._events(number, CaptureNames(one.path), capture, number_of)
                self._bytes_before, self._open = self.position, None
            except CaptureError as error:
                self._refuse(one, error)

    def _joined(self) -> Iterator[NumberedEvent]:
        self._open = joined = JoinedCaptures(self.inputs.files, self._refuse)
        yield from self._events(0, joined.names, joined)
        self.summary.overlaps += joined.overlaps

    def _refuse(self, one: Input, error: CaptureError) -> None:
        """Note that a file cannot be read, unless it is in a folder and no capture."""
        if one.named or not isinstance(error, NoCaptureError):
            self.summary.refused.append((one.path, str(error)))

    def _events(
        self,
        number: int,
        names: CaptureNames,
        capture: PacketSource,
        number_of: Callable[[int], int] | None = None,
    ) -> Iterator[NumberedEvent]:
        """Yield the events of a capture; of a reordered one, `number_of` returns the numbers of frames in the file."""
        self.names = names
        judge, evidence, joined = self._judge, self._evidence, self._options.joined
        for due, frame, read in self._read(names, capture):
            if number_of is not None and isinstance(read, Session):
                # A link leads to an earlier connection, and frame numbers of this file do not say which was earlier.
                continue
            event = read if number_of is None else in_file(read, number_of)
            if not isinstance(event, Connection):
                if isinstance(event, CapturedLookup) and evidence is not None:
                    evidence.add_lookup(event)
                yield number, due, frame, event
                continue
            self.summary.count(event)
            if event.problems:
                self._midstream += any(problem.code == "midstream" for problem in event.problems)
            found = event
            if judge is not None and evidence is not None:
                found = replace(found, findings=judge.findings(found, evidence))
            yield number, due, frame, _with_captures(found, names) if joined else found

    def stop(self) -> None:
        """Stop reading; the connections of earlier packets are still yielded, as at the end of the input."""
        self._stopped = True

    @property
    def begin(self) -> int:
        """Time of the first TCP, UDP or EAP packet of the capture that is read; UNTIMED if none had one yet."""
        return self._flows.begin

    @property
    def end(self) -> int:
        """The latest time of the capture that is read, or was read last; UNTIMED if no packet had one."""
        return self._flows.time(self._flows.clock)

    @property
    def position(self) -> int:
        """Bytes of the captures read so far."""
        return self._bytes_before + (self._open.position if self._open else 0)

    def finds_secrets(self, client_random: bytes) -> bool:
        """Return whether the key logs, or the capture that is read, have secrets of a connection."""
        return self._keys.find(client_random) is not None

    @property
    def inputs(self) -> Inputs:
        """The files to read, in their order."""
        if self._inputs is None:
            self._inputs = find_inputs(self._captures, by_time=self._options.joined)
        return self._inputs

    def progress(self) -> tuple[int, int | None]:
        """Return the bytes read, and the bytes of all captures if known."""
        if self._size is None:
            self._size = total_size(self._captures)
        return self.position, self._size or None

    def finishing(self) -> tuple[int, int]:
        """Return how many connections were yielded of those that were left at the capture's end; 0 of 0 before it."""
        connections, pending = self._connections, self._pending
        return (pending - connections.pending, pending) if connections is not None and pending else (pending, pending)

    def _read(self, names: CaptureNames, capture: PacketSource) -> Iterator[DueEvent]:
        options, evidence = self._options, self._evidence
        self._keys = keys = CaptureKeys(options.keylog, capture.secrets, self._observer)
        # The flow tables of the previous capture are gone.
        self._budget.flow_bytes = 0
        self._flows = flows = FlowTable(self._shard, options.limits, self._budget)
        idle = NEVER if options.idle is None else nanoseconds(options.idle)
        udp = UdpTable(self._shard, options.limits, idle, self._budget)
        eap = EapTable(self._shard, options.limits, self._budget)
        datagrams = DatagramConnections(names, flows, udp, eap, self._budget, options, capture.damage, evidence, keys)
        connections = Connections(
            names, flows, datagrams, self._budget, options, capture.damage, evidence, keys, self._observer
        )
        self._connections = connections
        self._midstream = self._pending = left_open = 0
        try:
            for reader in self._readers(capture):
                if reader is None:
                    connections.pass_time(time_ns() - DELIVERY_NS)
                goes_on = True
                while goes_on:
                    goes_on = reader is not None and self._advance(connections, reader)
                    yield from connections.results()
                    self.summary.undecided = connections.undecided
            if capture.until != UNTIMED:
                connections.pass_time(capture.until)
                yield from connections.results()
            self._pending = connections.pending
            for due, frame, event in connections.finish():
                if isinstance(event, Connection):
                    left_open += not _is_closed(event)
                    yield due, frame, event if self._stopped else _cut(event)
                else:
                    yield due, frame, event
            self.summary.undecided = connections.undecided
        finally:
            self._connections = None
            begun = self._midstream + connections.not_tls[BEGUN] + connections.not_tls[RECORDS_BEGUN]
            end = flows.time(flows.clock) if flows.begin != UNTIMED else UNTIMED
            self.summary.spans.append(Span(flows.begin, end, begun, left_open))
            self.summary.add(names, capture, flows, datagrams)
            self.summary.given_up += connections.given_up
            self.summary.returned_early += connections.returned_early
            self.summary.not_tls += connections.not_tls
            self.summary.add_keys(keys, options.keylog)
            self.summary.spill_error = connections.spill_error or self.summary.spill_error
            connections.close()

    def _advance(self, connections: Connections, reader: PacketReader) -> bool:
        """Read packets until an event is due; return False if there are no more for now."""
        try:
            return not self._stopped and connections.advance(reader, self._options.batch)
        except StopReading:
            self._stopped, connections.waiting = True, False
            return False

    def _readers(self, capture: PacketSource) -> Iterator[PacketReader | None]:
        readers = iter(capture)
        while not self._stopped:
            self._waiting = True
            try:
                reader = next(readers, _END)
            except StopReading:
                self._stopped, reader = True, _END
            finally:
                self._waiting = False
            if reader is _END:
                return
            yield reader

    @property
    def waiting(self) -> bool:
        """Whether the reading waits for packets, so that a signal handler may raise StopReading."""
        return self._waiting or (self._connections is not None and self._connections.waiting)


def _cut(connection: Connection) -> Connection:
    """Add the problem of a connection whose handshake neither side had ended when the capture ended."""
    ends = connection.closure
    if connection.outcome != "incomplete" or connection.complete or ends.client is not None or ends.server is not None:
        return connection
    # Of a handshake that was given up, nobody knows whether it ended later.
    if any(problem.code == "limit" for problem in connection.problems):
        return connection
    return replace(connection, problems=(*connection.problems, _CAPTURE_END))


def _with_captures(connection: Connection, names: CaptureNames) -> Connection:
    """Name the captures that have the frames of a connection, when several captures are read as one."""
    places = names.locate_all(named_frames(connection))
    return replace(connection, captures=tuple([CapturePart(*place) for place in places]))


def _is_closed(connection: Connection) -> bool:
    """Return whether no packet of the connection is to be expected."""
    ends = connection.closure
    return "rst" in (ends.client, ends.server) or None not in (ends.client, ends.server)
