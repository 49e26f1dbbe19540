"""Text in sections, each with a label on its left: what a terminal and a notebook show of a summary and of a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from tlsdissect.views.printable import printable, shortened, styled, wrapped_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LABEL = 14
"""Columns of the labels."""
_NARROWEST = 20
"""Columns of the text beside them at least."""
_BOLD = "1"
_LEFT = "text-align: left; vertical-align: top; white-space: pre-wrap"


class Section(NamedTuple):
    """A section: its label, the style of its text, and its paragraphs with the indent of their further lines."""

    label: str
    style: str
    paragraphs: list[tuple[int, str]]


def labelled(sections: Iterable[Section], width: int | None, *, coloured: bool) -> Iterator[str]:
    """Yield the lines of sections, wrapped to a width and printable; spaces before a paragraph are kept."""
    room = max(_NARROWEST, (width or 80) - _LABEL)
    for label, style, paragraphs in sections:
        for number, (indent, text) in enumerate(paragraphs):
            rows = wrapped_sentence(printable(text), room, " " * indent)
            for place, row in enumerate(rows or [""]):
                start = label.ljust(_LABEL) if number == place == 0 else " " * _LABEL
                shown = shortened(row, room)
                if coloured:
                    start, shown = styled(start, _BOLD) if start.strip() else start, styled(shown, style)
                yield f"{start}{shown}".rstrip()


def as_html(sections: Iterable[Section]) -> str:
    """Return sections as a table for a notebook, a row each; spaces before a paragraph are kept."""
    rows = [
        Markup('<tr><th style="{0}">{1}</th><td style="{0}">{2}</td></tr>').format(
            _LEFT, label, Markup("<br>").join([printable(text) for _, text in paragraphs])
        )
        for label, _, paragraphs in sections
    ]
    return f"<table><tbody>{''.join(rows)}</tbody></table>"
