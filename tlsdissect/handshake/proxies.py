"""Proxy requests and PROXY headers before TLS, and the targets or addresses in them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tlsdissect.tls.wire import Reader, WireError
from tlsdissect.x509.der import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TARGET = 300  # characters; a host name has 253 at most (RFC 1035 section 2.3.4)

_CONNECT = re.compile(rb"^CONNECT (\S{1,2048}) HTTP/1", re.IGNORECASE | re.MULTILINE)
_REQUEST = re.compile(rb"\s*[A-Z]{3,16} \S{1,2048} HTTP/1\.", re.IGNORECASE)
_HTTP_SUCCESS = re.compile(rb"HTTP/1\.[01] 2\d\d")

_SOCKS4 = re.compile(rb"\x04[\x01\x02].{6}[^\x00]*\x00", re.DOTALL)
_SOCKS5 = re.compile(rb"\x05[\x01-\x10]")
_SOCKS_ANSWERS = re.compile(rb"\x00[\x5a-\x5d].{6}\Z|\x05[\x00-\x02](?:\x01\x00)?\x05\x00\x00[\x01\x03\x04]", re.DOTALL)

_PROXY_V1 = re.compile(rb"PROXY (TCP4|TCP6|UNKNOWN)([^\r\n]{0,92})\r\n")
_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_ADDRESSES = {0x1: 4, 0x2: 16}  # bytes, by address family


def http_connect(client: bytes, server: bytes) -> tuple[str, str | None] | None:
    """Recognise the CONNECT method (RFC 9110 section 9.3.6)."""
    if not client:
        return ("http-connect", None) if _HTTP_SUCCESS.match(server) else None
    # The client may have asked the proxy for other things before, on the same connection.
    requests = _CONNECT.findall(client) if _REQUEST.match(client) else []
    # The last one counts: the proxy may have rejected earlier ones without a password.
    return ("http-connect", printable(requests[-1])[:_MAX_TARGET]) if requests else None


def socks(client: bytes, server: bytes) -> tuple[str, str | None] | None:
    """Recognise SOCKS 4, 4a and 5 (RFC 1928)."""
    if not client:
        return ("socks", None) if _SOCKS_ANSWERS.match(server) else None
    if _SOCKS5.match(client) and server[:1] in {b"", b"\x05"}:
        return "socks", _read(_socks5, client)
    if _SOCKS4.match(client) and server[:1] in {b"", b"\x00"}:
        return "socks", _read(_socks4, client)
    return None


def proxy_header(client: bytes) -> tuple[str | None, bytes] | None:
    """Split off a header of HAProxy's PROXY protocol, version 1 or 2; return its addresses and the bytes after it."""
    first = _PROXY_V1.match(client)
    if first:
        return _proxy_v1(first[2].decode("latin-1").split()), client[first.end() :]
    if not client.startswith(_PROXY_V2):
        return None
    reader = Reader(client, len(_PROXY_V2))
    try:
        command, family, block = reader.u8(), reader.u8(), reader.block(2)
    except WireError:
        return None, b""
    # LOCAL, 0, is a health check by the proxy itself, without addresses.
    target = _read_v2(block, family >> 4) if command & 0x0F == 1 else None
    return target, reader.rest()


def _proxy_v1(words: list[str]) -> str | None:
    try:
        source, destination = (_place(ip_address(words[n]).packed, int(words[n + 2])) for n in (0, 1))
    except (ValueError, IndexError):
        return None
    return f"{source} -> {destination}"


def _read_v2(block: Reader, family: int) -> str | None:
    size = _V2_ADDRESSES.get(family)
    if size is None:
        return None
    try:
        source, destination = block.opaque(size), block.opaque(size)
        return f"{_place(source, block.u16())} -> {_place(destination, block.u16())}"
    except WireError:
        return None


def _read(request: Callable[[Reader], str | None], client: bytes) -> str | None:
    try:
        return request(Reader(client))
    except WireError:
        return None


def _socks5(reader: Reader) -> str | None:
    """Read the client's messages of SOCKS 5: methods, optional user name and password (RFC 1929), and the request."""
    reader.u8()
    reader.block(1)
    version = reader.u8()
    if version == 1:
        reader.block(1)
        reader.block(1)
        version = reader.u8()
    command, _, kind = reader.u8(), reader.u8(), reader.u8()
    if version != 5 or command != 1:
        return None
    if kind == 3:
        return f"{printable(reader.block(1).rest())}:{reader.u16()}"
    size = {1: 4, 4: 16}.get(kind)
    return _place(reader.opaque(size), reader.u16()) if size else None


def _socks4(reader: Reader) -> str | None:
    """Read a SOCKS 4 request; in 4a, after an address 0.0.0.x, a host name follows the user ID."""
    reader.u16()
    port, address = reader.u16(), reader.opaque(4)
    _, _, after = reader.rest().partition(b"\x00")
    host, end, _ = after.partition(b"\x00")
    if address[:3] == bytes(3) and address[3] and end:
        return f"{printable(host)[:_MAX_TARGET]}:{port}"
    return _place(address, port)


def _place(address: bytes, port: int) -> str:
    text = str(ip_address(address))
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
