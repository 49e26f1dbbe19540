"""Several captures that are read as one: the files of a ring buffer, or of a capture that was cut into pieces."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.frames import FrameReader
from tlsdissect.capture.inputs import is_file
from tlsdissect.capture.names import CaptureNames
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.capture.reader import PacketReader, open_capture
from tlsdissect.capture.window import FIRST_PIECE

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.capture.blocks import SecretsBlock
    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.inputs import Input

OVERLAP_NS = 1_000_000_000
"""Nanoseconds by which a capture has to begin before the end of an earlier one to be reported: packets of several
interfaces may be out of order by less."""


class Overlap(NamedTuple):
    """Two captures of which the second begins before the first ends."""

    earlier: str
    later: str


class JoinedCaptures:
    """Captures in the order given, with frames numbered on from each to the next.

    Each file has its own reader, which resumes the one before: IP fragments, damage and secrets are those of all files.
    Secrets at the end of a file are found before the first file is read, since they may be of a connection that begins
    there. A file that cannot be read is refused, and the others are read without it.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        refuse: Callable[[Input, CaptureError], None],
    ) -> None:
        """`refuse` is called for each file that cannot be read."""
        self._inputs = inputs
        self._refuse = refuse
        self._reader = PacketReader(FrameReader())
        self._last_secrets: dict[str, list[SecretsBlock]] = {}
        """The secrets at the ends of files, by path."""
        self._latest = (UNTIMED, "")
        """The latest time at which a capture ended, and its name."""
        self.names = CaptureNames()
        self.position = 0
        """Bytes read of the files that were read to their end."""
        self.overlaps: list[Overlap] = []

    def __iter__(self) -> Iterator[PacketReader]:
        """Yield the reader of each file as long as the file has packets."""
        for one in self._inputs:
            if is_file(one.path):
                self._find_last_secrets(one.path)
        for one in self._inputs:
            try:
                with open_capture(one.path) as reader:
                    self._compare(one)
                    if reader.secrets == self._last_secrets.get(one.path):
                        reader.drop_secrets()
                    reader.resume(self._reader, one.path)
                    self._reader = reader
                    self.names.add(one.path, reader.frames)
                    yield from reader
                    self.position += reader.position
                    self._latest = max(self._latest, (reader.time, one.path))
                    reader.check_links()
            except CaptureError as error:
                self._refuse(one, error)
        self._reader.finish()

    @property
    def frames(self) -> int:
        """Frames read so far, of all files."""
        return self._reader.frames

    @property
    def until(self) -> int:
        """In an extract, the time that the clock of the whole capture had reached here; else UNTIMED."""
        return self._reader.until

    @property
    def damage(self) -> list[Damage]:
        """What could not be read, of all files; always the same list."""
        return self._reader.damage

    @property
    def secrets(self) -> list[SecretsBlock]:
        """The decryption secrets blocks read so far, of all files; always the same list."""
        return self._reader.secrets

    @property
    def skipped(self) -> Counter[str]:
        """Counts of unreadable packets in all files."""
        return self._reader.skipped

    def _find_last_secrets(self, path: str) -> None:
        """Keep the secrets at the end of a file; one that cannot be opened is refused when it is to be read."""
        before = len(self.secrets)
        with suppress(CaptureError), open_capture(path, FIRST_PIECE) as reader:
            reader.resume(self._reader, path)
            self._reader = reader
            self._last_secrets[path] = self.secrets[before:]

    def _compare(self, one: Input) -> None:
        """Note whether a file begins before the end of an earlier one."""
        ended, name = self._latest
        if UNTIMED not in (one.begin, ended) and one.begin < ended - OVERLAP_NS:
            self.overlaps.append(Overlap(name, one.path))
