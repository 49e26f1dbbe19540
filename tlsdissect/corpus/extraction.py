"""Extraction: the packets of selected connections, as a pcapng file.

Whether a connection is selected is known at its end, when its packets have passed. So each capture is read again with
the same options, and the flow tables, which number flows as they did the first time, show to which flow each packet
belongs; the frames of the selected ones are marked. Then they are copied, in their order. Marking before copying finds
the fragments too, whose flow is known only once the last of them has come. The alternative, a temporary file with the
flow of every packet, would spare the second decoding; it was rejected because it grows with the capture.

All packets of a flow belong to its connections: packets sent again, packets that come after the end of the flow, RSTs
that TCP drops because they are not in the window, and ICMP errors and sFlow samples that quote the flow. Somebody who
looks for a cause wants to see them, Wireshark counts them in `tcp.stream` too, and without them, reading the extract
would not give what reading the capture gives. A frame is copied whole, also if it has packets of other flows. Fragments
whose packet never became complete belong to no flow.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.capture import CaptureError
from tlsdissect.capture.copying import Copy
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.time_order import open_by_time
from tlsdissect.corpus.dataset import is_dataset
from tlsdissect.flows.observing import KINDS, Kind
from tlsdissect.handshake.key_logs import key_of
from tlsdissect.model.connection import Connection
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.handshake.options import Options

MAX_MARKED = 1 << 32
"""Frames of one capture, and flows of one kind, up to which frames and flows can be selected: a bit of memory each."""


class Numbers:
    """A set of numbers, a bit for each: frames and flows are counted from 0 or 1."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        """Add a number; OverflowError if it is too large."""
        byte = number >> 3
        if byte >= len(self._bits):
            if number >= MAX_MARKED:
                raise OverflowError(f"more than {MAX_MARKED:,} packets or flows cannot be selected")
            self._bits.extend(bytes(byte + 1 - len(self._bits) + (byte >> 3)))
        self._bits[byte] |= 1 << (number & 7)

    def __bool__(self) -> bool:
        """Return whether there is a number: also if it is 0."""
        return bool(self._bits)

    def __contains__(self, number: int) -> bool:
        byte = number >> 3
        return byte < len(self._bits) and self._bits[byte] >> (number & 7) & 1 != 0

    def __iter__(self) -> Iterator[int]:
        for at, byte in enumerate(self._bits):
            if byte:
                yield from (at * 8 + bit for bit in range(8) if byte >> bit & 1)


def _is_reordered(path: str) -> bool:
    """Return whether a capture is read in another order than its own."""
    reader = open_by_time(path)
    if reader is None:
        return False
    reader.close()
    return True


class Selected:
    """What is selected of one capture, or of several that are read as one: an observer of the packets of its flows."""

    def __init__(self) -> None:
        self.streams: dict[Kind, Numbers] = {kind: Numbers() for kind in KINDS}
        self.frames = Numbers()
        self.keys: set[bytes] = set()
        """By which the secrets are found that fit."""

    def has(self, connection: Connection) -> bool:
        """Return whether a connection's flow is selected."""
        return connection.stream in self.streams[_kind(connection.transport)]

    def saw(self, kind: Kind, stream: int, frames: tuple[int, ...]) -> None:
        """Mark the frames of a packet if its flow is selected."""
        if stream in self.streams[kind]:
            for frame in frames:
                self.frames.add(frame)

    def has_frame(self, before: int, frame: int) -> bool:
        """Return whether a frame of a capture is marked, which has so many frames before it."""
        return before + frame in self.frames

    def opened(self, transport: str, stream: int, keys: Iterable[bytes]) -> None:
        """Note the keys that opened something in a selected connection."""
        if stream in self.streams[_kind(transport)]:
            self.keys.update(keys)

    def mark(self, captures: Iterable[str], options: Options, stopped: Callable[[], bool]) -> Reading:
        """Read a capture again, or those that are read as one, and mark the frames."""
        reading = Reading(captures, options, observer=self)
        for _, event in reading.placed():
            if stopped():
                reading.stop()
            if isinstance(event, Connection) and event.client_hello is not None and self.has(event):
                random = bytes.fromhex(event.client_hello.random or "")
                if reading.finds_secrets(random):
                    self.keys.add(random)
        return reading


class Extraction:
    """The selected connections of captures, and their packets."""

    def __init__(self, captures: Iterable[str], options: Options) -> None:
        """`captures` and `options` are those of the reading that selects."""
        self._options = replace(options, linked=False, raw_fingerprints=False, keep=False)
        self._joined = tuple(captures) if options.joined else None
        self._selected: dict[tuple[str, ...], Selected] = {}
        """By capture, in the order of reading; by all captures that are read as one."""
        self.packets = 0
        """Packets of the extract so far."""
        self._done = 0.0

    def add(self, connection: Connection) -> None:
        """Select a connection."""
        selected = self._selected.setdefault(self._joined or (connection.source,), Selected())
        selected.streams[_kind(connection.transport)].add(connection.stream)

    def progress(self) -> float:
        """Return the fraction of the captures whose packets were copied."""
        return self._done / max(1, len(self._selected))

    def pieces(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
        """Yield the extract: a section for each capture, nothing if no connection is selected.

        Raises OSError if a capture cannot be read again. It ends early if it is `stopped`.
        """
        for captures, selected in self._selected.items():
            try:
                reading = selected.mark(captures, self._options, stopped)
            except OverflowError as error:
                raise OSError(errno.EFBIG, str(error), captures[0]) from error
            # Of those that are read as one, the first reading has named what it went on without.
            if reading.summary.refused and self._joined is None:
                raise OSError(errno.EIO, reading.summary.refused[0][1], captures[0])
            copies = self._copies(selected, reading)
            for copy in copies:
                before = self.packets
                for piece in copy:
                    if stopped():
                        return
                    self.packets = before + copy.packets
                    yield piece
            self._done += 1

    def filters(self) -> Iterator[tuple[str, str]]:
        """Yield each capture and Wireshark's display filter for what is selected of it.

        No filter selects the packets of an EAP conversation: they are listed by number, and the capture is read again.
        So are those of a capture that is read in the order of time, whose flows Wireshark numbers otherwise.
        """
        for (path, *_), selected in self._selected.items():
            listed = KINDS if _is_reordered(path) else ("eap",)
            terms = [
                f"{kind}.stream in {{{_ranges(selected.streams[kind])}}}"
                for kind in KINDS
                if selected.streams[kind] and kind not in listed
            ]
            if any(selected.streams[kind] for kind in listed):
                conversations = Selected()
                for kind in listed:
                    conversations.streams[kind] = selected.streams[kind]
                conversations.mark([path], self._options, lambda: False)
                terms.append(f"frame.number in {{{_ranges(conversations.frames)}}}")
            yield path, " or ".join(terms)

    def _copies(self, selected: Selected, reading: Reading) -> Iterator[Copy]:
        """Yield a copy of each capture that has frames of what is selected; the last says when the reading ended."""
        keylog, keys = self._options.keylog, selected.keys
        lines = iter(()) if keylog is None else keylog.lines(keys)
        places = reading.names.locate_all(selected.frames)
        for number, (path, before) in enumerate(places, 1):
            until = reading.end if number == len(places) else UNTIMED
            chosen = partial(selected.has_frame, before)
            try:
                yield Copy(path, chosen, fits=lambda line: key_of(line) in keys, secrets=lines, until=until)
            except CaptureError as error:
                raise OSError(errno.EIO, str(error), path) from error


def check_readable_twice(captures: Iterable[str]) -> None:
    """Raise ValueError if a capture is standard input or a pipe, which can be read only once, or a dataset."""
    for path in captures:
        if is_dataset(path):
            raise ValueError(f"{path} is a dataset, which has no packets; name the captures instead")
        if path == "-" or (os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))):  # noqa: PTH110, PTH112, PTH113
            name = "standard input" if path == "-" else path
            raise ValueError(f"{name} cannot be read twice: save it to a file first")


def _kind(transport: str) -> Kind:
    """Return what numbers the flows of a transport."""
    return "udp" if transport == "quic" else transport  # type: ignore[return-value]


def _ranges(numbers: Iterable[int]) -> str:
    """Format ascending numbers as Wireshark's filters have them: `0, 3..5`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in ranges)
