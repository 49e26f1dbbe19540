"""`tlsdissect scan`: captures into a dataset, by real workers of Dask on loopback."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from commands import run, run_process
from pyarrow import concat_tables, parquet
from recorded import ROOT

from tlsdissect.capture.inputs import find_inputs
from tlsdissect.corpus.dataset import MANIFESTS
from tlsdissect.corpus.scan import in_order
from tlsdissect.corpus.scanning import SCANNED_TABLES
from tlsdissect.corpus.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.corpus.store import Manifest

SAMPLES = ROOT / "samples"
NAMES = ("tls12-full", "tls12-resumed-ticket", "tls13-resumed", "tls13-early-data", "network/network-failures")
TABLES = [table.name for table in SCANNED_TABLES]


def captures(folder: Path) -> Path:
    """A folder of captures, of which one resumes a session of another, and of files that are none."""
    folder.mkdir()
    for name in NAMES:
        shutil.copy(SAMPLES / f"{name}.pcap", folder)
    (folder / "again").mkdir()
    shutil.copy(SAMPLES / "tls12-resumed-ticket.pcap", folder / "again")
    (folder / "notes.txt").write_text("no capture")
    return folder


def ordered(dataset: Path) -> list[tuple[str, Manifest]]:
    return sorted(Store(str(dataset)).manifests(MANIFESTS).items(), key=in_order)


def rows(dataset: Path, name: str) -> Any:
    """All rows of a table, in the order of the dataset."""
    files = [
        dataset / file for _, one in ordered(dataset) for file in one.files if file.startswith(f"{name}/day={one.day}/")
    ]
    # Hive's partition is not a column of the file.
    return concat_tables([parquet.ParquetFile(file).read() for file in files])


def documents(dataset: Path) -> list[dict[str, Any]]:
    return [json.loads(row["json"]) for row in rows(dataset, "documents").to_pylist() if row["kind"] == "connection"]


def check_like_serial(dataset: Path, sources: list[str], folder: Path) -> None:
    """Check that the rows are those of `read` and `export` over the same captures in the same order."""
    told = run("read", "--format", "json", *sources)
    assert documents(dataset) == [json.loads(line) for line in told.stdout.splitlines()] != []
    run("export", "--format", "parquet", "--to", str(folder), *sources)
    for name in TABLES:
        exported = parquet.ParquetFile(folder / f"{name}.parquet").read()
        if name == "connections":
            exported = exported.drop_columns(["findings"])
        assert rows(dataset, name).select(exported.column_names).to_pylist() == exported.to_pylist(), name


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `captures` and their `dataset`."""
    folder = tmp_path_factory.mktemp("scanned")
    captures(folder / "captures")
    done = run_process("scan", folder / "captures", "--to", folder / "dataset", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b"6 captures read, 20 connections; 1 file without a capture\n"
    return folder


def test_rows_are_those_of_a_serial_run(scanned: Path, tmp_path: Path) -> None:
    inputs = find_inputs([str(scanned / "captures")]).files
    sources = [one.path for one in inputs if not one.path.endswith(".txt")]
    assert [one.source for _, one in ordered(scanned / "dataset")] == sources
    check_like_serial(scanned / "dataset", sources, tmp_path / "tables")
    resumed = [one for one in documents(scanned / "dataset") if one["resumes"]]
    assert any(one["resumes"]["source"] != one["source"] for one in resumed)
