"""What an observer learns of each packet of a capture: to which flows it belongs."""

from __future__ import annotations

from typing import Literal, Protocol

Kind = Literal["tcp", "udp", "eap"]
"""What numbers a flow: two flows of different kinds may have the same number."""
KINDS: tuple[Kind, ...] = ("tcp", "udp", "eap")


class PacketObserver(Protocol):
    """Sees to which flows packets belong."""

    def saw(self, kind: Kind, stream: int, frames: tuple[int, ...]) -> None:
        """See that a packet belongs to a flow, and the frames that it came in: several if it was fragmented.

        Packets that are late, dropped by TCP or quoted in an ICMP error belong to a flow, too.
        """
        ...
