"""A capture, opened: batches of packets, and an account of what could not be read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from tlsdissect.capture import pcap, pcapng
from tlsdissect.capture.batches import READABLE, Batches
from tlsdissect.capture.errors import CaptureError, NoCaptureError
from tlsdissect.capture.window import Window, open_window

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from tlsdissect.capture.packets import Damage, Packets
    from tlsdissect.capture.records import Records


class Format(Protocol):
    """What the file formats have in common."""

    frames: int
    secrets: list[bytes]

    @property
    def links(self) -> set[int]:
        """Link types of all interfaces seen so far."""
        ...

    def batches(self, limit: int) -> Iterator[Records]:
        """Walk the file; a batch is valid until the next is asked for."""
        ...


class Capture:
    """A capture that is being read; a context manager, and an iterator over its packets."""

    def __init__(self, window: Window, batch: int) -> None:
        self.damage: list[Damage] = []
        self.skipped: Counter[str] = Counter()
        self._window = window
        self._batch = batch
        self._format = _format(window, self.damage)
        self._batches = Batches(self.skipped)
        self._check_links()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packets]:
        """Give the packets in batches, of which only the latest is valid."""
        for records in self._format.batches(self._batch):
            yield self._batches.packets(records)
        self._batches.finish()
        self._check_links()

    @property
    def frames(self) -> int:
        """Frames read so far."""
        return self._format.frames

    @property
    def secrets(self) -> list[bytes]:
        """Bodies of the decryption secrets blocks read so far."""
        return self._format.secrets

    @property
    def position(self) -> int:
        """Bytes of the input used so far, as they lie on disk."""
        return self._window.position

    @property
    def size(self) -> int | None:
        """Bytes of the input on disk, if it can be known."""
        return self._window.size

    def close(self) -> None:
        """Let go of the input."""
        self._window.close()

    def _check_links(self) -> None:
        """Refuse a capture none of whose interfaces has a link type that is read."""
        links = self._format.links
        if links and not links & READABLE:
            names = ", ".join(map(str, sorted(links)))
            raise CaptureError(f"has no link type that is read, but {names}")


def open_capture(source: str | os.PathLike[str] | BinaryIO, *, batch: int = 65_536) -> Capture:
    """Open a capture: a path, "-" for standard input, or a binary file object.

    Raises CaptureError if it is none.
    """
    window = open_window(source)
    try:
        return Capture(window, batch)
    except CaptureError:
        window.close()
        raise


def _format(window: Window, damage: list[Damage]) -> Format:
    """Tell the format by the first bytes."""
    if not window.end:
        if window.trouble:
            raise CaptureError(window.trouble)
        raise NoCaptureError("is empty")
    if bytes(window.data[:4]) in pcap.MAGICS and window.end >= 4:
        return pcap.Pcap(window, damage)
    if window.data.startswith(pcapng.MAGIC) and window.end >= 4:
        return pcapng.Pcapng(window, damage)
    if window.trouble:
        raise CaptureError(window.trouble)
    raise NoCaptureError("is no capture: its first bytes are not those of pcap or pcapng")
