"""Findings on whole connections."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from authority import AT, DAY, NOW, Party, authority, issue
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from msgspec.structs import replace
from recorded import ROOT as HERE
from recorded import SHARED, need

import tlsdissect
from tlsdissect.handshake.facts.evidence import ENTRY_BYTES, Evidence
from tlsdissect.model.connection import Heartbeat, Problem
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge
from tlsdissect.trust.ocsp import answer
from tlsdissect.trust.verdicts import Settings
from tlsdissect.x509.staples import staple

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection

ROOT = authority("root")
LEAF = issue("leaf", ROOT)
MUST = issue("leaf", ROOT, extra=[(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)])
CHALLENGE = issue(
    "leaf", extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), b"\x04\x02ab"), True)]
)
RESPONDER = issue("responder", ROOT, purposes=[x509.ExtendedKeyUsageOID.OCSP_SIGNING])
STRANGER = issue("responder", authority("another"), purposes=[x509.ExtendedKeyUsageOID.OCSP_SIGNING])
QUIET = {"email_address", "private_name"}


@pytest.fixture(scope="module")
def recorded() -> Connection:
    (one,) = tlsdissect.read(HERE / "samples/tls12-full.pcap")
    return replace(one, sni="www.example.com", start=f"{AT}.123456Z")


def shown(
    recorded: Connection, *parties: Party, response: bytes | None = None, **changes: Any
) -> tuple[Connection, Evidence]:
    """A connection in which a server showed these certificates, and perhaps a staple."""
    evidence = Evidence()
    for party in parties:
        evidence.keep(party.sha256, party.der)
    stapled = None
    if response is not None:
        stapled = staple(response)[0]
        evidence.keep(stapled.sha256 or "", response)
    facts = tuple(party.link.facts for party in parties)
    return replace(recorded, certificates=facts, ocsp_staple=stapled, **changes), evidence


def codes(given: tuple[Connection, Evidence], **options: Any) -> set[str]:
    judge = Judge(Settings(anchors=(ROOT.anchor,)), **options)
    return {one.code for one in judge.findings(*given)} - QUIET


def test_nothing_is_found_in_what_is_right(recorded: Connection) -> None:
    assert codes(shown(recorded, LEAF)) == set()


def test_findings_name_frame_and_certificate(recorded: Connection) -> None:
    given = shown(recorded, LEAF, sni="www.example.org")
    (one,) = [one for one in Judge().findings(*given) if one.code == "name_mismatch"]
    assert (one.frame, one.certificate, one.severity) == (6, LEAF.sha256, "high")
    assert "www.example.org" in one.detail
    assert "www.example.com" in one.detail


def test_the_least_severity_is_kept_to(recorded: Connection) -> None:
    given = shown(recorded, issue("leaf"), sni="www.example.org")
    assert codes(given) >= {"name_mismatch", "self_signed", "untrusted", "not_web_pki"}
    assert codes(given, min_severity="medium") == {"name_mismatch", "self_signed", "untrusted"}
    assert codes(given, min_severity="high") == {"name_mismatch", "untrusted"}


def test_another_time(recorded: Connection) -> None:
    given = shown(recorded, LEAF)
    later = Judge(Settings(anchors=(ROOT.anchor,), at="2027-01-01T00:00:00Z"))
    assert {"expired", "untrusted", "not_web_pki"} <= {one.code for one in later.findings(*given)}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"version": "SSL 3.0"}, "ssl_version"),
        ({"version": "TLS 1.0"}, "old_tls_version"),
        ({"version": "TLS 1.1"}, "old_tls_version"),
        ({"cipher_suite": "TLS_RSA_WITH_NULL_SHA"}, "null_cipher static_rsa"),
        ({"cipher_suite": "TLS_DH_anon_WITH_AES_128_GCM_SHA256"}, "anonymous_cipher"),
        ({"cipher_suite": "TLS_RSA_EXPORT_WITH_RC4_40_MD5"}, "export_cipher rc4_cipher static_rsa"),
        ({"cipher_suite": "TLS_ECDHE_RSA_WITH_RC4_128_SHA"}, "rc4_cipher"),
        ({"cipher_suite": "TLS_DHE_RSA_WITH_DES_CBC_SHA"}, "des_cipher"),
        ({"cipher_suite": "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"}, "triple_des_cipher"),
        ({"cipher_suite": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}, "cbc_cipher"),
        ({"cipher_suite": "TLS_RSA_WITH_AES_128_GCM_SHA256"}, "static_rsa"),
        ({"cipher_suite": "TLS_SHA256_SHA256"}, "null_cipher"),
        ({"cipher_suite": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}, ""),
        ({"dh_bits": 1024}, "small_dh"),
        ({"dh_bits": 2048}, ""),
        ({"extended_master_secret": False}, "no_extended_master_secret"),
        ({"secure_renegotiation": False}, "no_secure_renegotiation"),
        ({"early_data": "accepted"}, "early_data"),
        ({"early_data": "offered"}, ""),
        ({"ech": "none", "version": "TLS 1.3"}, "sni_in_clear"),
        ({"ech": "grease_or_offered", "version": "TLS 1.3"}, ""),
        ({"sni": None}, ""),
    ],
)
def test_what_was_agreed_on(recorded: Connection, changes: dict[str, Any], found: str) -> None:
    assert codes(shown(recorded, LEAF, **changes)) == set(found.split())


def test_compression(recorded: Connection) -> None:
    assert recorded.server_hello is not None
    hello = replace(recorded.server_hello, compression_method="DEFLATE")
    assert codes(shown(recorded, LEAF, server_hello=hello)) == {"compression"}


def test_a_client_that_shows_itself(recorded: Connection) -> None:
    alice = issue("Alice", ROOT, purposes=[x509.ExtendedKeyUsageOID.CLIENT_AUTH], names=())
    given = shown(recorded, LEAF, client_certificates=(alice.link.facts,))
    given[1].keep(alice.sha256, alice.der)
    assert codes(given) == {"client_certificate_in_clear"}


@pytest.mark.parametrize(("alpn", "found"), [("acme-tls/1", "acme_challenge"), ("h2", "acme_outside_challenge")])
def test_acme_challenges(recorded: Connection, alpn: str, found: str) -> None:
    given = codes(shown(recorded, CHALLENGE, alpn=alpn))
    assert found in given
    assert "self_signed" not in given


def beat(sender: Any, size: int, payload: int | None = None) -> Heartbeat:
    kind = "heartbeat_response" if sender == "server" else "heartbeat_request"
    return Heartbeat(sender, None if payload is None else kind, size, payload, 7)


@pytest.mark.parametrize(
    ("beats", "found"),
    [
        ((beat("client", 35), beat("server", 35)), False),
        ((beat("client", 35), beat("server", 16_416)), True),
        ((beat("client", 35), beat("server", 35), beat("server", 16_416)), True),
        ((beat("server", 16_416), beat("client", 35)), False),
        ((beat("client", 35),), False),
        ((beat("client", 34, 15), beat("server", 34, 15)), False),
        ((beat("client", 3, 16_000), beat("server", 16_019, 16_000)), True),
        ((beat("client", 19, 16), beat("server", 35, 16)), True),
        ((beat("client", 3, 16_000),), False),
    ],
)
def test_heartbleed(recorded: Connection, beats: tuple[Heartbeat, ...], found: bool) -> None:
    given = shown(recorded, LEAF, heartbeats=beats)
    assert codes(given) == ({"heartbleed"} if found else set())
    gap = replace(given[0], problems=(Problem("gap", "9 bytes are not in the capture", 3, 0, "client"),))
    assert codes((gap, given[1])) == set()


@pytest.mark.skipif(not (SHARED / "captures").exists(), reason="no captures of other projects beside this one")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("heartbleed", False),
        ("heartbleed-success", True),
        ("heartbleed-encrypted", False),
        ("heartbleed-encrypted-success", True),
    ],
)
def test_heartbleed_as_recorded_by_others(name: str, found: bool) -> None:
    (one,) = Reading([SHARED / "captures" / "zeek" / f"tls__{name}.pcap"], judge=Judge())
    assert one.heartbeats
    assert any(finding.code == "heartbleed" for finding in one.findings or ()) is found


# ---------------------------------------------------------------- staples


def response(
    about: Party = LEAF,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    begin: Any = NOW - DAY,
    end: Any = NOW + DAY,
    signer: Party = ROOT,
    issuer: Party = ROOT,
    by_key: bool = True,
) -> bytes:
    since = NOW - 2 * DAY if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        about.loaded, issuer.loaded, hashes.SHA1(), status, begin, end, since, None  # noqa: S303 (CertIDs are so)
    )  # fmt: skip
    how = ocsp.OCSPResponderEncoding.HASH if by_key else ocsp.OCSPResponderEncoding.NAME
    builder = builder.responder_id(how, signer.loaded)
    if signer is not ROOT:
        builder = builder.certificates([signer.loaded])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def tampered(encoding: bytes) -> bytes:
    """The same, but for a bit of the signature."""
    return encoding[:-1] + bytes([encoding[-1] ^ 1])


ANSWERS = {
    "good": response(),
    "by name": response(by_key=False),
    "by a responder": response(signer=RESPONDER),
    "by a responder's name": response(signer=RESPONDER, by_key=False),
    "by a stranger": response(signer=STRANGER),
    "by a leaf": response(signer=LEAF),
    "tampered with": tampered(response()),
    "of another serial": response(issue("leaf", ROOT, serial=77)),
    "of another issuer": response(issuer=authority("another"), signer=RESPONDER),
    "try later": b"\x30\x03\x0a\x01\x03",
    "nonsense": b"nonsense",
    "of another time": response(begin=NOW - 9 * DAY, end=NOW - DAY),
    "without an end": response(end=None),
    "revoked": response(status=ocsp.OCSPCertStatus.REVOKED),
    "revoked, by a stranger": response(status=ocsp.OCSPCertStatus.REVOKED, signer=STRANGER),
    "unknown": response(status=ocsp.OCSPCertStatus.UNKNOWN),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_openssl_agrees_on_responses(name: str, tmp_path: Path) -> None:
    given = answer(ANSWERS[name], LEAF.link, ROOT.link, AT)
    (tmp_path / "response").write_bytes(ANSWERS[name])
    for party, file in ((LEAF, "leaf"), (ROOT, "root")):
        (tmp_path / f"{file}.pem").write_bytes(party.pem)
    files = ["-respin", "response", "-CAfile", "root.pem", "-issuer", "root.pem", "-cert", "leaf.pem", "-no_nonce"]
    # How old a response may be, openssl holds against the clock alone.
    times = ["-attime", str(int(NOW.timestamp())), "-validity_period", str(10**9)]
    done = subprocess.run(
        [need("openssl"), "ocsp", *files, *times],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    status = re.search(r"^leaf\.pem: (good|revoked|unknown)$", said, re.MULTILINE)
    assert (not given.problems) is ("Response verify OK" in said and status is not None), said
    if status is not None:
        assert given.status == status[1]
    if given.since is not None:
        assert f"Revocation Time: {NOW - 2 * DAY:%b %e %H:%M:%S %Y} GMT" in said


def test_a_stranger_revokes_nothing(recorded: Connection) -> None:
    given = shown(recorded, LEAF, ROOT, response=ANSWERS["revoked, by a stranger"])
    assert codes(given) - {"root_in_chain"} == {"bad_staple"}


@pytest.mark.parametrize(
    ("stapled", "found"),
    [
        (response(), ""),
        (response(by_key=False), ""),
        (response(signer=RESPONDER), ""),
        (response(signer=RESPONDER, by_key=False), ""),
        (response(signer=STRANGER), "bad_staple"),
        (response(signer=LEAF), "bad_staple"),
        (tampered(response()), "bad_staple"),
        (response(issue("leaf", ROOT, serial=77)), "bad_staple"),
        (response(issuer=authority("another"), signer=RESPONDER), "bad_staple"),
        (b"\x30\x03\x0a\x01\x03", "bad_staple"),
        (b"nonsense", "bad_staple"),
        (response(begin=NOW - 9 * DAY, end=NOW - DAY), "stale_staple"),
        (response(begin=NOW + DAY, end=NOW + 2 * DAY), "stale_staple"),
        (response(end=None), ""),
        (response(status=ocsp.OCSPCertStatus.REVOKED), "revoked"),
        (response(status=ocsp.OCSPCertStatus.UNKNOWN), ""),
    ],
)
def test_staples(recorded: Connection, stapled: bytes, found: str) -> None:
    assert codes(shown(recorded, LEAF, ROOT, response=stapled)) - {"root_in_chain"} == set(found.split())


def test_a_staple_of_which_the_issuer_is_not_known_proves_nothing(recorded: Connection) -> None:
    given = shown(recorded, LEAF, response=response())
    assert "bad_staple" in {one.code for one in Judge().findings(*given)}
    assert codes(given) == set()


def test_a_promised_staple(recorded: Connection) -> None:
    assert recorded.client_hello is not None
    one = recorded.client_hello.extensions[0]
    asks = replace(recorded.client_hello, extensions=(replace(one, type="status_request"),))
    asks_not = replace(recorded.client_hello, extensions=())
    assert codes(shown(recorded, MUST, client_hello=asks)) == {"must_staple_unmet"}
    assert codes(shown(recorded, LEAF, client_hello=asks)) == set()
    assert codes(shown(recorded, MUST, client_hello=asks_not)) == set()
    assert codes(shown(recorded, MUST, client_hello=asks, response=response(MUST))) == set()
    # Where the capture ends with the Certificate, the staple may have followed.
    cut = tuple(message for message in recorded.messages if message.type in ("client_hello", "certificate"))
    assert codes(shown(recorded, MUST, client_hello=asks, messages=cut)) == set()


def test_what_was_not_kept_is_not_judged(recorded: Connection) -> None:
    given, _ = shown(recorded, LEAF, response=response())
    found = Judge(Settings(anchors=(ROOT.anchor,))).findings(given, Evidence())
    assert {one.code for one in found} - QUIET == set()


def test_evidence_is_bounded() -> None:
    evidence = Evidence(kept_bytes=2 * (10 + ENTRY_BYTES))
    for number in range(4):
        evidence.keep(f"sha {number}", bytes(10))
    assert [evidence.encoding(f"sha {number}") for number in range(4)] == [None, None, bytes(10), bytes(10)]
    evidence.keep("sha 2", bytes(10))
    evidence.keep("sha 9", bytes(10))
    assert evidence.encoding("sha 3") is None
    assert evidence.encoding("sha 2") is not None
