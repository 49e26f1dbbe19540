"""`tlsdissect query` and `tlsdissect.query`: SQL over the tables, which can reach nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from commands import TLS12, run
from recorded import ROOT

from tlsdissect.views.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path


TALK = str(ROOT / "samples" / "talk")
LARGE = "SELECT a FROM range(3000000) t(a) ORDER BY hash(a)"
ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r"


def rows(sql: str, *arguments: str) -> list[dict[str, Any]]:
    """The rows of a result."""
    done = run("query", sql, *arguments, "--format", "json", "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(sql: str, *arguments: str) -> str:
    """What is said of a query that is refused."""
    done = run("query", sql, *(arguments or (TLS12,)))
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    return line.removeprefix("tlsdissect: ").removesuffix(" (see tlsdissect query --help)")


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    lines = run("read", TALK, "--format", "json", "--findings").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_connections_are_what_read_tells(told: list[dict[str, Any]]) -> None:
    sql = 'SELECT source, stream, "start", version, sni, timing_handshake_ms, alerts, findings FROM connections'
    assert [
        (one["start"], one["version"], one["sni"], one["timing_handshake_ms"], one["alerts"]) for one in rows(sql, TALK)
    ] == [(one["start"], one["version"], one["sni"], one["timing"]["handshake_ms"], one["alerts"]) for one in told]


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_each_table_has_the_rows_of_an_export(table: str, tmp_path: Path) -> None:
    run("export", TALK, "--to", str(tmp_path), "--format", "json")
    exported = [json.loads(line) for line in (tmp_path / f"{table}.json").read_text().splitlines()]
    if table == "extensions":
        for row in exported:
            row["fields"] = row["fields"] and json.dumps(row["fields"], separators=(",", ":"), ensure_ascii=False)
    asked = ("--findings",) if table == "connections" else ()
    found = rows(f"FROM {table}", TALK, *asked)
    assert [list(row) for row in found] == [list(row) for row in exported] != []
    plain = [name for name, value in exported[0].items() if not name.startswith(("client_hello", "server_hello"))]
    assert [[row[name] for name in plain] for row in found] == [[row[name] for name in plain] for row in exported]
