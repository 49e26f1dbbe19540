"""Which connections are asked for."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from tlsdissect.transcript.connection import Connection

OLDER = frozenset({"SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "DTLS 1.0"})


class Stream(Struct, frozen=True):
    """A stream's number, of one capture or of each."""

    source: str | None
    number: int

    def __str__(self) -> str:
        return str(self.number) if self.source is None else f"{self.source}:{self.number}"

    def fits(self, connection: Connection) -> bool:
        """Tell whether this is a connection's stream; a capture may be called by its file name alone."""
        if self.number != connection.stream:
            return False
        return self.source is None or self.source in (connection.source, os.path.basename(connection.source))  # noqa: PTH119


class Selection(Struct, frozen=True):
    """What a connection has to be: one of each kind that is given."""

    streams: tuple[Stream, ...] = ()
    ports: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.streams or self.ports or self.names or self.versions)

    def missed(self) -> tuple[Stream, ...]:
        """Tell the streams that are not there, where no connection was as asked for."""
        return () if self.ports or self.names or self.versions else self.streams

    def wants(self, connection: Connection) -> bool:
        """Tell whether a connection is asked for."""
        if self.streams and not any(stream.fits(connection) for stream in self.streams):
            return False
        if self.ports and connection.server.port not in self.ports and connection.client.port not in self.ports:
            return False
        if self.names and not _is_named(connection.sni, self.names):
            return False
        return not self.versions or any(_is_version(connection.version, wanted) for wanted in self.versions)


def _is_named(sni: str | None, globs: tuple[str, ...]) -> bool:
    # Letter case means nothing in a host name (RFC 4343).
    return sni is not None and any(fnmatchcase(sni.lower(), glob.lower()) for glob in globs)


def _is_version(version: str | None, wanted: str) -> bool:
    if version is None:
        return False
    if wanted == "older":
        return version in OLDER
    # "TLS 1.3 (draft 23)" is a 1.3, and so is "DTLS 1.3".
    return version.partition("TLS ")[2].startswith(wanted)
