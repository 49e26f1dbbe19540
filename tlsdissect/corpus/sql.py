"""SQL over the tables of selected connections, by DuckDB (the extra `query`).

A statement is checked against the empty tables before anything is read; DuckDB's plan says which columns of which
tables it reads. These are inserted, in batches, into tables of DuckDB's own, which it moves to a private temporary
folder when they need more memory than they may have, and the statement runs at the end.

The statement is not trusted: before DuckDB sees it, DuckDB is cut off from files, networks, extensions and the
variables of Python, and before it runs, the settings are locked. That a statement must be one SELECT only makes errors
clearer.

DuckDB runs in a thread. A Python signal handler that raises an exception while DuckDB executes a statement can leave
the statement running forever (DuckDB 2.0.1). Here, handlers run in the thread that waits, and `interrupt` ends the
statement.
"""

from __future__ import annotations

import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Self, TypeVar

import duckdb
from msgspec import json

from tlsdissect.corpus.expression import at
from tlsdissect.corpus.suggestion import suggestion
from tlsdissect.views.arrow import Fields, RowBatches
from tlsdissect.views.printable import columns as displayed
from tlsdissect.views.query_result import Answer
from tlsdissect.views.schema import descriptions
from tlsdissect.views.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tables import Table

    T = TypeVar("T")

SPILLED_BYTES = 8192 << 20
"""Bytes that DuckDB may move to its temporary folder."""
_CHECKED = 256 << 20
"""Bytes of memory with which a statement is checked against the empty tables."""
_THREADS = 4
"""Threads of DuckDB at most: each needs memory of its own."""
_ROWS = 2048
"""Rows of a result that are fetched together."""
_SETTINGS: dict[str, Any] = {
    # By default the user's, which settings and errors would name.
    "home_directory": os.devnull,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
_FILLED = "filled"
"""The schema of the tables; what a statement names are views of them."""
_RESERVED = ("end", "group")
"""Columns whose names SQL reserves."""
_PLACE = re.compile(r"\n\nLINE (\d+): (.*)\n( *)\^", re.DOTALL)
"""The line of an error that shows a place, and the blanks before the caret below it."""


class SqlError(ValueError):
    """A statement that cannot be run; the message is one line, with a caret before the place."""


class SqlInterruptedError(Exception):
    """The statement was interrupted."""


class Statement:
    """A statement that was checked against the empty tables."""

    def __init__(self, text: str) -> None:
        """Check a statement; SqlError shows the place of a mistake."""
        self.text = text
        with _connected(_CHECKED, "") as database:
            for table in TABLES:
                _create(database, table, table)
            # With the other optimizers, a plan for empty tables would scan less.
            names = [name for (name,) in database.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
            others = ",".join(name for name in names if name != "unused_columns")
            database.execute(f"SET disabled_optimizers = '{others}'")
            _lock(database)
            kind = _kind(database, text)
            try:
                ((_, plan),) = database.execute(_EXPLAIN + text).fetchall()
            except duckdb.OutOfMemoryException:  # an argument of a table function is computed now
                most = f"{_CHECKED >> 20} MiB of memory before it reads a row"
                raise OSError(errno.ENOMEM, f"the query needs more than {most}") from None
            except duckdb.Error as error:
                raise _sql_error(error, text, _EXPLAIN + text) from None
            scanned = _scanned(json.decode(plan))
            self.tables = tuple(
                # The columns of the result of a PIVOT are not known before its rows are.
                _narrowed(table, scanned[table.name]) if kind == "SELECT" else table
                for table in TABLES
                if table.name in scanned
            )
            """The tables that it reads, with the columns that it reads."""
            self.needs_findings = "findings" in scanned or _names_findings(database, text)


class Database:
    """The tables that a statement names, as a context; `add` fills them, and `answer` runs the statement."""

    def __init__(self, statement: Statement, memory: int) -> None:
        """`memory`: bytes that DuckDB may use."""
        self._statement = statement
        self._memory = memory
        self._answering = self._interrupted = False

    def __enter__(self) -> Self:
        # The folder is private; DuckDB makes the one inside when it needs it.
        self._folder = TemporaryDirectory(prefix="tlsdissect-", ignore_cleanup_errors=True)
        self._thread = ThreadPoolExecutor(1, "duckdb")
        try:
            # In the main thread, DuckDB would replace what a signal's handler raises by an error of its own.
            self._thread.submit(self._prepare).result()
        except BaseException:
            self._thread.shutdown()
            self._folder.cleanup()
            raise
        return self

    def _prepare(self) -> None:
        self._database = _connected(self._memory, os.path.join(self._folder.name, "spilled"))  # noqa: PTH118
        filled = {table.name: table for table in self._statement.tables}
        for table in TABLES:
            _create(self._database, table, filled.get(table.name, _narrowed(table, ())))
        self._tables = [(table, RowBatches(table, self._inserter(table))) for table in self._statement.tables]
        _lock(self._database)

    def __exit__(self, *_: object) -> None:
        self._database.interrupt()
        self._thread.shutdown()
        self._database.close()
        self._folder.cleanup()

    def add(self, connection: Connection) -> None:
        """Insert the rows of a connection."""
        for table, batches in self._tables:
            for row in table.rows(connection):
                batches.add(row)

    def answer(self) -> Answer:
        """Run the statement on the rows that were added.

        What is wrong with it raises SqlError, and what the system lacks OSError, both also while batches are taken.
        """
        for _, batches in self._tables:
            batches.flush()
        self._answering = True
        reader = self._run(lambda: self._database.sql(self._statement.text).to_arrow_reader(_ROWS))
        names = _distinct(reader.schema.names)
        schema = reader.schema
        for number, name in enumerate(names):
            schema = schema.set(number, schema.field(number).with_name(name))
        return Answer(schema, self._batches(reader, names))

    def interrupt(self) -> None:
        """End the statement, from a signal handler: `answer` or its batches raise SqlInterruptedError."""
        if self._answering:
            self._interrupted = True
            self._database.interrupt()

    def _batches(self, reader: Any, names: list[str]) -> Iterator[Any]:
        while (batch := self._run(lambda: next(reader, None))) is not None:
            yield batch.rename_columns(names)

    def _inserter(self, table: Table) -> Callable[[Any], None]:
        def insert(rows: Any) -> None:
            self._run(lambda: _insert(self._database, table, rows))

        return insert

    def _run(self, call: Callable[[], T]) -> T:
        """Call what uses the database in its thread."""
        if self._interrupted:
            raise SqlInterruptedError
        try:
            return self._thread.submit(call).result()
        except (duckdb.Error, OSError, ValueError) as error:  # the last two are pyarrow's, with the text of DuckDB
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> Exception:
        """Return the exception that says what an error of DuckDB means here."""
        kind = str(error).partition(" Error: ")[0]
        if kind == "INTERRUPT":
            return SqlInterruptedError()
        # DuckDB calls it fatal if there is no memory to commit rows.
        if kind == "Out of Memory" or (kind == "FATAL" and "could not allocate" in str(error)):
            most = f"{self._memory >> 20} MiB of memory, or {SPILLED_BYTES >> 20} MiB of disk"
            return OSError(errno.ENOMEM, f"the query needs more than {most}: --sql-bytes allows more memory")
        if kind == "IO":
            return OSError(errno.EIO, f"the query could not write its temporary files: {_first_line(error)}")
        if kind in ("INTERNAL", "FATAL"):
            return error
        return _sql_error(error, self._statement.text)


def described(width: int) -> Iterator[str]:
    """Yield lines about the tables: of each column its name, in quotes if SQL requires them, its type and meaning."""
    meanings = dict(descriptions())
    with _connected(_CHECKED, "") as database:
        for table in TABLES:
            _create(database, table, table)
            yield table.name
            for column, kind in zip(table.columns, database.table(table.name).types, strict=True):
                name = f'"{column.name}"' if column.name in _RESERVED else column.name
                meaning = (column.meaning or meanings[column.key]).replace("None", "NULL")
                text = f"{name:<25} {_type_name(kind):<12} {meaning}"
                yield from wrap(text, width, initial_indent="  ", subsequent_indent=" " * 6, break_long_words=False)
            yield ""


def _type_name(kind: Any) -> str:
    """Return the name of a type; of a struct, the names of its fields."""
    if kind.id == "list":
        return f"{_type_name(kind.child)}[]"
    if kind.id == "struct":
        return f"STRUCT({', '.join(name for name, _ in kind.children)})"
    return "TIMESTAMPTZ" if kind.id == "timestamp with time zone" else str(kind)


def _connected(memory: int, folder: str) -> duckdb.DuckDBPyConnection:
    """Open a database without access to anything outside; it spills to the folder, or nowhere."""
    settings = {
        **_SETTINGS,
        "memory_limit": f"{memory}B",
        "temp_directory": folder,
        "max_temp_directory_size": f"{SPILLED_BYTES}B",
        "threads": min(_THREADS, len(os.sched_getaffinity(0))),
    }
    database = duckdb.connect(":memory:", config=settings)
    # DuckDB 2.0.1 allows files of the database's name: also ":memory:", which a working folder may have.
    database.execute("SET allowed_paths = []")
    database.execute("SET enable_external_access = false")
    database.execute("SET TimeZone = 'UTC'")
    return database


def _lock(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("SET lock_configuration = true")


def _types(database: duckdb.DuckDBPyConnection, table: Table) -> dict[str, str]:
    """Return the columns of a table with their types.

    Times have microseconds, as is usual in SQL: from times with nanoseconds, DuckDB cannot subtract others.
    """
    database.register("rows", Fields(table).schema.empty_table())
    described = database.execute("SELECT column_name, column_type FROM (DESCRIBE rows)").fetchall()
    database.unregister("rows")
    return {name: kind.replace("TIMESTAMPTZ_NS", "TIMESTAMP WITH TIME ZONE") for name, kind in described}


def _create(database: duckdb.DuckDBPyConnection, table: Table, filled: Table) -> None:
    """Create a table of the columns that are `filled`, and a view of that name in which the others are NULL.

    DuckDB needs memory for each column of a table, also for one without values.
    """
    types = _types(database, table)
    names = {column.name for column in filled.columns}
    made = ", ".join(f'"{name}" {kind}' for name, kind in types.items() if name in names)
    seen = ", ".join(f'"{name}"' if name in names else f'NULL::{kind} AS "{name}"' for name, kind in types.items())
    database.execute(f"CREATE SCHEMA IF NOT EXISTS {_FILLED}")
    database.execute(f"CREATE TABLE {_FILLED}.{table.name} ({made})")
    database.execute(f"CREATE VIEW {table.name} AS SELECT {seen} FROM {_FILLED}.{table.name}")  # noqa: S608  # our own


def _insert(database: duckdb.DuckDBPyConnection, table: Table, rows: Any) -> None:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    database.register("rows", rows)
    database.execute(f"INSERT INTO {_FILLED}.{table.name} ({names}) SELECT * FROM rows")  # noqa: S608  # our own names
    database.unregister("rows")


def _narrowed(table: Table, names: Collection[str]) -> Table:
    """Return a table with some of its columns, but at least one, so that it has rows."""
    kept = [number for number, column in enumerate(table.columns) if column.name in names] or [0]

    def rows(connection: Connection) -> Iterator[list[Any]]:
        for row in table.rows(connection):
            yield [row[number] for number in kept]

    return table._replace(columns=tuple(table.columns[number] for number in kept), rows=rows)


_EXPLAIN = "EXPLAIN (FORMAT json) "


def _scanned(plan: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the tables that a plan scans, and the columns that it reads of each."""
    found: dict[str, set[str]] = {}
    for step in plan:
        about = step.get("extra_info", {})
        inner = [(name, columns) for name, columns in _scanned(step.get("children", [])).items()]
        if "Table" in about:
            columns = about.get("Projections", [])
            name = about["Table"].rpartition(".")[2].strip('"')
            inner.append((name, {columns} if isinstance(columns, str) else set(columns)))
        for name, columns in inner:
            found[name] = found.get(name, set()) | columns
    return found


def _kind(database: duckdb.DuckDBPyConnection, text: str) -> str:
    """Return the kind of a statement; SqlError unless it is one SELECT, as FROM, WITH and PIVOT are, too."""
    try:
        statements = database.extract_statements(text)
    except duckdb.Error as error:
        raise _sql_error(error, text) from None
    if not statements:
        raise SqlError("the query is empty: it must be a single SELECT")
    if len(statements) > 1:
        raise SqlError(f"{len(statements)} statements, but only one is allowed")
    kind: str = statements[0].type.name
    if kind not in ("SELECT", "MULTI"):  # PIVOT without its values stands for several statements
        raise SqlError(f"{kind.replace('_', ' ')} is not allowed: only SELECT is")
    return kind


def _names_findings(database: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Return whether a statement names the column of findings, rather than all columns: without it, it is wrong."""
    without = f"SELECT * EXCLUDE (findings) FROM {_FILLED}.connections"  # noqa: S608  # our own
    database.execute(f"CREATE OR REPLACE VIEW connections AS {without}")
    try:
        database.execute(_EXPLAIN + text)
    except duckdb.Error:
        return True
    return False


def _sql_error(error: Exception, text: str, shown: str | None = None) -> SqlError:
    """Turn an error of DuckDB into one line; it saw `shown`, which ends with the statement, or just the statement."""
    what = _first_line(error).rstrip(".!")
    shown = text if shown is None else shown
    place = _place(str(error), shown)
    if place is None:
        return SqlError(f"{what}{_hint(error, what, '', text)}")
    place = max(0, place - (len(shown) - len(text)))
    one_line = re.sub(r"\s", " ", text)
    return SqlError(str(at(one_line, place, f"{what}{_hint(error, what, text[:place], text[place:])}")))


def _first_line(error: Exception) -> str:
    """Return what is wrong, without the kind of error before it and what comes after it."""
    line = str(error).splitlines()[0]
    return " ".join((line.partition(" Error: ")[2] or line).split())


def _hint(error: Exception, what: str, before: str, rest: str) -> str:
    """Say what may have been meant; the statement is divided at the place of the error."""
    columns: dict[str, str] = {}
    for table in TABLES:
        for column in table.columns:
            columns.setdefault(column.name, table.name)
    word = re.search(r'(?:syntax error at or near|Referenced (?:column|table)) "(.*?)"', what)
    if word is not None:
        if what.startswith("syntax error"):
            reserved = [one for one in _RESERVED if re.search(rf"\b{one}\s*$", before, re.IGNORECASE) or word[1] == one]
            return f": the column is '\"{reserved[0]}\"', in quotes" if reserved else ""
        if word[1] in columns:
            return f": {columns[word[1]]} has it"
        joined = re.match(rf"{re.escape(word[1])}((?:\.\w+)+)", rest)
        near = suggestion(f"{word[1]}{joined[1].replace('.', '_')}" if joined else word[1], columns)
        return near or (": text is written in single quotes" if rest.startswith('"') else "")
    meant = re.search(r'\nDid you mean "(.*?)"', str(error))
    return f": did you mean {meant[1]!r}?" if meant else ""


def _place(error: str, text: str) -> int | None:
    """Return the place in a text that an error shows; None if it shows none."""
    found = _PLACE.search(error)
    lines = text.split("\n")
    if found is None or int(found[1]) > len(lines):
        return None
    number = int(found[1]) - 1
    line, shown = lines[number], found[2]
    # Of a long line, only a part is shown, with dots for what was cut.
    start = line.find(shown.removeprefix("...").removesuffix("..."))
    if start < 0:
        return None
    start -= len("...") if shown.startswith("...") else 0
    before = found[3][len(f"LINE {found[1]}: ") :]
    return len("\n".join(["", *lines[:number]])) + start + _characters(shown, len(before))


def _characters(text: str, wide: int) -> int:
    """Return how many characters of a text take this many columns."""
    return next((n for n in range(len(text)) if displayed(text[:n]) >= wide), len(text))


def _distinct(names: list[str]) -> list[str]:
    """Add a number to each name that another column has already."""
    taken = set(names)
    found: dict[str, None] = {}
    for name in names:
        new, number = name, 0
        while new in found or (number and new in taken):
            number += 1
            new = f"{name}_{number}"
        found[new] = None
    return list(found)
