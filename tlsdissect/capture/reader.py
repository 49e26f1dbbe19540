"""A capture, opened: batches of packets, and an account of what could not be read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

import numpy as np

from tlsdissect.capture import columns, headers, pcap, pcapng
from tlsdissect.capture.errors import CaptureError, NoCaptureError
from tlsdissect.capture.fragments import Fragments
from tlsdissect.capture.interfaces import NO_INTERFACE
from tlsdissect.capture.rows import INTERNAL, LINK_TYPE, Peeling, Rows
from tlsdissect.capture.window import Window, open_window

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tlsdissect.capture.packets import Damage, Packets
    from tlsdissect.capture.records import Records

LAST_LINK_TYPE = 301
"""The greatest number in the registry of link types (draft-ietf-opsawg-pcaplinktype)."""
MAX_NESTED = 8
"""Fragments within joined fragments: so many levels are read."""
READABLE = frozenset(kind - LINK_TYPE for kind in headers.PEELS if LINK_TYPE <= kind < INTERNAL)


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
        self._fragments = Fragments(self.skipped)
        self._check_links()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packets]:
        """Give the packets in batches, of which only the latest is valid."""
        for records in self._format.batches(self._batch):
            yield self._packets(records)
        self._fragments.finish()
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

    def _packets(self, records: Records) -> Packets:
        view = Peeling(records.data, self.skipped)
        headers.peel(view, self._kinds(records.link), _rows(records))
        parts = _found(view, 0)
        annexes: list[bytearray] = []
        base = len(records.data)
        # A packet joined from fragments may be a tunnel that holds fragments.
        while view.fragments and len(annexes) < MAX_NESTED:
            joined = self._fragments.join(view)
            view = Peeling(joined.data, self.skipped)
            headers.peel(view, joined.kinds, joined.rows)
            parts += _found(view, base)
            annexes.append(joined.data)
            base += len(joined.data)
        lost = sum(map(len, view.fragments))
        if lost:
            self.skipped["IP fragments nested too deep"] += lost
        data = b"".join((records.data, *annexes)) if annexes else records.data
        return columns.packets(records, parts, memoryview(data))

    def _kinds(self, link: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn link types into kinds of headers; packets of unknown ones are counted."""
        if (link == link[0]).all() and int(link[0]) in READABLE:
            return link + LINK_TYPE
        for number, count in zip(*np.unique(link, return_counts=True), strict=True):
            if number == NO_INTERFACE:
                self.skipped["packets of an interface that is not described"] += int(count)
            elif number not in READABLE:
                self.skipped[f"link type {number} packets"] += int(count)
        return np.where(link == NO_INTERFACE, 0, link + LINK_TYPE)

    def _check_links(self) -> None:
        """Refuse a capture whose every interface has a link type that is not even registered."""
        links = self._format.links
        if links and not any(_is_registered(link) for link in links):
            names = ", ".join(str(link) for link in sorted(links))
            raise CaptureError(f"has the unknown link type {names}")


def _rows(records: Records) -> Rows:
    at = records.start
    return Rows(
        record=np.arange(len(records)),
        at=at,
        end=at + records.captured,
        limit=at + np.maximum(records.carried, records.captured),
        ip=np.full(len(records), -1),
    )


def _found(view: Peeling, base: int) -> list[columns.Found]:
    """Gather the headers noted in `view`, and those in the packets that it saw quoted."""
    parts = columns.found(view, base=base)
    if view.quotes:
        # What a quotation lacks is no loss, and so counted nowhere.
        quoted = Peeling(view.data, Counter(), quoted=True)
        for kinds, rows in view.quotes:
            headers.peel(quoted, kinds, rows)
        parts += columns.found(quoted, base=base, quoted=True)
    return parts


def _is_registered(link: int) -> bool:
    """Tell a registered link type, most of which hold no IP, from a private (147-162) or unknown one."""
    return 0 <= link <= LAST_LINK_TYPE and not 147 <= link <= 162


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
