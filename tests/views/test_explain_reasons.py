"""What explains a refusal beyond its alert: findings that fit it, and certificate requests that were not met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from recorded import ROOT, kept

import tlsdissect
from tlsdissect.model.connection import Alert, Finding

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection, Side


def refused(c: Connection, sender: Side, description: str) -> Connection:
    """The connection as if a side had refused it."""
    frame = c.messages[-1].frame
    alerts = (Alert(sender, "fatal", description, frame),)
    return replace(c, outcome="alert", failed_by=sender, alerts=alerts)


def codes(c: Connection) -> dict[str, str]:
    return {one.code: one.text for one in tlsdissect.explain(c).about("end")}


@pytest.mark.parametrize(
    ("alert", "fits"), [("certificate_expired", True), ("bad_certificate", True), ("unknown_ca", False)]
)
def test_an_expired_certificate_explains_an_alert_that_may_mean_it(alert: str, fits: bool) -> None:
    [one] = tlsdissect.read(ROOT / "samples/tls12-full.pcap", keep=True, findings=True, at="2050-01-01T00:00:00Z")
    assert any(found.code == "expired" for found in one.findings or ())
    said = codes(refused(one, "client", alert))
    assert ("found_expired" in said) == fits
    if fits:
        assert said["found_expired"].startswith(
            "That fits what was found about the server's certificates: the certificate is no longer valid (valid until "
        )
    assert "found_expired" not in codes(refused(replace(one, findings=None), "client", alert))
    assert "found_expired" not in codes(refused(one, "server", alert))


def test_a_missing_staple_explains_an_alert_about_it() -> None:
    [one] = kept(ROOT / "samples/tls12-full.pcap")
    leaf = one.leaf("server")
    assert leaf is not None
    found = Finding("must_staple_unmet", "medium", "the client asked for it", 6, leaf.sha256, "RFC 7633 section 4")
    explained = tlsdissect.explain(
        refused(replace(one, findings=(found,)), "client", "bad_certificate_status_response")
    )
    [sentence] = [said for said in explained.sentences if said.code == "found_must_staple_unmet"]
    assert sentence.guess
    assert "requires a staple, and none was sent" in sentence.text


def test_what_the_server_had_asked_for_when_the_client_sent_nothing() -> None:
    [one] = kept(ROOT / "samples/tls12-client-cert-missing.pcap")
    assert codes(one)["certificate_requested"] == (
        "It had asked for a certificate of the types rsa_sign, dss_sign and ecdsa_sign, issued by "
        "emailAddress=ca@localhost,CN=smplca,OU=Loopback test authority,O=Sample captures,C=XX."
    )
    assert one.certificate_request is not None
    anyone = replace(one, certificate_request=replace(one.certificate_request, authorities=()))
    assert codes(anyone)["certificate_requested"].endswith("ecdsa_sign, of any authority.")


def test_a_client_certificate_of_another_authority() -> None:
    [one] = kept(ROOT / "samples/tls12-client-cert.pcap")
    assert one.certificate_request is not None
    assert "request_not_met" not in codes(refused(one, "server", "bad_certificate"))
    other = replace(one, certificate_request=replace(one.certificate_request, authorities=("CN=Other",)))
    text = codes(refused(other, "server", "unknown_ca"))["request_not_met"]
    assert text.endswith("not by one of the authorities that the server had asked for, CN=Other.")
    assert "request_not_met" not in codes(other)


@pytest.mark.parametrize(
    ("unread", "text", "shown"),
    [
        ({"subject": None, "issuer": None, "not_before": None, "not_after": None},
         "The certificate has a subject and a validity that could not be read; ",
         ": one whose subject and issuer could not be read."),
        ({"subject": None}, "The certificate has a subject that could not be read, valid from ",
         ": a subject that could not be read, issued by "),
        ({"subject": "", "not_before": None},
         "The certificate has no subject, valid from a time that could not be read to 20", ": no subject, issued by "),
        ({"subject": "CN=a", "issuer": None, "not_before": None, "not_after": None},
         "The certificate is that of CN=a; its validity could not be read; ",
         ": CN=a, issued by an issuer that could not be read."),
    ],
)  # fmt: skip
def test_what_could_not_be_read_of_a_certificate_is_told_as_that(
    unread: dict[str, str | None], text: str, shown: str
) -> None:
    [one] = kept(ROOT / "samples/tls12-full.pcap")
    chain = tuple(replace(certificate, self_signed=None, **unread) for certificate in one.chain("server") or ())
    connection = refused(replace(one, certificates=chain), "client", "bad_certificate")
    assert codes(connection)["certificate_refused"].startswith(text)
    said = {one.code: one.text for one in tlsdissect.explain(connection).sentences}
    assert shown in said["server_certificate_visible"]


def test_an_issuer_that_could_not_be_read_may_be_one_that_was_asked_for() -> None:
    [one] = kept(ROOT / "samples/tls12-client-cert.pcap")
    assert one.certificate_request is not None
    asked = replace(one, certificate_request=replace(one.certificate_request, authorities=("CN=other",)))
    chain = tuple(replace(certificate, issuer=None) for certificate in one.chain("client") or ())
    assert "request_not_met" in codes(refused(asked, "server", "bad_certificate"))
    unread = replace(asked, client_certificates=chain)
    assert "request_not_met" not in codes(refused(unread, "server", "bad_certificate"))
