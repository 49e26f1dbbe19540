"""Calls are counted alike in each run."""

from __future__ import annotations

import gc

from counting import calls


def test_the_garbage_collectors_hooks_do_not_count() -> None:
    def hook(phase: str, info: dict[str, int]) -> None:
        pass

    enough = 2 * gc.get_threshold()[0]  # objects for a collection of the youngest generation
    gc.callbacks.append(hook)
    try:
        assert calls(lambda: [[] for _ in range(enough)]) == calls(lambda: [[] for _ in range(1)])
    finally:
        gc.callbacks.remove(hook)
    assert gc.isenabled()
