"""What is extracted of a capture reads to the same facts: how that is compared, for each stream by itself.

`python tests/extracting.py [CAPTURE...]` compares every stream of all samples and of the captures of other projects.

Left out of the comparison, because an extract cannot have it:

- `source` and `stream`: the extract is another capture, and has fewer flows;
- `resumes`, `same_ticket_as` and `retry_of`, and the problem that a retry is inferred: the connections that they name
  are not in the extract;
- problems `damaged_capture`: the damage is not copied;
- problems `capture_end`: the extract may end where the capture went on;
- problems `dropped_segment`: they count SYNs with the ports of an established connection, and what follows these. Its
  receiver drops them, but they are a stream of their own.

Frame numbers are compared, each as the number that the frame has in the extract.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recorded import ROOT, SHARED, facts

import tlsdissect
from tlsdissect.corpus.extraction import Selected
from tlsdissect.handshake.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT = ("source", "stream", "resumes", "same_ticket_as", "retry_of")
NUMBERED = re.compile(r"\b(frames? )([0-9]+(?:,[0-9]{3})*)")
TROUBLE = re.compile(r"cut short|damaged|malformed|isn't a capture|not supported", re.IGNORECASE)
SUFFIXES = (".pcap", ".pcapng", ".cap", ".gz", ".zst")


class Compared(NamedTuple):
    """An extract of one stream, beside its capture."""

    kind: str
    stream: int
    before: list[dict[str, Any]]
    """The facts of its connections in the capture, with the frame numbers of the extract."""
    after: list[dict[str, Any]]
    """Those in the extract."""
    extract: Path
    frames: list[int]
    """The frames of the capture that are in the extract."""


def kind(connection: dict[str, Any]) -> str:
    """Return what numbers the flows of a connection."""
    return "udp" if connection["transport"] == "quic" else str(connection["transport"])


def compared(capture: Path, folder: Path, only: int | None = None) -> Iterator[Compared]:
    """Extract each stream of a capture, or so many of them spread over it, and read what comes of it."""
    try:
        before = facts(capture)
    except tlsdissect.CaptureError:
        return
    streams = list(dict.fromkeys((kind(one), one["stream"]) for one in before))
    for what, number in streams[:: 1 if only is None else max(1, len(streams) // only)]:
        mine = [one for one in before if (kind(one), one["stream"]) == (what, number)]
        extract = folder / f"{capture.name}-{what}-{number}.pcapng"
        with extract.open("wb") as file:
            file.writelines(tlsdissect.extract(capture, stream=f"{what}:{number}"))
        frames = marked(capture, what, number)
        renumbered = {frame: place for place, frame in enumerate(frames, 1)}
        after = [one for one in facts(extract) if is_same(one, mine)]
        yield Compared(what, number, [plain(one, renumbered) for one in mine], list(map(plain, after)), extract, frames)


def marked(capture: Path, what: Any, number: int) -> list[int]:
    """Return the frames of a stream."""
    selected = Selected()
    selected.streams[what].add(number)
    selected.mark([str(capture)], Options(), lambda: False)
    return list(selected.frames)


def is_same(one: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    """Return whether a connection is one of others: a frame may have packets of several flows."""
    return any(all(one[key] == other[key] for key in ("transport", "client", "server", "start")) for other in others)


def plain(value: Any, renumbered: dict[int, int] | None = None, key: str = "") -> Any:
    """Return facts without what an extract cannot have, with frame numbers renumbered."""
    if isinstance(value, dict):
        return {name: plain(one, renumbered, name) for name, one in value.items() if name not in LEFT_OUT}
    if isinstance(value, list):
        return [plain(one, renumbered, key) for one in value if key != "problems" or not is_left_out(one)]
    if renumbered is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and key.endswith(("frame", "frames")):
        return renumbered.get(value, f"frame {value} of the capture")
    if isinstance(value, str) and key == "detail":
        return NUMBERED.sub(lambda found: f"{found[1]}{renumbered.get(int(found[2].replace(',', '')), '?')}", value)
    return value


def is_left_out(problem: dict[str, Any]) -> bool:
    """Return whether a problem is about other connections, about damage or about the end of the capture."""
    return problem["code"] in ("damaged_capture", "capture_end", "dropped_segment") or problem["detail"].startswith(
        "the retry is inferred"
    )


def tshark(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tshark on a capture, without its remark about root."""
    run = subprocess.run(["tshark", "-r", str(path), *arguments], capture_output=True, text=True, check=False)
    run.stderr = "\n".join(line for line in run.stderr.splitlines() if not line.startswith("Running as user"))
    return run


def captures() -> list[Path]:
    """All samples, and the captures of other projects where they are."""
    mine = [path for path in sorted((ROOT / "samples").rglob("*.pcap*")) if path.is_file()]
    shared = sorted((SHARED / "captures").rglob("*")) if SHARED.exists() else []
    return mine + [path for path in shared if path.is_file() and path.suffix in SUFFIXES]


def main(given: list[str]) -> int:
    """Compare all streams, print those that differ, then the counts."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        for capture in map(Path, given) if given else captures():
            for one in compared(capture, Path(place)):
                for result, detail in results(capture, one):
                    counts[result] += 1
                    if detail:
                        print(f"{capture} {one.kind}:{one.stream}: {result}: {detail}")  # noqa: T201
                one.extract.unlink()
    print(dict(counts))  # noqa: T201
    return 0


def results(capture: Path, one: Compared) -> Iterator[tuple[str, str]]:
    """Yield the result of each comparison, with a detail if it is a difference."""
    yield "streams", ""
    detail = "" if one.before == one.after else differences(one)
    yield "different" if detail else "equal", detail
    read = tshark(one.extract, "-T", "fields", "-e", "frame.number")
    if read.returncode or read.stderr or len(read.stdout.split()) != len(one.frames):
        yield "tshark complains", f"{read.returncode} {read.stderr}"
    if one.kind != "eap":
        mine, there = set(one.frames), streams(capture)[one.kind, one.stream]
        detail = "" if mine == there else f"more: {sorted(mine - there)[:9]}, fewer: {sorted(there - mine)[:9]}"
        yield f"{one.kind} frames {'differ from' if detail else 'as'} tshark's", detail


@lru_cache(maxsize=1)
def streams(capture: Path) -> dict[tuple[str, int], set[int]]:
    """Return the frames of each stream in tshark."""
    fields = ("-e", "frame.number", "-e", "tcp.stream", "-e", "udp.stream")
    found: dict[tuple[str, int], set[int]] = defaultdict(set)
    for line in tshark(capture, "-T", "fields", *fields).stdout.splitlines():
        frame, *numbers = line.split("\t")
        for what, given in zip(("tcp", "udp"), numbers, strict=False):
            for number in filter(None, given.split(",")):
                found[what, int(number)].add(int(frame))
    return found


def differences(one: Compared) -> str:
    """Name the keys that differ."""
    if len(one.before) != len(one.after):
        return f"{len(one.before)} connections, {len(one.after)} in the extract"
    return "; ".join(
        f"{key}: {first[key]!r:.300} / {second[key]!r:.300}"
        for first, second in zip(one.before, one.after, strict=True)
        for key in first
        if first[key] != second[key]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
