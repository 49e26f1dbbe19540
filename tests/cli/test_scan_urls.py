"""`tlsdissect scan` of captures in object storage and on web servers, into object storage; both on loopback."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, ClassVar

import gcsfs
import pytest
import s3fs
from commands import run
from datasets import documents, ordered, run_scan
from fsspec import get_filesystem_class
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from moto.server import ThreadedMotoServer
from recorded import ROOT

import tlsdissect.corpus.store
from tlsdissect.corpus.scan import RETRIES, described
from tlsdissect.corpus.selection import Selection
from tlsdissect.corpus.store import FAILURES, LOCK, Holder, Store, StoreError
from tlsdissect.handshake.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from fsspec import AbstractFileSystem

SAMPLES = ROOT / "samples"
NAMES = ("tls12-full", "tls13-full", "tls12-resumed-ticket")


class QuietServer(HTTPServer):
    """A server that does not print that a client closed its connection."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def s3_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """S3 as moto has it; all servers of a process have the same buckets."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    system = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)
    server.stop()


@contextmanager
def gs_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[gcsfs.GCSFileSystem]:
    """Google Cloud Storage as an emulator has it."""
    stored = Storage(use_memory_fs=True)
    create_bucket("bucket", stored)
    server = QuietServer(("127.0.0.1", 0), functools.partial(RequestHandler, stored))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    # Otherwise gcsfs looks for credentials, to ask another server which kind of bucket it is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    yield gcsfs.core.GCSFileSystem(skip_instance_cache=True, use_listings_cache=False)
    server.shutdown()
    server.server_close()


@pytest.fixture(params=[("s3", s3_storage), ("gs", gs_storage)], ids=["s3", "gs"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[AbstractFileSystem]:
    """A file system with a bucket with captures in day=1/, and in day=2/ a copy of one of them."""
    protocol, made = request.param
    # Instances remember the address of an earlier server.
    get_filesystem_class(protocol).clear_instance_cache()
    with made(monkeypatch) as system:
        for name in NAMES:
            system.put_file(str(SAMPLES / f"{name}.pcap"), f"bucket/day=1/{name}.pcap")
        system.put_file(str(SAMPLES / "tls12-resumed-ticket.pcap"), "bucket/day=2/again.pcap")
        yield system


def scan(*arguments: str | Path) -> str:
    done = run_scan(*arguments, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return done.stderr.decode()


def test_object_storage_is_read_and_written(storage: AbstractFileSystem, tmp_path: Path) -> None:
    bucket = storage.unstrip_protocol("bucket")
    told = scan(f"{bucket}/day=*/*.pcap", "--to", f"{bucket}/dataset/")
    assert told == "4 captures read, 6 connections\n"
    assert scan(f"{bucket}/day=1", "--to", f"{bucket}/dataset") == (
        "0 captures read, 0 connections; 3 files unchanged since an earlier scan\n"
    )
    storage.get("bucket/dataset", str(tmp_path / "dataset"), recursive=True)
    sources = [one.source for _, one in ordered(tmp_path / "dataset")]
    assert sorted(sources) == sorted([f"{bucket}/day=2/again.pcap", *[f"{bucket}/day=1/{it}.pcap" for it in NAMES]])
    resumed = [one["resumes"]["source"] for one in documents(tmp_path / "dataset") if one["resumes"]]
    assert set(resumed) == {f"{bucket}/day=1/tls12-resumed-ticket.pcap"}
    # The rows are those of the same captures on a disk, but for their names.
    local = tmp_path / "local"
    for source in sources:
        Path(source.replace(bucket, str(local))).parent.mkdir(parents=True, exist_ok=True)
        storage.get_file(source, source.replace(bucket, str(local)))
    serial = run("read", "--format", "json", *(one.replace(bucket, str(local)) for one in sources))
    lines = serial.stdout.decode().replace(str(local), bucket).splitlines()
    assert documents(tmp_path / "dataset") == [json.loads(line) for line in lines]


def test_a_changed_object_is_read_again(storage: AbstractFileSystem, tmp_path: Path) -> None:
    folder = storage.unstrip_protocol("bucket/day=1")
    scan(folder, "--to", tmp_path / "dataset")
    storage.put_file(str(SAMPLES / "tls13-resumed.pcap"), "bucket/day=1/tls13-full.pcap")
    told = scan(folder, "--to", tmp_path / "dataset")
    assert told == "1 capture read, 2 connections; 2 files unchanged since an earlier scan\n"
    assert len(documents(tmp_path / "dataset")) == 5


def hold(store: Store) -> AbstractContextManager[None]:
    """Hold a folder as a scan without options does."""
    return store.claimed(described(Options(), Selection(), ()))


def test_a_second_scan_at_the_same_time_is_refused(
    storage: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tlsdissect.corpus.store, "SECONDS_TO_RENEW", 0.2)
    bucket = storage.unstrip_protocol("bucket")
    with hold(Store(f"{bucket}/dataset")):
        done = run_scan(f"{bucket}/day=1", "--to", f"{bucket}/dataset")
        files = storage.find("bucket/dataset")
    assert done.returncode == 2
    assert (
        f"{bucket}/dataset: another scan is writing to it: process {os.getpid()} on {gethostname()}".encode()
        in done.stderr
    )
    assert files == ["bucket/dataset/.lock", "bucket/dataset/dataset.json"]
    assert storage.find("bucket/dataset") == ["bucket/dataset/dataset.json"]


def test_a_killed_scan_does_not_hold_the_folder(storage: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another scan takes it over, and the one that goes on nevertheless ends, and leaves what is not its own."""
    monkeypatch.setattr(tlsdissect.corpus.store, "SECONDS_TO_TAKE_OVER", 1)
    monkeypatch.setattr(tlsdissect.corpus.store, "SECONDS_TO_RENEW", 0.1)
    killed, other = Holder("1", "one", 1), Holder("2", "two", 2)
    store = Store(storage.unstrip_protocol("bucket/dataset"))
    store.write(LOCK, killed)

    def go_on() -> None:
        while True:
            store.check_held()
            store.write(LOCK, other)
            time.sleep(0.1)

    with hold(store), pytest.raises(StoreError, match="another scan is writing to it: process 2 on two"):
        go_on()
    assert store.read(LOCK, Holder) == other


def test_a_bucket_that_is_not_there_is_said(storage: AbstractFileSystem, tmp_path: Path) -> None:
    pattern, capture = map(storage.unstrip_protocol, ("bucket/day=3/*", "none/a.pcap"))
    done = run_scan(pattern, capture, "--to", tmp_path / "dataset")
    assert done.returncode == 2
    first, second = done.stderr.decode().splitlines()
    assert first == f"tlsdissect: {pattern}: no file matches"
    assert second.startswith(f"tlsdissect: {capture}: ")
    assert not (tmp_path / "dataset").exists()


class Handler(SimpleHTTPRequestHandler):
    """A web server without ranges, which fails as often as the query of a URL says."""

    failed: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        failures = int(self.path.partition("?")[2] or 0)
        if self.failed[self.path] < failures:
            self.failed[self.path] += 1
            self.send_error(500)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server with a capture."""
    folder = tmp_path / "web"
    folder.mkdir()
    shutil.copy(SAMPLES / "tls12-full.pcap", folder)
    (folder / "page.html").write_text("<html>no capture</html>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.failed.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_web_server_is_read(web: str, tmp_path: Path) -> None:
    urls = [f"{web}/{name}" for name in ("tls12-full.pcap", "page.html", "missing.pcap")]
    done = run_scan(*urls, "--to", tmp_path / "dataset", "--jobs", "1")
    assert done.returncode == 2
    assert [line.partition(": ")[2] for line in done.stderr.decode().splitlines()[:-1]] == [
        f"{urls[2]}: not found",
        f"{urls[1]}: is not a capture: its first bytes are not those of pcap or pcapng",
    ]
    assert done.stderr.endswith(b"\n1 capture read, 1 connection; 1 capture refused\n")
    assert [one["source"] for one in documents(tmp_path / "dataset")] == [urls[0]]


def test_what_fails_is_tried_again_and_what_is_broken_is_not(web: str, tmp_path: Path) -> None:
    capture = f"{web}/tls12-full.pcap"
    done = run_scan(f"{capture}?2", f"{capture}?99", "--to", tmp_path / "dataset", "--jobs", "1")
    assert done.returncode == 2
    failed, last = done.stderr.decode().splitlines()
    assert failed.startswith(f"tlsdissect: {capture}?99: ")
    assert last == "1 capture read, 1 connection; 1 capture failed"
    assert Handler.failed == {"/tls12-full.pcap?2": 2, "/tls12-full.pcap?99": 1 + RETRIES}
    ((_, failure),) = Store(str(tmp_path / "dataset")).manifests(FAILURES).items()
    assert failure.source == f"{capture}?99"
    assert [one["source"] for one in documents(tmp_path / "dataset")] == [f"{capture}?2"]
