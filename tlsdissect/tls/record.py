"""Splits a direction's bytes into records, and joins records into handshake messages.

RFC 8446 section 5.1 and RFC 5246 section 6.2.1: a message may span records and a record may hold several messages.
"""

from __future__ import annotations

import re
import struct

from msgspec import Struct

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
ALERT_BYTES = 2
"""Bytes of an alert: its level and its description (RFC 5246 section 7.2)."""
_MESSAGE_HEADER = 4
HANDSHAKE_TYPES = frozenset((0, 1, 2, 4, 6, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23))
"""Types of handshake messages that are sent in the clear (RFC 8446 appendix B.3)."""

_HEADER = struct.Struct(">BHH")
_TYPES = (CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT)
_NO_LENGTHS = range(0)
_LAST_MINOR = 4
"""The minor version of TLS 1.3."""
_LENGTHS = {
    bytes([content_type, 3]): range(int(content_type != APPLICATION_DATA), MAX_FRAGMENT + 1) for content_type in _TYPES
}
"""Plausible lengths of a record by its type and major version: only application data may be empty.

Any minor version is accepted: RFC 8446 section 5.1 ignores it, and RFC 5246 appendix E.1 requires it of servers.
"""


class Record(Struct, frozen=True, gc=False):
    """A record; `fragment` is None for application data, whose body is not kept."""

    content_type: int
    version: int
    length: int
    start: int
    """Stream offset of its header."""
    fragment: bytes | None
    whole: bool = True
    """False if `fragment` is truncated because the capture lacks bytes."""

    @property
    def end(self) -> int:
        """Stream offset after it; not valid for SSL 2.0, whose record header is shorter."""
        return self.start + HEADER_SIZE + self.length


class Message(Struct, frozen=True, gc=False):
    """A complete handshake message; `body` excludes the 4-byte header (RFC 8446 section 4)."""

    handshake_type: int
    body: bytes
    start: int
    """Stream offset of the record in which its header begins."""


def is_header(data: bytes) -> bool:
    """Return whether the first five bytes may be a record header."""
    return len(data) >= HEADER_SIZE and int.from_bytes(data[3:5], "big") in _LENGTHS.get(data[:2], _NO_LENGTHS)


def is_likely_header(data: bytes, version: int | None = None) -> bool:
    """Return whether the first five bytes after a gap are likely to be a record header.

    An undefined version is accepted only if the sender's last record had it. Accepting any {03,XX} would match random
    ciphertext about fifty times as often as the five defined versions do.
    """
    return is_header(data) and (data[2] <= _LAST_MINOR or int.from_bytes(data[1:3], "big") == version)


def is_hello(beginning: bytes) -> bool:
    """Return whether a truncated message starts like a ClientHello or ServerHello: type, length and version."""
    return re.match(rb"[\x01\x02]\x00..\x03.", beginning, re.DOTALL) is not None


class RecordReader:
    """Splits a direction's bytes into records; bodies of application data are skipped.

    `feed` and `lost` take the stream in order. After an implausible header the reader has lost synchronization:
    `astray` is the header's stream offset, and the reader looks for a header at the start of each later segment.
    """

    __slots__ = ("_buffer", "_buffer_start", "_skip", "_version", "astray", "position")

    def __init__(self) -> None:
        self._buffer = b""
        self._buffer_start = 0
        self._skip = 0
        self._version: int | None = None
        """The version of the latest record."""
        self.position = 0
        self.astray: int | None = None

    @property
    def skip(self) -> int:
        """Bytes ahead that belong to a skipped body."""
        return self._skip

    @property
    def between(self) -> bool:
        """Whether the next byte starts a record header."""
        return not self._skip and not self._buffer

    def start(self, position: int) -> None:
        """Reset the reader: the next byte starts a record header."""
        self._buffer, self._skip, self.astray = b"", 0, None
        self.position = position

    def pass_over(self, size: int) -> None:
        """Skip bytes of a skipped body; `size` is at most `skip`."""
        self._skip -= size
        self.position += size

    def jump(self, position: int, skip: int) -> None:
        """Continue at a stream offset whose next `skip` bytes belong to a skipped body."""
        self.position, self._skip = position, skip

    def feed(self, data: bytes) -> list[Record]:
        """Process the next bytes; return the records that they complete, or begin for application data."""
        if self._skip:
            step = min(self._skip, len(data))
            self.pass_over(step)
            data = data[step:]
        if self.astray is not None:
            if not is_likely_header(data, self._version):
                self.position += len(data)
                return []
            self.start(self.position)
        if self._buffer:
            begun = self._buffer + data
        else:
            begun, self._buffer_start = data, self.position
        self.position += len(data)
        return self._cut(begun)

    def lost(self, size: int) -> list[Record]:
        """Handle `size` bytes missing from the capture; return the record that they truncate, if any."""
        if size <= self._skip:
            self.pass_over(size)
            return []
        truncated = self.break_off()
        if size <= self._skip:
            self.pass_over(size)
        else:
            self.position += size
            self._skip = 0
            self.astray = self.position
        return truncated

    def break_off(self) -> list[Record]:
        """Return the truncated record whose body has begun, and skip the rest of it."""
        begun = []
        if len(self._buffer) >= HEADER_SIZE:
            content_type, version, length = _HEADER.unpack_from(self._buffer)
            fragment = self._buffer[HEADER_SIZE:]
            begun.append(Record(content_type, version, length, self._buffer_start, fragment, whole=False))
            self._skip = HEADER_SIZE + length - len(self._buffer)
        self._buffer = b""
        return begun

    def _cut(self, data: bytes) -> list[Record]:
        at, end, origin = 0, len(data), self._buffer_start
        records = []
        while (body := at + HEADER_SIZE) <= end:
            content_type, version, length = _HEADER.unpack_from(data, at)
            if length not in _LENGTHS.get(data[at : at + 2], _NO_LENGTHS):
                self.astray = origin + at
                at = end
                break
            after = body + length
            if content_type == APPLICATION_DATA:
                records.append(Record(content_type, version, length, origin + at, None))
            elif after <= end:
                records.append(Record(content_type, version, length, origin + at, data[body:after]))
            else:
                break
            at = after
        if at > end:
            self._skip, at = at - end, end
        self._buffer, self._buffer_start = data[at:], origin + at
        if records:
            self._version = records[-1].version
        return records


class MessageJoiner:
    """Joins the fragments of handshake records into messages."""

    __slots__ = ("_aligned", "_buffer", "_need", "_skip", "_start", "malformed")

    def __init__(self) -> None:
        self._aligned = True
        """Whether the next fragment, after `_skip` bytes, is known to begin with a message header."""
        self._buffer = bytearray()
        self._need = _MESSAGE_HEADER
        """Bytes that the buffer needs before it can be split: a header, or a whole message."""
        self._skip = 0
        """Bytes of a discarded message that are still to come."""
        self._start = 0
        self.malformed: int | None = None
        """Stream offset of a record whose message header has an impossible length."""

    @property
    def waiting(self) -> int:
        """Buffered bytes of an incomplete message."""
        return len(self._buffer)

    def feed(self, fragment: bytes, start: int) -> list[Message]:
        """Add a record's fragment, whose header is at stream offset `start`; return the messages that it completes."""
        if self._skip:
            fragment, self._skip = fragment[self._skip :], max(0, self._skip - len(fragment))
        if not self._aligned:
            if not _begins_with_messages(fragment):
                return []
            self._aligned = True
        if not self._buffer:
            self._start = start
            if len(fragment) == _message_size(fragment) <= MAX_MESSAGE:
                return [Message(fragment[0], fragment[_MESSAGE_HEADER:], start)]
            return self._split(fragment, start)
        self._buffer += fragment
        if len(self._buffer) < self._need:
            return []
        data = bytes(self._buffer)
        self._buffer.clear()
        return self._split(data, start)

    def _split(self, data: bytes, start: int) -> list[Message]:
        """Split off complete messages; the rest is buffered for the next fragment."""
        messages: list[Message] = []
        at, end = 0, len(data)
        while end - at >= _MESSAGE_HEADER:
            after = at + _message_size(data, at)
            if after - at > MAX_MESSAGE:
                self.malformed = self._start
                return messages
            if after > end:
                break
            messages.append(Message(data[at], data[at + _MESSAGE_HEADER : after], self._start))
            at, self._start = after, start
        if at < end:
            self._buffer += data[at:]
            self._need = _message_size(data, at) if end - at >= _MESSAGE_HEADER else _MESSAGE_HEADER
        return messages

    def drop(self, missing: int | None = None) -> tuple[bytes, int]:
        """Discard an incomplete message whose rest is missing; return its bytes, and the offset of its record.

        `missing` is the number of bytes that the capture lacks before the next fragment, or None if it is unknown. If
        they may contain the header of another message, the next fragment may begin inside a message. It is then parsed
        only if `_begins_with_messages`.
        """
        begun = bytes(self._buffer)
        rest = self._need - len(begun) if len(begun) >= _MESSAGE_HEADER else self._skip
        self._aligned = missing is not None and missing <= rest
        self._skip = rest - missing if missing is not None and self._aligned else 0
        self._buffer.clear()
        return begun, self._start

    def give_up(self) -> tuple[bytes, int]:
        """Discard an incomplete message whose header is complete, and skip its rest; return as `drop` does."""
        return self.drop(0)


def _message_size(data: bytes, at: int = 0) -> int:
    """Return the size of the handshake message whose header is at this index, header included."""
    return _MESSAGE_HEADER + int.from_bytes(data[at + 1 : at + _MESSAGE_HEADER], "big")


def _begins_with_messages(fragment: bytes) -> bool:
    """Return whether a fragment parses as handshake messages of known types and plausible lengths.

    The last message may continue in the next fragment.
    """
    at, end = 0, len(fragment)
    while end - at >= _MESSAGE_HEADER:
        size = _message_size(fragment, at)
        if fragment[at] not in HANDSHAKE_TYPES or size > MAX_MESSAGE:
            return False
        at += size
    return at >= end > 0
