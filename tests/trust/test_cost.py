"""Certificates made to cost much: what is done is counted, is bounded, and a finding reports what was not checked."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from authority import authority, common_name, findings, issue, link
from counting import calls
from cryptography import x509
from msgspec.structs import replace

from tlsdissect.trust import chain as chains
from tlsdissect.trust import constraints
from tlsdissect.trust.chain import MAX_ISSUERS, Chain, find_issuer, find_path, signed
from tlsdissect.trust.constraints import Constraints, NameChecker, Subtree
from tlsdissect.trust.names import is_for
from tlsdissect.trust.verdicts import Settings, Verdicts
from tlsdissect.x509.certificates import Outline

if TYPE_CHECKING:
    from tlsdissect.trust.chain import Link

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


@pytest.mark.parametrize("kind", ["addresses", "names", "subjects"])
def test_checking_names_is_linear_in_names_and_in_subtrees(kind: str) -> None:
    def check(size: int) -> None:
        if kind == "addresses":
            masks = [ip_network(f"::/{length}").netmask.packed for length in range(1, size)]
            subtrees = [Subtree(0x87, ip_address("2001:db8::").packed + mask) for mask in masks]
            facts = replace(LEAF.link.facts, ip_addresses=("ffff::1",) * size)
        elif kind == "names":
            subtrees = [Subtree(0x82, b"a" * index) for index in range(1, size)]
            facts = replace(LEAF.link.facts, dns_names=("b.c",) * size)
        else:
            subtrees = [Subtree(0xA4, common_name(str(index)).public_bytes()) for index in range(size)]
            facts = LEAF.link.facts
        checker = NameChecker(Constraints((), tuple(subtrees)))
        assert list(checker.violations(facts, common_name("other").public_bytes())) == []

    assert calls(lambda: check(120)) < 11 * calls(lambda: check(12))


def limited(size: int, extra: int = 1) -> list[Link]:
    """A chain of authorities with name constraints, above a leaf with nine names of three labels each."""
    names = [x509.DNSName("example.com"), *[x509.DNSName(f"{index}.example.net") for index in range(1, extra)]]
    above = [ROOT]
    for index in range(size):
        above.append(authority(f"limited {index}", above[-1], extra=[(x509.NameConstraints(names, None), True)]))
    leaf = issue("leaf", above[-1], names=[f"{index}.example.com" for index in range(9)])
    return [leaf.link, *[one.link for one in reversed(above)]]


def test_lookups_in_name_constraints_end_at_the_limit_of_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    links = limited(20)
    # Each authority takes a lookup for each label of the leaf's names.
    monkeypatch.setattr(chains, "MAX_NAME_CHECKS", 3 * 27)
    found: dict[str, str] = {}
    assert calls(lambda: found.update(findings(links)), constraints._DnsNames.contains) == 3 * 9
    assert "name_not_permitted" not in found
    assert found["not_checked"] == "the name constraints of CN=limited 0: 27 lookups of names"


def test_certificates_are_read_as_often_as_they_were_sent() -> None:
    links = limited(16, extra=2000)
    assert calls(lambda: findings(links), constraints.read_constraints) == 16
    # Once for the constraints, and twice for the other details, which may be too large to be cached.
    assert calls(lambda: findings(links), Outline.read.__func__) <= 3 * len(links)


def test_the_names_of_a_certificate_cost_a_few_calls_each() -> None:
    def cost(count: int) -> int:
        names = [f"{index}.example.org" for index in range(count)]
        leaf = issue("leaf", MIDDLE, names=names).der

        def check() -> None:
            sent = link(leaf)
            findings([sent])
            is_for(sent.facts, "www.example.com")

        return calls(check)

    cost(1)
    # Decoding takes 12 calls for each name, comparing it with the host name 5, and the other checks 8.
    assert cost(2000) - cost(1000) < 30 * 1000
