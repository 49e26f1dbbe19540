"""Joins the fragments of DTLS handshake messages, and tells retransmitted messages from new ones.

RFC 6347 sections 4.2.2 to 4.2.4: each message has a number, `message_seq`, and each fragment says which bytes of its
message it has. Fragments may come in any order, overlap and repeat; a retransmission may be fragmented in another way.
Of overlapping bytes, those that came first count, and others are a conflict. A message is complete when no byte is
missing.

Goal: each message once, by the datagram that completed it, in memory that is proportional to what was received and not
to the lengths that headers state: one forged fragment may state 16 MiB. So a message is kept as the runs of bytes that
were received, sorted by place; to insert one takes a binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.differences import differing
from tlsdissect.handshake.problems import two_copies
from tlsdissect.tls.codepoints import HandshakeType

if TYPE_CHECKING:
    from tlsdissect.model.connection import DataCopy
    from tlsdissect.tls.dtls import Fragment

MAX_BEGUN = 16
"""Maximum incomplete messages of a side; if there are more, the one that began first is given up."""
MAX_RUNS = 4096
"""Maximum runs of bytes of an incomplete message that are not adjacent; further ones are left out."""
MAX_KNOWN = 4096
"""Maximum messages of a side whose retransmissions are recognised."""
COMPARED_BYTES = 1 << 16
"""Maximum bytes of complete messages of a side that are kept to be compared with retransmissions."""
MAX_CONFLICTS = 16
"""Maximum messages of a side reported because they were sent again with other bytes."""
RUN_BYTES = 128
"""Estimated bytes that a run takes besides its data."""

BYTES_MISSING = "a handshake message has bytes missing"
GIVEN_UP = "no more fragments are held of messages that are not whole"
"""Details of problems."""

_Key = tuple[int, int, int]
"""message_seq, type and length.

A HelloVerifyRequest and the ServerHello after it have the same message_seq with some servers, and so have two
ClientHellos of a client that starts anew.
"""


class JoinedMessage(NamedTuple):
    """A handshake message, or the beginning of one whose rest is missing."""

    handshake_type: int
    message_seq: int
    length: int
    """The message's length field; more than `body` has if its rest is missing."""
    body: bytes
    start: int
    """Offset, in the bytes of the side's records, of the first record that had a part of it."""
    frame: int
    """The frame of its latest fragment."""
    fragments: int
    """The number of its fragments, repeated ones not included."""


class MessageConflict(NamedTuple):
    """Other bytes of a message than those that came first."""

    message_seq: int
    offset: int
    """Of the first byte that differs in the message."""
    known: bytes
    """The bytes that came first, from the first that differs to the last."""
    other: bytes
    frame: int
    """The frame of those that came first; of a complete message, the one that completed it."""

    @property
    def detail(self) -> str:
        """What is wrong, in words."""
        return f"message {self.message_seq} has other bytes at {self.offset} than in frame {self.frame}, which count"

    def copies(self, frame: int) -> tuple[DataCopy, DataCopy]:
        """Return both copies; the other bytes are in this frame."""
        return two_copies(self.known, self.frame, self.other, frame)


class MessageBuffer:
    """The received parts of one message."""

    __slots__ = (
        "_ends",
        "_frames",
        "_runs",
        "_starts",
        "conflict",
        "fragments",
        "frame",
        "held_bytes",
        "received",
        "start",
    )

    def __init__(self, start: int) -> None:
        self.start = start
        self.frame = 0
        self.fragments = 0
        self.received = 0
        """Bytes that were received, each counted once."""
        self.held_bytes = RUN_BYTES
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._runs: list[bytes] = []
        """Disjoint parts in order; `_starts` and `_ends` are their places in the message."""
        self._frames: list[int] = []
        """The frame of each part."""
        self.conflict: tuple[int, bytes, bytes, int] | None = None
        """The first place at which other bytes came again, as in MessageConflict."""

    def add(self, offset: int, data: bytes, frame: int = 0) -> list[tuple[int, int]]:
        """Add the bytes of a fragment that were not received before; return their places in the message."""
        at, end = offset, offset + len(data)
        index = bisect_right(self._ends, at)
        new: list[tuple[int, int]] = []
        while at < end and len(self._starts) < MAX_RUNS:
            following = self._starts[index] if index < len(self._starts) else end
            if following > at:
                upto = min(following, end)
                self._insert(index, at, data[at - offset : upto - offset], frame)
                new.append((at, upto))
                index += 1
                at = upto
            if at < end and index < len(self._starts):
                self._compare(index, at, data[at - offset :])
                at = self._ends[index]
                index += 1
        self.fragments += bool(new) or not data
        return new

    def has_beginning(self) -> bool:
        """Return whether the first byte was received."""
        return bool(self._starts) and self._starts[0] == 0

    def beginning(self) -> bytes:
        """Return the bytes up to the first one that is missing."""
        parts, at = [], 0
        for start, run in zip(self._starts, self._runs, strict=True):
            if start != at:
                break
            parts.append(run)
            at += len(run)
        return b"".join(parts)

    def _compare(self, index: int, at: int, data: bytes) -> None:
        """Note the first place where data differ from the part of the message that is already there."""
        known = self._runs[index][at - self._starts[index] :]
        found = differing(known, data) if self.conflict is None else None
        if found is not None:
            start, end = found
            self.conflict = at + start, known[start:end], data[start:end], self._frames[index]

    def _insert(self, index: int, start: int, run: bytes, frame: int) -> None:
        self._frames.insert(index, frame)
        self._starts.insert(index, start)
        self._ends.insert(index, start + len(run))
        self._runs.insert(index, run)
        self.received += len(run)
        self.held_bytes += len(run) + RUN_BYTES


class MessageJoiner:
    """Joins the plaintext fragments of one side."""

    def __init__(self) -> None:
        self.held_bytes = 0
        """Estimated bytes of incomplete messages."""
        self.retransmitted = 0
        """Number of times that a message was sent again, by its first byte."""
        self.given_up = 0
        """Incomplete messages that were given up for lack of room."""
        self.compared_bytes = 0
        """Bytes of complete messages that are kept."""
        self.added = False
        """Whether the latest fragment had bytes that were not received before."""
        self.conflict: MessageConflict | None = None
        """The first place at which the latest fragment has other bytes, unless its message was reported before."""
        self._begun: dict[_Key, MessageBuffer] = {}
        self._complete: dict[_Key, JoinedMessage | None] = {}
        """None for those that are not kept."""
        self._conflicts: set[_Key] = set()
        """Messages with a conflict."""

    def add(self, fragment: Fragment, start: int, frame: int) -> JoinedMessage | None:
        """Add a fragment in a frame, and return the message that it completes.

        `start` is the offset of the fragment's record in the bytes of the side's records.
        """
        key = (fragment.message_seq, fragment.handshake_type, fragment.length)
        self.conflict = None
        self.added = False
        if key in self._complete:
            self.retransmitted += fragment.offset == 0
            self._compare(key, fragment)
            return None
        buffer = self._begun.get(key)
        if buffer is None:
            if len(self._begun) >= MAX_BEGUN:
                self.give_up()
            buffer = self._begun[key] = MessageBuffer(start)
            self.held_bytes += buffer.held_bytes
        before = buffer.held_bytes
        self.retransmitted += fragment.offset == 0 and buffer.has_beginning()
        known = buffer.fragments
        buffer.add(fragment.offset, fragment.data, frame)
        self.added = buffer.fragments > known
        if buffer.conflict is not None:
            self._report(key, *buffer.conflict)
        buffer.frame = frame
        self.held_bytes += buffer.held_bytes - before
        if buffer.received < fragment.length:
            return None
        del self._begun[key]
        self.held_bytes -= buffer.held_bytes
        joined = _joined(key, buffer)
        if len(self._complete) < MAX_KNOWN:
            keeps = self.compared_bytes + len(joined.body) <= COMPARED_BYTES
            self._complete[key] = joined if keeps else None
            self.compared_bytes += len(joined.body) if keeps else 0
        return joined

    def _compare(self, key: _Key, fragment: Fragment) -> None:
        """Compare a fragment of a complete message."""
        known = self._complete[key]
        if known is not None:
            body = known.body[fragment.offset : fragment.offset + len(fragment.data)]
            found = differing(body, fragment.data)
            if found is not None:
                start, end = found
                self._report(key, fragment.offset + start, body[start:end], fragment.data[start:end], known.frame)

    def _report(self, key: _Key, offset: int, known: bytes, other: bytes, frame: int) -> None:
        """Note a conflict; a HelloVerifyRequest may have another cookie each time (RFC 6347 section 4.2.1)."""
        if (
            key in self._conflicts
            or len(self._conflicts) >= MAX_CONFLICTS
            or key[1] == HandshakeType.HELLO_VERIFY_REQUEST
        ):
            return
        self._conflicts.add(key)
        self.conflict = MessageConflict(key[0], offset, known, other, frame)

    def incomplete(self) -> list[JoinedMessage]:
        """Return the messages that are incomplete, in the order in which they began."""
        return [_joined(key, buffer) for key, buffer in self._begun.items()]

    def is_complete(self, fragment: Fragment) -> bool:
        """Return whether a fragment belongs to a message that is complete."""
        return (fragment.message_seq, fragment.handshake_type, fragment.length) in self._complete

    def give_up(self) -> None:
        """Give up the incomplete message that began first, if there is one."""
        if self._begun:
            self.held_bytes -= self._begun.pop(next(iter(self._begun))).held_bytes
            self.given_up += 1


def not_in_capture(message_seq: int) -> str:
    """Return the detail of the problem that a message is missing."""
    return f"the handshake message with number {message_seq} is not in the capture"


def _joined(key: _Key, buffer: MessageBuffer) -> JoinedMessage:
    message_seq, handshake_type, length = key
    return JoinedMessage(
        handshake_type, message_seq, length, buffer.beginning(), buffer.start, buffer.frame, buffer.fragments
    )
