"""What processes of ours that parse captures may still do, and what the process that reads from them takes."""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from recorded import ROOT

import tlsdissect
from tlsdissect.corpus import confinement
from tlsdissect.corpus.workers import WorkerError, WorkerOutput, Workers, _Failure, _WorkerEnd, forked, unpickled
from tlsdissect.pipeline import Place, Reading, Summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection as Pipe

SAMPLE = ROOT / "samples" / "tls12-full.pcap"
OTHER = ROOT / "samples" / "tls13-full.pcap"
LANDLOCK = confinement.landlock_version(ctypes.CDLL(None))
rooted = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
landlocked = pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")
filtered = pytest.mark.skipif(os.uname().machine not in confinement._DENIED, reason="no system calls known here")


def confined(*attempts: Callable[[], Any], captures: tuple[Path, ...] = (SAMPLE,)) -> list[Any]:
    """What attempts return in a worker, or the names of exceptions, and then what the kernel says of the worker."""

    def run(receiver: Pipe, sender: Pipe) -> None:
        receiver.close()
        confinement.confine(map(str, captures))
        sender.send([attempted(one) for one in attempts])
        sender.recv()

    worker = forked(run, duplex=True)
    try:
        assert worker.pipe.poll(30)
        return [*worker.pipe.recv(), status(worker.process.pid)]
    finally:
        worker.stop()


def attempted(attempt: Callable[[], Any]) -> Any:
    try:
        return attempt()
    except Exception as error:  # noqa: BLE001  # any
        return type(error).__name__


def status(process: int | str | None = "self") -> dict[str, str]:
    text = Path(f"/proc/{process}/status").read_text()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


@landlocked
def test_a_worker_reads_its_captures_and_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir(mode=0o777)
    (tmp_path / "temporary").chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    kept = tmp_path / "kept"
    kept.write_text("kept")
    for one in (tmp_path, kept):
        one.chmod(0o777)
    attempts = [
        OTHER.read_bytes, Path("/etc/shadow").read_text, Path("/etc/passwd").read_text,
        Path("/proc/self/mem").read_bytes,
        lambda: [*ROOT.iterdir()], lambda: kept.write_text("changed"), kept.unlink, (tmp_path / "new").mkdir,
        lambda: (tmp_path / "link").symlink_to("kept"), lambda: kept.rename(tmp_path / "moved"),
    ]  # fmt: skip
    read, spilled, *refused, _ = confined(SAMPLE.read_bytes, spill, *attempts)
    assert (read, spilled) == (SAMPLE.read_bytes(), b"spilled")
    assert refused == ["PermissionError"] * len(attempts)
    assert kept.read_text() == "kept"


def spill() -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(b"spilled")
        file.seek(0)
        return file.read()


@filtered
def test_a_worker_reaches_no_network_program_or_process() -> None:
    done = confined(
        lambda: socket.create_connection(("127.0.0.1", 9), 1),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        lambda: socket.socket(socket.AF_UNIX),
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        lambda: subprocess.run(["true"], check=False),
        lambda: os.execv("/bin/true", ["true"]),  # noqa: S606  # what is tried
    )
    assert done[:-1] == ["PermissionError"] * 6


@pytest.mark.skipif(LANDLOCK < 6, reason="this kernel does not scope signals")
def test_a_worker_sends_no_signals() -> None:
    parent = os.getpid()
    assert confined(lambda: os.kill(parent, 0))[0] == "PermissionError"


def test_a_worker_gains_no_privileges() -> None:
    (found,) = confined()
    assert found["NoNewPrivs"] == "1"


@rooted
def test_a_worker_of_root_is_nobody_who_reads(tmp_path: Path) -> None:
    own = tmp_path / "own.pcap"
    own.write_bytes(SAMPLE.read_bytes())
    own.chmod(0o600)
    tmp_path.chmod(0o700)
    read, back, found = confined(own.read_bytes, lambda: os.setuid(0), captures=(own,))
    assert {*found["Uid"].split(), *found["Gid"].split()} == {"65534"}
    assert (found["Groups"], int(found["CapEff"], 16), int(found["CapPrm"], 16)) == ("", 4, 4)
    assert read == SAMPLE.read_bytes()
    assert back == "PermissionError"


def test_modules_are_imported_late() -> None:
    def late() -> str:
        for name in (
            "xml.dom.minidom",
            "cryptography.hazmat.bindings.openssl.binding",
            "brotli",
            "tlsdissect.x509.staples",
        ):
            sys.modules.pop(name, None)
            __import__(name)
        return "imported"

    assert confined(late)[0] == "imported"


def test_of_many_captures_the_folders_are_allowed(tmp_path: Path) -> None:
    many = [tmp_path / f"{number}.pcap" for number in range(confinement.FEW + 1)]
    many[-1].write_bytes(b"read")
    assert confined(many[-1].read_bytes, captures=tuple(many))[0] == b"read"


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confinement.SWITCH, "0")
    (found,) = confined()
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("0", "0")


def test_where_the_kernel_has_nothing_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "landlock_version", lambda _: 0)
    monkeypatch.setattr(confinement, "_DENIED", {})
    assert confined(SAMPLE.read_bytes, OTHER.read_bytes)[:2] == [SAMPLE.read_bytes(), OTHER.read_bytes()]


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_with_an_older_landlock(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if version > LANDLOCK:
        pytest.skip("this kernel has an older one")
    monkeypatch.setattr(confinement, "landlock_version", lambda _: version)
    monkeypatch.setattr(confinement, "_DENIED", {})
    read, other, connected, _ = confined(
        SAMPLE.read_bytes, OTHER.read_bytes, lambda: socket.create_connection(("127.0.0.1", 9), 1)
    )
    assert (read, other) == (SAMPLE.read_bytes(), "PermissionError")
    assert connected == ("PermissionError" if version >= 4 else "ConnectionRefusedError")


@pytest.mark.parametrize("command", [["read", "--format", "json"], ["certs", "--format", "json"]])
def test_results_are_those_of_one_process(command: list[str]) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-m", "tlsdissect", *command, "--jobs", jobs, "samples/network/network-failures.pcap"],
            cwd=ROOT, capture_output=True, check=True, timeout=60,
        ).stdout
        for jobs in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1]


def test_the_process_that_imports_the_package_stays_as_it_is() -> None:
    before = status()
    list(tlsdissect.read(SAMPLE))
    assert {key: status()[key] for key in ("Uid", "CapEff", "NoNewPrivs", "Seccomp")} == {
        key: before[key] for key in ("Uid", "CapEff", "NoNewPrivs", "Seccomp")
    }


def test_what_workers_send_is_read() -> None:
    failure = _Failure.of(FileNotFoundError(2, "gone", "a.pcap"))
    for one in ((0, 1, b"row"), Place(1, 2, 3, "tcp", 4), Summary(), _WorkerEnd(None, failure), {1, 2}):
        assert type(unpickled(pickle.dumps(one))) is type(one)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "gone", "a.pcap"), OSError(28, "full"), OSError("odd"), KeyError("a")]
)
def test_what_ended_a_worker_is_raised_again(error: Exception) -> None:
    raised = unpickled(pickle.dumps(_Failure.of(error))).exception()
    if isinstance(error, OSError) and error.errno is not None:
        assert (type(raised), str(raised)) == (type(error), str(error))
    else:
        assert (type(raised), str(raised)) == (WorkerError, f"{type(error).__name__}: {error}")


class Call:
    """What a pickle calls that somebody wrote by hand."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.mark.parametrize(
    "call",
    [
        Call(os.system, "touch PLACE"),
        Call(eval, "open('PLACE', 'w')"),
        Call(getattr, "", "format"),
        Call(subprocess.Popen, ["touch", "PLACE"]),
        Call(Path.touch, Path("PLACE")),
        Call(Reading, ("PLACE",)),
        Call(tlsdissect.read, "PLACE"),
        Call(__import__, "antigravity"),
    ],
    ids=lambda call: getattr(call.call, "__name__", "call"),
)
def test_a_pickle_calls_nothing(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pickle, "whichmodule", lambda found, _: found.__module__)
    with pytest.raises(pickle.UnpicklingError, match="which is not plain data"):
        unpickled(pickle.dumps(call))
    assert [*tmp_path.iterdir()] == []


def test_a_worker_that_sends_something_else_ends_the_run(tmp_path: Path) -> None:
    place = tmp_path / "called"

    def pack(*_: object) -> Any:
        return Call(os.mkdir, str(place))

    workers: Workers[None] = Workers(1, lambda shard: Reading([SAMPLE], shard=shard), pack, lambda _: None)
    with pytest.raises(pickle.UnpicklingError):
        list[WorkerOutput](workers)
    assert not place.exists()
