"""Read captures in this process, one after another, for `tests/fuzz`.

The first line of output says whether the kernel is compiled. Each line of input is a JSON object with the `path` of a
capture, the `batch` to read it with, and the `seconds` of processor time that this may take: beyond, SIGPROF ends this
process. The answer to it is a line of JSON: for each way of reading, a list of texts, which are the connections, the
summary and, if an exception was raised, its traceback.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import msgspec

from tlsdissect import kernel
from tlsdissect.flows.limits import Limits
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = {
    "plain": Options(),
    "keep": Options(keep=True),
    "idle": Options(idle=1.0),
    "findings": Options(),
    "small limits": Options(
        limits=Limits(known=2, followed=1, held_bytes=500, message_bytes=2000, total_bytes=4000, max_sessions=1)
    ),
}


def texts(path: str, batch: int, way: str) -> Iterator[str]:
    judge = Judge() if way == "findings" else None
    reading = Reading([path], msgspec.structs.replace(WAYS[way], batch=batch), judge=judge)
    try:
        for connection in reading:
            yield msgspec.json.encode(connection).decode()
        yield repr(vars(reading.summary))
        assert reading._budget.used == 0, "bytes are still counted that nothing holds"
    except Exception:  # noqa: BLE001 (every exception is an answer)
        yield traceback.format_exc()


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(kernel.describe()), file=answers, flush=True)
    for request in sys.stdin:
        asked = json.loads(request)
        signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
        found = {way: list(texts(asked["path"], asked["batch"], way)) for way in WAYS}
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    serve()
