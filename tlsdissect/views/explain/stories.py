"""Connections grouped by story: the text explains the first of each group and counts the others.

Two stories are the same if their verdicts and sentences are, in the same order, apart from times, dates, counts of
bytes and packets, names and addresses of this connection, and frames. Where the handshake did not succeed, only the
verdict and how it ended count: what the client offered differs between clients that fail for the same reason. Only a
digest of these texts is kept for the comparison, so that memory depends on the number of different stories, which is
limited, and not on that of connections.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

from tlsdissect.model.connection import stream_name
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import TextBlocks, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.explain.model import Explanation, Result

STORY_BYTES = 16 << 20
"""Maximum bytes of stories kept for each result (established, failed, unknown); connections with further stories are
only counted."""
ENTRY_BYTES = 500
"""Bytes that a story takes besides its sentences, and each of these besides its text."""
_NAMED = 8
"""Streams that are named of a group."""
_ORDER: tuple[Result, ...] = ("failed", "unknown", "established")
_VARYING = re.compile(
    r"\d[\d,.]*(?:e[+-]?\d+)? ?"
    r"(?=ms\b|bytes?\b|(?:more )?(?:segment|packet|datagram|fragment)s?\b|times\b|round trips of TCP)"
    r"|\d{4}-\d\d-\d\d[T ]?[\d:.]*Z?|\bstream \S+"
)
"""What differs between connections that went the same way."""


class _Group:
    """Connections with the same story."""

    def __init__(self, first: Explanation) -> None:
        self.first = first
        self.count = 1
        self.others: list[str] = []
        """Names of the first of the other streams."""

    def add(self, one: Explanation) -> None:
        self.count += 1
        if len(self.others) < _NAMED:
            source = "" if one.source == self.first.source else f"{printable(one.source)}:"
            self.others.append(f"{source}{stream_name(one.transport, one.stream)}")

    @property
    def like(self) -> str:
        """How many others there are, and which."""
        more = self.count - 1
        if not more:
            return ""
        named = ", ".join(self.others)
        named += f" and {more - len(self.others):,} more" if more > len(self.others) else ""
        return f"{more:,} more like this one: stream{'s' * (more > 1)} {named}"


class Stories:
    """The view that shows each story once, when all connections are read: failures first, then the most frequent."""

    head = b""

    def __init__(
        self,
        explain: Callable[[Connection], Explanation],
        width: int | None = None,
        *,
        coloured: bool = False,
        encoding: str = "utf-8",
    ) -> None:
        self._explain, self._width, self._coloured = explain, width, coloured
        self._blocks = TextBlocks(lambda _: (), encoding)
        self._groups: dict[Result, dict[bytes, _Group]] = {result: {} for result in _ORDER}
        self._room = dict.fromkeys(_ORDER, STORY_BYTES)
        self._left_out = dict.fromkeys(_ORDER, 0)

    def section(self, _: str) -> bytes:
        """Return nothing: each story names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Add a connection; its sentences are output at the end."""
        one = self._explain(connection)
        result, key = one.verdict.result, digest(connection, one)
        group = self._groups[result].get(key)
        if group is not None:
            group.add(one)
            return b""
        size = sum(ENTRY_BYTES + len(sentence.text) for sentence in one.sentences) + ENTRY_BYTES
        if size <= self._room[result]:
            self._room[result] -= size
            self._groups[result][key] = _Group(one)
        else:
            self._left_out[result] += 1
        return b""

    def end(self) -> Iterator[bytes]:
        """Yield the stories."""
        for result in _ORDER:
            groups = sorted(self._groups[result].values(), key=lambda group: -group.count)
            for group in groups:
                lines = group.first.lines(self._width, coloured=self._coloured, like=group.like)
                yield self._blocks.block(lines)
            if left := self._left_out[result]:
                text = f"{counted(left, 'more connection')} ({result}) with other stories: --all shows each."
                yield self._blocks.block([text])


def digest(c: Connection, one: Explanation) -> bytes:
    """Return a digest of what makes a story, without what differs between connections that went the same way."""
    sentences = one.sentences if one.verdict.result == "established" else one.about("end")
    said = [
        f"{one.verdict.guess} {one.verdict.text}",
        *(f"{part.code} {part.guess} {part.text}" for part in sentences),
    ]
    text = "\n".join(said)
    for name in sorted(set(_names(c)), key=len, reverse=True):
        text = text.replace(name, "*")
    return blake2b(_VARYING.sub("#", text).encode("utf-8", "backslashreplace"), digest_size=16).digest()


def _names(c: Connection) -> Iterator[str]:
    """Yield the names and addresses of a connection that sentences may have."""
    eap = c.eap
    given = [c.sni, c.client.ip, c.server.ip, c.upgrade_target]
    given += [] if eap is None else [eap.identity, eap.supplicant, eap.authenticator]
    for chain in (c.chain("client"), c.chain("server")):
        for one in (chain or ())[:_NAMED]:
            given += [one.subject, one.issuer, *(one.dns_names or ())[:_NAMED], *(one.ip_addresses or ())[:_NAMED]]
    yield from (name for name in given if name)
