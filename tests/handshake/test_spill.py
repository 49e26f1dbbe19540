"""Handshakes that wait are returned unchanged, wherever they waited."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from recorded import SAMPLES

import tlsdissect
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake import connections
from tlsdissect.handshake.events import SeenClientHello, SeenServerHello
from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
from tlsdissect.handshake.options import Options
from tlsdissect.handshake.spill import ENTRY_BYTES, MAX_PLAIN, OVERHEAD, WaitingHandshakes
from tlsdissect.pipeline import Reading
from tlsdissect.tls.codepoints import HandshakeType

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect import Connection
    from tlsdissect.pipeline import Summary


def logged() -> list[LoggedHandshake]:
    """The handshakes of all samples."""
    found: list[LoggedHandshake] = []
    with patch.object(connections, "is_quoted", found.append):
        for path in SAMPLES:
            list(tlsdissect.read(path))
    return found


def fields(value: object) -> object:
    """The fields of a handshake that was logged, at any depth: classes of the kernel compare by identity."""
    if isinstance(value, list | tuple):
        return [fields(one) for one in value]
    if isinstance(value, LoggedHandshake | DirectionSummary | SeenClientHello | SeenServerHello):
        names = [name for name in dir(value) if name[0] != "_" and not callable(getattr(value, name))]
        return {name: fields(getattr(value, name)) for name in names}
    return value


def agree(log: LoggedHandshake, other: LoggedHandshake) -> bool:
    return fields(log) == fields(other)


HANDSHAKES = logged()


@pytest.mark.parametrize(
    ("plain_bytes", "packed_bytes"), [(1 << 20, 0), (0, 1 << 20), (0, 0), (3 * (1000 + OVERHEAD), 20_000)]
)
def test_what_is_put_is_what_is_taken(plain_bytes: int, packed_bytes: int) -> None:
    budget = Budget(Limits())
    waiting = WaitingHandshakes(budget, plain_bytes, packed_bytes)
    for turn in range(3):
        for index, log in enumerate(HANDSHAKES):
            waiting.put(index, log, 1000)
            assert index in waiting
        assert budget.used >= len(HANDSHAKES) * ENTRY_BYTES
        for index in sorted(range(len(HANDSHAKES)), key=lambda n: (n * 7 + turn) % 11):
            assert agree(waiting.take(index), HANDSHAKES[index])
            assert waiting.take(index) is None
            assert index not in waiting
        assert budget.used == 0
    waiting.close()


def test_what_has_no_room_as_an_object_waits_packed() -> None:
    """Half of the memory of all handshakes is left to those in progress, and what these take has no room for others."""
    budget = Budget(Limits(total_bytes=10 * (1000 + OVERHEAD)))
    waiting = WaitingHandshakes(budget)
    for number in range(7):
        waiting.put(number, HANDSHAKES[0], 1000)
    assert [waiting.take(number) is HANDSHAKES[0] for number in range(7)] == [True] * 5 + [False] * 2
    budget.used = budget.total_bytes // 2
    waiting.put(0, HANDSHAKES[0], 1000)
    assert waiting.take(0) is not HANDSHAKES[0]


def test_what_is_large_waits_packed() -> None:
    waiting = WaitingHandshakes(Budget(Limits()))
    waiting.put(0, HANDSHAKES[0], MAX_PLAIN)
    waiting.put(1, HANDSHAKES[0], 1000)
    assert agree(waiting.take(0), HANDSHAKES[0])
    assert waiting.take(1) is HANDSHAKES[0]


def test_the_file_has_a_limit_and_is_used_again() -> None:
    waiting = WaitingHandshakes(Budget(Limits()), 0, 0, 1 << 20)
    size = len(pickle.dumps(HANDSHAKES[0], pickle.HIGHEST_PROTOCOL))
    assert size < 1 << 18
    room = next(number for number in range(300) if not waiting.put(number, HANDSHAKES[0], 1000))
    assert room >= 4
    assert waiting.take(room) is None
    assert waiting.error is None
    # One always waits, so that the file is never emptied.
    for number in range(1, 1000):
        assert agree(waiting.take(number), HANDSHAKES[0])
        assert waiting.put(number + room - 1, HANDSHAKES[0], 1000)
    assert waiting._file is not None
    assert os.fstat(waiting._file.fileno()).st_size <= 1 << 20
    waiting.close()


def test_what_cannot_be_written_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = WaitingHandshakes(Budget(Limits()), 0, 0)
    assert waiting.put(0, HANDSHAKES[0], 1000)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as changed:
        changed.setattr(os, "pwrite", full)
        assert not waiting.put(1, HANDSHAKES[1], 1000)
    assert waiting.error is not None
    assert waiting.error.endswith("No space left on device")
    assert waiting.put(2, HANDSHAKES[2], 1000)
    assert agree(waiting.take(0), HANDSHAKES[0])
    assert agree(waiting.take(2), HANDSHAKES[2])
    assert waiting.take(1) is None
    waiting.close()


@pytest.mark.parametrize("idle", [None, 10.0])
@pytest.mark.parametrize("keep", [False, True])
def test_what_cannot_wait_is_told_as_it_is(
    idle: float | None, keep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usual() -> tuple[list[Connection], Summary]:
        reading = Reading(SAMPLES, Options(idle=idle, keep=keep, batch=5))
        return list(reading), reading.summary

    told, before = usual()
    assert before.returned_early == 0
    monkeypatch.setattr(WaitingHandshakes.__init__, "__defaults__", (0, 0, 0))
    crowded, summary = usual()
    early = [one for one in crowded if any("no room to wait" in problem.detail for problem in one.problems)]
    assert summary.returned_early == len(early)
    assert summary.spill_error is None
    assert early or idle is not None
    assert len(crowded) == len(told)
    hello = {(one.source, one.stream): one for one in told}
    for one in crowded:
        same = hello[one.source, one.stream]
        assert (one.client_hello, one.version, one.outcome) == (same.client_hello, same.version, same.outcome)
        assert one in early or one == same
        assert one.packets <= same.packets


def test_handshakes_that_wait_share_the_certificates_of_their_server() -> None:
    """They are most of what a full handshake keeps."""
    chains = [
        event.body
        for log in logged()
        for event in log.events
        if event.handshake_type == HandshakeType.CERTIFICATE and log.transport == "tcp"
    ]
    assert len(chains) > len(set(chains)) == len({id(body) for body in chains})
