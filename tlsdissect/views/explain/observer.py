"""Sentences about what a passive observer could read, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.views.explain.model import Sentence, counted, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Certificate, Connection

_NAMES = {"ticket": "ticket", "session_id": "id", "psk": "pre-shared key identity"}
"""What a client names an earlier session by."""


def observer(c: Connection) -> Iterator[Sentence]:
    """What anyone on the path could read."""
    hello = c.client_hello
    if c.sni and hello:
        yield Sentence("observer", "sni_visible", f"The name that the client asked for: {c.sni}.", (hello.frame,))
    if hello and hello.alpn:
        yield Sentence(
            "observer", "alpn_visible", "The protocols that the client would speak over TLS.", (hello.frame,)
        )
    yield from _chain(c, c.certificates, "server", "The server's certificate")
    yield from _chain(c, c.client_certificates, "client", "The client's certificate")
    yield from _session(c)
    if c.is_tls13:
        certificates = "" if c.resumption == "psk" else "certificates, "
        hidden = f"{certificates}the protocol that was chosen, and whether a client certificate was asked for"
        text = f"Not readable, for TLS 1.3 encrypts it: {hidden}."
        frames = (c.server_hello.frame,) if c.server_hello else ()
        yield Sentence("observer", "hidden", text, frames)
    elif c.server_hello and c.certificates == ():
        yield Sentence("observer", "no_certificate", "No certificate: none was sent.", (c.server_hello.frame,))
    yield from _content(c)


def _session(c: Connection) -> Iterator[Sentence]:
    """What links a connection with an earlier one."""
    if c.client_hello and c.resumption in _NAMES:
        name = _NAMES[c.resumption]
        text = f"The session's {name}, which links this connection with the one that it is from."
        yield Sentence("observer", "session_visible", text, (c.client_hello.frame,))


def _content(c: Connection) -> Iterator[Sentence]:
    """What was said over a connection that came about."""
    if c.outcome != "established" or c.cipher_suite is None:
        return
    frames = (c.server_hello.frame,) if c.server_hello else ()
    if "_NULL_" in c.cipher_suite:
        text = "All that was said over it: this cipher suite encrypts nothing."
        yield Sentence("observer", "content_visible", text, frames)
    else:
        text = "Of all that was said over it, its sizes and times, and nothing else."
        yield Sentence("observer", "sizes_visible", text, frames)


def _chain(c: Connection, chain: tuple[Certificate, ...] | None, side: str, whose: str) -> Iterator[Sentence]:
    if not chain:
        return
    leaf, size = chain[0], sum(one.bytes for one in chain)
    frames = tuple(m.frame for m in c.messages if m.type == "certificate" and m.sender == side)[:1]
    with_it = f", with {counted(len(chain) - 1, 'other')}" if len(chain) > 1 else ""
    text = f"{whose}{with_it} ({size:,} bytes): {described(leaf)}."
    yield Sentence("observer", f"{side}_certificate_visible", text, frames)
