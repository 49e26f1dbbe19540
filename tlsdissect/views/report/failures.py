"""The failures of a report by reason, and the figures above all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.model.transcript import has_failed, keyed_end
from tlsdissect.views import table
from tlsdissect.views.explain import explain
from tlsdissect.views.printable import printable, shortened
from tlsdissect.views.summary import Peer, weaknesses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.summary import CaptureSummary


_CAUSE = 400
"""Maximum length of what is said about a cause at the top of the page, in characters."""


class Tile(Struct, frozen=True):
    """One of the figures on top of the page, and the section that it leads to."""

    number: str
    label: str
    detail: str
    section: str
    bad: bool = False


class Failure(Struct, frozen=True):
    """The connections that failed for one reason."""

    reason: str
    connections: int
    clients: list[Peer]
    servers: list[Peer]
    story: list[str]
    """The verdict of `explain` on the first of these connections, and its sentences about the end."""
    cause: str
    """What these sentences say about the cause, without their frames."""
    advice: str
    """What to do about it; empty unless the connections of this reason show the cause."""
    first: int
    """The number of that connection in the page's table."""


class Failures:
    """Collects the first failed connection of each reason, and counts what the tiles show."""

    def __init__(self) -> None:
        self._rows = 0
        self._first: dict[str, tuple[list[str], str, int]] = {}
        self._weak = self._versions = self._tls13 = 0

    def add(self, c: Connection) -> None:
        """Add a connection that was read with its transcript."""
        reason = table.outcome(c)[0] or c.outcome
        if has_failed(c) and reason not in self._first:
            said = explain(c)
            ended, story = list(said.about("end")), [said.verdict.line]
            # The first sentence says who ended it, as the reason does.
            cause = " ".join(one.without_frames for one in ended[1:])
            if keyed_end(c) is not None:
                ended += [one for one in said.about("keys") if one.code in ("keys_alert", "keys_close")]
            story += [one.with_evidence for one in ended]
            self._first[reason] = story, shortened(cause, _CAUSE), self._rows
        self._rows += 1
        self._weak += any(True for _ in weaknesses(c))
        self._versions += c.version is not None
        self._tls13 += bool(c.is_tls13)

    def by_reason(self, summary: CaptureSummary) -> list[Failure]:
        """Return the failures, the most frequent reason first."""
        failures = []
        for group in summary.failures:
            story, cause, first = self._first[group.what]
            peers = _named(group.clients), _named(group.servers)
            failures.append(
                Failure(printable(group.what), group.connections, *peers, story, cause, group.advice or "", first)
            )
        return failures

    def tiles(self, summary: CaptureSummary) -> list[Tile]:
        """Return the figures on top of the page."""
        failed = sum(group.connections for group in summary.failures)
        weak = self._weak
        captures = f"{summary.captures:,} captures" if summary.captures != 1 else "1 capture"
        expired, many = sum(one.days_left < 0 for one in summary.ending), len(summary.ending)
        certificates = "certificate" if many == 1 else "certificates"
        if expired == many > 0:
            certificates, expiring = f"{certificates} expired", "when last seen"
        else:
            certificates = f"{certificates} {'expires' if many == 1 else 'expire'} soon"
            expiring = f"{expired:,} had expired when last seen" if expired else "within 30 days of the capture"
        return [
            Tile(f"{summary.connections:,}", "connections", f"in {captures}", "connections"),
            Tile(f"{failed:,}", "failed", _share(failed, summary.connections), "failures", bool(failed)),
            Tile(f"{weak:,}", "old or weak", _share(weak, summary.connections), "findings", bool(weak)),
            Tile(f"{many:,}", certificates, expiring, "certificates", bool(many)),
            Tile(
                f"{100 * self._tls13 / self._versions:.0f} %" if self._versions else "-",
                "TLS 1.3",
                f"of {self._versions:,} with a visible version",
                "comparison",
            ),
        ]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} % of {whole:,}" if part and whole else "none"


def _named(peers: Sequence[Peer]) -> list[Peer]:
    return [Peer(printable(one.name), one.connections) for one in peers]
