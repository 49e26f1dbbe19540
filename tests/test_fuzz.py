"""tests/fuzz: what it runs and what it reports."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest
from fuzz import blind, kernels, mutator, oracle, seeds
from fuzz.choices import Choices, joined, parts
from fuzz.key_damage import damaged_log
from fuzz.smaller import smaller
from fuzz.targets import TARGETS, Target
from fuzz.targets import facts as compared
from recorded import ROOT, SAMPLES, facts

from tlsdissect.handshake.segments import UNCOMPARED

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "tests" / "fuzz"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, FOLDER / "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_a_handshake_in_too_many_segments_to_compare_may_say_so() -> None:
    [plain] = facts(ROOT / "samples/tls12-full.pcap")
    cut = {**plain, "problems": [*plain["problems"], {"code": "limit", "detail": UNCOMPARED}]}
    assert compared([cut]) == compared([plain])


FUZZED = ("headers", "quic", "pipeline")
"""Some targets; all of them take more than a minute."""


def test_targets_are_fuzzed_for_a_second(tmp_path: Path) -> None:
    """Inputs are different each time: what one of them shows is for those who fuzz, and fails no test of the fuzzer."""
    pytest.importorskip("atheris")
    done = run("--seconds", 1, "--seeds", tmp_path / "none", "--to", tmp_path / "fuzzed", *FUZZED)
    kinds, _, *rows = [line for line in done.stdout.splitlines() if ": see " not in line]
    assert kinds.endswith("pure Python")
    assert tuple(row.split()[0] for row in rows) == FUZZED
    numbers = [[int(number.replace(",", "")) for number in row.split()[1:]] for row in rows]
    assert done.returncode == any(found for *_, found in numbers), done.stdout + done.stderr
    for row, (executions, *_, found) in zip(rows, numbers, strict=True):
        assert executions > 1 or found, row


def test_mutated_inputs_of_each_kind_are_read_by_both_kernels(tmp_path: Path) -> None:
    done = run("--mutated", 30, "--to", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    kernels_, _, *rows = done.stdout.splitlines()
    assert kernels_ == "compiled, pure Python"
    kinds = ("pipeline", "handshakes", "quic", "dtls", "eap", "keylogs")
    assert [row.split() for row in rows] == [[kind, "5", "0", "0"] for kind in kinds]


def test_only_what_is_asked_for_is_mutated(tmp_path: Path) -> None:
    done = run("--compiled", "--mutated", 8, "--to", tmp_path, "keylogs", "eap")
    assert [row.split()[:2] for row in done.stdout.splitlines()[2:]] == [["keylogs", "4"], ["eap", "4"]]
    wrong = run("--mutated", 8, "--to", tmp_path, "records")
    assert wrong.returncode == 2
    assert "mutated at random are" in wrong.stderr


def test_mutated_key_logs_have_every_kind_of_damage() -> None:
    """Some open nothing, some are longer than a line may be, some end in other ways."""
    chance, (log, *_) = Random(4), [log for *_, log in seeds.with_keys() if log.count(b"\n") > 4]  # noqa: S311
    made = [damaged_log(log, chance) for _ in range(2000)]
    assert any(b"\r\n" in one for one in made)
    assert any(b"\0\n" in one for one in made)
    assert any(max(map(len, one.splitlines())) > 100_000 for one in made)
    assert any(len(one.splitlines()) > len(log.splitlines()) for one in made)
    assert log in made


def test_an_input_that_fails_is_made_small() -> None:
    def run(data: bytes) -> None:
        if b"a" in data and data.endswith(b"zz"):
            raise ValueError

    found = smaller(run, b"x" * 50 + b"a" + b"y" * 77 + b"zz")
    assert found == b"azz"


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_has_benign_inputs(name: str) -> None:
    found = list(TARGETS[name].seeds(seeds.SAMPLES))
    assert len(found) > 1
    assert TARGETS[name].run(found[-1])


def test_exceptions_and_differences_are_reported() -> None:
    assert kernels.complaints({"compiled": "[1, 2]", "pure Python": "[1, 2]"}) == []
    assert kernels.complaints({"compiled": "[1, 2]", "pure Python": "[1, 3]"}) == [
        "compiled: …[1, 2]…",
        "pure Python: …[1, 3]…",
    ]
    raised = {"compiled": "Traceback ...", "pure Python": "[1]"}
    assert kernels.complaints(raised) == ["compiled: Traceback ..."]
    assert len(kernels.complaints(dict.fromkeys(raised, "Traceback ..."))) == 2


def test_a_process_that_ends_is_reported_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernels.Kernel(ROOT)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "SECONDS", 0.001)
        died = kernel.run("pipeline", SAMPLES[0])
    assert died == "Traceback: the process ended with status -27"
    assert not kernel.run("pipeline", SAMPLES[0]).startswith("Traceback")
    kernel.stop()


def test_the_same_seed_makes_the_same_captures() -> None:
    first, second = (blind.inputs(Random(3)) for _ in range(2))  # noqa: S311
    assert [next(first) for _ in range(150)] == [next(second) for _ in range(150)]


def test_an_input_that_costs_too_much_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(data: bytes) -> None:
        sum(range(20_000_000 if data == b"slow" else 10_000))

    def keep(data: bytes) -> bytes:
        return bytes(64 << 20 if data == b"large" else 100_000)

    # What a process used before hides what it uses now.
    monkeypatch.setattr(oracle, "peak", count(0, 1 << 20).__next__)
    benign = [b"good"] * 3
    for run, bad in ((work, b"slow"), (keep, b"large")):
        checked = oracle.Oracle(Target(run, lambda _: benign))
        checked.check(b"fair")
        with pytest.raises(oracle.CostError):
            checked.check(bad)


def test_a_program_has_the_size_of_the_capture_that_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    size, clock = TARGETS["handshakes"].size, [0.0]
    short = bytes(9)
    long = bytes([0, 0, 0, 9]) + bytes([mutator.OF_PACKETS.index(mutator.again), 4, 200] * 9)
    assert len(short) < size(short) < size(long)

    def work(data: bytes) -> None:
        clock[0] += size(data)

    monkeypatch.setattr(oracle, "FACTOR", 1)
    monkeypatch.setattr(oracle, "peak", lambda: 0)
    monkeypatch.setattr(oracle.time, "process_time", lambda: clock[0])
    oracle.Oracle(Target(work, lambda _: [short], size)).check(long)
    with pytest.raises(oracle.CostError):
        oracle.Oracle(Target(work, lambda _: [long[:5] + bytes(99)])).check(long)


def test_parts_are_split_as_they_were_joined() -> None:
    each = [(0, b"ab"), (7, b""), (255, b"x" * 300)]
    assert list(parts(joined(*each))) == each
    assert list(parts(b"\1\0\5ab")) == [(1, b"ab")]


def test_choices_end_with_zeros() -> None:
    choices = Choices(b"\1\xff\0\7rest")
    assert (choices.number(), choices.below(3), choices.number(2), choices.bytes(9)) == (1, 0, 7, b"rest")
    assert not choices
    assert (choices.below(700), choices.pick("ab"), choices.rest()) == (0, "a", b"")


@pytest.mark.parametrize("mutate", [*mutator.OF_RECORDS, *mutator.OF_PACKETS], ids=lambda one: one.__name__)
def test_each_mutation_changes_a_handshake(mutate: object) -> None:
    of_records = mutate in mutator.OF_RECORDS
    places = mutator.OF_RECORDS if of_records else mutator.OF_PACKETS
    number, changed = places.index(mutate), set()
    for at in range(3, 9):
        program = bytes([of_records, not of_records, number, at]) + bytes([1, 2, 3, 4, 5, 6, 7, 8, 9] * 6)
        changed.add(mutator.capture(mutator.mutated(Choices(program), "tls12-full").packets))
    assert len(changed) > 1
