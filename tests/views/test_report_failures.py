"""What a report and a summary say to do about failures: only where the handshake shows the cause."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.model.connection import FAILURES, Alert, Connection
from tlsdissect.trust.judge import Judge
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.advice import advice
from tlsdissect.views.explain.stories import digest
from tlsdissect.views.report.failures import Failure, Failures
from tlsdissect.views.report.page import Report
from tlsdissect.views.summary import Ending, Group, SummaryBuilder


def failed(name: str, outcome: str = "alert") -> Connection:
    return next(one for one in kept(ROOT / "samples" / f"{name}.pcap") if one.outcome == outcome)


def said(c: Connection) -> str:
    assert c.outcome in FAILURES
    return advice(c, explain(c))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tls13-no-common-version", "Allow a version that both sides accept"),
        ("tls12-client-cert-missing", "Give the client a certificate, or make the server ask for none"),
        ("talk/httpd-8889-unknown-ca-tls12", "Give the client a certificate by an authority that the server asks for"),
        ("talk/httpd-8890-revoked-tls12", "Replace the client's certificate"),
        ("quic/quic-no-common-protocol", "Allow a protocol of ALPN that both sides speak"),
        (
            "tls13-unknown-ca",
            (
                "Make the client trust the authority of the server's certificate, or give the server one by an "
                "authority that the client trusts"
            ),
        ),
        (
            "talk/httpd-certbot-no-chain-tls12",
            (
                "Make the server send all certificates between its own and that of a root that the client trusts, or "
                "the client trust its authority"
            ),
        ),
        # Suites, groups or signature schemes: which of them is not in the bytes.
        ("tls12-no-common-suite", ""),
        # A certificate of the length of none is a guess.
        ("keys/tls13-client-cert-missing", ""),
    ],
)
def test_advice_follows_from_what_was_seen(name: str, words: str) -> None:
    assert said(failed(name)) == words


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("2100-01-01T00:00:00Z", "Renew the server's certificate"),
        ("2026-06-01T00:00:00Z", "Set the clock of the client: the certificate was valid by that of the capture"),
        ("1990-01-01T00:00:00Z", ""),
        (None, ""),
    ],
)
def test_advice_about_an_expired_certificate_looks_at_the_time(start: str | None, words: str) -> None:
    c = failed("tls12-unknown-ca")
    alerts = tuple(replace(one, description="certificate_expired") for one in c.alerts)
    assert all(isinstance(one, Alert) for one in alerts)
    (leaf, *rest) = c.certificates or ()
    leaf = replace(leaf, not_before="2026-01-01T00:00:00Z", not_after="2027-01-01T00:00:00Z")
    assert said(replace(c, alerts=alerts, start=start, certificates=(leaf, *rest))) == words


@pytest.mark.parametrize(
    ("asked", "words"), [("other.example", "Give the server a certificate for"), ("localhost", "")]
)
def test_advice_about_a_certificate_for_another_name(asked: str, words: str) -> None:
    c = failed("tls12-unknown-ca")
    alerts = tuple(replace(one, description="bad_certificate") for one in c.alerts)
    told = said(replace(c, alerts=alerts, sni=asked))
    assert told.startswith(words)
    assert bool(told) == bool(words)


def by_reason(connections: list[Connection]) -> list[Failure]:
    failures, summary = Failures(), SummaryBuilder()
    for one in connections:
        failures.add(one)
        summary.add(one)
    return failures.by_reason(summary.summary(len(connections), {}, []))


def test_connections_that_failed_for_one_reason_in_two_ways_have_two_stories() -> None:
    """Two clients were refused with handshake_failure, one of them since it sent no certificate."""
    found = by_reason(kept(ROOT / "samples/network/network-failures.pcap"))
    one = next(failure for failure in found if failure.reason == "alert handshake_failure by server")
    assert (one.connections, one.explained, one.others) == (2, 2, 0)
    assert [story.connections for story in one.stories] == [1, 1]
    assert one.stories[0].sentences != one.stories[1].sentences
    assert one.stories[0].first < one.stories[1].first


def test_of_many_stories_the_most_frequent_are_told() -> None:
    c = failed("tls12-unknown-ca")
    (leaf,) = (c.certificates or ())[:1]
    others = [
        replace(c, certificates=None),
        replace(c, certificates=(replace(leaf, self_signed=True),)),
        replace(c, certificates=(replace(leaf, self_signed=None),)),
        replace(c, certificates=(replace(leaf, self_signed=False),)),
    ]
    stories = {digest(one, explain(one)) for one in (c, *others)}
    (one,) = by_reason([*others, *[c] * 200])
    assert (one.connections, one.explained) == (204, 100)
    assert one.stories[0].connections >= 96
    assert one.others == len(stories) - 3 > 0


def test_a_report_has_the_figure_of_failures_with_what_only_keys_show() -> None:
    assert "Why handshakes failed" in tlsdissect.report(ROOT / "samples/network/network-failures.pcap").decode()
    path = ROOT / "samples/quic/quic-quinn-unknown-ca.pcap"
    assert "Why handshakes failed" not in tlsdissect.report(path).decode()
    assert "Why handshakes failed" in tlsdissect.report(path, keylog=path.with_suffix(".keys")).decode()


def test_a_story_is_told_once_and_its_share_where_there_are_others() -> None:
    page = tlsdissect.report(ROOT / "samples/tls12-unknown-ca.pcap").decode()
    assert page.count("The client ended the handshake with unknown_ca") == 1
    assert " of 1: " not in page
    page = tlsdissect.report(ROOT / "samples/network/network-failures.pcap").decode()
    assert page.count("1 of 2: The server ended the handshake with handshake_failure") == 2
    assert page.count("1 other kind of this failure") == 2
    assert page.count("Where a sentence is marked as a guess, something else may look the same.") == 1


def test_a_small_share_is_not_called_none() -> None:
    c = failed("tls12-unknown-ca")
    summary, failures = SummaryBuilder(), Failures()
    for one in (c, *[replace(c, outcome="established", failed_by=None, alerts=())] * 299):
        failures.add(one)
        summary.add(one)
    assert failures.tiles(summary.summary(300, Counter(), []))[1].detail == "under 1 % of 300"


def test_a_server_that_never_answered_is_named_in_words_and_found_by_its_key() -> None:
    [failure] = by_reason([replace(failed("tls12-unknown-ca"), outcome="no_answer", failed_by="client", alerts=())])
    assert (failure.reason, failure.heading) == ("no_answer", "the server never answered")
    report = Report(("silent",), Judge(), Evidence(), 0)
    report.add(replace(failed("tls12-unknown-ca"), outcome="no_answer", failed_by="client", alerts=()))
    head = b"".join(report.pieces()).decode().split("<h3>")[1].split("</h3>")[0]
    assert ">the server never answered</button>" in head.replace("<wbr>", "")
    assert "no_answer" in head.partition(">")[0]


def test_the_most_severe_weaknesses_are_named_first_and_an_offer_last() -> None:
    kinds = {"TLS 1.0 offered at most": 4, "no_secure_renegotiation": 3, "TLS 1.0 negotiated": 3, "rc4_cipher": 1}
    weak = tuple(Group(what, many, (), ()) for what, many in kinds.items())
    empty = SummaryBuilder().summary(0, Counter(), [])
    for first, words in (
        (4, "1 with RC4, 3 without secure renegotiation and 2 more kinds"),
        (3, "3 without secure renegotiation, 3 with TLS 1.0 and 4 offering at most TLS 1.0"),
        (1, "offering at most TLS 1.0"),
    ):
        assert Failures().tiles(replace(empty, weak=weak[:first]))[2].detail == words


def test_what_the_captures_do_not_show_is_not_called_a_success() -> None:
    page = tlsdissect.report(ROOT / "samples/tls12-full.pcap").decode()
    assert "<p>No handshake failed.</p>" in page
    report = Report(("cut",), Judge(), Evidence(), 0)
    report.add(replace(failed("tls12-unknown-ca"), outcome="incomplete", failed_by=None, alerts=()))
    page = b"".join(report.pieces()).decode()
    assert "<p>No handshake failed; the captures do not show how 1 ended.</p>" in page


def test_a_wrong_password_inside_the_tunnel_needs_attention() -> None:
    path = ROOT / "samples/eap/eapol-peap-wrong-password-tls12.pcap"
    page = tlsdissect.report(path).decode()
    assert "by PEAP: EAP-Failure after the handshake" in page
    assert "No handshake failed" in page.split('id="failures"')[1]
    assert "EAP-Failure after" not in tlsdissect.report(ROOT / "samples/eap/eapol-peap-tls12.pcap").decode()


@pytest.mark.parametrize(
    ("days", "label"),
    [
        ((3,), "certificate expires soon"),
        ((-1, -2), "certificates expired"),
        ((-1, 3), "certificates expired or expire soon"),
    ],
)
def test_expired_certificates_are_not_said_to_expire_soon(days: tuple[int, ...], label: str) -> None:
    ending = tuple(Ending("CN=x", "2026-01-01T00:00:00Z", left, "0", "192.0.2.1", with_keys=False) for left in days)
    summary = replace(SummaryBuilder().summary(0, Counter(), []), ending=ending)
    assert Failures().tiles(summary)[3].label == label
