"""Joins the fragments of DTLS handshake messages, and tells retransmitted messages from new ones.

RFC 6347 sections 4.2.2 to 4.2.4: each message has a number, `message_seq`, and each fragment says which bytes of its
message it has. Fragments may come in any order, overlap and repeat; a retransmission may be fragmented in another way.
Of overlapping bytes, those that came first count. A message is complete when no byte is missing.

Goal: each message once, by the datagram that completed it, in memory that is proportional to what was received and not
to the lengths that headers state: one forged fragment may state 16 MiB. So a message is kept as the runs of bytes that
were received, sorted by place; to insert one takes a binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tlsdissect.tls.dtls import Fragment

MAX_BEGUN = 16
"""Maximum incomplete messages of a side; if there are more, the one that began first is given up."""
MAX_RUNS = 4096
"""Maximum runs of bytes of an incomplete message that are not adjacent; further ones are left out."""
MAX_KNOWN = 4096
"""Maximum messages of a side whose retransmissions are recognised."""
RUN_BYTES = 128
"""Estimated bytes that a run takes besides its data."""

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


class MessageBuffer:
    """The received parts of one message."""

    __slots__ = ("_ends", "_runs", "_starts", "fragments", "frame", "held_bytes", "received", "start")

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

    def add(self, offset: int, data: bytes) -> list[tuple[int, int]]:
        """Add the bytes of a fragment that were not received before; return their places in the message."""
        at, end = offset, offset + len(data)
        index = bisect_right(self._ends, at)
        new: list[tuple[int, int]] = []
        while at < end and len(self._starts) < MAX_RUNS:
            following = self._starts[index] if index < len(self._starts) else end
            if following > at:
                upto = min(following, end)
                self._insert(index, at, data[at - offset : upto - offset])
                new.append((at, upto))
                index += 1
                at = upto
            if index < len(self._starts):
                at = max(at, self._ends[index])
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

    def _insert(self, index: int, start: int, run: bytes) -> None:
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
        self._begun: dict[_Key, MessageBuffer] = {}
        self._complete: set[_Key] = set()

    def add(self, fragment: Fragment, start: int, frame: int) -> JoinedMessage | None:
        """Add a fragment in a frame, and return the message that it completes.

        `start` is the offset of the fragment's record in the bytes of the side's records.
        """
        key = (fragment.message_seq, fragment.handshake_type, fragment.length)
        if key in self._complete:
            self.retransmitted += fragment.offset == 0
            return None
        buffer = self._begun.get(key)
        if buffer is None:
            if len(self._begun) >= MAX_BEGUN:
                self.give_up()
            buffer = self._begun[key] = MessageBuffer(start)
            self.held_bytes += buffer.held_bytes
        before = buffer.held_bytes
        self.retransmitted += fragment.offset == 0 and buffer.has_beginning()
        buffer.add(fragment.offset, fragment.data)
        buffer.frame = frame
        self.held_bytes += buffer.held_bytes - before
        if buffer.received < fragment.length:
            return None
        del self._begun[key]
        self.held_bytes -= buffer.held_bytes
        if len(self._complete) < MAX_KNOWN:
            self._complete.add(key)
        return _joined(key, buffer)

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


def _joined(key: _Key, buffer: MessageBuffer) -> JoinedMessage:
    message_seq, handshake_type, length = key
    return JoinedMessage(
        handshake_type, message_seq, length, buffer.beginning(), buffer.start, buffer.frame, buffer.fragments
    )
