"""Trees on a terminal: folded, coloured by kind of node, and without dates that are none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT, kept

from tlsdissect.views.tree import Fold, tree

if TYPE_CHECKING:
    from pathlib import Path

FULL = ROOT / "samples/tls12-full.pcap"


def test_a_long_tree_is_folded_and_says_so() -> None:
    [connection] = kept(FULL)
    whole = tree(connection)
    lines = list(whole.lines())
    folded = list(whole.lines(fold=Fold(2, 40)))
    assert len(folded) < len(lines) / 3
    assert "    client_hello  RFC 8446 section 4.1.2  +70 fields  91-231" in folded
    assert folded[-1] == "folded to 2 levels: --depth 0 shows all"
    assert not any(line.startswith(" " * 6) for line in folded)
    assert list(whole.lines(fold=Fold(2, 2 * len(lines)))) == lines


def test_a_fold_hides_no_problem(tmp_path: Path) -> None:
    data = bytearray(FULL.read_bytes())
    at = data.index(bytes.fromhex("0403050306030807"))
    data[at - 2 : at] = b"\xff\xff"  # the length of a list
    (tmp_path / "malformed.pcap").write_bytes(data)
    whole = tree(kept(tmp_path / "malformed.pcap")[0])
    problems = [line for line in whole.lines() if "end of data" in line or "0xffff" in line or "65535" in line]
    assert problems
    assert set(problems) <= set(whole.lines(fold=Fold(2)))


def test_colours_by_kind() -> None:
    text = "\n".join(tree(kept(FULL)[0]).lines(coloured=True))
    assert "\x1b[1;34m  record\x1b[0m" in text
    assert "\x1b[1;32m    client_hello\x1b[0m" in text
    assert "\x1b[35m        server_name\x1b[0m" in text
    assert "\n    type  " in text


def random_of(path: Path, random: bytes, begin: int, tmp_path: Path) -> str | None:
    """The meaning of the ClientHello's random that begins with a time."""
    other = tmp_path / "other.pcap"
    other.write_bytes(path.read_bytes().replace(random[:8], begin.to_bytes(4, "big") + random[4:8]))
    found = next(line for line in tree(kept(other)[0]).lines() if line.split()[:1] == ["random"])
    return found.split("random", 1)[1].rsplit("  ", 1)[0].partition(": ")[2] or None


@pytest.mark.parametrize(("hours", "has_date"), [(-23, True), (0, True), (23, True), (25, False), (-25, False)])
def test_a_random_has_a_date_if_it_can_be_one(hours: int, has_date: bool, tmp_path: Path) -> None:
    [connection] = kept(FULL)
    assert connection.client_hello is not None
    assert connection.client_hello.random is not None
    assert connection.start is not None
    when = datetime.fromisoformat(f"{connection.start[:19]}+00:00") + timedelta(hours=hours)
    random = bytes.fromhex(connection.client_hello.random)
    meaning = random_of(FULL, random, int(when.timestamp()), tmp_path)
    expected = f"{when.isoformat().replace('+00:00', 'Z')}, if it begins with the time"
    assert meaning == (expected if has_date else None)


def test_no_date_in_tls13(tmp_path: Path) -> None:
    sample = ROOT / "samples/tls13-full.pcap"
    [connection] = kept(sample)
    assert connection.client_hello is not None
    assert connection.client_hello.random is not None
    assert connection.start is not None
    when = datetime.fromisoformat(f"{connection.start[:19]}+00:00")
    random = bytes.fromhex(connection.client_hello.random)
    assert random_of(sample, random, int(when.timestamp()), tmp_path) is None
