"""Sentences about one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.model.connection import Certificate, Endpoint

Topic = Literal["offer", "choice", "time", "observer", "end"]
TOPICS: dict[Topic, str] = {
    "offer": "What the client offered",
    "choice": "What the server chose",
    "time": "What took how long",
    "observer": "What anyone on the path could read",
    "end": "How it ended",
}


class Sentence(Struct, frozen=True):
    """One thing that can be said, and what it rests on."""

    topic: Topic
    code: str
    """A short name that stays the same."""
    text: str
    frames: tuple[int, ...] = ()
    """The frames that show it."""
    guess: bool = False
    """It is concluded, not read: something else may look the same."""


class Explanation(Struct, frozen=True):
    """All sentences about a connection, in the order of its story."""

    source: str
    stream: int
    client: Endpoint
    server: Endpoint
    sentences: tuple[Sentence, ...] = field(default=())

    def about(self, topic: Topic) -> tuple[Sentence, ...]:
        """The sentences of one topic."""
        return tuple(sentence for sentence in self.sentences if sentence.topic == topic)

    def __str__(self) -> str:
        from tlsdissect.views.explain.text import Text  # noqa: PLC0415  # made of explanations itself

        return "\n".join(Text().lines(self))

    def _repr_html_(self) -> str:
        from tlsdissect.views.explain.page import html  # noqa: PLC0415  # made of explanations itself

        return html(self)


def listed(words: Sequence[str], most: int = 6) -> str:
    """Words as a list in a sentence: of many, the first, and how many more.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def described(certificate: Certificate) -> str:
    """Whom a certificate is for, and who issued it."""
    issuer = "itself" if certificate.self_signed else certificate.issuer or "nobody"
    return f"{certificate.subject or 'no subject'}, issued by {issuer}"


def counted(number: int, what: str, more: str | None = None) -> str:
    """A number and what it counts.

    >>> counted(1, "round trip"), counted(2, "round trip")
    ('1 round trip', '2 round trips')
    """
    return f"{number:,} {what if number == 1 else more or what + 's'}"


def ordinal(number: int) -> str:
    """A place in a list: 1st, 2nd, 3rd, 4th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
