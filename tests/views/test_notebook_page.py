"""Cards, trees and ladders in the page that nbconvert makes of a notebook, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from nbconvert import HTMLExporter
from recorded import ROOT
from visiting import AXE

import tlsdissect
from tlsdissect.views.notebook import card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CAPTURES = ("tls12-client-cert", "tls13-full", "tls12-no-common-suite")
THEMES = ("light", "dark")
WIDTHS = (480, 1280)
BROKEN_LABELS = """() => [...document.querySelectorAll(".tlsdissect-card dt")].filter((label) => {
    const range = document.createRange();
    range.selectNodeContents(label);
    return range.getClientRects().length !== 1 || label.scrollWidth > label.clientWidth;
}).map((label) => label.textContent)"""
CUT = """() => {
    const parts = document.querySelectorAll(".tlsdissect-card, .tlsdissect-card *, .tlsdissect-tree *, img");
    return [...parts].filter((part) => {
        const around = part.closest(".jp-OutputArea-output").getBoundingClientRect();
        const own = part.getBoundingClientRect();
        return own.width && (own.left < around.left || own.right > around.right + 1);
    }).map((part) => part.outerHTML.slice(0, 80));
}"""
LEVELS = """() => [...document.querySelectorAll(".tlsdissect-tree details")].map((part) => {
    let level = 0;
    for (let one = part.parentElement.closest("details"); one; one = one.parentElement.closest("details")) level += 1;
    return [level, part.open];
})"""
OURS = '{include: [[".tlsdissect-card"], [".tlsdissect-tree"]]}'
CONTRAST = f"""() => axe.run({OURS}, {{runOnly: ["color-contrast"]}}).then(
    (found) => [found.violations.flatMap((one) => one.nodes.map((node) => node.html)), found.passes.length])"""


@pytest.fixture(scope="module")
def cells() -> nbformat.NotebookNode:
    """A notebook that was run: what JupyterLab keeps of its outputs."""
    kept = [
        one for name in CAPTURES for one in tlsdissect.read(ROOT / "samples" / f"{name}.pcap", keep=True, findings=True)
    ]
    shown = [*map(card, kept), tlsdissect.tree(kept[1])._repr_html_(), tlsdissect.ladder(*kept[:2])._repr_html_()]
    new = nbformat.v4
    return new.new_notebook(
        cells=[
            new.new_code_cell("c", outputs=[new.new_output("execute_result", {"text/html": html})]) for html in shown
        ]
    )


@pytest.fixture(params=[(theme, width) for theme in THEMES for width in WIDTHS], ids=lambda one: f"{one[0]}-{one[1]}")
def page(
    request: pytest.FixtureRequest, browser: Browser, cells: nbformat.NotebookNode, tmp_path: Path
) -> Iterator[Page]:
    theme, width = request.param
    html, _ = HTMLExporter(theme=theme, mathjax_url="", require_js_url="").from_notebook_node(cells)
    path = tmp_path / "notebook.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth)")
    yield page
    context.close()


def test_labels_stand_on_one_line_and_nothing_is_cut(page: Page) -> None:
    assert page.locator(".tlsdissect-card dt").count() > 20
    assert page.evaluate(BROKEN_LABELS) == []
    assert page.evaluate(CUT) == []


def test_trees_come_with_two_levels_open(page: Page) -> None:
    levels = page.evaluate(LEVELS)
    assert max(level for level, _ in levels) > 2
    assert all(is_open == (level < 2) for level, is_open in levels)


def test_the_page_around_stays_as_it_is(page: Page) -> None:
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "none"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "normal"


def test_words_stand_apart_without_the_styles_that_jupyterlab_removes(page: Page) -> None:
    page.evaluate("document.querySelectorAll('.jp-OutputArea style').forEach((one) => one.remove())")
    heads = page.locator(".tlsdissect-card .head").all_inner_texts()
    assert heads[0] == "localhost:8443 (::1) TLS 1.2 established"
    lines = page.locator(".tlsdissect-tree summary").all_inner_texts()
    assert lines[0].startswith("86-324 record handshake")


def test_text_can_be_read_in_both_themes(page: Page) -> None:
    page.add_script_tag(path=str(AXE))
    faint, rules_passed = page.evaluate(CONTRAST)
    assert faint == []
    assert rules_passed == 1
