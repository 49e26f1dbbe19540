"""Staples held against the certificate that they came with (RFC 6066 section 8, RFC 7633)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.trust.notes import Note
from tlsdissect.trust.ocsp import OcspAnswer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.trust.chain import Link
    from tlsdissect.trust.showing import Showing


def must_staple_notes(showing: Showing, leaf: Link) -> Iterator[Note]:
    """Note that a certificate promises a staple, the client asked for it, and the server sent none."""
    if leaf.facts.must_staple and showing.unstapled:
        yield Note(
            "must_staple_unmet", "the client asked for the staple that the certificate promises", leaf.facts.sha256
        )


def staple_notes(given: OcspAnswer, leaf: Link) -> Iterator[Note]:
    """Note what a staple says, and what is wrong with it."""
    sha256 = leaf.facts.sha256
    if given.flaws:
        yield Note("bad_staple", "; ".join(given.flaws), sha256)
    if given.stale is not None:
        yield Note("stale_staple", given.stale, sha256)
    if given.revokes:
        yield Note("revoked", f"by the server's own staple, since {given.since}", sha256)


def staple_answer(response: bytes, leaf: Link, issuer: Link | None, at: str | None) -> OcspAnswer:
    """Check a staple as of a time (of `second`), or of none."""
    return answer(response, leaf, issuer, at)
