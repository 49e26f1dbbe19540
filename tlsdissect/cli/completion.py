"""What a shell suggests for a value: files, names that the program knows, and the streams of the captures given."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from tlsdissect.pipeline import Reading

    Suggest: TypeAlias = Callable[[click.Context, str], Iterable[tuple[str, str | None]]]
    """Yields values for what was typed so far, each with its description."""

MAX_SECONDS = 1
"""Seconds for which captures are read to suggest their streams."""
MAX_READ_BYTES = 64 << 20
"""Bytes of captures that are read to suggest their streams."""
MAX_SUGGESTED = 200
"""Streams that are suggested."""
_BATCH = 1024
"""Packets between two looks at the clock."""


def items(suggest: Suggest, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the suggestions that begin with what was typed."""
    found = suggest(ctx, incomplete)
    return [CompletionItem(value, help=text) for value, text in found if value.startswith(incomplete)]


class Word(click.ParamType[str]):
    """Text as it is given, for which values are suggested."""

    name = "text"

    def __init__(self, suggest: Suggest) -> None:
        self._suggest = suggest

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 (click's signature)
        """Suggest values."""
        return items(self._suggest, ctx, incomplete)


class PathName(click.ParamType[str]):
    """A path as it is given; the shell suggests files or folders."""

    name = "path"

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 (click's signature)
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type=self._kind)]


FILE, FOLDER = PathName("file"), PathName("dir")


def streams(ctx: click.Context, _: str) -> Iterator[tuple[str, str | None]]:
    """Yield the streams of the captures before the cursor; stop after one second or MAX_READ_BYTES."""
    from tlsdissect.corpus.confinement import confine  # noqa: PLC0415 (not needed for other completions)
    from tlsdissect.handshake.options import Options  # noqa: PLC0415
    from tlsdissect.pipeline import Reading  # noqa: PLC0415
    from tlsdissect.views.printable import printable  # noqa: PLC0415

    # Where the value of an option is missing, click leaves the arguments before it in `args`.
    given = (*(ctx.params.get("captures") or ()), *ctx.args)
    captures = [path for path in given if os.path.isfile(path)]  # noqa: PTH113 (reading a pipe would wait, and empty it)
    if ctx.find_root().obj:
        confine(captures)
    seen: dict[str, None] = {}
    reading = Reading(captures, Options(batch=_BATCH, linked=False))
    for c in _bounded(reading) if captures else ():
        if c.stream_name not in seen and len(seen) < MAX_SUGGESTED:
            seen[c.stream_name] = None
            yield c.stream_name, printable(f"{c.sni or c.server} {c.version or ''} {c.outcome}")


def _bounded(reading: Reading) -> Iterator[Any]:
    over = threading.Event()

    def watch() -> None:
        begun = time.monotonic()
        while not over.wait(0.01):
            if time.monotonic() - begun > MAX_SECONDS or reading.position > MAX_READ_BYTES:
                reading.stop()
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield from reading
    finally:
        over.set()
        watching.join()


def findings(_: click.Context, __: str) -> Iterator[tuple[str, str | None]]:
    """Yield the codes of findings."""
    from tlsdissect.trust.rules import RULES  # noqa: PLC0415 (not needed for other completions)

    return ((rule.code, rule.meaning) for rule in RULES)


def messages(_: click.Context, __: str) -> Iterator[tuple[str, str | None]]:
    """Yield the types of messages."""
    from tlsdissect.views.tree.build import MESSAGE_TYPES  # noqa: PLC0415 (not needed for other completions)

    return ((name, None) for name in sorted(MESSAGE_TYPES) if not name.startswith("0x"))


def columns(_: click.Context, incomplete: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys of columns, after those that stand before the last comma."""
    from tlsdissect.corpus.json_keys import every_key  # noqa: PLC0415 (not needed for other completions)

    before = incomplete[: incomplete.rfind(",") + 1]
    return ((before + key, None) for key in every_key())


def orders(_: click.Context, __: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys by which connections can be sorted."""
    from tlsdissect.corpus.json_keys import every_key, order  # noqa: PLC0415 (not needed for other completions)

    for key in every_key():
        try:
            order(key)
        except ValueError:
            continue
        yield key, None
