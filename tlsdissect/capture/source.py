"""What every source of bytes can do, compressed or not."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """Where bytes come from."""

    trouble: str | None
    """What is wrong with the end of the bytes, once they have ended; None if nothing is."""

    @property
    def position(self) -> int:
        """Bytes read so far, as they lie on disk."""
        ...

    @property
    def size(self) -> int | None:
        """All bytes, as they lie on disk, if that can be known."""
        ...

    def read_into(self, room: memoryview) -> int:
        """Put the next bytes into `room`; 0 at the end of them."""
        ...

    def close(self) -> None:
        """Let go of what this source opened."""
        ...
