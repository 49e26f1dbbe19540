"""Datasets that `scan` wrote, read back, and compared with a serial run."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from commands import run
from forking import program
from pyarrow import concat_tables, parquet
from recorded import ROOT

from tlsdissect.corpus.dataset import MANIFESTS, Manifest, in_order
from tlsdissect.corpus.scanning import SCANNED_TABLES
from tlsdissect.corpus.store import Store

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 300
"""What a scan may take, with the start of its workers."""
TABLES = [table.name for table in SCANNED_TABLES]


def run_scan(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run `scan` as a process, which is a fork."""
    command = [program(), "scan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, cwd=ROOT, timeout=SECONDS, check=False)


def ordered(dataset: Path) -> list[tuple[str, Manifest]]:
    """The manifests of a dataset and their names, in its order."""
    return sorted(Store(str(dataset)).manifests(MANIFESTS).items(), key=in_order)


def rows(dataset: Path, name: str) -> Any:
    """All rows of a table, in the order of the dataset."""
    files = [
        dataset / file for _, one in ordered(dataset) for file in one.files if file.startswith(f"{name}/day={one.day}/")
    ]
    return concat_tables([parquet.ParquetFile(file).read() for file in files])


def documents(dataset: Path) -> list[dict[str, Any]]:
    """The connections of a dataset, as `read --format json` prints them."""
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
