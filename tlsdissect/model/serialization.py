"""Serialization of connections between processes. Encoding is fast; only a few are decoded."""

from __future__ import annotations

import pickle
from typing import Any

from msgspec import json, msgpack

from tlsdissect.model.connection import ClientHello, Connection, ServerHello


class _ClientHello(ClientHello, frozen=True):
    extensions: tuple[dict[str, Any], ...]  # type: ignore[assignment]


class _ServerHello(ServerHello, frozen=True):
    extensions: tuple[dict[str, Any], ...]  # type: ignore[assignment]


class _Connection(Connection, frozen=True, kw_only=True):
    """A connection whose extensions are dicts, because their classes are created when extensions are decoded."""

    client_hello: _ClientHello | None
    server_hello: _ServerHello | None


_PLAIN, _PICKLED, _JSON = b"m", b"p", b"{"
_ENCODER = msgpack.Encoder()
_DECODER = msgpack.Decoder(_Connection)
_JSON_DECODER = json.Decoder(_Connection)


def packed(connection: Connection) -> bytes:
    """Encode a connection; slower with a transcript, or if the name of the capture is not valid text."""
    if type(connection) is Connection:
        try:
            return _PLAIN + _ENCODER.encode(connection)
        except UnicodeEncodeError:
            pass
    return _PICKLED + pickle.dumps(connection, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> Connection:
    """Decode the output of `packed` in another process of this run, or a line of JSON; both print the same."""
    if data[:1] == _PLAIN:
        return _DECODER.decode(memoryview(data)[1:])
    if data[:1] == _JSON:
        return _JSON_DECODER.decode(data)
    restored: Connection = pickle.loads(data[1:])  # noqa: S301  # written by our own process
    return restored
