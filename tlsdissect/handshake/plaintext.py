# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The bytes of one side before TLS begins, in which the beginning of TLS is searched."""

from __future__ import annotations

import re

import cython

from tlsdissect.capture.octets import u16
from tlsdissect.handshake.framing import Framing, find_framing
from tlsdissect.tls.record import (
    ALERT,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HANDSHAKE_TYPES,
    HEADER_SIZE,
    HEARTBEAT,
    SSL2,
    Record,
    has_empty_record,
    has_header,
    is_likely_header,
    new_record,
)

_LONGEST_ALERT = 256
"""Bytes of the longest fragment of alerts that may come first."""
_MAX_EMPTY = 32
"""Maximum empty records that may come first, which is also how many in a row OpenSSL takes."""
_SSL2_SIZE = 11
_SSL2_VERSIONS = frozenset((0x0002, 0x0200, 0x0300, 0x0301, 0x0302, 0x0303))


UNDECIDED, RECORDS, SSL2_HELLO, OTHER = range(4)
"""Kinds of the first bytes of a stream: more are needed, TLS records, a hello of SSL 2.0, anything else."""

# C integers, by the .pxd.
_UNDECIDED, _RECORDS, _SSL2_HELLO, _OTHER = UNDECIDED, RECORDS, SSL2_HELLO, OTHER
_FIRST_TYPE, _LAST_TYPE, _HEADER = CHANGE_CIPHER_SPEC, HEARTBEAT, HEADER_SIZE


@cython.ccall
def classify(data: bytes) -> cython.longlong:
    """Classify the first bytes of a stream, without the empty records before them; UNDECIDED if more are needed."""
    empty: cython.Py_ssize_t = 0
    while len(data) - empty >= _HEADER and has_empty_record(data, empty):
        empty += _HEADER
        if empty > _MAX_EMPTY * _HEADER:
            return _OTHER
    if empty > 0:
        data = data[empty:]
    if not data:
        return _UNDECIDED
    if data[0] & 0x80:
        return _classify_ssl2(data)
    if not _FIRST_TYPE <= data[0] <= _LAST_TYPE or (len(data) > 1 and data[1] != 3):
        return _OTHER
    if len(data) < _HEADER + 1:
        return _UNDECIDED
    if not has_header(data, 0):
        return _OTHER
    if data[0] == HANDSHAKE:
        return _RECORDS if data[5] in HANDSHAKE_TYPES else _OTHER
    return _OTHER if data[0] == ALERT and u16(data, 3) > _LONGEST_ALERT else _RECORDS


@cython.cfunc
def _classify_ssl2(data: bytes) -> cython.longlong:
    """Recognise an SSL 2.0 hello by its length fields.

    CLIENT-HELLO: RFC 5246 appendix E.2. SERVER-HELLO: draft-hickman-netscape-ssl-00 section 5.5.
    """
    if len(data) > 2 and data[2] not in (1, 4):
        return _OTHER
    if len(data) < _SSL2_SIZE:
        return _UNDECIDED
    size = int.from_bytes(data[:2], "big") & 0x7FFF
    numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(3, _SSL2_SIZE, 2)]
    if data[2] == 1:
        version, specs, session_id, challenge = numbers
        fits = 9 + specs + session_id + challenge == size and specs % 3 == 0 and specs and challenge >= 16
    else:
        version, certificate, specs = numbers[1:]
        fits = 11 + certificate + specs <= size and specs % 3 == 0 and data[3] in (0, 1)
    if version not in _SSL2_VERSIONS or not fits:
        return _OTHER
    return _SSL2_HELLO if len(data) >= 2 + size else _UNDECIDED


OPENING, PLAIN, TLS = range(3)
"""The first bytes are not classified yet; the side has sent no TLS so far; the side sends records."""

PLAINTEXT_BYTES = 2048
"""Bytes kept of the beginning, and of the end, of a side's payload before TLS."""
HELLO_SIZE = 13
"""Bytes that the longest pattern for the beginning of TLS matches."""

_SHORT = b"|".join(b"\\x00\\x%02x[\\x01\\x02]" % n + b"." * (n - 1) + rb"\x16\x03." for n in range(1, 6))
"""A first record that is too short for the header of a hello, and the header of the next record."""
_HELLO = re.compile(
    rb"\x16\x03.(?:(?!\x00[\x00-\x05])[\x00-\x48].[\x01\x02]\x00..(?:\x03.|\x7f[\x00-\x1c])|" + _SHORT + b")",
    re.DOTALL,
)
_ALERT = re.compile(rb"\x15\x03.\x00\x02[\x01\x02][\x00-\xff]", re.DOTALL)


@cython.ccall
def contains_hello(data: bytes) -> cython.bint:
    """Return whether the record of a hello begins somewhere in these bytes."""
    return _HELLO.search(data) is not None


@cython.no_gc
@cython.cclass
class Start:
    """The place where TLS begins, and the bytes from there on."""

    offset: cython.longlong
    """Stream offset of the first record header."""
    data: bytes
    hello: Record | None
    """An SSL 2.0 hello before the records."""


@cython.cfunc
def _start(offset: cython.longlong, data: bytes, hello: Record | None) -> Start:
    """Make a start."""
    start: Start = Start.__new__(Start)
    start.offset = offset
    start.data = data
    start.hello = hello
    return start


@cython.no_gc
@cython.cclass
class PlaintextPhase:
    """Searches a side's bytes for the beginning of TLS: the first bytes are classified, later ones are searched."""

    mode: cython.longlong
    """OPENING, PLAIN or TLS."""
    seeking: cython.bint
    """Whether the other side sends records, so that this side's TLS may also begin with an alert."""
    embedded: cython.bint
    """Whether TLS begins within a segment. A side that waited for a reply begins a new segment with it."""
    headless: cython.bint
    """Whether the first bytes of the stream are missing, so that bytes after a hole were classified."""
    framing: Framing | None
    """The protocol whose packets carry TLS, recognised by the first bytes."""
    before: bytes
    """The payload before TLS; of a long one, the beginning and the end."""
    _opening: bytes
    """The first bytes while they are not classified."""
    _tail: bytes
    """The last bytes that were searched."""

    def __init__(self) -> None:
        self.mode = OPENING
        self.seeking = False
        self.embedded = False
        self.headless = False
        self.framing = None
        self.before = b""
        self._opening = b""
        self._tail = b""

    @property
    def kept(self) -> bytes:
        """The payload so far that is not TLS; of a long one, the beginning and the end."""
        return self._opening if self.mode == OPENING else self.before

    @cython.ccall
    def add(self, offset: cython.longlong, data: bytes, after_hole: cython.bint) -> Start | None:
        """Add the next bytes, `after_hole` if bytes before them are missing; return the start of TLS if it is here."""
        if self.mode == OPENING:
            self.headless = self.headless or (after_hole and not self._opening)
            return self._open(offset, data)
        # After a hole, any record may come first if the other side sends records.
        if self.seeking and after_hole and is_likely_header(data):
            self._tail = b""
            return self._start_within(offset, data, 0, offset)
        return self._seek(offset, data)

    def lose(self) -> None:
        """Handle missing bytes."""
        if self._opening:
            self.settle()
        self._tail = b""

    def settle(self) -> None:
        """Classify the first bytes as not TLS."""
        self.mode = PLAIN
        self.before = _ends(self._opening)
        self._tail = _end(self._opening)
        self._opening = b""

    @cython.cfunc
    def _open(self, offset: cython.longlong, data: bytes) -> Start | None:
        """Classify the first bytes."""
        start: cython.longlong = offset - len(self._opening)
        first: bytes = self._opening + data if self._opening else data
        kind: cython.longlong = classify(first)
        if kind == _RECORDS:
            return self._begin(_start(start, first, None))
        if kind == _SSL2_HELLO:
            size = int.from_bytes(first[:2], "big") & 0x7FFF
            hello = new_record(SSL2, 2, size, start, first[2 : 2 + size], True)
            return self._begin(_start(start + 2 + size, first[2 + size :], hello))
        self._opening = first
        return None if kind == _UNDECIDED else self._other(start, first, offset)

    def _other(self, start: cython.longlong, first: bytes, latest: cython.longlong) -> Start | None:
        """Classify the first bytes as not TLS, and search them for the beginning of TLS.

        `latest` is the stream offset of the latest segment.
        """
        self.framing = find_framing(first)
        if self.framing is not None:
            first, start = self.framing.unwrap(first), 0
        if found := self._find(first):
            self._opening = b""
            return self._start_within(start, first, found.start(), latest)
        self.settle()
        return None

    def _seek(self, offset: cython.longlong, data: bytes) -> Start | None:
        """Search further bytes for the beginning of TLS."""
        searched = self._tail + data
        if found := self._find(searched):
            return self._start_within(offset - len(self._tail), searched, found.start(), offset)
        self._tail = _end(searched)
        self.before = _ends(self.before + data)
        return None

    def _find(self, data: bytes) -> re.Match[bytes] | None:
        return _HELLO.search(data) or (_ALERT.search(data) if self.seeking else None)

    def _start_within(
        self, offset: cython.longlong, data: bytes, begin: cython.Py_ssize_t, latest: cython.longlong
    ) -> Start:
        """Begin TLS at index `begin` of `data`; `offset` and `latest` are those of `data` and the latest segment."""
        self.embedded = offset + begin != latest
        old: cython.Py_ssize_t = len(self._tail) - begin
        self.before = (
            self.before[: max(0, len(self.before) - old)]
            if old > 0
            else _ends(self.before + data[len(self._tail) : begin])
        )
        return self._begin(_start(offset + begin, data[begin:], None))

    @cython.cfunc
    def _begin(self, start: Start) -> Start:
        self.mode = TLS
        self._opening = b""
        return start


def _ends(data: bytes) -> bytes:
    """Return the beginning and the end of long data."""
    return data if len(data) <= 2 * PLAINTEXT_BYTES else data[:PLAINTEXT_BYTES] + data[len(data) - PLAINTEXT_BYTES :]


def _end(data: bytes) -> bytes:
    """Return the bytes at the end in which TLS may begin."""
    return data[max(0, len(data) - HELLO_SIZE) :]
