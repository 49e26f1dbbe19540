"""Sentences about what only keys show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.model.connection import CRYPTO_ERROR
from tlsdissect.tls.remarks import alert_meanings
from tlsdissect.views.explain.model import Sentence, described, is_by_one_of
from tlsdissect.views.phrases import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, Hidden, Side


def opened(c: Connection) -> Iterator[Sentence]:
    """Say what keys show of a connection."""
    hidden = c.hidden
    if hidden is None:
        return
    yield from _chain(hidden, "server")
    if hidden.alpn:
        text = f"With ALPN the server chose {hidden.alpn}."
        yield Sentence("keys", "keys_alpn", text, _frames(hidden, "encrypted_extensions"))
    yield from _client_certificate(hidden)
    yield from _early_data(c, hidden)
    if hidden.resumes:
        text = f"The server resumed the session of stream {hidden.resumes.stream}, by a ticket that was sent there."
        yield Sentence("keys", "keys_resumes", text, (c.client_hello.frame,) if c.client_hello else ())
    yield from _ech(c, hidden)
    tickets = hidden.session_tickets or ()
    if tickets:
        lifetimes = listed(list(dict.fromkeys(f"{ticket.lifetime_s:,} s" for ticket in tickets)))
        text = f"The server sent {counted(len(tickets), 'ticket')}, good for {lifetimes}."
        yield Sentence("keys", "keys_tickets", text, tuple(ticket.frame for ticket in tickets))
    yield from _later(hidden)
    yield from _alerts(hidden)
    yield from _close(hidden)
    for problem in hidden.problems:
        frames = () if problem.frame is None else (problem.frame,)
        yield Sentence("keys", "keys_problem", f"{problem.detail[:1].upper()}{problem.detail[1:]}.", frames)


def _chain(hidden: Hidden, side: Side) -> Iterator[Sentence]:
    chain = hidden.certificates if side == "server" else hidden.client_certificates
    if chain:
        with_it = f", with {counted(len(chain) - 1, 'other')}" if len(chain) > 1 else ""
        text = f"The {side}'s certificate{with_it}: {described(chain[0])}."
        yield Sentence("keys", f"keys_{side}_certificate", text, _frames(hidden, "certificate", side))


def _client_certificate(hidden: Hidden) -> Iterator[Sentence]:
    if hidden.client_certificate_requested is False:
        text = "The server asked for no client certificate."
        yield Sentence("keys", "keys_not_requested", text, _frames(hidden, "finished", "server"))
    elif hidden.client_certificate_requested:
        request = hidden.certificate_request
        authorities = request.authorities if request else ()
        of = f" of {listed(authorities)}" if authorities else ""
        text = f"The server asked for a client certificate{of}."
        yield Sentence("keys", "keys_requested", text, _frames(hidden, "certificate_request"))
        yield from _chain(hidden, "client")
        if hidden.client_certificates and authorities and not is_by_one_of(hidden.client_certificates, authorities):
            text = "The client's certificate is not by an authority that the server had asked for."
            frames = _frames(hidden, "certificate_request") + _frames(hidden, "certificate", "client")
            yield Sentence("keys", "keys_request_not_met", text, frames)
        if hidden.client_certificates == ():
            text = "The client sent none."
            yield Sentence("keys", "keys_no_client_certificate", text, _frames(hidden, "certificate", "client"))


def _early_data(c: Connection, hidden: Hidden) -> Iterator[Sentence]:
    if hidden.early_data:
        text = f"The server {hidden.early_data} the client's early data"
        if hidden.round_trips == 0 and c.round_trips != 0:
            text += ", which waited for no round trip"
        seems = c.early_data if c.early_data not in (None, hidden.early_data) else None
        text += f" (without keys, it seems to be {seems})." if seems else "."
        yield Sentence("keys", "keys_early_data", text, _frames(hidden, "encrypted_extensions"))


def _ech(c: Connection, hidden: Hidden) -> Iterator[Sentence]:
    frames = (c.server_hello.frame,) if c.server_hello else ()
    if hidden.ech:
        yield Sentence("keys", "keys_ech", f"Its Encrypted Client Hello was {hidden.ech}.", frames)
    frames = (c.client_hello.frame,) if c.client_hello else ()
    if hidden.inner_alpn:
        text = f"The client offered {listed(hidden.inner_alpn)} under encryption."
        yield Sentence("keys", "keys_inner_alpn", text, frames)
    if hidden.inner_sni:
        yield Sentence("keys", "keys_inner_sni", f"The client asked for {hidden.inner_sni} under encryption.", frames)


def _later(hidden: Hidden) -> Iterator[Sentence]:
    updates = [message for message in hidden.messages or () if message.type == "key_update"]
    if updates:
        who = listed(list(dict.fromkeys(f"the {message.sender}" for message in updates)))
        text = f"Keys were updated {'once' if len(updates) == 1 else f'{len(updates)} times'}, by {who}."
        yield Sentence("keys", "keys_updates", text, tuple(message.frame for message in updates))


def _alerts(hidden: Hidden) -> Iterator[Sentence]:
    for alert in hidden.alerts or ():
        name = alert.description or "an alert"
        meaning = None if name == "close_notify" else alert_meanings().get(name)
        text = f"The {alert.sender} sent {name}{f': {meaning}' if meaning else ''}."
        yield Sentence("keys", "keys_alert", text, (alert.frame,))


def _close(hidden: Hidden) -> Iterator[Sentence]:
    """How a side closed a QUIC connection; an alert that the close stands for has a sentence of its own."""
    close = hidden.quic_close
    if close is None or (close.code == CRYPTO_ERROR and not close.reason):
        return
    reason = f", because of: {close.reason}" if close.reason else ""
    yield Sentence(
        "keys", "keys_close", f"The {close.sender} closed the connection with {close.code}{reason}.", (close.frame,)
    )


def _frames(hidden: Hidden, kind: str, sender: Side | None = None) -> tuple[int, ...]:
    """Return the frame of the first message of a type."""
    for message in hidden.messages or ():
        if message.type in (kind, f"compressed_{kind}") and sender in (None, message.sender):
            return (message.frame,)
    return ()
