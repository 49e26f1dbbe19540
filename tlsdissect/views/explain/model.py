"""Sentences about one connection, as text and as HTML."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup
from msgspec import Struct, field

from tlsdissect.model.connection import Origin, stream_name
from tlsdissect.views.printable import USUAL, first_frames, printable, styled, titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.model.connection import CapturePart, Certificate, Connection, Endpoint, Message, Side, Transport

Topic = Literal["offer", "choice", "time", "path", "observer", "end", "keys"]
TOPICS: dict[Topic, str] = {
    "offer": "What the client offered",
    "choice": "What the server chose",
    "time": "Timing",
    "path": "Seen at both ends",
    "observer": "What anyone on the path could read",
    "end": "How it ended",
    "keys": "What only keys show",
}
_NO_BREAK, _BREAK = "\xa0", "\v"
_LONG = re.compile(r"\S{21,}")
"""A word that may be broken after its commas: a distinguished name, and not a number."""
_COMMA = re.compile(r",(?=\S)")
_CITED = re.compile(r"[\[(]frames? [0-9][^\])]{0,40}[\])]$")
"""The evidence at the end of a sentence."""
WIDEST = 100
"""Maximum width in columns; longer lines are hard to read."""
Result = Literal["established", "failed", "unknown"]
MARKS: dict[Result, str] = {"established": "✓", "failed": "✗", "unknown": "?"}
_BOLD = "1"
_COLOURS: dict[Result, str] = {"established": "32", "failed": "31", "unknown": "33"}


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
    other_frames: tuple[int, ...] = ()
    """Frames of the capture that has the other view of the connection."""

    @property
    def evidence(self) -> str:
        """Its frames, and that it is a guess, in brackets."""
        evidence = _evidence(self.frames, self.other_frames, guess=self.guess)
        return f"[{evidence}]" if evidence else ""

    @property
    def with_evidence(self) -> str:
        """Its printable text, followed by the evidence."""
        return f"{printable(self.text)} {self.evidence}".rstrip()

    @property
    def without_frames(self) -> str:
        """Its printable text, and what it means that it is a guess."""
        guess = " (This is a guess: something else may look the same.)" if self.guess else ""
        return f"{printable(self.text)}{guess}"


def _evidence(frames: tuple[int, ...], other: tuple[int, ...], *, guess: bool) -> str:
    parts = [_frames(frames)] if frames else []
    parts += [f"{_frames(other)} there"] if other else []
    parts += ["a guess"] if guess else []
    return "; ".join(parts)


def _frames(numbers: tuple[int, ...]) -> str:
    if len(numbers) == 1:
        return f"frame {numbers[0]}"
    frames = sorted(set(numbers))
    return f"frame{'s' * (len(frames) > 1)} {', '.join(map(str, frames))}"


class Verdict(Struct, frozen=True):
    """How a handshake ended, in one line, and what that rests on."""

    result: Result
    text: str
    frames: tuple[int, ...] = ()
    """The frames that show it."""
    guess: bool = False
    """It is concluded, not read: something else may look the same."""

    @property
    def line(self) -> str:
        """Its mark, its printable text and its evidence."""
        evidence = _evidence(self.frames, (), guess=self.guess)
        return f"{MARKS[self.result]} {printable(self.text)}{f' ({evidence})' if evidence else ''}"


class Explanation(Struct, frozen=True):
    """All sentences about a connection, in the order of its story."""

    source: str
    transport: Transport
    stream: int
    client: Endpoint
    server: Endpoint
    verdict: Verdict
    sentences: tuple[Sentence, ...] = field(default=())
    other_view: Origin | None = None
    """Capture and stream of the same connection in another capture, whose frames are `other_frames`."""
    captures: tuple[CapturePart, ...] | None = None
    """Those that have the frames, if several captures were read as one."""

    def __repr__(self) -> str:
        name = stream_name(self.transport, self.stream)
        return f"<Explanation of stream {name} of {self.source!r}: {len(self.sentences)} sentences>"

    def about(self, topic: Topic) -> tuple[Sentence, ...]:
        """The sentences of one topic."""
        return tuple(sentence for sentence in self.sentences if sentence.topic == topic)

    def lines(self, width: int | None = None, *, coloured: bool = False, like: str = "") -> Iterator[str]:
        """Yield the lines of a text of at most `width` columns; `like` says which connections are like this one."""
        width, bold = min(width or USUAL, WIDEST), _BOLD if coloured else ""
        colour = _COLOURS[self.verdict.result] if coloured else ""
        who = f"stream {stream_name(self.transport, self.stream)}  {self.client} > {self.server}"
        yield styled(titled(who, printable(self.source), width), bold)
        for line in first_frames(self.captures):
            yield from wrap(line, width, subsequent_indent="  ", break_on_hyphens=False)
        for line in _wrapped(self.verdict.line, width, "  "):
            yield styled(line, colour)
        yield from wrap(like, width, subsequent_indent="  ", break_on_hyphens=False)
        for heading, sentences in self.parts():
            yield styled(heading, bold)
            for sentence in sentences:
                first, *more = _wrapped(sentence.with_evidence, width - 4)
                yield f"  - {first}"
                yield from (f"    {line}" for line in more)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def parts(self) -> Iterator[tuple[str, tuple[Sentence, ...]]]:
        """Yield the headings and their sentences; what explains another verdict than `established` comes first."""
        topics: list[Topic] = list(TOPICS)
        if self.verdict.result != "established":
            topics.sort(key=lambda topic: topic != "end")
        for topic in topics:
            if sentences := self.about(topic):
                yield TOPICS[topic], sentences

    def _repr_html_(self) -> str:
        # Mixed with the colour of the text, which is that of a light or a dark page.
        colour = {
            "failed": "color-mix(in srgb, currentColor 30%, #e5383b)",
            "established": "color-mix(in srgb, currentColor 45%, #12a150)",
        }.get(self.verdict.result, "inherit")
        parts = [Markup('<p><strong style="color: {}">{}</strong></p>').format(colour, self.verdict.line)]
        for heading, sentences in self.parts():
            items = Markup("").join(
                Markup("<li>{} <small>{}</small></li>").format(printable(sentence.text), sentence.evidence)
                for sentence in sentences
            )
            parts.append(Markup("<h4>{}</h4><ul>{}</ul>").format(heading, items))
        return str(Markup("").join(parts))


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Wrap a sentence: the frames that it rests on stay together on one line, and names are broken after commas."""
    kept = _CITED.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    kept = _LONG.sub(lambda found: _COMMA.sub(f",{_BREAK}", found[0]), kept)
    lines = wrap(kept, width, subsequent_indent=indent, break_on_hyphens=False, replace_whitespace=False)
    return [line.replace(_BREAK, "").replace(_NO_BREAK, " ") for line in lines]


def described(certificate: Certificate) -> str:
    """Whom a certificate is for, and who issued it."""
    subject, issuer = certificate.subject, certificate.issuer
    if subject is None and issuer is None:
        return "one whose subject and issuer could not be read"
    whom = "a subject that could not be read" if subject is None else subject or "no subject"
    by = "an issuer that could not be read" if issuer is None else issuer or "an empty name"
    return f"{whom}, issued by {'itself' if certificate.self_signed else by}"


def named(message: Message, transport: str = "tcp") -> str:
    """A message by its name in the RFCs, and its sender; what is encrypted by what carries it."""
    sealed = "a Handshake packet" if transport == "quic" else "an encrypted record"
    what = sealed if message.type == "encrypted" else f"the {rfc_name(message)}"
    return f"{what} of the {message.sender}"


def rfc_name(message: Message) -> str:
    """The name of a message in the RFCs, such as ServerHello."""
    return message.type.title().replace("_", "")


def message_frame(c: Connection, kind: str, sender: Side | None = None) -> tuple[int, ...]:
    """The frame of the first message of a type, of one side or of either; empty if there is none."""
    message = c.first_message(kind, sender)
    return () if message is None else (message.frame,)


def is_by_one_of(chain: Sequence[Certificate], authorities: Sequence[str]) -> bool:
    """Return whether a certificate of a chain names one of these authorities as its issuer (RFC 8446 section 4.2.4)."""
    return not {one.issuer for one in chain}.isdisjoint(authorities)
