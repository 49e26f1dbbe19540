"""Findings that need several certificates, and the limits of the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from authority import authority, issue, rekeyed
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace
from recorded import ROOT as HERE

import tlsdissect
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.trust import inventory as module
from tlsdissect.trust.inventory import CertificateInventory, CertificateSummary
from tlsdissect.trust.judge import Judge
from tlsdissect.x509.certificates import certificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.model.connection import Connection

ROOT = authority("root")


@pytest.fixture(scope="module")
def recorded() -> Connection:
    (one,) = tlsdissect.read(HERE / "samples/tls12-full.pcap")
    return one


def told(recorded: Connection, chains: Iterable[Iterable[bytes]]) -> list[CertificateSummary]:
    evidence = Evidence()
    inventory = CertificateInventory(Judge(), evidence)
    for chain in chains:
        facts = []
        for encoding in chain:
            facts.append(certificate(encoding)[0])
            evidence.keep(facts[-1].sha256, encoding)
        inventory.add(replace(recorded, certificates=tuple(facts)))
    return list(inventory)


def codes(summary: CertificateSummary) -> set[str]:
    return {found.code for found in summary.findings}


def test_serials_that_two_certificates_of_an_issuer_share(recorded: Connection) -> None:
    first, second, third = (issue(name, ROOT, serial=serial) for name, serial in (("a", 7), ("b", 7), ("c", 8)))
    other = issue("d", authority("another root"), serial=7)
    a, b, c, d = told(recorded, [[party.der] for party in (first, second, third, other)])
    assert "duplicate_serial" in codes(a) & codes(b)
    assert "duplicate_serial" not in codes(c) | codes(d)
    (found,) = [one for one in a.findings if one.code == "duplicate_serial"]
    assert b.sha256[:16] in found.detail


def test_keys_that_share_a_prime(recorded: Connection) -> None:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)]
    p, q, r = (key.private_numbers().p for key in keys)
    shared = [made(p, q), made(p, r), made(keys[2].private_numbers().p, keys[2].private_numbers().q)]
    parties = [issue(f"leaf {number}", ROOT, key_name=None) for number in range(3)]
    encodings = [rekeyed(party.der, key) for party, key in zip(parties, shared, strict=True)]
    # The third shares its first prime with the second; a key that is sent twice shares nothing with itself.
    a, b, c = told(recorded, [[encoding] for encoding in (*encodings, encodings[0])])
    assert all("shared_prime" in codes(one) for one in (a, b, c))
    (alone,) = told(recorded, [[encodings[0]], [encodings[0]]])
    assert "shared_prime" not in codes(alone)


def made(p: int, q: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(65537, p * q).public_key()


def test_a_certificate_sent_twice_in_a_chain_counts_once(recorded: Connection) -> None:
    leaf = issue("leaf", ROOT)
    one, _ = told(recorded, [[leaf.der, leaf.der, ROOT.der]])
    assert (one.connections, one.places) == (1, (0,))


def test_certificates_are_bounded(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CERTIFICATES", 2)
    evidence = Evidence()
    inventory = CertificateInventory(Judge(), evidence)
    facts = tuple(certificate(issue(f"leaf {number}", ROOT).der)[0] for number in range(4))
    inventory.add(replace(recorded, certificates=facts))
    assert (len(list(inventory)), inventory.left_out) == (2, 2)


def test_large_certificates_are_bounded_together(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LARGE_BYTES", 200_000)
    inventory = CertificateInventory(Judge(), Evidence())
    facts, _ = certificate(issue("leaf", ROOT).der)
    large = [replace(facts, sha256=f"{n:064}", dns_names=(f"{n}." * 40_000,)) for n in range(5)]
    inventory.add(replace(recorded, certificates=(*large, facts)))
    # Large certificates take no room from the others.
    assert [one.sha256 for one in inventory] == [large[0].sha256, large[1].sha256, facts.sha256]
    assert inventory.left_out == 3


def test_the_bytes_of_all_certificates_are_bounded(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INVENTORY_BYTES", 10_000)
    inventory = CertificateInventory(Judge(), Evidence())
    facts, _ = certificate(issue("leaf", ROOT).der)
    for n in range(20):
        inventory.add(replace(recorded, certificates=(replace(facts, sha256=f"{n:064}"),)))
    assert 1 <= len(inventory) < 5
    assert inventory.left_out == 20 - len(inventory)


def test_findings_of_a_certificate_are_bounded(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOUND", 10)
    inventory = CertificateInventory(Judge(), Evidence())
    facts, _ = certificate(issue("leaf", ROOT).der)
    for n in range(30):
        inventory.add(replace(recorded, certificates=(facts,), sni=f"{n}.example"))
    inventory.add(replace(recorded, certificates=(facts, facts), sni="0.example"))
    (one,) = inventory
    assert len(one.findings) <= 12
    assert "duplicate_in_chain" in codes(one)
    assert any("left out" in problem for problem in one.problems)


def test_chains_are_bounded_in_bytes(recorded: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHAIN_BYTES", 1000)
    inventory = CertificateInventory(Judge(), Evidence())
    facts, _ = certificate(issue("leaf", ROOT).der)
    for n in range(10):
        inventory.add(replace(recorded, certificates=(facts,) * (n + 1)))
    assert len(inventory.chains) == 2
    assert inventory.chains_cut


def test_the_worse_verdict_stays(recorded: Connection) -> None:
    leaf = issue("leaf", ROOT)
    facts, _ = certificate(leaf.der)
    evidence = Evidence()
    evidence.keep(facts.sha256, leaf.der)
    inventory = CertificateInventory(Judge(), evidence)
    for name in ("www.example.com", "other.example", "www.example.com", None):
        inventory.add(replace(recorded, certificates=(facts,), sni=name))
    (one,) = inventory
    assert one.name_matches is False
    assert one.names_asked == ("www.example.com", "other.example")


def test_moduli_are_compared_once_and_large_ones_left_out(
    recorded: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=size).public_key() for size in (1024, 1024, 2048)]
    encodings = [rekeyed(issue(f"leaf {at}", ROOT).der, key) for at, key in enumerate(keys)]
    given: list[list[int]] = []
    monkeypatch.setattr(module, "shared_primes", lambda moduli, _: given.append(moduli) or [1] * len(moduli))
    monkeypatch.setattr(module, "MAX_MODULUS_BITS", 1024)
    evidence = Evidence()
    inventory = CertificateInventory(Judge(), evidence)
    for encoding in encodings:
        evidence.keep(certificate(encoding)[0].sha256, encoding)
        inventory.add(replace(recorded, certificates=(certificate(encoding)[0],)))
    assert list(inventory) == list(inventory)
    assert [[one.bit_length() for one in moduli] for moduli in given] == [[1024, 1024]]
    assert ["not_checked" in codes(one) for one in inventory] == [False, False, True]
    assert inventory.not_compared == 1
    # With room for only one, the second is left out, too.
    monkeypatch.setattr(module, "MAX_COMPARED_BITS", 1500)
    inventory.add(replace(recorded, certificates=(ROOT.link.facts,)))
    assert ["not_checked" in codes(one) for one in inventory] == [False, True, True, False]
    assert inventory.not_compared == 2
