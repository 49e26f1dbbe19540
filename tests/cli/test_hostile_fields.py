"""What every command makes of texts that mean harm, in every field of the wire, and of harmless texts in their place.

The commands and their formats are those of the command line itself, so that a new one is tried, too. Each output is
parsed as what it is: texts from the wire must not change what it consists of.
"""

from __future__ import annotations

import csv
import io
import json
import pkgutil
import re
from html.parser import HTMLParser
from importlib import import_module
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import planted
import pytest
from commands import on_terminal, run
from hostile import FILE, obeyed
from pyarrow import parquet
from tries import Try, tries

import tlsdissect
from tlsdissect import views
from tlsdissect.views.notebook import card

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ONE_CONNECTION = {("ladder", "svg"), ("ladder", "png"), ("ladder", "pdf"), ("plot", "timeline")}
"""What draws one connection."""
ACTIVE = re.compile(rb"/(?:JavaScript|JS|AA|OpenAction|Launch|URI|SubmitForm|EmbeddedFile)\b")
"""Entries of a PDF by which it does something (ISO 32000-1 section 12.6)."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LOADED = {"href", "src", "action", "data", "formaction", "poster", "srcset", "{http://www.w3.org/1999/xlink}href"}
"""Attributes with addresses."""


TRIES = [one for one in tries() if not {(one.words[0], one.form), one.words[:2]} & ONE_CONNECTION]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {"hostile": (planted.HOSTILE, FILE), "plain": (planted.PLAIN, "plain")}
    found = {}
    for kind, (texts, name) in made.items():
        found[kind] = tmp_path_factory.mktemp(kind) / name
        found[kind].mkdir()
        planted.captures(found[kind], texts, name)
    return found


def paths_of(value: Any, wanted: str = "", at: str = "") -> Iterator[str]:
    """The keys, joined by dots, of texts with what is wanted; of all values, if that is nothing."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from paths_of(one, wanted, f"{at}.{key}")
    elif isinstance(value, list):
        for one in value:
            yield from paths_of(one, wanted, f"{at}[]")
    elif not wanted or (isinstance(value, str) and wanted in value):
        yield at


def test_the_texts_reach_every_field(folders: dict[str, Path]) -> None:
    shown = run("read", "--format", "json", folders["plain"]).stdout.decode()
    found = {path for line in shown.splitlines() for path in paths_of(json.loads(line), "plain")}
    of_a_certificate = ("subject", "issuer", "dns_names[]", "email_addresses[]", "uris[]", "ocsp_urls[]", "crl_urls[]")
    assert found >= {
        ".source", ".sni", ".alpn", ".client_hello.alpn[]", ".upgrade_target", ".psk_identity", ".psk_identity_hint",
        ".certificate_request.authorities[]", ".quic.close.reason", ".eap.identity", ".eap.supplicant",
        ".eap.authenticator",
        *(f".{side}[].{key}" for side in ("certificates", "client_certificates") for key in of_a_certificate),
    }  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and what kind of address they link to or load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(named(tag, attrs))

    def handle_decl(self, decl: str) -> None:
        self.found.add(("declaration", decl))


def named(tag: str, attributes: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """An element without its words: of an attribute with an address, the scheme stays."""
    return (tag, *sorted(f"{key}={scheme(value)}" if key in LOADED else key for key, value in attributes))


def scheme(address: str | None) -> str:
    return re.match(r"#|[a-z]*:?|", (address or "").lower())[0]  # type: ignore[index]  # matches anything


def html(content: bytes) -> set[Any]:
    return Elements(content.decode()).found


def xml(content: bytes) -> set[Any]:
    return {named(one.tag, one.items()) for one in ET.fromstring(content).iter()}  # noqa: S314  # our own output


def png(content: bytes) -> set[Any]:
    """The kinds of chunks, and the words in them (PNG section 11.3.3)."""
    found, at = set(), 8
    while at < len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        found.add((kind, content[at + 8 : at + 8 + size] if kind.endswith(b"Xt") else b""))
        at += 12 + size
    return found


def comma_separated(content: bytes) -> set[Any]:
    rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    cells = [cell for row in rows[1:] for cell in row if not re.fullmatch(r"-?[0-9][0-9.e+-]*", cell)]
    assert [cell for cell in cells if cell.startswith(FORMULA)] == []
    return {tuple(rows[0]), *map(len, rows)}


def documents(content: bytes) -> set[Any]:
    """The keys of JSON, of one document or one a line."""
    text, found, at = content.decode(), set(), 0
    while at < len(text):
        document, at = json.JSONDecoder().raw_decode(text, at)
        found |= {*paths_of(document)}
        at += len(text[at:]) - len(text[at:].lstrip("\n"))
    return found


def pdf(content: bytes) -> set[Any]:
    return {*ACTIVE.findall(content)}


def table(content: bytes) -> set[Any]:
    return {*map(str, parquet.read_table(io.BytesIO(content)).schema)}


def words(_: bytes) -> set[Any]:
    return set()


PARSED = {
    "html": html, "page": html, "svg": xml, "junit": xml, "png": png, "pdf": pdf, "csv": comma_separated,
    "json": documents, "sarif": documents, "parquet": table, "pem": words, "text": words, "table": words, "tree": words,
}  # fmt: skip
"""What an output consists of besides words, by its format."""
BINARY = {"png", "pdf", "parquet", "csv"}
"""Formats that a terminal does not show; CSV keeps the values in a file, as they are."""


def outputs(one: Try, capture: Path, place: Path) -> dict[str, bytes]:
    """Run a command; return what it writes, by name without hashes: 1 and 2 are standard output and error."""
    place.mkdir()
    to = () if one.place is None else (one.place[0], place / one.place[1])
    asked = () if one.words[0] == "extract" else ("--findings",)
    done = run(*one.words, *asked, *to, capture)
    assert done.returncode == 0, done.stderr
    files = sorted(path for path in place.rglob("*") if path.is_file())
    assert all(re.fullmatch(r"[a-z0-9_.]+|(?:chain-)?[0-9a-f]{64}\.pem", path.name) for path in files)
    found = {"1": done.stdout, "2": done.stderr}
    for path in files:
        name = re.sub("[0-9a-f]{64}", "HASH", path.name)
        found[name] = found.get(name, b"") + path.read_bytes()
    return found


@pytest.mark.parametrize("one", TRIES, ids=lambda one: " ".join((*one.words, one.form))[-70:])
def test_texts_change_nothing_but_words(one: Try, folders: dict[str, Path], tmp_path: Path) -> None:
    hostile, plain = (outputs(one, folders[kind], tmp_path / kind) for kind in ("hostile", "plain"))
    assert hostile.keys() == plain.keys()
    assert hostile["2"].count(b"\n") == plain["2"].count(b"\n")
    for name, content in hostile.items():
        form = one.form if name != "2" else "text"
        if form == "pcapng" and name != "1":
            continue  # what was captured, as it was captured
        if form not in BINARY or name == "1":
            assert obeyed(content.decode()) == set()
            assert not re.search(rf"^\W*{planted.FORGED}", content.decode(), re.MULTILINE)
        if content:
            assert PARSED[form](content) - PARSED[form](plain[name]) == set()


SGR = re.compile(r"\x1b\[[0-9;]*m")
"""Select Graphic Rendition (ECMA-48 section 8.3.117), the only sequence that an output may have."""
SHOWN = list(
    dict.fromkeys(
        one.words
        for one in TRIES
        if one.form in {"text", "table", "tree", "csv"} and one.words[0] not in {"export", "plot"}
    )
)


@pytest.mark.parametrize("words", SHOWN, ids=lambda words: " ".join(words)[-70:])
def test_a_terminal_is_told_colours_and_nothing_else(words: tuple[str, ...], folders: dict[str, Path]) -> None:
    # A dumb terminal gets no progress bar.
    status, shown = on_terminal(100, *words, "--color", "always", str(folders["hostile"]), TERM="dumb")
    assert status == 0
    assert obeyed(SGR.sub("", shown)) == set()
    assert not re.search(rf"^\W*{planted.FORGED}", shown, re.MULTILINE)


def test_a_dataset_has_the_words(folders: dict[str, Path], tmp_path: Path) -> None:
    """No file is named by a capture, and commands read the same from the dataset as from the captures."""
    done = run("scan", folders["hostile"], "--to", tmp_path / "dataset", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert obeyed(done.stderr.decode()) == set()
    names = {part for path in (tmp_path / "dataset").rglob("*") for part in path.relative_to(tmp_path).parts}
    assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9_.=-]+", name)] == []
    read = run("read", "--format", "json", tmp_path / "dataset")
    assert read.returncode == 0, read.stderr
    assert obeyed(read.stdout.decode()) == set()
    assert documents(read.stdout) <= documents(run("read", "--format", "json", folders["plain"]).stdout)


CONVERSATIONS = 12
"""Conversations of each text over TCP."""


@pytest.mark.parametrize("text", range(len(planted.HOSTILE)))
def test_the_picture_of_one_connection(text: int, folders: dict[str, Path], tmp_path: Path) -> None:
    behind_a_proxy = f"tcp:{CONVERSATIONS * text + 3}"
    one = Try(("ladder", "--stream", behind_a_proxy), "svg", ("-o", "made.svg"))
    test_texts_change_nothing_but_words(one, folders, tmp_path)


@pytest.mark.parametrize(("command", "form"), [("ladder", "png"), ("ladder", "pdf"), ("plot timeline", "svg")])
def test_other_pictures_of_one_connection(command: str, form: str, folders: dict[str, Path], tmp_path: Path) -> None:
    one = Try((*command.split(), "--stream", f"tcp:{CONVERSATIONS * 10 + 3}"), form, ("-o", f"made.{form}"))
    test_texts_change_nothing_but_words(one, folders, tmp_path)


def pages(folder: Path) -> dict[str, set[Any]]:
    """What each kind of object consists of that a notebook shows as a page."""
    options: dict[str, Any] = {"keep": True, "findings": True}
    connections = list(tlsdissect.read(*sorted(folder.iterdir()), **options))
    tables = tlsdissect.tables(*sorted(folder.iterdir()))
    made: dict[str, list[str]] = {
        "card": [card(one) for one in connections],
        "Tree": [tlsdissect.tree(one)._repr_html_() for one in connections[::7]],
        "Drawing": [tlsdissect.ladder(connections[-1])._repr_html_()],
        "Explanation": [tlsdissect.explain(one)._repr_html_() for one in connections],
        "Tables": [tables._repr_html_()],
        "Comparison": [tlsdissect.compare(*sorted(folder.iterdir()), by="sni")._repr_html_()],
        "CaptureSummary": [tlsdissect.summary(folder)._repr_html_()],
        "Certificates": [tlsdissect.certs(folder)._repr_html_()],
        "CaptureDiff": [tlsdissect.diff(*sorted(folder.iterdir())[:2])._repr_html_()],
    }
    assert all(obeyed(one.replace("\t", " ")) == set() for every in made.values() for one in every)
    return {kind: {one for page in every for one in html(page.encode())} for kind, every in made.items()}


def test_a_notebook_shows_words(folders: dict[str, Path]) -> None:
    hostile, plain = pages(folders["hostile"]), pages(folders["plain"])
    assert {kind: found - plain[kind] for kind, found in hostile.items()} == {kind: set() for kind in plain}
    shown = {name for name, one in vars_of_views() if "_repr_html_" in vars(one)}
    assert shown == hostile.keys() - {"card"}


def vars_of_views() -> Iterator[tuple[str, type]]:
    """The classes that views define."""
    for module in pkgutil.walk_packages(views.__path__, f"{views.__name__}."):
        for name, one in vars(import_module(module.name)).items():
            if isinstance(one, type) and one.__module__ == module.name:
                yield name, one
