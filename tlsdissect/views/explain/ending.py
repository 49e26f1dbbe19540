"""Sentences about how a connection ended; after a failure, also who ended it and why, as far as the bytes show."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.handshake.facts.timing import elapsed
from tlsdissect.model.connection import is_offer
from tlsdissect.model.dates import dated
from tlsdissect.model.transcript import BYTES_MISSING, KeptConnection, final_alert, keyed_end, probes, refusal
from tlsdissect.tls.quic import PacketType
from tlsdissect.tls.remarks import alert_meanings
from tlsdissect.trust.names import is_for
from tlsdissect.trust.rules import RULES
from tlsdissect.views.explain import quic
from tlsdissect.views.explain.early_end import early_end
from tlsdissect.views.explain.model import Sentence, described, is_by_one_of, message_frame, named
from tlsdissect.views.phrases import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Alert, Certificate, Connection, Message, Side
    from tlsdissect.model.transcript import Packet

_CLOSED = {
    "close_notify": "with close_notify",
    "fin": "with a FIN, without close_notify",
    "rst": "with a RST",
}
_EMPTY_CERTIFICATE = 8 + 1
"""The message's header, an empty context and an empty list; and the type of what is inside (RFC 8446 section 5.2)."""
_OTHER_REASONS = {"bad_certificate", "certificate_unknown", "unsupported_certificate"}
"""Alerts about a certificate that do not name the reason."""
_TAG, _SHORT_TAG = 16, 8
_FINISHED = 4
"""Bytes of a Finished besides a hash."""
_PADDING = 16
"""Bytes by which Java pads records of TLS 1.3."""
LEAST = 3
"""Transmissions of the same bytes from which on a missing acknowledgement is reported."""
_RETRANSMITTED = 1000.0
"""Milliseconds within which TCP retransmits what is not acknowledged (RFC 6298 section 2)."""
_SYN = 2
_SHOWN = 8
"""Maximum number of frames that a sentence lists."""


def ending(c: Connection, opened: Connection) -> Iterator[Sentence]:
    """Yield sentences about how the connection ended, as anyone sees it.

    `opened` is the same connection with what keys show: where that differs, a sentence says that it holds without keys.
    """
    if c.quic is not None and (c.outcome in ("established", "closed")):
        yield from quic.closed(c, c.quic)
        return
    if c.eap is not None and c.outcome in ("established", "closed"):
        # EAP has no other end than its result.
        return
    if c.outcome == "established":
        yield from _closing(c)
        return
    if c.outcome in _FAILURES:
        yield from _FAILURES[c.outcome](c, opened)
    for problem in c.problems:
        if problem.code == "reset_text":
            text = f"{problem.detail[:1].upper()}{problem.detail[1:]}."
            yield Sentence("end", "reset_text", text, () if problem.frame is None else (problem.frame,))
    if c.transport == "tcp":
        yield from losses(c)


def _closing(c: Connection) -> Iterator[Sentence]:
    # TLS 1.3 hides which of its records is an alert.
    guess = c.is_tls13
    alert = "with a record the size of an alert" if guess else "with an encrypted alert"
    ways = {side: _CLOSED.get(how, alert) for side in ("client", "server") if (how := getattr(c.closure, side))}
    for problem in c.problems:
        side = problem.sender
        if problem.code in BYTES_MISSING and side is not None and ways.get(side) == _CLOSED["fin"]:
            ways[side] = "with a FIN, and with close_notify if that is among the bytes that the capture lacks"
    if not ways:
        yield Sentence("end", "open", "The capture does not show the end.")
    elif len(ways) == 2 and len(set(ways.values())) == 1:
        yield Sentence("end", "closed", f"Both sides ended the connection {ways['client']}.", guess=guess)
    else:
        (first, way), *other = ways.items()
        then = "".join(f"; the {side} {how}" for side, how in other)
        yield Sentence("end", "closed", f"The {first} ended the connection {way}{then}.", guess=guess)


def _alert(c: Connection, opened: Connection) -> Iterator[Sentence]:
    """Explain a handshake that one side refused."""
    fatal = final_alert(c)
    who = c.failed_by or "one side"
    if fatal is None or fatal.description is None:
        seems = "Without keys, it seems that the" if keys_deny_refusal(opened) else "The"
        sent = "a record the size of an alert" if c.is_tls13 or fatal is None else "an encrypted alert"
        text = f"{seems} {who} refused: it sent {sent}, and the connection ended."
        frames = (fatal.frame,) if fatal else refused_in(c)
        yield Sentence("end", "refused", text, frames, guess=True)
        if who == "server" and _sent_no_certificate(c):
            yield from _nothing_sent(c)
        elif who == "server" and not opened.chain("client"):
            yield from _shape_of_nothing(c)
        return
    after = message_before(c, fatal)
    answered = f", after {named(after, c.transport)}" if after else ""
    reasons = tuple(_REASONS[fatal.description](c, fatal)) if fatal.description in _REASONS else ()
    # What the sender of an alert says by it: RFC 8446 section 6.
    meaning = None if reasons else alert_meanings().get(fatal.description)
    text = f"The {who} ended the handshake with {fatal.description}{answered}{f': {meaning}' if meaning else ''}."
    yield Sentence("end", "alert", text, (after.frame, fatal.frame) if after else (fatal.frame,))
    yield from reasons
    yield from _malformed(c, fatal)
    if fatal.sender == "server":
        yield from _unmet(c)
    yield from _found(c, fatal)
    yield from _answered_otherwise(c)


def _malformed(c: Connection, alert: Alert) -> Iterator[Sentence]:
    """Name what the other side sent that is malformed, but for what `_answered_otherwise` says."""
    sent = {message.sender for message in c.messages}
    for problem in c.problems if alert.description == "decode_error" else ():
        sent_before = problem.frame is not None and problem.frame <= alert.frame
        if problem.code == "malformed_message" and problem.sender in sent - {alert.sender} and sent_before:
            text = f"That fits what the {problem.sender} sent: {problem.detail}."
            frames = (alert.frame,) if problem.frame is None else (problem.frame, alert.frame)
            yield Sentence("end", "malformed", text, frames, guess=True)
            return


def keys_deny_refusal(opened: Connection) -> bool:
    """Return whether a handshake seems to be refused, and keys show that no alert was sent, or one that is no error."""
    alerts = None if opened.hidden is None else opened.hidden.alerts
    shown = alerts is not None and (not alerts or any(alert.sender == opened.failed_by for alert in alerts))
    return shown and keyed_end(opened) is None


def refused_in(c: Connection) -> tuple[int, ...]:
    """Return the frame of the encrypted alert by which a side refused; a server's comes after the listed messages."""
    if c.failed_by == "client":
        return _last_frames(c)
    record = refusal(c)
    return (record.frame,) if record else ()


def message_before(c: Connection, alert: Alert) -> Message | None:
    """Return the message that an alert answers: the other side's last one before it."""
    said = [m for m in c.messages if m.sender != alert.sender and m.frame <= alert.frame and m.type != "alert"]
    return said[-1] if said else None


def _version(c: Connection, alert: Alert) -> Iterator[Sentence]:
    hello, versions = c.client_hello, c.offered_versions
    if hello and versions and alert.sender == "server":
        text = f"The client offered {none_of(versions, 'accept')}."
        yield Sentence("end", "no_common_version", text, (hello.frame,))


def none_of(offered: Sequence[str], verb: str) -> str:
    """Say what a client offered, and that the server accepts (or speaks) none of it."""
    if len(offered) == 1:
        return f"only {offered[0]}, which the server does not {verb}"
    return f"{listed(offered)}, and the server {verb}s none of them"


def _nothing_in_common(c: Connection, alert: Alert) -> Iterator[Sentence]:
    """Explain handshake_failure: no parameters were acceptable (RFC 8446 section 6.2)."""
    hello = c.client_hello
    if alert.sender == "client":
        yield from _mismatch(c, (alert.frame,))
    elif _sent_no_certificate(c):
        yield from _nothing_sent(c)
    elif hello and c.has_whole_client_hello and c.server_hello is None:
        text = "Something that the client offered was not acceptable: most likely its cipher suites, "
        text += listed(hello.offered_suites)
        groups = list(filter(is_offer, hello.groups or ()))
        text += f", or its groups, {listed(groups)}" if groups else ""
        schemes = list(filter(is_offer, hello.signature_schemes or ()))
        text += f", or its signature schemes, {listed(schemes)}" if schemes else ""
        yield Sentence("end", "nothing_in_common", f"{text}.", (hello.frame,), guess=True)


def _sent_no_certificate(c: Connection) -> bool:
    return bool(c.client_certificate_requested) and c.client_certificates == ()


def _nothing_sent(c: Connection) -> Iterator[Sentence]:
    frames = tuple(m.frame for m in c.messages if m.type in ("certificate_request", "certificate"))
    text = "The server had asked for a client certificate, and the client had sent none."
    yield Sentence("end", "no_client_certificate", text, frames)
    yield from _requested(c)


def _requested(c: Connection) -> Iterator[Sentence]:
    """Say which certificates the server had asked for."""
    request = c.certificate_request
    if request is None or not (request.types or request.authorities):
        return
    types = f" of the types {listed(request.types)}" if request.types else ""
    by = f", issued by {listed(request.authorities, most=4)}" if request.authorities else ", of any authority"
    text = f"It had asked for a certificate{types}{by}."
    yield Sentence("end", "certificate_requested", text, message_frame(c, "certificate_request", "server"))


def _unmet(c: Connection) -> Iterator[Sentence]:
    """Report that no certificate of the client names an authority that the server had asked for."""
    request, chain = c.certificate_request, c.chain("client")
    if request is None or not request.authorities or not chain:
        return
    # A name that could not be read may be one of them.
    if not is_by_one_of(chain, request.authorities) and all(one.issuer is not None for one in chain):
        text = f"The client's certificate is {described(chain[0])}: not by one of the authorities that the server had "
        text += f"asked for, {listed(request.authorities, most=4)}."
        frames = (*message_frame(c, "certificate_request"), *message_frame(c, "certificate", "client"))
        yield Sentence("end", "request_not_met", text, frames)


def _found(c: Connection, alert: Alert) -> Iterator[Sentence]:
    """Name the findings about the certificate that was refused which the alert may mean."""
    whose: Side = "server" if alert.sender == "client" else "client"
    shown = {one.sha256 for one in c.chain(whose) or ()}
    fitting = _FITTING.get(alert.description or "", ())
    told: set[str] = set()
    for one in c.findings or ():
        if one.code in fitting and one.certificate in shown:
            text = f"That fits what was found about the {whose}'s certificates: {_MEANINGS[one.code]} ({one.detail})."
            frames = (*(() if one.frame is None else (one.frame,)), alert.frame)
            # The same may be true of several certificates of a chain.
            if text not in told:
                yield Sentence("end", f"found_{one.code}", text, frames, guess=True)
            told.add(text)


def _shape_of_nothing(c: Connection) -> Iterator[Sentence]:
    """An empty Certificate of TLS 1.3 by its record's length (RFC 8446 section 4.4.2): 8 bytes, a type, and the tag."""
    sent = [m for m in c.messages if m.sender == "client" and m.type == "encrypted"]
    suite = c.cipher_suite or ""
    size = _EMPTY_CERTIFICATE + (_SHORT_TAG if suite.endswith("CCM_8_SHA256") else _TAG)
    with_finished = size + _FINISHED + (48 if suite.endswith("SHA384") else 32)
    alone, together = (
        len(sent) > 1 and sent[0].bytes in (size, size + _PADDING),
        [one.bytes for one in sent] == [with_finished],
    )
    if c.is_tls13 and (alone or together):
        what = "is a record of the length of an empty Certificate and a Finished"
        what = "begins with a record of the length of an empty Certificate" if alone else what
        text = f"The client's flight {what}: most likely the "
        text += "server had asked for a client certificate, and the client had sent none."
        yield Sentence("end", "no_client_certificate", text, (sent[0].frame,), guess=True)


def _fallback(c: Connection, _: Alert) -> Iterator[Sentence]:
    if c.client_hello:
        less = f", {listed(versions)}" if (versions := c.offered_versions) else ""
        text = f"The client signalled that it offered less than it supports{less}: the server supports more."
        yield Sentence("end", "fallback_refused", text, (c.client_hello.frame,))


def _wanted(c: Connection, alert: Alert) -> Iterator[Sentence]:
    if alert.sender == "server" and _sent_no_certificate(c):
        yield from _nothing_sent(c)


def _authority(c: Connection, alert: Alert) -> Iterator[Sentence]:
    whose: Side = "server" if alert.sender == "client" else "client"
    chain = c.chain(whose)
    if chain:
        text = f"The last certificate that the {whose} sent is {described(chain[-1])}: "
        text += f"the {alert.sender} does not know that authority."
        frames = message_frame(c, "certificate", whose)
        yield Sentence("end", "unknown_authority", text, frames)
        if chain[-1].self_signed is False:
            text = f"The {whose} did not send the certificate of that authority: if it is an intermediate authority, "
            yield Sentence("end", "issuer_not_sent", f"{text}that certificate is missing.", frames, guess=True)
    elif c.is_tls13:
        text = "Only keys show the authority: TLS 1.3 encrypts certificates."
        yield Sentence("end", "unknown_authority", text, (alert.frame,))


def _mismatch(c: Connection, frames: tuple[int, ...]) -> Iterator[Sentence]:
    """A certificate that is not for the name which a client asked for before it refused (RFC 9525 section 6)."""
    leaf = c.leaf("server")
    if leaf is None or c.sni is None or is_for(leaf, c.sni) is not False:
        return
    names = (*(leaf.dns_names or ()), *(leaf.ip_addresses or ()))
    whom = listed(names) if names else "no name in its subjectAltName"
    shown = message_frame(c, "certificate", "server")
    text = (
        f"The certificate is for {whom}, and the client had asked for {c.sni}: this mismatch is likely why the client "
    )
    yield Sentence("end", "name_mismatch", f"{text}refused.", (*shown, *frames), guess=True)


def _denied(c: Connection, alert: Alert) -> Iterator[Sentence]:
    if alert.sender == "client":
        yield from _mismatch(c, (alert.frame,))


def _certificate(c: Connection, alert: Alert) -> Iterator[Sentence]:
    if alert.sender == "client" and alert.description in _OTHER_REASONS:
        yield from _mismatch(c, (alert.frame,))
    leaf = c.leaf("server" if alert.sender == "client" else "client")
    if leaf is not None:
        text = f"The certificate {_whose_and_when(leaf)}"
        start = dated(c.start)
        when = "" if start is None else f"; the capture is from {_moment(start)}"
        yield Sentence("end", "certificate_refused", f"{text}{when}.", (alert.frame,))


def _whose_and_when(leaf: Certificate) -> str:
    """Say whom a certificate is for and when it is valid, as far as these could be read."""
    known = leaf.not_before is not None or leaf.not_after is not None
    if leaf.subject is None and not known:
        return "has a subject and a validity that could not be read"
    subject = "has a subject that could not be read" if leaf.subject is None else "has no subject"
    whose = f"is that of {leaf.subject}" if leaf.subject else subject
    if not known:
        return f"{whose}; its validity could not be read"
    return f"{whose}, valid from {_moment(leaf.not_before)} to {_moment(leaf.not_after)}"


def _moment(time: str | None) -> str:
    return "a time that could not be read" if time is None else f"{time[:19].replace('T', ' ')} UTC"


def _name(c: Connection, _: Alert) -> Iterator[Sentence]:
    if c.client_hello and (c.sni or c.has_whole_client_hello):
        text = f"The client had asked for {c.sni or 'no name'}."
        yield Sentence("end", "name_refused", text, (c.client_hello.frame,))


def _protocol(c: Connection, _: Alert) -> Iterator[Sentence]:
    if c.client_hello and c.client_hello.alpn:
        text = f"The client offered {none_of(c.client_hello.alpn, 'speak')}."
        yield Sentence("end", "no_common_protocol", text, (c.client_hello.frame,))


def _ended_early(c: Connection, opened: Connection) -> Iterator[Sentence]:
    how = "a RST" if c.outcome == "reset" else "a FIN"
    who = f"The {c.failed_by}" if c.failed_by else "One side"
    end = early_end(c)
    last = None if end.after is None else named(end.after, c.transport)
    if end.frame is None:
        where = "" if last is None else f"; the last message seen is {last}"
    else:
        where = ", before any message of TLS" if end.is_first else "" if last is None else f", after {last}"
    without = without_alert(c)
    if keyed_end(opened) is not None:
        without += " that is readable without keys"
    frames = (*end.frames, *(alert.frame for alert in c.alerts if alert.sender == c.failed_by))
    yield Sentence("end", "ended_early", f"{who} ended the connection with {how}, {without}{where}.", frames)
    yield from _reported(c)
    if c.failed_by == "client" and end.after is not None and end.after.sender == "server":
        yield from _mismatch(c, frames)
    elif c.failed_by == "server" and (end.frame is None or _is_shown_by(c, end.frame)):
        yield from _unmet(c)
    yield from _answered_otherwise(c)


def _is_shown_by(c: Connection, frame: int) -> bool:
    """Return whether the client's certificate came before a frame."""
    shown = message_frame(c, "certificate", "client")
    return bool(shown) and shown[0] <= frame


def without_alert(c: Connection) -> str:
    """Say that no fatal alert ended a handshake, and which other ones the side that ended it had sent."""
    names = list(
        dict.fromkeys([one.description or "an encrypted one" for one in c.alerts if one.sender == c.failed_by])
    )
    return f"without an alert other than {listed(names)}" if names else "without an alert"


def _reported(c: Connection) -> Iterator[Sentence]:
    """Explain an alert that only reports that the other side ended the connection."""
    errors = [one for one in c.alerts if c.failed_by not in (None, one.sender) and one.level != "warning"]
    for alert in errors[:1]:
        name = alert.description or "an encrypted alert"
        text = f"The {alert.sender} answered that with {name}, which only reports the end."
        yield Sentence("end", "end_reported", text, (alert.frame,))


def _answered_otherwise(c: Connection) -> Iterator[Sentence]:
    """Explain a server that sent no TLS message, and whose answer in another protocol is a problem."""
    if any(message.sender == "server" for message in c.messages):
        return
    for problem in c.problems:
        if problem.code in ("malformed_record", "malformed_message") and problem.sender == "server":
            text = f"{problem.detail[:1].upper()}{problem.detail[1:]}."
            # A message in a record of TLS is of no other protocol.
            text += " Perhaps this port serves another protocol." if problem.code == "malformed_record" else ""
            yield Sentence("end", "answered_otherwise", text, (problem.frame,) if problem.frame else ())


def _silence(c: Connection, _: Connection) -> Iterator[Sentence]:
    text = "The server acknowledged the ClientHello and never answered it."
    if c.transport != "tcp":
        text = "The server never answered the ClientHello."
    yield Sentence("end", "no_answer", text, (c.client_hello.frame,) if c.client_hello else ())
    left = [alert for alert in c.alerts if alert.sender == "client"]
    if left:
        names = dict.fromkeys([alert.description or "an encrypted alert" for alert in left])
        text = f"The client gave up with {listed(list(names))}."
        yield Sentence("end", "gave_up", text, tuple(alert.frame for alert in left))


def _one_sided(c: Connection, _: Connection) -> Iterator[Sentence]:
    yield Sentence("end", "one_sided", "The capture has packets of one direction only.", (c.first_frame,))


def _incomplete(c: Connection, opened: Connection) -> Iterator[Sentence]:
    if quic.versions_refused(c):
        text = "The attempt ended with the server's Version Negotiation: a client gives up if it supports none of the "
        text += "versions listed there (RFC 9000 section 6.2)."
        yield Sentence("end", "version_refused", text, quic.frames(c, PacketType.VERSION_NEGOTIATION), guess=True)
        return
    after = f"; the last thing seen is {named(c.messages[-1], c.transport)}" if c.messages else ""
    who = "The" if keyed_end(opened) is None else "Without keys, the"
    text = f"{who} capture does not show the end of the handshake{after}."
    yield Sentence("end", "incomplete", text, _last_frames(c))
    yield from _answered_otherwise(c)


def _last_frames(c: Connection) -> tuple[int, ...]:
    return (c.messages[-1].frame,) if c.messages else ()


_FAILURES: dict[str, Callable[[Connection, Connection], Iterator[Sentence]]] = {
    "alert": _alert,
    "reset": _ended_early,
    "closed": _ended_early,
    "no_answer": _silence,
    "one_sided": _one_sided,
    "incomplete": _incomplete,
}
_REASONS: dict[str, Callable[[Connection, Alert], Iterator[Sentence]]] = {
    "protocol_version": _version,
    "handshake_failure": _nothing_in_common,
    "insufficient_security": _nothing_in_common,
    "unknown_ca": _authority,
    "bad_certificate": _certificate,
    "certificate_expired": _certificate,
    "certificate_revoked": _certificate,
    "certificate_unknown": _certificate,
    "unsupported_certificate": _certificate,
    "certificate_required": _wanted,
    "access_denied": _denied,
    "inappropriate_fallback": _fallback,
    "no_certificate": _wanted,
    "unrecognized_name": _name,
    "no_application_protocol": _protocol,
}


_ANY = ("expired", "not_yet_valid", "revoked", "self_signed", "untrusted", "incomplete_chain", "bad_signature",
        "weak_key", "weak_signature", "wrong_purpose", "wrong_key_usage")  # fmt: skip
"""Findings that may be why a certificate was refused by an alert that does not say why."""
_PATH = ("self_signed", "untrusted", "incomplete_chain", "misordered_chain", "issuer_not_ca")
_FITTING = {
    "certificate_expired": ("expired", "not_yet_valid"),
    "certificate_revoked": ("revoked",),
    "certificate_unknown": (*_ANY, "must_staple_unmet", "bad_staple", "stale_staple"),
    "bad_certificate": (*_ANY, "must_staple_unmet", "bad_staple", "stale_staple"),
    "bad_certificate_status_response": ("must_staple_unmet", "bad_staple", "stale_staple", "revoked"),
    "unsupported_certificate": ("wrong_purpose", "wrong_key_usage", "weak_key", "weak_signature"),
    "unknown_ca": _PATH,
    "handshake_failure": ("must_staple_unmet", "weak_key", "weak_signature"),
    "insufficient_security": ("weak_key", "weak_signature"),
}
"""Findings that an alert may mean (RFC 8446 section 6.2)."""
_MEANINGS = {rule.code: rule.meaning for rule in RULES}


class Unreceived(NamedTuple):
    """The first bytes of a side that the other side did not acknowledge."""

    sender: Side
    start: int
    """Their stream offset: all bytes before it were acknowledged."""
    size: int
    from_start: bool
    """Whether stream offset 0 is the first byte that the side sent."""
    sent: tuple[Packet, ...]
    """The segments that contain all of them; empty if the capture lacks them."""
    lost: int
    """Bytes of the shortest of these segments, or of the gap if the capture lacks the bytes."""
    passed: tuple[Packet, ...]
    """Segments of the side that arrived: acknowledged, or captured after a gap."""
    waited: float | None
    """Milliseconds from the last of these to the last packet; None if not known."""

    @property
    def is_repeated(self) -> bool:
        """Whether the bytes were retransmitted, or there was time to, so that they were not merely in flight."""
        return len(self.sent) >= LEAST if self.sent else self.waited is not None and self.waited >= _RETRANSMITTED

    @property
    def only_shorter_passed(self) -> bool:
        """Whether all segments that arrived are shorter than those that did not."""
        return bool(self.passed) and all(packet.length < self.lost for packet in self.passed)


def losses(c: Connection) -> Iterator[Sentence]:
    """Yield sentences about bytes of a failed handshake that were never acknowledged."""
    if not isinstance(c, KeptConnection):
        return
    sides: tuple[Side, ...] = ("client", "server")
    probed = {one.frame for one in probes(c.transcript.packets)}
    for sender in sides:
        lost = unreceived(c.transcript.packets, sender)
        # Probes of a closed window are not lost, since it accepts nothing.
        if lost is not None and any(packet.frame in probed for packet in lost.sent):
            continue
        if lost is not None and lost.is_repeated:
            yield _never_acknowledged(lost)
            if lost.only_shorter_passed:
                yield _path_mtu(lost)


def unreceived(packets: Sequence[Packet], sender: Side) -> Unreceived | None:
    """Return the first bytes of a side that were not acknowledged; None if all were, or no acknowledgement was seen."""
    mine = [(packet.offset, packet) for packet in packets if packet.sender == sender and packet.offset is not None]
    theirs = [packet for packet in packets if packet.sender != sender and packet.acknowledged is not None]
    start = max((packet.acknowledged or 0 for packet in theirs), default=None)
    # A SYN is acknowledged as if it were a byte before the stream.
    if start is None or start < 0:
        return None
    segments = [(offset, packet) for offset, packet in mine if packet.length]
    sent = [(offset, packet) for offset, packet in segments if offset <= start < offset + packet.length]
    later = [(offset, packet) for offset, packet in segments if offset > start]
    if sent:
        size = min(offset + packet.length for offset, packet in sent) - start
        lost = min(packet.length for _, packet in sent)
    elif later:
        size = lost = min(offset for offset, _ in later) - start
    else:
        return None
    received = _Blocks(block for packet in theirs for block in packet.sacked)
    passed = [
        packet
        for offset, packet in segments
        if offset + packet.length <= start
        or (not sent and offset > start)
        or received.cover(offset, offset + packet.length)
    ]
    waited = elapsed(passed[-1].time, packets[-1].time) if passed else None
    from_start = any(packet.flags & _SYN for _, packet in mine)
    held = tuple(packet for _, packet in sent)
    return Unreceived(sender, start, size, from_start, held, lost, tuple(passed), waited)


class _Blocks:
    """Ranges of a stream; adjacent ones are merged."""

    def __init__(self, blocks: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(set(blocks)):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def cover(self, start: int, end: int) -> bool:
        """Return whether one of the ranges contains this one."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]


def _never_acknowledged(lost: Unreceived) -> Sentence:
    one = lost.size == 1
    if lost.from_start and not lost.start:
        what = f"The {lost.sender}'s first {'byte' if one else f'{lost.size:,} bytes'}"
    else:
        what = f"{counted(lost.size, 'byte')} of the {lost.sender}"
        what += f" after its first {lost.start:,}" if lost.from_start else ""
    was, times = "was" if one else "were", "once" if len(lost.sent) == 1 else f"{len(lost.sent)} times"
    how = f"{was} sent {times} and" if lost.sent else f"{'is' if one else 'are'} not in the capture and {was}"
    if not lost.sent:
        others = ", while later bytes arrived"
    else:
        others = ", while shorter ones arrived" if lost.only_shorter_passed else ""
    frames = tuple(packet.frame for packet in (lost.sent or lost.passed[-1:]))
    text = f"{what} {how} never acknowledged{others}."
    return Sentence("end", "never_acknowledged", text, frames[:_SHOWN])


def _path_mtu(lost: Unreceived) -> Sentence:
    longest = max(packet.length for packet in lost.passed)
    text = f"Perhaps the path drops longer segments: those of up to {longest:,} bytes arrived, and its MTU may be "
    text += "smaller than the two sides assume (RFC 2923 section 2.1)."
    frames = tuple(packet.frame for packet in lost.passed if packet.length == longest)
    return Sentence("end", "path_mtu", text, frames[:_SHOWN], guess=True)
