"""Chains and responses made to cost much: what they take is bounded, and what is not checked is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authority import AT, authority, issue

from tlsdissect.transcript.x509.certificates import certificate
from tlsdissect.trust import chain as chains
from tlsdissect.trust.chain import MAX_ISSUERS, Chain, Link, find_issuer, find_path, signed
from tlsdissect.trust.verdicts import Settings, Verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

ROOT = authority("root")
MIDDLE = authority("middle", ROOT)
LEAF = issue("leaf", MIDDLE)


def link(encoding: bytes) -> Link:
    return Link(certificate(encoding)[0], encoding)


def found(links: Sequence[Link]) -> dict[str, str]:
    given = Verdicts(Settings()).chain_verdict(Chain("server", tuple(links)), AT)
    return {finding.code: finding.detail for finding in given.findings}


def test_checks_of_signatures_grow_with_the_chain_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = authority("x", key_name="p256 stranger")
    below = [issue("x", stranger, ca=True, key_name=f"p256 {index}", serial=index + 1) for index in range(40)]
    links = [link(one.der) for one in below]
    tried: list[tuple[bytes, bytes]] = []

    def counted(one: bytes, other: bytes) -> bool | None:
        tried.append((one, other))
        return signed(one, other)

    monkeypatch.setattr(chains, "signed", counted)
    for size in (10, 20, 40):
        tried.clear()
        notes = found(links[:size])
        assert len(set(tried)) <= MAX_ISSUERS * size
        assert "bad_signature" not in notes
        assert f"{size - 1 - MAX_ISSUERS} more certificates" in notes["not_checked"]
    # Of few, all are tried, and that none of them made the signature is certain.
    assert "bad_signature" in found(links[:MAX_ISSUERS])


def test_the_search_for_an_issuer_ends_at_the_first_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    holding = [authority("middle", ROOT, serial=index) for index in range(1, 30)]
    tried: list[bytes] = []

    def counted(one: bytes, other: bytes) -> bool | None:
        tried.append(other)
        return signed(one, other)

    monkeypatch.setattr(chains, "signed", counted)
    links = [LEAF.link, *[one.link for one in holding], ROOT.link]
    assert find_path(links).places == (0, 1, 30)
    assert len(tried) == 2


def test_what_is_trusted_is_found_behind_many_of_its_name() -> None:
    strangers = [authority("middle", ROOT, key_name=f"p256 {index}", serial=index + 1) for index in range(9)]
    shown = Chain("server", (LEAF.link, *[one.link for one in strangers]))
    assert find_issuer(LEAF.link, [one.link for one in (*strangers, MIDDLE)]) is None
    assert Verdicts(Settings()).issuer_of(shown, LEAF.link) is None
    assert Verdicts(Settings(anchors=(MIDDLE.anchor,))).issuer_of(shown, LEAF.link) == MIDDLE.link
