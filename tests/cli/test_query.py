"""`tlsdissect query` and `tlsdissect.query`: SQL over the tables, which can reach nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from commands import PROGRAM, RESUMED, TLS12, TLS13, on_terminal, run, run_process
from pyarrow import parquet
from recorded import ROOT

import tlsdissect
from tlsdissect.cli.query import command
from tlsdissect.corpus.sql import Database, Statement
from tlsdissect.views.schema import descriptions
from tlsdissect.views.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path


ALERTS = next(table for table in TABLES if table.name == "alerts")
RESUMED_FILE = ROOT / RESUMED
TALK = str(ROOT / "samples" / "talk")
LARGE = "SELECT a FROM range(3000000) t(a) ORDER BY hash(a)"
ENDLESS_SORT = LARGE.replace("3000000", "1000000000000")
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


def test_options_select_before_rows_are_inserted() -> None:
    counted = "SELECT count(*) AS n FROM connections"
    assert rows(counted, TLS12, RESUMED) == [{"n": 3}]
    assert rows(counted, TLS12, RESUMED, "--tls", "1.2") == [{"n": 1}]
    assert rows(counted, TLS12, RESUMED, "--where", 'resumption == "psk"') == [{"n": 1}]
    assert rows("SELECT DISTINCT stream FROM messages", RESUMED, "--stream", "1") == [{"stream": 1}]
    sample = "samples/tls13-client-cert.pcap"
    keyed = "SELECT count(*) AS n, bool_and(with_keys) AS k FROM certificates"
    assert rows(keyed, sample) == [{"n": 0, "k": None}]
    assert rows(keyed, sample, "--keylog", sample.replace(".pcap", ".keys")) == [{"n": 3, "k": True}]


NAMED = {
    "SELECT 1": {},
    "SELECT count(*) FROM alerts": {"alerts": ["source"]},
    "WITH certificates AS (SELECT 1 AS a) FROM certificates": {},
    "SELECT type FROM query('FROM messages')": {"messages": ["type"]},
    "SELECT level FROM connections JOIN alerts USING (stream) WHERE complete": {
        "connections": ["stream", "complete"],
        "alerts": ["stream", "level"],
    },
    'SELECT (SELECT max(code) FROM "Extensions")': {"extensions": ["code"]},
    "SELECT count(*) FROM (SELECT DISTINCT * FROM alerts)": {"alerts": [one.name for one in ALERTS.columns]},
    "SELECT hash(a) FROM main.alerts AS a": {"alerts": [one.name for one in ALERTS.columns]},
    "SELECT COLUMNS('^s') FROM alerts": {"alerts": ["source", "stream", "sender"]},
    "PIVOT alerts ON level USING count(*) GROUP BY sender": {"alerts": [one.name for one in ALERTS.columns]},
    "SELECT alerts[1].level FROM connections ORDER BY sni": {"connections": ["sni", "alerts"]},
    "SELECT 1 FROM alerts WHERE false AND level = 'fatal'": {"alerts": ["level"]},
}


@pytest.mark.parametrize("sql", NAMED)
def test_only_the_columns_that_a_query_reads_are_filled(sql: str) -> None:
    tables = Statement(sql).tables
    assert {table.name: [column.name for column in table.columns] for table in tables} == NAMED[sql]


@pytest.mark.parametrize("sql", NAMED)
def test_what_is_not_filled_makes_no_difference(sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(sql, TALK)
    monkeypatch.setattr("tlsdissect.corpus.sql._narrowed", lambda table, _: table)
    assert [table in TABLES for table in Statement(sql).tables] == [True] * len(NAMED[sql])
    assert rows(sql, TALK) == found


def test_findings_are_computed_for_a_query_that_names_them() -> None:
    assert Statement("FROM findings").needs_findings
    assert Statement("SELECT findings FROM connections").needs_findings
    assert not Statement("FROM connections").needs_findings
    codes = [row["code"] for row in rows("SELECT code FROM findings", TLS12)]
    assert "long_lifetime" in codes
    assert rows("SELECT code FROM findings", TLS12, "--finding", "expired") == []
    assert run("query", "FROM findings", TLS12, "--fail-on", "low").returncode == 3
    assert run("query", "FROM findings", TLS12, "--fail-on", "high").returncode == 0


def test_empty_tables_have_their_columns(tmp_path: Path) -> None:
    for table in TABLES:
        done = run("query", f"FROM {table.name} WHERE false", TLS13, "-q", "--format", "csv")
        assert done.stdout.decode() == ",".join(column.name for column in table.columns) + "\r\n"
    file = tmp_path / "empty.parquet"
    assert run("query", "SELECT sni, stream FROM connections", TLS12, "--failed", "-o", file).returncode == 0
    assert [str(field.type) for field in parquet.read_schema(file)] == ["string", "int64"]


def test_no_connection_is_an_exit_status_of_its_own() -> None:
    sql = "SELECT count(*) FROM connections"
    assert run("query", sql, TLS12, "--failed", "--exit-status").returncode == 1
    assert run("query", sql, TLS12, "--failed").returncode == 0
    assert run("query", "FROM connections WHERE false", TLS12, "--exit-status").returncode == 0


def test_pivot_has_columns_of_the_data() -> None:
    sql = "PIVOT connections ON version USING count(*) GROUP BY outcome"
    assert rows(sql, TLS12, TLS13) == [{"outcome": "established", "TLS 1.2": 1, "TLS 1.3": 1}]


def test_times_can_be_computed_with() -> None:
    sql = 'SELECT "end" - "start" AS took, not_after > "start" AS later, date_trunc(\'hour\', "start") AS hour '
    (row,) = rows(f"{sql} FROM connections JOIN certificates USING (source, stream) LIMIT 1", TLS12)
    assert row == {"took": "P0M0DT0.004119S", "later": True, "hour": "2026-11-23T17:00:00Z"}


def test_every_type_of_value_is_printed() -> None:
    sql = """SELECT sum(n) AS a, 1.5 AS b, 'nan'::DOUBLE AS c, '\\xff'::BLOB AS d, DATE '2026-01-31' AS e,
        TIME '01:02:03.5' AS f, TIMESTAMP '290000-01-01' AS g, DATE '-infinity' AS g, 'infinity'::TIMESTAMPTZ AS g,
        map{'k': [1, NULL]} AS h, {'i': NULL} AS i,
        'x'::ENUM('x') AS j, [1, 2]::INT[2] AS k, NULL AS l, true AS m, 2 ** 100 AS n, 18446744073709551615 AS o,
        170141183460469231731687303715884105727 AS p, union_value(q := 1) AS q, '[1]'::JSON AS r, 1 AS s, 2 AS s,
        ['2026-01-31 12:00:00'::TIMESTAMP] AS t FROM range(3) t(n)"""
    (row,) = rows(sql, TLS12)
    assert row == {
        "a": 3, "b": 1.5, "c": None, "d": "ff", "e": "2026-01-31", "f": "01:02:03.500000", "g": None,
        "g_1": None, "g_2": None, "h": {"k": [1, None]},
        "i": {"i": None}, "j": "x", "k": [1, 2], "l": None, "m": True, "n": 2.0**100, "o": 2**64 - 1,
        "p": str(2**127 - 1), "q": 1, "r": "[1]", "s": 1, "s_1": 2, "t": ["2026-01-31T12:00:00"],
    }  # fmt: skip


OUTSIDE = {
    "COPY connections TO '{file}'": "COPY is not allowed",
    "COPY (SELECT 1) TO '{file}'": "COPY is not allowed",
    "COPY connections FROM '{file}'": "COPY is not allowed",
    "EXPORT DATABASE '{file}'": "EXPORT is not allowed",
    "ATTACH '{file}'": "ATTACH is not allowed",
    "ATTACH ':memory:' AS other": "ATTACH is not allowed",
    "INSTALL httpfs": "LOAD is not allowed",
    "LOAD httpfs": "LOAD is not allowed",
    "SET memory_limit = '9GB'": "SET is not allowed",
    "RESET memory_limit": "SET is not allowed",
    "PRAGMA memory_limit = '9GB'": "is not allowed",
    "PRAGMA enable_external_access = true": "is not allowed",
    "CALL enable_logging(storage = 'file', storage_path = '{file}')": "CALL is not allowed",
    "CREATE SECRET (TYPE s3)": "CREATE is not allowed",
    "CREATE TABLE x AS SELECT 1": "CREATE is not allowed",
    "DROP TABLE connections": "DROP is not allowed",
    "EXPLAIN ANALYZE SELECT 1": "EXPLAIN is not allowed",
    "EXECUTE x": "EXECUTE is not allowed",
    "SELECT 1; SELECT 2": "2 statements, but only one is allowed",
    "SELECT 1; COPY connections TO '{file}'": "2 statements, but only one is allowed",
    "SELECT * FROM '{file}'": "disabled by configuration",
    "FROM read_csv('{file}')": "disabled by configuration",
    "FROM read_text('{file}')": "disabled by configuration",
    "FROM read_text(':memory:')": "disabled by configuration",
    "FROM ':memory:.wal'": "does not exist",
    "FROM read_json('{file}')": "disabled by configuration",
    "FROM read_parquet(['{file}'])": "disabled by configuration",
    "FROM read_csv('/proc/self/environ')": "disabled by configuration",
    "FROM read_text('file://{file}')": "disabled by configuration",
    "FROM duckdb_extensions()": "disabled by configuration",
    "IMPORT DATABASE '{file}'": "is not allowed",
    "FORCE CHECKPOINT": "is not allowed",
    "PRAGMA import_database('{file}')": "is not allowed",
    "LOAD '{file}'": "LOAD is not allowed",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:9/'": "LOAD is not allowed",
    "INSERT INTO filled.connections SELECT * FROM connections": "INSERT is not allowed",
    "FROM read_blob('/etc/passwd')": "disabled by configuration",
    "FROM parquet_scan('{file}')": "disabled by configuration",
    "FROM sniff_csv('{file}')": "disabled by configuration",
    "FROM glob('/*')": "disabled by configuration",
    "FROM read_csv('https://127.0.0.1/x.csv')": "disabled by configuration",
    "FROM 'https://127.0.0.1/x.parquet'": "disabled by configuration",
    "FROM 's3://bucket/x.parquet'": "disabled by configuration",
    "FROM query('FROM read_text(''{file}'')')": "disabled by configuration",
    "WITH x AS (FROM read_text('{file}')) SELECT 1 FROM x": "disabled by configuration",
    "SELECT getenv('HOME')": "does not exist",
    "FROM os": "does not exist",
    "FROM sql": "does not exist",
    "FROM statement": "does not exist",
    "FROM rows": "does not exist",
    "FROM duckdb_secrets()": "disabled by configuration",
    "FROM enable_profiling()": "locked",
    "FROM python_map_function()": "requires a subquery",
}


@pytest.mark.parametrize("sql", OUTSIDE)
def test_a_query_reaches_nothing_outside(sql: str, tmp_path: Path) -> None:
    file = tmp_path / "seen.csv"
    file.write_text("a\nhush\n")
    said = refused(sql.format(file=file))
    assert OUTSIDE[sql] in said
    assert said.startswith("SQL: ")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "a\nhush\n"


@pytest.mark.parametrize("sql", OUTSIDE)
def test_settings_alone_are_enough(sql: str, tmp_path: Path) -> None:
    """Without the check of the statement, too."""
    file = tmp_path / "seen.csv"
    file.write_text("a\nhush\n")
    with Database(Statement("FROM connections"), 64 << 20) as database:
        try:
            found = str(database._database.execute(sql.format(file=file)).fetchall())
        except duckdb.Error as error:
            found = str(error)
        assert "hush" not in found
        settings = "SELECT current_setting('memory_limit'), current_setting('enable_external_access')"
        assert database._database.execute(settings).fetchall() == [("64.0 MiB", False)]
    assert list(tmp_path.iterdir()) == [file]


def test_no_function_reaches_anything_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function that DuckDB has, given the name of a file, of a variable and of a URL; not only those we know."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_ENVIRONMENT", "hush")
    for name in ("seen.csv", ":memory:"):
        (tmp_path / name).write_text("a\nhush\n")
    words = (str(tmp_path / "seen.csv"), ":memory:", "OF_THE_ENVIRONMENT", "http://127.0.0.1:9/", "HOME")
    monkeypatch.setenv("HOME", "/hush")
    with Database(Statement("FROM connections"), 64 << 20) as database:
        run_sql = database._database.execute
        known = run_sql(
            "SELECT DISTINCT function_name, function_type, len(parameters) FROM duckdb_functions()"
        ).fetchall()
        called = 0
        for name, kind, size in known:
            if size is None or not 0 < size < 4 or kind == "aggregate":
                continue
            for word in words:
                call = f'"{name}"({", ".join([repr(word)] * size)})'
                try:
                    found = str(run_sql(f"{'FROM' if 'table' in kind else 'SELECT'} {call}").fetchmany(100))
                except duckdb.Error as error:
                    found = str(error)
                assert "hush" not in found, call
                called += 1
        assert called > 3000
        assert "hush" not in str(run_sql("FROM duckdb_settings()").fetchall())
    assert {path.name for path in tmp_path.iterdir()} == {"seen.csv", ":memory:"}


WRONG = {
    "SELECT versoin FROM connections": "at ^ in SELECT ^versoin FROM connections: "
    "Referenced column \"versoin\" not found in FROM clause: did you mean 'version'?",
    "SELECT timing.handshake_ms FROM connections": "at ^ in SELECT ^timing.handshake_ms FROM connections: "
    "Referenced table \"timing\" not found: did you mean 'timing_handshake_ms'?",
    "SELECT 1\nFROM connection": "at ^ in SELECT 1 FROM ^connection: "
    "Table with name connection does not exist: did you mean 'connections'?",
    "SELECT end FROM connections": "at ^ in SELECT ^end FROM connections: "
    "syntax error at or near \"end\": the column is '\"end\"', in quotes",
    "SELECT '日本語', versoin FROM connections": "at ^ in SELECT '日本語', ^versoin FROM connections: "
    "Referenced column \"versoin\" not found in FROM clause: did you mean 'version'?",
    'SELECT 1 FROM connections WHERE sni = "a.b"': 'at ^ in SELECT 1 FROM connections WHERE sni = ^"a.b": '
    'Referenced column "a.b" not found in FROM clause: text is written in single quotes',
    "SELECT " + "sni, " * 50 + "cuont(1) FROM connections" + " WHERE 1 = 1" + " AND 1 = 1" * 50:
    "at ^ in …sni, sni, sni, sni, sni, sni, "
    "sni, sni, ^cuont(1) FROM connections WHERE 1 = 1 AN…: "
    "Scalar Function with name cuont does not exist: did you mean 'count'?",
    "SELECT subject FROM connections": "at ^ in SELECT ^subject FROM connections: "
    'Referenced column "subject" not found in FROM clause: certificates has it',
    "": "the query is empty: it must be a single SELECT",
    "/* nothing */": "the query is empty: it must be a single SELECT",
    "SELECT $1": "Values were not provided for the following parameters: 1",
    "SELECT \x1b[2J": 'at ^ in SELECT \\x1b[^2J: syntax error at or near "J"',
}  # fmt: skip


@pytest.mark.parametrize("sql", WRONG)
def test_what_is_wrong_is_said_before_captures_are_read(sql: str) -> None:
    assert refused(sql, "missing.pcap") == f"SQL: {WRONG[sql]}"


def test_what_only_the_rows_show_to_be_wrong() -> None:
    done = run("query", "SELECT sni::INT FROM connections", TLS12, "-q")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"SQL: at ^ in SELECT sni^::INT FROM connections: Could not convert string 'localhost'" in done.stderr


def test_options_that_do_not_fit() -> None:
    assert refused("SELECT 1", TLS12, "--format", "parquet") == "--format parquet requires -o FILE"
    assert "--sql-bytes" in refused("SELECT 1", TLS12, "--sql-bytes", "0")
    assert "unknown suffix" in refused("SELECT 1", TLS12, "-o", "x.xlsx")
    assert "missing.pcap" in run("query", "SELECT 1", "missing.pcap").stderr.decode()
    assert run("query", "SELECT 1", "missing.pcap").returncode == 2


def test_what_parquet_does_not_have(tmp_path: Path) -> None:
    said = refused("SELECT INTERVAL 1 DAY AS x", TLS12, "-o", str(tmp_path / "x.parquet"))
    assert said.startswith("Parquet: ")
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_the_types(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    sql = 'SELECT sni, stream, complete, timing_tcp_ms, "start", messages FROM connections'
    assert run("query", sql, RESUMED, "-o", file).returncode == 0
    read = parquet.read_table(file)
    kinds = [str(kind) for kind in read.schema.types[:5]]
    assert kinds == ["string", "int64", "bool", "double", "timestamp[us, tz=UTC]"]
    assert [message["type"] for message in read.to_pylist()[1]["messages"]][:2] == ["client_hello", "server_hello"]


def test_a_table_is_as_wide_as_the_terminal() -> None:
    sql = "SELECT stream, sni, ja4, sni IS NULL AS missing, alpn FROM connections"
    status, shown = on_terminal(40, "query", sql, RESUMED)
    assert status == 0
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()[:3] == [
        "stream sni       ja4        missing alpn",
        "     0 localhost t13d02100… false   -   ",
        "     1 localhost t13d02110… false   -   ",
    ]


def test_a_table_too_wide_for_the_terminal_has_a_line_per_column() -> None:
    for width in (80, 200):
        status, shown = on_terminal(width, "query", "SELECT * FROM connections ORDER BY stream", RESUMED)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
        assert status == 0
        assert max(map(len, lines)) <= width
        begin, second = lines.index("row 1"), lines.index("row 2")
        names = [line.split()[0] for line in lines[begin + 1 : second]]
        assert len(names) == len(set(names)) > 100
        values = {name: line[len(name) :].strip() for name, line in zip(names, lines[begin + 1 :], strict=False)}
        assert re.fullmatch(r"TLS_\w+_SHA(256|384)", values["cipher_suite"])
        assert values["dh_bits"] == "-"
    done = run("query", "SELECT * FROM connections WHERE stream = 99", RESUMED, COLUMNS="80")
    assert re.fullmatch(rb"no rows of \d{3} columns\n", done.stdout)


def test_long_names_of_columns_are_not_wrapped() -> None:
    sql = f"SELECT 1 AS {'a' * 30}, 2 AS {'b' * 30}, 'text' AS {'c' * 30}"
    status, shown = on_terminal(80, "query", sql, RESUMED)
    assert status == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert lines[:2] == ["row 1", f"{'a' * 30}  1"]


def test_the_tables_are_listed() -> None:
    done = run("query", "--tables", COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if line and line[0] != " "] == [table.name for table in TABLES]
    named = re.findall(r"^  (\S+) +[A-Z]", done.stdout.decode(), re.MULTILINE)
    assert [name.strip('"') for name in named] == [column.name for table in TABLES for column in table.columns]
    assert {name for name in named if name[0] == '"'} == {'"end"', '"group"'}
    assert "  failed_by                 VARCHAR      The side that sent the alert or ended TCP." in lines
    assert not re.search(r"\bNone\b", done.stdout.decode())
    assert any(line.split()[:5] == ["alerts", "STRUCT(from,", "level,", "description,", "frame)[]"] for line in lines)


def test_every_column_has_a_meaning() -> None:
    meanings = dict(descriptions())
    for table in TABLES:
        assert [column.name for column in table.columns if not (column.meaning or meanings.get(column.key))] == []


def test_captures_before_the_query_are_named() -> None:
    assert refused(TLS12, "SELECT 1") == f"SQL comes before the captures, and {TLS12} is a file"


def test_names_in_quotes_are_those_that_need_them() -> None:
    for name in ("end", "group"):
        assert "in quotes" in refused(f"SELECT {name} FROM connections")  # noqa: S608
    for table in TABLES:
        names = ", ".join(f'"{name}"' if name in ("end", "group") else name for name in [c.name for c in table.columns])
        (filled,) = Statement(f"SELECT {names} FROM {table.name}").tables  # noqa: S608
        assert filled.columns == table.columns


def test_without_the_extra(tmp_path: Path) -> None:
    (tmp_path / "duckdb.py").write_text("raise ModuleNotFoundError(\"No module named 'duckdb'\", name='duckdb')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    for arguments in (("--tables",), ("SELECT 1", TLS12)):
        done = run_process("query", *arguments, PYTHONPATH=path)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b"tlsdissect: query needs duckdb: pip install 'tlsdissect[query]'")
        assert done.stderr.count(b"\n") == 1


def temporary(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_large_results_move_to_a_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Database(Statement(LARGE), 32 << 20) as database:
        answer = database.answer()
        first = next(answer.batches)
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert sum(path.stat().st_size for path in temporary(folder)) > 1 << 20
        assert first.num_rows + sum(batch.num_rows for batch in answer.batches) == 3_000_000
    assert temporary(tmp_path) == []


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("SELECT list(a) FROM range(100000000) t(a)", 71),
        ("WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r, range(9)) SELECT max(x) FROM r", 71),
        (LARGE.replace("a FROM", "error(a::VARCHAR) FROM", 1), 2),
        # Memory that DuckDB does not count: a value at once, one that grows, and one that is computed before rows are.
        ("SELECT len(range(200000000))", 71),
        ("SELECT len(string_agg(repeat('x', 10000000), '')) FROM range(100)", 71),
        ("FROM range(length(repeat('x', 2000000000)))", 71),
    ],
)
def test_nothing_is_left_of_what_fails(sql: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("tlsdissect.corpus.sql.SPILLED_BYTES", 64 << 20)
    done = run("query", sql, TLS12, "--sql-bytes", str(32 << 20), "-o", tmp_path / "x.csv")
    assert (done.returncode, done.stdout) == (status, b"")
    assert (b"the query needs more than " in done.stderr) is (status == 71)
    assert temporary(tmp_path) == []


def test_a_signal_while_tables_are_made_keeps_its_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of DuckDB in the main thread would raise "Query interrupted" instead."""
    statement = Statement("SELECT 1")

    def lock(database: duckdb.DuckDBPyConnection) -> None:
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        database.execute("SELECT sum(hash(range)) FROM range(300000000)").fetchall()

    monkeypatch.setattr("tlsdissect.corpus.sql._lock", lock)
    with pytest.raises(KeyboardInterrupt), Database(statement, 64 << 20):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("sql", [ENDLESS, "SELECT count(*) FROM range(1000000000000)", ENDLESS_SORT])
def test_a_signal_ends_a_query(sql: str, number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*PROGRAM, "query", sql, TLS12, "-o", str(tmp_path / "x.csv")]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        # Once its folder exists, the query is running, or will with the next packets.
        while process.poll() is None and not any(path.is_dir() for path in temporary(tmp_path)):
            time.sleep(0.05)
        # A signal while the capture is read ends the reading only.
        while process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said.partition(b";")[0].strip()) == (128 + number, b"aborted")
    assert temporary(tmp_path) == []


def test_python_returns_a_frame() -> None:
    sql = (
        "SELECT version, count(*) AS n, sum(bytes) AS bytes, bool_and(complete) AS c, list(stream) AS l, NULL::INT AS x"
    )
    frame = tlsdissect.query(f"{sql} FROM connections GROUP BY 1", RESUMED_FILE, where="stream == 1")
    assert [str(kind) for kind in frame.dtypes] == ["string", "Int64", "Int64", "boolean", "object", "Int64"]
    (row,) = frame.itertuples(index=False)
    assert (row.version, row.n, row.bytes, row.c, row.l) == ("TLS 1.3", 1, 5040, True, [1])
    times = tlsdissect.query('SELECT "start", source FROM connections', RESUMED_FILE)
    assert str(times.dtypes.iloc[0]) == "datetime64[us, UTC]"
    assert len(tlsdissect.query("FROM connections", RESUMED_FILE, failed=True).columns) == len(TABLES[0].columns)
    assert "long_lifetime" in set(tlsdissect.query("SELECT code FROM findings", ROOT / TLS12).code)


def test_python_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^at \^ in SELECT \^x: "):
        tlsdissect.query("SELECT x", "missing.pcap")
    with pytest.raises(TypeError, match="sql_bytes must be a whole number"):
        tlsdissect.query("SELECT 1", "missing.pcap", sql_bytes="1GB")  # type: ignore[arg-type]
    with pytest.raises(tlsdissect.CaptureError, match=r"missing\.pcap"):
        tlsdissect.query("SELECT 1", "missing.pcap")
    with pytest.raises(OSError, match="more than 32 MiB of memory"):
        tlsdissect.query("SELECT list(a) FROM range(100000000) t(a)", RESUMED_FILE, sql_bytes=32 << 20)


def test_the_default_of_the_limit_is_one() -> None:
    (default,) = [one.default for one in command.params if one.name == "sql_bytes"]
    assert default == signature(tlsdissect.query).parameters["sql_bytes"].default
    assert f"| `--sql-bytes` | {default >> 20} MiB |" in (ROOT / "docs" / "limits.md").read_text()
