"""Name constraints: an index of subtrees gives the same result as comparing each name with each subtree."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

from authority import AT, authority, issue
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tlsdissect.trust import chain as chains
from tlsdissect.trust.chain import Chain
from tlsdissect.trust.constraints import Constraints, NameChecker, Subtree
from tlsdissect.trust.verdicts import Settings, Verdicts

if TYPE_CHECKING:
    import pytest

EMAIL, DNS, URI, ADDRESS = 0x81, 0x82, 0x86, 0x87
FACTS = issue("leaf", names=()).link.facts


def within(kind: int, name: str, base: bytes) -> bool:
    """Compare one name with one base as RFC 5280 section 4.2.1.10 describes it."""
    if kind == ADDRESS:
        packed, half = ip_address(name).packed, len(base) // 2
        network, mask = base[:half], base[half:]
        return len(base) == 2 * len(packed) and all(
            part & bits == want & bits for part, want, bits in zip(packed, network, mask, strict=True)
        )
    text, wanted = name.lower(), base.decode().lower()
    if kind == DNS:
        return not wanted or text == wanted or text.endswith(wanted if wanted.startswith(".") else f".{wanted}")
    if kind == EMAIL and "@" in wanted:
        return text == wanted
    host = text.rpartition("@")[2]
    if kind == URI:
        host = text.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    return host.endswith(wanted) if wanted.startswith(".") else host == wanted


hosts = st.text("aB.", max_size=6)
networks = st.lists(st.sampled_from([0, 1, 2, 254, 255]), min_size=4, max_size=4).map(bytes)
masks = st.integers(0, 32).map(lambda length: (0xFFFFFFFF << 32 - length & 0xFFFFFFFF).to_bytes(4, "big"))
ranges = st.builds(bytes.__add__, networks, masks)
bases = st.one_of(
    st.builds(lambda base: Subtree(DNS, base.encode()), hosts),
    st.builds(lambda base: Subtree(URI, base.encode()), hosts),
    st.builds(lambda user, host: Subtree(EMAIL, (user + host).encode()), st.sampled_from(["", "a@"]), hosts),
    st.builds(lambda base: Subtree(ADDRESS, base), ranges | st.binary(max_size=7)),
)


@given(
    st.lists(bases, max_size=4),
    st.lists(bases, max_size=4),
    st.lists(hosts, max_size=3),
    st.lists(hosts, max_size=3),
    st.lists(networks, max_size=3),
)
def test_the_index_agrees_with_single_comparisons(
    permitted: list[Subtree], excluded: list[Subtree], dns: list[str], others: list[str], addresses: list[bytes]
) -> None:
    emails, uris = [f"a@{host}" for host in others], [f"http://u@{host}:1/x" for host in others]
    told = [str(ip_address(one)) for one in addresses]
    facts = replace(
        FACTS, dns_names=tuple(dns), email_addresses=tuple(emails), uris=tuple(uris), ip_addresses=tuple(told)
    )
    expected = []
    for kind, names in ((DNS, dns), (EMAIL, emails), (URI, uris), (ADDRESS, told)):
        for name in names:
            if any(one.kind == kind and within(kind, name, one.base) for one in excluded):
                expected.append(f"{name} is excluded")
            allowed = [one for one in permitted if one.kind == kind]
            if allowed and not any(within(kind, name, one.base) for one in allowed):
                expected.append(f"{name} is not permitted")
    checker = NameChecker(Constraints(tuple(permitted), tuple(excluded)))
    assert list(checker.violations(facts, None)) == expected


def test_many_names_and_many_subtrees_do_not_take_quadratic_time() -> None:
    count = 16_000
    names = tuple([f"h{index}.zone.example" for index in range(count)])
    subtrees = tuple([Subtree(DNS, f"n{index}.other.example".encode()) for index in range(count)])
    begun = time.process_time()
    checker = NameChecker(Constraints((), subtrees))
    assert list(checker.violations(replace(FACTS, dns_names=names), None)) == []
    # Comparing each name with each subtree takes minutes.
    assert time.process_time() - begun < 5


def test_addresses_are_not_checked_against_a_mask_that_is_not_contiguous() -> None:
    facts = replace(FACTS, ip_addresses=("198.51.100.1",))
    usual, odd = (Subtree(ADDRESS, bytes([192, 0, 2, 0, 255, 255, 255, bits])) for bits in (128, 1))
    for used, skips, expected in (
        ([usual], False, ["198.51.100.1 is not permitted"]),
        ([odd], True, []),
        ([odd, usual], True, []),
    ):
        checker = NameChecker(Constraints(tuple(used), ()))
        assert (checker.skips_addresses, list(checker.violations(facts, None))) == (skips, expected)


def test_constraints_beyond_the_budget_of_a_chain_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(x509.NameConstraints([x509.DNSName("example.com")], None), True)]
    root = authority("root")
    upper = authority("upper", root, extra=limits)
    lower = authority("lower", upper, extra=limits)
    leaf = issue("leaf", lower, names=[f"{index}.example.org" for index in range(10)])
    shown = Chain("server", (leaf.link, lower.link, upper.link))

    def found() -> list[tuple[str, str]]:
        codes = ("not_checked", "name_not_permitted")
        given = Verdicts(Settings()).chain_verdict(shown, AT)
        return [(finding.code, finding.detail) for finding in given.findings if finding.code in codes]

    assert [code for code, _ in found()] == ["name_not_permitted"] * 2
    # Only DNS names are constrained: each authority takes three lookups for each of the leaf's ten names.
    monkeypatch.setattr(chains, "MAX_NAME_CHECKS", 59)
    (first, _), (second, why) = found()
    assert (first, second) == ("name_not_permitted", "not_checked")
    assert why == "the name constraints of CN=upper: 30 lookups of names"
