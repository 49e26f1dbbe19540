"""Sentences about what was seen in captures but not decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.flows.udp_protocols import MAX_COUNTED
from tlsdissect.views.phrases import counted, listed_counts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tlsdissect.pipeline import Summary

_KINDS = 12
"""Kinds of TCP flows without TLS that are named; the rest are counted."""


def refusals(summary: Summary) -> Iterator[str]:
    """Yield each input that could not be read at all, with the reason."""
    for source, why in summary.refused:
        yield f"{'standard input' if source == '-' else source}: {why}"


def left_out(summary: Summary, *, flows: bool = True) -> Iterator[str]:
    """Yield what was seen but not decoded, and what could not be read; without `flows`, nothing of TCP flows."""
    if flows:
        yield from _not_tls(summary)
    google = ", ".join(f"{many:,} Google {version}" for version, many in sorted(summary.google_quic.items()))
    undecoded = ((f"QUIC ({google})" if google else "QUIC", summary.quic), ("DTLS", summary.dtls))
    others = [f"{'at least ' * (many >= MAX_COUNTED)}{many:,} {kind}" for kind, many in undecoded if many]
    if others:
        noun = "conversation" if summary.quic + summary.dtls == 1 else "conversations"
        yield f"{' and '.join(others)} {noun} not decoded"
    for (method, carrier), many in sorted(summary.eap.items()):
        yield f"{counted(many, f'{method} conversation')} in {carrier} without a hello"
    if summary.skipped:
        yield f"not read: {listed_counts(summary.skipped)}"
    for many, what, sentence in (
        (summary.given_up, "connection", "{} given up"),
        (summary.returned_early, "connection", "{} printed before their end, for lack of room to wait"),
        (summary.evicted_connections, "flow", "{} evicted before their end"),
        (summary.evicted_sessions, "session", "{} evicted: later connections were not linked to them"),
        (summary.views_not_joined, "connection", "{} not joined with a view in another capture, for lack of room"),
        (summary.late, "packet", "{} after the end of their connection"),
        (len(summary.damage), "place", "damage in {}"),
        (len(summary.refused), "input", "{} refused"),
    ):
        if many:
            yield sentence.format(counted(many, what))


def unused_keys(summary: Summary) -> frozenset[bytes]:
    """Return the connections whose secrets, of a key log or a capture, opened nothing, by their client randoms."""
    return summary.known_keys - summary.used_keys


def opened_nothing(unused: Collection[bytes]) -> list[str]:
    """Return a sentence about the connections whose secrets opened nothing; nothing if there are none."""
    return [f"secrets of {counted(len(unused), 'connection')} opened nothing"] if unused else []


def notes(summary: Summary, *, counts_unused_keys: bool = True) -> list[str]:
    """Return what a result says of its inputs where it counts TCP flows without TLS by itself, or not at all.

    A result of two readings counts the secrets that opened nothing over both, and not here.
    """
    seen = [*left_out(summary, flows=False), *refusals(summary)]
    return seen + opened_nothing(unused_keys(summary)) if counts_unused_keys else seen


def report_notes(summary: Summary) -> list[str]:
    """Return what the page of a report says of it."""
    seen = [f"{note[0].upper()}{note[1:]}." for note in (*left_out(summary), *opened_nothing(unused_keys(summary)))]
    return seen + [f"{refusal}." for refusal in refusals(summary)]


def _not_tls(summary: Summary) -> Iterator[str]:
    """Count the TCP flows without TLS, by protocol."""
    total = summary.not_tls.total()
    if not total:
        return
    # The order must not depend on the number of processes.
    kinds = sorted(summary.not_tls.items(), key=lambda kind: (-kind[1], kind[0]))
    named = [f"{many:,} {kind}" for kind, many in kinds[:_KINDS]]
    rest = sum(many for _, many in kinds[_KINDS:])
    named += [f"{rest:,} of {counted(len(kinds) - _KINDS, 'other kind')}"] if rest else []
    yield f"{counted(total, 'other TCP flow' if summary.connections else 'TCP flow')}: {', '.join(named)}"
