"""`tlsdissect scan` into a dataset that is damaged, or that others may have written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from dask import distributed
from datasets import documents, ordered
from msgspec import json
from msgspec.structs import replace
from pyarrow import parquet
from recorded import ROOT

from tlsdissect.corpus.cluster import as_task
from tlsdissect.corpus.dataset import MANIFESTS
from tlsdissect.corpus.scan import Scan
from tlsdissect.corpus.scanning import Plan
from tlsdissect.corpus.selection import Selection
from tlsdissect.corpus.sources import find_sources
from tlsdissect.corpus.store import Store
from tlsdissect.handshake.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = ("tls12-resumed-ticket", "tls13-resumed", "tls13-full")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster in this process: what workers do alone is tested elsewhere."""
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        yield client


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    folder = tmp_path / "captures"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(ROOT / "samples" / f"{name}.pcap", folder)
    return folder


@pytest.fixture
def scan(client: Any, tmp_path: Path) -> Callable[..., Scan]:
    def scan(*paths: Path) -> Scan:
        sources, refused = find_sources(map(str, paths))
        assert not refused
        done = Scan(Plan(Store(str(tmp_path / "dataset")), Options(), Selection()), sources)
        done.read(client)
        done.link(client)
        done.remove_leftovers()
        return done

    return scan


def files(dataset: Path) -> set[Path]:
    return set(dataset.glob("*/day=*/*.parquet"))


def manifest_of(dataset: Path, name: str) -> Path:
    return next(path for path in (dataset / MANIFESTS).iterdir() if name.encode() in path.read_bytes())


def test_no_file_outside_the_dataset_is_removed_or_replaced(
    captures: Path, scan: Callable[..., Scan], tmp_path: Path
) -> None:
    """A manifest that names such a file is damaged, whoever wrote it."""
    scan(captures)
    dataset, precious = tmp_path / "dataset", tmp_path / "precious.txt"
    expected = documents(dataset)
    for key in (
        "../precious.txt",
        str(precious),
        "connections/../../precious.txt",
        "connections/day=unknown/x.parquet",
    ):
        precious.write_text("precious")
        manifest = manifest_of(dataset, "tls12-resumed-ticket")
        known = json.decode(manifest.read_bytes())
        files = {name: size for name, size in known["files"].items() if not name.startswith("connections")}
        manifest.write_bytes(json.encode({**known, "links": "0", "size": 1, "files": {**files, key: 1}}))
        done = scan(captures)
        assert (done.captures_done, done.failures, precious.read_text()) == (1, [], "precious"), key
        assert documents(dataset) == expected


@pytest.mark.parametrize("end", ["yesterday", 5])
def test_a_capture_is_read_again_if_its_connections_end_as_in_no_capture(
    captures: Path, scan: Callable[..., Scan], tmp_path: Path, end: Any
) -> None:
    """Links depend on when a connection failed."""
    capture = captures / "network-failures.pcap"
    shutil.copy(ROOT / "samples/network/network-failures.pcap", capture)
    scan(captures)
    dataset = tmp_path / "dataset"
    expected = documents(dataset)
    ((name, manifest),) = [(name, one) for name, one in ordered(dataset) if one.source == str(capture)]
    file = dataset / f"documents/day={manifest.day}/{name}.parquet"
    table = parquet.read_table(file)
    rows = [{**row, "json": json.encode({**json.decode(row["json"]), "end": end})} for row in table.to_pylist()]
    parquet.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    sizes = {**manifest.files, str(file.relative_to(dataset)): file.stat().st_size}
    (dataset / f"manifest/{name}.json").write_bytes(json.encode(replace(manifest, files=sizes)))
    (dataset / "linked.json").unlink()
    ((source, why),) = scan(captures).damaged
    assert (source, why.startswith("in the dataset: is damaged: ")) == (str(capture), True)
    done = scan(captures)
    assert (done.captures_done, done.damaged) == (1, [])
    assert documents(dataset) == expected


@pytest.mark.parametrize("table", ["traces", "documents", "connections"])
@pytest.mark.parametrize("size", [None, 0, 500])
def test_a_capture_whose_files_are_damaged_is_read_again(
    captures: Path, scan: Callable[..., Scan], tmp_path: Path, table: str, size: int | None
) -> None:
    scan(captures)
    dataset = tmp_path / "dataset"
    expected = documents(dataset), files(dataset)
    damaged = next(dataset.glob(f"{table}/*/*"))
    if size is None:
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:size])
    assert scan(captures).captures_done == 1
    assert (documents(dataset), files(dataset)) == expected
    assert scan(captures).captures_done == 0


@pytest.mark.parametrize("size", [None, 0, 500])
def test_damage_of_other_captures_is_said_and_holds_nothing_up(
    captures: Path, scan: Callable[..., Scan], tmp_path: Path, size: int | None
) -> None:
    """Links are made without it; the next scan that names the capture reads it again."""
    *others, last = sorted(captures.iterdir())
    scan(*others)
    dataset = tmp_path / "dataset"
    damaged = dataset / next(name for name in dict(ordered(dataset))[_id(dataset, others[0])].files if "traces" in name)
    if size is None:
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:size])
    done = scan(last)
    ((source, why),) = done.damaged
    assert source == str(others[0])
    assert why.startswith("in the dataset: is damaged: " if size is not None else "in the dataset: a file is missing")
    assert why.endswith(": scan it again")
    done = scan(captures)
    assert (done.captures_done, done.damaged, done.failures) == (1, [], [])
    assert len({one["source"] for one in documents(dataset)}) == len(NAMES)


def _id(dataset: Path, capture: Path) -> str:
    return manifest_of(dataset, capture.stem).stem


def test_the_files_of_a_damaged_manifest_stay(captures: Path, scan: Callable[..., Scan], tmp_path: Path) -> None:
    scan(captures)
    dataset = tmp_path / "dataset"
    manifest, before = manifest_of(dataset, "tls13-full"), files(dataset)
    manifest.write_bytes(manifest.read_bytes()[:50])
    done = scan(captures / "tls13-resumed.pcap")
    assert done.damaged == [(f"manifest/{manifest.name}", "is damaged: scan its capture again")]
    assert files(dataset) == before
    assert (scan(captures).captures_done, files(dataset)) == (1, before)


def test_datasets_in_a_folder_are_no_captures(client: Any, captures: Path) -> None:
    inside = captures / "results" / "dataset"
    for read in (len(NAMES), 0):
        done = Scan(Plan(Store(str(inside)), Options(), Selection()), find_sources([str(captures)])[0])
        with done._plan.store.claimed({}):
            done.read(client)
        assert (done.captures_done, done.others) == (read, 0)
    for empty in (inside, inside / "none"):
        empty.mkdir(exist_ok=True)
        assert find_sources([str(empty)]) == ([], [(str(empty), "has no files in it, besides those of datasets")])
        if empty != inside:
            empty.rmdir()


def test_two_scans_of_one_capture_are_two_tasks(client: Any, captures: Path, tmp_path: Path) -> None:
    """Also at the same time, by the same scheduler."""
    sources, _ = find_sources([str(captures)])
    scans = [Scan(Plan(Store(str(tmp_path / to)), Options(), Selection()), sources) for to in "ab"]
    tasks = [one._submit(client, as_task(client, one._plan), sources[0]) for one in scans]
    distributed.wait(tasks)
    assert all((tmp_path / to / MANIFESTS / f"{sources[0].id}.json").exists() for to in "ab")


def test_names_with_slashes_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd" / "a:").mkdir(parents=True)
    shutil.copy(ROOT / "samples" / "tls12-full.pcap", tmp_path / "odd" / "a:")
    ((source,), refused) = find_sources(["odd/a://tls12-full.pcap"])
    assert (source.name, refused) == (f"{tmp_path}/odd/a:/tls12-full.pcap", [])


def test_what_a_server_does_not_give_has_a_reason() -> None:
    url = "http://127.0.0.1:1/x.pcap"
    (((name, why),)) = find_sources([url])[1]
    assert name == url
    assert "Connect" in why
