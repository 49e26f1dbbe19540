"""The facts that other tools state of real captures, which lie beside the project where it grows."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from forking import program
from recorded import SHARED

FLOOR = 99.9  # percent of the facts about TLS over TCP and EAP, DTLS and QUIC, with and without key logs
CHECK = SHARED / "conformance" / "check"


@pytest.mark.skipif(not CHECK.exists(), reason=f"no {CHECK}: the captures of other projects are not part of this one")
def test_facts_of_other_tools() -> None:
    command = [sys.executable, str(CHECK), "--keys", "--jobs", "2", "--tlsdissect", str(program())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    last = (done.stdout.strip().splitlines() or [done.stderr])[-1]
    told = re.search(r"(\d+) of (\d+) facts \(.*\), (\d+) crashes", last)
    assert told, last
    matched, stated, crashes = map(int, told.groups())
    assert 100 * matched >= FLOOR * stated, done.stdout[-4000:]
    assert crashes == 0, done.stdout[-4000:]
