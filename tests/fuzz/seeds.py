"""Benign inputs of each target, made of the samples and of other captures."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import dpkt
import zstandard
from fuzz.choices import joined
from fuzz.key_damage import damaged_log
from fuzz.mutator import TALKS
from mangle import pcapng as as_pcapng
from recorded import ROOT, packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

SIZE = 64 << 10
"""Bytes of a capture that are used, so that one reading is short."""
FRAMES = 6
"""Frames of one input of the target `headers`."""
SMALL = 12 << 10
"""Bytes of the largest capture that becomes a seed of a whole capture."""

KEYED = 30_000
"""Bytes of the largest sample that is read with key logs."""


@dataclass(frozen=True)
class Captures:
    """The captures that seeds are made of."""

    paths: Sequence[Path]

    @cached_property
    def beginnings(self) -> list[bytes]:
        """The first bytes of each, decompressed."""
        return [beginning(path) for path in self.paths]

    @cached_property
    def framed(self) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """The link type of each classic pcap, and its frames with their times in microseconds."""
        return [found for data in self.beginnings if (found := frames_of(data))]


def find(folders: Iterable[Path]) -> Captures:
    """The captures in folders, and in folders of these."""
    return Captures([path for folder in folders for path in sorted(folder.rglob("*.pcap*")) if path.is_file()])


SAMPLES = find([ROOT / "samples"])


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.suffix == ".gz":
            return gzip.open(file).read(SIZE)
        return zstandard.ZstdDecompressor().stream_reader(file).read(SIZE) if path.suffix == ".zst" else file.read(SIZE)


def frames_of(data: bytes) -> tuple[int, list[tuple[int, bytes]]] | None:
    try:
        reader = dpkt.pcap.UniversalReader(io.BytesIO(data))
        return reader.datalink(), [(int(time * 1_000_000), frame) for time, frame in reader]
    except (ValueError, dpkt.Error):
        return None


# ---------------------------------------------------------------- of each target


def captures(given: Captures) -> Iterator[bytes]:
    yield from (data for data in given.beginnings if len(data) <= SMALL)


def pcap(given: Captures) -> Iterator[bytes]:
    yield from (data for data in captures(given) if data[:4] != b"\x0a\x0d\x0d\x0a")


def pcapng(given: Captures) -> Iterator[bytes]:
    yield from (data for data in captures(given) if data[:4] == b"\x0a\x0d\x0d\x0a")
    for link, frames in given.framed:
        yield as_pcapng(frames[:FRAMES], link, untimed=1, of=3)


def frames(given: Captures) -> Iterator[bytes]:
    for link, frames in given.framed:
        yield link.to_bytes(2, "big") + joined(*((0, frame) for _, frame in islice(frames, FRAMES)))


def programs(_: Captures) -> Iterator[bytes]:
    """Programs of a few mutations each, of every sample and of every kind."""
    chance = Random(1)  # noqa: S311
    for talk in range(len(TALKS)):
        for version in (0, 1):
            yield bytes([talk, version, 3, 3]) + chance.randbytes(40)


def keylogs(_: Captures) -> Iterator[bytes]:
    """Each key log with its sample, as it is, and with damage to either."""
    for number, (_, _, log) in enumerate(with_keys()):
        chance = Random(number)  # noqa: S311
        for damage, lines in ((0, log), (0, damaged_log(log, chance)), (1 + number, log)):
            yield bytes([number]) + damage.to_bytes(2, "big") + lines


@cache
def with_keys() -> list[tuple[bytes, list[tuple[bytes, bytes]], bytes]]:
    """The samples with a key log: the header of the file, its packets, and the log."""
    folders = [ROOT / "samples" / name for name in ("", "keys", "quic", "dtls")]
    every = [path for folder in folders for path in sorted(folder.glob("*.pcap"))]
    paths = [path for path in every if path.with_suffix(".keys").exists() and path.stat().st_size < KEYED]
    return [(path.read_bytes()[:24], packets(path), path.with_suffix(".keys").read_bytes()) for path in paths]
