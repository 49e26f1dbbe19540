"""The way of the bytes on one screen: captures in, connections out."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec.structs import replace

from tlsdissect.capture import CaptureError, NoCaptureError, open_capture
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.datagrams import Datagrams
from tlsdissect.flows.table import WHOLE, FlowTable, Shard
from tlsdissect.handshake.connections import Connections
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.links import Linker
from tlsdissect.handshake.options import DEFAULTS, Options
from tlsdissect.handshake.revocation_lookups import Heard
from tlsdissect.handshake.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from tlsdissect.capture import Damage, PacketReader
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.judge import Judge

    Told = Connection | Session | Heard
    _Due = tuple[int, int, Told]
    """What is told or shown, its clock, and the frame that decided or showed it."""

UNTOLD_NS = 25_000_000
"""How long a packet may be held by the kernel after its time before an interface tells it."""
_END: Any = object()
"""What stands behind the last packets."""


class Place(NamedTuple):
    """Where a connection stands in the output, or what a frame showed of a session or a lookup stands among them."""

    capture: int
    due: int
    """The clock at which it is told."""
    frame: int
    """The frame that showed it, or decided a handshake; NEVER, behind all of the same clock: time alone did."""
    stream: int


class StopReading(KeyboardInterrupt):
    """Raised into a reading that waits for more packets: take what came so far as all."""


class PacketSource(Protocol):
    """What packets come from: a file, or an interface."""

    @property
    def damage(self) -> list[Damage]:
        """What could not be read."""
        ...

    @property
    def skipped(self) -> Counter[str]:
        """Packets that could not be read, by what they are."""
        ...

    @property
    def frames(self) -> int:
        """Frames read so far."""
        ...

    def __iter__(self) -> Iterator[PacketReader | None]:
        """Yield the reader to take packets from, until it has no more; None: for a moment nothing came."""
        ...


class Opener(Protocol):
    """How a capture is opened by its name; raises CaptureError."""

    def __call__(self, source: str) -> AbstractContextManager[PacketReader]:
        """Open a capture."""
        ...


class Summary:
    """What was read, and what was seen and not decoded."""

    def __init__(self) -> None:
        self.captures = 0
        self.frames = 0
        self.connections = 0
        self.undecided = 0
        """Handshakes that go on, of connections told when they are decided."""
        self.versions: Counter[str | None] = Counter()
        """Connections by version."""
        self.quic = 0
        """Conversations of QUIC."""
        self.dtls = 0
        """Conversations of DTLS."""
        self.eap: Counter[tuple[str, str]] = Counter()
        """Conversations of EAP that carry TLS, by method ("EAP-TLS") and what carried EAP ("RADIUS", "802.1X")."""
        self.not_tls: Counter[str] = Counter()
        """TCP flows in which no TLS was found, by what they were: "refused", "plain HTTP", ..."""
        self.skipped: Counter[str] = Counter()
        """Packets of unknown kind, by what they are."""
        self.damage: list[tuple[str, Damage]] = []
        """What of a capture could not be read."""
        self.refused: list[tuple[str, str]] = []
        """Inputs that could not be read at all, and why."""
        self.late = 0
        """Packets that came after their conversation was taken as over."""
        self.given_up = 0
        """Conversations that were followed no further because too many went on, or all together held too much."""
        self.returned_early = 0
        """Connections returned before their end, because there was no room for them to wait."""
        self.spill_error: str | None = None
        """Why the temporary file in which connections wait could not be written; None if it could."""
        self.evicted_connections = 0
        """TCP connections evicted from the flow table before their end."""
        self.evicted_sessions = 0
        """Sessions and failed handshakes evicted, so that later connections could not be linked to them."""

    def count(self, told: Connection) -> None:
        """Add a connection."""
        self.connections += 1
        self.versions[told.version] += 1

    def add(self, source: str, capture: PacketSource, flows: FlowTable, datagrams: Datagrams) -> None:
        """Add a capture that was read."""
        self.captures += 1
        self.frames += capture.frames
        self.skipped += capture.skipped
        self.damage += [(source, hurt) for hurt in capture.damage]
        self.quic += datagrams.quic
        self.dtls += datagrams.dtls
        self.eap += datagrams.eap.counted
        self.late += flows.late
        self.evicted_connections += flows.evicted


class Reading:
    """The connections of captures, one capture after the other.

    Folders are searched for captures, by content and not by name; "-" is standard input. An input that cannot be read
    is noted in `summary.refused`, and the others are read all the same.
    """

    def __init__(
        self,
        captures: Iterable[str | os.PathLike[str]],
        options: Options = DEFAULTS,
        *,
        judge: Judge | None = None,
        evidence: Evidence | None = None,
        shard: Shard = WHOLE,
        opener: Opener = open_capture,
    ) -> None:
        """With a judge, connections get their findings; `evidence` is where to keep what verdicts rest on."""
        self._captures = [os.fspath(path) for path in captures]
        self._options = options
        self._judge = judge
        self._evidence = Evidence() if judge is not None and evidence is None else evidence
        self._shard = shard
        self._opener = opener
        self._budget = Budget(options.limits)
        self._open: PacketReader | None = None
        self._bytes_before = 0
        self._size: int | None = None
        self._stopped = False
        self._waiting = False
        self._conversations: Connections | None = None
        self.summary = Summary()

    def __iter__(self) -> Iterator[Connection]:
        """Yield each connection when nothing about it can change any more."""
        linker = Linker(self._options.limits.max_sessions)
        for place, told in self.placed():
            if isinstance(told, Session):
                linker.learn(place.capture, told)
            elif not isinstance(told, Heard):
                yield linker.link(place.capture, told) if self._options.linked else told
            self.summary.evicted_sessions = linker.forgotten

    def placed(self) -> Iterator[tuple[Place, Told]]:
        """Yield each connection, not linked to others yet, and what links them or is known beside, with its place.

        All shards of a reading, merged by place, are the whole.
        """
        for number, (path, named) in enumerate(files(self._captures, self._refuse)):
            if self._stopped:
                return
            try:
                yield from self._capture(number, path)
            except CaptureError as error:
                if named or not isinstance(error, NoCaptureError):
                    self.summary.refused.append((path, str(error)))
        if not (self.summary.captures or self.summary.refused or self._stopped):
            self.summary.refused += [(path, "has no capture in it") for path in self._captures]

    def _refuse(self, error: OSError) -> None:
        self.summary.refused.append((str(error.filename), error.strerror or str(error)))

    def _capture(self, number: int, path: str) -> Iterator[tuple[Place, Told]]:
        with self._opener(path) as capture:
            self._open = capture
            yield from self._told(number, path, capture)
        self._bytes_before, self._open = self.position, None

    def _told(self, number: int, path: str, capture: PacketSource) -> Iterator[tuple[Place, Told]]:
        for due, frame, told in self._read(path, capture):
            place = Place(number, due, frame, told.stream)
            if isinstance(told, Heard) and self._evidence is not None:
                self._evidence.note(told)
            if isinstance(told, (Session, Heard)):
                yield place, told
                continue
            self.summary.count(told)
            yield place, self._judged(told)

    def _judged(self, told: Connection) -> Connection:
        if self._judge is None or self._evidence is None:
            return told
        return replace(told, findings=self._judge.findings(told, self._evidence))

    def stop(self) -> None:
        """Read no more: what was read so far is told, as at the end of the input."""
        self._stopped = True

    @property
    def position(self) -> int:
        """Bytes of the captures that were read."""
        return self._bytes_before + (self._open.position if self._open else 0)

    def progress(self) -> tuple[int, int | None]:
        """Bytes read, and bytes of all captures where that is known."""
        if self._size is None:
            self._size = sum(map(_size, (path for path, _ in files(self._captures))))
        return self.position, self._size or None

    def _read(self, source: str, capture: PacketSource) -> Iterator[_Due]:
        flows, datagrams = FlowTable(self._shard, self._options.limits), Datagrams()
        conversations = Connections(
            source, flows, datagrams, self._budget, self._options, capture.damage, self._evidence
        )
        self._conversations = conversations
        try:
            for reader in self._readers(capture):
                if reader is None:
                    conversations.pass_time(time_ns() - UNTOLD_NS)
                goes_on = True
                while goes_on:
                    goes_on = reader is not None and self._advance(conversations, reader)
                    yield from conversations.results()
                    self.summary.undecided = conversations.undecided
            yield from conversations.finish()
        finally:
            self._conversations = None
            self.summary.add(source, capture, flows, datagrams)
            self.summary.given_up += conversations.given_up
            self.summary.returned_early += conversations.returned_early
            self.summary.not_tls += conversations.not_tls
            self.summary.spill_error = conversations.trouble or self.summary.spill_error
            conversations.close()

    def _advance(self, conversations: Connections, reader: PacketReader) -> bool:
        """Take packets until something is due; False where there are no more for now."""
        try:
            return not self._stopped and conversations.advance(reader, self._options.batch)
        except StopReading:
            self._stopped, conversations.waiting = True, False
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
        """Whether packets are being waited for: a signal's handler may raise StopReading now."""
        return self._waiting or (self._conversations is not None and self._conversations.waiting)


def files(paths: Iterable[str], trouble: Callable[[OSError], None] | None = None) -> Iterator[tuple[str, bool]]:
    """The files to read, and whether each was named itself or is one of a folder's; `trouble`: a folder is closed."""
    for path in paths:
        # Unlike pathlib's, this takes what cannot be looked at for no folder: opening it tells why.
        if path == "-" or not os.path.isdir(path):  # noqa: PTH112
            yield path, True
            continue
        for folder, folders, names in os.walk(path, onerror=trouble):
            folders.sort()
            yield from ((str(Path(folder, name)), False) for name in sorted(names) if _is_file(folder, name))


def _size(path: str) -> int:
    """Bytes of a regular file; 0 of what is none, or is gone."""
    try:
        return Path(path).stat().st_size if Path(path).is_file() else 0
    except OSError:
        return 0


def _is_file(folder: str, name: str) -> bool:
    """Whether this is a regular file: what else lies in a folder is no capture, and may wait for ever."""
    try:
        return Path(folder, name).is_file()
    except OSError:
        return False
