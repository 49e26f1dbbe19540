"""Chains made to cost much: the number of checks is bounded, and a finding reports what was not checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authority import authority, findings, issue, link
from cryptography import x509

from tlsdissect.trust import chain as chains
from tlsdissect.trust import constraints
from tlsdissect.trust.chain import MAX_ISSUERS, Chain, find_issuer, find_path, signed
from tlsdissect.trust.verdicts import Settings, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = authority("root")
MIDDLE = authority("middle", ROOT)
LEAF = issue("leaf", MIDDLE)


def test_signature_checks_are_linear_in_the_length_of_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
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
        found = findings(links[:size])
        assert len(set(tried)) <= MAX_ISSUERS * size
        assert "bad_signature" not in found
        assert f"{size - 1 - MAX_ISSUERS} more certificates" in found["not_checked"]
    # If all candidates were tried, none of their keys made the signature.
    assert "bad_signature" in findings(links[:MAX_ISSUERS])


def test_the_search_for_an_issuer_ends_at_the_first_valid_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    holding = [authority("middle", ROOT, serial=index) for index in range(1, 30)]
    tried: list[bytes] = []

    def counted(one: bytes, other: bytes) -> bool | None:
        tried.append(other)
        return signed(one, other)

    monkeypatch.setattr(chains, "signed", counted)
    links = [LEAF.link, *[one.link for one in holding], ROOT.link]
    assert find_path(links).places == (0, 1, 30)
    assert len(tried) == 2


def test_a_trust_anchor_is_found_behind_many_certificates_of_its_name() -> None:
    strangers = [authority("middle", ROOT, key_name=f"p256 {index}", serial=index + 1) for index in range(9)]
    shown = Chain("server", (LEAF.link, *[one.link for one in strangers]))
    assert find_issuer(LEAF.link, [one.link for one in (*strangers, MIDDLE)]) is None
    assert Verdicts(Settings()).issuer_of(shown, LEAF.link) is None
    assert Verdicts(Settings(anchors=(MIDDLE.anchor,))).issuer_of(shown, LEAF.link) == MIDDLE.link


def test_comparisons_with_name_constraints_end_at_the_limit_of_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(x509.NameConstraints([x509.DNSName("example.com")], None), True)]
    above = [ROOT]
    for index in range(20):
        above.append(authority(f"limited {index}", above[-1], extra=limits))
    leaf = issue("leaf", above[-1], names=[f"{index}.example.com" for index in range(9)])
    compared: list[str] = []
    names = constraints._names

    def counted(*given: Any) -> Iterator[tuple[int, bytes, str]]:
        for one in names(*given):
            compared.append(one[2])
            yield one

    monkeypatch.setattr(constraints, "_names", counted)
    # The nth authority above the leaf constrains the leaf's ten names, subject included, and n - 1 other subjects.
    monkeypatch.setattr(chains, "MAX_NAME_CHECKS", 10 + 11 + 12)
    found = findings([leaf.link, *[one.link for one in reversed(above)]])
    assert len(compared) == 10 + 11 + 12
    assert "name_not_permitted" not in found
    assert found["not_checked"].startswith("the name constraints of CN=limited ")
