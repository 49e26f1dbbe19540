"""Datasets that somebody else wrote: a command names the file that it cannot use, and ends with no internal error."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from commands import run
from datasets import run_scan
from pyarrow import parquet
from recorded import ROOT

import tlsdissect
from tlsdissect.corpus.documents import SCHEMA, damage_named, read_connection
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Place = tuple[str | int, ...]

CAPTURES = ("tls12-client-cert", "tls13-resumed", "network/network-failures", "quic/quic-retry", "dtls/dtls12-full",
            "eap/radius-tls-tls12", "talk/httpd-8892-revoked-tls12")  # fmt: skip
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("read", "--format", "json"), ("read", "--findings"), ("read", "--format", "csv"), ("summary", "--format", "json"),
    ("compare", "--all", "--format", "json"), ("certs", "--quiet"), ("cbom",), ("explain",),
    ("query", "SELECT * FROM connections", "--format", "json"),
)  # fmt: skip
"""Commands that read different facts. `report` and `plot` are left out: they take longer than all of these together."""
DEEP = json.loads("[" * 40 + "]" * 40)
TEXTS = (
    "",
    "x",
    "\x1b]0;",
    "-1",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "\u202e",
    "2020-01-01",
    "0",
)
NUMBERS = (-1, 0, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, -(1 << 63), 1 << 64, 10**30)
VALUES: dict[type, tuple[Any, ...]] = {
    str: (*TEXTS, None, 5),
    bool: (True, False, None, "x"),
    int: (*NUMBERS, None, 1.5, "x"),
    float: (-1.5, 1e308, 5e-324, 10**30, None, "x"),
    list: ([], DEEP, None, {}, "x", [None], [""], [5], [{}]),
    dict: ({}, {"x": DEEP}, None, [], "x"),
    type(None): ("", 5, [], {}, True, 1.5),
}
"""What takes the place of a value of each type."""
OTHER_TYPES = "has columns of unexpected types"
TOO_MANY = b'{"captures":1,"digest":"","evicted_sessions":1000000000000000000000000000000}'
SEED, MUTATIONS = 7, 60


class Dataset:
    """A dataset on disk, and how one of its files is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def manifest(self) -> Path:
        """The manifest of the capture in which a client shows a certificate."""
        (file,) = (one for one in self.folder.glob("manifest/*.json") if "tls12-client-cert" in one.read_text())
        return file

    def documents(self) -> Path:
        """The file of its connections."""
        (file,) = self.folder.glob(f"documents/*/{self.manifest().stem}.parquet")
        return file

    def change_rows(self, change: Callable[[list[dict[str, Any]]], None], schema: pa.Schema = SCHEMA) -> Path:
        """Change the rows of that file, and return its path."""
        file = self.documents()
        rows = parquet.read_table(file).to_pylist()
        change(rows)
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), file)
        return file

    def change_connection(self, change: Callable[[dict[str, Any]], object]) -> Path:
        """Change the first connection of that file."""

        def of(rows: list[dict[str, Any]]) -> None:
            connection = json.loads(rows[0]["json"])
            change(connection)
            rows[0]["json"] = json.dumps(connection).encode()

        return self.change_rows(of)

    def change_manifest(self, change: Callable[[dict[str, Any]], object]) -> Path:
        """Change that manifest."""
        file = self.manifest()
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        return file


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scanned")
    (folder / "captures").mkdir()
    for name in CAPTURES:
        shutil.copy(ROOT / "samples" / f"{name}.pcap", folder / "captures")
    done = run_scan(folder / "captures", "--to", folder / "dataset", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return folder / "dataset"


@pytest.fixture
def dataset(scanned: Path, tmp_path: Path) -> Dataset:
    return Dataset(shutil.copytree(scanned, tmp_path / "dataset"))


def set_to(value: Any, *path: str | int) -> Callable[[Any], None]:
    """Return the function that sets a value in JSON."""

    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        (10**30, ("bytes",), "Expected `int` <= 9223372036854775807 - at `$.bytes`"),
        (1 << 63, ("client", "port"), "Expected `int` <= 9223372036854775807 - at `$.client.port`"),
        (1e300, ("timing", "handshake_ms"), "Expected `float` <= 9223372036854.775 - at `$.timing.handshake_ms`"),
        ("yesterday", ("start",), "- at `$.start`"),
        ("2026-13-01T00:00:00Z", ("end",), "month must be in 1..12"),
        ("\x1b]0;own\x07", ("outcome",), r"Invalid enum value '\x1b]0;own\x07' - at `$.outcome`"),
        ("0x05", ("certificates", 0, "serial"), "- at `$.certificates[0].serial`"),
        ("ab", ("certificates", 0, "sha256"), "- at `$.certificates[0].sha256`"),
        ("later", ("certificates", 0, "not_after"), "- at `$.certificates[0].not_after`"),
        ("abc", ("client_hello", "random"), "- at `$.client_hello.random`"),
        ([], ("client_hello", "extensions", 0), "its type, code or bytes is missing"),
        ("1", ("client_hello", "extensions", 0, "code"), "its type, code or bytes is missing"),
        (DEEP, ("client_hello", "extensions", 0, "names"), "it is nested too deeply"),
        (1 << 64, ("client_hello", "extensions", 0, "names"), "18446744073709551616 is out of range"),
        ("quic", ("transport",), "quic is missing"),
        ([], ("findings",), "findings are not allowed in a dataset"),
        (None, ("messages",), "messages"),
    ],
)
def test_a_value_that_no_capture_has_is_named_with_its_file(
    dataset: Dataset, value: Any, path: Place, why: str
) -> None:
    file = dataset.change_connection(set_to(value, *path))
    done = run("read", "--format", "json", dataset.folder)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()[:1]
    assert f"{file}: is damaged: " in line
    assert why in line
    assert done.stdout.count(b"\n") > 5


def without(name: str) -> pa.Schema:
    return pa.schema([field for field in SCHEMA if field.name != name])


def retyped(name: str, kind: pa.DataType) -> pa.Schema:
    return pa.schema([field.with_type(kind) if field.name == name else field for field in SCHEMA])


def numbered(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Return the function that gives all rows one value in a column."""

    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row[name] = value

    return change


@pytest.mark.parametrize(
    ("name", "value", "schema", "why"),
    [
        ("json", None, SCHEMA, "is damaged"),
        ("json", b"[" * 100_000, SCHEMA, "is damaged"),
        ("json", b'{"a\xff":1}', SCHEMA, "is damaged"),
        ("json", b"", SCHEMA, "is damaged"),
        ("json", "{}", retyped("json", pa.string()), OTHER_TYPES),
        ("json", None, without("json"), "is damaged"),
        ("kind", None, SCHEMA, "is damaged"),
        ("kind", 5, retyped("kind", pa.int64()), OTHER_TYPES),
        ("times", b'{"hello":1e400}', SCHEMA, "is damaged"),
        ("times", b'{"hello":1000000000000000000000,"shown":1,"flight":1,"reply":1}', SCHEMA, "is damaged"),
        ("encodings", None, SCHEMA, "is damaged"),
        ("encodings", [None], SCHEMA, "is damaged"),
        ("encodings", [[b"x"]], retyped("encodings", pa.list_(pa.list_(pa.binary()))), OTHER_TYPES),
        ("encodings", b"x", retyped("encodings", pa.binary()), OTHER_TYPES),
    ],
)
def test_rows_of_another_kind_are_named_with_their_file(
    dataset: Dataset, name: str, value: Any, schema: pa.Schema, why: str
) -> None:
    file = dataset.change_rows(numbered(name, value), schema)
    done = run("read", "--findings", "--format", "json", dataset.folder)
    assert done.returncode == 2
    assert f"{file}: {why}".encode() in done.stderr
    assert done.stdout.count(b"\n") > 5


@pytest.mark.parametrize("part", range(12))
def test_a_file_that_is_cut_or_changed_never_ends_as_an_internal_error(dataset: Dataset, part: int) -> None:
    file, chance = dataset.documents(), random.Random(part)  # noqa: S311 (to try)
    content = bytearray(file.read_bytes())
    if part < 4:
        del content[len(content) * part // 4 :]
    for _ in range(part):
        # What says how the rows lie comes last.
        content[-chance.randrange(1, min(len(content), 3000))] = chance.randrange(256) if content else 0
    file.write_bytes(content)
    done = run("read", "--findings", "--format", "json", dataset.folder)
    assert done.returncode in {0, 2}
    assert done.returncode == 0 or str(file).encode() in done.stderr


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (10**30, ("summary", "connections")),
        (1 << 62, ("summary", "frames")),
        ([["TLS 1.3", 1 << 62]], ("summary", "versions")),
        ([[1]], ("summary", "spans")),
        ({"x": -(1 << 62)}, ("summary", "not_tls")),
        (None, ("summary",)),
    ],
)
def test_totals_that_no_capture_has_are_refused(dataset: Dataset, value: Any, path: Place) -> None:
    dataset.change_manifest(set_to(value, *path))
    done = run("summary", "--format", "json", dataset.folder)
    assert done.returncode == 2
    assert b"the totals in its manifest are damaged" in done.stderr


@pytest.mark.parametrize("value", [10**30, "x", {}, DEEP])
def test_a_manifest_that_no_scan_writes_is_named(dataset: Dataset, value: Any) -> None:
    file = dataset.change_manifest(set_to(value, "first"))
    done = run("summary", dataset.folder)
    assert done.returncode == 2
    assert f"{file}: is damaged".encode() in done.stderr


@pytest.mark.parametrize("name", ["dataset.json", "linked.json"])
@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b"null", TOO_MANY])
def test_other_files_of_a_dataset_may_contain_anything(dataset: Dataset, name: str, content: bytes) -> None:
    (dataset.folder / name).write_bytes(content)
    done = run("summary", "--format", "json", dataset.folder)
    assert done.returncode == (2 if name == "dataset.json" else 0)


def places(value: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield the places of JSON, and what is there; of a list, the first two."""
    yield path, value
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value[:2])
        for key, one in inside:
            yield from places(one, (*path, key))


def test_mutated_connections_end_no_command_as_an_internal_error(dataset: Dataset) -> None:
    """Each command reads a dataset in which each capture has one mutated connection."""
    chance = random.Random(SEED)  # noqa: S311 (to try)
    originals = [
        (json.loads((dataset.folder / "manifest" / f"{file.stem}.json").read_text()), row)
        for file in sorted(dataset.folder.glob("documents/*/*.parquet"))
        for row in parquet.read_table(file).to_pylist()
    ]
    for folder in ("documents", "manifest"):
        shutil.rmtree(dataset.folder / folder)
        (dataset.folder / folder).mkdir()
    tried = []
    for number in range(MUTATIONS):
        manifest, row = chance.choice(originals)
        content = json.loads(row["json"])
        path, value = chance.choice([*places(content)][1:])
        new = chance.choice(VALUES[type(value)])
        tried.append((path, new))
        set_to(new, *path)(content)
        name = f"{number:032x}"
        documents = dataset.folder / "documents" / f"day={manifest['day']}" / f"{name}.parquet"
        documents.parent.mkdir(exist_ok=True)
        rows = [{**row, "json": json.dumps(content).encode()}]
        parquet.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), documents)
        (dataset.folder / "manifest" / f"{name}.json").write_text(json.dumps(manifest))
    for command in COMMANDS:
        done = run(*command, dataset.folder)
        assert done.returncode in {0, 2}, (command, done.stderr[-300:], tried)


def test_what_a_reading_returns_is_plausible() -> None:
    line = Ndjson().row
    for sample in ("", "network", "quic", "dtls", "eap"):
        for connection in tlsdissect.read(*(ROOT / "samples" / sample).glob("*.pcap")):
            assert line(read_connection(line(connection))) == line(connection)


def test_a_file_is_not_called_damaged_because_memory_is_short() -> None:
    with pytest.raises(MemoryError), damage_named():
        raise pa.ArrowMemoryError("malloc of size 534780352 failed")
