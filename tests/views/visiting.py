"""The report's page in a real browser, and what goes wrong in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self

from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge
from tlsdissect.views.report.page import Report

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

    from tlsdissect.handshake.key_logs import KeyLog
    from tlsdissect.trust.verdicts import Settings

AXE = files("axe_playwright_python").joinpath("axe.min.js")


def report(
    *captures: Path, detailed: int = 20_000, settings: Settings | None = None, keylog: KeyLog | None = None
) -> bytes:
    """Write the page about captures, as the command does."""
    judge, evidence = Judge(settings), Evidence()
    made = Report(tuple(map(str, captures)), judge, evidence, detailed)
    for connection in Reading(captures, Options(keep=True, keylog=keylog), judge=judge, evidence=evidence):
        made.add(connection)
    return b"".join(made.pieces())


class Visit(AbstractContextManager["Visit"]):
    """A page that is open; at its end nothing was complained of, and nothing asked for but the page."""

    def __init__(self, browser: Browser, path: Path, place: str = "", **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._address = path.as_uri()
        self.page: Page = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **context}).new_page()
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{self._address}{place}")
        if context.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-ready]", timeout=60_000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                assert self.complaints == []
                assert {url.partition("#")[0] for url in self.requests} == {self._address}
        finally:
            self.page.context.close()

    def rows(self, grid: str = "connections") -> Locator:
        return self.page.locator(f"#{grid}-body tr[tabindex]")

    def cells(self, title: str, grid: str = "connections") -> list[str]:
        """What stands in a column, of the rows that are drawn."""
        titles = self.page.locator(f"#{grid}-grid thead button").all_inner_texts()
        return self.page.locator(f"#{grid}-body tr[tabindex] td:nth-child({titles.index(title) + 1})").all_inner_texts()

    def head(self, title: str, grid: str = "connections") -> Locator:
        return self.page.locator(f"#{grid}-grid thead th", has=self.page.get_by_role("button", name=title, exact=True))

    def count(self, grid: str = "connections") -> str:
        return self.page.locator(f"#{grid}-count").inner_text()

    def cell(self, title: str, row: int, grid: str = "connections") -> Locator:
        titles = self.page.locator(f"#{grid}-grid thead button").all_inner_texts()
        return self.rows(grid).nth(row).locator("td").nth(titles.index(title))

    def open(self, row: int, grid: str = "connections") -> Locator:
        """Click where a row has no value to filter by."""
        self.cell({"connections": "stream", "certificates": "certificate"}[grid], row, grid).click()
        return self.opened(grid)

    def filters(self, grid: str = "connections") -> list[str]:
        return self.page.locator(f"#{grid}-chips .chip").all_inner_texts()

    def search(self, words: str) -> None:
        self.page.fill("#connections-words", words)

    def opened(self, grid: str = "connections") -> Locator:
        """The details that are open, once they are there."""
        detail = self.page.locator(f"#{grid}-detail")
        detail.locator("h3").wait_for(timeout=20_000)
        return detail

    def open_first(self, words: str) -> Locator:
        self.search(words)
        return self.open(0)

    def violations(self) -> list[tuple[str, list[str]]]:
        """What axe finds; the page has to be visited without its policy, which would keep axe out."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run()")["violations"]
        return [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]
