"""Make an input that fails smaller, as long as it fails in the same way."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def failure(run: Callable[[bytes], object], data: bytes) -> tuple[str, int] | None:
    """What is raised, and the line that raises it."""
    try:
        run(data)
    except Exception as error:  # noqa: BLE001 (every exception is a failure)
        return type(error).__name__, traceback.extract_tb(error.__traceback__)[-1].lineno or 0
    return None


def smaller(run: Callable[[bytes], object], data: bytes) -> bytes:
    """Leave out what can be left out, in ever smaller pieces, and set to zero what can be zero."""
    wanted = failure(run, data)
    assert wanted is not None, "this input does not fail"
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data):
            without = data[:at] + data[at + size :]
            if failure(run, without) == wanted:
                data = without
            else:
                at += size
        size //= 2
    for at in range(len(data)):
        zeroed = data[:at] + b"\0" + data[at + 1 :]
        if failure(run, zeroed) == wanted:
            data = zeroed
    return data
