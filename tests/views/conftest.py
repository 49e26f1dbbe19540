from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright
from recorded import ROOT, SAMPLES, absent
from visiting import Visit, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

PATHS = ROOT / "samples/paths-client.pcap.gz"


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


@pytest.fixture(scope="session")
def captures() -> list[Path]:
    """What the page of these tests is about."""
    return [*SAMPLES, PATHS]


@pytest.fixture(scope="session")
def written(captures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(report(*captures))
    return path


@pytest.fixture
def visit(browser: Browser, written: Path) -> Iterator[Visit]:
    """The page, opened; nothing may go wrong in it, and nothing be asked for."""
    with Visit(browser, written) as visit:
        yield visit
