"""The verdict on a handshake in one line: established, failed and by whom, or why that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.model.transcript import final_alert, keyed_end
from tlsdissect.tls.quic import PacketType
from tlsdissect.views.durations import in_ms
from tlsdissect.views.explain import quic
from tlsdissect.views.explain.early_end import early_end
from tlsdissect.views.explain.ending import keys_deny_refusal, losses, message_before, refused_in, without_alert
from tlsdissect.views.explain.model import Verdict, message_frame, named, rfc_name
from tlsdissect.views.explain.negotiation import accepts_external_psk
from tlsdissect.views.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.model.connection import Connection, Message

_OPEN_ENDS = {
    "one_sided": "not known: the capture has packets of one direction only",
    "incomplete": "not known: the capture does not show the end of the handshake",
}
_SIDES = ("client_", "server_")
_VERBS = {"reset": "reset", "closed": "closed"}


def verdict(c: Connection) -> Verdict:
    """Return the verdict on a connection."""
    keyed = keyed_end(c)
    if keyed is not None:
        did = "refused the handshake" if keyed.outcome == "alert" else "closed the connection during the handshake"
        text = f"the {keyed.sender} {did}: {keyed.description}, as keys show"
        return Verdict("failed", text, (keyed.frame,))
    return _VERDICTS[c.outcome](c)


def _established(c: Connection) -> Verdict:
    what = [c.version or "a version that is not known"]
    what += [c.group] if c.group else []
    if c.resumption not in (None, "none"):
        what.append("by a pre-shared key" if accepts_external_psk(c) else "resumed")
    took = [] if c.round_trips is None else [counted(c.round_trips, "round trip")]
    took += [] if c.timing.handshake_ms is None else [in_ms(c.timing.handshake_ms)]
    text = f"established: {', '.join([*what, *(['in ' + ' and '.join(took)] if took else [])])}"
    guess = "outcome" in c.inferred
    if c.eap is not None and c.eap.result == "failure" and c.eap.result_frame is not None:
        text = "the server refused the supplicant after the handshake: EAP-Failure"
        return Verdict("failed", text, (c.eap.result_frame,), guess=guess)
    return Verdict("established", text, guess=guess)


def _unanswered(c: Connection) -> Verdict:
    return Verdict("failed", "the server never answered the ClientHello", message_frame(c, "client_hello"))


def _refused(c: Connection) -> Verdict:
    text, alert = f"the {c.failed_by or 'other side'} refused the handshake", final_alert(c)
    if alert is not None and alert.description is not None:
        after = message_before(c, alert)
        return Verdict("failed", f"{text}: {alert.description}{_after(after, c.transport)}", (alert.frame,))
    if keys_deny_refusal(c):
        text = f"not known: it seems that {text}, but keys show no alert that says so"
        return Verdict("unknown", text, refused_in(c))
    return Verdict("failed", f"{text}: an encrypted alert", refused_in(c), guess=True)


def _ended(c: Connection) -> Verdict:
    close = None if c.quic is None else c.quic.close
    if close is not None:
        text = f"the {close.sender} closed the connection during the handshake: {close.code}"
        return Verdict("failed", text, (close.frame,))
    if c.eap is not None and c.eap.result == "failure" and c.eap.result_frame is not None:
        guess = "outcome" in c.inferred
        text = "the server refused the supplicant before the handshake was over: EAP-Failure"
        return Verdict("failed", text, (c.eap.result_frame,), guess)
    end = early_end(c)
    text = f"the {c.failed_by} {_VERBS[c.outcome]} the connection" if c.failed_by else "the connection ended"
    if end.frame is None:
        text += f" during the handshake, {without_alert(c)}"
        text += "" if end.after is None else f"; last seen: {named(end.after, c.transport)}"
    else:
        place = " before any message of TLS" if end.is_first else _after(end.after, c.transport)
        text += f"{place or ' during the handshake'}, {without_alert(c)}"
    return Verdict("failed", text, end.frames)


def _open(c: Connection) -> Verdict:
    if quic.versions_refused(c):
        text = "the server refused the client's versions of QUIC: Version Negotiation"
        return Verdict("failed", text, quic.frames(c, PacketType.VERSION_NEGOTIATION), guess=True)
    text = _OPEN_ENDS[c.outcome]
    last = c.messages[-1] if c.messages else None
    if c.outcome == "incomplete" and last is not None:
        text = f"{text}; last seen: {named(last, c.transport)}"
    found = Verdict("unknown", text)
    lost = next(losses(c), None) if c.transport == "tcp" else None
    if lost is None:
        return found if last is None else replace(found, frames=(last.frame,))
    stopped = f"the handshake stopped: {lost.text[:1].lower()}{lost.text[1:].removesuffix('.')}"
    return Verdict("unknown", stopped, lost.frames)


def _after(message: Message | None, transport: str) -> str:
    """Say after which message something happened; only one side sends those whose names begin with a side."""
    if message is None:
        return ""
    return f" after {f'the {rfc_name(message)}' if message.type.startswith(_SIDES) else named(message, transport)}"


_VERDICTS: dict[str, Callable[[Connection], Verdict]] = {
    "established": _established,
    "alert": _refused,
    "no_answer": _unanswered,
    "reset": _ended,
    "closed": _ended,
    "one_sided": _open,
    "incomplete": _open,
}
