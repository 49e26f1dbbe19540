"""How runs end early: a closed pipe, a signal, a full disk, an error of our own."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import PROGRAM, RESUMED, TLS12
from recorded import ROOT, begun

from tlsdissect.corpus.workers import WorkerLostError, Workers
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from typing import Never

    from tlsdissect.flows.table import Shard

KILLED = """
import os, signal, sys
from tlsdissect import pipeline
from tlsdissect.cli import main

pipeline.Reading.placed = lambda self: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main())
"""

SPOILT = """
import sys
from tlsdissect import pipeline
from tlsdissect.cli import main

def fail(self, *arguments):
    yield from ()
    raise KeyError("spoilt")

pipeline.Reading._read = fail
sys.exit(main())
"""

EXHAUSTED = SPOILT.replace('KeyError("spoilt")', "MemoryError")

INTERRUPTED_IMPORTS = """
import os, signal, sys
from tlsdissect.cli import main

left = int(sys.argv[1])

def interrupt(frame, event, _):
    global left
    left -= event == "call" and frame.f_code.co_name == "cb" and "importlib" in frame.f_code.co_filename
    if not left:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)

sys.setprofile(interrupt)
sys.exit(main(["read", "samples/tls12-full.pcap", "-"]))
"""
BEGUN = """
import sys
print("begun", file=sys.stderr, flush=True)
from tlsdissect.cli import main
sys.exit(main())
"""


def waiting(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start a run that waits for standard input after it has read what else is named."""
    command = [*PROGRAM, "read", TLS12, "-", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)


def stop(process: subprocess.Popen[bytes], number: int) -> tuple[bytes, bytes]:
    """Send a signal to a process that has taken the header of a capture from its standard input, and waits for more."""
    assert process.stdin is not None
    process.stdin.write((ROOT / TLS12).read_bytes()[:24])
    taken(process)
    process.send_signal(number)
    return process.communicate(timeout=30)


def taken(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has taken all of its standard input and waits for more."""
    assert process.stdin is not None
    deadline = time.monotonic() + 30
    while fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)) != bytes(4) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)


def running(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process catches what would end it: its run has begun."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if int(status.split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)


def test_interrupted_after_what_was_read() -> None:
    process = waiting("--format", "json")
    out, err = stop(process, signal.SIGINT)
    assert json.loads(out)["source"] == TLS12
    assert err == b"1 connection: TLS 1.2\n"
    assert process.returncode == 130


def test_interrupted_with_several_processes(tmp_path: Path) -> None:
    many = begun(tmp_path / "many.pcap", 20_000)
    command = [*PROGRAM, "read", "--jobs", "2", "--format", "json", str(many)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert all(json.loads(line)["source"] == str(many) for line in out.splitlines())
    assert b"Traceback" not in err
    assert process.returncode == 130


def test_a_pipe_is_read_once_whatever_is_asked_for(tmp_path: Path) -> None:
    command = [*PROGRAM, "read", "--jobs", "2", "--format", "json", "-"]
    done = subprocess.run(command, cwd=ROOT, input=(ROOT / TLS12).read_bytes(), capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 1


def test_asked_to_end() -> None:
    process = waiting()
    out, err = stop(process, signal.SIGTERM)
    assert len(out.splitlines()) == 2
    assert b"Traceback" not in err
    assert process.returncode == 143


def test_a_run_that_is_broken_off_claims_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    command = [*PROGRAM, "export", "-", "--to", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write((ROOT / TLS12).read_bytes())
    process.stdin.flush()
    running(process)
    taken(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"aborted\n")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_a_file_of_what_was_read(tmp_path: Path) -> None:
    process = waiting("-o", tmp_path / "a.json")
    stop(process, signal.SIGINT)
    assert process.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_bytes())["source"] == TLS12


def test_interrupted_while_a_pipe_brings_more_tells_what_is_open() -> None:
    process = subprocess.Popen(
        [*PROGRAM, "read", "--format", "json", "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write((ROOT / TLS12).read_bytes()[:-60])
    process.stdin.flush()
    taken(process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["version"] == "TLS 1.2"
    assert process.returncode == 130


@pytest.mark.parametrize("which", [1, 20, 60])
def test_interrupted_while_modules_are_loaded(which: int) -> None:
    """Within a weakref's callback, of which imports call many, Python would lose a KeyboardInterrupt."""
    command = [sys.executable, "-c", INTERRUPTED_IMPORTS, str(which)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_interrupted_at_any_moment_shows_no_traceback() -> None:
    command = [sys.executable, "-c", BEGUN, "read", TLS12, "-"]
    for delay in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5):
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        assert process.stderr.readline() == b"begun\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        # Until it has found the command, Python itself answers.
        assert b"/cli/" not in err, (delay, err)
        assert process.returncode in (130, -signal.SIGINT), (delay, err)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_closed_pipe_is_silent(form: str, jobs: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "read", *([RESUMED] * 30), "--format", form, "--jobs", jobs]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_head_gets_its_lines() -> None:
    command = f"{sys.executable} -m tlsdissect read {' '.join([RESUMED] * 50)} | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert len(done.stdout.splitlines()) == 2
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0


def test_help_into_a_closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "read", "--help"], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [*PROGRAM, "read", TLS12]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.stderr == b"tlsdissect: standard output: No space left on device\n"
    assert done.returncode == 74


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_standard_files(closed: str) -> None:
    command = f"{sys.executable} -m tlsdissect read {TLS12} missing {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode == (74 if ">&-" in closed.replace("2>&-", "") else 2)
    assert b"refused" not in done.stdout


def test_an_error_of_our_own_is_one_line() -> None:
    command = [sys.executable, "-c", SPOILT, "read", TLS12]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    first = done.stderr.decode().splitlines()[0]
    assert first == "tlsdissect: internal error after 0 frames: KeyError: 'spoilt' (--debug shows where)"
    assert b"Traceback" not in done.stderr
    assert done.returncode == 70
    done = subprocess.run([*command, "--debug"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert b"Traceback" in done.stderr
    assert done.returncode == 70


def test_a_worker_that_is_killed_is_no_error_of_the_program() -> None:
    command = [sys.executable, "-c", KILLED, "read", TLS12, "--jobs", "2", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    said = "a worker process was killed by SIGKILL, possibly because memory ran out"
    assert done.stderr.decode() == f"tlsdissect: {said}: --jobs 1 uses a single process and less memory\naborted\n"
    assert (done.returncode, done.stdout) == (71, b"")


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ("1", "out of memory after 0 frames"),
        ("2", "a worker process ran out of memory: --jobs 1 uses a single process and less memory"),
    ],
)
def test_no_memory_is_left(jobs: str, said: str) -> None:
    command = [sys.executable, "-c", EXHAUSTED, "read", TLS12, "--jobs", jobs, "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.stderr.decode() == f"tlsdissect: {said}\naborted\n"
    assert (done.returncode, done.stdout) == (71, b"")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1, signal.SIGRTMIN + 2], ids=str)
def test_a_worker_that_is_ended_while_it_writes_its_account(number: int) -> None:
    workers = Workers(1, lambda shard: Reading([ROOT / TLS12], shard=shard), lambda *_: b"", lambda _: bytes(1 << 22))
    [worker] = workers._workers
    assert worker.pipe.poll(30)
    time.sleep(0.3)
    os.kill(worker.process.pid or 0, number)
    with pytest.raises(WorkerLostError, match=r"SIGKILL|SIGUSR1|signal 36"):
        list(workers)


def test_what_a_killed_worker_wrote_in_part_is_not_told() -> None:
    def cut_off(*_: object) -> bytes:
        # More than a pipe holds: the worker waits with the rest.
        return bytes(1 << 22)

    workers = Workers(1, lambda shard: Reading([ROOT / TLS12], shard=shard), cut_off, lambda _: None)
    [worker] = workers._workers
    assert worker.pipe.poll(30)
    os.kill(worker.process.pid or 0, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="SIGKILL"):
        list(workers)


def test_a_worker_asked_to_finish_before_it_has_begun_tells_what_it_read() -> None:
    def slowly(shard: Shard) -> Reading:
        time.sleep(0.3)
        return Reading([ROOT / TLS12], shard=shard)

    workers = Workers(2, slowly, lambda *_: b"", lambda reading: reading.summary.captures)
    workers.finish()
    assert list(workers) == []
    assert len(workers.results) == 2


class HalfRead:
    """A reading that has nothing to yield and goes on until its position was seen."""

    def __init__(self, position: int, seen: Event) -> None:
        self.position, self._seen = position, seen

    def finishing(self) -> tuple[int, int]:
        """Nothing is left."""
        return 0, 0

    def placed(self) -> Iterator[Never]:
        """Wait, then be at the end."""
        assert self._seen.wait(60)
        self.position = 900
        yield from ()


def test_positions_come_without_output_and_the_slowest_counts() -> None:
    seen = multiprocessing.get_context("fork").Event()
    workers = Workers(2, lambda shard: HalfRead(500 - 200 * shard.number, seen), lambda *_: b"", lambda _: None)  # type: ignore[arg-type, return-value]
    deadline = time.monotonic() + 60
    while workers.position != 300:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    seen.set()
    assert list(workers) == []
    assert workers.position == 900


def test_a_worker_waits_until_its_output_is_taken(tmp_path: Path) -> None:
    many = begun(tmp_path / "many.pcap", 100)
    packed = multiprocessing.get_context("fork").Value("i", 0)

    def pack(*_: object) -> bytes:
        with packed.get_lock():
            packed.value += 1
        return bytes(1 << 18)

    workers = Workers(1, lambda shard: Reading([many], shard=shard), pack, lambda _: None)
    # One batch was taken, one is in the pipe, and one is full and waits.
    ahead = [packed.value - taken for taken, _ in enumerate(workers)]
    assert len(ahead) == 100
    assert max(ahead) <= 3


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    many = begun(tmp_path / "many.pcap", 20_000)
    command = [*PROGRAM, "read", "--jobs", "2", "--format", "json", str(many)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    # The pipes are closed once the workers, which inherited them, have ended, too.
    _, err = process.communicate(timeout=60)
    assert err == b""


INTERRUPTED_COMPARISON = """
import os, signal, sys
from tlsdissect.cli import main
from tlsdissect.trust import weak_keys

multiplied = weak_keys._Work.add

def interrupt(*given):
    # The first call is the only one that sends the signal.
    weak_keys._Work.add = multiplied
    os.kill(os.getpid(), signal.SIGINT)
    multiplied(*given)

weak_keys._Work.add = interrupt
weak_keys._LEAF_BITS = 1
sys.exit(main())
"""


FINALIZED = """
import os, signal, sys
from tlsdissect import pipeline
from tlsdissect.cli import main

class Ending:
    def __del__(self):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

def finalize(self, *arguments):
    Ending()
    while True:
        pass
    yield

pipeline.Reading._read = finalize
sys.exit(main())
"""


def test_interrupted_for_good_while_an_object_is_finalized() -> None:
    """Python drops what is raised there, and would print its traceback."""
    command = [sys.executable, "-c", FINALIZED, "read", "--jobs", "1", TLS12]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"aborted\n")


STOPPED_BETWEEN_FILES = """
import os, signal, sys
from tlsdissect.cli import main

link, left = os.link, int(sys.argv.pop(1))

def stop(*given, **options):
    global left
    for _ in range(left):
        os.kill(os.getpid(), signal.SIGTERM)
    left = 0
    link(*given, **options)

os.link = stop
sys.exit(main())
"""


@pytest.mark.parametrize(("signals", "files"), [(1, 3), (2, 1)])
def test_asked_to_end_while_a_file_is_written(signals: int, files: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOPPED_BETWEEN_FILES, str(signals), "certs", "--to", str(tmp_path), TLS12]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 143, done.stderr
    assert (b"aborted" in done.stderr) == (signals == 2)
    assert [path.suffix for path in tmp_path.iterdir()] == [".pem"] * files


def test_interrupted_while_keys_are_compared() -> None:
    command = [sys.executable, "-c", INTERRUPTED_COMPARISON, "certs", "--format", "json", "--jobs", "1", TLS12]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(listed) == 2
    details = [[found["detail"] for found in one["findings"] if found["code"] == "not_checked"] for one in listed]
    assert all(found == ["primes shared with other keys: the comparison was stopped"] for found in details)
    first, summary = done.stderr.decode().splitlines()
    assert first == "tlsdissect: interrupted: keys were not compared for shared primes"
    assert summary.startswith("2 certificates in 1 chain; ")
    assert done.returncode == 130
