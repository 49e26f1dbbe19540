"""CSV: what is written is read back, and no cell is run by a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made
from msgspec.structs import replace
from recorded import ROOT, SAMPLES

import tlsdissect
from tlsdissect.corpus import json_keys
from tlsdissect.corpus.load_csv import load_csv
from tlsdissect.model.connection import Alert, Connection, Endpoint, Origin, Timing
from tlsdissect.views.columns import COLUMNS
from tlsdissect.views.csv import Csv, cell

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "\tx",
    "\rx",
    "'quoted",
    "''",
    "'",
    'a "b", c',
    "two\nlines",
    "two\r\nlines",
    "\\x00\\xff",
    "café\u202e",
    " spaces ",
    "\0",
    "[1]",
    "true",
    "007",
]
# Line ends that only Unicode knows, and all other text that UTF-8 can say; no fact is the empty text.
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def written(*connections: Connection, **options: Any) -> str:
    view = Csv(**options)
    return (view.head + b"".join(view.row(one) for one in connections)).decode()


def read_back(*connections: Connection, **options: Any) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(written(*connections, **options).encode())
        return load_csv(path)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Take nested objects apart as the contract says; a nested null has no columns of its own to compare."""
    if not isinstance(value, dict):
        return {name: value}
    return {key: one for part, inner in value.items() for key, one in flat(inner, f"{name}_{part}".strip("_")).items()}


def facts(connection: Connection) -> dict[str, Any]:
    return flat(msgspec.json.decode(msgspec.json.encode(connection)))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_read_back(path: Path) -> None:
    connections = list(tlsdissect.read(path))
    rows = read_back(*connections)
    assert len(rows) == len(connections)
    for row, connection in zip(rows, connections, strict=True):
        told = facts(connection)
        assert {name: value for name, value in told.items() if row.get(name) != value} == {}
        assert {name for name, value in row.items() if value is not None} <= set(told)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_reads_back_and_starts_no_formula(text: str) -> None:
    connection = made(sni=text, source=text, resumes=Origin(text, 3), alerts=(Alert("client", text, text, 1),))
    (row,) = read_back(connection)
    assert (row["sni"], row["source"], row["resumes_source"]) == (text, text, text)
    assert row["alerts"] == [{"from": "client", "level": text, "description": text, "frame": 1}]
    _, cells = csv.reader(io.StringIO(written(connection), newline=""))
    assert not any(one.startswith(("=", "+", "-", "@", "\t", "\r")) for one in cells)


@given(TEXT, TEXT)
def test_any_text_reads_back(one: str, other: str) -> None:
    (row,) = read_back(made(sni=one, upgrade_target=other))
    assert (row["sni"], row["upgrade_target"]) == (one, other)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**63), st.booleans() | st.none())
def test_any_number_reads_back(milliseconds: float, number: int, flag: bool | None) -> None:
    timing = Timing(handshake_ms=milliseconds, split_path=flag)
    (row,) = read_back(made(timing=timing, bytes=number, secure_renegotiation=flag))
    assert math.copysign(1, row["timing_handshake_ms"]) == math.copysign(1, milliseconds)
    assert (row["timing_handshake_ms"], row["bytes"]) == (milliseconds, number)
    assert row["timing_split_path"] is row["secure_renegotiation"] is flag


def test_numbers_get_no_quote() -> None:
    assert [cell(value) for value in (-1, -0.5, True, None, (), ("a",))] == ["-1", "-0.5", "true", "", "[]", '["a"]']


def test_seen_and_empty_is_told_from_not_seen() -> None:
    rows = read_back(made(certificates=()), made(certificates=None))
    assert [row["certificates"] for row in rows] == [[], None]


def test_the_columns_are_those_of_every_capture() -> None:
    names = written().strip("\r\n").split(",")
    assert len(names) == len(set(names))
    assert written(made()).splitlines()[0].split(",") == names
    assert {"client_ip", "timing_handshake_ms", "client_hello_cipher_suites", "problems"} <= set(names)
    assert not {"ja3_string", "ja3n", "ja4_r"} & set(names)
    raw = written(raw_fingerprints=True).strip("\r\n").split(",")
    assert set(raw) - set(names) == {"ja3_string", "ja3n", "ja4_r"}
    assert raw == [column.name for column in COLUMNS]


def test_columns_that_were_asked_for_read_back() -> None:
    told = {
        "client.port": 39_898,
        "timing.tcp_ms": 0.036,
        "client": "[::1]:39898",
        "open": False,
        "certificates.0.dns_names": ["localhost"],
        "certificates.key_bits": [2048, 2048],
        "certificates.7.subject": None,
    }
    (connection,) = tlsdissect.read(ROOT / "samples" / "tls12-full.pcap")
    (row,) = read_back(connection, asked=[json_keys.column(name) for name in told])
    assert row == told


def test_raw_fingerprints_read_back() -> None:
    (row,) = read_back(made(ja3_string="771,1-2,,,", ja3n=None, ja4_r="-x"), raw_fingerprints=True)
    assert (row["ja3_string"], row["ja3n"], row["ja4_r"]) == ("771,1-2,,,", None, "-x")


def test_quoting_is_that_of_the_csv_module() -> None:
    for text in HOSTILE:
        view = made(sni=text, source="a,b")
        cells = next(csv.reader(io.StringIO(written(view).partition("\r\n")[2], newline="")))
        expected = io.StringIO(newline="")
        csv.writer(expected).writerow(cells)
        assert expected.getvalue() == written(view).partition("\r\n")[2]


def test_lines_end_as_the_rfc_says() -> None:
    text = written(made(), made())
    assert text.count("\r\n") == 3
    assert text.replace("\r\n", "").count("\n") == 0


def test_what_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "saved.csv"
    path.write_text("\ufeffstream,note,sni\n7,'=x,\n", encoding="utf-8")
    assert load_csv(path) == [{"stream": 7, "note": "=x", "sni": None}]
    path.write_text("")
    assert load_csv(path) == []


def test_large_cells_are_read_back() -> None:
    before = csv.field_size_limit()
    names = tuple(f"name-{number}.example.com" for number in range(20_000))
    (certificate, *_) = made().certificates or ()
    (row,) = read_back(made(certificates=(replace(certificate, dns_names=names),)))
    assert row["certificates"][0]["dns_names"] == list(names)
    assert csv.field_size_limit() == before


def test_addresses_are_two_columns() -> None:
    (row,) = read_back(made(client=Endpoint("2001:db8::1", 50_000)))
    assert (row["client_ip"], row["client_port"]) == ("2001:db8::1", 50_000)
