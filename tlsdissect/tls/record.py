# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Splits a direction's bytes into records, and joins records into handshake messages.

RFC 8446 section 5.1 and RFC 5246 section 6.2.1: a message may span records and a record may hold several messages.
"""

from __future__ import annotations

import re
from typing import Any

import cython

from tlsdissect.capture.octets import cut

CHANGE_CIPHER_SPEC = 20
ALERT = 21
HANDSHAKE = 22
APPLICATION_DATA = 23
HEARTBEAT = 24
SSL2 = 128
"""Pseudo content type of SSL 2.0 messages, whose records have none."""

MAX_FRAGMENT = 2**14 + 2048
"""The longest record body of any version (RFC 5246 section 6.2.3)."""
MAX_MESSAGE = 1 << 20
"""The longest handshake message that is reassembled; the format allows 2**24 - 1."""

HEADER_SIZE = 5
ALERT_SIZE = 2
"""Bytes of an alert: its level and its description (RFC 5246 section 7.2)."""
_MESSAGE_HEADER = 4
HANDSHAKE_TYPES = frozenset((0, 1, 2, 4, 6, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23))
"""Types of handshake messages that are sent in the clear (RFC 8446 appendix B.3)."""
_ALL_TYPES = HANDSHAKE_TYPES | {5, 8, 24, 25}
"""The same, and those that are only sent encrypted: keys may have opened a fragment."""

_LAST_MINOR = 4
"""The minor version of TLS 1.3."""
_NO_VERSION = -1
_NOTHING_KEPT = -1

# C integers, by the .pxd.
_FIRST_TYPE, _LAST_TYPE, _DATA = CHANGE_CIPHER_SPEC, HEARTBEAT, APPLICATION_DATA
_MAX_FRAGMENT, _MAX_MESSAGE = MAX_FRAGMENT, MAX_MESSAGE
_RECORD_HEADER, _HEADER = HEADER_SIZE, _MESSAGE_HEADER


@cython.no_gc
@cython.cclass
class Record:
    """A record; `fragment` is None for application data, whose body is not kept. It does not change."""

    content_type: cython.longlong
    version: cython.longlong
    length: cython.longlong
    start: cython.longlong
    """Stream offset of the record header."""
    fragment: bytes | None
    whole: cython.bint
    """False if `fragment` is truncated because the capture lacks bytes."""

    @property
    def end(self) -> int:
        """Stream offset after it; not valid for SSL 2.0, whose record header is shorter."""
        return self.start + HEADER_SIZE + self.length


@cython.ccall
def new_record(
    content_type: cython.longlong,
    version: cython.longlong,
    length: cython.longlong,
    start: cython.longlong,
    fragment: bytes | None,
    whole: cython.bint,
) -> Record:
    """Make a record. Arguments of a constructor would be Python objects, those of a C function are not."""
    record: Record = Record.__new__(Record)
    record.content_type = content_type
    record.version = version
    record.length = length
    record.start = start
    record.fragment = fragment
    record.whole = whole
    return record


@cython.no_gc
@cython.cclass
class Message:
    """A complete handshake message; `body` excludes the 4-byte header (RFC 8446 section 4). It does not change."""

    handshake_type: cython.longlong
    body: bytes
    start: cython.longlong
    """Stream offset of the record that contains the beginning of the message header."""


@cython.ccall
def new_message(handshake_type: cython.longlong, body: bytes, start: cython.longlong) -> Message:
    """Make a message."""
    message: Message = Message.__new__(Message)
    message.handshake_type = handshake_type
    message.body = body
    message.start = start
    return message


@cython.ccall
@cython.exceptval(-1)
def has_header(data: bytes, at: cython.Py_ssize_t) -> cython.bint:
    """Return whether the five bytes at this index, which must exist, may be a record header.

    Any minor version is accepted: RFC 8446 section 5.1 ignores it, and RFC 5246 appendix E.1 requires it of servers.
    Only application data may be empty; other empty records are `has_empty_record`.
    """
    content_type: cython.longlong = data[at]
    length: cython.longlong = data[at + 3] << 8 | data[at + 4]
    if content_type < _FIRST_TYPE or content_type > _LAST_TYPE or data[at + 1] != 3 or length > _MAX_FRAGMENT:
        return False
    return length > 0 or content_type == _DATA


@cython.ccall
@cython.exceptval(-1)
def has_empty_record(data: bytes, at: cython.Py_ssize_t) -> cython.bint:
    """Return whether the five bytes at this index, which must exist, may be an empty record.

    RFC 5246 section 6.2.1 and RFC 8446 section 5.1 forbid it unless it is application data. Receivers such as OpenSSL
    ignore it all the same, and it continues no message.
    """
    content_type: cython.longlong = data[at]
    if content_type < _FIRST_TYPE or content_type > _LAST_TYPE or content_type == _DATA:
        return False
    return data[at + 1] == 3 and data[at + 3] == 0 and data[at + 4] == 0


def is_header(data: bytes) -> bool:
    """Return whether the first five bytes may be a record header."""
    return len(data) >= HEADER_SIZE and has_header(data, 0)


def is_likely_header(data: bytes, version: cython.longlong = _NO_VERSION) -> bool:
    """Return whether the first five bytes after a gap are likely to be a record header.

    An undefined version is accepted only if the sender's last record had it. Accepting any {03,XX} would match random
    ciphertext about fifty times as often as the five defined versions do.
    """
    return is_header(data) and (data[2] <= _LAST_MINOR or int.from_bytes(data[1:3], "big") == version)


def is_hello(beginning: bytes) -> bool:
    """Return whether a truncated message starts like a ClientHello or ServerHello: type, length and version."""
    return re.match(rb"[\x01\x02]\x00..\x03.", beginning, re.DOTALL) is not None


@cython.no_gc
@cython.cclass
class RecordReader:
    """Splits a direction's bytes into records; longer bodies of application data than `keeps` allows are skipped.

    `feed` and `lost` take the stream in order. After an implausible header the reader has lost synchronization:
    `astray` is the header's stream offset, and the reader looks for a header at the start of each later segment.
    """

    position: cython.longlong
    """Stream offset of the next byte."""
    skip: cython.longlong
    """Bytes ahead that belong to a skipped body."""
    astray: Any
    """Stream offset of the implausible header; None while records are read."""
    keeps: cython.longlong
    """The length of the longest body of application data that is kept in `bodies`; -1 if none is."""
    bodies: list[tuple[int, bytes]]
    """The stream offset of the record and the body, of application data that was kept, until the caller takes it."""
    _kept: bytearray | None
    """The beginning of the body that is being skipped, if it is kept."""
    _kept_start: cython.longlong
    """Stream offset of its record; _NOTHING_KEPT if the body that is being skipped is not kept."""
    _buffer: bytes
    """The beginning of a record, from its header on."""
    _buffer_start: cython.longlong
    """Stream offset of the buffer."""
    _version: cython.longlong
    """The version of the latest record."""

    def __init__(self) -> None:
        self.position = 0
        self.skip = 0
        self.astray = None
        self.keeps = -1
        self.bodies = []
        self._kept = None
        self._kept_start = _NOTHING_KEPT
        self._buffer = b""
        self._buffer_start = 0
        self._version = _NO_VERSION

    @cython.ccall
    @cython.exceptval(-1)
    def is_between(self) -> cython.bint:
        """Return whether the next byte starts a record header."""
        return self.skip == 0 and len(self._buffer) == 0

    @cython.ccall
    @cython.exceptval(-1)
    def is_keeping(self) -> cython.bint:
        """Return whether the body that is being skipped is kept."""
        return self._kept_start != _NOTHING_KEPT

    @cython.cfunc
    def _keep(self, data: bytes) -> cython.bint:
        """Keep further bytes of the body that is being skipped."""
        kept: bytearray = bytearray() if self._kept is None else self._kept
        kept += data
        self._kept = kept
        if self.skip == 0:
            self.bodies.append((self._kept_start, bytes(kept)))
            self._kept = None
            self._kept_start = _NOTHING_KEPT
        return True

    @cython.ccall
    def start(self, position: cython.longlong) -> cython.bint:
        """Reset the reader: the next byte starts a record header."""
        self._buffer = b""
        self.skip = 0
        self.astray = None
        self._kept_start = _NOTHING_KEPT
        self.position = position
        return True

    @cython.ccall
    def jump(self, position: cython.longlong, skip: cython.longlong) -> cython.bint:
        """Continue at a stream offset, and skip the `skip` bytes of a record body that follow it."""
        self.position = position
        self.skip = skip
        self._kept_start = _NOTHING_KEPT
        return True

    @cython.ccall
    def feed(self, data: bytes) -> list[Record]:
        """Process the next bytes; return the records that they complete, or begin for application data."""
        step: cython.longlong
        if self.skip > 0:
            step = min(self.skip, len(data))
            self._pass_over(step)
            if self._kept_start != _NOTHING_KEPT:
                self._keep(data[:step])
            data = data[step:]
        if self.astray is not None:
            if not is_likely_header(data, self._version):
                self.position += len(data)
                return []
            self.start(self.position)
        if self._buffer:
            data = self._buffer + data
            self.position += len(data) - len(self._buffer)
        else:
            self._buffer_start = self.position
            self.position += len(data)
        return self._cut(data)

    @cython.ccall
    def lost(self, size: cython.longlong) -> list[Record]:
        """Handle `size` bytes missing from the capture; return the record that they truncate, if any."""
        self._kept_start = _NOTHING_KEPT
        if size <= self.skip:
            self._pass_over(size)
            return []
        truncated: list[Record] = self.break_off()
        if size <= self.skip:
            self._pass_over(size)
        else:
            self.position += size
            self.skip = 0
            self.astray = self.position
        return truncated

    @cython.ccall
    def break_off(self) -> list[Record]:
        """Return the truncated record whose body has begun, and skip the rest of it."""
        begun: list[Record] = []
        data: bytes = self._buffer
        content_type: cython.longlong
        version: cython.longlong
        length: cython.longlong
        if len(data) >= _RECORD_HEADER:
            content_type = data[0]
            version = data[1] << 8 | data[2]
            length = data[3] << 8 | data[4]
            begun.append(new_record(content_type, version, length, self._buffer_start, data[_RECORD_HEADER:], False))
            self.skip = _RECORD_HEADER + length - len(data)
        self._buffer = b""
        return begun

    @cython.cfunc
    def _pass_over(self, size: cython.longlong) -> cython.bint:
        """Skip bytes of a skipped body; `size` is at most `skip`."""
        self.skip -= size
        self.position += size
        return True

    @cython.cfunc
    def _cut(self, data: bytes) -> list[Record]:
        """Split off records; the rest, which begins at `_buffer_start`, is buffered."""
        records: list[Record] = []
        origin: cython.longlong = self._buffer_start
        at: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t = len(data)
        body: cython.Py_ssize_t = _RECORD_HEADER
        after: cython.Py_ssize_t
        content_type: cython.longlong
        length: cython.longlong
        while body <= end:
            if not has_header(data, at) and not has_empty_record(data, at):
                self.astray = origin + at
                at = end
                break
            content_type = data[at]
            length = data[at + 3] << 8 | data[at + 4]
            after = body + length
            if content_type != _DATA and after > end:
                break
            self._version = data[at + 1] << 8 | data[at + 2]
            if content_type == _DATA:
                records.append(new_record(content_type, self._version, length, origin + at, None, True))
                if length <= self.keeps:
                    self._kept = None
                    self._kept_start = origin + at
                    self.skip = max(0, after - end)
                    self._keep(data[body : min(after, end)])
            else:
                records.append(
                    new_record(content_type, self._version, length, origin + at, cut(data, body, after), True)
                )
            at = after
            body = at + _RECORD_HEADER
        if at > end:
            self.skip = at - end
            at = end
        self._buffer = b"" if at == end else cut(data, at, end)
        self._buffer_start = origin + at
        return records


@cython.no_gc
@cython.cclass
class MessageJoiner:
    """Joins the fragments of handshake records into messages."""

    malformed: Any
    """Stream offset of a record whose message header has an impossible length; None if there was none."""
    waiting: cython.longlong
    """Buffered bytes of an incomplete message."""
    _aligned: cython.bint
    """Whether the next fragment, after `_skip` bytes, is known to begin with a message header."""
    _buffer: bytearray | None
    """Those bytes; None before the first."""
    _need: cython.longlong
    """Bytes that the buffer needs before it can be split: a header, or a whole message."""
    _skip: cython.longlong
    """Bytes of a discarded message that are still to come."""
    _start: cython.longlong
    """Stream offset of the record in which the buffered message begins."""

    def __init__(self) -> None:
        self.malformed = None
        self.waiting = 0
        self._aligned = True
        self._buffer = None
        self._need = _MESSAGE_HEADER
        self._skip = 0
        self._start = 0

    @cython.ccall
    def feed(self, fragment: bytes, start: cython.longlong) -> list[Message]:
        """Add a record's fragment, whose header is at stream offset `start`; return the messages that it completes."""
        size: cython.longlong = len(fragment)
        if self._skip > 0:
            fragment = fragment[self._skip :] if self._skip < size else b""
            self._skip = max(0, self._skip - size)
            size = len(fragment)
        if not self._aligned:
            if not _begins_with_messages(fragment):
                return []
            self._aligned = True
        if self.waiting == 0:
            self._start = start
            if size >= _HEADER and size == _message_size(fragment, 0) and size <= _MAX_MESSAGE:
                return [new_message(fragment[0], cut(fragment, _HEADER, size), start)]
            return self._split(fragment, start)
        self._wait(fragment)
        if self.waiting < self._need:
            return []
        return self._split(self._take(), start)

    @cython.cfunc
    def _wait(self, data: bytes) -> cython.bint:
        """Buffer bytes of an incomplete message."""
        buffer: bytearray = bytearray() if self._buffer is None else self._buffer
        buffer += data
        self._buffer = buffer
        self.waiting = len(buffer)
        return True

    @cython.cfunc
    def _take(self) -> bytes:
        """Empty the buffer and return its bytes."""
        data: bytes = b"" if self._buffer is None else bytes(self._buffer)
        self._buffer = None
        self.waiting = 0
        return data

    @cython.cfunc
    def _split(self, data: bytes, start: cython.longlong) -> list[Message]:
        """Split off complete messages; the rest is buffered for the next fragment."""
        messages: list[Message] = []
        at: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t = len(data)
        after: cython.Py_ssize_t
        while end - at >= _HEADER:
            after = at + _message_size(data, at)
            if after - at > _MAX_MESSAGE:
                self.malformed = self._start
                return messages
            if after > end:
                break
            messages.append(new_message(data[at], cut(data, at + _HEADER, after), self._start))
            at = after
            self._start = start
        if at < end:
            self._wait(cut(data, at, end))
            self._need = _message_size(data, at) if end - at >= _HEADER else _HEADER
        return messages

    def drop(self, missing: cython.longlong = -1) -> tuple[bytes, int]:
        """Discard an incomplete message whose rest is missing; return its bytes, and the offset of its record.

        `missing` is the number of bytes that the capture lacks before the next fragment, or -1 if it is unknown. If
        they may contain the header of another message, the next fragment may begin inside a message. It is then parsed
        only if `_begins_with_messages`.
        """
        begun: bytes = self._take()
        rest: cython.longlong = self._need - len(begun) if len(begun) >= _HEADER else self._skip
        self._aligned = 0 <= missing <= rest
        self._skip = rest - missing if self._aligned else 0
        return begun, self._start

    def give_up(self) -> tuple[bytes, int]:
        """Discard an incomplete message whose header is complete, and skip its rest; return as `drop` does."""
        return self.drop(0)


@cython.cfunc
def _message_size(data: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Return the size of the handshake message whose header is at this index, header included."""
    return _HEADER + (data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3])


@cython.cfunc
def _begins_with_messages(fragment: bytes) -> cython.bint:
    """Return whether a fragment parses as handshake messages of known types and plausible lengths.

    The last message may continue in the next fragment.
    """
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = len(fragment)
    size: cython.longlong
    while end - at >= _HEADER:
        size = _message_size(fragment, at)
        if fragment[at] not in _ALL_TYPES or size > _MAX_MESSAGE:
            return False
        at += size
    return at >= end > 0
