"""The examples of the README and of the documentation, run: what they show is what is printed.

`python tests/test_readme.py` writes what is printed now into them.
"""

from __future__ import annotations

import ast
import doctest
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from recorded import ROOT, script

import tlsdissect
from tlsdissect.flows.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

README = ROOT / "README.md"
PAGES = [README, *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "recipes.md")]
"""The pages whose examples run here; test_recipes.py runs the recipes."""
LIMITS = ROOT / "docs" / "limits.md"
WIDTH = 80
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```pycon\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    """The commands of a console block, as they would be typed: `$ ` begins one, `> ` goes on with it."""
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif line.startswith("> "):
            found[-1] += "\n" + line[2:]
    return found


def shown(command: str) -> str:
    """What a terminal shows of a command in the end: no progress bar, which a slow machine would draw."""
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
        os.chdir(ROOT)
        path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # noqa: PTH120
        kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        os.execve("/bin/bash", ["bash", "-c", command], {**kept, "PATH": path, "NO_COLOR": "1", "TERM": "dumb"})  # noqa: S606
    text = b"".join(iter(lambda: _read(terminal), b"")).decode().replace("\r\n", "\n")
    os.close(terminal)
    os.waitpid(process, 0)
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


def _read(terminal: int) -> bytes:
    # Linux says EIO where all that had the terminal open are gone.
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


def run(block: str) -> str:
    """The block with what its commands print now."""
    return "".join("$ " + command.replace("\n", "\n> ") + "\n" + shown(command) for command in commands(block))


def blocks(kind: re.Pattern[str]) -> list[pytest.ParameterSet]:
    """The blocks of a kind on all pages."""
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, block in enumerate(kind.findall(page.read_text()))
    ]


@pytest.mark.parametrize("block", blocks(CONSOLE))
def test_consoles_show_what_is_printed(block: str) -> None:
    assert commands(block)
    assert run(block) == block


@pytest.mark.parametrize("block", blocks(PYTHON))
def test_python_says_what_is_shown(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert _doctest(block).failed == 0


def test_examples_in_the_readme_are_not_cut() -> None:
    """At 830 pixels, at which GitHub shows it, and 8.2 pixels a letter."""
    blocks = re.findall(r"^```\w+\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= (830 - 2 * 32 - 2 * 16) // 8.2


PICTURES = re.findall(r"^    (tlsdissect ladder .* -o .*)$", (ROOT / "samples" / "README.md").read_text(), re.MULTILINE)
"""The commands that draw the picture at the top of the README, for a light page and for a dark one."""


@pytest.mark.parametrize("command", PICTURES)
def test_a_picture_is_what_its_command_draws(command: str, tmp_path: Path) -> None:
    *arguments, kept = shlex.split(command)[1:]
    drawn = tmp_path / "drawn.svg"
    subprocess.run(
        [Path(sys.executable).with_name("tlsdissect"), *arguments, drawn], cwd=ROOT, check=True, capture_output=True
    )
    assert _texts(drawn) == _texts(ROOT / kept)
    assert _background(drawn) == _background(ROOT / kept)


def test_the_pictures_are_those_shown() -> None:
    shown = re.findall(r'(?:srcset|src)="([^"]+)"', README.read_text())
    drawing = re.findall(r"^`(tlsdissect ladder [^`]*)` draws this figure", README.read_text(), re.MULTILINE)
    assert drawing == PICTURES[:1]
    drawn = [shlex.split(command)[-1] for command in PICTURES]
    assert sorted(shown) == sorted([*drawn, *(f"docs/pictures/{one}" for one in RECORDED)])
    assert len({_background(ROOT / path) for path in drawn}) == len(drawn) == 2


RECORDED = ["report-dark.png", "report.png", "terminal.svg"]
RECORDER = script(ROOT / "samples" / "record-pictures")


def test_the_terminal_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert RECORDER.terminal() == (ROOT / "docs/pictures/terminal.svg").read_text()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", RECORDER.FIGURES)
def test_the_documentation_shows_figures_as_they_are_drawn(
    kind: str, dark: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    path, now = ROOT / f"docs/pictures/{kind}{'-dark' if dark else ''}.svg", tmp_path / "now.svg"
    now.write_bytes(RECORDER.drawn(kind, dark=dark))
    assert f"](pictures/{path.name}#only-{'dark' if dark else 'light'})" in (ROOT / "docs/figures.md").read_text()
    assert _texts(now) == _texts(path) != []
    assert _background(now) == _background(path)


def test_the_picture_says_what_its_description_does() -> None:
    (told,) = re.findall(r'alt="(Two handshakes[^"]+)"', README.read_text())
    times = re.findall(r"takes ([0-9]+ ms)", told)
    assert times == ["327 ms", "164 ms"]
    assert set(times) <= set(_texts(ROOT / "samples/paths-ladder.svg"))


def _background(picture: Path) -> str:
    (found,) = re.findall(r'id="patch_1">\s*<path [^>]*style="fill: (#[0-9a-f]{6})', picture.read_text())
    return found


def _texts(picture: Path) -> list[str]:
    """What is written in a picture, in order: where it stands differs between versions of matplotlib."""
    root = ET.parse(picture).getroot()  # noqa: S314  # our own
    return ["".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_docstrings_say_what_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.DocTestFinder().find(tlsdissect.read, "read", globs={"tlsdissect": tlsdissect})
    runner = doctest.DocTestRunner()
    assert sum(runner.run(one).attempted for one in found) > 0
    assert runner.failures == 0


_COUNTED = {"known": "connections", "udp_known": "flows", "followed": "connections", "max_sessions": "sessions"}
_ROW = re.compile(r"^\| `([a-z0-9_.]+)\.([A-Z_]+)` \| ([0-9,]+) ?(\w*) \| (.*) \|$", re.MULTILINE)
"""A row of the table of constants: module, name, value, unit and description."""
_LIMIT = re.compile(r"MAX_[A-Z_]+|[A-Z][A-Z_]*_BYTES")
"""The names of limits, by CONTRIBUTING.md."""


def test_options_are_listed_with_their_defaults() -> None:
    text = LIMITS.read_text()
    limits = Limits()
    for name in Limits.__struct_fields__:
        value = getattr(limits, name)
        default = f"{value / (1 << 20):g} MiB" if name.endswith("bytes") else f"{value:g} seconds"
        default = f"{value:,} {_COUNTED[name]}" if name in _COUNTED else default
        option = f"`--{name.replace('_', '-')}`"
        assert re.search(rf"{option}( \|)? {default}", text), (option, default)


def test_constants_are_listed_with_their_values() -> None:
    units = {"MiB": 1 << 20, "KiB": 1 << 10, "captures": 1, "": 1}
    text = LIMITS.read_text()
    rows = _ROW.findall(text)
    assert len(rows) == len(re.findall(r"^\| `[a-z0-9_.]+\.[A-Z_]+`", text, re.MULTILINE)) > 0
    for module, name, number, unit, _ in rows:
        value = getattr(import_module(f"tlsdissect.{module}"), name)
        assert value == int(number.replace(",", "")) * units[unit], (module, name)


def test_every_limit_is_listed() -> None:
    """Each constant with the name of a limit has a row, or is named in the row of the limit that it counts towards."""
    text = LIMITS.read_text()
    listed = set(re.findall(r"`([a-z0-9_.]+\.[A-Z_]+)`", text))
    for module, _, _, _, description in _ROW.findall(text):
        listed |= {f"{module}.{name}" for name in re.findall(r"`([A-Z_]+)`", description)}
    assert sorted(_limits()) == sorted(listed)


def _limits() -> Iterator[str]:
    """Yield the constants of all modules whose names are those of limits."""
    package = ROOT / "tlsdissect"
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and _LIMIT.fullmatch(node.id):
                        yield f"{module}.{node.id}"


def _doctest(block: str) -> doctest.TestResults:
    test = doctest.DocTestParser().get_doctest(block, {}, "README", None, None)
    return doctest.DocTestRunner(verbose=False).run(test)


def _answered(block: str) -> str:
    """The block with what Python says now."""
    lines, names = [], {}
    for one in doctest.DocTestParser().get_examples(block):
        source = one.source.rstrip("\n").split("\n")
        lines += [f"{'...' if number else '>>>'} {line}" for number, line in enumerate(source)]
        failed = doctest.DocTest([doctest.Example(one.source, "?\n")], names, "README", None, None, None)
        said: list[str] = []
        runner = _Listening(said)
        runner.run(failed, clear_globs=False)
        names = failed.globs
        lines += "".join(said).splitlines()
    return "\n".join(lines) + "\n"


class _Listening(doctest.DocTestRunner):
    """Notes what an example says instead of judging it."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(verbose=False)
        self._said = said

    def report_failure(self, out: object, test: object, example: object, got: str) -> None:  # doctest's signature
        del out, test, example
        self._said.append(got)


if __name__ == "__main__":
    os.chdir(ROOT)
    for page in PAGES:
        text = CONSOLE.sub(lambda found: f"```console\n{run(found[1])}```", page.read_text())
        page.write_text(PYTHON.sub(lambda found: f"```pycon\n{_answered(found[1])}```", text))
