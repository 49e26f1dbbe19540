"""What to do about a failed handshake, where the handshake shows the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.model.transcript import final_alert, keyed_end
from tlsdissect.trust.times import parse_time

if TYPE_CHECKING:
    from tlsdissect.model.connection import Alert, Connection, Side
    from tlsdissect.model.transcript import KeyedEnd
    from tlsdissect.views.explain.model import Explanation

_ADVICE = {
    "no_common_version": "Allow a version that both sides accept",
    "no_client_certificate": "Give the client a certificate, or make the server ask for none",
    "request_not_met": "Give the client a certificate by an authority that the server asks for",
    "issuer_not_sent": "Make the {other} send all certificates between its own and that of a root that the {sender} "
    "trusts, or the {sender} trust its authority",
    "unknown_authority": "Make the {sender} trust the authority of the {other}'s certificate, or give the {other} one "
    "by an authority that the {sender} trusts",
    "fallback_refused": "Make the client offer all that it supports",
    "name_refused": "Make the server serve that name, or connect by one that it serves",
    "no_common_protocol": "Allow a protocol of ALPN that both sides speak",
}
"""What to do, by the code of the sentence that names the cause."""
_MISMATCH = (
    "Give the server a certificate for the name that the client asks for, or make it ask for a name that it covers"
)


def advice(c: Connection, said: Explanation) -> str:
    """Return what to do about a failure that was explained; an empty text if its sentences leave the cause open."""
    keyed = keyed_end(c)
    ended = list(said.about("end"))
    if keyed is not None:
        ended += [one for one in said.about("keys") if one.code in ("keys_alert", "keys_close")]
    # It is certain that this certificate was not sent, and a guess that it was missing: the advice is about both.
    certain = {one.code for one in ended if not one.guess or one.code == "issuer_not_sent"}
    alert = keyed or final_alert(c)
    sender: Side = "server" if alert is not None and alert.sender == "server" else "client"
    other: Side = "client" if sender == "server" else "server"
    if alert is not None and "certificate_refused" in certain:
        found = _about_certificate(c, alert, other)
    else:
        found = next((text for code, text in _ADVICE.items() if code in certain), "").format(sender=sender, other=other)
    # As above: the names differ for certain, though the client may have refused for another reason, too.
    return found or (_MISMATCH if "name_mismatch" in {one.code for one in ended} else "")


def _about_certificate(c: Connection, alert: Alert | KeyedEnd, whose: Side) -> str:
    """Return what to do about a certificate that was refused, where the alert says why."""
    leaf, at = c.leaf(whose), parse_time(c.start)
    if alert.description == "certificate_revoked":
        return f"Replace the {whose}'s certificate"
    if alert.description != "certificate_expired" or leaf is None or at is None:
        return ""
    begin, end = parse_time(leaf.not_before), parse_time(leaf.not_after)
    if end is not None and end < at:
        return f"Renew the {whose}'s certificate"
    if begin is not None and end is not None and begin <= at:
        return f"Set the clock of the {alert.sender}: the certificate was valid by that of the capture"
    return ""
