"""How far a server is ready for quantum computers, as far as its connections show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.views.cbom import algorithms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Certificate
    from tlsdissect.views.cbom.algorithms import Algorithm
    from tlsdissect.views.cbom.use import ServerUse


def key_agreement(server: ServerUse) -> str:
    """Say how often the server chose a post-quantum group, and else whether clients offered one."""
    if not server.agreements:
        return "not seen"
    if server.post_quantum:
        share = "all" if server.post_quantum == server.agreements else f"{server.post_quantum} of {server.agreements}"
        return f"chosen in {share} connections"
    if server.offered_post_quantum:
        return "offered by clients, not chosen"
    return "not chosen; offers not seen as a whole" if server.unknown_offers else "not offered by clients"


def signatures(server: ServerUse, certificates: dict[str, Certificate]) -> str:
    """Say whether the signatures by which the server proves who it is are post-quantum."""
    found = {one.post_quantum for one in _signatures(server, certificates)}
    if not found:
        return "not seen"
    if None in found:
        return "not known"
    return "post-quantum" if found == {"yes"} else "classical" if found == {"no"} else "classical and post-quantum"


def _signatures(server: ServerUse, certificates: dict[str, Certificate]) -> Iterator[Algorithm]:
    for protocol in server.versions.values():
        for suite in protocol.cipher_suites.values():
            yield from map(algorithms.signature_scheme, suite.signature_schemes)
    for digest in server.certificates["server"]:
        one = certificates[digest]
        yield from filter(None, (algorithms.signature_of(one), algorithms.key_of(one)))
