"""What one side says until its TLS begins, if it ever does."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from tlsdissect.handshake.carriers import Carrier, framing
from tlsdissect.tls.record import (
    ALERT,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HANDSHAKE_TYPES,
    HEARTBEAT,
    SSL2,
    Record,
    is_header,
    is_likely_header,
)

_SSL2_SIZE = 11
_SSL2_VERSIONS = frozenset((0x0002, 0x0200, 0x0300, 0x0301, 0x0302, 0x0303))


class FirstBytes(Enum):
    """What a stream begins with."""

    UNDECIDED = auto()
    RECORDS = auto()
    SSL2 = auto()
    OTHER = auto()


def judge(data: bytes) -> FirstBytes:
    """Tell what a stream is by its first bytes; UNDECIDED: more of them are needed."""
    if not data:
        return FirstBytes.UNDECIDED
    if data[0] & 0x80:
        return _judge_ssl2(data)
    if not CHANGE_CIPHER_SPEC <= data[0] <= HEARTBEAT or (len(data) > 1 and data[1] != 3):
        return FirstBytes.OTHER
    if len(data) < 6:
        return FirstBytes.UNDECIDED
    if not is_header(data):
        return FirstBytes.OTHER
    wrong = (data[0] == HANDSHAKE and data[5] not in HANDSHAKE_TYPES) or (data[0] == ALERT and data[3:5] > b"\x01\x00")
    return FirstBytes.OTHER if wrong else FirstBytes.RECORDS


def _judge_ssl2(data: bytes) -> FirstBytes:
    """Tell a hello of SSL 2.0 by its lengths.

    CLIENT-HELLO: RFC 5246 appendix E.2. SERVER-HELLO: draft-hickman-netscape-ssl-00 section 5.5.
    """
    if len(data) > 2 and data[2] not in (1, 4):
        return FirstBytes.OTHER
    if len(data) < _SSL2_SIZE:
        return FirstBytes.UNDECIDED
    size = int.from_bytes(data[:2], "big") & 0x7FFF
    numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(3, _SSL2_SIZE, 2)]
    if data[2] == 1:
        version, specs, session_id, challenge = numbers
        fits = 9 + specs + session_id + challenge == size and specs % 3 == 0 and specs and challenge >= 16
    else:
        version, certificate, specs = numbers[1:]
        fits = 11 + certificate + specs <= size and specs % 3 == 0 and data[3] in (0, 1)
    if version not in _SSL2_VERSIONS or not fits:
        return FirstBytes.OTHER
    return FirstBytes.SSL2 if len(data) >= 2 + size else FirstBytes.UNDECIDED


OPENING, PLAIN, TLS = range(3)
"""A half whose first bytes are not judged yet; one that speaks something else, so far; one that sends records."""

KEPT_BYTES = 2048
"""Bytes kept of the beginning and of the end of what a half said before TLS."""
HELLO_SIZE = 13
"""Bytes that the longest pattern of a beginning takes."""

_SHORT = b"|".join(b"\\x00\\x%02x[\\x01\\x02]" % n + b"." * (n - 1) + rb"\x16\x03." for n in range(1, 6))
"""A first record too short for all by which a hello is told, and the header of the next."""
_HELLO = re.compile(
    rb"\x16\x03.(?:(?!\x00[\x00-\x05])[\x00-\x48].[\x01\x02]\x00..(?:\x03.|\x7f[\x00-\x1c])|" + _SHORT + b")",
    re.DOTALL,
)
_ALERT = re.compile(rb"\x15\x03.\x00\x02[\x01\x02][\x00-\xff]", re.DOTALL)


class Start(NamedTuple):
    """Where TLS begins, and the bytes of it that are there."""

    offset: int
    """Stream offset of the first record header."""
    data: bytes
    hello: Record | None = None
    """A hello of SSL 2.0, in front of the records."""


class PlaintextPhase:
    """The bytes of a half in which TLS is looked for: judged by the first of them, searched in those that follow."""

    __slots__ = ("_opening", "_tail", "before", "embedded", "framing", "headless", "mode", "seeking")

    def __init__(self) -> None:
        self.mode = OPENING
        self.seeking = False
        """The other half sends records: an alert may begin this half's TLS too."""
        self.embedded = False
        """TLS begins within a segment, behind something else: who waits for an answer begins a segment with it."""
        self.headless = False
        """The stream's first bytes are missing: those that were judged stand behind a hole."""
        self.framing: Carrier | None = None
        """What carries this half's bytes in packets of its own, as its first bytes show."""
        self.before = b""
        """What was said before TLS: its beginning, and its end where it was long."""
        self._opening = bytearray()
        self._tail = b""

    @property
    def kept(self) -> bytes:
        """What was said so far that is not TLS: its beginning, and its end where it was long."""
        return bytes(self._opening) if self.mode == OPENING else self.before

    def take(self, offset: int, data: bytes, *, behind_hole: bool) -> Start | None:
        """Take a segment's bytes, in order but where some are missing before; return where TLS begins in them."""
        if self.mode == OPENING:
            self.headless = self.headless or (behind_hole and not self._opening)
            return self._open(offset, data)
        # Behind a hole of a half whose other half sends records, any record may come first.
        if self.seeking and behind_hole and is_likely_header(data):
            self._tail = b""
            return self._turn(offset, data, 0, offset)
        return self._seek(offset, data)

    def lose(self) -> None:
        """Take the news that the next bytes are missing."""
        if self._opening:
            self.settle()
        self._tail = b""

    def settle(self) -> None:
        """Take the first bytes for something else than TLS."""
        self.mode = PLAIN
        self.before = _ends(bytes(self._opening))
        self._tail = bytes(self._opening[-HELLO_SIZE:])
        self._opening.clear()

    def _open(self, offset: int, data: bytes) -> Start | None:
        """Judge the first bytes."""
        start, first = offset - len(self._opening), bytes(self._opening) + data
        verdict = judge(first)
        if verdict is FirstBytes.RECORDS:
            return self._start(Start(start, first))
        if verdict is FirstBytes.SSL2:
            size = int.from_bytes(first[:2], "big") & 0x7FFF
            hello = Record(SSL2, 2, size, start, first[2 : 2 + size])
            return self._start(Start(start + 2 + size, first[2 + size :], hello))
        self._opening += data
        return None if verdict is FirstBytes.UNDECIDED else self._other(start, first, offset)

    def _other(self, start: int, first: bytes, latest: int) -> Start | None:
        """Take the first bytes for something else than TLS, in which TLS may already have begun.

        `latest` is where in the stream the latest segment begins.
        """
        self.framing = framing(first)
        if self.framing is not None:
            first, start = self.framing.unwrap(first), 0
        if found := self._find(first):
            self._opening.clear()
            return self._turn(start, first, found.start(), latest)
        self.settle()
        return None

    def _seek(self, offset: int, data: bytes) -> Start | None:
        """Look for the beginning of TLS in what is not TLS so far."""
        searched = self._tail + data
        if found := self._find(searched):
            return self._turn(offset - len(self._tail), searched, found.start(), offset)
        self._tail = searched[-HELLO_SIZE:]
        self.before = _ends(self.before + data)
        return None

    def _find(self, data: bytes) -> re.Match[bytes] | None:
        return _HELLO.search(data) or (_ALERT.search(data) if self.seeking else None)

    def _turn(self, offset: int, data: bytes, begin: int, latest: int) -> Start:
        """Let TLS begin within `data`, whose first byte stands at `offset`, the latest segment's at `latest`."""
        self.embedded = offset + begin != latest
        old = len(self._tail) - begin
        self.before = self.before[:-old] if old > 0 else _ends(self.before + data[len(self._tail) : begin])
        return self._start(Start(offset + begin, data[begin:]))

    def _start(self, start: Start) -> Start:
        self.mode = TLS
        self._opening.clear()
        return start


def _ends(said: bytes) -> bytes:
    """The beginning and the end of what was said."""
    return said if len(said) <= 2 * KEPT_BYTES else said[:KEPT_BYTES] + said[-KEPT_BYTES:]
