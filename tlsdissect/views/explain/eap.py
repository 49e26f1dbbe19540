"""Sentences about the EAP conversation that carried TLS: who asked for access, and who refused whom."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from tlsdissect.model.transcript import KeptConnection, keyed_end
from tlsdissect.views.explain.model import Sentence, described, message_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection

_CARRIERS = {"eapol": "in frames of IEEE 802.1X", "radius": "in RADIUS"}


def access(c: Connection) -> Iterator[Sentence]:
    """Who asked for access, and how."""
    if c.eap is None:
        return
    eap = c.eap
    supplicant = f"The supplicant {eap.supplicant}" if eap.supplicant else "A supplicant"
    where = f" at {eap.authenticator}" if eap.authenticator else ""
    text = f"{supplicant} asked for access{where} by {eap.method}, {_CARRIERS[eap.carrier]}."
    yield Sentence("offer", "eap", text, (c.first_frame,))


def identity(c: Connection) -> Iterator[Sentence]:
    """The outer identity, which is not encrypted."""
    if c.eap is not None and c.eap.identity:
        text = f"The identity that the supplicant gave before TLS: {c.eap.identity}."
        yield Sentence("observer", "eap_identity_visible", text, (c.first_frame,))


def fragments(c: Connection) -> Iterator[Sentence]:
    """What fragments cost: EAP acknowledges each one before the next is sent (RFC 5216 section 2.1.5)."""
    if c.eap is None or not isinstance(c, KeptConnection) or not c.messages:
        return
    last = c.messages[-1].frame
    sent = sorted({(p.frame, p.sender) for p in c.transcript.packets if p.payload and p.frame <= last})
    flights = [[frame for frame, _ in flight] for _, flight in groupby(sent, key=lambda one: one[1])]
    waits = sum(len(flight) - 1 for flight in flights)
    if waits:
        longest = max(flights, key=len)
        text = f"EAP carried the handshake in {len(sent):,} packets. After {waits:,} of them the sender waited for an "
        text += "acknowledgement before the next fragment: a round trip between supplicant and server each time."
        yield Sentence("time", "eap_fragments", text, (longest[0], longest[-1]))


def result(c: Connection, opened: Connection) -> Iterator[Sentence]:
    """Whether the supplicant got access, and otherwise who refused whom; `opened` is `c` with what keys show."""
    if c.eap is None:
        return
    frames = () if c.eap.result_frame is None else (c.eap.result_frame,)
    keyed = keyed_end(opened)
    if c.eap.result is None:
        text = "The capture has neither EAP-Success nor EAP-Failure: whether the supplicant got access is not known."
        yield Sentence("end", "eap_open", text)
    elif c.eap.result == "success":
        yield Sentence("end", "eap_success", "The server granted the supplicant access (EAP-Success).", frames)
    elif c.outcome == "alert" and c.failed_by == "client":
        text = "So the supplicant refused the server, and EAP-Failure only reports that."
        yield Sentence("end", "eap_server_refused", text, frames)
    elif keyed is not None and keyed.sender == "client":
        text = "Keys show that the supplicant refused the server, and EAP-Failure only reports that."
        yield Sentence("end", "eap_server_refused", text, (keyed.frame, *frames))
    elif c.outcome == "established" and c.eap.method != "EAP-TLS":
        text = "The handshake succeeded, and then came EAP-Failure: what was refused inside the tunnel is encrypted."
        yield Sentence("end", "eap_refused_in_tunnel", text, frames)
    else:
        yield from _supplicant_refused(c, frames)


def _supplicant_refused(c: Connection, frames: tuple[int, ...]) -> Iterator[Sentence]:
    """The server sent EAP-Failure, and the supplicant had refused nothing."""
    when = "after the handshake" if c.outcome == "established" else "before the handshake was over"
    leaf = c.leaf("client")
    shown = "" if leaf is None else f" The certificate that the supplicant sent is {described(leaf)}."
    frames = (*(() if leaf is None else message_frame(c, "certificate", "client")), *frames)
    guess = c.outcome == "incomplete" or "outcome" in c.inferred
    text = f"The server refused the supplicant {when} (EAP-Failure).{shown}"
    yield Sentence("end", "eap_supplicant_refused", text, frames, guess=guess)
