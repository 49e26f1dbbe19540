"""Trees as text and as a page: within the width, and harmless whatever a capture holds."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT, SAMPLES

import tlsdissect
from tlsdissect.views import tree
from tlsdissect.views.printable import columns

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection

TLS12 = ROOT / "samples/tls12-full.pcap"
HOSTILE = b"<script>\x1b[2J\xe2\x80\xae=cmd()'\""
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def kept(path: Path) -> list[Connection]:
    return list(tlsdissect.read(path, keep=True))


def text(path: Path, **options: object) -> str:
    view = tree.text(**options)
    return b"".join(view.row(connection) for connection in kept(path)).decode()


@each_sample
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("dumped", [False, True])
def test_lines_fit_the_terminal(sample: Path, width: int, dumped: bool) -> None:
    assert max(columns(line) for line in text(sample, width=width, dumped=dumped).splitlines()) <= width


def test_what_is_longer_than_the_terminal_continues_below_the_value() -> None:
    lines = text(TLS12, width=80, message="client_hello").splitlines()
    at = next(number for number, line in enumerate(lines) if line.lstrip().startswith("random"))
    begin = lines[at].index("fe2856e9")
    whole = next(line for line in text(TLS12, message="client_hello").splitlines() if " random " in line).split()
    assert lines[at].split()[1] + lines[at + 1].strip() == whole[1]
    assert lines[at + 1].index(lines[at + 1].strip()) == begin
    assert lines[at].endswith(f"  {whole[2]}")
    shown = " ".join(" ".join(lines).split())
    assert "TLS_EMPTY_RENEGOTIATION_INFO_SCSV (0x00ff) no suite 134-135 but a signal: RFC 5746 section 3.3" in shown


def test_a_long_value_has_two_lines_and_a_hex_dump_its_characters() -> None:
    lines = text(TLS12, width=80, message="server_key_exchange", dumped=True).splitlines()
    at = next(number for number, line in enumerate(lines) if line.lstrip().startswith("signature "))
    assert lines[at + 1].endswith("…")
    assert lines[at + 2].lstrip().startswith("08f0  ")
    dumps = [line for line in lines if re.match(r" *0[0-9a-f]{3} [ \[]", line)]
    assert dumps
    assert not any(line.endswith("…") for line in dumps)


@each_sample
def test_colours_change_no_text(sample: Path) -> None:
    assert re.sub(r"\x1b\[[0-9;]*m", "", text(sample, width=80, coloured=True)) == text(sample, width=80)


def test_a_tree_in_full() -> None:
    shown = text(TLS12, message="server_key_exchange", dumped=True)
    assert shown.splitlines()[:13] == [
        f"stream 0  [::1]:39898 > [::1]:8443  {TLS12}",
        "frame 6  server  1.158 ms",
        "  record  handshake  RFC 8446 section 5.1  2253-2557",
        "    server_key_exchange  RFC 8422 section 5.4  2258-2557",
        "      msg_type          server_key_exchange (0x0c)  2258",
        "        08d0  01 2c[0c]00 01 28 03 00 1d 20 2b 4b 47 02 25 a0   .",
        "      length            296  2259-2261",
        "        08d0  01 2c 0c[00 01 28]03 00 1d 20 2b 4b 47 02 25 a0   ..(",
        "      params  2262-2297",
        "        curve_params  2262-2264",
        "          curve_type   named_curve (0x03)  2262",
        "            08d0  01 2c 0c 00 01 28[03]00 1d 20 2b 4b 47 02 25 a0   .",
        "          named_curve  x25519 (0x001d)  2263-2264",
    ]


def test_a_message_that_is_not_there_shows_nothing() -> None:
    for view in (tree.text(message="finished"), tree.json("finished"), tree.Page(message="finished")):
        assert [view.row(connection) for connection in kept(TLS12)] == [b""]


def hostile(tmp_path: Path) -> Path:
    data = (ROOT / "samples/tls13-full.pcap").read_bytes()
    name = (HOSTILE + b"x" * 9)[:9]
    path = tmp_path / "<b>evil\x1b.pcap"
    path.write_bytes(data.replace(b"\x00\x00\x09localhost", b"\x00\x00\x09" + name))
    return path


def test_no_escape_reaches_a_terminal(tmp_path: Path) -> None:
    shown = text(hostile(tmp_path), width=100)
    assert shown.replace("\n", "").isprintable()
    assert "<script>\\x1b" in shown


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("dumped", [False, True])
def test_no_markup_reaches_a_page(dumped: bool, tmp_path: Path) -> None:
    view, path = tree.Page(dumped=dumped), hostile(tmp_path)
    page = (view.head + b"".join(view.row(connection) for connection in kept(path))).decode()
    found = Tags()
    found.feed(page)
    assert found.seen.isdisjoint({"script", "b", "img", "link", "iframe"})
    assert not {name for name in found.attributes if name.startswith("on")}
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "default-src 'none'" in page


def test_a_notebook_shows_a_tree() -> None:
    [connection] = kept(TLS12)
    shown = tlsdissect.tree(connection)._repr_html_()
    assert "<style>" in shown
    assert "server_key_exchange" in shown
    assert str(tlsdissect.tree(connection)).startswith("stream 0  [::1]:39898")
