"""Lookups are found by what they are about, and those that are reported of one connection are bounded."""

from __future__ import annotations

from hashlib import sha1
from typing import TYPE_CHECKING

import pytest
from authority import authority, issue
from counting import calls
from cryptography import x509
from msgspec.structs import replace
from recorded import ROOT as HERE

import tlsdissect
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.facts.timing import CertificateTimes
from tlsdissect.handshake.revocation_lookups import CapturedLookup, CertId, LookupExchange, RevocationLookup
from tlsdissect.model.connection import Endpoint
from tlsdissect.trust.judge import Judge
from tlsdissect.trust.lookups import MAX_MATCHED, download_findings, lookup_findings
from tlsdissect.trust.presented_chains import PresentedChains

if TYPE_CHECKING:
    from tlsdissect.trust.chain import Chain

URL = "http://crl.example.com/root.crl"
POINTS = x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(URL)], None, None, None)])
ROOT = authority("root")
LEAF = issue("leaf", ROOT, serial=0xABCD, extra=[(POINTS, False)])
NAME_HASH = sha1(ROOT.loaded.subject.public_bytes(), usedforsecurity=False).hexdigest()
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


@pytest.fixture(scope="module")
def presented() -> PresentedChains:
    """A handshake of a second, with a leaf about which the client may ask."""
    evidence = Evidence()
    (one,) = tlsdissect.read(HERE / "samples/tls12-full.pcap")
    of = PresentedChains.of(one, evidence)
    chain: Chain = replace(of.chains[0], links=(LEAF.link, ROOT.link))
    times = CertificateTimes(hello=START, shown=START, flight=START + SECOND, reply=START + SECOND)
    span = {"start": "2023-11-14T22:13:20.000000Z", "end": "2023-11-14T22:13:21.000000Z"}
    return replace(of, chains=(chain,), hidden=(), times=times, **span)


def note(evidence: Evidence, source: str, number: int, about: CertId | None) -> None:
    """Note an OCSP lookup, or a CRL download."""
    exchange = LookupExchange(
        kind="crl" if about is None else "ocsp",
        host="crl.example.com",
        target="/root.crl",
        about=() if about is None else (about,),
        asked=START + number,
        asked_frame=number,
        answered=START + number + 1,
        answered_frame=number,
        answer=None,
        sha256=f"{number:064}",
    )
    evidence.add_lookup(
        CapturedLookup(
            RevocationLookup(source, number, Endpoint("192.0.2.9", 999), Endpoint("192.0.2.8", 80), exchange), b""
        )
    )


def test_lookups_about_others_cost_a_connection_nothing(presented: PresentedChains) -> None:
    judge = Judge()

    def cost(others: int) -> int:
        evidence = Evidence()
        for number in range(others):
            note(evidence, presented.source, number, CertId("00" * 20, "", "abcd"))
            note(evidence, presented.source, number, CertId(NAME_HASH, "", "abce"))
        note(evidence, presented.source, others, CertId(NAME_HASH, "", "abcd"))
        assert [one.about for one in judge.lookups(presented, evidence)] == [LEAF.link]
        return calls(lambda: judge.lookups(presented, evidence))

    cost(10)
    assert cost(1000) == cost(10)


def test_a_lookup_matches_by_the_name_of_the_issuer_if_its_hash_is_sha1(presented: PresentedChains) -> None:
    evidence, judge = Evidence(), Judge()
    for number, name_hash in enumerate(("00" * 20, NAME_HASH, "00" * 32)):
        note(evidence, presented.source, number, CertId(name_hash, "", "abcd"))
    assert [one.lookup.exchange.asked_frame for one in judge.lookups(presented, evidence)] == [1, 2]
    unread = replace(LEAF.link, encoding=None)
    unkept = replace(presented, chains=(replace(presented.chains[0], links=(unread,)),))
    assert [one.lookup.exchange.asked_frame for one in judge.lookups(unkept, evidence)] == [0, 1, 2]


def test_a_peer_of_eap_has_a_hardware_address(presented: PresentedChains) -> None:
    evidence = Evidence()
    note(evidence, presented.source, 0, CertId(NAME_HASH, "", "abcd"))
    hidden = replace(presented, chains=(), hidden=("server", "client"), client=Endpoint("02:00:00:00:00:02", 0))
    assert [one.about for one in Judge().lookups(hidden, evidence)] == []


@pytest.mark.parametrize("kind", ["ocsp", "crl"])
def test_the_lookups_of_one_connection_are_bounded(presented: PresentedChains, kind: str) -> None:
    evidence, judge = Evidence(), Judge()

    def found() -> list[str]:
        if kind == "ocsp":
            return [one.code for one in lookup_findings(presented, judge.lookups(presented, evidence))]
        return [one.code for one in download_findings(presented, evidence)]

    code = "ocsp_lookup" if kind == "ocsp" else "crl_download"
    for number in range(MAX_MATCHED):
        note(evidence, presented.source, number, CertId(NAME_HASH, "", "abcd") if kind == "ocsp" else None)
    assert found() == [code] * MAX_MATCHED
    for number in range(MAX_MATCHED, 2 * MAX_MATCHED):
        note(evidence, presented.source, number, CertId(NAME_HASH, "", "abcd") if kind == "ocsp" else None)
    assert found() == [code] * MAX_MATCHED + ["not_checked"]
