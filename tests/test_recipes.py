"""docs/recipes.md, run: each recipe is one short command, and what it shows is what that prints.

`python tests/test_recipes.py` writes what the commands print now into the recipes.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import test_readme
from recorded import ROOT
from test_joined import cut
from test_readme import CONSOLE, commands

RECIPES = ROOT / "docs" / "recipes.md"
BLOCKS = CONSOLE.findall(RECIPES.read_text())
CAPTURES = {
    "failures.pcap": "samples/network/network-failures.pcap",
    "old.pcap": "samples/network/network-old-clients.pcap",
    "before.pcap": "samples/network/network-upgrade-before.pcap",
    "after.pcap": "samples/network/network-upgrade-after.pcap",
    "client.pcap": "samples/ends-client.pcap.gz",
    "server.pcap": "samples/ends-server.pcap.gz",
    "paths.pcap": "samples/paths-client.pcap.gz",
    "pq.pcap": "samples/tomcat-firefox-resumed.pcap",
}
LONGEST = 80


def linked(folder: Path) -> Path:
    """A folder with the captures under the names of the recipes."""
    for name, capture in CAPTURES.items():
        (folder / name).symlink_to(ROOT / capture)
    cut(ROOT / CAPTURES["paths.pcap"], folder / "ring", 12)
    return folder


@pytest.mark.parametrize("block", BLOCKS)
def test_recipes_show_what_is_printed(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_readme, "ROOT", linked(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    assert test_readme.run(block) == block


def test_recipes_are_short() -> None:
    asked = [command for block in BLOCKS for command in commands(block)]
    assert len(asked) > 15
    lines = [line for command in asked for line in command.removeprefix("tlsdissect ").splitlines()]
    assert [line for line in lines if len(line) > LONGEST] == []
    assert {word for command in asked for word in command.split() if word.endswith(".pcap")} == set(CAPTURES)


def test_the_captures_are_named_in_the_text() -> None:
    text = " ".join(RECIPES.read_text().split())
    for name, capture in CAPTURES.items():
        assert f"`{name}` is `{capture}`" in text


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        test_readme.ROOT = linked(Path(folder))
        text = CONSOLE.sub(lambda found: f"```console\n{test_readme.run(found[1])}```", RECIPES.read_text())
        RECIPES.write_text(text)
