"""Explanations for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.explain.text import evidence
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from tlsdissect.views.explain.model import Explanation


def html(whole: Explanation) -> str:
    """Write an explanation as a part of a page; all text is escaped."""
    parts = []
    for topic, heading in TOPICS.items():
        items = Markup("").join(
            Markup("<li>{} <small>{}</small></li>").format(printable(sentence.text), evidence(sentence))
            for sentence in whole.about(topic)
        )
        if items:
            parts.append(Markup("<h4>{}</h4><ul>{}</ul>").format(heading, items))
    return str(Markup("").join(parts))
