"""The talk's servers (httpd, Tomcat), as recorded: what a passive observer can tell of each, in both versions."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from ssl import DER_cert_to_PEM_cert
from typing import TYPE_CHECKING

import pytest
from msgspec import json
from recorded import ROOT, need

from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.options import Options
from tlsdissect.pipeline import Reading
from tlsdissect.trust.anchors import Anchor, certificates, lists
from tlsdissect.trust.inventory import CertificateInventory
from tlsdissect.trust.judge import Judge
from tlsdissect.trust.revocation import Crl
from tlsdissect.trust.verdicts import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection, Finding

TALK = ROOT / "samples" / "talk"
SAMPLES = sorted(TALK.glob("*.pcap"))
REVOKED = TALK / "httpd-8890-revoked-tls12.crl"
BOTH = pytest.mark.parametrize("version", ["tls12", "tls13"])


def path(name: str) -> Path:
    return TALK / f"{name}.pcap"


SITE = "www.sample.example"
BEFORE_KEYS = "httpd-certbot-no-chain-tls12"
"""The client left before there were any keys: its key log is empty."""


@cache
def site_root() -> Anchor:
    """The authority of the site, which no server sent."""
    (one,) = certificates(str(TALK / "httpd-certbot-tls12.pem"))
    return one


@cache
def root() -> Anchor:
    """The authority of the recordings, as a server sent it."""
    evidence = Evidence()
    (one,) = Reading([path("httpd-8888-tls12")], evidence=evidence)
    assert one.certificates is not None
    top = one.certificates[-1]
    assert top.self_signed
    return Anchor(top, evidence.encoding(top.sha256) or b"")


def read(name: str, *crls: Path, batch: int = 65_536) -> Connection:
    given = tuple(Crl(encoding, one.name) for one in crls for encoding in lists(str(one)))
    judge = Judge(Settings(anchors=(root(), site_root()), lists=given))
    (told,) = list(Reading([path(name)], Options(batch=batch), judge=judge))
    return told


def found(connection: Connection) -> dict[str, Finding]:
    return {one.code: one for one in connection.findings or ()}


def alerts(connection: Connection) -> list[str | None]:
    return [one.description for one in connection.alerts if one.sender == "server"]


@BOTH
def test_every_set_up_has_its_sample(version: str) -> None:
    rows = ("8888", "8889", "8889-missing", "8889-unknown-ca", "8890", "8890-revoked", "8891", "8892", "8892-revoked")
    rows += ("certbot", "certbot-no-chain", "md", "stapled", "must-staple")
    for name in (*[f"httpd-{row}-{version}" for row in rows], f"acme-challenge-{version}"):
        assert path(name).exists()
        assert (path(name).with_suffix(".keys").stat().st_size > 0) is (name != BEFORE_KEYS)


def test_each_is_told_of_in_the_readme() -> None:
    told = (ROOT / "samples" / "README.md").read_text()
    for sample in SAMPLES:
        assert f"| `{re.sub('-tls1[23]$', '', sample.stem)}`" in told


# ---------------------------------------------------------------- Tomcat 8443: see also tests/test_samples.py


def test_tomcat_in_tls_1_2_shows_its_chain() -> None:
    (one,) = Reading([ROOT / "samples" / "tomcat-tls12.pcap"], judge=Judge())
    assert one.certificates is not None
    assert [facts.self_signed for facts in one.certificates] == [False, True]
    assert {"email_address", "root_in_chain"} <= set(found(one))


def test_tomcat_in_tls_1_3_hides_it() -> None:
    full, resumed = Reading([ROOT / "samples" / "tomcat-firefox-resumed.pcap"], judge=Judge())
    assert (full.certificates, resumed.certificates, resumed.round_trips) == (None, (), 1)


# ---------------------------------------------------------------- httpd 8888: TLS with an own authority


def test_chain_authority_key_and_validity() -> None:
    one = read("httpd-8888-tls12")
    assert one.certificates is not None
    leaf, top = one.certificates
    assert (leaf.issuer, leaf.key_type, leaf.key_bits) == (top.subject, "RSA", 2048)
    assert (leaf.not_before, leaf.not_after) == ("2025-01-01T00:00:00Z", "2045-01-01T00:00:00Z")
    assert {"long_lifetime", "root_in_chain"} <= set(found(one))
    assert not {"untrusted", "name_mismatch", "not_web_pki"} & set(found(one))
    assert one.client_certificate_requested is False


def test_tls_1_3_hides_certificates_and_says_so() -> None:
    one = read("httpd-8888-tls13")
    assert (one.outcome, one.certificates, one.client_certificate_requested) == ("established", None, None)
    assert set(found(one)) == {"sni_in_clear"}


# ---------------------------------------------------------------- httpd 8889: SSLVerifyClient require


def test_a_client_certificate_is_asked_for_and_shown() -> None:
    one = read("httpd-8889-tls12")
    assert one.certificate_request is not None
    assert one.certificate_request.authorities == ("CN=checkca,O=Sample captures",)
    assert one.client_certificates is not None
    assert one.client_certificates[0].subject == "CN=Alice,O=Sample captures"
    assert one.outcome == "established"
    assert "client_certificate_in_clear" in found(one)
    assert "untrusted" not in found(one)


@BOTH
@pytest.mark.parametrize(("kind", "alert"), [("missing", "handshake_failure"), ("unknown-ca", "unknown_ca")])
def test_a_client_certificate_that_is_missing_or_of_a_stranger(version: str, kind: str, alert: str) -> None:
    one = read(f"httpd-8889-{kind}-{version}")
    assert (one.outcome, one.failed_by, one.complete) == ("alert", "server", False)
    if version == "tls12":
        assert alerts(one) == [alert]
        assert one.client_certificates is not None
        assert len(one.client_certificates) == (kind == "unknown-ca")
        assert ("untrusted" in found(one)) is (kind == "unknown-ca")
    else:
        # Only the shape of the records tells, and it is said that it does.
        assert (alerts(one), one.client_certificates) == ([], None)
        assert "inferred" in {problem.code for problem in one.problems}


# ---------------------------------------------------------------- httpd 8890: a CRL


@BOTH
def test_a_client_that_is_not_revoked(version: str) -> None:
    one = read(f"httpd-8890-{version}", REVOKED)
    assert one.outcome == "established"
    assert not {"revoked", "bad_crl"} & set(found(one))


def test_certs_tells_the_state_of_both_clients() -> None:
    evidence = Evidence()
    given = tuple(Crl(encoding, "list") for encoding in lists(str(REVOKED)))
    gathered = CertificateInventory(Judge(Settings(anchors=(root(),), lists=given)), evidence)
    for one in Reading([path("httpd-8890-tls12"), path("httpd-8890-revoked-tls12")], evidence=evidence):
        gathered.add(one)
    states = {one.subject: one.revocation for one in gathered if "client" in one.roles and 0 in one.places}
    assert states == {"CN=Alice,O=Sample captures": "good", "CN=Mallory,O=Sample captures": "revoked"}


def test_a_revoked_client_and_the_same_list() -> None:
    one = read("httpd-8890-revoked-tls12", REVOKED)
    assert alerts(one) == ["certificate_revoked"]
    assert one.client_certificates is not None
    revoked = found(one)["revoked"]
    assert (revoked.certificate, revoked.severity) == (one.client_certificates[0].sha256, "high")
    assert one.client_certificates[0].subject == "CN=Mallory,O=Sample captures"
    assert re.search(r"keyCompromise$", revoked.detail)
    assert "bad_crl" not in found(one)
    assert "revoked" not in found(read("httpd-8890-revoked-tls12"))
    assert "revoked" not in found(read("httpd-8889-tls12", REVOKED))


def test_openssl_says_that_it_stands_there(tmp_path: Path) -> None:
    """The same files, given to `openssl verify`."""
    evidence = Evidence()
    (one,) = Reading([path("httpd-8890-revoked-tls12")], evidence=evidence)
    assert one.client_certificates is not None
    for name, facts in (("mallory", one.client_certificates[0]), ("root", root().facts)):
        (tmp_path / f"{name}.pem").write_text(DER_cert_to_PEM_cert(evidence.encoding(facts.sha256) or b""))
    command = [need("openssl"), "verify", "-crl_check", "-CRLfile", REVOKED, "-CAfile", "root.pem", "mallory.pem"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert "certificate revoked" in done.stdout + done.stderr


def test_tls_1_3_tells_that_it_was_refused_and_not_why() -> None:
    one = read("httpd-8890-revoked-tls13", REVOKED)
    assert (one.outcome, one.failed_by) == ("alert", "server")
    assert "revoked" not in found(one)


# ---------------------------------------------------------------- httpd 8891, 8892: OCSP


@BOTH
@pytest.mark.parametrize("port", ["8891", "8892"])
def test_the_query_the_answer_and_the_wait(port: str, version: str) -> None:
    one = read(f"httpd-{port}-{version}")
    lookup = found(one)["ocsp_lookup"]
    told = re.search(
        r"^the server asked http://localhost:2560/ about serial (\w+)(.*): good after ([\d.]+) ms, "
        r"(\d+)% of the ([\d.]+) ms until the server's response$",
        lookup.detail,
    )
    assert told, lookup.detail
    serial, guess, waited, share, whole = told.groups()
    assert float(waited) <= float(whole)
    assert int(share) == pytest.approx(100 * float(waited) / float(whole), abs=3)
    if version == "tls12":
        assert one.client_certificates is not None
        assert (lookup.certificate, guess) == (one.client_certificates[0].sha256, "")
        assert serial == one.client_certificates[0].serial
    else:
        assert lookup.certificate is None
        assert "encrypted" in guess


def test_the_wait_is_that_of_tshark() -> None:
    shown = subprocess.run(
        [need("tshark"), "-n", "-r", path("httpd-8892-tls12"), "-Y", "ocsp", "-T", "fields",
         "-e", "frame.number", "-e", "frame.time_epoch"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (asked, begin), (_, end) = [line.split("\t") for line in shown.stdout.splitlines()]
    lookup = found(read("httpd-8892-tls12"))["ocsp_lookup"]
    assert lookup.frame == int(asked)
    assert f"after {1000 * (float(end) - float(begin)):.1f} ms" in lookup.detail


def test_whether_the_address_in_the_certificate_is_the_one_asked() -> None:
    overridden, named = read("httpd-8891-tls12"), read("httpd-8892-tls12")
    assert "http://ocsp.example/" in found(overridden)["ocsp_elsewhere"].detail
    assert "ocsp_elsewhere" not in found(named)


@BOTH
def test_a_responder_that_says_revoked(version: str) -> None:
    one = read(f"httpd-8892-revoked-{version}")
    assert (one.outcome, one.failed_by) == ("alert", "server")
    assert alerts(one) == (["certificate_revoked"] if version == "tls12" else [])
    assert "by OCSP" in found(one)["revoked"].detail
    assert ": revoked after" in found(one)["ocsp_lookup"].detail


def test_certs_tells_what_responders_said() -> None:
    evidence = Evidence()
    gathered = CertificateInventory(Judge(Settings(anchors=(root(),))), evidence)
    for sample in SAMPLES:
        for one in Reading([sample], evidence=evidence):
            gathered.add(one)
    own = [one for one in gathered if "CN=checkca" in (one.issuer or "")]
    states = {one.subject.split(",")[0]: one.ocsp for one in own if one.subject}
    assert states == {
        "CN=localhost": states["CN=localhost"],
        "CN=checkca": None,
        "CN=Alice": "good",
        "CN=Bob": "good",
        "CN=Mallory": "revoked",
    }


# ---------------------------------------------------------------- httpd 443, certbot: 90 days, fullchain


def test_lifetime_days_left_and_the_order_of_the_chain() -> None:
    evidence = Evidence()
    gathered = CertificateInventory(Judge(Settings(anchors=(site_root(),))), evidence)
    for one in Reading([path("httpd-certbot-tls12")], evidence=evidence):
        gathered.add(one)
    leaf, between = gathered
    # It was issued an hour before its recording, as Let's Encrypt does it.
    assert (leaf.lifetime_days, leaf.days_left, leaf.places, between.places) == (90, 89, (0,), (1,))
    assert leaf.issuer == between.subject
    assert (leaf.name_matches, leaf.path and leaf.path.trusted, leaf.web_pki and leaf.web_pki.trusted) == (True,) * 3
    assert leaf.findings == between.findings == ()


def test_the_chain_was_left_out() -> None:
    one = read("httpd-certbot-no-chain-tls12")
    assert (one.outcome, one.failed_by) == ("alert", "client")
    assert [alert.description for alert in one.alerts] == ["unknown_ca"]
    assert {"incomplete_chain", "untrusted"} <= set(found(one))
    assert "(OpenSSL's 20)" in found(one)["untrusted"].detail


@pytest.mark.parametrize(("name", "outcome"), [("httpd-certbot", "established"), ("httpd-certbot-no-chain", "alert")])
def test_of_the_site_tls_1_3_tells_the_name_and_the_end(name: str, outcome: str) -> None:
    one = read(f"{name}-tls13")
    assert (one.sni, one.outcome, one.certificates) == (SITE, outcome, None)
    assert set(found(one)) == {"sni_in_clear"}
    assert [alert.description for alert in one.alerts] == ([] if outcome == "established" else ["unknown_ca"])


# ---------------------------------------------------------------- httpd 443, mod_md: ACME, must-staple, stapling


def test_mod_md_staples_what_its_certificate_demands() -> None:
    one = read("httpd-md-tls12")
    assert one.certificates is not None
    assert (one.certificates[0].must_staple, len(one.certificates)) == (True, 2)
    assert one.ocsp_staple is not None
    assert one.ocsp_staple.cert_status == "good"
    assert found(one) == {}


def test_of_mod_md_tls_1_3_tells_that_a_staple_was_asked_for() -> None:
    one = read("httpd-md-tls13")
    assert one.client_hello is not None
    assert "status_request" in {extension.type for extension in one.client_hello.extensions}
    assert (one.ocsp_staple, one.certificates, set(found(one))) == (None, None, {"sni_in_clear"})


def test_an_acme_challenge() -> None:
    one = read("acme-challenge-tls12")
    assert one.certificates is not None
    assert one.certificates[0].dns_names == (SITE,)
    assert one.certificates[0].acme_identifier is not None
    assert len(one.certificates[0].acme_identifier) == 64
    assert (one.alpn, len(one.certificates or ())) == ("acme-tls/1", 1)
    challenge = found(one)["acme_challenge"]
    assert challenge.certificate == (one.certificates or ())[0].sha256
    assert "self_signed" not in found(one)


def test_an_acme_challenge_in_tls_1_3_shows_what_was_offered() -> None:
    one = read("acme-challenge-tls13")
    assert one.client_hello is not None
    assert (one.client_hello.alpn, one.alpn, one.certificates) == (("acme-tls/1",), None, None)


# ---------------------------------------------------------------- stapling


def test_a_staple() -> None:
    one = read("httpd-stapled-tls12")
    assert one.client_hello is not None
    assert "status_request" in {extension.type for extension in one.client_hello.extensions}
    assert "certificate_status" in {message.type for message in one.messages}
    assert one.ocsp_staple is not None
    assert (one.ocsp_staple.cert_status, one.ocsp_staple.serial) == ("good", (one.certificates or ())[0].serial)
    assert not {"bad_staple", "stale_staple", "must_staple_unmet"} & set(found(one))
    # httpd fetches it when it is asked for the first time: that client waits.
    assert "the server asked http://localhost:2560/ about serial" in found(one)["ocsp_lookup"].detail


def test_openssl_takes_the_staple_for_good_too(tmp_path: Path) -> None:
    evidence = Evidence()
    (one,) = Reading([path("httpd-stapled-tls12")], evidence=evidence)
    assert one.ocsp_staple is not None
    assert one.ocsp_staple.sha256 is not None
    assert one.certificates is not None
    (tmp_path / "staple").write_bytes(evidence.encoding(one.ocsp_staple.sha256) or b"")
    leaf = evidence.encoding(one.certificates[0].sha256)
    for name, encoding in (("root", root().encoding), ("leaf", leaf or b"")):
        (tmp_path / f"{name}.pem").write_text(DER_cert_to_PEM_cert(encoding))
    given = ["-respin", "staple", "-CAfile", "root.pem", "-issuer", "root.pem", "-cert", "leaf.pem"]
    done = subprocess.run(
        [need("openssl"), "ocsp", *given, "-no_nonce", "-validity_period", str(10**9)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Response verify OK" in done.stderr + done.stdout
    assert "leaf.pem: good" in done.stdout


def test_a_promised_staple_that_does_not_come() -> None:
    assert "must_staple_unmet" in found(read("httpd-must-staple-tls12"))
    assert "must_staple_unmet" not in found(read("httpd-must-staple-tls13"))


def test_a_crl_that_is_fetched() -> None:
    download = found(read("httpd-crl-download"))["crl_download"]
    assert download.detail.startswith("::1 fetched http://localhost/sample.crl in ")


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.stem)
@pytest.mark.parametrize("batch", [1, 7])
def test_the_size_of_a_batch_changes_nothing(sample: Path, batch: int) -> None:
    assert json.encode(read(sample.stem, batch=batch)) == json.encode(read(sample.stem))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.stem)
def test_looking_for_findings_changes_no_fact(sample: Path) -> None:
    (plain,) = Reading([sample])
    judged = read(sample.stem)
    assert {name: getattr(plain, name) for name in plain.__struct_fields__ if name != "findings"} == {
        name: getattr(judged, name) for name in judged.__struct_fields__ if name != "findings"
    }
