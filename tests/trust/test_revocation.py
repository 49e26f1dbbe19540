"""Certificates on CRLs: the findings about them, and the agreement of `openssl verify`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from authority import AT, DAY, NOW, Party, authority, issue, usage
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from recorded import need

from tlsdissect.trust import revocation as module
from tlsdissect.trust.anchors import AnchorError, lists
from tlsdissect.trust.chain import Chain
from tlsdissect.trust.revocation import Crl, CrlError
from tlsdissect.trust.verdicts import ChainVerdict, Settings, Verdicts

if TYPE_CHECKING:
    from pathlib import Path

ROOT = authority("root")
MIDDLE = authority("middle", ROOT, serial=5)
NO_CRLS = authority("no lists", ROOT, key_usage=usage("key_cert_sign"))
OTHER = authority("another root")
LEAF = issue("leaf", MIDDLE, serial=77)
GOOD = issue("good", MIDDLE, serial=78)


def crl(issuer: Party = MIDDLE, *serials: int, signer: Party | None = None, **options: Any) -> bytes:
    """A CRL in DER, with these serial numbers on it."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.loaded.subject)
        .last_update(options.get("begin", NOW - DAY))
        .next_update(options.get("end", NOW + DAY))
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for extension in options.get("extra", ()):
        builder = builder.add_extension(extension, critical=True)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - 3 * DAY)
        if options.get("reason"):
            entry = entry.add_extension(x509.CRLReason(options["reason"]), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign((signer or issuer).key, hashes.SHA256()).public_bytes(Encoding.DER)


def judged(
    *encodings: bytes, chain: tuple[Party, ...] = (LEAF, MIDDLE), trusted: tuple[Party, ...] = (ROOT,), at: str = AT
) -> ChainVerdict:
    given = tuple(Crl(encoding, f"{number}.crl") for number, encoding in enumerate(encodings))
    verdicts = Verdicts(Settings(anchors=tuple(party.anchor for party in trusted), lists=given))
    return verdicts.chain_verdict(Chain("server", tuple(party.link for party in chain)), at)


def told(given: ChainVerdict) -> dict[str, str]:
    return {finding.code: finding.detail for finding in given.findings if finding.code in ("revoked", "bad_crl")}


INDIRECT = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
CASES = {
    "not on it": (crl(), "good", set()),
    "on it": (crl(MIDDLE, 76, 77), "revoked", {"revoked"}),
    "another one on it": (crl(MIDDLE, 76), "good", set()),
    "out of date": (crl(end=NOW - DAY / 2), None, {"bad_crl"}),
    "of later": (crl(begin=NOW + DAY / 2), None, {"bad_crl"}),
    "on it, and out of date": (crl(MIDDLE, 77, end=NOW - DAY / 2), "revoked", {"bad_crl", "revoked"}),
    "forged": (crl(MIDDLE, 77, signer=OTHER), None, {"bad_crl"}),
    "of another authority": (crl(OTHER, 77), None, set()),
    "indirect": (crl(extra=[INDIRECT]), None, {"bad_crl"}),
}


@pytest.mark.parametrize("name", CASES)
def test_findings(name: str) -> None:
    encoding, status, found = CASES[name]
    given = judged(encoding)
    assert set(told(given)) == found
    assert given.revocation[0] == status


@pytest.mark.parametrize("name", [name for name in CASES if name != "indirect"])
def test_openssl_agrees(name: str, tmp_path: Path) -> None:
    encoding, status, found = CASES[name]
    (tmp_path / "list.crl").write_bytes(x509.load_der_x509_crl(encoding).public_bytes(Encoding.PEM))
    for party, file in ((LEAF, "leaf"), (MIDDLE, "middle"), (ROOT, "root")):
        (tmp_path / f"{file}.pem").write_bytes(party.pem)
    command = [need("openssl"), "verify", "-crl_check", "-CAfile", "root.pem", "-untrusted", "middle.pem"]
    command += ["-CRLfile", "list.crl", "-attime", str(int(NOW.timestamp())), "leaf.pem"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert ("leaf.pem: OK" in said) is (status == "good")
    assert ("certificate revoked" in said) is ("revoked" in found)
    if not found and status is None:
        assert "unable to get certificate CRL" in said


def test_openssl_reads_the_same_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.crl").write_bytes(crl(MIDDLE, 77))
    command = [need("openssl"), "crl", "-inform", "DER", "-in", tmp_path / "list.crl", "-noout", "-lastupdate"]
    done = subprocess.run([*command, "-nextupdate"], capture_output=True, text=True, timeout=60, check=True)
    one = Crl(crl(MIDDLE, 77), "here")
    assert (one.this_update, one.next_update) == ("2026-05-31T12:00:00", "2026-06-02T12:00:00")
    assert done.stdout.split("\n")[:2] == ["lastUpdate=May 31 12:00:00 2026 GMT", "nextUpdate=Jun  2 12:00:00 2026 GMT"]


def test_when_and_why() -> None:
    detail = told(judged(crl(MIDDLE, 77, reason=x509.ReasonFlags.key_compromise)))["revoked"]
    assert detail == "serial 4d is on 0.crl, revoked since 2026-05-29T12:00:00Z for keyCompromise"


def test_a_list_of_an_unknown_issuer_is_reported_as_unchecked() -> None:
    given = judged(crl(MIDDLE, 77), chain=(LEAF,), trusted=())
    assert "the CRL's signature was not checked" in told(given)["revoked"]
    assert given.revocation == ("revoked",)


def test_an_authority_may_be_revoked() -> None:
    given = judged(crl(ROOT, 5), crl())
    assert set(told(given)) == {"revoked"}
    assert given.revocation == ("good", "revoked")


def test_an_authority_that_may_not_sign_lists() -> None:
    leaf = issue("leaf", NO_CRLS, serial=77)
    assert set(told(judged(crl(NO_CRLS, 77), chain=(leaf, NO_CRLS)))) == {"bad_crl"}


def test_a_list_ceases_to_hold_within_a_run() -> None:
    verdicts = Verdicts(Settings(lists=(Crl(crl(), "here"),)))
    chain = Chain("server", (LEAF.link, MIDDLE.link))
    found = [
        [finding.code for finding in verdicts.chain_verdict(chain, time).findings if finding.code == "bad_crl"]
        for time in ("2026-06-02T11:59:59", "2026-06-02T12:00:00", "2026-06-02T12:00:01", "2026-06-02T11:59:59")
    ]
    assert found == [[], [], ["bad_crl"], []]


def test_files(tmp_path: Path) -> None:
    encoding = crl()
    pem = x509.load_der_x509_crl(encoding).public_bytes(Encoding.PEM)
    (tmp_path / "one.der").write_bytes(encoding)
    (tmp_path / "two.pem").write_bytes(b"two lists\n" + pem + LEAF.pem + pem)
    (tmp_path / "none.pem").write_bytes(LEAF.pem)
    assert lists(str(tmp_path / "one.der")) == (encoding,)
    assert lists(str(tmp_path / "two.pem")) == (encoding, encoding)
    for name, why in (("none.pem", "contains no CRL"), ("missing", "No such file or directory")):
        with pytest.raises(AnchorError, match=why):
            lists(str(tmp_path / name))


@pytest.mark.parametrize("encoding", [b"\x30\x00", LEAF.der, crl()[:-9]])
def test_malformed_lists(encoding: bytes) -> None:
    with pytest.raises(CrlError, match=r"^here: malformed CRL"):
        Crl(encoding, "here")


def test_a_long_list_is_hashed_and_sorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Crl(crl(MIDDLE, *range(1000, 1100), 1000 + (1 << 61) - 1), "long.crl")
    hashed: list[hashes.HashAlgorithm] = []
    plain = hashes.Hash

    def counted(algorithm: hashes.HashAlgorithm) -> hashes.Hash:
        hashed.append(algorithm)
        return plain(algorithm)

    monkeypatch.setattr(module.hashes, "Hash", counted)
    namesakes = [authority("middle", ROOT, key_name=f"p256 {number}") for number in range(5)]
    assert [given.is_forged(one.link) for one in (MIDDLE, *namesakes)] == [False, *[True] * 5]
    assert len(hashed) == 1
    entries = given._entries
    # The last but one of these has the hash of the first.
    serials = [999, 1000, 1099, 1000 + (1 << 61) - 1, 999 + (1 << 61) - 1]
    states = [given.status_of(f"{serial:x}").status for serial in serials]
    assert states == ["good", "revoked", "revoked", "revoked", "good"]
    assert given._entries is entries


def test_a_list_by_rsa_is_checked() -> None:
    issuer = authority("by rsa", key_name="rsa2048 lists")
    other = authority("by rsa", key_name="rsa2048 others")
    given = Crl(crl(issuer, 77), "rsa.crl")
    assert [given.is_forged(one.link) for one in (issuer, other, authority("by rsa"))] == [False, True, True]
