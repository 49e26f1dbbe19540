"""The order of rows: that of --sort and --top, and for a table that of time."""

from __future__ import annotations

from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlsdissect.corpus.query import OutputRow
    from tlsdissect.views.table import Table

    Arrange = Callable[[Iterable[OutputRow]], Iterable[OutputRow]]

MAX_ORDERED = 10_000
"""Rows of a table that are ordered by time and decide its columns; with more, all stand in the order of the output."""
SORTED_BYTES = 256 << 20
"""Bytes of rows that are kept to sort them."""
_ROW_BYTES = 512
"""Estimated bytes of a row besides its text."""


def in_order(rows: Iterable[OutputRow], descending: Sequence[bool], *, top: int | None) -> Iterator[OutputRow]:
    """Yield at most `top` rows, sorted by their keys, the first key before the others; null comes last.

    Each key has its direction. Equal rows keep their order.
    """
    kept: list[OutputRow] = []
    held = 0
    for row in rows:
        kept.append(row)
        held += len(row.text) + _ROW_BYTES
        if top is not None and (len(kept) >= 2 * top or held > SORTED_BYTES):
            kept = _sorted(kept, descending)[:top]
            held = sum(len(one.text) + _ROW_BYTES for one in kept)
        if held > SORTED_BYTES:
            raise click.UsageError(f"--sort: the rows take more than {SORTED_BYTES >> 20} MiB; --top needs less memory")
    yield from _sorted(kept, descending)[:top]


def first(rows: Iterable[OutputRow], top: int) -> Iterator[OutputRow]:
    """Yield the first rows; the rest are read too, so that the summary counts them."""
    rows = iter(rows)
    yield from islice(rows, top)
    for _ in rows:
        pass


def _sorted(rows: list[OutputRow], descending: Sequence[bool]) -> list[OutputRow]:
    for at, down in reversed([*enumerate(descending)]):
        keyed = [(row.key[at] if row.key else None, row) for row in rows]
        known = sorted([one for one in keyed if one[0] is not None], key=itemgetter(0), reverse=down)
        rows = [row for _, row in known] + [row for key, row in keyed if key is None]
    return rows


def by_time(rows: Iterable[OutputRow]) -> Iterator[OutputRow]:
    """Yield up to MAX_ORDERED rows by capture, in the order given, and then by time; more as they come."""
    rows = iter(rows)
    first = list(islice(rows, MAX_ORDERED + 1))
    yield from _by_time(first) if len(first) <= MAX_ORDERED else first
    yield from rows


def laid_out(rows: Iterable[OutputRow], table: Table, *, several: bool) -> Iterator[OutputRow]:
    """Yield the rows of a table as lines; the first of them decide its columns."""
    rows = iter(rows)
    first = list(islice(rows, MAX_ORDERED))
    heading = table.lay_out([(row.source, row.text) for row in first], several=several)
    for row in chain(first, rows):
        yield row._replace(text=heading + table.line(row.source, row.text))
        heading = b""


def _by_time(rows: list[OutputRow]) -> list[OutputRow]:
    captures = {source: number for number, source in enumerate(dict.fromkeys(row.source for row in rows))}
    timed = [row for row in rows if row.key is not None]
    timed.sort(key=lambda row: (captures[row.source], row.key))
    return sorted(timed + [row for row in rows if row.key is None], key=lambda row: captures[row.source])


def as_they_come(rows: Iterable[OutputRow], table: Table, *, several: bool) -> Iterator[OutputRow]:
    """Yield the rows of a table as lines, each at once."""
    heading = table.lay_out(several=several)
    for row in rows:
        yield row._replace(text=heading + table.line(row.source, row.text))
        heading = b""
