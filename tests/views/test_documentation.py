"""The documentation as a web site: it builds without a warning, names each command, and axe finds no barrier."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Literal

import click
import pytest
from recorded import ROOT
from visiting import AXE

from tlsdissect.cli.commands import Commands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

PAGES = (
    "", "tutorial/", "recipes/", "connection/", "findings/", "limits/", "python/", "commands/read/", "comparison/",
    "derivation/", "scan/",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_each_command_has_a_page_with_its_help(site: Path) -> None:
    for name in Commands().list_commands(click.Context(Commands())):
        assert f"Usage: tlsdissect {name}" in (site / "commands" / name / "index.html").read_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
@pytest.mark.parametrize("page", PAGES)
def test_no_barrier_and_nothing_from_elsewhere(
    browser: Browser, address: str, page: str, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address + page)
    opened.add_script_tag(path=str(AXE))
    found = opened.evaluate("axe.run().then(result => result.violations.map(one => one.id + ': ' + one.nodes[0].html))")
    context.close()
    assert found == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
