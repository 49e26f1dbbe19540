"""The report's page, in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright
from recorded import ROOT, SAMPLES, absent

import tlsdissect
from tlsdissect.views.report.page import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PATHS = ROOT / "samples/paths-client.pcap.gz"
AXE = files("axe_playwright_python").joinpath("axe.min.js")


def report(*captures: Path, detailed: int = 20_000) -> bytes:
    made = Report(tuple(map(str, captures)), detailed)
    for connection in tlsdissect.read(*captures, keep=True):
        made.add(connection)
    return b"".join(made.pieces())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        absent("chromium is not installed")
    with sync_playwright() as driver:
        # Chromium's own sandbox does not run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with driver.chromium.launch(executable_path=chromium, args=arguments) as started:
            yield started


class Visit:
    """A page that is open, and what went wrong in it."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_context(viewport={"width": 1300, "height": 900}, **context).new_page()
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", timeout=20_000)

    def rows(self, column: int) -> list[str]:
        cells = f"#rows [role=row] [role=gridcell]:nth-child({column + 1})"
        return self.page.locator(cells).all_inner_texts()

    def column(self, title: str) -> int:
        return self.page.locator("[role=columnheader]").all_inner_texts().index(title)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(report(*SAMPLES, PATHS))
    return path


@pytest.fixture
def visit(browser: Browser, written: Path) -> Iterator[Visit]:
    visit = Visit(browser, written)
    yield visit
    assert visit.complaints == []
    assert visit.requests == [written.as_uri()]
    visit.page.context.close()


def test_everything_is_in_the_table(visit: Visit) -> None:
    total = len(list(tlsdissect.read(*SAMPLES, PATHS)))
    assert visit.page.locator("#count").inner_text() == f"{total} of {total} connections"
    assert len(visit.rows(0)) < total  # rows are drawn where they are seen
    visit.page.locator("#grid").evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    visit.page.wait_for_selector(f"#rows [aria-rowindex='{total + 1}']")


def test_sorting_by_a_column(visit: Visit) -> None:
    at = visit.column("ms")
    header = visit.page.locator("[role=columnheader]").nth(at)
    for order, down in (("ascending", False), ("descending", True)):
        header.locator("button").click()
        assert header.get_attribute("aria-sort") == order
        times = [float(cell) for cell in visit.rows(at) if cell != "-"]
        assert len(times) > 10
        assert times == sorted(times, reverse=down)


def test_words_and_choices_select(visit: Visit) -> None:
    visit.page.fill("#search", "psk")
    assert set(visit.rows(visit.column("resumed"))) == {"psk", "psk 0-RTT"}
    visit.page.fill("#search", "")
    visit.page.select_option("#version", "1.2")
    assert set(visit.rows(visit.column("TLS"))) == {"1.2"}


def test_a_connection_opens_on_a_click_and_by_keyboard(visit: Visit) -> None:
    visit.page.fill("#search", "tls12-full")
    visit.page.locator("#rows [role=row]").first.click()
    visit.page.wait_for_selector("#detail .tree")
    visit.page.locator("#detail .tree > details > summary").nth(2).click()
    assert visit.page.get_by_text("ServerKeyExchange").count() == 0
    assert visit.page.locator("#detail").get_by_text("tbsCertificate").count() >= 1
    visit.page.fill("#search", "")
    visit.page.locator("#rows [role=row]").first.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        visit.page.keyboard.press(key)
    visit.page.wait_for_selector("#rows [aria-rowindex='4'][aria-selected=true]")


def test_places_are_those_of_the_tree(visit: Visit) -> None:
    """The page works out where a field stands; the program knows it."""
    visit.page.fill("#search", "tls12-full")
    visit.page.locator("#rows [role=row]").first.click()
    visit.page.wait_for_selector("#detail .tree")
    line = visit.page.locator("#detail .tree li", has_text=re.compile("named_curve.*x25519")).last
    assert line.locator(".place").first.text_content() == "2263-2264"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_knows(browser: Browser, written: Path, scheme: str) -> None:
    visit = Visit(browser, written, color_scheme=scheme, bypass_csp=True)
    visit.page.locator("#rows [role=row]").first.click()
    visit.page.wait_for_selector("#detail .tree")
    visit.page.evaluate(AXE.read_text())
    found = visit.page.evaluate("axe.run()")
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found["violations"]] == []


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    capture = tmp_path / "<img src=x onerror=alert(1)>.pcap"
    data = (ROOT / "samples/tls13-full.pcap").read_bytes()
    capture.write_bytes(data.replace(b"\x00\x00\x09localhost", b"\x00\x00\x09<script>\x1b"))
    page = tmp_path / "page.html"
    page.write_bytes(report(capture))
    visit = Visit(browser, page)
    visit.page.locator("#rows [role=row]").first.click()
    visit.page.wait_for_selector("#detail .tree")
    assert visit.complaints == []
    assert visit.requests == [page.as_uri()]
    assert "<script>\\x1b" in visit.page.locator("#detail").text_content()
    assert visit.page.locator("img").count() == 0


def test_ten_thousand_connections(browser: Browser, tmp_path: Path) -> None:
    command = [
        sys.executable,
        ROOT / "tests/benchmarks/captures.py",
        "--handshakes",
        "10000",
        "--out",
        tmp_path / "c.pcap",
    ]
    subprocess.run(command, check=True, timeout=120)
    path = tmp_path / "large.html"
    path.write_bytes(report(tmp_path / "c.pcap"))
    assert path.stat().st_size < 20_000_000
    visit = Visit(browser, path)
    assert visit.page.evaluate("performance.now()") < 3000
    assert visit.page.locator("#count").inner_text() == "10000 of 10000 connections"
    assert visit.page.locator("#rows [role=row]").count() < 100
    visit.page.locator("#grid").evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    visit.page.wait_for_selector("#rows [aria-rowindex='10001']")
    visit.page.locator("#rows [role=row]").last.click()
    visit.page.wait_for_selector("#detail .tree", timeout=2000)


def test_details_are_limited(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "few.html"
    path.write_bytes(report(*SAMPLES, detailed=1))
    visit = Visit(browser, path)
    visit.page.locator("#rows [role=row]").nth(3).click()
    assert "The details of the first 1 are in this page." in visit.page.locator("main").inner_text()
