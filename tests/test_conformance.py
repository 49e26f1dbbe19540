"""The facts that other tools state of real captures, which lie beside the project where it grows."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from forking import program
from recorded import SHARED

FLOOR = 99.9  # percent of the facts about TLS over TCP
CHECK = SHARED / "conformance" / "check"


@pytest.mark.skipif(not CHECK.exists(), reason=f"no {CHECK}: the captures of other projects are not part of this one")
def test_facts_of_other_tools() -> None:
    command = [sys.executable, str(CHECK), "--transport", "tcp", "--jobs", "2", "--tlsdissect", str(program())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    last = (done.stdout.strip().splitlines() or [done.stderr])[-1]
    told = re.search(r"\((\d+(?:\.\d+)?) ?%\), (\d+) crashes", last)
    assert told, last
    assert float(told[1]) >= FLOOR, done.stdout[-4000:]
    assert told[2] == "0", done.stdout[-4000:]
