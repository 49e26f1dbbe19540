"""`tlsdissect export` and `tlsdissect.tables`: the same facts, taken apart."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from commands import run
from msgspec.structs import replace
from pyarrow import parquet
from recorded import ROOT

import tlsdissect
from tlsdissect.views.dataframes import Tables
from tlsdissect.views.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "samples"
TALK = str(SAMPLES / "talk")
NAMES = [table.name for table in TABLES]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    for form in ("csv", "json", "parquet"):
        done = run("export", TALK, "--to", str(folder), "--format", form)
        assert done.returncode == 0, done.stderr
        assert done.stdout == b""
    return folder


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    lines = run("read", TALK, "--format", "json", "--findings").stdout.splitlines()
    return [json.loads(line) for line in lines]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def keyed(told: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows that a list of each connection makes."""
    return [
        {"source": one["source"], "transport": "tcp", "stream": one["stream"], "position": position}
        | {"sender" if key == "from" else key: value for key, value in item.items()}
        for one in told
        for position, item in enumerate(one[name] or ())
    ]


def test_connections_are_what_read_tells(exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "read.csv"
    run("read", TALK, "--findings", "-o", str(file))
    assert (exported / "connections.csv").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("name", ["messages", "alerts", "findings"])
def test_lists_are_rows(exported: Path, told: list[dict[str, Any]], name: str) -> None:
    opened = {} if name == "findings" else {"with_keys": False}
    assert lines(exported / f"{name}.json") == [row | opened for row in keyed(told, name)] != []


def test_what_only_keys_show_is_marked(tmp_path: Path) -> None:
    sample = ROOT / "samples" / "tls13-client-cert.pcap"
    keys = str(sample.with_suffix(".keys"))
    run("export", str(sample), "--keylog", keys, "--format", "json", "--to", str(tmp_path))
    assert [row["with_keys"] for row in lines(tmp_path / "certificates.json")] == [True] * 3
    messages = [(row["type"], row["with_keys"]) for row in lines(tmp_path / "messages.json")]
    assert messages[0] == ("client_hello", False)
    assert messages[-1] == ("alert", True)
    assert ("certificate_request", True) in messages
    assert [row["description"] for row in lines(tmp_path / "alerts.json")] == ["close_notify", "close_notify"]
    (connection,) = lines(tmp_path / "connections.json")
    assert connection["certificates"] is None
    assert connection["keys_origin"] == "keylog"


def test_certificates_are_rows(exported: Path, told: list[dict[str, Any]]) -> None:
    shown = [
        {
            "source": one["source"],
            "transport": "tcp",
            "stream": one["stream"],
            "sender": sender,
            "position": position,
            **certificate,
            "with_keys": False,
        }
        for one in told
        for sender, name in (("server", "certificates"), ("client", "client_certificates"))
        for position, certificate in enumerate(one[name] or ())
    ]
    assert lines(exported / "certificates.json") == shown
    assert {row["sender"] for row in shown} == {"client", "server"}


def test_extensions_are_rows(exported: Path, told: list[dict[str, Any]]) -> None:
    rows = [
        (one["stream"], sender, extension)
        for one in told
        for sender in ("client", "server")
        for extension in (one[f"{sender}_hello"] or {"extensions": ()})["extensions"]
    ]
    exported_rows = [
        (
            row["stream"],
            row["sender"],
            {**{name: row[name] for name in ("type", "code", "bytes")}, **(row["fields"] or {})},
        )
        for row in lines(exported / "extensions.json")
    ]
    assert exported_rows == rows


@pytest.mark.parametrize("name", [*NAMES, "comparison"])
def test_csv_gives_every_value_back(exported: Path, name: str) -> None:
    assert tlsdissect.load_csv(exported / f"{name}.csv") == lines(exported / f"{name}.json")


TIMES = ("start", "end", "not_before", "not_after", "this_update", "next_update", "produced_at", "revocation_time")


def as_json(value: Any) -> Any:
    """What Parquet holds, as JSON has it: times as text, in seconds, and the fields of extensions as their own."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}"
    if isinstance(value, list):
        return [as_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    fields = json.loads(value.pop("fields", None) or "{}") if "code" in value else {}
    return {key: as_json(one) for key, one in value.items()} | fields


def in_seconds(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [in_seconds(one) for one in value]
    if isinstance(value, dict):
        return {key: in_seconds(one, key) for key, one in value.items()}
    return value[:19] if isinstance(value, str) and name.endswith(TIMES) else value


@pytest.mark.parametrize("name", [*NAMES, "comparison"])
def test_parquet_holds_the_same(exported: Path, name: str) -> None:
    rows = parquet.read_table(exported / f"{name}.parquet").to_pylist()
    plain = [in_seconds(row) for row in lines(exported / f"{name}.json")]
    if name == "extensions":
        rows = [{**row, "fields": json.loads(row["fields"] or "null")} for row in rows]
        assert rows == plain
    else:
        assert [as_json(row) for row in rows] == plain


def test_parquet_has_times_and_lists_as_such(exported: Path) -> None:
    schema = parquet.read_schema(exported / "connections.parquet")
    assert str(schema.field("start").type) == "timestamp[ns, tz=UTC]"
    certificate = schema.field("certificates").type.value_type
    assert str(certificate.field("not_after").type) in ("timestamp[s, tz=UTC]", "timestamp[ms, tz=UTC]")
    assert str(certificate.field("dns_names").type) == "list<element: string>"
    (sender, *_) = schema.field("alerts").type.value_type
    assert sender.name == "from"
    (first, *_) = parquet.read_table(exported / "connections.parquet", columns=["start"]).to_pylist()
    assert first["start"].utcoffset() == timedelta()


@pytest.mark.parametrize("name", [*NAMES, "comparison"])
def test_arrow_is_what_parquet_has(exported: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = tlsdissect.tables(TALK, findings=True).arrow(name)
    assert made.to_pylist() == parquet.read_table(exported / f"{name}.parquet").to_pylist()


def test_arrow_of_a_table_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no table is called 'connection'; there are connections, certificates"):
        tlsdissect.tables(ROOT / TALK).arrow("connection")


def test_every_data_frame_can_be_saved(tmp_path: Path) -> None:
    """pyarrow, to which pandas hands its frames, knows neither structs nor fields of several types."""
    made = tlsdissect.tables(*(ROOT / "samples").rglob("*.pcap"), findings=True)
    for name in (*NAMES, "comparison"):
        getattr(made, name).to_parquet(tmp_path / name)
        assert len(parquet.read_table(tmp_path / name)) == len(getattr(made, name)) > 0
    (one, *_) = made.connections["client_hello_extensions"].dropna()
    assert {"type", "code", "bytes", "fields"} == one[0].keys()
    assert made.connections["certificates"].dropna().iloc[0][0]["is_ca"] is False
    assert isinstance(json.loads(made.extensions["fields"].dropna().iloc[0]), dict)
    assert json.loads(made.connections["quic_transport_parameters"].dropna().iloc[0])["initial_max_data"] > 0


def test_arrow_of_times_and_names_that_are_unusual() -> None:
    (one,) = tlsdissect.read(ROOT / "samples/tls12-client-cert-missing.pcap")
    (leaf, *_) = one.certificates or ()
    leaf = replace(leaf, not_before="0000-01-01T00:00:00Z", not_after="9999-12-31T23:59:59Z")
    odd = replace(one, source="caf\udce9", start="2026-01-01T00:00:00Z", end=None, certificates=(leaf,))
    made = Tables(lambda: [odd])
    (row,) = made.arrow("connections").to_pylist()
    assert (row["source"], row["start"].microsecond, row["end"]) == ("caf\\xe9", 0, None)
    assert row["certificates"][0]["not_before"] is None
    assert row["certificates"][0]["not_after"].year == 9999
    assert Tables(list).arrow("messages").num_rows == 0


def test_files_that_are_there_are_kept(exported: Path) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    done = run("export", TALK, "--to", str(exported))
    assert done.returncode == 2
    assert b"connections.csv already exists" in done.stderr
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = run("export", TALK, "--to", str(tmp_path / "file" / "tables"))
    assert done.returncode == 74
    assert len(done.stderr.splitlines()) == 1


def test_names_of_files_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = tmp_path / "=cmd()<script>\u202e.pcap"
    hostile.write_bytes((SAMPLES / "tls12-full.pcap").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert tlsdissect.tables(hostile.name).connections["source"].tolist() == [hostile.name]


def test_frames_are_typed(told: list[dict[str, Any]]) -> None:
    t = tlsdissect.tables(TALK)
    assert t.connections["stream"].dtype == "Int64"
    assert t.connections["complete"].dtype == "boolean"
    assert t.connections["version"].dtype == "category"
    assert str(t.connections["start"].dtype) == "datetime64[ns, UTC]"
    assert str(t.certificates["not_after"].dtype) == "datetime64[s, UTC]"
    assert t.connections["round_trips"].tolist() == [
        pd.NA if one["round_trips"] is None else one["round_trips"] for one in told
    ]
    assert [one.isoformat() for one in t.connections["start"]] == [
        pd.Timestamp(one["start"]).isoformat() for one in told
    ]
    assert len(t.messages) == sum(len(one["messages"]) for one in told)
    joined = t.certificates.merge(t.connections, on=["source", "stream"], suffixes=("", "_c"))
    assert len(joined) == len(t.certificates)
    assert set(t.comparison["version"].dropna()) == {"TLS 1.2", "TLS 1.3"}


def test_a_certificate_may_last_for_ever() -> None:
    from tlsdissect.views.dataframes import _series
    from tlsdissect.views.tables import TABLES as ALL

    (column,) = (column for column in ALL[1].columns if column.name == "not_after")
    series = _series(column, ["9999-12-31T23:59:59Z", None, "0001-01-01T00:00:00Z"])
    assert [None if pd.isna(one) else one.year for one in series] == [9999, None, 1]


def test_frames_of_nothing_have_their_columns(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes((SAMPLES / "tls12-full.pcap").read_bytes()[:24])
    t = tlsdissect.tables(empty)
    for table in TABLES:
        frame = getattr(t, table.name)
        assert len(frame) == 0
        assert list(frame.columns) == [column.name for column in table.columns]


def test_formulas_are_guarded(tmp_path: Path) -> None:
    row = [["=cmd()", "tcp", 1, 0, "client", "fatal", "@x", 3]]
    from tlsdissect.views.csv import CsvRows

    written: list[bytes] = []
    writer = CsvRows(TABLES[4], written.append)
    writer.add(row[0])
    (tmp_path / "a.csv").write_bytes(b"".join(written))
    with (tmp_path / "a.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["source"] == "'=cmd()"
    assert tlsdissect.load_csv(tmp_path / "a.csv")[0]["source"] == "=cmd()"


@pytest.mark.parametrize(("names", "files"), [("zeek", {"ssl", "x509"}), ("ecs", {"ecs"}), ("tshark", {"tshark"})])
def test_names_of_other_tools(tmp_path: Path, names: str, files: set[str]) -> None:
    for form in ("csv", "json", "parquet"):
        done = run("export", TALK, "--names", names, "--format", form, "--to", str(tmp_path / form))
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (tmp_path / form).iterdir()} == {f"{name}.{form}" for name in files}
    for name in files:
        told = lines(tmp_path / "json" / f"{name}.json")
        assert told
        assert tlsdissect.load_csv(tmp_path / "csv" / f"{name}.csv") == told
        assert len(pd.read_parquet(tmp_path / "parquet" / f"{name}.parquet")) == len(told)


def test_a_table_without_an_end_is_abandoned(capfd: pytest.CaptureFixture[str]) -> None:
    script = """
import pyarrow
from tlsdissect.views.parquet import ParquetFile

written = []

def write(data):
    if written is None:
        raise ValueError("closed")
    written.append(data)

file = ParquetFile(pyarrow.schema({"a": pyarrow.int64()}), write)
file.add(pyarrow.table({"a": [1]}))
written = None
del file
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)
    assert capfd.readouterr() == ("", "")
