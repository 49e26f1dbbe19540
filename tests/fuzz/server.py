"""Run targets on inputs in this process, one after another, for `tests/fuzz/run`.

The first line of output says whether the kernel is compiled. Each line of input is a JSON object with the name of a
`target`, the `path` of an input, and the `seconds` of processor time that it may take: beyond, SIGPROF ends this
process. The answer to it is a line of JSON: what the target returned, as text, or the traceback of what it raised.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from fuzz.targets import TARGETS

from tlsdissect import kernel


def answer(target: str, path: str) -> str:
    try:
        return repr(TARGETS[target].run(Path(path).read_bytes()))
    except Exception:  # noqa: BLE001 (every exception is an answer)
        return traceback.format_exc()


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(kernel.describe()), file=answers, flush=True)
    for request in sys.stdin:
        asked = json.loads(request)
        signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
        found = answer(asked["target"], asked["path"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    serve()
