"""Names that mean harm do none in the page, and what would get through its escaping would not run."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import hostile
import pytest
from visiting import Visit, report

import tlsdissect
from tlsdissect.handshake.facts.text import text
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f]")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "page.html").write_bytes(report(hostile.capture(folder)))
    return folder / "page.html"


def test_the_capture_holds_the_names(tmp_path: Path) -> None:
    told = list(tlsdissect.read(hostile.capture(tmp_path)))
    assert {one.outcome for one in told} == {"established"}
    assert [one.alpn for one in told][1] == hostile.MARKUP
    assert [one.certificates[0].subject.count("CN=") for one in told] == [1] * len(hostile.NAMES)
    assert [len(one.sni) for one in told][-1] == 255


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_are_text(browser: Browser, page: Path, scheme: str) -> None:
    with Visit(browser, page, color_scheme=scheme) as visit:
        assert visit.page.title().startswith("TLS in ")
        scripts = "document.querySelectorAll('script:not([type])').length"
        for number, name in enumerate(hostile.NAMES):
            detail = visit.open(number)
            detail.get_by_role("button", name="Open all").click()
            # What ASCII does not have is told byte by byte.
            told, shown = detail.text_content(), (printable(name), text(name.encode()))
            assert any(one[:64] in told for one in shown)
        assert hostile.MARKUP in visit.open(1, "certificates").text_content()
        assert visit.page.evaluate(scripts) == 1
        assert visit.page.locator("img, iframe, object, embed, form, link, base").count() == 0
        assert visit.page.locator("a:not([href^='#'])").count() == 0
        assert UNSEEN.findall(visit.page.locator("body").inner_text()) == []
        assert "owned" not in visit.page.title()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 1300


def test_long_names_fit_a_phone(browser: Browser, page: Path) -> None:
    with Visit(browser, page, viewport={"width": 390, "height": 844}) as visit:
        detail = visit.open_first("lllll")
        detail.get_by_role("button", name="Open all").click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_words_are_found_as_they_are_shown(browser: Browser, page: Path) -> None:
    with Visit(browser, page) as visit:
        visit.search("<script>document")
        assert visit.rows().count() == 1
        visit.search(r"\x1b]0;owned")
        assert visit.rows().count() == 1


SMUGGLED = """<script>document.title = 'owned'</script><img src=x onerror="document.title = 'owned'">
<img src="HOST/image"><iframe src="HOST/frame"></iframe><p style="color: red" id="styled">x</p>
<link rel="stylesheet" href="HOST/style"><script src="HOST/script"></script><object data="HOST/object"></object>
<svg onload="document.title = 'owned'"></svg><a id="run" href="javascript:document.title = 'owned'">run</a>"""
FETCH = "(host) => fetch(host).then(() => 'reached', () => 'stopped')"
MARKED_UP = "() => { try { document.body.innerHTML = '<p>'; return ''; } catch (one) { return one.name; } }"


class Server(ThreadingHTTPServer):
    """Counts what it is asked for, and has nothing.

    For a frame that the policy then refuses, Chromium opens a connection, on which it asks for nothing.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Nothing)
        self.requests: list[str] = []
        self.host = f"http://127.0.0.1:{self.server_port}"


class Nothing(BaseHTTPRequestHandler):
    """Answers that there is nothing."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("policy", [True, False])
def test_what_gets_through_does_not_run(
    browser: Browser, page: Path, tmp_path: Path, server: Server, *, policy: bool
) -> None:
    """The policy stops what no escaping held back: here markup is put into the page by hand; without it, it runs."""
    path = tmp_path / "smuggled.html"
    path.write_text(page.read_text().replace("<main>", f"<main>{SMUGGLED.replace('HOST', server.host)}", 1))
    context = browser.new_context(bypass_csp=not policy)
    visited = context.new_page()
    visited.goto(path.as_uri())
    visited.wait_for_selector("html[data-ready]")
    if policy:
        visited.locator("#run").click()
        assert visited.evaluate(FETCH, server.host) == "stopped"
        colour = visited.evaluate("getComputedStyle(document.getElementById('styled')).color")
        assert colour != "rgb(255, 0, 0)"
        assert visited.evaluate(MARKED_UP) == "TypeError"
    assert (server.requests == []) is policy
    assert ("owned" not in visited.title()) is policy
    context.close()
