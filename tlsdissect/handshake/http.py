"""A decoder of HTTP/1.1 messages (RFC 9112), for OCSP and CRLs."""

from __future__ import annotations

import re

from msgspec import Struct

MAX_HEAD = 16_384
"""Maximum bytes of a message's start line and header fields."""
MAX_BODY = 1 << 20
"""Maximum bytes of a body."""

_REQUEST = re.compile(rb"(GET|POST) (\S{1,8192}) HTTP/1\.[01]\r?\n")
_RESPONSE = re.compile(rb"HTTP/1\.[01] (\d{3})[^\n]*\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,7})[^\n]{0,256}\r?\n")
_METHODS = (b"GET ", b"POST ", b"HTTP/1.")


class NoHttpError(Exception):
    """Raised for bytes that are not an HTTP message, and for a message that is too long or not a lookup."""


class Message(Struct, frozen=True):
    """A request or a response."""

    method: str | None
    """None in a response."""
    target: str
    """The request target; empty in a response."""
    host: str | None
    content_type: str
    body: bytes
    size: int
    """Bytes of the whole message."""


def begins(data: bytes) -> bool:
    """Return whether these may be the first bytes of a message."""
    return any(data[: len(start)] == start[: len(data)] for start in _METHODS)


def message(data: bytes, *, ended: bool) -> Message | int:
    """Decode the message at the beginning of `data`; if it is incomplete, return the number of bytes to wait for.

    `ended` is whether no more bytes follow. Raises NoHttpError if there is no message, or if it is too long.
    """
    end = _HEAD_END.search(data, 0, MAX_HEAD)
    if end is None:
        if len(data) >= MAX_HEAD or not begins(data) or ended:
            raise NoHttpError
        return len(data) + 1
    head = data[: end.end()]
    request, response = _REQUEST.match(head), _RESPONSE.match(head)
    if request is None and response is None:
        raise NoHttpError
    cut = _body(head, data, end.end(), request=request is not None, ended=ended)
    if isinstance(cut, int):
        return cut
    body, size = cut
    return Message(
        method=request[1].decode() if request else None,
        target=_text(request[2]) if request else "",
        host=_field(head, b"host"),
        content_type=(_field(head, b"content-type") or "").partition(";")[0].strip().lower(),
        body=body,
        size=size,
    )


def _body(head: bytes, data: bytes, start: int, *, request: bool, ended: bool) -> tuple[bytes, int] | int:
    """Return the body (RFC 9112 section 6.3) and the end of the message, or the number of bytes to wait for."""
    if "chunked" in (_field(head, b"transfer-encoding") or "").lower():
        return _chunks(data, start)
    length = _field(head, b"content-length")
    if length is None:
        if request:
            return b"", start
        return (data[start:], len(data)) if ended else start + MAX_BODY
    if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
        raise NoHttpError
    stop = start + int(length)
    return (data[start:stop], stop) if len(data) >= stop else stop


def _chunks(data: bytes, at: int) -> tuple[bytes, int] | int:
    """Join chunks (RFC 9112 section 7.1); the trailer is ignored."""
    parts: list[bytes] = []
    while (line := _CHUNK.match(data, at)) is not None:
        size = int(line[1], 16)
        at = line.end() + size + 2
        if size == 0:
            return b"".join(parts), at
        parts.append(data[line.end() : line.end() + size])
        if at > MAX_BODY:
            raise NoHttpError
    return max(at, len(data)) + 1


def _field(head: bytes, name: bytes) -> str | None:
    found = re.search(rb"\n" + name + rb":[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return _text(found[1]) if found else None


def _text(data: bytes) -> str:
    return data.decode("latin-1").strip()
