"""Findings about stapled OCSP responses (RFC 6066 section 8, RFC 7633)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.trust.rules import CertificateFinding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.trust.chain import Link
    from tlsdissect.trust.ocsp import OcspAnswer
    from tlsdissect.trust.presented_chains import PresentedChains


def must_staple_findings(presented: PresentedChains, leaf: Link) -> Iterator[CertificateFinding]:
    """Report a missing staple that the certificate requires and the client asked for."""
    if leaf.facts.must_staple and presented.unstapled:
        yield CertificateFinding(
            "must_staple_unmet", "the client asked for the staple that the certificate promises", leaf.facts.sha256
        )


def staple_findings(given: OcspAnswer, leaf: Link) -> Iterator[CertificateFinding]:
    """Report a revocation by the staple, and why a staple is not valid evidence."""
    sha256 = leaf.facts.sha256
    if given.problems:
        yield CertificateFinding("bad_staple", "; ".join(given.problems), sha256)
    if given.stale is not None:
        yield CertificateFinding("stale_staple", given.stale, sha256)
    if given.revokes:
        yield CertificateFinding("revoked", f"by the server's own staple, since {given.since}", sha256)
