"""tests/fuzz: what it runs, and what it reports."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from recorded import ROOT, SAMPLES, script

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = ROOT / "tests" / "fuzz"


@pytest.fixture(scope="module")
def fuzz() -> Any:
    return script(PROGRAM)


def test_it_finds_nothing_in_a_second(tmp_path: Path) -> None:
    command = [sys.executable, PROGRAM, "--seconds", "1", "--to", tmp_path / "fuzzed", ROOT / "samples"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 of " in done.stdout
    assert not (tmp_path / "fuzzed").exists()


def test_mutated_key_logs_and_records_give_results() -> None:
    command = [sys.executable, str(ROOT / "tests" / "fuzz_keys"), "--inputs", "25"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "25 inputs\n"), done.stdout + done.stderr


def test_exceptions_and_differences_are_reported(fuzz: Any) -> None:
    one = {"plain": ["{}", "summary"], "keep": ["summary"]}
    assert fuzz.complaints(one, one) == []
    assert fuzz.complaints(one, one | {"keep": ["{}", "summary"]}) == ["keep: summary\nbut pure Python: {}"]
    assert fuzz.complaints(one, one | {"plain": ["{}"]}) == ["plain: summary\nbut pure Python: None"]
    raised = one | {"keep": ["Traceback ..."]}
    assert fuzz.complaints(raised, one) == ["compiled, keep: Traceback ..."]
    assert len(fuzz.complaints(raised, raised)) == 2


def test_a_process_that_ends_is_reported_and_started_again(fuzz: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = fuzz.Reader(ROOT)
    with monkeypatch.context() as patch:
        patch.setattr(fuzz, "SECONDS", 0.001)
        died = reader.read(SAMPLES[0], 7)
    assert died == {"process": ["Traceback: the process ended with status -27"]}
    assert fuzz.complaints(died, died)
    assert set(reader.read(SAMPLES[0], 7)) == {"plain", "keep", "idle", "findings", "small limits"}
    reader.stop()


def test_the_same_seed_makes_the_same_captures(fuzz: Any) -> None:
    first, second = (fuzz.generated(fuzz.random.Random(3), [SAMPLES[0].read_bytes()]) for _ in range(2))
    assert [next(first) for _ in range(100)] == [next(second) for _ in range(100)]
