"""The manual pages: one for each command, with all that --help says, and without a warning of groff."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click
import pytest
from recorded import ROOT

from tlsdissect.cli.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path

NAMES = Commands().list_commands(click.Context(Commands()))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages, written by the command that the documentation has."""
    folder = tmp_path_factory.mktemp("man")
    (script,) = re.findall(r"`python (docs/\S+) FOLDER`", (ROOT / "docs/installing.md").read_text())
    subprocess.run([sys.executable, script, folder], cwd=ROOT, check=True, timeout=60)
    return folder


def formatted(page: Path) -> tuple[str, str]:
    """The page as plain text without line breaks, and what groff warns of."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    # -P-c -P-b -P-u: without colours, bold and underlining.
    command = ["groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b", "-P-u", page]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    text = re.sub(r"-\n\s*", "-", done.stdout)
    return " ".join(text.split()), done.stderr


def test_each_command_has_a_page(pages: Path) -> None:
    assert {page.name for page in pages.iterdir()} == {"tlsdissect.1", *[f"tlsdissect-{name}.1" for name in NAMES]}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_help_says(name: str, pages: Path) -> None:
    text, warnings = formatted(pages / f"tlsdissect-{name}.1")
    assert warnings == ""
    command = import_module(f"tlsdissect.cli.{name}").command
    shown = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    assert [one.opts[0] for one in shown if one.opts[0] not in text] == []
    examples = import_module(f"tlsdissect.cli.{name}").EXAMPLES.removeprefix("\b\n").splitlines()
    squeezed = "".join(text.split())
    # groff may break a word at a hyphen of its own.
    lines = ["".join(line.split()) for line in examples if line.strip() not in ("", "\b")]
    assert [
        line for line in lines if line not in squeezed and line.replace("-", "") not in squeezed.replace("-", "")
    ] == []


def test_the_page_of_the_program_names_the_others(pages: Path) -> None:
    text, warnings = formatted(pages / "tlsdissect.1")
    assert warnings == ""
    assert [name for name in NAMES if f"tlsdissect-{name}(1)" not in text.replace("- ", "-")] == []
