"""Sentences about what the client offered, what the server chose, and what anyone on the path could read of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.model.connection import is_offer, stream_name
from tlsdissect.model.transcript import BYTES_MISSING, KeptConnection, lost_certificates
from tlsdissect.tls.dtls import is_early
from tlsdissect.tls.key_exchange import key_exchange
from tlsdissect.tls.quic import PacketType
from tlsdissect.tls.remarks import alert_meanings
from tlsdissect.views.explain import quic
from tlsdissect.views.explain.model import Sentence, described, message_frame
from tlsdissect.views.phrases import counted, listed, ordinal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import ClientHello, Connection, Extension, Side

_SIGNERS = {"RSA": "RSA", "ECDSA": "EC", "DSS": "DSA"}
"""The key that a server needs in its certificate, by the word in a suite's name."""
_SESSIONS = {"ticket": "ticket", "session_id": "session id", "psk": "pre-shared key"}
_DOWNGRADE = {"444f574e47524401": "TLS 1.3", "444f574e47524400": "TLS 1.2 or 1.3"}
"""Ends of a ServerHello's random: what the server could have done (RFC 8446 section 4.1.3)."""
_NAMES = {"ticket": "ticket", "session_id": "id", "psk": "pre-shared key identity"}
"""What a client names an earlier session by."""
_EXTERNAL = "RFC 8446 section 4.2.11"
"""The rule that an external pre-shared key has a ticket age of 0."""


def offer(c: Connection) -> Iterator[Sentence]:
    """What the client offered."""
    hello = c.client_hello
    if hello is None:
        yield Sentence("offer", "no_client_hello", "The ClientHello is not in the capture.")
        return
    at = (hello.frame,)
    if not c.has_whole_client_hello:
        text = f"Some of the {hello.bytes:,} bytes of the ClientHello are missing or cannot be read: what else it "
        yield Sentence("offer", "cut_client_hello", f"{text}offered is not known.", at)
    yield from _versions_and_suites(c, hello)
    yield from _groups(hello)
    if c.sni or c.has_whole_client_hello:
        name = f"asked for {c.sni}" if c.sni else "named no server"
        outer = " (the outer name: the inner one, if there is one, is encrypted)" if c.ech not in (None, "none") else ""
        yield Sentence("offer", "sni", f"It {name}{outer}.", at)
    if hello.alpn:
        yield Sentence("offer", "alpn", f"With ALPN it offered {listed(hello.alpn)}.", at)
    yield from _sessions(c, hello)
    if c.retry_of is not None:
        text = f"It is a retry of stream {stream_name(c.transport, c.retry_of.stream)}, which failed."
        yield Sentence("offer", "retry", text, at, guess=not hello.falls_back)
    if hello.falls_back:
        text = "It signals that it offers less than it supports, after an earlier attempt failed (RFC 7507)."
        yield Sentence("offer", "fallback", text, at)


def _versions_and_suites(c: Connection, hello: ClientHello) -> Iterator[Sentence]:
    versions, suites = c.offered_versions, hello.offered_suites
    said = [listed(versions)] if versions else []
    if hello.cipher_suites is not None:
        first = f", first of them {suites[0]}" if len(suites) > 1 else f", {suites[0]}" if suites else ""
        said.append(f"{counted(len(suites), 'cipher suite')}{first}")
    if said:
        yield Sentence("offer", "offer", f"The client offered {' with '.join(said)}.", (hello.frame,))


def _groups(hello: ClientHello) -> Iterator[Sentence]:
    groups, shares = _offered(hello.groups), _offered(hello.key_shares)
    if not groups:
        return
    text = f"For the key exchange it supports {listed(groups)}"
    if hello.key_shares is not None:
        kind = "a share" if len(shares) == 1 else "shares"
        text += f", and sent {f'{kind} of {listed(shares)}' if shares else 'no share yet'}"
    yield Sentence("offer", "groups", f"{text}.", (hello.frame,))


def _sessions(c: Connection, hello: ClientHello) -> Iterator[Sentence]:
    """Sessions that the client would like to resume."""
    ticket, keys = _extension(hello, "session_ticket"), _extension(hello, "pre_shared_key")
    code, guess = "resumption_offered", False
    if keys is not None:
        identities = getattr(keys, "identities", None) or ()
        count, external = len(identities) or 1, sum(map(_is_external, identities))
        text = f"It offered to resume an earlier session, with {counted(count, 'pre-shared key')}."
        if external:
            code, guess = "external_psk_offered", True
            which = "which" if external == count else f"{external} of which"
            age = "its ticket age is 0" if external == 1 else "their ticket ages are 0"
            text = f"It offered {counted(count, 'pre-shared key')}, {which} may be external: {age} ({_EXTERNAL})."
    elif ticket is not None and ticket.bytes:
        text = f"It offered to resume an earlier session, with a ticket of {ticket.bytes:,} bytes."
    elif hello.session_id and hello.supported_versions is None and c.has_whole_client_hello:
        text = "It offered to resume an earlier session, with its session id."
    else:
        return
    yield Sentence("offer", code, text, (hello.frame,), guess)
    if c.early_data not in (None, "none"):
        text = "It sent application data before any answer (early data, which can be replayed)."
        yield Sentence("offer", "early_data", text, (hello.frame,))
    elif c.early_data is None and _extension(hello, "early_data") is not None:
        yield _unknown_early_data(c, hello)


def _unknown_early_data(c: Connection, hello: ClientHello) -> Sentence:
    """Early data whose fate is encrypted, if the server answered. QUIC and DTLS 1.3 mark its packets and records."""
    sent = quic.frames(c, PacketType.ZERO_RTT)
    if isinstance(c, KeptConnection):
        sent += tuple(one.frame for one in c.transcript.records if one.header and is_early(one.header))[:1]
    text = "It sent application data before any answer" if sent else "It offered to send application data at once"
    text += " (early data, which can be replayed)"
    text += "." if c.server_hello is None else "; only keys show whether the server accepted it."
    return Sentence("offer", "early_data", text, (hello.frame, *(one for one in sent if one != hello.frame)))


def choice(c: Connection) -> Iterator[Sentence]:
    """What the server chose, and what it could not have chosen."""
    retry = c.hello_retry_request
    if retry is not None:
        yield Sentence("choice", "hello_retry", _retry(c), (retry.frame,))
        more = tuple(m.frame for m in c.messages if m.type == "hello_retry_request")[1:]
        if more:
            again = "once more" if len(more) == 1 else f"{len(more)} more times"
            text = f"It asked {again} for a ClientHello, which RFC 8446 section 4.1.4 forbids."
            yield Sentence("choice", "hello_retry_again", text, more)
    hello = c.server_hello
    if hello is None or c.version is None:
        return
    at = (hello.frame,)
    # In SSL 2.0 the client has the last word: its ServerHello lists suites.
    suite = f" with {c.cipher_suite}{_rank(c)}" if c.cipher_suite else ""
    yield Sentence("choice", "choice", f"The server chose {c.version}{suite}.", at)
    if not suite:
        return
    yield from _lower_version(c)
    yield from _constraints(c)
    if c.group:
        yield Sentence("choice", "group", f"The key exchange uses {c.group}{_group_rank(c)}.", at)
    elif c.dh_bits:
        yield Sentence("choice", "group", f"The key exchange uses Diffie-Hellman with a prime of {c.dh_bits} bits.", at)
    if c.alpn:
        yield Sentence("choice", "alpn_chosen", f"With ALPN it chose {c.alpn}.", at)
    profiles = [p for one in hello.extensions or () for p in getattr(one, "srtp_protection_profiles", None) or ()]
    if profiles:
        text = f"The handshake provides the keys for media in SRTP, with {listed(profiles)} (RFC 5764)."
        yield Sentence("choice", "use_srtp", text, at)
    yield from _resumed(c)
    if c.early_data in ("accepted", "rejected"):
        text, guess = f"The server {c.early_data} the client's early data.", "early_data" in c.inferred
        yield Sentence("choice", "early_data_answer", text, at, guess)
    yield from _renegotiated(c)
    yield from _warned(c)


def _warned(c: Connection) -> Iterator[Sentence]:
    """Name the warnings after which a handshake went on: those that came before its last message."""
    last = max((m.frame for m in c.messages if m.type not in ("alert", "encrypted")), default=0)
    for alert in c.alerts if c.outcome == "established" else ():
        if alert.level == "warning" and alert.description not in (None, "close_notify") and alert.frame < last:
            meaning = alert_meanings().get(alert.description or "")
            text = f"The {alert.sender} warned with {alert.description}, and the handshake went on"
            yield Sentence("choice", "warning", f"{text}{f': {meaning}' if meaning else ''}.", (alert.frame,))


def _renegotiated(c: Connection) -> Iterator[Sentence]:
    if c.renegotiations:
        times = "once" if c.renegotiations == 1 else f"{c.renegotiations} times"
        hidden = "in records that anyone can read" if "_NULL_" in (c.cipher_suite or "") else "under encryption"
        text = f"Later, client and server renegotiated {times}, {hidden}."
        changes = [message.frame for message in c.messages if message.type == "change_cipher_spec"]
        yield Sentence("choice", "renegotiated", text, tuple(changes[2:]))


def _retry(c: Connection) -> str:
    retry, hello = c.hello_retry_request, c.client_hello
    if retry and c.first_message("hello_verify_request") is not None:
        cookie = f" of {retry.cookie_bytes} bytes" if retry.cookie_bytes else ""
        text = (
            f"The server first sent a cookie{cookie} and asked for it back (HelloVerifyRequest): this shows that the "
        )
        return f"{text}client receives packets at its address (RFC 6347 section 4.2.1)."
    if c.dtls is not None and retry and retry.cookie_bytes and not retry.group:
        text = (
            f"The server first sent a cookie of {retry.cookie_bytes} bytes and asked for it back (HelloRetryRequest): "
        )
        return f"{text}this shows that the client receives packets at its address (RFC 9147 section 5.1)."
    wish = f"a share of {retry.group}" if retry and retry.group else "another ClientHello"
    sent = listed(_offered(hello.key_shares)) if hello and hello.key_shares else ""
    because = f", because the client had sent a share only for {sent}" if sent and retry and retry.group else ""
    return f"The server asked for {wish}{because}."


def _rank(c: Connection) -> str:
    """The position of the selected suite in the client's list: among those of TLS 1.3, or among those before it."""
    fit = _fitting(c)
    if c.cipher_suite not in fit:
        return ""
    place = fit.index(c.cipher_suite) + 1
    kind = "TLS 1.3" if c.is_tls13 else "TLS 1.2 or older"
    if len(fit) == 1:
        return f", the only suite of {kind} that the client offered"
    return f", the {'first' if place == 1 else ordinal(place)} of the {len(fit)} suites of {kind} in the client's list"


def _fitting(c: Connection) -> list[str]:
    suites = c.client_hello.offered_suites if c.client_hello else ()
    return [suite for suite in suites if ("_WITH_" not in suite) == c.is_tls13]


def _lower_version(c: Connection) -> Iterator[Sentence]:
    """A version below the best that the client offered."""
    hello, answer = c.client_hello, c.server_hello
    if hello is None or answer is None or c.is_tls13:
        return
    offered = _offered(hello.supported_versions)
    if any("1.3" in version for version in offered):
        could = _DOWNGRADE.get((answer.random or "")[-16:])
        text = f"The client supports TLS 1.3; the server chose {c.version}."
        if could:
            text += f" Its random ends with the marker of a server that supports {could}: it is configured so, or"
            text += " a device on the path removed TLS 1.3 from the offer, which the client must detect."
        yield Sentence("choice", "lower_version", text, (hello.frame, answer.frame))


def _constraints(c: Connection) -> Iterator[Sentence]:
    """Suites that the server's certificate ruled out: those signed by another kind of key."""
    leaf = c.leaf("server")
    key = None if leaf is None else leaf.key_type
    fit = _fitting(c)
    if key is None or c.is_tls13 or len(fit) < 2:
        return
    ruled_out = [suite for suite in fit if (needed := _needed_key(suite)) is not None and needed != key]
    if ruled_out:
        suites = f"{len(ruled_out)} of the client's {len(fit)} suites of TLS 1.2 and older versions"
        text = f"With its {key} key, the server could not use {suites}."
        yield Sentence("choice", "key_of_certificate", text, message_frame(c, "certificate"))


def _needed_key(suite: str) -> str | None:
    exchange = key_exchange(suite)
    return None if exchange is None else _SIGNERS.get(exchange.name.rpartition("_")[2])


def _group_rank(c: Connection) -> str:
    hello = c.client_hello
    if hello is None:
        return ""
    groups, shares = _offered(hello.groups), _offered(hello.key_shares)
    if c.is_tls13 and c.group in shares and not c.hello_retry:
        return ", for which the client had sent a share"
    if c.group in groups:
        place = groups.index(c.group) + 1
        if len(groups) == 1:
            return ", the only group that the client offered"
        return f", the {'first' if place == 1 else ordinal(place)} of the client's {len(groups)} groups"
    return ""


def _resumed(c: Connection) -> Iterator[Sentence]:
    hello, answer = c.client_hello, c.server_hello
    frames = tuple(one.frame for one in (hello, answer) if one is not None)
    if accepts_external_psk(c):
        text = f"The server accepted a pre-shared key that may be external: its ticket age is 0 ({_EXTERNAL}). "
        yield Sentence("choice", "external_psk", f"{text}No certificate was needed.", frames, guess=True)
    elif c.resumption in _SESSIONS:
        earlier = f" of stream {stream_name(c.transport, c.resumes.stream)}" if c.resumes else ""
        text = f"The server resumed the session{earlier}, by its {_SESSIONS[c.resumption]}: no certificate was needed."
        yield Sentence("choice", "resumed", text, frames)
    elif c.resumption == "none" and hello is not None:
        offered = next(_sessions(c, hello), None)
        if offered is not None and offered.code == "external_psk_offered":
            yield Sentence("choice", "psk_refused", "The server accepted no pre-shared key of the client.", frames)
        elif offered is not None:
            yield Sentence(
                "choice", "not_resumed", "The server did not resume the session that the client offered.", frames
            )


def accepts_external_psk(c: Connection) -> bool:
    """Return whether the server accepted a pre-shared key that may have been agreed upon outside of TLS."""
    return "resumption" in c.inferred


def _is_external(identity: dict[str, Any]) -> bool:
    """Return whether an identity has the ticket age of a key that is no session's (RFC 8446 section 4.2.11)."""
    return bool(identity["obfuscated_ticket_age"] == 0)


def _offered(names: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(filter(is_offer, names or ()))


def _extension(hello: ClientHello, kind: str) -> Extension | Any | None:
    return next((extension for extension in hello.extensions or () if extension.type == kind), None)


def observer(c: Connection) -> Iterator[Sentence]:
    """What anyone on the path could read."""
    hello = c.client_hello
    if c.sni and hello:
        yield Sentence("observer", "sni_visible", f"The name that the client asked for: {c.sni}.", (hello.frame,))
    if hello and hello.alpn:
        yield Sentence("observer", "alpn_visible", "The protocols that the client offered with ALPN.", (hello.frame,))
    yield from _chain(c, "server")
    yield from _chain(c, "client")
    yield from _session(c)
    keys = c.first_message("client_key_exchange")
    if keys is not None and "_PSK_" in (c.cipher_suite or ""):
        named = f": {c.psk_identity}" if c.psk_identity else ""
        text = f"The client's PSK identity, which names the pre-shared key (RFC 4279 section 2){named}."
        yield Sentence("observer", "psk_identity_visible", text, (keys.frame,))
    if c.is_tls13:
        certificates = "" if c.resumption == "psk" else "certificates, "
        hidden = f"{certificates}the protocol that was chosen, and whether a client certificate was asked for"
        text = f"TLS 1.3 encrypts {hidden}: these could not be read."
        frames = (c.server_hello.frame,) if c.server_hello else ()
        yield Sentence("observer", "hidden", text, frames)
    elif c.server_hello and c.certificates == ():
        yield Sentence("observer", "no_certificate", "No certificate: none was sent.", (c.server_hello.frame,))
    elif c.server_hello and c.resumption in (None, "none") and lost_certificates(c):
        lost = [one.frame for one in c.problems if one.code in BYTES_MISSING and one.sender == "server"]
        shown = tuple(frame for frame in lost if frame is not None)
        text = "The server's certificates, if they are among the bytes that the capture lacks: this version does not "
        yield Sentence("observer", "certificates_missing", f"{text}encrypt them.", shown[:1])
    yield from _content(c)


def _session(c: Connection) -> Iterator[Sentence]:
    """What links a connection with an earlier one."""
    if c.client_hello and c.resumption in _NAMES:
        name = _NAMES[c.resumption]
        text = f"The session's {name}, which links this connection to the one that it comes from."
        if accepts_external_psk(c):
            text = "The identity of the pre-shared key, which links all connections that use it."
        yield Sentence("observer", "session_visible", text, (c.client_hello.frame,))


def _content(c: Connection) -> Iterator[Sentence]:
    """What was said over a connection that came about."""
    if c.outcome != "established" or c.cipher_suite is None:
        return
    frames = (c.server_hello.frame,) if c.server_hello else ()
    if "_NULL_" in c.cipher_suite:
        text = "All data that was exchanged: this cipher suite encrypts nothing."
        yield Sentence("observer", "content_visible", text, frames)
    else:
        text = "Only the sizes and times of the data that was exchanged."
        yield Sentence("observer", "sizes_visible", text, frames)


def _chain(c: Connection, side: Side) -> Iterator[Sentence]:
    chain = c.chain(side)
    if not chain:
        return
    leaf, size = chain[0], sum(one.bytes for one in chain)
    with_it = f", with {counted(len(chain) - 1, 'other')}" if len(chain) > 1 else ""
    text = f"The {side}'s certificate{with_it} ({size:,} bytes): {described(leaf)}."
    yield Sentence("observer", f"{side}_certificate_visible", text, message_frame(c, "certificate", side))
