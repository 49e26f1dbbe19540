"""Explanations for a terminal."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.explain.whole import explain
from tlsdissect.views.printable import encoded, printable, styled, titled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.explain.model import Explanation, Sentence

USUAL = 100
"""Columns where no terminal says how many there are; longer lines are hard to read."""
_BOLD, _FAINT = "1", "2"


class Text:
    """The explanations of a run."""

    head = b""

    def __init__(self, width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> None:
        self._width = min(width or USUAL, USUAL)
        self._coloured = coloured
        self._encoding = encoding
        self._first = True

    def section(self, _: str) -> bytes:
        """Write nothing: each explanation names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Write a connection's explanation."""
        gap, self._first = "" if self._first else "\n", False
        text = "\n".join(self.lines(explain(connection)))
        return encoded(f"{gap}{text}\n", self._encoding)

    def lines(self, whole: Explanation) -> Iterator[str]:
        """Write an explanation, line by line."""
        who = f"stream {whole.stream}  {whole.client} > {whole.server}"
        yield self._styled(titled(who, printable(whole.source), self._width), _BOLD)
        for topic, heading in TOPICS.items():
            sentences = whole.about(topic)
            if sentences:
                yield self._styled(heading, _BOLD)
            for sentence in sentences:
                yield from self._sentence(sentence)

    def _sentence(self, sentence: Sentence) -> Iterator[str]:
        """A sentence in lines, with its frames behind it."""
        told = f"{printable(sentence.text)} {evidence(sentence)}".rstrip()
        for number, line in enumerate(wrap(told, self._width - 4, break_on_hyphens=False)):
            yield f"{'  - ' if not number else '    '}{line}"

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style) if self._coloured else text


def evidence(sentence: Sentence) -> str:
    """The frames of a sentence, and that it is a guess, in brackets."""
    frames = sorted(set(sentence.frames))
    parts = [f"frame{'s' * (len(frames) > 1)} {', '.join(map(str, frames))}"] if frames else []
    parts += ["a guess"] if sentence.guess else []
    return f"[{'; '.join(parts)}]" if parts else ""
