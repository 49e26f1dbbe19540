"""Counts function calls: a measure of cost that, unlike time, is the same in each run."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def calls(do: Callable[[], object], *counted: Callable[..., Any]) -> int:
    """How often a call makes others: all of them, or those of some functions.

    The garbage collector rests meanwhile: it starts at any moment, and calls the hooks that test libraries register.
    """
    codes = {one.__code__ for one in counted}
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        # Each resumption of a generator is a call, too.
        count += event == "call" and frame.f_code in codes if codes else event in {"call", "c_call"}

    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(profile)
    try:
        do()
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
    return count
