"""Selection of connections by stream, port, server name and version."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection

OLDER = frozenset({"SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "DTLS 1.0"})


class Stream(Struct, frozen=True):
    """A stream number, in one capture or in every capture, over one kind of transport or over all."""

    source: str | None
    kind: str | None
    """"tcp", "udp" for QUIC and DTLS, "eap", or None."""
    number: int

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.source, self.kind, self.number) if part is not None)

    def matches(self, connection: Connection) -> bool:
        """Return whether the connection has this stream number; a capture may be given by its file name alone."""
        if self.number != connection.stream:
            return False
        kind = "udp" if connection.transport == "quic" else connection.transport
        if self.kind not in (None, kind):
            return False
        return self.source is None or self.source in (connection.source, os.path.basename(connection.source))  # noqa: PTH119


class Selection(Struct, frozen=True):
    """Criteria for connections: of each kind that is given, one value must match."""

    streams: tuple[Stream, ...] = ()
    ports: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.streams or self.ports or self.names or self.versions)

    def missing_streams(self) -> tuple[Stream, ...]:
        """Return the selected streams if no connection matched and nothing else was selected by; else nothing.

        Only then does no match mean that the streams do not exist.
        """
        return () if self.ports or self.names or self.versions else self.streams

    def matches(self, connection: Connection) -> bool:
        """Return whether a connection is selected."""
        if self.streams and not any(stream.matches(connection) for stream in self.streams):
            return False
        if self.ports and connection.server.port not in self.ports and connection.client.port not in self.ports:
            return False
        if self.names and not _is_named(connection.sni, self.names):
            return False
        return not self.versions or any(_is_version(connection.version, wanted) for wanted in self.versions)


def _is_named(sni: str | None, globs: tuple[str, ...]) -> bool:
    # Host names are case-insensitive (RFC 4343).
    return sni is not None and any(fnmatchcase(sni.lower(), glob.lower()) for glob in globs)


def _is_version(version: str | None, wanted: str) -> bool:
    if version is None:
        return False
    if wanted == "older":
        return version in OLDER
    # "TLS 1.3 (draft 23)" and "DTLS 1.3" count as 1.3.
    return version.partition("TLS ")[2].startswith(wanted)
