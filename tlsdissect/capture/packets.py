"""A batch of packets: one numpy column for each header field that a later stage reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TCP = 6
UDP = 17

UNTIMED = -(1 << 63) + 1
"""The time of a packet of which the capture tells none: no other time is so early."""


def told(time: int) -> int | None:
    """A packet's time; None where the capture tells none."""
    return None if time == UNTIMED else time


class Damage(msgspec.Struct, frozen=True):
    """Something of a capture that could not be read, and where it stands.

    `frame` is the number that the unreadable packet has or would have had, `offset` the byte of the capture
    (uncompressed) where the trouble starts.
    """

    detail: str
    frame: int
    offset: int


class Packets(msgspec.Struct, frozen=True, gc=False):
    """The TCP and UDP headers of consecutive frames, one row each, in the order of frames.

    A frame without such a header has no row; one that holds several (a tunnel over UDP) has a row for each, the
    outer one first. `data` is valid until the next batch is asked for: what is needed longer must be copied.
    All columns have the same length.
    """

    data: memoryview
    """The bytes that `payload` points into (format "B")."""
    frame: NDArray[np.int64]
    """Number of the frame, from 1, as Wireshark counts."""
    time: NDArray[np.int64]
    """Capture time, nanoseconds since 1970-01-01T00:00:00Z; UNTIMED where the capture tells none."""
    digits: NDArray[np.uint8]
    """Digits of a second that the capture's own clock tells: 6 for microseconds, 9 for nanoseconds."""
    protocol: NDArray[np.uint8]
    """6 for TCP, 17 for UDP."""
    family: NDArray[np.uint8]
    """4 or 6: the IP version of the innermost header, the one around this TCP or UDP header."""
    source_high: NDArray[np.uint64]
    """Upper 64 bits of the IPv6 source address; 0 for IPv4."""
    source_low: NDArray[np.uint64]
    """Lower 64 bits of the IPv6 source address; the whole IPv4 one, as a number."""
    destination_high: NDArray[np.uint64]
    destination_low: NDArray[np.uint64]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    sequence: NDArray[np.uint32]
    """TCP sequence number; 0 for UDP."""
    acknowledgement: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    """The low eight TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); 0 for UDP."""
    payload: NDArray[np.int64]
    """Where the transport payload begins in `data`."""
    place: NDArray[np.int64]
    """Byte of the frame at which the payload begins; -1 where it was joined from fragments."""
    length: NDArray[np.int64]
    """Payload bytes that the packet carried, by its IP (or UDP) length: link-layer padding left out."""
    captured: NDArray[np.int64]
    """Payload bytes that the capture holds; less than `length` where the snap length cut the packet."""
    quoted: NDArray[np.bool_]
    """The header is a quotation inside an ICMP error: it is numbered, its payload says nothing new."""

    def __len__(self) -> int:
        """Rows of the batch."""
        return len(self.frame)
