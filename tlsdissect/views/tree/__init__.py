"""A handshake as a tree of records, messages and fields, each with its meaning, byte range and defining RFC section."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.model.transcript import kept
from tlsdissect.views.ndjson import JsonLines
from tlsdissect.views.printable import TextBlocks, without_surrogates
from tlsdissect.views.tree.build import Builder
from tlsdissect.views.tree.eap import EapBuilder
from tlsdissect.views.tree.fields import second
from tlsdissect.views.tree.layouts import built
from tlsdissect.views.tree.model import CONTAINERS, Tree, style
from tlsdissect.views.tree.model import Fold as Fold  # how the text is folded
from tlsdissect.views.tree.quic import QuicBuilder

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tree.layouts import Build, Dated, Lay, Layouts
    from tlsdissect.views.tree.model import MappedBytes, Node, Packets, TreeRecord

_DAY = 86_400
"""Seconds."""


def tree(connection: Connection) -> Tree:
    """Return the handshake of a connection read with `keep=True` as a tree of records, messages and fields.

    In QUIC, it is one of packets, frames, messages and fields, and in EAP one of EAPOL frames or RADIUS packets, EAP
    packets, records, messages and fields.

    Each node has a name, a value and its meaning, its byte ranges in the frames, and the RFC section that defines it.
    The leaves of a record that is not encrypted cover each of its bytes exactly once. Malformed data is a node with a
    problem that says what was expected; everything around it is decoded as usual. Raises ValueError for a connection
    without a transcript.
    """
    records = [replace(record, node=_dated(record.node, connection)) for record in _records(connection, built)]
    return Tree(
        connection.source,
        connection.transport,
        connection.stream,
        connection.client,
        connection.server,
        tuple(records),
        connection.captures,
    )


def laid_records(connection: Connection, layouts: Layouts) -> list[TreeRecord]:
    """Return the records of a connection's tree, in which messages are nodes of layouts."""
    dated = random_meaning(connection)

    def lay(mapped: MappedBytes, key: Hashable, build: Build) -> tuple[Node, ...]:
        return layouts.lay(mapped, key, build, dated)

    return _records(connection, lay)


def random_meaning(connection: Connection) -> Dated:
    """Return the function that returns the meaning of a random of this connection, in hexadecimal, if it has one."""
    captured = _captured(connection)
    return lambda random: _begin(random, captured)


def _records(connection: Connection, lay: Lay) -> list[TreeRecord]:
    transcript, hello = kept(connection).transcript, connection.client_hello
    builder: Builder | EapBuilder | QuicBuilder
    if connection.quic is not None:
        builder = QuicBuilder(transcript, lay)
    elif connection.eap is not None:
        builder = EapBuilder(transcript, connection.eap.carrier, lay)
    else:
        builder = Builder(transcript, lay)
    return builder.records(hello.frame if hello else None)


def _dated(record: Node, c: Connection) -> Node:
    """Say with which time a random begins."""
    captured = _captured(c)
    if captured is None:
        return record

    def field(node: Node) -> Node:
        if node.name != "random" or node.meaning is not None or not isinstance(node.value, str):
            return node
        begin = _begin(node.value, captured)
        return node if begin is None else replace(node, meaning=begin)

    def container(node: Node) -> Node:
        return replace(node, children=tuple([message(one) for one in node.children]))

    def message(node: Node) -> Node:
        if node.name in CONTAINERS:
            return container(node)
        return replace(node, children=tuple(map(field, node.children)))

    return container(record)


def _captured(c: Connection) -> float | None:
    """Return the time near which a random may begin with one (RFC 5246 section 7.4.1.2); None if none does.

    In TLS 1.3 all of it is random, and so it is with many older implementations: a time that is more than a day off the
    capture's is none.
    """
    if c.start is None or c.is_tls13 or any("1.3" in version for version in c.offered_versions):
        return None
    return datetime.fromisoformat(f"{c.start[:19]}+00:00").timestamp()


def _begin(random: str, captured: float | None) -> str | None:
    """Return the meaning of a random in hexadecimal that begins with a time near that of the capture."""
    begin = int(random[:8] or "0", 16)
    if captured is None or abs(begin - captured) > _DAY:
        return None
    return f"{random}: {second(begin)}, if it begins with the time"


def text(
    width: int | None = None,
    *,
    coloured: bool = False,
    encoding: str = "utf-8",
    message: str | None = None,
    dumped: bool = False,
    fold: Fold | None = None,
) -> TextBlocks:
    """Return the view of trees as text: without a width, lines are not cut.

    `message` limits the trees to one type of message; `dumped` adds a hex dump; `fold` leaves out what is deep.
    """

    def lines(connection: Connection) -> Iterator[str]:
        whole = _with_records(connection, message)
        if whole is not None:
            yield from whole.lines(
                width, coloured=coloured, packets=_packets(connection) if dumped else None, fold=fold
            )

    return TextBlocks(lines, encoding)


def json(message: str | None = None) -> JsonLines:
    """Return the view of trees as JSON."""
    return JsonLines(lambda connection: _with_records(connection, message))


def _with_records(connection: Connection, message: str | None) -> Tree | None:
    """Return a connection's tree with messages of this type; None if it has none."""
    whole = tree(connection).only(message)
    return whole if whole.records else None


def _packets(connection: Connection) -> Packets:
    transcript = kept(connection).transcript
    return {packet.frame: packet for packet in (*transcript.packets, *transcript.eap_packets)}


class Page:
    """The view of trees as an HTML page that loads nothing and runs no script."""

    def __init__(self, *, message: str | None = None, dumped: bool = False) -> None:
        self._message = message
        self._dumped = dumped
        sheet = (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + style()
        allowed = b64encode(sha256(sheet.encode()).digest()).decode()
        # The policy makes a browser run and load nothing, whatever text the captures contain.
        policy = f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
        self.head = (
            '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width">\n<title>TLS handshakes</title>\n'
            f"<style>{sheet}</style>\n<main>\n<h1>TLS handshakes</h1>\n"
        ).encode()

    def section(self, _: str) -> bytes:
        """Return nothing: each tree names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection's tree."""
        whole = _with_records(connection, self._message)
        if whole is None:
            return b""
        packets = _packets(connection) if self._dumped else None
        return without_surrogates(whole.html(packets)).encode()
