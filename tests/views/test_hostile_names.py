"""Names from the wire and from file systems that mean to do harm: in each form in which a connection is shown."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from shutil import copy
from typing import TYPE_CHECKING, Any

import pytest
from made import made
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.views import plots, tables
from tlsdissect.views.comparison.notebook import Comparison
from tlsdissect.views.csv import Csv, CsvRows
from tlsdissect.views.dataframes import Tables, frame
from tlsdissect.views.names import VOCABULARIES
from tlsdissect.views.ndjson import JsonRows, Ndjson
from tlsdissect.views.notebook import card
from tlsdissect.views.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection

NAMES = {
    "formula": "=cmd()|'/C calc'!A0",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "direction": "\u202egpj.exe\u2066\u200f",
    "long": ".".join(["a" * 255] * 4),
    "quotes": "\"a\",'b'\r\n=c",
    "mathematics": r"$\frac{1}{0}$",
    "surrogate": "\udcff.pcap",
}
PLACES = ("sni", "alpn", "subject", "source")


def hostile(place: str, name: str) -> Connection:
    """A connection that has this name in one place."""
    one = made()
    (leaf, *rest) = one.certificates or ()
    changes: dict[str, dict[str, Any]] = {
        "sni": {"sni": name},
        "alpn": {"alpn": name, "client_hello": replace(one.client_hello, alpn=(name,))},
        "subject": {"certificates": (replace(leaf, subject=name, issuer=name, dns_names=(name,)), *rest)},
        "source": {"source": name},
    }
    return made(**changes[place])


each = pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param(place, name, id=f"{kind} in {place}")
        for place in PLACES
        for kind, name in NAMES.items()
        # Only the name of a file holds bytes that are no text.
        if kind != "surrogate" or place == "source"
    ],
)


def is_plain(text: str) -> bool:
    """Whether a terminal shows all of this as it stands."""
    return all(char == "\n" or char.isprintable() for char in text) and not re.search(
        "[\u202a-\u202e\u2066-\u2069]", text
    )


@each
def test_in_a_table(place: str, name: str) -> None:
    view, one = Table(80, sections=True), hostile(place, name)
    cells = view.row(one)
    for rows in ((), [(one.source, cells)], [(one.source, cells), (one.source, cells)]):
        text = (view.lay_out(rows, several=True) + view.line(one.source, cells)).decode()
        assert is_plain(text)
        assert max(map(len, text.splitlines())) <= 80


@each
def test_in_csv(place: str, name: str) -> None:
    view = Csv()
    (head, row) = csv.reader(io.StringIO((view.head + view.row(hostile(place, name))).decode(), newline=""))
    assert len(head) == len(row)
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in row)


@each
def test_in_json(place: str, name: str) -> None:
    (line,) = Ndjson().row(hostile(place, name)).splitlines()
    assert json.loads(line)["stream"] == 0
    assert b"\x1b" not in line


@each
@pytest.mark.parametrize("writer", [CsvRows, JsonRows])
def test_in_exports(place: str, name: str, writer: type[Any], tmp_path: Path) -> None:
    every = (*tables.TABLES, *(table for made_of in VOCABULARIES.values() for table in made_of()))
    for table in every:
        file = tmp_path / f"{table.name}.{writer.__name__}"
        with file.open("wb") as out:
            rows = writer(table, out.write)
            for row in table.rows(hostile(place, name)):
                rows.add(row)
            rows.end()
        if writer is JsonRows:
            assert all(json.loads(line) for line in file.read_bytes().splitlines())
            continue
        for row in csv.reader(io.StringIO(file.read_bytes().decode(), newline="")):
            assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in row if cell != "@timestamp")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [key for key, _ in attrs]


def is_harmless(html: str) -> bool:
    """Whether a browser runs nothing of this, and shows all text as it stands."""
    tags = _Tags()
    tags.feed(html)
    harmless = not {"script", "img", "iframe"} & set(tags.seen) and not any(
        key.startswith("on") for key in tags.attributes
    )
    return harmless and is_plain(html.replace("\t", ""))


@each
def test_in_a_notebook(place: str, name: str) -> None:
    one = hostile(place, name)
    assert is_harmless(card(one))
    for by in ("sni", "capture"):
        comparison = Comparison(Tables(lambda: [one]), by)  # type: ignore[arg-type]  # one of the four
        assert is_harmless(comparison._repr_html_())
        assert is_plain(str(comparison))


@each
def test_in_a_frame(place: str, name: str) -> None:
    """A DataFrame holds the name as it is: pandas escapes it where it is shown as HTML."""
    for table in tables.TABLES[:2]:
        shown = frame(table, [hostile(place, name)])
        html = shown.astype(object).to_html().encode("utf-8", "backslashreplace").decode()
        assert "<script" not in html
        assert "<img" not in html


@each
@pytest.mark.parametrize("kind", ["lifetimes", "groups"])
def test_in_a_plot(place: str, name: str, kind: str) -> None:
    one = hostile(place, name)
    # What names a category may come from the wire.
    drawn = replace(one, group=name) if kind == "groups" else one
    svg = plots.picture(Tables(lambda: [drawn]), kind, "svg").decode()
    assert "<script" not in svg
    assert is_plain(svg.replace("\t", ""))


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind not in {"long", "quotes", "markup", "formula"}])
def test_files_of_such_names_are_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = f"{NAMES[kind]}.pcap".replace("/", "_")
    copy(ROOT / "samples/tls12-full.pcap", path)
    (one,) = tlsdissect.read(path)
    assert one.source == path
